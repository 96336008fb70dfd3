"""What clients on the event loop of another thread have in common, whether they block or are awaited."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from awaitbatch.errors import ClientClosedError, SubmitUncertainError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from concurrent.futures import Future

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef, SubmitJobResponseTypeDef

    from awaitbatch._client import BatchClient
    from awaitbatch._loop_thread import LoopThread
    from awaitbatch._statistics import Statistics

T = TypeVar("T")


class RemoteClient:
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

    def _submission(self, request: SubmitJobRequestTypeDef) -> RemoteSubmission:
        return RemoteSubmission(self._start, request)


class RemoteSubmission:
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


NOTHING: Final = object()
END: Final = object()


class FetchedItems:
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
        self._fetched.append(await anext(self._items, END))

    def pop(self) -> object:
        """The next item, `END` after the last one, or `NOTHING` if one has to be fetched first."""
        try:
            return self._fetched.popleft()
        except IndexError:
            return NOTHING
