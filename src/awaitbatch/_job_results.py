"""What users get of many jobs: how each has ended, what has changed, and how a wait for all of them has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from awaitbatch._core.text import error_line, one_line, quantity
from awaitbatch._jobs import JobStatus
from awaitbatch._results import read_description
from awaitbatch.errors import JobFailedError, JobNotCompleteError, JobsFailedError
from awaitbatch.instrumentation._events import JobStuck

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

_MOST_NAMED: Final = 10
"""Of many jobs only so many are named in a line."""


class _Described:
    """Something about a job, with the job's description as JSON, or as whoever makes one for a test gives it."""

    __slots__ = ("_job", "job_id")

    job_id: str
    _job: Mapping[str, Any] | bytes | None

    @property
    def job(self) -> JobDetailTypeDef | None:
        """The job's description, as botocore returns it; decoded anew at each access.

        Raises:
            DescribeError: It cannot be read.
        """
        if isinstance(self._job, bytes):
            return read_description(self.job_id, self._job)
        return cast("JobDetailTypeDef | None", self._job)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name)
            for kind in type(self).__mro__
            for name in _slots(kind)
        )

    __hash__ = None  # type: ignore[assignment]


def _slots(kind: type) -> tuple[str, ...]:
    return tuple(vars(kind).get("__slots__", ()))


class JobOutcome(_Described):
    """How a job has ended, or why that could not be found out.

    Attributes:
        job_id: The job.
        status: ``"SUCCEEDED"`` or ``"FAILED"``; if its end was not seen, the status last seen, or None.
        job: The description, decoded when it is asked for; None if the end was not seen.
        error: Why its end was not seen, such as a `JobNotFoundError`. A job that failed has none: `result` raises it.
    """

    __slots__ = ("error", "status")
    __match_args__: ClassVar = ("job_id", "status", "job", "error")

    def __init__(
        self,
        job_id: str,
        status: str | None = None,
        job: Mapping[str, Any] | bytes | None = None,
        error: Exception | None = None,
    ) -> None:
        self.job_id = job_id
        self.status = status
        self._job = job
        self.error = error

    def __repr__(self) -> str:
        return f"<JobOutcome {self.job_id}: {self._state()}>"

    def _state(self) -> str:
        return error_line(self.error) if self.error is not None else self.status or "not seen yet"

    def result(self) -> JobDetailTypeDef:
        """The description of a job that succeeded.

        Raises:
            JobFailedError: It failed.
            JobNotCompleteError: It has not ended yet.
            Exception: What `error` is.
        """
        if self.error is not None:
            raise self.error
        job = self.job
        if job is None or self.status not in {JobStatus.SUCCEEDED, JobStatus.FAILED}:
            seen = f"it was last seen as {self.status}" if self.status else "it was not seen yet"
            message = (
                f"AWS Batch job ({self.job_id}) is not complete: {seen}; use wait_for_job to wait for its end"
            )
            raise JobNotCompleteError(message, job={"jobId": self.job_id})
        if self.status == JobStatus.FAILED:
            raise JobFailedError.from_job(job)
        return job


class JobChange(_Described):
    """A job was seen in another status or attempt than that of the item before.

    Attributes:
        job_id: The job.
        previous: The status in the item before; None the first time.
        status: The status now.
        attempt: The number of the attempt that the job is in or ended with, from 1; 0 if it ended before the first.
        seen_at: When the answer came, by this machine's clock, in epoch milliseconds.
        job: The description, decoded when it is asked for.
    """

    __slots__ = ("attempt", "previous", "seen_at", "status")
    __match_args__: ClassVar = ("job_id", "previous", "status", "attempt", "seen_at", "job")

    def __init__(
        self,
        job_id: str,
        previous: str | None,
        status: str,
        *,
        attempt: int = 1,
        seen_at: int = 0,
        job: Mapping[str, Any] | bytes | None = None,
    ) -> None:
        self.job_id = job_id
        self.previous = previous
        self.status = status
        self.attempt = attempt
        self.seen_at = seen_at
        self._job = job

    @property
    def job(self) -> JobDetailTypeDef:
        """The job's description, as botocore returns it; decoded anew at each access.

        Raises:
            DescribeError: It cannot be read.
            ValueError: The change was made by somebody else, without one.
        """
        job = super().job
        if job is None:
            message = f"AWS Batch job ({self.job_id}): this JobChange has no description"
            raise ValueError(message)
        return job

    def __repr__(self) -> str:
        return f"<JobChange {self.job_id}: {self.previous} → {self.status}, attempt {self.attempt}>"


class JobTrouble:
    """A job cannot be watched any more; the other jobs are still watched.

    Attributes:
        job_id: The job.
        error: Why, such as a `JobNotFoundError`.
    """

    __slots__ = ("error", "job_id")
    __match_args__: ClassVar = ("job_id", "error")

    def __init__(self, job_id: str, error: Exception) -> None:
        self.job_id = job_id
        self.error = error

    def __repr__(self) -> str:
        return f"<JobTrouble {self.job_id}: {error_line(self.error)}>"


WatchItem: TypeAlias = JobChange | JobTrouble | JobStuck
"""What a watch gives."""


class JobResults(Mapping[str, JobOutcome]):
    """The result of a wait for many jobs: a mapping of job ids to outcomes, in the order in which the ids were given.

    The four attributes below are such mappings, too. So you can pass them on as ids: ``await
    wait_for_jobs(results.pending)``.

    Args:
        outcomes: Job id to outcome.
        not_terminated: Jobs that ``terminate_on_exit`` could not terminate, and why.
    """

    def __init__(
        self, outcomes: Mapping[str, JobOutcome], not_terminated: Mapping[str, Exception | None] | None = None
    ) -> None:
        self._outcomes = dict(outcomes)
        self.not_terminated: dict[str, Exception | None] = dict(not_terminated or {})

    def __getitem__(self, job_id: str) -> JobOutcome:
        return self._outcomes[job_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def __repr__(self) -> str:
        parts = {
            "succeeded": self.succeeded,
            "failed": self.failed,
            "not followed": self.errors,
            "pending": self.pending,
        }
        counts = ", ".join(f"{len(outcomes)} {name}" for name, outcomes in parts.items() if outcomes)
        return f"<JobResults of {quantity(len(self), 'job', 'jobs')}{counts and ': '}{counts}>"

    @cached_property
    def succeeded(self) -> dict[str, JobOutcome]:
        """The jobs that succeeded."""
        return self._of("succeeded")

    @cached_property
    def failed(self) -> dict[str, JobOutcome]:
        """The jobs that failed."""
        return self._of("failed")

    @cached_property
    def errors(self) -> dict[str, JobOutcome]:
        """The jobs whose end could not be found out, such as those that AWS Batch does not know."""
        return self._of("errors")

    @cached_property
    def pending(self) -> dict[str, JobOutcome]:
        """The jobs that had not ended when the wait did."""
        return self._of("pending")

    def raise_for_failures(self) -> None:
        """Raise if jobs have failed, or if their end could not be found out; pending jobs are no failures.

        Raises:
            JobFailedError: One job has failed.
            JobsFailedError: Several have; the text counts the reasons.
            Exception: The error of the only job whose end could not be found out, if none has failed.
        """
        errors: list[Exception] = [JobFailedError.from_job(job.job or {}) for job in self.failed.values()]
        errors += [outcome.error for outcome in self.errors.values() if outcome.error is not None]
        if not errors:
            return
        error = errors[0] if len(errors) == 1 else JobsFailedError.of(errors, len(self))
        if self.not_terminated:
            error.add_note(not_terminated_text(self.not_terminated))
        raise error

    def _of(self, kind: str) -> dict[str, JobOutcome]:
        return {job_id: outcome for job_id, outcome in self._outcomes.items() if _kind_of(outcome) == kind}


_KINDS: Final[dict[str | None, str]] = {JobStatus.SUCCEEDED: "succeeded", JobStatus.FAILED: "failed"}


def _kind_of(outcome: JobOutcome) -> str:
    return "errors" if outcome.error is not None else _KINDS.get(outcome.status, "pending")


def not_terminated_text(left: Mapping[str, BaseException | None]) -> str:
    """Says which jobs could not be terminated, and why."""
    first = next((error for error in left.values() if error is not None), None)
    why = f": {error_line(first)}" if first is not None else " in time"
    jobs = quantity(len(left), "AWS Batch job", "AWS Batch jobs")
    them = "it" if len(left) == 1 else "them"
    return f"{jobs} could not be terminated{why}; terminate {them} yourself: {named(left)}"


def named(job_ids: Mapping[str, object] | list[str]) -> str:
    """Job ids for a line of text, but not too many of them."""
    first = [one_line(job_id) for job_id, _ in zip(job_ids, range(_MOST_NAMED), strict=False)]
    more = len(job_ids) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more > 0 else "")
