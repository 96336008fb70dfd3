"""The first answer of a client: while it has never had one, observers hear of it, and of nothing more after it."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Final

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch.instrumentation._events import NoAnswer
from awaitbatch.instrumentation._incidents import SUMMARY_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.instrumentation._observers import Observers

_SECONDS: Final = 8.0
"""From a call until somebody should know that there is no answer; most people wait for ten seconds."""
_AGAIN: Final = SUMMARY_INTERVAL + 1
"""Seconds until it is said again; a little more than what the log allows, as timers may be early."""

_ANSWERS: Final = frozenset({FailureKind.THROTTLED, FailureKind.REFUSED})
"""Failures that nobody but AWS Batch can be the cause of."""


class FirstAnswer:
    """Notifies of `NoAnswer` while a client waits for the first answer that it ever gets.

    A call that fails is news by itself; but one that hangs, as with a wrong address or without a network, says nothing
    until its time is over. Use it as a context manager around each call. There is no timer before the first call, nor
    after the first answer, nor, but for a minute, while no call is under way.

    Args:
        observers: Who hears of it.
        endpoint_url: Says where calls are sent.
        fetching: Says whose credentials are being fetched at present; None if none are.
    """

    def __init__(
        self, observers: Observers, endpoint_url: Callable[[], str | None], fetching: Callable[[], str | None]
    ) -> None:
        self._observers = observers
        self._endpoint_url = endpoint_url
        self._fetching = fetching
        self._under_way = 0
        self._is_over = False
        self._began: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._under_way += 1
        if not self._is_over and self._timer is None:
            if self._began is None:
                self._began = asyncio.get_running_loop().time()
            self._start(_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1

    def note(self, how: Failure | str, *, is_logged: bool = False) -> None:
        """A call ended like this, and the log says so if it failed."""
        if how == "answered" or (isinstance(how, Failure) and how.kind in _ANSWERS):
            self.close()
        elif is_logged and isinstance(how, Failure) and self._timer is not None:
            self._timer.cancel()
            self._start(_AGAIN)

    def close(self) -> None:
        """Say nothing any more."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, seconds: float) -> None:
        # In a context of its own, since the first call is anybody's, and what is said concerns all.
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tell, context=Context())

    def _tell(self) -> None:
        self._timer = None
        if not self._under_way or self._began is None:
            # The next call starts it anew.
            return
        self._start(_AGAIN)
        self._observers.notify(
            NoAnswer(
                seconds=asyncio.get_running_loop().time() - self._began,
                endpoint_url=self._endpoint_url(),
                fetching=self._fetching(),
            )
        )
