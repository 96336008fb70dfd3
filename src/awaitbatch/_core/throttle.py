"""When may the next call go, under a limit that nobody can know in advance."""

from __future__ import annotations

import math
from typing import Final

START_RATE: Final = 5.0
"""Calls a second before anything is known."""
REST: Final = 60.0
"""Seconds without congestion after which a rate that is not used returns to `START_RATE`, if it was cut below it."""
MIN_RATE: Final = 0.1
"""Calls a second below which congestion never pushes us, so that waiting never turns into giving up."""
FAST_GROWTH: Final = 1.5
"""Factor on the rate for each good answer until the first congestion."""
INCREASE: Final = 0.25
"""Calls a second that the rate gains each second after it."""
CUT: Final = 0.7
"""Factor on the rate for each congestion event."""


class AdaptiveThrottle:
    """Spaces calls and learns how far apart they have to be.

    The rate grows by a factor for each good answer until the first congestion, then by `INCREASE` calls a second
    each second; both only while it is the throttle that calls wait for, since a rate that is not used has not been
    tried. One congestion event cuts the rate once: rejections of calls that were on their way when the rate was
    last cut say nothing about the new rate, so they are ignored (as QUIC's congestion control does).

    The growth and the cut are additive increase, multiplicative decrease, which makes several clients of one
    account converge to equal shares without knowing of each other (Chiu and Jain, 1989).

    In any t seconds it lets at most 1 + ``max_rate`` · t calls go.

    Args:
        max_rate: Never more than so many calls a second.
    """

    __slots__ = (
        "_congested_at",
        "_growing_fast",
        "_is_bottleneck",
        "_last_cut",
        "_min_rate",
        "_newest",
        "_sent_at",
        "max_rate",
        "rate",
    )

    def __init__(self, max_rate: float) -> None:
        self.max_rate = max_rate
        self.rate = min(START_RATE, max_rate)
        self._min_rate = min(MIN_RATE, max_rate)
        self._growing_fast = True
        self._is_bottleneck = False
        self._sent_at = -math.inf
        # When the last call before the latest cut was sent, which is close enough to when it was cut.
        self._congested_at = -math.inf
        self._newest = 0
        self._last_cut = 0

    def __repr__(self) -> str:
        phase = "until first congestion" if self._growing_fast else "after congestion"
        return f"<AdaptiveThrottle {self.rate:.2f} of at most {self.max_rate:g} calls/s, {phase}>"

    @property
    def ready_at(self) -> float:
        """When the next call may go; -inf before the first."""
        return self._sent_at + 1 / self.rate

    @property
    def at_floor(self) -> bool:
        """Whether the rate can not be cut any further."""
        return self.rate <= self._min_rate

    def sent(self, number: int, now: float, due: float) -> None:
        """A call goes.

        Args:
            number: Grows from call to call.
            now: The present moment, at or after `ready_at`.
            due: When the call would have gone had there been no throttle.
        """
        self._is_bottleneck = due < self.ready_at
        if not self._is_bottleneck and now >= self._congested_at + REST:
            # What was learnt in a storm that is long over says nothing any more, and would hold up a describe.
            self.rate = max(self.rate, min(START_RATE, self.max_rate))
        self._newest = number
        self._sent_at = now

    def answered(self) -> None:
        """A call was answered, so the rate may grow."""
        if not self._is_bottleneck:
            return
        if self._growing_fast:
            grown = self.rate * FAST_GROWTH
        else:
            # A call stands for 1/rate seconds. At the floor that is long, and one good answer is thin evidence.
            grown = min(self.rate + INCREASE / self.rate, self.rate * FAST_GROWTH)
        self.rate = min(self.max_rate, grown)

    def congested(self, number: int) -> bool:
        """A call was rejected for coming too fast; True if that cut the rate.

        Args:
            number: The rejected call's number.
        """
        if number <= self._last_cut:
            return False
        self._growing_fast = False
        self._last_cut = self._newest
        self._congested_at = self._sent_at
        self.rate = max(self._min_rate, self.rate * CUT)
        return True
