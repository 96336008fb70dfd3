"""Hands events to observers."""

from __future__ import annotations

import logging
from types import FunctionType, MethodType
from typing import TYPE_CHECKING

from awaitbatch._core.text import error_line, one_line
from awaitbatch.instrumentation._events import ClientClosed
from awaitbatch.instrumentation._log import write_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch.instrumentation._events import Event, Observer
    from awaitbatch.instrumentation._log import LogObserver


class Observers:
    """The log, and whoever else wants to hear of events."""

    def __init__(self, log: LogObserver, others: Sequence[Observer]) -> None:
        self._log = log
        self._others = tuple(others)
        self._is_closed = False
        self._reported: set[tuple[int, type[BaseException]]] = set()

    def want(self, kind: type[Event]) -> bool:
        """Whether anybody would use events of a kind that comes once a job; if not, they need not be made."""
        return bool(self._others) or self._log.wants(kind)

    def notify(self, event: Event) -> None:
        """Hand an event to all, one after the other; what one of them raises hurts nobody. None follows the close."""
        if self._is_closed:
            return
        self._is_closed = isinstance(event, ClientClosed)
        self._log(event)
        for number, observer in enumerate(self._others):
            try:
                observer(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001
                # Not even a CancelledError is ours: nothing is awaited here.
                self._report(number, observer, event, error)

    def _report(self, number: int, observer: Observer, event: Event, error: BaseException) -> None:
        kind = (number, type(error))
        if kind not in self._reported:
            self._reported.add(kind)
            text = "the observer %s failed on a %s: %s; more errors like this are not logged"
            # Of a user's own object not even the name can be trusted.
            named = observer if isinstance(observer, FunctionType | MethodType) else type(observer)
            shown = one_line(named.__qualname__)
            write_log(logging.WARNING, text, shown, type(event).__name__, error_line(error))
