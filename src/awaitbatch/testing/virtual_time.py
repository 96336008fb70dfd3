"""An asyncio event loop whose clock stands still while there is work, and then jumps to the next timer.

A test that waits an hour takes a millisecond, and sees every timer fire at its moment::

    import asyncio

    from awaitbatch.testing import virtual_time

    async def main() -> None:
        await asyncio.sleep(3600)

    virtual_time.run(main())

In pytest the mark ``virtual_time`` does the same for an async test, with pytest-asyncio and with anyio's plugin. What
such a loop cannot do:

- Sockets and child processes live in real time. A `RealIOError` says so, where a clock that jumps would let them time
  out at once. Test those on an ordinary loop.
- While a function runs in a thread that `loop.run_in_executor`, `asyncio.to_thread` or `anyio.to_thread` started, the
  clock stands still, until the thread is done. Other threads it does not know: who waits for one gets a
  `DeadlockError`.
- A thread that is started but no longer awaited, as its waiter was cancelled, does not hold the clock.
- Nothing but asyncio: trio has a clock of its own for tests, and uvloop's timers are real.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from concurrent.futures import Executor

__all__ = ["ANYIO_BACKEND", "DeadlockError", "RealIOError", "VirtualTimeLoop", "run"]

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

_Events = list[tuple[selectors.SelectorKey, int]]

# Real seconds. A thread that is done wakes the loop at once; this only bounds how late its end is noticed.
_GLANCE = 0.005

_MOST_TASKS = 50
"""Of more that wait, so many are named."""


class DeadlockError(Exception):
    """The tasks that wait would wait for ever: no timer is set, or nothing but timers has come for very long."""


class RealIOError(Exception):
    """The clock is to jump while the loop waits for a socket, a pipe or a child process, which know no such jumps."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0.0 seconds and never waits for real, except for threads of its own.

    It is a loop factory for whoever takes one: ``asyncio.Runner(loop_factory=VirtualTimeLoop)``.

    Attributes:
        most_jumps: How often the clock may jump in one run, such as a test, before that counts as a deadlock. Without a
            bound, a timer that comes again and again would keep alive a test whose end never comes. A test that needs
            more may set it, on its running loop.

    Raises:
        DeadlockError: From whatever runs the loop, when nothing could ever happen any more, or after ``most_jumps``.
        RealIOError: From whatever runs the loop, when it waits for the world outside; once for each file descriptor.
    """

    most_jumps: float = 200_000

    def __init__(self) -> None:
        self._now = 0.0
        self._jumps = 0
        self._threads = 0
        self._test: asyncio.Task[Any] | None = None
        self._error: Exception | None = None
        selector = _JumpingSelector(self)
        super().__init__(selector)
        # By which threads and signals wake the loop.
        self._known_files = {*selector.get_map()}

    def time(self) -> float:
        """The virtual moment, in seconds since the loop was made."""
        return self._now

    def sleep_for(self, seconds: float) -> None:
        """Let time pass as while the machine sleeps: nothing runs meanwhile, and then much is overdue."""
        self._now += seconds

    def run_forever(self) -> None:
        """Run until it is stopped."""
        # Tests may share a loop, and each has jumps of its own.
        self._jumps = 0
        super().run_forever()

    async def run_test(self, test: Coroutine[Any, Any, None]) -> None:
        """Await a test that is to end with the error of a loop that cannot go on.

        Otherwise whoever runs the loop has it, and the test hangs on: anyio's plugin would then wait for it in vain to
        tear down the fixtures, in the same task.

        Raises:
            DeadlockError: Nothing could ever happen any more.
            RealIOError: It waits for the world outside.
        """
        outer, self._test = self._test, asyncio.current_task()
        try:
            await test
        except BaseException as error:
            if self._error is not None:
                # It shows where the test hung.
                raise self._error from error
            raise
        else:
            if self._error is not None:
                raise self._error
        finally:
            if self._error is not None and self._test is not None:
                self._test.uncancel()
            self._test, self._error = outer, None

    def _fail(self, error: Exception) -> None:
        if self._test is None or self._error is not None:
            raise error
        self._error = error
        self._test.cancel()

    def jump(self) -> None:
        """Go to the next timer.

        Raises:
            DeadlockError: There is none, or there were too many before.
        """
        # Asked for here and not computed from select's time-out, so that a timer fires at exactly its moment.
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not timers:
            self._report_deadlock("nothing is ready and no timer is set")
            return
        self._jumps += 1
        if self._jumps > self.most_jumps:
            self._report_deadlock(
                f"the clock has jumped {self.most_jumps:,} times, and there is no end. What is awaited may never come, "
                "while some timer comes again and again. If it does need so many, set most_jumps of the running loop"
            )
            return
        self._now = max(self._now, timers[0].when())

    def _report_deadlock(self, why: str) -> None:
        tasks = [f"\n  {task!r}" for task in islice(asyncio.all_tasks(self), _MOST_TASKS + 1)]
        more = "\n  …" if len(tasks) > _MOST_TASKS else ""
        message = f"deadlock at {self._now} s: {why}; these tasks wait:{''.join(tasks[:_MOST_TASKS])}{more}"
        # What cleans up after it may jump again.
        self._jumps = 0
        self._fail(DeadlockError(message))

    def refuses_real_io(self, files: Collection[int]) -> bool:
        """Complain of file descriptors for which the loop waits, of each once, so that cleaning up can go on.

        Returns:
            Whether the test has just been told, and is to end.

        Raises:
            RealIOError: There is a new one.
        """
        if len(files) == len(self._known_files) and self._known_files.issuperset(files):
            # Nearly always, as each jump comes here.
            return False
        new = [file for file in files if file not in self._known_files]
        # A number may come again, for another file.
        self._known_files.intersection_update(files)
        self._known_files.update(new)
        if new:
            message = (
                f"after {self._now:g} s of virtual time the event loop waits for "
                f"{', '.join(map(_described, new))}. The clock would jump past every time-out meanwhile. Call a "
                "BatchServer by `transport=server.transport()` and stand in for other services, or use an ordinary "
                "event loop"
            )
            self._fail(RealIOError(message))
        return bool(new)

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

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
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


ANYIO_BACKEND: Final[tuple[str, dict[str, Any]]] = ("asyncio", {"loop_factory": VirtualTimeLoop})
"""What the fixture ``anyio_backend`` may return, so that all tests that use it run in virtual time."""


def run(main: Coroutine[Any, Any, _Result], *, debug: bool | None = None) -> _Result:
    """Run a coroutine in virtual time, as `asyncio.run` does in real time, and return its result.

    Args:
        main: The coroutine.
        debug: Whether the loop is in asyncio's debug mode; None for what the environment says.

    Raises:
        DeadlockError: Nothing could ever happen any more.
        RealIOError: It waits for the world outside.
        RuntimeError: An event loop is running in this thread.
    """
    with asyncio.Runner(debug=debug, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


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
        if not self._loop.refuses_real_io(self._fd_to_key):  # type: ignore[attr-defined]
            self._loop.jump()
        return events


def _described(file: int) -> str:
    """What is behind a file descriptor, as far as it is a socket."""
    try:
        borrowed = socket.socket(fileno=file)
    except OSError:
        return f"file descriptor {file}, such as a pipe or a child process"
    try:
        return f"its connection to {_address(borrowed.getpeername())}"
    except OSError:
        return f"its socket at {_address(borrowed.getsockname())}"
    finally:
        borrowed.detach()


def _address(address: Any) -> str:  # noqa: ANN401
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else repr(address)
