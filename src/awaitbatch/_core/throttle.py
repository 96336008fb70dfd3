"""When may the next call go, under a limit that nobody can know in advance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

START_RATE: Final = 5.0
"""Calls a second before anything is known."""
REST: Final = 60.0
"""Seconds without congestion after which a rate that is not used returns to `START_RATE`, if it was cut below it."""
MIN_RATE: Final = 0.1
"""Calls a second below which congestion never pushes us, so that waiting never turns into giving up."""
FAST_GROWTH: Final = 1.5
"""Factor on the rate for each good answer until the first congestion."""
INCREASE: Final = 0.7
"""By how much the rate grows after it: INCREASE / rate calls a second each second."""
CUT: Final = 0.8
"""Factor on the rate for each congestion event."""
MOST_GROWTH: Final = 1.25
"""The most that one good answer multiplies the rate by after the first congestion. A storm's cycle of one answer, one
cut to `LOW_CUT` and one to `CUT` has to lead downwards."""

DRIFT: Final = 0.5
"""The most by which one of several rejections in a row puts off the next call, as a share of the time between two."""

CALM: Final = 20.0
"""Seconds of use without congestion after which the rate grows faster: the limit has been raised, or a neighbour has
left; and at a high rate the way back from a cut is long."""
SEARCH: Final = 0.06
"""Share of the rate that it then gains each second on top of `INCREASE` / rate."""

LOW_RATE: Final = 2.0
"""Calls a second below which a limit leaves next to no room for trying: its bucket holds a call or two."""
LOW_INCREASE: Final = 0.0075
"""Share of the rate that each good answer adds after a cut that would have led below `LOW_RATE`."""
LOW_CUT: Final = 0.85
"""Factor on the rate for such a cut."""
LOW_ANSWERS: Final = 32
"""Good answers for which the rate then grows by `LOW_INCREASE`; they make up for two such cuts in a row."""


class AdaptiveThrottle:
    """Spaces calls and learns how far apart they have to be.

    The rate grows by a factor for each good answer until the first congestion, then by `INCREASE` / rate calls a second
    each second; both only while it is the throttle that calls wait for, since a rate that is not used has not been
    tried. One congestion event cuts the rate once: neither rejections nor answers of calls that were on their way when
    the rate was last cut say anything about the new rate, so they are ignored (as QUIC's congestion control does).

    The growth and the cut are inverse increase, multiplicative decrease, one of the binomial controls that make several
    clients of one account converge to equal shares without knowing of each other (Bansal and Balakrishnan, 2001).
    Whoever has more grows less, which evens out what chance did faster than additive increase does. Two cases depart
    from it:

    - After `CALM` seconds of use without congestion the rate grows faster: the limit has been raised, or a neighbour
      has left.
    - A limit below `LOW_RATE` has next to no burst, so that the first call that is too fast is rejected, and a step of
      `INCREASE` is a large one there. So if a cut would lead below it both steps are small, unless no call was
      answered since the cut before: then it is a storm and not a limit that is nearly known.

    While no call is answered, each rejection also puts off the next call by a little, drawn at random. Calls at equal
    distances could meet the account's bucket for ever at a moment at which a neighbour has just emptied it.

    In any t seconds it lets at most 1 + ``max_rate`` · t calls go.

    Args:
        max_rate: Never more than so many calls a second.
        random: Draws by how much a rejection puts off the next call.
    """

    __slots__ = (
        "_calm",
        "_drift",
        "_growing_fast",
        "_has_answer",
        "_is_bottleneck",
        "_last_cut",
        "_low_answers",
        "_min_rate",
        "_newest",
        "_random",
        "_sent_at",
        "_throttled_at",
        "max_rate",
        "rate",
    )

    def __init__(self, max_rate: float, random: Random) -> None:
        self.max_rate = max_rate
        self._random = random
        self._drift = 0.0
        self.rate = min(START_RATE, max_rate)
        self._min_rate = min(MIN_RATE, max_rate)
        self._growing_fast = True
        self._is_bottleneck = False
        self._sent_at = -math.inf
        # When the last call before the latest cut was sent, which is close enough to when it was cut.
        self._throttled_at = -math.inf
        self._newest = 0
        self._last_cut = 0
        # Of the time since the last cut: the seconds of use, whether a call was answered, and for how many good answers
        # the rate is still to grow by `LOW_INCREASE`.
        self._calm = 0.0
        self._has_answer = False
        self._low_answers = 0

    def __repr__(self) -> str:
        phase = "until first congestion" if self._growing_fast else "after congestion"
        return f"<AdaptiveThrottle {self.rate:.2f} of at most {self.max_rate:g} calls/s, {phase}>"

    @property
    def ready_at(self) -> float:
        """When the next call may go; -inf before the first."""
        return self._sent_at + (1 + self._drift) / self.rate

    @property
    def at_floor(self) -> bool:
        """Whether the rate cannot be cut any further."""
        return self.rate <= self._min_rate

    def on_sent(self, number: int, now: float, due: float) -> None:
        """A call goes.

        Args:
            number: Grows from call to call.
            now: The present moment, at or after `ready_at`.
            due: When the call would have gone had there been no throttle.
        """
        self._is_bottleneck = due < self.ready_at
        if not self._is_bottleneck and now >= self._throttled_at + REST:
            # What was learnt in a storm that is long over says nothing any more, and would hold up a describe.
            self.rate = max(self.rate, min(START_RATE, self.max_rate))
            self._low_answers = 0
        self._newest = number
        self._sent_at = now
        self._drift = 0.0

    def on_answer(self, number: int) -> None:
        """A call was answered, so the rate may grow.

        Args:
            number: The call's number.
        """
        if number <= self._last_cut:
            # It left at the rate of before, and says nothing about the new one.
            return
        self._has_answer = True
        if self._is_bottleneck:
            self.rate = min(self.max_rate, self._grown())

    def _grown(self) -> float:
        if self._growing_fast:
            return self.rate * FAST_GROWTH
        # A call stands for 1/rate seconds.
        seconds = 1 / self.rate
        self._calm += seconds
        if self._low_answers:
            self._low_answers -= 1
            return self.rate * (1 + LOW_INCREASE)
        increase = INCREASE / self.rate
        if self._calm > CALM:
            increase += SEARCH * self.rate
        # At the floor a call stands for a long time, and one good answer is thin evidence.
        return min(self.rate + increase * seconds, self.rate * MOST_GROWTH)

    def on_throttled(self, number: int) -> bool:
        """A call was rejected for coming too fast; True if that cut the rate.

        Args:
            number: The rejected call's number.
        """
        if not self._has_answer:
            self._drift = self._random.uniform(0, DRIFT)
        if number <= self._last_cut:
            return False
        is_low = self.rate * CUT < LOW_RATE and self._has_answer and not self._growing_fast
        self._low_answers = LOW_ANSWERS if is_low else 0
        self._growing_fast = False
        self._last_cut = self._newest
        self._throttled_at = self._sent_at
        self._calm = 0.0
        self._has_answer = False
        self.rate = max(self._min_rate, self.rate * (LOW_CUT if is_low else CUT))
        return True
