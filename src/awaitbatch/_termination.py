"""TerminateJob and CancelJob: paced, tried again, which does no harm, and delivered whatever becomes of the caller."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import message_of
from awaitbatch._failures import CutOffError, classify
from awaitbatch.errors import ClientClosedError
from awaitbatch.instrumentation._events import TerminationUnclaimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch._call_queue import CallQueue
    from awaitbatch.instrumentation._observers import Observers

_TRIES: Final = 5
"""How often to try to end a job if calls fail in ways that may pass; it takes up to a quarter of a minute."""
_CANCELLED: Final = "the call was cancelled, as when the event loop ends"

_AT_ONCE: Final = 50
"""Jobs to end whose calls wait in the queue at the same time: more than can be on their way, and not thousands."""


class Terminations:
    """Terminates and cancels jobs, each in a task of the client's own.

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
        self._tasks: set[asyncio.Task[dict[str, Any]]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a job is still to be ended."""
        return bool(self._tasks)

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
        ending = _end_job(self._queue, operation, job_id, reason, pause)
        # Nothing is awaited before: who is cancelled already is told so below.
        task = asyncio.create_task(ending, name=f"awaitbatch {operation}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait({task})
            return task.result()
        except (asyncio.CancelledError, GeneratorExit):
            task.add_done_callback(partial(self._on_unclaimed, operation, job_id))
            raise
        finally:
            # An error refers to this frame.
            del task

    async def end_many(
        self,
        operation: str,
        left: dict[str, Exception | None],
        reason: str,
        *,
        pause: Callable[[int], float],
    ) -> None:
        """Terminate or cancel many jobs; whoever stops it finds in ``left`` those that are not known to be.

        Args:
            operation: ``"TerminateJob"`` or ``"CancelJob"``.
            left: The jobs. Each leaves it once AWS has answered; one that could not be ended stays, with the error.
            reason: For the jobs' records.
            pause: Seconds to wait after so many tries.
        """
        job_ids = iter(list(left))

        async def work() -> None:
            for job_id in job_ids:
                try:
                    await _end_job(self._queue, operation, job_id, reason, pause)
                except Exception as error:  # noqa: BLE001
                    left[job_id] = error.with_traceback(None)
                else:
                    del left[job_id]

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(_AT_ONCE, len(left))):
                workers.create_task(work(), name=f"awaitbatch {operation} of many")

    def limit(self, max_rate: float) -> None:
        """See `AdaptiveThrottle.limit`."""
        self._queue.limit(max_rate)

    async def aclose(self, bound: float) -> None:
        """See `CallQueue.aclose`."""
        await self._queue.aclose(bound)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_unclaimed(self, operation: str, job_id: str, task: asyncio.Task[dict[str, Any]]) -> None:
        error = _CANCELLED
        if not task.cancelled():
            raised = task.exception()
            if raised is None:
                return
            error = message_of(raised)
        self._observers.notify(TerminationUnclaimed(operation=operation, job_id=job_id, error=error))


async def _end_job(
    queue: CallQueue, operation: str, job_id: str, reason: str, pause: Callable[[int], float]
) -> dict[str, Any]:
    request = {"jobId": job_id, "reason": reason}
    may_be_done = False
    for number in itertools.count(1):
        try:
            return await queue.call(operation, request)
        except CutOffError:
            raise ClientClosedError.left_open(operation, request) from None
        except ClientClosedError:
            if may_be_done:
                raise ClientClosedError.left_open(operation, request) from None
            raise
        except Exception as error:
            # No failure is kept: it would refer to the error, the error to this frame, and the frame to the request.
            if number >= _TRIES or classify(error, operation=operation).kind is not FailureKind.TRANSIENT:
                raise
            may_be_done = may_be_done or classify(error, operation=operation).may_be_done
        await queue.pause(pause(number))
    raise AssertionError
