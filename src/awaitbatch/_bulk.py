"""Many jobs to end: fifty in a call where botocore and the server know such calls, and one by one where they do not."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from awaitbatch._core.bisection import Bisection
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import DENIAL_CODES, CutOffError, drop_tracebacks, is_unknown_operation
from awaitbatch.errors import BulkError, ClientClosedError, TerminationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from awaitbatch._call_queue import CallQueue
    from awaitbatch._core.outcomes import Failure

MAX_IDS: Final = 50
"""Ids that CancelJobs and TerminateJobs take.

https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJobs.html
"""

TRIES: Final = 5
"""How often to try to end a job if calls fail in ways that may pass; it takes up to a quarter of a minute."""

_AT_ONCE: Final = 16
"""Calls of one operation on many jobs that wait or are under way: enough for 20 calls a second that take 0.7 seconds
each, and so few that whoever ends a single job is not held up for long."""

_LONGEST_PAUSE: Final = 8
"""Ids that AWS throttles are sent again after a pause like that after so many tries, at most: about 20 seconds."""

_SPLIT_AT: Final = 2
"""The first failure of a call that may pass may be chance. After the second one it is split: perhaps it is one job's
fault, and then the others are answered."""

_UNMENTIONED: Final = {"code": "ServerException", "message": "the answer says nothing of the job"}
"""What is taken for AWS's error if an answer lacks a job."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of many jobs that were to be terminated or cancelled.

    Attributes:
        accepted: The ids that AWS Batch accepted, in the order in which they were given. Among them are ids that it
            does not know, and jobs that had already ended, or had started and cannot be cancelled.
        errors: The other ids, each with the reason: `TerminationError`, `InvalidJobIdError` or `ClientClosedError`.
    """

    accepted: tuple[str, ...]
    errors: dict[str, Exception]

    def raise_for_errors(self) -> None:
        """Raise if there is an error.

        Raises:
            BulkError: There are several; the text counts the reasons.
            TerminationError: There is one. It may also be an error of another class in ``errors``.
        """
        errors = list(self.errors.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BulkError.of(errors, len(errors) + len(self.accepted))


class BulkSupport:
    """Which of CancelJobs and TerminateJobs can be called; a client finds that out by one call of each."""

    def __init__(self) -> None:
        self._is_there: dict[str, bool] = {}
        self._finding_out: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def is_lacking(self, operation: str) -> bool:
        """Whether botocore or the server is known to lack it."""
        return self._is_there.get(operation) is False

    async def call(
        self, queue: CallQueue, operation: str, parameters: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Make a call, or none if there is no such operation; then the answer is None.

        Raises:
            Exception: Whatever `CallQueue.call` raises.
        """
        if operation in self._is_there:
            return await self._call(queue, operation, parameters)
        async with self._finding_out[operation]:
            return await self._call(queue, operation, parameters)

    async def _call(
        self, queue: CallQueue, operation: str, parameters: dict[str, Any]
    ) -> dict[str, Any] | None:
        if self.is_lacking(operation):
            return None
        try:
            answer = await queue.call(operation, parameters)
        except Exception as error:
            if is_unknown_operation(error):
                self._is_there[operation] = False
                return None
            if queue.failure_of(error, operation).kind is FailureKind.REFUSED:
                self._is_there[operation] = True
            raise
        self._is_there[operation] = True
        return answer


class _Part(NamedTuple):
    """Jobs to be ended by one call.

    Attributes:
        job_ids: Their ids.
        tries: How often calls with them have failed in ways that may pass.
        answers: How many calls had been answered when the first of them failed.
    """

    job_ids: Sequence[str]
    tries: int = 0
    answers: int = 0

    def halves(self) -> list[_Part]:
        """The same in two parts."""
        middle = len(self.job_ids) // 2
        return [self._replace(job_ids=ids) for ids in (self.job_ids[:middle], self.job_ids[middle:])]


class BulkEnding:
    """Ends many jobs, and lets none suffer for another one.

    A call that AWS refuses is split until the bad id is alone, and so is one that AWS does not allow, since a policy
    may allow some jobs and not others. A call that fails otherwise is tried again, and then split, too, since a single
    job may be the cause; but not if no call is answered at all. What is alone goes by the single operation, and so does
    a job for which AWS had an error that may pass. Ids that it throttles are sent again, as often as it takes.

    Args:
        queue: Where the calls wait for their turn.
        support: What is known of the operations.
        operation: ``"TerminateJob"`` or ``"CancelJob"``.
        left: The jobs. Each leaves it once AWS has accepted it; one that could not be ended stays, with the error.
        reason: For the jobs' records.
        pause: Seconds to wait after so many tries.
        end_one: Ends one job by the single operation, with tries of its own. It notes the job in the set that it is
            given if a try fails that may have ended it.
    """

    def __init__(
        self,
        queue: CallQueue,
        support: BulkSupport,
        operation: str,
        left: dict[str, Exception | None],
        reason: str,
        *,
        pause: Callable[[int], float],
        end_one: Callable[[str, set[str]], Awaitable[object]],
    ) -> None:
        self._queue = queue
        self._support = support
        self._operation = operation
        self._bulk_operation = f"{operation}s"
        self._left = left
        self._reason = reason
        self._pause = pause
        self._end_one = end_one
        self._parts: deque[_Part] = deque()
        # Throttled ids, and how many answers in a row had nothing but such.
        self._again: list[str] = []
        self._fruitless = 0
        self._is_pausing = False
        self._answers = 0
        # Jobs of which nobody knows what a call that failed has done to them.
        self._uncertain: set[str] = set()
        # Whether calls are refused, and none was ever answered.
        self._is_doubtful = False
        self._one_by_one = asyncio.Lock()
        self._bisection = Bisection()
        self._workers = 0

    async def run(self) -> None:
        """End them; it can be cancelled, and then what waits for its turn is taken back."""
        job_ids = [job_id for job_id, error in self._left.items() if error is None]
        async with asyncio.TaskGroup() as self._group:
            self._add(_parts_of(job_ids))

    def _add(self, parts: Sequence[_Part]) -> None:
        """Have parts dealt with, before all others."""
        self._parts.extendleft(reversed(parts))
        for _ in range(min(_AT_ONCE - self._workers, len(parts))):
            self._workers += 1
            self._group.create_task(self._work(), name=f"awaitbatch {self._bulk_operation}")

    async def _work(self) -> None:
        try:
            while self._parts or (self._again and not self._is_pausing):
                if self._is_doubtful:
                    # One after the other, the smallest first: so few calls show whether the ids are at fault.
                    async with self._one_by_one:
                        await self._end_some()
                else:
                    await self._end_some()
        finally:
            self._workers -= 1

    async def _end_some(self) -> None:
        # Those who waited for each other may find that all is done.
        if self._parts:
            await self._end_part(self._parts.popleft())
        elif self._again and not self._is_pausing:
            # One pauses for all, or the others would still do so when nothing is left.
            self._is_pausing = True
            await self._queue.pause(self._pause(min(self._fruitless, _LONGEST_PAUSE)))
            self._is_pausing = False
            again, self._again = self._again, []
            self._add(_parts_of(again))

    async def _end_part(self, part: _Part) -> None:
        try:
            answer = await self._send(part)
        except Exception as error:  # noqa: BLE001
            # No failure is kept: it would refer to the error, and the error to the frames behind it.
            drop_tracebacks(error)
            await self._on_failure(part, error)
        else:
            if answer is None:
                self._add([_Part((job_id,)) for job_id in part.job_ids])
            else:
                self._on_answer(part, answer)

    async def _send(self, part: _Part) -> dict[str, Any] | None:
        """Make the call; without an answer if there is no such operation."""
        self._bisection.sent()
        try:
            if len(part.job_ids) == 1:
                await self._end_one(part.job_ids[0], self._uncertain)
                return {"successful": part.job_ids}
            request = {"jobs": list(part.job_ids), "reason": self._reason}
            return await self._support.call(self._queue, self._bulk_operation, request)
        finally:
            self._bisection.parts_in_flight -= 1

    def _on_answer(self, part: _Part, answer: object) -> None:
        self._answers += 1
        self._bisection.has_answer, self._is_doubtful = True, False
        errors = {str(item.get("job")): item for item in _list_in(answer, "errors") if isinstance(item, dict)}
        successful = _list_in(answer, "successful")
        throttled, alone = [], []
        for job_id in part.job_ids:
            if job_id in successful and job_id not in errors:
                del self._left[job_id]
                continue
            failure = self._failure_of(errors.get(job_id, _UNMENTIONED))
            self._note(failure, (job_id,))
            if failure.kind is FailureKind.THROTTLED:
                throttled.append(job_id)
            elif failure.kind is FailureKind.TRANSIENT:
                alone.append(_Part((job_id,)))
            else:
                self._left[job_id] = self._error_of(job_id, failure)
        self._fruitless = self._fruitless + 1 if len(throttled) == len(part.job_ids) else 1
        self._again += throttled
        self._add(alone)

    def _failure_of(self, error: dict[str, Any]) -> Failure:
        """What AWS says of one job of a call, as if it had said it of a call with that job alone."""
        details: Any = {"Error": {"Code": error.get("code"), "Message": error.get("message")}}
        return self._queue.failure_of(ClientError(details, self._bulk_operation), self._operation)

    async def _on_failure(self, part: _Part, error: Exception) -> None:
        if isinstance(error, ClientClosedError | CutOffError):
            self._on_closed(part, error)
            return
        failure = self._queue.failure_of(error, self._operation)
        self._note(failure, part.job_ids)
        is_refused = failure.kind is FailureKind.REFUSED or _is_denial(failure)
        if is_refused and not self._support.is_lacking(self._bulk_operation):
            self._on_refused(part, failure)
        elif failure.kind is FailureKind.TRANSIENT and len(part.job_ids) > 1:
            await self._try_again(part, failure)
        else:
            # A single one has been tried often enough.
            self._give_up(part, failure)

    def _on_closed(self, part: _Part, error: Exception) -> None:
        is_left_open = isinstance(error, CutOffError)
        for job_id in part.job_ids:
            request = {"jobId": job_id}
            if is_left_open or job_id in self._uncertain:
                self._left[job_id] = ClientClosedError.left_open(self._operation, request)
            elif len(part.job_ids) == 1:
                # It knows whether there was a try before.
                self._left[job_id] = error
            else:
                self._left[job_id] = ClientClosedError.not_done(self._operation, request)

    def _on_refused(self, part: _Part, failure: Failure) -> None:
        # A denial names the job even if no other is allowed either.
        text = failure.code if _is_denial(failure) else failure.message
        self._bisection.refused(part.job_ids, text)
        self._is_doubtful = not self._bisection.has_answer
        if self._bisection.is_general:
            # Nothing is wrong with the ids.
            self._give_up(part, failure)
            while self._parts:
                self._give_up(self._parts.popleft(), failure)
        elif len(part.job_ids) == 1:
            self._give_up(part, failure)
        else:
            self._add(part.halves())

    async def _try_again(self, part: _Part, failure: Failure) -> None:
        answers = part.answers if part.tries else self._answers
        part = part._replace(tries=part.tries + 1, answers=answers)
        is_outage = answers == self._answers
        if part.tries >= TRIES and is_outage:
            self._give_up(part, failure)
            return
        await self._queue.pause(self._pause(min(part.tries, TRIES)))
        is_split = part.tries == _SPLIT_AT or (part.tries > _SPLIT_AT and not is_outage)
        self._add(part.halves() if is_split else [part])

    def _note(self, failure: Failure, job_ids: Sequence[str]) -> None:
        if failure.may_be_done:
            self._uncertain.update(job_ids)

    def _give_up(self, part: _Part, failure: Failure) -> None:
        for job_id in part.job_ids:
            self._left[job_id] = self._error_of(job_id, failure)

    def _error_of(self, job_id: str, failure: Failure) -> TerminationError:
        may_be_done = job_id in self._uncertain
        return TerminationError.of(self._operation, job_id, failure, may_be_done=may_be_done)


def _parts_of(job_ids: Sequence[str]) -> list[_Part]:
    return [_Part(job_ids[first : first + MAX_IDS]) for first in range(0, len(job_ids), MAX_IDS)]


def _is_denial(failure: Failure) -> bool:
    """Whether these credentials, which are good ones, do not allow the call."""
    return failure.code in DENIAL_CODES and not failure.needs_new_credentials


def _list_in(answer: object, member: str) -> Sequence[Any]:
    """A list in an answer; nothing if there is anything else in its place."""
    found = answer.get(member) if isinstance(answer, dict) else None
    return found if isinstance(found, list | tuple) else ()
