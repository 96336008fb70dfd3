"""How many lines of one kind may go into the log, and what becomes of the others."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_A_SECOND: Final = 20
"""Lines of one kind in any second. A log may block when it is full, such as Airflow's, which holds some 280 lines."""
SUMMARY_PAUSE: Final = 5.0
"""Seconds from the first line that is left out to the summary."""


class LinePace:
    """Lets at most twenty lines pass in any second, and has the others counted and summarised.

    Args:
        clock: Gives monotonic seconds.
        summarise: Called with what was left out, and how often.
    """

    __slots__ = ("_clock", "_left_out", "_moments", "_summarise", "_timer")

    def __init__(self, clock: Callable[[], float], summarise: Callable[[Counter[str]], None]) -> None:
        self._clock = clock
        self._summarise = summarise
        self._moments: deque[float] = deque(maxlen=MOST_A_SECOND)
        self._left_out: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def admits(self, what: str) -> bool:
        """Whether a line may be written now; if not, the summary counts it as ``what``."""
        now = self._clock()
        if len(self._moments) == MOST_A_SECOND and now < self._moments[0] + 1:
            self._left_out[what] += 1
            if self._timer is None:
                # Not in the context of whoever happens to be the first, or the summary lands in his log.
                context = contextvars.Context()
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(SUMMARY_PAUSE, self.summarise, context=context)
            return False
        self._moments.append(now)
        return True

    def summarise(self) -> None:
        """Have the summary written now, if anything was left out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            left_out, self._left_out = self._left_out, Counter()
            self._summarise(left_out)
