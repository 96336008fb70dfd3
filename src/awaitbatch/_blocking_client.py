"""The shared client for code without an event loop: the methods of `BatchClient`, which block."""

from __future__ import annotations

import asyncio
import math
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from awaitbatch._client import BatchClient
from awaitbatch._config import is_duration, number
from awaitbatch._core.text import one_line
from awaitbatch._loop_thread import result_of
from awaitbatch._remote_client import END, NOTHING, FetchedItems, RemoteClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from typing import Unpack

    from types_aiobotocore_batch.type_defs import (
        JobDetailTypeDef,
        SubmitJobRequestTypeDef,
        SubmitJobResponseTypeDef,
    )

    from awaitbatch._changes import OnChange
    from awaitbatch._jobs import MatchStatus
    from awaitbatch._log_fetchers import GetBatchLogFetcher
    from awaitbatch._resources import ResourceStatus
    from awaitbatch._wait_limits import WaitLimits

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[BatchClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    """A method of BatchClient that returns when it has ended."""

    @wraps(method)
    def call(self: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(lambda client: method(client, *args, **kwargs))

    return call


class BlockingItems(Generic[T]):
    """The same for code without an event loop: ``for item in …``.

    Args:
        client: Where it is given.
        items: It, on the loop of the client.
    """

    def __init__(self, client: BlockingClient, items: AsyncIterator[T]) -> None:
        self._client = client
        self._fetched = FetchedItems(items)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while (item := self._fetched.pop()) is NOTHING:
            self._client.run(self._fetched.fetch)
        if item is END:
            raise StopIteration
        return cast("T", item)


def _iterated(
    method: Callable[Concatenate[BatchClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[BlockingClient, P], BlockingItems[T]]:
    """The same, for a ``for`` without an event loop."""

    @wraps(method)
    def call(self: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> BlockingItems[T]:
        return BlockingItems(self, method(self._client, *args, **kwargs))

    return call


class BlockingClient(RemoteClient):
    """The shared client for code without an event loop: its methods are those of `BatchClient`, and block.

    Any number of threads may use one at once. Ctrl-C, or another exception of a signal handler, ends the wait that it
    interrupts. In a thread that runs an event loop, each method raises a RuntimeError.
    """

    describe = _blocking(BatchClient.describe)
    get_job_description = _blocking(BatchClient.get_job_description)
    describe_jobs = _blocking(BatchClient.describe_jobs)
    wait_for_jobs = _blocking(BatchClient.wait_for_jobs)
    as_completed = _iterated(BatchClient.as_completed)
    list_jobs = _iterated(BatchClient.list_jobs)
    child_job_ids = _blocking(BatchClient.child_job_ids)
    job_progress = _blocking(BatchClient.job_progress)
    check_job_success = _blocking(BatchClient.check_job_success)
    cancel_job = _blocking(BatchClient.cancel_job)
    terminate_job = _blocking(BatchClient.terminate_job)
    cancel_jobs = _blocking(BatchClient.cancel_jobs)
    terminate_jobs = _blocking(BatchClient.terminate_jobs)
    get_job_awslogs_info = _blocking(BatchClient.get_job_awslogs_info)
    get_job_all_awslogs_info = _blocking(BatchClient.get_job_all_awslogs_info)

    def submit_job(self, **kwargs: Unpack[SubmitJobRequestTypeDef]) -> SubmitJobResponseTypeDef:
        """See `BatchClient.submit_job`."""
        refuse_event_loop()
        submission = self._submission(kwargs)
        try:
            return result_of(submission.begin(), math.inf, "")
        except BaseException as error:
            submission.on_raised(error)
            raise

    def poll_job_status(
        self,
        job_id: str,
        match_status: MatchStatus,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        timeout: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> bool:
        """`BatchClient.poll_job_status`, with ``timeout`` as for `wait_for_job`."""
        return self._wait(
            job_id,
            lambda client: client.poll_job_status(
                job_id, match_status, on_change=on_change, stuck_after=stuck_after, **limits
            ),
            timeout,
        )

    def poll_for_job_running(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        timeout: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """`BatchClient.poll_for_job_running`, with ``timeout`` as for `wait_for_job`."""
        return self._wait(
            job_id,
            lambda client: client.poll_for_job_running(
                job_id, delay, on_change=on_change, stuck_after=stuck_after, **limits
            ),
            timeout,
        )

    def poll_for_job_complete(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        timeout: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """`BatchClient.poll_for_job_complete`, with ``timeout`` as for `wait_for_job`."""
        return self._wait(
            job_id,
            lambda client: client.poll_for_job_complete(
                job_id, delay, on_change=on_change, stuck_after=stuck_after, **limits
            ),
            timeout,
        )

    def wait_for_job(
        self,
        job_id: str,
        delay: float | None = None,
        get_batch_log_fetcher: GetBatchLogFetcher | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        timeout: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """`BatchClient.wait_for_job`, with a time-out.

        Args:
            job_id: A job's id or ARN.
            delay: As for `BatchClient.wait_for_job`.
            get_batch_log_fetcher: As for `BatchClient.wait_for_job`; it and its ``start`` and ``stop`` are called in
                the thread of the client's event loop.
            on_change: As for `BatchClient.wait_for_job`; it is called in that thread, too.
            stuck_after: As for `BatchClient.wait_for_job`.
            timeout: Seconds to wait at most; None for as long as it takes.
            limits: As for `BatchClient.wait_for_job`.

        Returns:
            The final description.

        Raises:
            TimeoutError: It took longer. The job goes on, and can be awaited again.
            RuntimeError: An event loop runs in this thread; and the errors of `BatchClient.wait_for_job`.
        """
        return self._wait(
            job_id,
            lambda client: client.wait_for_job(
                job_id, delay, get_batch_log_fetcher, on_change=on_change, stuck_after=stuck_after, **limits
            ),
            timeout,
        )

    def wait_for_compute_environment(
        self,
        name: str,
        *,
        until: ResourceStatus = "VALID",
        timeout: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> dict[str, Any]:
        """`BatchClient.wait_for_compute_environment`, with ``timeout`` as for `wait_for_job`."""
        return self._result(
            f"AWS Batch compute environment ({one_line(str(name))}): the wait",
            lambda client: client.wait_for_compute_environment(name, until=until, **limits),
            timeout,
        )

    def wait_for_job_queue(
        self,
        name: str,
        *,
        until: ResourceStatus = "VALID",
        timeout: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> dict[str, Any]:
        """`BatchClient.wait_for_job_queue`, with ``timeout`` as for `wait_for_job`."""
        return self._result(
            f"AWS Batch job queue ({one_line(str(name))}): the wait",
            lambda client: client.wait_for_job_queue(name, until=until, **limits),
            timeout,
        )

    def run(self, function: Callable[[BatchClient], Awaitable[T]], *, timeout: float | None = None) -> T:
        """Call a coroutine function of yours on the client's event loop, such as one that awaits many jobs at once.

        Args:
            function: Called with the `BatchClient`, in the thread of its event loop and the context of the caller.
            timeout: Seconds to wait at most; None for as long as it takes.

        Returns:
            What it returns; its errors are raised.

        Raises:
            TimeoutError: It took longer, and was cancelled.
            ClientClosedError: The client is not open, or belongs to the process that this one was forked from.
            RuntimeError: An event loop runs in this thread.
        """
        return self._result("the call", function, timeout)

    def _wait(self, job_id: str, function: Callable[[BatchClient], Awaitable[T]], timeout: float | None) -> T:
        return self._result(f"AWS Batch job ({one_line(str(job_id))}): the wait", function, timeout)

    def _result(self, what: str, function: Callable[[BatchClient], Awaitable[T]], timeout: float | None) -> T:
        refuse_event_loop()
        seconds = math.inf if timeout is None else number(is_duration, "timeout", timeout, "seconds")
        text = f"{what} was given up after {seconds:g} s, as timeout= asks"
        return result_of(self._start(function), seconds, text)


def refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    message = (
        "this would block the event loop that runs in this thread: use 'async with awaitbatch.threads.shared(...)', "
        "and await its methods; or call it in a thread of its own, as asyncio.to_thread does"
    )
    raise RuntimeError(message)
