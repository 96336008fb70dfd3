"""An asyncio event loop whose clock stands still while there is work, and then jumps to the next timer.

A test that waits an hour takes a millisecond, and sees every timer fire at its moment. What such a loop cannot do:

- Sockets and child processes live in real time. A real socket times out at once; test those on a real loop.
- While a function runs in a thread that `loop.run_in_executor`, `asyncio.to_thread` or `anyio.to_thread` started, the
  clock stands still, until the thread is done. Other threads it does not know: who waits for one gets a DeadlockError.
- A thread that is started but no longer awaited, as its waiter was cancelled, does not hold the clock.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

_Events = list[tuple[selectors.SelectorKey, int]]

# Real seconds. A thread that is done wakes the loop at once; this only bounds how late its end is noticed.
_GLANCE = 0.005


class DeadlockError(Exception):
    """Nothing is ready to run and no timer is set, so the tasks that wait would wait for ever."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0.0 seconds and never waits for real, except for threads of its own.

    Raises:
        DeadlockError: From whatever runs the loop, when nothing could ever happen any more.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """The virtual moment, in seconds since the loop was made."""
        return self._now

    def sleep_for(self, seconds: float) -> None:
        """Let time pass as while the machine sleeps: nothing runs meanwhile, and then much is overdue."""
        self._now += seconds

    def jump(self) -> None:
        """Go to the next timer.

        Raises:
            DeadlockError: There is none.
        """
        # Asked for here and not computed from select's time-out, so that a timer fires at exactly its moment.
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not timers:
            tasks = "".join(f"\n  {task!r}" for task in asyncio.all_tasks(self))
            message = (
                f"deadlock at {self._now} s: nothing is ready and no timer is set; these tasks wait:{tasks}"
            )
            raise DeadlockError(message)
        self._now = max(self._now, timers[0].when())

    def has_threads(self) -> bool:
        """Whether a thread still works for a task of this loop."""
        return self._threads > 0 or any(map(self._employs, threading.enumerate()))

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*_Arguments], _Result],
        *args: *_Arguments,
    ) -> asyncio.Future[_Result]:
        """Run a function in a thread, for as long as which the clock stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._forget_thread)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the threads of the default executor."""
        with self._one_thread_more():
            await super().shutdown_default_executor(*args, **kwargs)

    @contextmanager
    def _one_thread_more(self) -> Iterator[None]:
        self._threads += 1
        try:
            yield
        finally:
            self._threads -= 1

    def _forget_thread(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1

    def _employs(self, thread: threading.Thread) -> bool:
        # anyio starts its workers past the loop, so that only their queues show whether they have work.
        queue = getattr(thread, "queue", None)
        return getattr(thread, "loop", None) is self and queue is not None and queue.unfinished_tasks > 0


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that lets the loop's clock jump where others would wait."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> _Events:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self._loop.has_threads():
            return super().select(_GLANCE)
        self._loop.jump()
        return events
