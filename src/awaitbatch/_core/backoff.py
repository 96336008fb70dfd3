"""When to check a job again: pure functions from the number of a try to a window of time."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable


shared_random: Final = Random()  # noqa: S311
"""Draws the pauses of a process, of all schedules that are given nothing else."""
if hasattr(os, "register_at_fork"):
    # Or the processes of a prefork server would all draw the same pauses.
    os.register_at_fork(after_in_child=shared_random.seed)


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
    """A schedule of checks of a job.

    Any object with this method is one::

        class QuickThenSlow:
            def window(self, tries: int) -> tuple[float, float]:
                return (1, 2) if tries <= 40 else (150, 300)
    """

    def window(self, tries: int) -> Window | tuple[float, float]:
        """The window of the next check, in seconds from now, after ``tries`` checks (from 1)."""


AIRFLOWS_MAX_INTERVAL: Final = 600.0
"""The longest pause of Airflow's curve, in seconds."""
DEFAULT_MAX_INTERVAL: Final = 30.0
"""The longest pause of ours. Airflow's checks are a call each, while ours share calls."""


def add_jitter(random: Random, delay: float, width: float = 1, minima: float = 0) -> float:
    """A pause drawn uniformly from ``delay`` ± ``width`` seconds, never below ``minima``; signs are ignored."""
    return random.uniform(*jitter_bounds(delay, width, minima))


def jitter_bounds(delay: float, width: float = 1, minima: float = 0) -> tuple[float, float]:
    """The bounds between which `add_jitter` draws, in seconds; the first is the greater one if ``minima`` is."""
    delay, width, minima = abs(delay), abs(width), abs(minima)
    return max(minima, delay - width), delay + width


def exponential_delay(random: Random, tries: int) -> float:
    """A pause drawn uniformly from d/3 … d seconds, where d = min(600, 1 + (0.6 · tries)²)."""
    longest = _longest_delay(tries, AIRFLOWS_MAX_INTERVAL)
    return random.uniform(longest / 3, longest)


def _longest_delay(tries: int, max_interval: float) -> float:
    return min(max_interval, 1 + (tries * 0.6) ** 2)


def _require_seconds(needs: str, seconds: float) -> None:
    try:
        holds = seconds > 0 and math.isfinite(seconds)
    except ArithmeticError:
        # Of an integer that no float can hold, or a Decimal that is no number.
        holds = False
    if not holds:
        message = f"{needs} a positive number of seconds, not {seconds!r}"
        raise ValueError(message)


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Check often at first, then more rarely: the pause after check n is drawn from d/3 … d seconds.

    It is Airflow's curve, d = min(``max_interval``, 1 + (0.6 n)²), with a lower ceiling, since our checks share calls.
    The end of a job is noticed at most ``max_interval`` seconds later. With ``max_interval=600`` it is exactly
    Airflow's.

    The window closes at the moment drawn, and opens at d/6. If it opened at d/3, pauses drawn close to that would leave
    other jobs no time to join, and calls would be sent half empty.

    Args:
        max_interval: The longest pause, in seconds.

    Raises:
        ValueError: ``max_interval`` is not a positive, finite number.
    """

    max_interval: float = DEFAULT_MAX_INTERVAL
    # None for that of the process: one of its own would be copied, state and all, to each process that it goes to.
    random: Random | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        _require_seconds("ExponentialBackoff needs a max_interval of", self.max_interval)
        object.__setattr__(self, "max_interval", float(self.max_interval))

    def window(self, tries: int) -> Window:
        """The window of the next check, in seconds from now, after ``tries`` checks (from 1)."""
        longest = _longest_delay(tries, self.max_interval)
        return Window(longest / 6, (self.random or shared_random).uniform(longest / 3, longest))


@dataclass(frozen=True, slots=True)
class FixedInterval:
    """Check the job at least every ``seconds`` seconds.

    ::

        client = BatchClient(region_name="eu-west-1", backoff=FixedInterval(5))

    The window is [s/2, s], so that jobs can share calls.

    Raises:
        ValueError: ``seconds`` is not a positive, finite number.
    """

    seconds: float
    _window: Window = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_seconds("FixedInterval needs", self.seconds)
        object.__setattr__(self, "_window", Window(float(self.seconds) / 2, float(self.seconds)))

    def window(self, tries: int) -> Window:  # noqa: ARG002
        """The window of the next check, in seconds from now; every try has the same."""
        return self._window
