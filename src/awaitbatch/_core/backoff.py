"""When to check a job again: pure functions from the number of a try to a window of time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Span(NamedTuple):
    earliest: float
    latest: float


class Window(_Span):
    """A span of time in which to check a job once, in seconds from now.

    Attributes:
        earliest: Before it, a check is too early to count.
        latest: By then the check is due.

    Raises:
        ValueError: It is not 0 <= earliest <= latest < math.inf.
        TypeError: They are not numbers.
    """

    __slots__ = ()

    def __new__(cls, earliest: float, latest: float) -> Self:
        """Other numbers become floats: a Decimal, say, can be compared, but might not add to the time of the clock."""
        try:
            if 0 <= earliest <= latest < math.inf:
                if type(earliest) is float and type(latest) is float:
                    return tuple.__new__(cls, (earliest, latest))
                return cls(float(earliest), float(latest))
        except ArithmeticError:
            # Of an integer that no float can hold, or a Decimal that is no number.
            pass
        message = f"a window needs 0 <= earliest <= latest < math.inf, not {earliest!r} and {latest!r}"
        raise ValueError(message)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Self:  # type: ignore[override]
        # What `_replace` makes, too.
        return cls(*iterable)


@runtime_checkable
class Backoff(Protocol):
    """A schedule of checks of a job."""

    def window(self, tries: int) -> Window | tuple[float, float]:
        """The window of the next check, in seconds from now, after ``tries`` checks (from 1)."""


MAX_INTERVAL = 600.0
"""The longest pause of the exponential curve, in seconds."""


def add_jitter(random: Random, delay: float, width: float = 1, minima: float = 0) -> float:
    """A pause drawn uniformly from ``delay`` ± ``width`` seconds, never below ``minima``; signs are ignored."""
    return random.uniform(*jitter_bounds(delay, width, minima))


def jitter_bounds(delay: float, width: float = 1, minima: float = 0) -> tuple[float, float]:
    """The bounds between which `add_jitter` draws, in seconds; the first is the greater one if ``minima`` is."""
    delay, width, minima = abs(delay), abs(width), abs(minima)
    return max(minima, delay - width), delay + width


def exponential_delay(random: Random, tries: int) -> float:
    """A pause drawn uniformly from d/3 … d seconds, where d = min(600, 1 + (0.6 · tries)²)."""
    longest = _longest_delay(tries)
    return random.uniform(longest / 3, longest)


def _longest_delay(tries: int) -> float:
    return min(MAX_INTERVAL, 1 + (tries * 0.6) ** 2)


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Airflow's curve: the pause after try n is drawn from d/3 … d seconds, d = min(600, 1 + (0.6 n)²).

    The window closes at the moment drawn, so no job is seen later than in Airflow. It opens at d/6: if it opened at
    d/3, pauses drawn close to that would leave no time for others to join, and calls would leave half empty.
    """

    random: Random = field(default_factory=Random, repr=False, compare=False)

    def window(self, tries: int) -> Window:
        """The window of the next check, in seconds from now, after ``tries`` checks (from 1)."""
        longest = _longest_delay(tries)
        return Window(longest / 6, self.random.uniform(longest / 3, longest))


@dataclass(frozen=True, slots=True)
class FixedInterval:
    """Check the job at least every ``seconds`` seconds.

    The window is [s/2, s]: the early half is what lets jobs share calls.

    Raises:
        ValueError: ``seconds`` is not a positive, finite number.
    """

    seconds: float
    _window: Window = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            holds = self.seconds > 0 and math.isfinite(self.seconds)
        except ArithmeticError:
            # Of an integer that no float can hold, or a Decimal that is no number.
            holds = False
        if not holds:
            message = f"FixedInterval needs a positive number of seconds, not {self.seconds!r}"
            raise ValueError(message)
        object.__setattr__(self, "_window", Window(float(self.seconds) / 2, float(self.seconds)))

    def window(self, tries: int) -> Window:  # noqa: ARG002
        """The window of the next check, in seconds from now; every try has the same."""
        return self._window
