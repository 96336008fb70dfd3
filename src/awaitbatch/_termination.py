"""TerminateJob and CancelJob: paced, tried again, which does no harm, and delivered whatever becomes of the caller."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from awaitbatch._bulk import TRIES, BulkEnding, BulkResult, BulkSupport
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import message_of, shown
from awaitbatch._failures import CutOffError
from awaitbatch._job_ids import parse_job_id
from awaitbatch._slices import for_each_whatever_comes
from awaitbatch.errors import ClientClosedError, InvalidJobIdError
from awaitbatch.instrumentation._events import TerminationUnclaimed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from awaitbatch._call_queue import CallQueue
    from awaitbatch.instrumentation._observers import Observers

_LONGEST_REASON: Final = 1024
"""Characters of a reason that AWS Batch takes.

https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
"""
_CANCELLED: Final = "the call was cancelled, as when the event loop ends"

T = TypeVar("T")


class Terminations:
    """Terminates and cancels jobs, in tasks of the client's own.

    Who kills a job is often being killed himself, and is cancelled again and again. So a termination that has begun
    goes on without its caller: also one that still waits for its turn, and that of a caller who was cancelled before.
    If it fails then, observers hear of it, since nobody else does.

    Args:
        queue: Where the calls wait for their turn.
        observers: Who hears of jobs that may go on unnoticed.
    """

    def __init__(self, queue: CallQueue, observers: Observers) -> None:
        self._queue = queue
        self._observers = observers
        self._support = BulkSupport()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a job is still to be ended."""
        return bool(self._tasks)

    @property
    def calls(self) -> int:
        """How many calls were sent."""
        return self._queue.sent

    async def end(
        self, operation: str, job_id: str, reason: str, *, pause: Callable[[int], float]
    ) -> dict[str, Any]:
        """Terminate or cancel a job.

        Args:
            operation: ``"TerminateJob"`` or ``"CancelJob"``.
            job_id: The job.
            reason: For the job's record.
            pause: Seconds to wait after so many tries.

        Raises:
            ClientClosedError: The client was closed before AWS answered.
            Exception: Whatever the transport raises.
        """
        left: dict[str, Exception | None] = {job_id: None}

        async def end_it() -> dict[str, Any]:
            answer = await _end_job(self._queue, operation, job_id, reason, pause=pause, uncertain=set())
            left.clear()
            return answer

        return await self._deliver(operation, end_it(), left)

    async def end_all(
        self, operation: str, job_ids: Sequence[object], reason: str, *, pause: Callable[[int], float]
    ) -> BulkResult:
        """Terminate or cancel many jobs.

        Args:
            operation: ``"TerminateJob"`` or ``"CancelJob"``.
            job_ids: The jobs, as their user has given them.
            reason: For the jobs' records.
            pause: Seconds to wait after so many tries.

        Returns:
            What has become of each of them; also if the client is closed meanwhile.
        """
        left: dict[str, Exception | None] = {}

        async def end_them() -> BulkResult:
            await for_each_whatever_comes(job_ids, partial(_parse_into, left))
            given = list(left)
            await self.end_many(operation, left, reason, pause=pause)
            accepted = tuple(job_id for job_id in given if job_id not in left)
            return BulkResult(
                accepted, {job_id: error for job_id, error in left.items() if error is not None}
            )

        return await self._deliver(operation, end_them(), left)

    async def end_many(
        self,
        operation: str,
        left: dict[str, Exception | None],
        reason: str,
        *,
        pause: Callable[[int], float],
    ) -> None:
        """Terminate or cancel many jobs in the task of the caller.

        Whoever cancels it takes back what waits for its turn, and finds in ``left`` the jobs that are not known to be
        ended.

        Args:
            operation: ``"TerminateJob"`` or ``"CancelJob"``.
            left: The jobs, with None. Each leaves it once AWS has accepted it; one that could not be ended stays, with
                the error. Those that come with an error are left alone.
            reason: For the jobs' records.
            pause: Seconds to wait after so many tries.
        """

        async def end_one(job_id: str, uncertain: set[str]) -> None:
            await _end_job(self._queue, operation, job_id, reason, pause=pause, uncertain=uncertain)

        ending = BulkEnding(self._queue, self._support, operation, left, reason, pause=pause, end_one=end_one)
        await ending.run()

    async def _deliver(
        self, operation: str, ending: Coroutine[Any, Any, T], left: Mapping[str, Exception | None]
    ) -> T:
        """See to it that jobs are ended, whatever becomes of the caller; those that are not are in ``left``."""
        # Nothing is awaited before: who is cancelled already is told so below.
        task = asyncio.create_task(ending, name=f"awaitbatch {operation}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait({task})
            return task.result()
        except (asyncio.CancelledError, GeneratorExit):
            task.add_done_callback(partial(self._on_unclaimed, operation, left))
            raise
        finally:
            # An error refers to this frame.
            del task

    def limit(self, max_rate: float) -> None:
        """See `AdaptiveThrottle.limit`."""
        self._queue.limit(max_rate)

    async def aclose(self, bound: float) -> None:
        """See `CallQueue.aclose`."""
        await self._queue.aclose(bound)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_unclaimed(
        self, operation: str, left: Mapping[str, Exception | None], task: asyncio.Task[Any]
    ) -> None:
        raised = None if task.cancelled() else task.exception()
        text = _CANCELLED if raised is None else message_of(raised)
        for job_id, error in left.items():
            told = text if error is None else message_of(error)
            self._observers.notify(TerminationUnclaimed(operation=operation, job_id=job_id, error=told))


def parse_reason(reason: object, name: str = "reason") -> str:
    """The reason for the records of jobs that are to be ended.

    Raises:
        TypeError: It is no str.
        ValueError: It is empty, or longer than AWS takes.
    """
    if not isinstance(reason, str):
        message = f"{name} must be a text for the job's record, a str, not {shown(reason)}"
        raise TypeError(message)
    if not 0 < len(reason) <= _LONGEST_REASON:
        message = f"{name} must have 1 to {_LONGEST_REASON:,} characters, not {len(reason):,}"
        raise ValueError(message)
    return reason


def _parse_into(left: dict[str, Exception | None], job_id: object) -> None:
    """Note a job to be ended; one bad id must not let the others go on."""
    try:
        left.setdefault(parse_job_id(job_id))
    except InvalidJobIdError as error:
        left[shown(job_id)] = error.with_traceback(None)


async def _end_job(
    queue: CallQueue,
    operation: str,
    job_id: str,
    reason: str,
    *,
    pause: Callable[[int], float],
    uncertain: set[str],
) -> dict[str, Any]:
    """End a job; it is noted in ``uncertain`` if a try fails that may have ended it."""
    request = {"jobId": job_id, "reason": reason}
    for number in itertools.count(1):
        try:
            return await queue.call(operation, request)
        except CutOffError:
            raise ClientClosedError.left_open(operation, request) from None
        except ClientClosedError:
            if job_id in uncertain:
                raise ClientClosedError.left_open(operation, request) from None
            raise
        except Exception as error:
            # No failure is kept: it would refer to the error, the error to this frame, and the frame to the request.
            if queue.failure_of(error, operation).may_be_done:
                uncertain.add(job_id)
            if number >= TRIES or queue.failure_of(error, operation).kind is not FailureKind.TRANSIENT:
                raise
        await queue.pause(pause(number))
    raise AssertionError
