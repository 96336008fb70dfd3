"""Runs a log fetcher beside a wait, as Airflow does, without blocking the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from awaitbatch._core.text import error_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_THREAD_RETRY_SECONDS: Final = 0.1
"""When to try again to start a thread, if the process may have no more of them at present."""


class BatchLogFetcher(Protocol):
    """What Airflow calls a log fetcher: a thread, or anything with these methods; coroutine methods are awaited."""

    def start(self) -> Any:  # noqa: ANN401
        """Begin to read the job's log."""

    def stop(self) -> Any:  # noqa: ANN401
        """Read what is there, then end."""

    def join(self) -> Any:  # noqa: ANN401
        """Block until it has ended."""


GetBatchLogFetcher = Callable[[str], "BatchLogFetcher | Awaitable[BatchLogFetcher | None] | None"]


class LogFetchers:
    """Starts, stops and joins log fetchers; stop and join happen whatever becomes of the wait.

    A cancelled wait cannot be trusted to clean up: it may be cancelled again and again while it does. So stop and join
    run in a task of their own, and the wait only looks on. `aclose` waits for these tasks.

    Args:
        close_timeout: Seconds that stop and join may take once the wait was cancelled or the client closes.
        write_log: Says what went wrong, where nobody is left to raise it to.
    """

    def __init__(self, close_timeout: float, write_log: Callable[..., None]) -> None:
        self._close_timeout = close_timeout
        self._write_log = write_log
        self._endings: set[asyncio.Task[None]] = set()
        self._active = 0
        self._none_active = asyncio.Event()
        self._none_active.set()
        self._closed = False

    async def aclose(self) -> None:
        """Wait until every fetcher was joined, but no longer than the time-out."""
        self._closed = True
        with anyio.move_on_after(self._close_timeout):
            await self._none_active.wait()
        endings = list(self._endings)
        for ending in endings:
            ending.cancel()
        if endings:
            await asyncio.wait(endings, timeout=self._close_timeout)

    @asynccontextmanager
    async def running(self, get_fetcher: GetBatchLogFetcher, job_id: str) -> AsyncIterator[None]:
        """Have the fetcher of a job run during the body, if there is one."""
        self._active += 1
        self._none_active.clear()
        try:
            fetcher: BatchLogFetcher | None = await _resolved(get_fetcher(job_id))
            # As Airflow asks, so that False is no fetcher either.
            if not fetcher or self._closed:
                yield
                return
            try:
                await _resolved(fetcher.start())
                yield
            except asyncio.CancelledError:
                await self._end_whatever_comes(self._begin_to_end(fetcher))
                raise
            except BaseException:
                await self._end_quietly(fetcher)
                raise
            await self._end(fetcher)
        finally:
            self._active -= 1
            if not self._active:
                self._none_active.set()

    def _begin_to_end(self, fetcher: BatchLogFetcher) -> asyncio.Task[None]:
        ending = asyncio.create_task(self._stop_and_join(fetcher), name="awaitbatch log fetcher")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    async def _end(self, fetcher: BatchLogFetcher) -> None:
        ending = self._begin_to_end(fetcher)
        try:
            await asyncio.wait({ending})
        except asyncio.CancelledError:
            await self._end_whatever_comes(ending)
            raise
        if not ending.cancelled():
            ending.result()

    async def _end_quietly(self, fetcher: BatchLogFetcher) -> None:
        """The same for a wait that has failed: its caller has to know why, and not what came after."""
        try:
            await self._end(fetcher)
        except Exception as error:  # noqa: BLE001
            self._write_failed(error)

    async def _end_whatever_comes(self, ending: asyncio.Task[None]) -> None:
        if not await wait_despite_cancellation(ending, self._close_timeout):
            ending.cancel()
            text = "a log fetcher did not end within %g s and was abandoned"
            self._write_log(logging.WARNING, text, self._close_timeout)
        elif not ending.cancelled() and (error := ending.exception()) is not None:
            self._write_failed(error)

    def _write_failed(self, error: BaseException) -> None:
        self._write_log(logging.WARNING, "a log fetcher failed while it was stopped: %s", error_line(error))

    async def _stop_and_join(self, fetcher: BatchLogFetcher) -> None:
        try:
            await _resolved(fetcher.stop())
        finally:
            if inspect.iscoroutinefunction(fetcher.join):
                await fetcher.join()
            else:
                await _resolved(await _in_thread(fetcher.join))


async def wait_despite_cancellation(future: asyncio.Future[Any], bound: float) -> bool:
    """Wait for a future whatever cancellations come; True if it was done within ``bound`` seconds.

    For callers that re-raise the cancellation afterwards.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bound
    # The shield keeps anyio's scopes away, the loop task.cancel(), which passes through shields.
    with anyio.CancelScope(shield=True):
        while not future.done() and loop.time() < deadline:
            with suppress(asyncio.CancelledError):
                await asyncio.wait({future}, timeout=deadline - loop.time())
    return future.done()


async def _in_thread(function: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Call a function that blocks, in a thread of its own.

    Not in a pool for all: one that is full of functions that never return would hold up the others. And not in anyio's
    threads: a thread of ours ends also when the loop was broken off, as by SystemExit in a task of the user's.
    """
    loop = asyncio.get_running_loop()
    run = contextvars.copy_context().run
    while True:
        thread = ThreadPoolExecutor(1, thread_name_prefix="awaitbatch join")
        try:
            result = loop.run_in_executor(thread, run, _call, function)
        except RuntimeError:
            # It was not started.
            thread.shutdown(wait=False, cancel_futures=True)
            await asyncio.sleep(_THREAD_RETRY_SECONDS)
        else:
            thread.shutdown(wait=False)
            return await result


def _call(function: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        return function()
    except StopIteration as error:
        # A future takes any exception but this one, and whoever awaits it would wait for ever.
        message = f"{function!r} raised StopIteration"
        raise RuntimeError(message) from error


async def _resolved(value: Any) -> Any:  # noqa: ANN401
    return await value if inspect.isawaitable(value) else value
