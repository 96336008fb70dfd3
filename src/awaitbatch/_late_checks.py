"""Tells observers of checks that are late while no call ends that would say so."""

from __future__ import annotations

import asyncio
import math
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from awaitbatch.instrumentation._events import ChecksOverdue

if TYPE_CHECKING:
    from awaitbatch._core.windows import Windows
    from awaitbatch.instrumentation._observers import Observers

_SECONDS: Final = 5.0
"""How late the oldest check is when it is told of, and the time until it is told again."""
_LONGEST_SLEEP: Final = 60.0
"""Seconds until it looks again although it knows of nothing that would be late by then."""
_WHILE_UNDER_WAY: Final = 1.0
"""Seconds until it looks again if there is nothing to be seen, since all that waits is in calls under way."""


class LateChecks:
    """Notifies of `ChecksOverdue`. There is no timer while nobody observes, nor while nothing waits.

    Args:
        windows: What waits.
        observers: Who hears of it.
    """

    def __init__(self, windows: Windows[Any], observers: Observers) -> None:
        self._windows = windows
        self._observers = observers
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """See to it that late checks are told of, if somebody observes and something waits."""
        if self._timer is None and self._observers.others and len(self._windows):
            now = self._loop.time()
            soonest = self._windows.soonest()
            moment = min(max(soonest, now), now + _LONGEST_SLEEP) + _SECONDS
            if math.isinf(soonest):
                # All are in calls under way, and those that are not answered will be as late as they were.
                moment = now + _WHILE_UNDER_WAY
            # In a context of its own, since it is anybody's wait, and what is said concerns all.
            self._timer = self._loop.call_at(moment, self._tell, context=Context())

    def close(self) -> None:
        """Tell of nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def seconds(self) -> float:
        """Seconds since the oldest check that waits should have been made; 0.0 if none is late."""
        return max(0.0, self._loop.time() - self._windows.soonest())

    def _tell(self) -> None:
        self._timer = None
        seconds = self.seconds()
        if seconds >= _SECONDS and self._observers.others:
            event = ChecksOverdue(seconds=seconds, pending=len(self._windows), client=self._observers.client)
            self._observers.notify(event)
        self.watch()
