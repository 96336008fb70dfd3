"""Runs a log fetcher beside a wait, as Airflow does, without blocking the event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.to_thread

from awaitbatch.reporter import tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskGroup

JOIN_THREADS: Final = 40
"""Fetchers that may be joined at once; a join blocks its thread until the fetcher has read the last lines."""


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

    A cancelled wait can not be trusted to clean up: it may be cancelled again and again while it does. So stop and
    join run in a task group of their owner, and the wait only looks on.

    Args:
        tasks: Where stop and join run.
        close_timeout: Seconds that they may take once the wait was cancelled.
    """

    def __init__(self, tasks: TaskGroup, close_timeout: float) -> None:
        self._tasks = tasks
        self._close_timeout = close_timeout
        self._limiter = anyio.CapacityLimiter(JOIN_THREADS)
        self._active = 0
        self._none_active = asyncio.Event()
        self._none_active.set()

    async def wait_until_none(self) -> None:
        """Wait until every fetcher was joined."""
        await self._none_active.wait()

    @asynccontextmanager
    async def beside(self, get_fetcher: GetBatchLogFetcher, job_id: str) -> AsyncIterator[None]:
        """Have the fetcher of a job run during the body, if there is one."""
        fetcher: BatchLogFetcher | None = await _resolved(get_fetcher(job_id))
        if fetcher is None:
            yield
            return
        self._active += 1
        self._none_active.clear()
        try:
            try:
                await _resolved(fetcher.start())
                yield
            except asyncio.CancelledError:
                await self._finish(fetcher, self._close_timeout)
                raise
            except BaseException:
                await self._finish(fetcher, None)
                raise
            await self._finish(fetcher, None)
        finally:
            self._active -= 1
            if not self._active:
                self._none_active.set()

    async def _finish(self, fetcher: BatchLogFetcher, bound: float | None) -> None:
        """Stop and join a fetcher; with a bound in seconds it does so whatever cancellations come, and never raises."""
        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        scope = anyio.CancelScope()
        self._tasks.start_soon(self._stop_and_join, fetcher, scope, ended)
        if bound is None:
            try:
                error = await asyncio.shield(ended)
            except asyncio.CancelledError:
                await self._outlast(ended, scope, self._close_timeout)
                raise
            if error is not None:
                raise error
        else:
            await self._outlast(ended, scope, bound)

    async def _outlast(
        self, ended: asyncio.Future[BaseException | None], scope: anyio.CancelScope, bound: float
    ) -> None:
        if not await outlast(ended, bound):
            scope.cancel()
            tell(logging.WARNING, "a log fetcher did not end within %g s and was left behind", bound)
        elif (error := ended.result()) is not None:
            tell(logging.WARNING, "a log fetcher failed to end: %r", error)

    async def _stop_and_join(
        self, fetcher: BatchLogFetcher, scope: anyio.CancelScope, ended: asyncio.Future[BaseException | None]
    ) -> None:
        error: BaseException | None = None
        try:
            with scope:
                try:
                    await _resolved(fetcher.stop())
                finally:
                    await self._join(fetcher)
        except Exception as raised:  # noqa: BLE001
            error = raised
        finally:
            if not ended.done():
                ended.set_result(error)

    async def _join(self, fetcher: BatchLogFetcher) -> None:
        if inspect.iscoroutinefunction(fetcher.join):
            await fetcher.join()
        else:
            join = anyio.to_thread.run_sync(fetcher.join, limiter=self._limiter, abandon_on_cancel=True)
            await _resolved(await join)


async def outlast(future: asyncio.Future[Any], bound: float) -> bool:
    """Wait for a future whatever cancellations come; True if it was done within ``bound`` seconds.

    For callers that re-raise the cancellation afterwards.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bound
    # The shield keeps anyio's scopes away, the loop task.cancel(), which passes through shields.
    with anyio.CancelScope(shield=True):
        while not future.done() and loop.time() < deadline:
            try:
                await asyncio.wait({future}, timeout=deadline - loop.time())
            except asyncio.CancelledError:
                continue
    return future.done()


async def _resolved(value: Any) -> Any:  # noqa: ANN401
    return await value if inspect.isawaitable(value) else value
