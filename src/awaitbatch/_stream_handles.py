"""What users have of a stream, and the wait for many jobs that is made of one."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, Literal, Protocol, Self, TypeVar, get_args

import anyio
import anyio.lowlevel

from awaitbatch._core.text import shown
from awaitbatch._core.watch import Watch
from awaitbatch._job_ids import is_one_job
from awaitbatch._job_results import JobOutcome, JobResults, WatchItem
from awaitbatch._slices import for_each
from awaitbatch._submission_stream import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sized
    from types import TracebackType

    from awaitbatch._stream_kinds import ChangeStream, OutcomeStream

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_FAILED"]
"""When a wait for many jobs is over."""

_MOST_IN_A_ROW: Final = 250
"""Items to give in one turn of the event loop; then others have their turns, and the consumer may be cancelled."""


Item = TypeVar("Item")
Told_co = TypeVar("Told_co", covariant=True)


class _State(Protocol[Told_co]):
    """What a stream knows, and its handle asks for; see `Stream`."""

    news: asyncio.Event

    @property
    def ready(self) -> Sized:
        """What can be told now."""

    @property
    def is_begun(self) -> bool:
        """Whether it has ever asked for anything."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing follows but what is in `ready`."""

    @property
    def is_over(self) -> bool:
        """Whether no item will come, once those in `ready` were told."""

    def begin(self) -> None:
        """Begin its work."""

    def pop(self) -> Told_co:
        """The next item to tell; there must be one."""

    def raise_error(self) -> None:
        """Raise what has ended it, if it did not end by itself."""

    def close(self) -> None:
        """End its work."""

    async def aclose(self, error: BaseException | None = None) -> None:
        """End its work because of ``error`` if there is one, and wait until nothing of it is left."""


class _Handle(Generic[Item]):
    """An asynchronous iterator over what a stream tells; the stream lives no longer than it.

    ``async with`` is optional. Without it, whoever leaves the loop, in whatever way, leaves nothing behind one turn of
    the event loop later.

    Args:
        stream: The stream.
        client: The client that it belongs to. It stays for as long as the stream: a use of a shared client ends once
            nobody has it any more, and its user may have kept nothing but this.
    """

    def __init__(self, stream: _State[Item], client: object) -> None:
        self._stream = stream
        self._client: object = client
        self._finalizer: weakref.finalize[..., _Handle[Item]] | None = None
        self._in_a_row = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._stream!r}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        """The next item, as soon as there is one.

        Raises:
            ClientClosedError: The client is not open, or was closed meanwhile.
            Exception: Whatever the iterable has raised that it was made of.
        """
        stream = self._stream
        try:
            self._begin()
            self._in_a_row += 1
            if self._in_a_row > _MOST_IN_A_ROW:
                self._in_a_row = 0
                await anyio.lowlevel.checkpoint()
            while not stream.ready:
                if stream.is_over:
                    self.close()
                    stream.raise_error()
                    raise StopAsyncIteration
                self._in_a_row = 0
                stream.news.clear()
                await stream.news.wait()
            return stream.pop()
        finally:
            # An error refers to this frame, and may live for long.
            del self

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._stream.aclose(error)
        finally:
            self._let_go()

    def close(self) -> None:
        """End it, as leaving ``async with`` does, but without waiting for jobs to be terminated."""
        self._stream.close()
        self._let_go()

    def _begin(self) -> None:
        stream = self._stream
        if not stream.is_begun and not stream.is_closed:
            stream.begin()
            self._finalizer = weakref.finalize(self, _close_soon, asyncio.get_running_loop(), stream)
            # The event loop has ended by then.
            self._finalizer.atexit = False

    def _let_go(self) -> None:
        self._client = None
        if self._finalizer is not None:
            self._finalizer.detach()


def _close_soon(loop: asyncio.AbstractEventLoop, stream: _State[Item]) -> None:
    """Close a stream that nobody has any more; the garbage collector may find that out in any thread."""
    # Of a loop that has closed, nothing is left to be done.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(stream.close)


class JobOutcomes(_Handle[JobOutcome]):
    """How jobs end, as `BatchClient.as_completed` gives it: ``async for outcome in …``."""


class JobChanges(_Handle[WatchItem]):
    """What changes about jobs, as `BatchClient.watch` gives it: ``async for item in …``."""

    _stream: ChangeStream

    def add(self, *job_ids: str) -> None:
        """Watch more jobs; one that is watched already is not watched twice.

        Args:
            job_ids: Ids or ARNs of jobs.

        Raises:
            InvalidJobIdError: One cannot be a job's id; then none is watched.
            RuntimeError: It has ended, or belongs to another event loop.
        """
        self._stream.add(job_ids)

    def discard(self, *job_ids: str) -> None:
        """Watch these jobs no more: nothing of them comes, not even what has been seen already.

        Args:
            job_ids: Ids or ARNs of jobs; it is no error if one is not watched.

        Raises:
            InvalidJobIdError: One cannot be a job's id.
            RuntimeError: It belongs to another event loop.
        """
        self._stream.discard(job_ids)


class JobSubmissions(_Handle[Submission]):
    """What becomes of requests, as `BatchClient.submit_jobs` gives it: ``async for submission in …``."""


def require_requests(requests: object) -> None:
    """Refuse what are no requests for many jobs.

    Raises:
        TypeError: It is a single request, or nothing that can be iterated over.
    """
    if isinstance(requests, Mapping | str | bytes) or not isinstance(requests, Iterable | AsyncIterable):
        message = f"requests must be a list, or an iterable or asynchronous iterable, not {shown(requests)}"
        raise TypeError(message)


def require_job_ids(job_ids: object) -> None:
    """Refuse what are no ids of many jobs.

    Raises:
        TypeError: It is a single job, what another stream tells, or nothing that can be iterated over.
    """
    if isinstance(job_ids, _Handle):
        message = (
            f"job ids must be str: pick them out of {type(job_ids).__name__} by an asynchronous generator"
        )
        raise TypeError(message)
    if is_one_job(job_ids) or not isinstance(job_ids, Iterable | AsyncIterable):
        message = f"job ids must be a list, or an iterable or asynchronous iterable, not {shown(job_ids)}"
        raise TypeError(message)


_IS_ENOUGH: Final[dict[str, Callable[[JobOutcome], bool]]] = {
    "ALL_COMPLETED": lambda _: False,
    "FIRST_COMPLETED": lambda outcome: outcome.error is None,
    "FIRST_FAILED": lambda outcome: outcome.error is None and outcome.status == "FAILED",
}


def require_return_when(return_when: object) -> None:
    """Refuse what is no `ReturnWhen`.

    Raises:
        ValueError: It is another.
    """
    if return_when not in get_args(ReturnWhen):
        message = f"return_when must be one of {', '.join(get_args(ReturnWhen))}, not {shown(return_when)}"
        raise ValueError(message)


async def wait_for_outcomes(
    stream: OutcomeStream, client: object, return_when: ReturnWhen, seconds: float | None
) -> JobResults:
    """Wait until all jobs have ended, or enough of them, or the time is up."""
    found: dict[str, JobOutcome] = {}
    is_enough = _IS_ENOUGH[return_when]
    async with JobOutcomes(stream, client) as outcomes:
        with anyio.move_on_after(seconds):
            async for outcome in outcomes:
                found[outcome.job_id] = outcome
                if is_enough(outcome):
                    break
        while stream.ready:
            # What the same answer has told.
            outcome = stream.pop()
            found[outcome.job_id] = outcome
    in_order: dict[str, JobOutcome] = {}

    def note(job_id: str) -> None:
        watch = stream.job_ids[job_id]
        status = watch.last_status if isinstance(watch, Watch) else None
        in_order[job_id] = found.pop(job_id) if job_id in found else JobOutcome(job_id, status)

    await for_each(list(stream.job_ids), note)
    return JobResults({**in_order, **found}, stream.exit.left)
