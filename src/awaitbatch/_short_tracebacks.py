"""Tracebacks of botocore that would fill the log while credentials cannot be fetched, kept short."""

from __future__ import annotations

import logging
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from awaitbatch._core.text import error_line

if TYPE_CHECKING:
    from collections.abc import Callable

_LOGGERS: Final = (
    "aiobotocore.credentials",
    "aiobotocore.tokens",
    "aiobotocore.utils",
    "botocore.credentials",
    "botocore.tokens",
    "botocore.utils",
)
"""The loggers of what fetches credentials."""
_INTERVAL: Final = 60.0
"""Seconds after a traceback in which there is no other."""

_fetcher: ContextVar[ShortTracebacks | None] = ContextVar("awaitbatch_fetcher", default=None)


class ShortTracebacks(logging.Filter):
    """Leaves one traceback a minute of what is logged while credentials are fetched for one client.

    botocore logs each failure to renew credentials with a traceback of some hundred lines, and as long as they cannot
    be renewed every call tries to. Repeats have the error's line instead. What is logged otherwise is left alone.

    Args:
        clock: Gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._last = -math.inf

    def attach(self) -> None:
        """Listen to botocore's loggers; to attach twice is fine."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Listen no more."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def mark(self) -> None:
        """What is logged from now on in this context, a task's, is about the client's credentials."""
        _fetcher.set(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let it pass, but perhaps without its traceback."""
        if _fetcher.get() is not self or record.levelno < logging.WARNING or not record.exc_info:
            return True
        now = self._clock()
        if now >= self._last + _INTERVAL:
            self._last = now
            return True
        error = record.exc_info[1]
        if error is not None:
            record.msg, record.args = "%s: %s", (record.getMessage().rstrip(". "), error_line(error))
        record.exc_info = record.exc_text = None
        return True
