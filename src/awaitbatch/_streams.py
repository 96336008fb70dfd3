"""Streams: any number of jobs that one loop follows, without a task for each of them.

There are two objects. The watches of the jobs refer to the state; the user has a handle, to which nobody refers. So
whoever leaves an ``async for`` in whatever way lets go of the handle, and one turn of the event loop later nothing of
the stream is left. No async generator could promise that: after a ``break`` its ``finally`` runs turns later, in
another task, or never.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

import anyio
import anyio.lowlevel

from awaitbatch._core.outcomes import Reason
from awaitbatch._core.text import shown
from awaitbatch._core.watch import Watch
from awaitbatch._exit_terminations import ExitTerminations, is_untrustworthy
from awaitbatch._job_ids import parse_job_id
from awaitbatch._job_results import not_terminated_text
from awaitbatch._open_streams import error_of_source
from awaitbatch._slices import SLICE, for_each_whatever_comes
from awaitbatch.errors import InvalidJobIdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch._core.backoff import Window
    from awaitbatch._core.outcomes import Outcome
    from awaitbatch._core.watch import Rules
    from awaitbatch._open_streams import OpenStreams
    from awaitbatch._stuck_jobs import Fronts
    from awaitbatch._termination import Terminations
    from awaitbatch._waits import Coalescer
    from awaitbatch.errors import ClientClosedError

JobIds: TypeAlias = "Iterable[str] | AsyncIterable[str]"

Item = TypeVar("Item")


class Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def coalescer(self) -> Coalescer:
        """Who checks jobs."""

    @property
    def streams(self) -> OpenStreams:
        """Where open streams are known, and what works for them runs."""

    @property
    def fronts(self) -> Fronts:
        """Knows the fronts of job queues."""

    @property
    def terminations(self) -> Terminations:
        """Makes TerminateJob calls."""

    def check_open(self, job_id: object = None) -> None:
        """Raise unless it is open."""

    def closed_error(self, job_id: object = None) -> ClientClosedError:
        """Why it cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client decides for a stream.

    Attributes:
        host: The client.
        rules: What its watches wait for, and how long.
        first_window: Gives the window of first checks.
        pause: Gives the seconds to wait after so many tries to terminate a job.
        close_timeout: Seconds that closing waits for what does not come on.
    """

    host: Host
    rules: Rules
    first_window: Callable[[], Window]
    pause: Callable[[int], float]
    close_timeout: float


class Waiting(Enum):
    """What a job has in place of a watch."""

    QUEUED = "its watch has not begun yet"


class Stream(Generic[Item]):
    """What a stream knows: the jobs that it follows, and what its user has not been told yet.

    Args:
        settings: What the client has decided.
        job_ids: The first ids to follow; those of an asynchronous iterable as they come.
        keep_open: Whether it goes on without jobs.
        terminate_on_exit: For the records of the jobs that are terminated when it is left; None leaves them alone.

    Attributes:
        job_ids: Job id to its watch, or None if it has ended. Of a stream that is kept open, ended ones are forgotten.
        ready: Job id to what its user has not been told: at most one change, and one more item that ends it.
        is_begun: Whether it has ever asked for anything.
        is_closed: Whether nothing follows but what is in `ready`.
        news: Set if there may be something new for who waits for it.
        exit: What becomes of its jobs when it is left.
    """

    watch_class: type[Watch] = Watch

    def __init__(
        self,
        settings: Settings,
        job_ids: JobIds,
        *,
        keep_open: bool = False,
        terminate_on_exit: str | None = None,
    ) -> None:
        self._settings = settings
        self._keep_open = keep_open
        self.exit = ExitTerminations(terminate_on_exit, settings.pause, settings.close_timeout)
        self.job_ids: dict[str, Watch | Waiting | None] = {}
        self.ready: OrderedDict[str, list[Item]] = OrderedDict()
        self.is_begun = self.is_closed = False
        self.news = asyncio.Event()
        self._inbox: deque[str] = deque()
        self._live = 0
        self._error: BaseException | None = None
        self._source: asyncio.Task[None] | None = None
        self._source_ids = job_ids if isinstance(job_ids, AsyncIterable) else None
        self._has_source = self._source_ids is not None
        self._is_beginning = False
        if not isinstance(job_ids, AsyncIterable):
            self.add(job_ids)

    # What comes from the user.

    def add(self, job_ids: Iterable[str]) -> None:
        """Follow more jobs; those that it follows already are no error.

        Raises:
            InvalidJobIdError: One cannot be a job's id; then none is followed.
            RuntimeError: It is closed, or belongs to another event loop.
        """
        parsed = [parse_job_id(job_id) for job_id in job_ids]
        self._check_loop()
        if self.is_closed:
            message = "this stream of jobs is closed, and follows no more of them"
            raise RuntimeError(message) from self._error
        self._take_in(parsed)

    def discard(self, job_ids: Iterable[str]) -> None:
        """Follow these no more, and forget what is still to be told of them; it is no error if there is nothing.

        Raises:
            InvalidJobIdError: One cannot be a job's id.
            RuntimeError: It belongs to another event loop.
        """
        parsed = [parse_job_id(job_id) for job_id in job_ids]
        self._check_loop()
        forgotten = [self._forget(job_id) for job_id in parsed]
        watches = [watch for watch in forgotten if isinstance(watch, Watch)]
        if watches:
            self._coalescer.discard_all(watches)
        self.news.set()

    def _check_loop(self) -> None:
        if self.is_begun and not self.is_closed:
            # The client is open, since it closes its streams first.
            self._settings.host.check_open()

    def _forget(self, job_id: str) -> Watch | Waiting | None:
        watch = self.job_ids.pop(job_id, None)
        self._live -= watch is not None
        self.ready.pop(job_id, None)
        self.exit.forget(job_id)
        return watch

    def begin(self) -> None:
        """Ask for the jobs, if it has not begun yet.

        Raises:
            ClientClosedError: The client is not open.
            RuntimeError: It belongs to another event loop.
        """
        host = self._settings.host
        host.check_open()
        self.is_begun = True
        self._coalescer, self._open = host.coalescer, host.streams
        self._open.add(self)
        if self._source_ids is not None:
            self._source = self._open.run(self._follow(self._source_ids), "awaitbatch stream's ids")
            self._source_ids = None
        self._begin_some()

    def pop(self) -> Item:
        """The next item to tell; there must be one."""
        job_id, items = next(iter(self.ready.items()))
        item = items.pop(0)
        if not items:
            del self.ready[job_id]
        return item

    @property
    def is_over(self) -> bool:
        """Whether no item will come, once those in `ready` were told."""
        return self.is_closed or not (self._live or self._has_source or self._keep_open)

    def raise_error(self) -> None:
        """Raise what has ended it, if it did not end by itself."""
        if self._error is not None:
            raise self._error

    # Its end.

    def close(self) -> None:
        """Follow nothing any more, and begin to terminate the jobs that are to be."""
        self.ready.clear()
        if not self.is_closed:
            self._stop()
            if self.is_begun:
                self._coalescer.discard_all(self._watches())

    def end(self, failure: BaseException | None = None) -> None:
        """The client closes, because of ``failure`` if there is one; what was seen before is still told."""
        if not self.is_closed:
            self._error = self._settings.host.closed_error()
            self._error.__cause__ = failure
            # Its watches end with the client.
            self._stop(is_trusted=failure is None)

    async def aclose(self, error: BaseException | None = None) -> None:
        """Close it because of ``error`` if there is one; nothing is left then, and jobs that are to be terminated are.

        It takes as long as jobs are terminated, and up to ``close_timeout`` more. Whoever is cancelled meanwhile leaves
        that to the client.
        """
        self.ready.clear()
        if not self.is_closed:
            self._stop(is_trusted=not is_untrustworthy(error))
        if not self.is_begun:
            return
        # anyio's scopes would cancel it again at once; a cancellation by `task.cancel()` gets through.
        with anyio.CancelScope(shield=True):
            await for_each_whatever_comes(self._watches(), self._coalescer.discard)
            if self._source is not None:
                await asyncio.wait({self._source}, timeout=self._settings.close_timeout)
            await self.exit.see_through()
        if error is not None and self.exit.left:
            error.add_note(not_terminated_text(self.exit.left))

    def _stop(self, *, is_trusted: bool = True) -> None:
        self.is_closed = True
        self.news.set()
        if not self.is_begun:
            return
        self._open.discard(self)
        source = self._source if self._has_source else None
        if source is not None:
            source.cancel()
        if not self.exit.is_wanted:
            return
        not_ended = [job_id for job_id, watch in self.job_ids.items() if watch is not None]
        self.exit.doubt(watch.job_id for watch in self._watches() if watch.would_fail_again)
        self.exit.begin(
            not_ended, self._open, self._settings.host.terminations, is_trusted=is_trusted, source=source
        )

    def _watches(self) -> list[Watch]:
        return [watch for watch in self.job_ids.values() if isinstance(watch, Watch)]

    # What comes from the client.

    async def _follow(self, job_ids: AsyncIterable[str]) -> None:
        """Take ids as they come; it runs in a task of its own, so neither the consumer nor the source waits."""
        iterator = aiter(job_ids)
        taken = 0
        try:
            async for job_id in iterator:
                self._take_one(job_id)
                if self.is_closed:
                    break
                taken += 1
                if taken % SLICE == 0:
                    # It may have all of them at hand.
                    await anyio.lowlevel.checkpoint()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._fail(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._has_source = False
            self.news.set()
            aclose = getattr(iterator, "aclose", None)
            if aclose is not None:
                await aclose()

    def _fail(self, error: BaseException) -> None:
        """The source of ids has raised, which its user has to know."""
        if not self.is_closed:
            self._error = error_of_source(error, "job ids")
            self._stop(is_trusted=not is_untrustworthy(error))
            self._coalescer.discard_all(self._watches())

    def _take_one(self, job_id: object) -> None:
        try:
            parsed = parse_job_id(job_id)
        except InvalidJobIdError as error:
            # One bad id must not end what all others have.
            self._tell(shown(job_id), self._item_of_error(shown(job_id), error.with_traceback(None)))
        else:
            self._take_in([parsed])

    def _take_in(self, job_ids: Iterable[str]) -> None:
        if self.is_closed:
            # What the source has submitted last.
            self.exit.add(job_ids)
            return
        for job_id in job_ids:
            if job_id not in self.job_ids:
                self.job_ids[job_id] = Waiting.QUEUED
                # If it was followed before, what became of it then does not count.
                self.exit.forget(job_id)
                self._live += 1
                self._inbox.append(job_id)
        if self.is_begun and not self._is_beginning:
            self._begin_some()

    def _begin_some(self) -> None:
        """Begin to watch those that are new; of very many, some in each turn of the event loop."""
        self._is_beginning = False
        if self.is_closed or not self._inbox:
            return
        # An observer who hears that a watch begins may add jobs; they wait for their turn.
        self._is_beginning = True
        settings, window = self._settings, self._settings.first_window()
        # One object for all of them.
        deliver = self._on_delivery
        for _ in range(min(SLICE, len(self._inbox))):
            job_id = self._inbox.popleft()
            if self.job_ids.get(job_id) is not Waiting.QUEUED:
                # It was discarded meanwhile, and perhaps added anew.
                continue
            watch = self.watch_class(job_id, deliver, **settings.rules)
            self.job_ids[job_id] = watch
            self._coalescer.add(watch, window)
            if self.is_closed:
                return
        self._is_beginning = bool(self._inbox)
        if self._inbox:
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _on_delivery(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        job_id = watch.job_id
        if self.is_closed or self.job_ids.get(job_id) is not watch:
            return
        if outcome is not None and outcome.reason is Reason.CLOSED:
            self.end(outcome.failure.error if outcome.failure else None)
            return
        # What cannot be told fails here, and is delivered once more as a failure.
        self._note(watch, outcome, item)
        if outcome is None or self.job_ids.get(job_id) is not watch:
            # An observer who heard of it may have discarded the job.
            return
        self._live -= 1
        if self._keep_open:
            del self.job_ids[job_id]
        else:
            self.job_ids[job_id] = None
        self.exit.note(job_id, outcome)
        if not self._live:
            self.news.set()

    def _tell(self, job_id: str, *items: Item) -> None:
        if items:
            self.ready.setdefault(job_id, []).extend(items)
            self.news.set()

    def _note(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        raise NotImplementedError

    def _item_of_error(self, job_id: str, error: Exception) -> Item:
        raise NotImplementedError
