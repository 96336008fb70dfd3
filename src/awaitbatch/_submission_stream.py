"""The state of `BatchClient.submit_jobs`: which requests are on their way, and what its user has not been told yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import anyio

from awaitbatch._core.text import error_line, one_line, shown
from awaitbatch._failures import drop_tracebacks
from awaitbatch._open_streams import error_of_source
from awaitbatch._submission import copy_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from awaitbatch._open_streams import OpenStreams
    from awaitbatch._submission import Submissions
    from awaitbatch.errors import ClientClosedError

Requests: TypeAlias = "Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]"

LOOK_AHEAD: Final = 100
"""Requests that are taken and not told of yet: enough for 50 calls a second that take a second each, with some more
that wait for their turn, and so few that a million of them take no memory."""

_CANCELLED: Final = (
    "the submission was cancelled, and not by awaitbatch; if AWS Batch has the job nevertheless, a SubmissionUnclaimed "
    "event names it"
)


@dataclass(frozen=True, slots=True, repr=False)
class Submission:
    """What became of a request of `BatchClient.submit_jobs`.

    Attributes:
        index: The request's place among all, from 0.
        request: The request.
        job_id: The id of the job; None if it was not submitted, or if that cannot be known.
        error: Why not: an error of `BatchClient.submit_job`, or a TypeError if the request is not a mapping. None if
            the job was submitted.
    """

    index: int
    request: dict[str, Any]
    job_id: str | None
    error: Exception | None

    def __repr__(self) -> str:
        # Without the rest of the request, which may be long, and have secrets in it.
        name = one_line(repr(self.request.get("jobName")))
        return f"<Submission {self.index} of {name}: {self.job_id if self.error is None else error_line(self.error)}>"

    def result(self) -> str:
        """The id of the job.

        Raises:
            Exception: What `error` is.
        """
        if self.error is not None:
            raise self.error
        return str(self.job_id)


class Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def submissions(self) -> Submissions:
        """Makes SubmitJob calls."""

    @property
    def streams(self) -> OpenStreams:
        """Where open streams are known, and what works for them runs."""

    def check_open(self, job_id: object = None) -> None:
        """Raise unless it is open."""

    def closed_error(self, job_id: object = None) -> ClientClosedError:
        """Why it cannot be used."""


class SubmissionStream:
    """Submits jobs, and knows what became of them.

    Only so many requests are taken at once as can be on their way, and no more while nobody asks for what has become of
    them. Each has a task, which the client waits for when it closes.

    Args:
        host: The client.
        requests: boto3's parameters of each job.
        tries: How often to try each in all.
        pause: Gives the seconds to wait after so many tries.
        close_timeout: Seconds that leaving it waits for an asynchronous iterable to end.

    Attributes:
        ready: What its user has not been told.
        is_begun: Whether it has taken any request.
        is_closed: Whether nothing follows but what is in `ready`.
        news: Set if there may be something new for who waits for it.
    """

    def __init__(
        self,
        host: Host,
        requests: Requests,
        *,
        tries: float,
        pause: Callable[[int], float],
        close_timeout: float,
    ) -> None:
        self._host = host
        self._tries = tries
        self._pause = pause
        self._close_timeout = close_timeout
        self.ready: deque[Submission] = deque()
        self.is_begun = self.is_closed = False
        self.news = asyncio.Event()
        self._room = asyncio.Event()
        self._source: AsyncIterable[object] | Iterator[object] | None = (
            requests if isinstance(requests, AsyncIterable) else iter(requests)
        )
        self._follower: asyncio.Task[None] | None = None
        self._taken = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"{self._taken} taken, {len(self._tasks)} on their way, {len(self.ready)} to tell"

    # What comes from the user.

    def begin(self) -> None:
        """Begin to submit.

        Raises:
            ClientClosedError: The client is not open.
            RuntimeError: It belongs to another event loop.
        """
        self._host.check_open()
        self.is_begun = True
        self._submissions, self._open = self._host.submissions, self._host.streams
        self._open.add(self)
        self._submissions.add(self)
        if isinstance(self._source, AsyncIterable):
            following = self._follow(self._source)
            self._follower = self._open.run(following, "awaitbatch requests of submit_jobs")
        else:
            self._take_some()

    def pop(self) -> Submission:
        """The next item to tell; there must be one."""
        # What the user's iterable raises here must not cost him the item.
        self._take_some(room=1)
        self._room.set()
        return self.ready.popleft()

    @property
    def is_over(self) -> bool:
        """Whether no item will come, once those in `ready` were told."""
        return self.is_closed or (self._source is None and not self._tasks)

    def raise_error(self) -> None:
        """Raise what has ended it, if it did not end by itself."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Take back what is in the queue; observers hear of the jobs of which the user will not."""
        if self.is_closed:
            return
        self.is_closed = True
        self._stop()
        self.news.set()
        if self.is_begun:
            self._open.discard(self)
            self._submissions.discard(self)
            for task in self._tasks:
                task.cancel()
        while self.ready:
            untold = self.ready.popleft()
            self._submissions.on_untold(untold.request, untold.job_id, untold.error)

    async def aclose(self, error: BaseException | None = None) -> None:  # noqa: ARG002
        """Close it, and wait until what was in the queue is taken back."""
        self.close()
        tasks = {*self._tasks, *([self._follower] if self._follower else ())}
        if tasks:
            # anyio's scopes would cancel it again at once; a cancellation by `task.cancel()` gets through.
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks, timeout=self._close_timeout)

    # What comes from the client.

    def end(self, failure: BaseException | None = None) -> None:
        """The client closes, because of ``failure`` if there is one; what was taken goes on, or is refused by it."""
        if self._source is not None:
            self._error = self._closed_error(failure)
            self._stop()
            self.news.set()

    def give_up(self) -> None:
        """The client has closed, so observers have to hear now of what the user has not been told."""
        if self.ready:
            self._error = self._error or self._closed_error(None)
        self.close()

    def _closed_error(self, failure: BaseException | None) -> ClientClosedError:
        error = self._host.closed_error()
        error.__cause__ = failure
        return error

    def _stop(self) -> None:
        """Take no more requests."""
        self._source = None
        if self._follower is not None:
            self._follower.cancel()

    async def _follow(self, requests: AsyncIterable[object]) -> None:
        """Take requests as they come, in a task of its own, so that a source that is slow holds up nothing."""
        iterator: AsyncIterator[object] | None = None
        try:
            iterator = aiter(requests)
            while True:
                while not self._has_room():
                    self._room.clear()
                    await self._room.wait()
                request = await anext(iterator)
                if self._source is None:
                    # It was closed, and the source takes no notice of that.
                    break
                self._submit(request)
        except StopAsyncIteration:
            pass
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if self._source is not None:
                self._fail(error_of_source(error, "requests"))
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._source = None
            self.news.set()
            aclose = getattr(iterator, "aclose", None)
            if aclose is not None:
                await aclose()

    def _take_some(self, room: int = 0) -> None:
        while self._source is not None and not isinstance(self._source, AsyncIterable):
            if not self._has_room(room):
                return
            try:
                request = next(self._source)
            except StopIteration:
                self._source = None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                self._source = None
                self._fail(error_of_source(error, "requests"))
            else:
                self._submit(request)

    def _fail(self, error: BaseException) -> None:
        """The source has raised, which its user is told once he knows of all that was taken before."""
        if self._error is None:
            self._error = error

    def _has_room(self, more: int = 0) -> bool:
        return len(self._tasks) + len(self.ready) < LOOK_AHEAD + more

    def _submit(self, request: object) -> None:
        index = self._taken
        self._taken += 1
        if not isinstance(request, Mapping):
            message = f"request {index} must be a mapping of submit_job's parameters, not {shown(request)}"
            self._tell(Submission(index, {}, None, TypeError(message)))
            return
        try:
            # The user may change it for the next job, and what is in it.
            copied = copy_of(request)
        except Exception as error:  # noqa: BLE001
            self._tell(Submission(index, {}, None, error))
            return
        task = self._submissions.begin(self._submit_one(index, copied))
        self._tasks.add(task)
        # One that was told is not among them any more.
        task.add_done_callback(self._tasks.discard)

    async def _submit_one(self, index: int, request: dict[str, Any]) -> None:
        try:
            answer = await self._submissions.submit(request, tries=self._tries, pause=self._pause)
            submission = Submission(index, request, answer["jobId"], None)
        except asyncio.CancelledError:
            if not self.is_closed:
                # Such as somebody who cancels all tasks. Whoever waits for this one must not do so for ever.
                self._end_task(Submission(index, request, None, RuntimeError(_CANCELLED)))
            raise
        except Exception as error:  # noqa: BLE001
            drop_tracebacks(error)
            submission = Submission(index, request, None, error)
        self._end_task(submission)

    def _end_task(self, submission: Submission) -> None:
        # Whoever is told now counts what is on its way.
        self._tasks.discard(asyncio.current_task())
        self._tell(submission)

    def _tell(self, submission: Submission) -> None:
        # Nothing comes once it is closed, since all tasks are cancelled then.
        self.ready.append(submission)
        self.news.set()
