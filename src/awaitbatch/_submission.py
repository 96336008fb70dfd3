"""SubmitJob: paced, at most once since it has no idempotency token, and never lost."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Protocol

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch._core.text import message_of, one_line
from awaitbatch._failures import UnreadableResponseError, classify
from awaitbatch.errors import ClientClosedError, SubmitUncertainError
from awaitbatch.instrumentation._events import SubmissionUnclaimed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from types_aiobotocore_batch.type_defs import SubmitJobResponseTypeDef

    from awaitbatch._call_queue import CallQueue, QueuedCall
    from awaitbatch.instrumentation._observers import Observers


class Untold(Protocol):
    """Somebody who knows of jobs that their submitter has not been told of."""

    def give_up(self) -> None:
        """Tell observers of them."""


class Submissions:
    """Submits jobs, and tells observers of those whose submitter left before he heard of them.

    Args:
        queue: Where the calls wait for their turn.
        observers: Who hears of jobs that nobody knows of.
    """

    def __init__(self, queue: CallQueue, observers: Observers) -> None:
        self._queue = queue
        self._observers = observers
        self._submitting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: set[Untold] = set()
        queue.on_unclaimed = self._on_unclaimed

    @property
    def is_busy(self) -> bool:
        """Whether a job is still to be submitted, or its answer to come."""
        return bool(self._tasks) or self._submitting > 0 or self._queue.is_busy

    @property
    def calls(self) -> int:
        """How many calls were sent."""
        return self._queue.sent

    def add(self, stream: Untold) -> None:
        """Have it give up when this closes, unless it is discarded before."""
        self._streams.add(stream)

    def discard(self, stream: Untold) -> None:
        """Its submitter has been told of all."""
        self._streams.discard(stream)

    def begin(self, submitting: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that submits a job in a task of its own, which `aclose` waits for."""
        task = asyncio.create_task(submitting, name="awaitbatch submission")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def submit(
        self, request: Mapping[str, Any], *, tries: float, pause: Callable[[int], float]
    ) -> SubmitJobResponseTypeDef:
        """Submit a job; again only if AWS has certainly not taken it.

        Args:
            request: boto3's parameters.
            tries: How often to try in all; throttled calls do not count.
            pause: Seconds to wait after so many tries.

        Raises:
            SubmitUncertainError: The job may or may not have been submitted.
            ClientClosedError: The client was closed first; the job was not submitted.
            Exception: Whatever the transport raises; the job was not submitted.
        """
        self._submitting += 1
        try:
            return await self._submit(request, tries, pause)
        finally:
            self._submitting -= 1

    async def _submit(
        self, request: Mapping[str, Any], tries: float, pause: Callable[[int], float]
    ) -> SubmitJobResponseTypeDef:
        for number in itertools.count(1):
            try:
                return _with_job_id(await self._queue.call("SubmitJob", request))
            except ClientClosedError:
                raise
            except Exception as error:
                # No failure is kept: it would refer to the error, the error to this frame, and that to the request.
                if _of(error).may_be_done:
                    raise SubmitUncertainError.of(request, _of(error), number) from error
                if not _was_not_taken(_of(error)) or number >= tries:
                    raise
            await self._queue.pause(pause(number))
        raise AssertionError

    def limit(self, max_rate: float) -> None:
        """See `AdaptiveThrottle.limit`."""
        self._queue.limit(max_rate)

    async def aclose(self, bound: float) -> None:
        """See `CallQueue.aclose`."""
        try:
            await self._queue.aclose(bound)
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for stream in list(self._streams):
                stream.give_up()

    def on_untold(self, request: Mapping[str, Any], job_id: str | None, error: Exception | None) -> None:
        """What became of a request is known, but its submitter has left."""
        if error is None or isinstance(error, SubmitUncertainError):
            self._notify(request, job_id, None if error is None else message_of(error))

    def _on_unclaimed(self, call: QueuedCall, answer: dict[str, Any] | Failure) -> None:
        if not isinstance(answer, Failure):
            try:
                job_id, error = str(_with_job_id(answer)["jobId"]), None
            except UnreadableResponseError as unreadable:
                job_id, error = None, str(unreadable)
        elif answer.may_be_done:
            job_id, error = None, answer.message
        else:
            return
        self._notify(call.parameters, job_id, error)

    def _notify(self, request: Mapping[str, Any], job_id: str | None, error: str | None) -> None:
        job_name = one_line(str(request.get("jobName", "")))
        job_id = None if job_id is None else one_line(job_id)
        self._observers.notify(SubmissionUnclaimed(job_name=job_name, job_id=job_id, error=error))


def copy_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a request, all the way down: while the call waits for its turn, its user may change his for the next.

    Raises:
        RecursionError: It contains itself.
    """
    return {name: _copy_of(value) for name, value in request.items()}


def _copy_of(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return copy_of(value)
    return list(map(_copy_of, value)) if isinstance(value, list | tuple) else value


def _with_job_id(answer: Any) -> SubmitJobResponseTypeDef:  # noqa: ANN401
    job_id = answer.get("jobId") if isinstance(answer, dict) else None
    if not isinstance(job_id, str) or not job_id:
        message = "the answer to SubmitJob has no jobId"
        raise UnreadableResponseError(message)
    submitted: SubmitJobResponseTypeDef = answer
    return submitted


def _of(error: Exception) -> Failure:
    return classify(error, operation="SubmitJob")


def _was_not_taken(failure: Failure) -> bool:
    return failure.kind is FailureKind.TRANSIENT and not failure.can_be_taken
