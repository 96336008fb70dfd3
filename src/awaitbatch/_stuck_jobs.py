"""Which jobs have been RUNNABLE for too long, and why."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from awaitbatch._jobs import UNDECODABLE, JobStatus
from awaitbatch._slices import for_each
from awaitbatch.instrumentation._events import JobStuck

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from awaitbatch._core.watch import Watch
    from awaitbatch._jobs import JobHead


class Front(NamedTuple):
    """The front of a job queue.

    Attributes:
        positions: Job id to position, from 1, of its first hundred jobs; empty if they are not known.
        reason: Why the first of them does not start; None if that is not known.
    """

    positions: Mapping[str, int]
    reason: str | None = None


class Fronts(Protocol):
    """Who knows the fronts of job queues."""

    async def of(self, job_queue: str) -> Front:
        """The front of a queue, as far as it is known; it raises nothing."""


class Tasks(Protocol):
    """Where tasks run."""

    def run(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Begin a task."""


class Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def fronts(self) -> Fronts:
        """Who knows the fronts of job queues."""

    @property
    def streams(self) -> Tasks:
        """Where what works for streams and waits runs."""


class _Runnable(NamedTuple):
    """A job that is RUNNABLE: since when, in monotonic seconds, how far it had come, and its queue if that is known."""

    watch: Watch
    since: float
    order: tuple[int, int]
    queue: str | None


class _InQueue(msgspec.Struct, gc=False, rename="camel"):
    job_queue: Any = None


_decode_queue = msgspec.json.Decoder(_InQueue).decode


class StuckJobs:
    """Reports each job once that has been RUNNABLE for so long, with one timer for all of them.

    Why that is, and where in its queue a job is, is asked then, and checks of jobs do not wait for it. A job that moves
    on meanwhile is not reported.

    Args:
        seconds: How long, from when it was first seen as RUNNABLE.
        report: Called with each report.
        host: The client.
    """

    def __init__(self, seconds: float, report: Callable[[JobStuck], None], host: Host) -> None:
        self._seconds = seconds
        self._report = report
        self._host = host
        # By job id; the first has been so for longest.
        self._runnable: dict[str, _Runnable] = {}
        # Those that have been so for long enough, by queue and job id, until they are reported.
        self._due: dict[str, dict[str, _Runnable]] = {}
        # By queue, what reports them.
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reported: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, watch: Watch, head: JobHead, item: bytes) -> None:
        """A job was seen, in another status or attempt than before, or for another reason.

        Args:
            watch: The job's.
            head: What was seen.
            item: The job's description as JSON.
        """
        job_id = watch.job_id
        if head.status == JobStatus.RUNNABLE:
            known = self._known(job_id)
            if job_id in self._reported or (known is not None and known.order == head.order):
                return
        self._drop(job_id)
        if head.status == JobStatus.RUNNABLE:
            now = asyncio.get_running_loop().time()
            self._runnable[job_id] = _Runnable(watch, now, head.order, _queue_in(item))
            if self._timer is None:
                self._set_timer()

    def forget(self, job_id: str) -> None:
        """A job has ended, or is followed no more."""
        self._drop(job_id)
        self._reported.discard(job_id)

    def close(self) -> None:
        """Report nothing any more, unless another job is noted."""
        self._runnable.clear()
        self._due.clear()
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _known(self, job_id: str) -> _Runnable | None:
        places = (self._runnable, *self._due.values())
        return next((place[job_id] for place in places if job_id in place), None)

    def _drop(self, job_id: str) -> None:
        self._runnable.pop(job_id, None)
        for due in self._due.values():
            due.pop(job_id, None)

    def _set_timer(self) -> None:
        first = next(iter(self._runnable.values()))
        self._timer = asyncio.get_running_loop().call_at(first.since + self._seconds, self._begin_to_report)

    def _begin_to_report(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._runnable:
            job_id, job = next(iter(self._runnable.items()))
            # As the timer has it, or the difference might be a trifle too small.
            if now < job.since + self._seconds:
                self._set_timer()
                return
            del self._runnable[job_id]
            if job.queue is None:
                self._tell(job, Front({}))
            else:
                self._due.setdefault(job.queue, {})[job_id] = job
                self._begin_task(job.queue)

    def _begin_task(self, queue: str) -> None:
        task = self._tasks.get(queue)
        if task is None or task.done():
            self._tasks[queue] = self._host.streams.run(self._report_of(queue), "awaitbatch stuck jobs")

    async def _report_of(self, queue: str) -> None:
        """Report the jobs of a queue that are due, and those that become so meanwhile."""
        while due := self._due.get(queue):
            front = await self._host.fronts.of(queue)
            # Some of them may have moved on meanwhile.
            await for_each(list(due), partial(self._tell_due, due, front))
        self._due.pop(queue, None)

    def _tell_due(self, due: dict[str, _Runnable], front: Front, job_id: str) -> None:
        job = due.pop(job_id, None)
        if job is not None:
            self._tell(job, front)

    def _tell(self, job: _Runnable, front: Front) -> None:
        job_id, seconds = job.watch.job_id, asyncio.get_running_loop().time() - job.since
        self._reported.add(job_id)
        reason = job.watch.last_reason or front.reason
        self._report(JobStuck(job_id, seconds, reason, front.positions.get(job_id)))


def _queue_in(item: bytes) -> str | None:
    with suppress(*UNDECODABLE):
        queue = _decode_queue(item).job_queue
        return queue if isinstance(queue, str) and queue else None
    return None
