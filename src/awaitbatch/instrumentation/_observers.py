"""Hands events to observers."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from types import BuiltinMethodType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from awaitbatch._core.text import error_line, one_line
from awaitbatch.instrumentation._events import ClientClosed, ClientOpened, ObserverRemoved, WaitEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from awaitbatch.instrumentation._events import Event, Observer
    from awaitbatch.instrumentation._log import LogObserver


_clients = itertools.count(1)


class Observers:
    """The log, and whoever else wants to hear of events.

    Attributes:
        client: The number of the client; see `Event`.
        region_name: The region of its jobs, once it is open.
        others: All but the log, with numbers.
        write_log: See `LogObserver.write`.
        hear_of_waits: Whether anybody wants a `WaitEnded`; as `want` says, but it is asked for each wait.
    """

    def __init__(self, log: LogObserver, others: Sequence[Observer]) -> None:
        self.client = next(_clients)
        self.region_name: str | None = None
        self._log = log
        self.write_log = log.write
        self._numbers = itertools.count()
        self.others = tuple(zip(self._numbers, others, strict=False))
        self.hear_of_waits = self.want(WaitEnded)
        # How many of those who share a client have named an observer.
        self._named: Counter[Hashable] = Counter(map(_identity, others))
        self._is_open = self._is_closed = False
        self._reported: set[tuple[Hashable, type[BaseException]]] = set()

    def add(self, others: Sequence[Observer]) -> None:
        """Let others hear of events, too; one that hears of them already does so once, as before."""
        for observer in others:
            if not self._named[_identity(observer)]:
                self.others += ((next(self._numbers), observer),)
            self._named[_identity(observer)] += 1
        self.hear_of_waits = self.want(WaitEnded)

    def remove(self, others: Sequence[Observer]) -> None:
        """Take back what was added, or given at first, once; who was named by several still hears of events."""
        for observer in others:
            identity = _identity(observer)
            self._named[identity] -= 1
            if not self._named[identity]:
                del self._named[identity]
                gone = {number: other for number, other in self.others if _identity(other) == identity}
                self.others = tuple(other for other in self.others if other[0] not in gone)
                if self._is_open and not self._is_closed:
                    for number, other in gone.items():
                        event = ObserverRemoved(region_name=self.region_name, client=self.client)
                        self._tell(number, other, event)
                # Users of a shared client may come by the million.
                self._reported = {kind for kind in self._reported if kind[0] not in gone}
        self.hear_of_waits = self.want(WaitEnded)

    def want(self, kind: type[Event]) -> bool:
        """Whether anybody would use events of a kind that comes once a job; if not, they need not be made."""
        return bool(self.others) or self._log.wants(kind)

    def notify(self, event: Event) -> None:
        """Hand an event to all, one after the other; what one of them raises hurts nobody. None follows the close."""
        if self._is_closed:
            return
        if isinstance(event, ClientOpened):
            self._is_open, self.region_name = True, event.region_name
        self._is_closed = isinstance(event, ClientClosed)
        self._log(event)
        for number, observer in self.others:
            self._tell(number, observer, event)

    def _tell(self, number: int, observer: Observer, event: Event) -> None:
        try:
            observer(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001
            # Not even a CancelledError is ours: nothing is awaited here.
            self.report("observer", observer, event, error, number)

    def report(
        self,
        role: str,
        function: Callable[[Any], object],
        event: Event,
        error: BaseException,
        number: int | None = None,
    ) -> None:
        """Say once of each kind of error that a function failed on an event.

        Args:
            role: What the function is to us.
            function: The function, or an object that can be called.
            event: What it was called with.
            error: What it raised.
            number: Tells it from others; if not given, all of one name are one, such as closures of each wait.
        """
        # Of a user's own object not even the name can be trusted.
        named = function if isinstance(function, FunctionType | MethodType) else type(function)
        shown = one_line(named.__qualname__)
        kind = (shown if number is None else number, type(error))
        if kind not in self._reported:
            self._reported.add(kind)
            text = "the %s %s failed on a %s: %s; more errors like this are not logged"
            self.write_log(logging.WARNING, text, role, shown, type(event).__name__, error_line(error))


def _identity(observer: Observer) -> Hashable:
    """What tells it from others."""
    # Each mention of a method makes another object, and of a user's own not even equality can be trusted.
    if isinstance(observer, MethodType | BuiltinMethodType):
        return (id(observer.__self__), observer.__name__)
    return id(observer)
