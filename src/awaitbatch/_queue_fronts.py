"""The fronts of job queues: GetJobQueueSnapshot, and what AWS Batch says of the first job of a queue."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final

from awaitbatch._core.backoff import FixedInterval, Window
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import shared_line
from awaitbatch._failures import CutOffError, UnreadableResponseError, classify, is_unknown_operation
from awaitbatch._job_ids import parse_job_id
from awaitbatch._jobs import JobStatus
from awaitbatch._responses import decode_head
from awaitbatch._stuck_jobs import Front
from awaitbatch._waits import wait_for
from awaitbatch.errors import ClientClosedError, InvalidJobIdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch._call_queue import CallQueue
    from awaitbatch._open_streams import OpenStreams
    from awaitbatch._transport import BatchTransport
    from awaitbatch._waits import Coalescer

_OPERATION: Final = "GetJobQueueSnapshot"
_FRESH: Final = 5.0
"""Seconds for which a snapshot is good enough for all who ask; or the failure of one, if it may pass."""
_DENIED: Final = 300.0
"""Seconds after a failure that would come again until the next snapshot is tried."""
_PATIENCE: Final = 10.0
"""Seconds that it may take to find out: to be told of a stuck job without its position is better than not to be."""
_SOON: Final = Window(0.0, 0.5)
"""When the first job of a queue is described: not at once, so that it takes a place in a call of others'."""

_UNKNOWN: Final = Front({})


class QueueFronts:
    """Knows the fronts of job queues, with one snapshot of each for all who ask within some seconds.

    What cannot be found out is unknown, and nobody is the worse for it. So a snapshot that fails is not tried again at
    once, and if it is not allowed, the log says that once.

    Args:
        calls: Where snapshots wait for their turn.
        coalescer: Describes the first jobs.
        tasks: Where they run, for all who ask: one of them may leave.
        transport: How calls reach AWS Batch.
        write_log: See `LogObserver.write`.
    """

    def __init__(
        self,
        calls: CallQueue,
        coalescer: Coalescer,
        tasks: OpenStreams,
        transport: BatchTransport,
        write_log: Callable[..., None],
    ) -> None:
        self._calls = calls
        self._coalescer = coalescer
        self._tasks = tasks
        self._transport = transport
        self._write_log = write_log
        # By queue, what is known, and until when that is good, in monotonic seconds.
        self._known: dict[str, tuple[Front, float]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._is_lacking = False
        # Error codes that the log has told of.
        self._told_of: set[str] = set()

    async def of(self, job_queue: str) -> Front:
        """The front of a queue, as far as it is known; it raises nothing."""
        front, good_until = self._known.get(job_queue, (_UNKNOWN, -math.inf))
        if self._is_lacking or asyncio.get_running_loop().time() < good_until:
            return front
        if job_queue not in self._asking:
            self._asking[job_queue] = task = self._tasks.run(
                self._find_out(job_queue), f"awaitbatch {_OPERATION}"
            )
            task.add_done_callback(lambda _: self._asking.pop(job_queue))
        await asyncio.wait({self._asking[job_queue]})
        front, _ = self._known.get(job_queue, (_UNKNOWN, -math.inf))
        return front

    async def _find_out(self, job_queue: str) -> None:
        front, good_for = _UNKNOWN, _FRESH
        try:
            async with asyncio.timeout(_PATIENCE):
                job_ids = await self._snapshot(job_queue)
                front = Front({job_id: position for position, job_id in enumerate(job_ids, 1)})
                if job_ids:
                    front = front._replace(reason=await self._reason_of(job_ids[0]))
        except (ClientClosedError, CutOffError):
            pass
        except Exception as error:  # noqa: BLE001
            good_for = self._on_failure(error)
        self._known[job_queue] = (front, asyncio.get_running_loop().time() + good_for)

    async def _snapshot(self, job_queue: str) -> list[str]:
        """The ids of the first jobs of a queue, in their order.

        https://docs.aws.amazon.com/batch/latest/APIReference/API_GetJobQueueSnapshot.html
        """
        answer = await self._calls.call(_OPERATION, {"jobQueue": job_queue})
        try:
            # An empty queue may have no front.
            jobs = (answer.get("frontOfQueue") or {}).get("jobs") or ()
            return [parse_job_id(job.get("jobArn")) for job in jobs]
        except (AttributeError, TypeError, InvalidJobIdError):
            message = f"the answer to {_OPERATION} has no jobs that can be read"
        raise UnreadableResponseError(message)

    async def _reason_of(self, job_id: str) -> str | None:
        """What AWS Batch says of a job that is RUNNABLE; None if it is not, or cannot be described."""
        result = await wait_for(
            self._coalescer,
            job_id,
            _SOON,
            match_status=None,
            status_retries=1,
            backoff=FixedInterval(1),
            absent_windows=(),
        )
        head = None if result.item is None else decode_head(result.item)
        return shared_line(head.status_reason) if head and head.status == JobStatus.RUNNABLE else None

    def _on_failure(self, error: Exception) -> float:
        """Say what has to be said, and return the seconds after which to try again."""
        if is_unknown_operation(error):
            self._is_lacking = True
            return math.inf
        failure = classify(
            error, operation=_OPERATION, refreshes_credentials=self._transport.refreshes_credentials
        )
        if failure.kind is not FailureKind.PERMANENT:
            return _FRESH
        if failure.code not in self._told_of:
            self._told_of.add(failure.code)
            text = "the positions of stuck jobs in their queues are not known: %s failed: %s; %s"
            self._write_log(logging.WARNING, text, _OPERATION, failure.message.rstrip(". "), failure.advice)
        return _DENIED
