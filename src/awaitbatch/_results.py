"""How waiting for a job ended: its description, or the error that says why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from awaitbatch._core.outcomes import Reason
from awaitbatch._core.text import quantity
from awaitbatch._jobs import UNDECODABLE, JobStatus, decode_description
from awaitbatch.errors import (
    ClientClosedError,
    DescribeError,
    JobFailedError,
    JobNotCompleteError,
    JobNotFoundError,
    MaxRetriesExceededError,
    StatusUnreachableError,
    UnknownJobStatusError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

    from awaitbatch._core.outcomes import Failure, Outcome
    from awaitbatch._core.watch import Watch


class WaitResult(NamedTuple):
    """How a watch ended.

    Attributes:
        watch: The watch, with the last status that it saw and the checks that it made.
        outcome: Why it ended.
        item: The job's description as JSON if it was seen as awaited, else None.
    """

    watch: Watch
    outcome: Outcome
    item: bytes | None

    @property
    def is_error(self) -> bool:
        """Whether the wait ended without knowing if there is such a job."""
        return self.outcome.reason not in {Reason.MATCHED, Reason.ABSENT}

    def description(self) -> JobDetailTypeDef:
        """The job's description.

        Raises:
            JobNotFoundError: AWS Batch does not know the job, or no longer.
            StatusUnreachableError: The job has ended in another state than those awaited.
            MaxRetriesExceededError: The awaited status did not come within the allowed checks.
            DescribeError: DescribeJobs failed.
            ClientClosedError: The client was closed first.
        """
        if self.item is None:
            raise self.error()
        return read_description(self.watch.job_id, self.item, self._after_checks())

    def error(self) -> BaseException:  # noqa: PLR0911
        """Why there is no description; `description` raises it."""
        job_id, failure = self.watch.job_id, self.outcome.failure
        cause = failure.error if failure else None
        match self.outcome.reason:
            case Reason.ABSENT:
                return self._not_found()
            case Reason.UNREACHABLE:
                return self._unreachable()
            case Reason.EXHAUSTED:
                return _because(cause, self._exhausted())
            case Reason.CLOSED:
                by = f" by {failure.code}" if failure else ""
                after_checks = f"{self._after_checks()},".removeprefix(",")
                message = (
                    f"AWS Batch job ({job_id}): the client was closed{by}{after_checks} before the wait "
                    "ended; the job itself goes on, so wait for it with another BatchClient"
                )
                return _because(cause, ClientClosedError(message))
        if failure is None:
            message = f"{self.watch!r} ended as {self.outcome!r} without a description"
            return RuntimeError(message)
        if self.outcome.reason is Reason.BROKEN and cause is not None:
            # It is the user's own, and so is its text.
            note = f"raised by the backoff of a wait for AWS Batch job ({job_id}){self._after_checks()}"
            if note not in getattr(cause, "__notes__", ()):
                cause.add_note(note)
            return cause
        return _because(cause, self._describe_error(failure))

    def _not_found(self) -> JobNotFoundError:
        job_id, status = self.watch.job_id, self.watch.last_status
        if status is None:
            history = (
                "it was never seen; check the id, the region and the account, "
                "or set status_retries to ask more often"
            )
        else:
            history = (
                f"it was last seen as {status} and has vanished; AWS keeps ended jobs for a week, "
                "so look for its outcome in its log"
            )
        answers = quantity(self.watch.absences, "answer", "answers in a row")
        checks = "" if self.watch.one_shot else self._after_checks()
        message = f"AWS Batch job ({job_id}) not found in {answers}{checks}: {history}"
        return JobNotFoundError(message, job_id=job_id, seen=status is not None)

    def _unreachable(self) -> StatusUnreachableError:
        job_id, status = self.watch.job_id, str(self.watch.last_status)
        awaited = tuple(sorted(self.watch.match_status or ()))
        *most, last = awaited
        states = f"{', '.join(most)} or {last}" if most else last
        message = (
            f"AWS Batch job ({job_id}) has ended as {status} and will never be {states}; describe it to see what "
            f"happened, or let poll_job_status wait for {status}, too"
        )
        return StatusUnreachableError(message, job_id=job_id, status=status, awaited=awaited)

    def _exhausted(self) -> MaxRetriesExceededError:
        job_id, checks, status = self.watch.job_id, self.watch.checks, self.watch.last_status
        failure, reason = self.outcome.failure, self.watch.last_reason
        seen = f"last seen as {status}" if status else "never seen"
        why = f" ({reason.rstrip('. ')})" if reason else ""
        last = f", the last one failed ({_explained(failure)})" if failure else ""
        message = (
            f"AWS Batch job ({job_id}) status checks exceed max_retries: {quantity(checks, 'check', 'checks')}, {seen}"
            f"{why}{last}; the job itself goes on, so raise max_retries to wait longer"
        )
        return MaxRetriesExceededError(
            message,
            job_id=job_id,
            checks=checks,
            failed_checks=self.watch.failures,
            last_status=status,
            last_reason=reason,
        )

    def _describe_error(self, failure: Failure) -> DescribeError:
        job_id = self.watch.job_id
        message = f"AWS Batch job ({job_id}) description error{self._after_checks()}: {_explained(failure)}"
        return DescribeError(
            message,
            job_id=job_id,
            code=failure.code,
            http_status=failure.http_status,
            needs_new_credentials=failure.needs_new_credentials,
        )

    def _after_checks(self) -> str:
        """How often it was tried before, as an end of a phrase; nothing if it was not."""
        watch = self.watch
        if watch.one_shot:
            tries = watch.failures + watch.absences
            return f" after {quantity(tries, 'try', 'tries')}" if tries else ""
        return f" after {quantity(watch.checks, 'check', 'checks')}" if watch.checks else ""


def read_description(job_id: str, item: bytes, after_checks: str = "") -> JobDetailTypeDef:
    """A job's description, decoded.

    Raises:
        DescribeError: It cannot be read.
    """
    try:
        return decode_description(item)
    except UNDECODABLE as error:
        problem = f"unreadable: {error}"
    # Out here, or it would refer to the error of decoding, which may hold what it could not decode.
    message = (
        f"AWS Batch job ({job_id}) description error{after_checks}: {problem}; "
        "describe it again, or report this as a bug"
    )
    raise DescribeError(message, job_id=job_id, code="UnreadableJob", http_status=200)


def _because(cause: BaseException | None, error: Exception) -> Exception:
    """The error, as if it were raised from its cause."""
    error.__cause__ = cause
    return error


def _explained(failure: Failure) -> str:
    """What happened, and what to do."""
    text = failure.message.rstrip(". ")
    return f"{text}; {failure.advice}" if failure.advice else text


def require_success(job: Mapping[str, Any]) -> bool:
    """True if the description is that of a job that succeeded.

    Raises:
        JobFailedError: It failed.
        JobNotCompleteError: It has not ended yet.
        UnknownJobStatusError: It has a status that is not known.
    """
    match job["status"]:
        case JobStatus.SUCCEEDED:
            return True
        case JobStatus.FAILED:
            raise JobFailedError.from_job(job)
        case status if status in JobStatus.__members__:
            raise JobNotCompleteError.of(job)
    raise UnknownJobStatusError.of(job)
