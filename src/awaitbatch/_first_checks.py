"""When a wait checks its job first: after the pause that was asked for, or soon, in a call with others."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from awaitbatch._config import delay_of
from awaitbatch._core.backoff import Window, jitter_bounds, shared_random


class _Coalescer(Protocol):
    """Who checks jobs."""

    def window_of_first_check(self, latest: float) -> Window:
        """See `DescribeCoalescer.window_of_first_check`."""


class _Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def coalescer(self) -> _Coalescer:
        """Who checks jobs."""


class Pauses(NamedTuple):
    """What a client's first checks wait for, in seconds.

    Attributes:
        delay: What the client was given; None if nothing.
        least: The earliest moment that a client without a delay draws.
        most: The latest.
    """

    delay: float | None
    least: float
    most: float

    def asked_for(self, delay: float | None = None) -> Window | None:
        """The pause before a first check, as a window so that jobs can share calls; None if none was asked for."""
        delay = self.delay if delay is None else delay
        return None if delay is None else drawn_pause(delay, math.nan, math.nan)

    def window_of_first_check(self, host: _Host, delay: float | None = None) -> Window:
        """The window of the first check of a wait."""
        window = self.asked_for(delay)
        if window is not None:
            return window
        drawn = drawn_pause(None, self.least, self.most)
        return host.coalescer.window_of_first_check(drawn.latest)


def drawn_pause(delay: float | None, least: float, most: float) -> Window:
    """From the least possible moment to the one drawn."""
    if delay is None:
        earliest, latest = min(least, most), max(least, most)
    else:
        earliest, latest = jitter_bounds(delay_of(delay))
    return Window(earliest, shared_random.uniform(earliest, latest))
