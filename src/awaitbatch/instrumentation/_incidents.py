"""How to write of trouble without flooding the log."""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

SUMMARY_INTERVAL: Final = 60.0
"""Seconds between two lines that say that there is trouble of one kind."""


class Line(Enum):
    """What is worth a line in the log now."""

    BEGIN = "begin"
    SUMMARY = "summary"
    END = "end"


class Incident:
    """Trouble of one kind that comes and goes: a line when it begins, at most one a minute, and one when it is over.

    It is over when things went well `recovery` seconds after the last event. The next event begins it anew; if that is
    within a minute of the last line about trouble, the line about the new one is late, or never comes if it is short.

    Args:
        recovery: Seconds after the last event from which on it is over if things go well.

    Attributes:
        count: The events since it began.
        began: When it began, in monotonic seconds.
    """

    __slots__ = ("_is_logged", "_last_event", "_last_line", "_recovery", "_went_well", "began", "count")

    def __init__(self, recovery: float) -> None:
        self._recovery = recovery
        self._last_event = self._last_line = -math.inf
        self._is_logged = False
        self._went_well = True
        self.count = 0
        self.began = -math.inf

    def occurred(self, now: float, *, counts: bool = True) -> Line | None:
        """It happened, for the first time or again; or, if that does not count, it shows that it goes on."""
        if self._went_well and now >= self._last_event + self._recovery:
            self.began, self.count, self._is_logged = now, 0, False
        self.count += counts
        self._last_event = now
        self._went_well = False
        if now < self._last_line + SUMMARY_INTERVAL:
            return None
        self._last_line = now
        line = Line.SUMMARY if self._is_logged else Line.BEGIN
        self._is_logged = True
        return line

    def went_well(self, now: float) -> Line | None:
        """A call succeeded."""
        self._went_well = True
        if self._is_logged and now >= self._last_event + self._recovery:
            self._is_logged = False
            return Line.END
        return None
