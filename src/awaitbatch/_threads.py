"""The shared client as threads and other event loops have it: each method runs on the loop of `LoopThread`."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar, cast

from awaitbatch._client import BatchClient
from awaitbatch._config import is_duration, number
from awaitbatch._core.text import one_line
from awaitbatch._loop_thread import LoopThread, result_of
from awaitbatch._supervisor import running_loop
from awaitbatch.errors import ClientClosedError, SubmitUncertainError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Unpack

    from types_aiobotocore_batch.type_defs import (
        JobDetailTypeDef,
        SubmitJobRequestTypeDef,
        SubmitJobResponseTypeDef,
    )

    from awaitbatch._changes import OnChange
    from awaitbatch._config import ClientArguments
    from awaitbatch._factory_transport import Factory
    from awaitbatch._jobs import MatchStatus
    from awaitbatch._log_fetchers import GetBatchLogFetcher
    from awaitbatch._resources import ResourceStatus
    from awaitbatch._statistics import Statistics
    from awaitbatch._wait_limits import WaitLimits

P = ParamSpec("P")
T = TypeVar("T")


def shared(
    *,
    key: Hashable = None,
    factory: Factory | None = None,
    linger: float = 60.0,
    **arguments: Unpack[ClientArguments],
) -> SharedClient:
    """A client that all threads and event loops of a process share if they pass equal arguments.

    It is `BatchClient.shared` on one event loop for all, which runs in a thread of its own from the first use until
    the process ends::

        with awaitbatch.threads.shared(region_name="eu-west-1") as client:
            job = client.wait_for_job(job_id)

    On an event loop, its methods are awaited::

        async with awaitbatch.threads.shared(region_name="eu-west-1") as client:
            job = await client.wait_for_job(job_id)

    Observers, the factory, log fetchers and ``on_change`` are called in that thread, and must not block it.

    Args:
        key: As for `BatchClient.shared`.
        factory: As for `BatchClient.shared`.
        linger: As for `BatchClient.shared`.
        arguments: As for `BatchClient`, but for ``client``: an open aiobotocore client belongs to the event loop that
            it was opened on.

    Returns:
        Something for ``with`` or ``async with``, once.

    Raises:
        ValueError: An argument makes no sense, or contradicts another.
        TypeError: An argument has the wrong type.
    """
    if arguments.get("client") is not None:
        message = "client= belongs to the event loop that it was opened on: give session= or factory= instead"
        raise ValueError(message)
    return SharedClient(BatchClient.shared(key=key, factory=factory, linger=linger, **arguments))


class SharedClient:
    """A use of the shared client: ``with`` gives methods that block, ``async with`` gives some that are awaited.

    At its end the waits that were begun through it end with `ClientClosedError`, also those of other threads.

    Args:
        client: What is used, on the loop of `LoopThread`.
    """

    def __init__(self, client: BatchClient) -> None:
        self._client = client
        self._loop_thread: LoopThread | None = None

    def __enter__(self) -> BlockingClient:
        _refuse_event_loop()
        client = BlockingClient(self._client, self._begin())
        try:
            client.run(BatchClient.open)
        except BaseException:
            self._leave()
            raise
        return client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if (left := self._leave()) is not None:
            left.result()

    async def __aenter__(self) -> AwaitableClient:
        client = AwaitableClient(self._client, self._begin())
        try:
            await client.run(BatchClient.open)
        except BaseException:
            self._leave()
            raise
        return client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if (left := self._leave()) is not None:
            # To leave takes a moment, and goes on if this task is cancelled.
            await asyncio.shield(asyncio.wrap_future(left))

    def _begin(self) -> LoopThread:
        if self._loop_thread is not None:
            message = "call awaitbatch.threads.shared() for each 'with': what it returns is good for one"
            raise RuntimeError(message)
        self._loop_thread = LoopThread.of_this_process()
        return self._loop_thread

    def _leave(self) -> Future[None] | None:
        """Begin to close it; None if its loop is gone, and with it all that there was to close."""
        if self._loop_thread is None or not self._loop_thread.is_alive:
            return None
        return self._loop_thread.start(self._client.aclose)


class _Face:
    """A client on the loop of another thread.

    Args:
        client: The client.
        loop_thread: Where it is used.
    """

    def __init__(self, client: BatchClient, loop_thread: LoopThread) -> None:
        self._client = client
        self._loop_thread = loop_thread

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    def statistics(self) -> Statistics:
        """What the client has done and is doing for all who share it; after closing, what it did."""
        return self._client.statistics()

    def _start(self, function: Callable[[BatchClient], Awaitable[T]]) -> Future[T]:
        async def call() -> T:
            return await function(self._client)

        return self._loop_thread.start(call)

    def _submission(self, request: SubmitJobRequestTypeDef) -> _Submission:
        return _Submission(self._start, request)


class _Submission:
    """A job that is submitted for another thread, of which observers hear if that one has left.

    Args:
        start: Calls a coroutine function on the loop of the client.
        request: boto3's parameters.
    """

    def __init__(
        self,
        start: Callable[[Callable[[BatchClient], Awaitable[Any]]], Future[Any]],
        request: SubmitJobRequestTypeDef,
    ) -> None:
        self._start = start
        self._request = request
        # The id of the job, or why nobody can tell it; nothing before that is known.
        self._ended: tuple[str | None, SubmitUncertainError | None] | None = None

    def begin(self) -> Future[SubmitJobResponseTypeDef]:
        """Begin to submit it. The future is not kept: it may have an error, which refers to this."""
        return self._start(self._submit)

    async def _submit(self, client: BatchClient) -> SubmitJobResponseTypeDef:
        try:
            answer = await client.submit_job(**self._request)
        except SubmitUncertainError as error:
            self._ended = None, error
            raise
        self._ended = answer["jobId"], None
        return answer

    def on_raised(self, error: BaseException) -> None:
        """The submitter gets this error, such as a cancellation, and perhaps not what has become of the job."""
        # Later the client knows by itself that the submitter has left.
        with suppress(ClientClosedError):
            self._start(partial(self._tell_unless, error))

    async def _tell_unless(self, told: BaseException, client: BatchClient) -> None:
        if self._ended is not None and self._ended[1] is not told:
            client._supervisor.submissions.on_untold(self._request, *self._ended)  # noqa: SLF001


def _awaited(
    method: Callable[Concatenate[BatchClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[AwaitableClient, P], Coroutine[Any, Any, T]]:
    """A method of BatchClient, for other event loops."""

    @wraps(method)
    async def call(self: AwaitableClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(lambda client: method(client, *args, **kwargs))

    return call


def _blocking(
    method: Callable[Concatenate[BatchClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    """A method of BatchClient that returns when it has ended."""

    @wraps(method)
    def call(self: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(lambda client: method(client, *args, **kwargs))

    return call


_NOTHING: Final = object()
_END: Final = object()


class _Fetched:
    """Items that were fetched on the loop of the client, until somebody takes them.

    Whoever is cancelled in the moment in which an item comes leaves it for whoever asks next.

    Args:
        items: They, on the loop of the client.
    """

    def __init__(self, items: AsyncIterator[object]) -> None:
        self._items = items
        self._fetched: deque[object] = deque()

    async def fetch(self, _: BatchClient) -> None:
        """Fetch one more, or find out that there is none."""
        self._fetched.append(await anext(self._items, _END))

    def pop(self) -> object:
        """The next item, `_END` after the last one, or `_NOTHING` if one has to be fetched first."""
        try:
            return self._fetched.popleft()
        except IndexError:
            return _NOTHING


class AwaitableItems(Generic[T]):
    """What the client gives one after the other, such as `BatchClient.list_jobs`: ``async for item in …``.

    Args:
        client: Where it is given.
        items: It, on the loop of the client.
    """

    def __init__(self, client: AwaitableClient, items: AsyncIterator[T]) -> None:
        self._client = client
        self._fetched = _Fetched(items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while (item := self._fetched.pop()) is _NOTHING:
            await self._client.run(self._fetched.fetch)
        if item is _END:
            raise StopAsyncIteration
        return cast("T", item)


class BlockingItems(Generic[T]):
    """The same for code without an event loop: ``for item in …``.

    Args:
        client: Where it is given.
        items: It, on the loop of the client.
    """

    def __init__(self, client: BlockingClient, items: AsyncIterator[T]) -> None:
        self._client = client
        self._fetched = _Fetched(items)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while (item := self._fetched.pop()) is _NOTHING:
            self._client.run(self._fetched.fetch)
        if item is _END:
            raise StopIteration
        return cast("T", item)


def _iterated(
    method: Callable[Concatenate[BatchClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[AwaitableClient, P], AwaitableItems[T]]:
    """A method of BatchClient that gives one item after the other, for other event loops."""

    @wraps(method)
    def call(self: AwaitableClient, /, *args: P.args, **kwargs: P.kwargs) -> AwaitableItems[T]:
        return AwaitableItems(self, method(self._client, *args, **kwargs))

    return call


def _iterated_blocking(
    method: Callable[Concatenate[BatchClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[BlockingClient, P], BlockingItems[T]]:
    """The same, for a ``for`` without an event loop."""

    @wraps(method)
    def call(self: BlockingClient, /, *args: P.args, **kwargs: P.kwargs) -> BlockingItems[T]:
        return BlockingItems(self, method(self._client, *args, **kwargs))

    return call


class AwaitableClient(_Face):
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


class BlockingClient(_Face):
    """The shared client for code without an event loop: its methods are those of `BatchClient`, and block.

    Any number of threads may use one at once. Ctrl-C, or another exception of a signal handler, ends the wait that it
    interrupts. In a thread that runs an event loop, each method raises a RuntimeError.
    """

    describe = _blocking(BatchClient.describe)
    get_job_description = _blocking(BatchClient.get_job_description)
    describe_jobs = _blocking(BatchClient.describe_jobs)
    wait_for_jobs = _blocking(BatchClient.wait_for_jobs)
    as_completed = _iterated_blocking(BatchClient.as_completed)
    list_jobs = _iterated_blocking(BatchClient.list_jobs)
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
        _refuse_event_loop()
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
        _refuse_event_loop()
        seconds = math.inf if timeout is None else number(is_duration, "timeout", timeout, "seconds")
        text = f"{what} was given up after {seconds:g} s, as timeout= asks"
        return result_of(self._start(function), seconds, text)


def _refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    message = (
        "this would block the event loop that runs in this thread: use 'async with awaitbatch.threads.shared(...)', "
        "and await its methods; or call it in a thread of its own, as asyncio.to_thread does"
    )
    raise RuntimeError(message)
