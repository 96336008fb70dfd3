"""Telling of trouble without flooding the log."""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

SUMMARY_INTERVAL: Final = 60.0
"""Seconds between two lines about one episode, and of quiet after which it is over."""


class Line(Enum):
    """What is worth a line in the log now."""

    BEGIN = "begin"
    SUMMARY = "summary"
    END = "end"


class Episode:
    """A run of events of one kind: one line at the first, at most one a minute while it lasts, one at the end.

    Attributes:
        count: The events since the episode began.
        began: When it began, in monotonic seconds.
    """

    __slots__ = ("_last_event", "_last_line", "began", "count")

    def __init__(self) -> None:
        self.count = 0
        self.began = self._last_event = self._last_line = -math.inf

    def event(self, now: float) -> Line | None:
        """It happened again."""
        self.count += 1
        self._last_event = now
        if self.count == 1:
            self.began = self._last_line = now
            return Line.BEGIN
        if now >= self._last_line + SUMMARY_INTERVAL:
            self._last_line = now
            return Line.SUMMARY
        return None

    def quiet(self, now: float) -> Line | None:
        """It did not happen this time; after `Line.END` the caller starts a new `Episode`."""
        if self.count and now >= self._last_event + SUMMARY_INTERVAL:
            return Line.END
        return None
