"""The shared client for other event loops: the methods of `BatchClient`, awaited."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from awaitbatch._client import BatchClient
from awaitbatch._remote_client import END, NOTHING, FetchedItems, RemoteClient
from awaitbatch._supervisor import running_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from typing import Unpack

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef, SubmitJobResponseTypeDef

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    method: Callable[Concatenate[BatchClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[AwaitableClient, P], Coroutine[Any, Any, T]]:
    """A method of BatchClient, for other event loops."""

    @wraps(method)
    async def call(self: AwaitableClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(lambda client: method(client, *args, **kwargs))

    return call


class AwaitableItems(Generic[T]):
    """What the client gives one after the other, such as `BatchClient.list_jobs`: ``async for item in …``.

    Args:
        client: Where it is given.
        items: It, on the loop of the client.
    """

    def __init__(self, client: AwaitableClient, items: AsyncIterator[T]) -> None:
        self._client = client
        self._fetched = FetchedItems(items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while (item := self._fetched.pop()) is NOTHING:
            await self._client.run(self._fetched.fetch)
        if item is END:
            raise StopAsyncIteration
        return cast("T", item)


def _iterated(
    method: Callable[Concatenate[BatchClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[AwaitableClient, P], AwaitableItems[T]]:
    """A method of BatchClient that gives one item after the other, for other event loops."""

    @wraps(method)
    def call(self: AwaitableClient, /, *args: P.args, **kwargs: P.kwargs) -> AwaitableItems[T]:
        return AwaitableItems(self, method(self._client, *args, **kwargs))

    return call


class AwaitableClient(RemoteClient):
    """The shared client for any asyncio event loop: its methods are those of `BatchClient`, and are awaited.

    Any number of tasks of any event loops may use one at once. Cancelling a task ends its wait; what it has submitted
    or terminated goes on, as with `BatchClient`.
    """

    describe = _awaited(BatchClient.describe)
    get_job_description = _awaited(BatchClient.get_job_description)
    describe_jobs = _awaited(BatchClient.describe_jobs)
    poll_job_status = _awaited(BatchClient.poll_job_status)
    poll_for_job_running = _awaited(BatchClient.poll_for_job_running)
    poll_for_job_complete = _awaited(BatchClient.poll_for_job_complete)
    wait_for_job = _awaited(BatchClient.wait_for_job)
    wait_for_jobs = _awaited(BatchClient.wait_for_jobs)
    as_completed = _iterated(BatchClient.as_completed)
    list_jobs = _iterated(BatchClient.list_jobs)
    wait_for_compute_environment = _awaited(BatchClient.wait_for_compute_environment)
    wait_for_job_queue = _awaited(BatchClient.wait_for_job_queue)
    child_job_ids = _awaited(BatchClient.child_job_ids)
    job_progress = _awaited(BatchClient.job_progress)
    check_job_success = _awaited(BatchClient.check_job_success)
    cancel_job = _awaited(BatchClient.cancel_job)
    terminate_job = _awaited(BatchClient.terminate_job)
    cancel_jobs = _awaited(BatchClient.cancel_jobs)
    terminate_jobs = _awaited(BatchClient.terminate_jobs)
    get_job_awslogs_info = _awaited(BatchClient.get_job_awslogs_info)
    get_job_all_awslogs_info = _awaited(BatchClient.get_job_all_awslogs_info)

    async def submit_job(self, **kwargs: Unpack[SubmitJobRequestTypeDef]) -> SubmitJobResponseTypeDef:
        """See `BatchClient.submit_job`."""
        submission = self._submission(kwargs)
        try:
            return await asyncio.wrap_future(submission.begin(), loop=running_loop())
        except (asyncio.CancelledError, GeneratorExit) as error:
            submission.on_raised(error)
            raise

    async def run(self, function: Callable[[BatchClient], Awaitable[T]]) -> T:
        """Call a coroutine function of yours on the client's event loop.

        Args:
            function: Called with the `BatchClient`, in the thread of its event loop and the context of the caller.
                Cancelling the caller cancels it.

        Returns:
            What it returns; its errors are raised.

        Raises:
            ClientClosedError: The client is not open, or belongs to the process that this one was forked from.
        """
        return await asyncio.wrap_future(self._start(function), loop=running_loop())
