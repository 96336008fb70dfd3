"""The errors of awaitbatch.

.. code-block:: text

    AwaitBatchError
    ├── InvalidJobIdError (also a ValueError)    refused before anything is sent
    ├── JobNotFoundError                         AWS Batch does not know the job, or no longer
    ├── StatusUnreachableError                   the job has ended, and not in an awaited state
    ├── MaxRetriesExceededError                  the status did not come within max_retries checks
    ├── DescribeError                            DescribeJobs failed for good
    ├── CallError                                another call that only reads did
    ├── ResourceInvalidError                     a compute environment or job queue is INVALID
    ├── ResourceNotFoundError                    AWS Batch does not know it, or no longer
    ├── JobFailedError                           the job's status is FAILED
    ├── JobsFailedError (also an ExceptionGroup) several jobs of a wait failed
    ├── JobNotCompleteError                      the job has not ended yet
    ├── UnknownJobStatusError                    a status that this version does not know
    ├── TerminationError                         one of many jobs was not terminated or cancelled
    ├── BulkError (also an ExceptionGroup)       several of them were not
    ├── SubmitUncertainError                     nobody can tell whether the job was submitted
    └── ClientClosedError                        the client is not open (any more)

What was attached to an error survives pickling, so errors cross process borders whole.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self, cast

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import one_line, quantity
from awaitbatch._failure_causes import attempts_of, cause_in_short, explain_failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from types_aiobotocore_batch.type_defs import (
        AttemptDetailTypeDef,
        EksAttemptDetailTypeDef,
        JobDetailTypeDef,
    )

    from awaitbatch._core.outcomes import Failure
    from awaitbatch._failure_causes import FailureCause


class AwaitBatchError(Exception):
    """The base of every error that awaitbatch raises of its own."""


class InvalidJobIdError(AwaitBatchError, ValueError):
    """The argument cannot be the id of an AWS Batch job; nothing was sent."""


class JobNotFoundError(AwaitBatchError):
    """DescribeJobs answers, but without the job.

    Attributes:
        job_id: The job's id.
        seen: True if this wait had seen the job before it vanished; AWS Batch keeps ended jobs for
            about a week. False if no answer ever held it.
    """

    def __init__(self, message: str = "", *, job_id: str = "", seen: bool = False) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.seen = seen

    @classmethod
    def in_response(cls, job_id: str, found: int) -> Self:
        """The error of a response in which a job was found so many times, and not once."""
        message = (
            f"AWS Batch job ({one_line(job_id)}) description error: {found} jobs with that id in the response; "
            "describe it again, or use BatchClient.describe, which does so by itself"
        )
        return cls(message, job_id=job_id, seen=bool(found))


class StatusUnreachableError(AwaitBatchError):
    """The job has ended in a state other than those awaited, so it will never reach one of them.

    Attributes:
        job_id: The job's id.
        status: The state in which it has ended.
        awaited: The states that were awaited, sorted.
    """

    def __init__(
        self, message: str = "", *, job_id: str = "", status: str = "", awaited: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status
        self.awaited = awaited


class MaxRetriesExceededError(AwaitBatchError):
    """The job did not reach an awaited status within ``max_retries`` + 1 checks.

    Attributes:
        job_id: The job's id.
        checks: How many checks were made, those that failed included.
        failed_checks: How many of them failed, and so say nothing about the job.
        last_status: The last status seen, or None if there was none.
        last_reason: The ``statusReason`` last seen with it, such as ``"MISCONFIGURATION:…"`` of a job that cannot be
            placed, in one line; None if there was none.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job_id: str = "",
        checks: int = 0,
        failed_checks: int = 0,
        last_status: str | None = None,
        last_reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.checks = checks
        self.failed_checks = failed_checks
        self.last_status = last_status
        self.last_reason = last_reason


class _CallError(AwaitBatchError):
    """An error of a call that failed."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        http_status: int | None = None,
        needs_new_credentials: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.needs_new_credentials = needs_new_credentials


class DescribeError(_CallError):
    """DescribeJobs failed, and asking again would not help or did not.

    ``__cause__`` is the error of botocore (or the time-out) behind it.

    Attributes:
        job_id: The job that was asked for.
        code: The error code of AWS, such as ``"AccessDeniedException"``, or the name of the cause's class.
        http_status: The HTTP status of the answer, 200 if its body could not be read, or None if there was no answer.
        needs_new_credentials: Whether the credentials are at fault: they have expired, AWS does not know them, or there
            are none. A client with others may succeed. False if they are valid but lack a permission.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job_id: str = "",
        code: str = "",
        http_status: int | None = None,
        needs_new_credentials: bool = False,
    ) -> None:
        super().__init__(
            message, code=code, http_status=http_status, needs_new_credentials=needs_new_credentials
        )
        self.job_id = job_id


class CallError(_CallError):
    """Another call that only reads, such as ListJobs, failed, and asking again would not help or did not.

    Attributes:
        operation: AWS's name of the operation, such as ``"ListJobs"``.
        code: As for `DescribeError`, with the next two and ``__cause__``.
        http_status: The HTTP status of the answer.
        needs_new_credentials: Whether the credentials are at fault.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str = "",
        code: str = "",
        http_status: int | None = None,
        needs_new_credentials: bool = False,
    ) -> None:
        super().__init__(
            message, code=code, http_status=http_status, needs_new_credentials=needs_new_credentials
        )
        self.operation = operation

    @classmethod
    def of(cls, what_failed: str, operation: str, failure: Failure, advice: str) -> Self:
        """The error of a failure; ``advice`` is what to do if AWS refuses what the call asks for."""
        if failure.kind is not FailureKind.REFUSED:
            advice = failure.advice
        error = cls(
            f"{what_failed}: {failure.message.rstrip('. ')}; {advice}",
            operation=operation,
            code=failure.code,
            http_status=failure.http_status,
            needs_new_credentials=failure.needs_new_credentials,
        )
        error.__cause__ = failure.error
        return error


class _ResourceError(AwaitBatchError):
    """An error about a compute environment or a job queue.

    Attributes:
        name: Its name or ARN, as it was asked for.
    """

    def __init__(self, message: str = "", *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class ResourceInvalidError(_ResourceError):
    """A compute environment or job queue is INVALID, and stays so until somebody corrects or deletes it.

    Attributes:
        name: Its name or ARN, as it was asked for.
        reason: What AWS Batch says, the ``statusReason``, in one line; None if it says nothing.
    """

    def __init__(self, message: str = "", *, name: str = "", reason: str | None = None) -> None:
        super().__init__(message, name=name)
        self.reason = reason


class ResourceNotFoundError(_ResourceError):
    """AWS Batch does not know a compute environment or job queue, or no longer.

    Attributes:
        name: Its name or ARN, as it was asked for.
        seen: True if this wait had seen it before it vanished.
    """

    def __init__(self, message: str = "", *, name: str = "", seen: bool = False) -> None:
        super().__init__(message, name=name)
        self.seen = seen


class _JobError(AwaitBatchError):
    """An error about a job whose description is at hand."""

    def __init__(self, message: str = "", *, job: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.job: JobDetailTypeDef = cast("JobDetailTypeDef", dict(job or {}))

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.job.get("jobId", "")


class JobFailedError(_JobError):
    """The job ended as FAILED.

    Attributes:
        job: The job's whole description, as DescribeJobs gave it.
    """

    @property
    def cause(self) -> FailureCause:
        """The kind of cause, such as ``FailureCause.OUT_OF_MEMORY``."""
        return explain_failure(self.job).cause

    @property
    def exit_code(self) -> int | None:
        """The exit code of the container that failed in the last attempt, or None if AWS Batch gives none."""
        return explain_failure(self.job).exit_code

    @property
    def reason(self) -> str | None:
        """What AWS Batch says that is most telling, in one line, or None if it says nothing.

        It is a container's ``reason`` or a ``statusReason``: free text, that of whoever terminated the job included.
        """
        return explain_failure(self.job).reason

    @property
    def attempts(self) -> list[AttemptDetailTypeDef | EksAttemptDetailTypeDef]:
        """The job's attempts, first to last, as DescribeJobs gives them."""
        return cast("list[AttemptDetailTypeDef | EksAttemptDetailTypeDef]", attempts_of(self.job))

    @classmethod
    def from_job(cls, description: Mapping[str, Any]) -> Self:
        """The error of a job that has failed, whose text says why.

        Args:
            description: The job as DescribeJobs gives it, and the methods of `BatchClient` that wait.
        """
        explained = explain_failure(description)
        job_id = description.get("jobId")
        named = one_line(job_id) if isinstance(job_id, str) else ""
        return cls(f"AWS Batch job ({named}) {explained.sentence}; {explained.advice}", job=description)


_MOST_REASONS: Final = 6
"""Of the reasons for which many jobs failed, only so many are told apart; the rarest are counted together."""


class _ManyJobsError(AwaitBatchError, ExceptionGroup[Exception]):
    """The errors of many jobs, with a text that counts them."""

    def __str__(self) -> str:
        return self.message

    def derive(self, exceptions: Sequence[Exception], /) -> Self:  # type: ignore[override]
        """Another one with some of the errors, for ``except*``, `split` and `subgroup`."""
        return type(self)(self.message, exceptions)


class JobsFailedError(_ManyJobsError):
    """Several jobs failed, or their end could not be found out; the text counts the reasons.

    Attributes:
        exceptions: A `JobFailedError` for each that failed, then the errors of those whose end could not be found out.
    """

    @classmethod
    def of(cls, errors: Sequence[Exception], jobs: int) -> Self:
        """The error of a wait for so many jobs."""
        failed = Counter(cause_in_short(error.job) for error in errors if isinstance(error, JobFailedError))
        others = Counter(_in_short(error) for error in errors if not isinstance(error, JobFailedError))
        parts = [f"{failed.total():,} of {_so_many(jobs)} failed: {_counted(failed)}"] if failed else []
        if others:
            named = "more" if failed else f"of {_so_many(jobs)}"
            parts.append(f"{others.total():,} {named} could not be followed: {_counted(others)}")
        return cls("; ".join(parts), errors)


def _so_many(jobs: int) -> str:
    """A number of jobs, such as ``1 job`` or ``5,000 jobs``."""
    return f"{jobs:,} {'job' if jobs == 1 else 'jobs'}"


def _counted(reasons: Counter[str]) -> str:
    most = reasons.most_common(_MOST_REASONS)
    rest = reasons.total() - sum(count for _, count in most)
    counts = [f"{count:,} {reason}" for reason, count in most]
    return ", ".join([*counts, f"{rest:,} for other reasons"] if rest else counts)


def _in_short(error: Exception) -> str:
    match error:
        case JobNotFoundError():
            return "not found"
        case MaxRetriesExceededError():
            return "checked max_retries times"
        case DescribeError(code=code) | TerminationError(code=code) if code:
            return code
    return type(error).__name__


class JobNotCompleteError(_JobError):
    """The job has not ended yet.

    Attributes:
        job: The job's whole description, as DescribeJobs gave it.
    """

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Self:
        """The error of a job that has not ended, from its description."""
        message = (
            f"AWS Batch job ({one_line(job['jobId'])}) is not complete: it is {job['status']}; "
            "use wait_for_job to wait for its end"
        )
        return cls(message, job=job)


class UnknownJobStatusError(_JobError):
    """The job has a status that this version of awaitbatch does not know.

    Attributes:
        job: The job's whole description, as DescribeJobs gave it.
    """

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Self:
        """The error of a job with a status that is not known, from its description."""
        message = (
            f"AWS Batch job ({one_line(job['jobId'])}) has unknown status: {one_line(job['status'])}; "
            "a newer awaitbatch may know it"
        )
        return cls(message, job=job)


class TerminationError(AwaitBatchError):
    """One of many jobs was not terminated or cancelled, or that cannot be known.

    ``__cause__`` is botocore's error.

    Attributes:
        job_id: The job.
        operation: ``"TerminateJob"`` or ``"CancelJob"``, also if many jobs were in one call.
        code: The error code of AWS, such as ``"AccessDenied"``, or the name of the cause's class.
    """

    def __init__(self, message: str = "", *, job_id: str = "", operation: str = "", code: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id
        self.operation = operation
        self.code = code

    @classmethod
    def of(cls, operation: str, job_id: str, failure: Failure, *, may_be_done: bool) -> Self:
        """The error of a job whose last call failed like this, and that may be ended nevertheless."""
        what, done = _call_in_words(operation, {"jobId": job_id})
        fate, advice = f"was not {done}", failure.advice
        if may_be_done:
            fate, advice = f"may or may not have been {done}", "describe the job to find out"
        message = f"{what} {fate}: {failure.message.rstrip('. ')}; {advice}"
        error = cls(message, job_id=job_id, operation=operation, code=failure.code)
        error.__cause__ = failure.error
        return error


class BulkError(_ManyJobsError):
    """Several of many jobs were not terminated or cancelled, or that cannot be known; the text counts the reasons.

    Attributes:
        exceptions: A `TerminationError` for each, or an `InvalidJobIdError` or `ClientClosedError`.
    """

    @classmethod
    def of(cls, errors: Sequence[Exception], jobs: int) -> Self:
        """The error of an attempt to end so many jobs."""
        counted = _counted(Counter(map(_in_short, errors)))
        return cls(f"{len(errors):,} of {_so_many(jobs)} could not be ended: {counted}", errors)


class SubmitUncertainError(AwaitBatchError):
    """SubmitJob ended without an answer, so the job may or may not have been submitted.

    SubmitJob has no idempotency token: sending it again could submit the job twice. Look for the job by its
    name (ListJobs with a ``JOB_NAME`` filter) before you do. ``__cause__`` is botocore's error.

    Attributes:
        job_name: The ``jobName`` of the request.
    """

    def __init__(self, message: str = "", *, job_name: str = "") -> None:
        super().__init__(message)
        self.job_name = job_name

    @classmethod
    def of(cls, request: Mapping[str, Any], failure: Failure, tries: int) -> Self:
        """The error of a request whose last of so many tries failed in a way that leaves open what became of it."""
        job_name = str(request.get("jobName", ""))
        message = (
            f"AWS Batch job named {one_line(repr(job_name))} may or may not have been submitted after "
            f"{quantity(tries, 'try', 'tries')}: {failure.message.rstrip('. ')}; "
            "look for it by its name before you submit it again"
        )
        return cls(message, job_name=job_name)


class ClientClosedError(AwaitBatchError):
    """The client is not open: not yet, or not any more."""

    @classmethod
    def not_done(cls, operation: str, request: Mapping[str, Any]) -> Self:
        """The error of a call that was still waiting for its turn when the client was closed."""
        what, done = _call_in_words(operation, request)
        return cls(f"{what} was not {done}: the BatchClient was closed first; create another one")

    @classmethod
    def left_open(cls, operation: str, request: Mapping[str, Any]) -> Self:
        """The error of a call that was on its way then, and was not answered in time."""
        what, done = _call_in_words(operation, request)
        return cls(
            f"{what} may or may not have been {done}: the BatchClient was closed before the answer came; "
            "describe the job to find out"
        )


def _call_in_words(operation: str, request: Mapping[str, Any]) -> tuple[str, str]:
    """What a call is about, and what it does to it."""
    done = {"SubmitJob": "submitted", "CancelJob": "cancelled", "TerminateJob": "terminated"}
    job_id = request.get("jobId")
    if "jobs" in request:
        operation = operation.removesuffix("s")
        return f"each of {len(request['jobs'])} AWS Batch jobs", done.get(
            operation, f"changed by {operation}"
        )
    job = f"named {one_line(repr(str(request.get('jobName', ''))))}" if job_id is None else f"({job_id})"
    return f"AWS Batch job {job}", done.get(operation, f"changed by {operation}")
