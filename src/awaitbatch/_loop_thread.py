"""One event loop in a thread of its own, for all threads and all other event loops of a process."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from awaitbatch._shared import close_shared_clients
from awaitbatch.errors import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_SECONDS_TO_END: Final = 15.0
"""How long the interpreter's exit waits at most for clients to close; twice their own time-out, and some more."""

_SECONDS_DEAF: Final = 1.0
"""How long a thread waits at a time.

Only in between do exceptions reach it that others raise in it: Ctrl-C on Windows, and what ends a thread in hosts such
as Temporal's activities (``PyThreadState_SetAsyncExc``).
"""

_lock: Final = threading.Lock()


class LoopThread:
    """Runs an event loop in a daemon thread, until the process ends.

    It is idle when nobody needs it. A process that was forked does not have its parent's, and gets one of its own when
    it asks.

    It is no `BlockingPortal` of anyio's: that is joined without a bound, and waits for the loop before it gives a
    future, so that Ctrl-C could come in between.
    """

    _current: ClassVar[LoopThread | None] = None

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._to_end = asyncio.Event()
        self._ended = threading.Event()
        self._is_ending = self._is_broken = False
        # Those that have not ended.
        self._futures: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="awaitbatch", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    @classmethod
    def of_this_process(cls) -> LoopThread:
        """The one that all threads share, started when it is first asked for."""
        with _lock:
            if cls._current is None or not cls._current.is_alive:
                cls._current = cls()
            return cls._current

    @classmethod
    def end_with_the_process(cls) -> None:
        """Do so for a process that ends, if anybody has ever asked for it."""
        with _lock:
            current = cls._current
        if current is not None and current.is_alive:
            current.end()

    @property
    def is_alive(self) -> bool:
        """Whether it can be used: it runs in this process, and nothing such as SystemExit has ended it."""
        return self._thread.is_alive() and not self._is_broken

    def start(self, function: Callable[[], Awaitable[T]]) -> Future[T]:
        """Call a coroutine function on the loop, in the context of the caller.

        Returns:
            Its future result; cancelling it cancels the call.

        Raises:
            ClientClosedError: There is no such loop any more, or not in this process, or the process ends.
        """
        if not self.is_alive:
            raise _ended_error()
        if self._is_ending and threading.current_thread() is threading.main_thread():
            # Nobody would be told of its end, and an exit handler that waits for it would keep the process for ever.
            message = (
                "the process is ending, and awaitbatch.threads has been closed already: register an exit handler that "
                "uses it after `import awaitbatch.threads`, since handlers run in reverse order"
            )
            raise ClientClosedError(message)
        future: Future[T] = Future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        try:
            self._loop.call_soon_threadsafe(self._begin, function, future)
        except RuntimeError:
            # It was closed just now.
            raise _ended_error() from None
        return future

    def _begin(self, function: Callable[[], Awaitable[T]], future: Future[T]) -> None:
        # Not asyncio.run_coroutine_threadsafe: SystemExit in one caller's function would end the loop of all. The task
        # has its first step also if its caller is cancelled already, so a termination goes out.
        if self._is_broken:
            return
        task = self._loop.create_task(self._call(function, future))

        def pass_on(future: Future[T]) -> None:
            if future.cancelled():
                # A loop that has ended has cancelled it already.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(task.cancel)

        future.add_done_callback(pass_on)

    async def _call(self, function: Callable[[], Awaitable[T]], future: Future[T]) -> None:
        try:
            result = await function()
        except BaseException as error:  # noqa: BLE001
            is_ours = isinstance(error, asyncio.CancelledError) and self._is_broken
            if self._is_to_be_told(future):
                future.set_exception(_ended_error() if is_ours else error)
        else:
            if self._is_to_be_told(future):
                future.set_result(result)
        finally:
            # An error has this frame in its traceback, and the future has the error.
            del future

    def _is_to_be_told(self, future: Future[Any]) -> bool:
        # Whoever still waits while the interpreter ends is a daemon thread. It is left where it is: if it went on, its
        # errors would be the last that the user reads.
        return not self._is_ending and future.set_running_or_notify_cancel()

    def _run(self) -> None:
        try:
            # Not asyncio.run, which nest_asyncio replaces.
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                try:
                    runner.run(self._live())
                finally:
                    self._is_broken = True
        finally:
            # Whoever came while it broke has no task that would tell him.
            for future in list(self._futures):
                if self._is_to_be_told(future):
                    future.set_exception(_ended_error())

    async def _live(self) -> None:
        await self._to_end.wait()
        await close_shared_clients()
        self._ended.set()
        # Idle, since a daemon thread must not be at work when the interpreter goes.
        await self._loop.create_future()

    def end(self) -> None:
        """Close the clients of all, and leave everybody who waits where he is."""
        self._is_ending = True
        self._loop.call_soon_threadsafe(self._to_end.set)
        self._ended.wait(_SECONDS_TO_END)


def result_of(future: Future[T], timeout: float, text: str) -> T:
    """Block until a call has ended; Ctrl-C and a time-out cancel it.

    Args:
        future: The call, as `LoopThread.start` gives it.
        timeout: Seconds; infinite for as long as it takes.
        text: What the error says if it takes longer.

    Raises:
        TimeoutError: It took longer.
    """
    end = time.monotonic() + timeout
    try:
        while not future.done() and (left := end - time.monotonic()) > 0:
            wait((future,), min(left, _SECONDS_DEAF))
    finally:
        # It does nothing to one that is done.
        is_given_up = future.cancel()
    try:
        if is_given_up:
            raise TimeoutError(text)
        return future.result()
    finally:
        # An error has this frame in its traceback, and the future has the error.
        del future


def _ended_error() -> ClientClosedError:
    return ClientClosedError(
        "the event loop of awaitbatch.threads has ended, or belongs to the process that this one was forked from; "
        "call awaitbatch.threads.shared() for another client"
    )


atexit.register(LoopThread.end_with_the_process)
if hasattr(os, "register_at_fork"):
    # Nobody is in the middle of starting a thread that the child would not have.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
