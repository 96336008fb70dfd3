"""Waiters in botocore's manner, which has none for AWS Batch; their names and meaning are those of Airflow's."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypedDict

from botocore.exceptions import ClientError, WaiterError

from awaitbatch._arrays import JobProgress
from awaitbatch._config import is_duration, number
from awaitbatch._core.backoff import Window
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.suspicion import Patience
from awaitbatch._core.text import quantity, shown
from awaitbatch._failures import classify
from awaitbatch._jobs import JobStatus
from awaitbatch._waits import describe_all, parse_job_ids
from awaitbatch.errors import DescribeError, JobFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

    from awaitbatch._core.watch import Rules
    from awaitbatch._jobs import JobDescriptions
    from awaitbatch._transport import BatchTransport
    from awaitbatch._waits import Coalescer


class WaiterConfig(TypedDict, total=False):
    """How often a waiter checks, under botocore's names.

    Attributes:
        Delay: Seconds from check to check.
        MaxAttempts: How many checks it makes.
    """

    Delay: float
    MaxAttempts: int


@dataclass(frozen=True, slots=True)
class WaiterModel:
    """What a waiter waits for.

    Attributes:
        name: botocore's way to write its name.
        delay: Seconds from check to check.
        max_attempts: How many checks it makes.
        done: The states that each job has to have or have had.
        failed: The states in which no job may be.
    """

    name: str
    delay: float
    max_attempts: int
    done: frozenset[str]
    failed: frozenset[str] = frozenset()

    def is_done(self, job: JobDetailTypeDef) -> bool:
        """Whether a job, given its description, is as awaited.

        The parent of an array, which is PENDING while its children run, counts as RUNNING once a child runs or has
        ended, as for `BatchClient.poll_for_job_running`.
        """
        return job["status"] in self.done or (
            JobStatus.RUNNING in self.done and not self.done.isdisjoint(JobProgress.of(job).counts)
        )


_STARTED: Final = frozenset({JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.FAILED})

WAITERS: Final = {
    "job_complete": WaiterModel(
        "JobComplete", 300, 288, frozenset({JobStatus.SUCCEEDED}), frozenset({JobStatus.FAILED})
    ),
    "job_exists": WaiterModel("JobExists", 2, 100, frozenset(JobStatus)),
    "job_running": WaiterModel("JobRunning", 5, 100, _STARTED),
}
"""The waiters by their names in snake case.

https://github.com/apache/airflow/blob/main/providers/amazon/src/airflow/providers/amazon/aws/hooks/batch_waiters.json
"""


def find_waiter(name: object) -> WaiterModel:
    """The waiter of a name, in either way to write it.

    Raises:
        ValueError: There is none.
    """
    for snake_case, model in WAITERS.items():
        if name in {snake_case, model.name}:
            return model
    message = f"Waiter does not exist: {shown(name)}; there are {', '.join(WAITERS)}"
    raise ValueError(message)


class Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def coalescer(self) -> Coalescer:
        """Who checks jobs."""

    @property
    def transport(self) -> BatchTransport:
        """How calls reach AWS Batch."""

    def check_open(self, job_id: object = None) -> None:
        """Raise unless it is open."""


class JobWaiter:
    """Waits for jobs as botocore's waiters do, but shares calls; `BatchClient.get_waiter` returns one.

    Args:
        host: The client's inside.
        model: What it waits for.
        first_window: When it checks first.
        rules: See `Rules`.
        client: The client, which stays for as long as this: a use of a shared client ends once nobody has it any more.

    Attributes:
        name: Its name, such as ``"JobComplete"``.
        config: Its ``delay`` and ``max_attempts``.
    """

    def __init__(
        self, host: Host, model: WaiterModel, first_window: Window, rules: Rules, client: object
    ) -> None:
        self.name = model.name
        self.config = model
        self._host = host
        self._client = client
        self._first_window = first_window
        self._rules = rules

    def __repr__(self) -> str:
        return f"<JobWaiter {self.name}>"

    async def wait(self, *, jobs: Iterable[str], WaiterConfig: WaiterConfig | None = None) -> JobDescriptions:  # noqa: N803
        """Wait until all jobs are in the awaited state.

        JobExists waits until AWS Batch knows all of them, JobRunning until all run or have ended, and JobComplete until
        all have SUCCEEDED. A job that has got there is not checked again. A check that fails in a way that may pass
        counts as one that saw nothing.

        Args:
            jobs: Ids or ARNs of any number of jobs.
            WaiterConfig: ``{"Delay": seconds, "MaxAttempts": checks}``, either of which may be left out.

        Returns:
            The descriptions as they were seen last, as boto3's ``describe_jobs`` has them, in the order of ``jobs``.

        Raises:
            botocore.exceptions.WaiterError: JobComplete has seen that a job FAILED, which ``__cause__`` explains; or
                the checks are used up; or DescribeJobs failed for good. It has ``last_response``, as botocore's.
            ClientClosedError: The client is not open, or was closed meanwhile.
            InvalidJobIdError: One cannot be a job's id.
            ValueError: There is no job, or the configuration makes no sense.
        """
        delay, max_attempts = self._parse(WaiterConfig or {})
        self._host.check_open()
        job_ids = await parse_job_ids(jobs)
        if not job_ids:
            message = "jobs must have the id of one job at least"
            raise ValueError(message)
        loop = asyncio.get_running_loop()
        began, window = loop.time(), self._first_window
        seen: dict[str, JobDetailTypeDef] = {}
        left, trouble, patience = job_ids, "", Patience()
        for attempt in itertools.count(1):
            try:
                found = await describe_all(self._host.coalescer, left, window, **self._rules)
                patience.on_answer()
                trouble = ""
            except DescribeError as error:
                self._check_passing(error, patience, job_ids, seen)
                found, trouble = [], f"; the last one failed: {error}"
            seen.update((job["jobId"], job) for job in found)
            self._check_failed(found, job_ids, seen)
            left = [job_id for job_id in left if not (job_id in seen and self.config.is_done(seen[job_id]))]
            if not left:
                return _response(job_ids, seen)
            if attempt >= max_attempts:
                reason = f"Max attempts exceeded: {_so_far(job_ids, left, seen)}{trouble}"
                raise self._error(reason, _response(job_ids, seen))
            # By the clock, or checks that come along with others' would use up the attempts too soon.
            due = max(0.0, began + attempt * delay - loop.time())
            window = Window(max(0.0, due - delay / 2), due)
        raise AssertionError

    def _parse(self, given: WaiterConfig) -> tuple[float, float]:
        unknown = given.keys() - WaiterConfig.__annotations__
        if unknown:
            names = ", ".join(WaiterConfig.__annotations__)
            message = f"WaiterConfig takes {names}, not {shown(min(unknown, key=str))}"
            raise ValueError(message)
        delay = given.get("Delay", self.config.delay)
        attempts = given.get("MaxAttempts", self.config.max_attempts)
        return (
            number(is_duration, "Delay", delay, "a number of seconds"),
            number(lambda checks: checks >= 1, "MaxAttempts", attempts, "at least 1"),
        )

    def _check_passing(
        self,
        error: DescribeError,
        patience: Patience,
        job_ids: Iterable[str],
        seen: Mapping[str, JobDetailTypeDef],
    ) -> None:
        """Raise unless the failure may pass."""
        cause, renewed = error.__cause__, self._host.transport.refreshes_credentials
        kind = FailureKind.PERMANENT if cause is None else classify(cause, refreshes_credentials=renewed).kind
        may_pass = kind in {FailureKind.TRANSIENT, FailureKind.THROTTLED} or (
            kind is FailureKind.PERMANENT and patience.bears_another(asyncio.get_running_loop().time())
        )
        if not may_pass:
            reason = f"An error occurred ({error.code}): {error}"
            answer = cause.response if isinstance(cause, ClientError) else _response(job_ids, seen)
            raise self._error(reason, answer) from error

    def _check_failed(
        self, found: Iterable[JobDetailTypeDef], job_ids: Iterable[str], seen: Mapping[str, JobDetailTypeDef]
    ) -> None:
        """Raise if a job is as no job may be."""
        for job in found:
            if job["status"] in self.config.failed:
                cause = JobFailedError.from_job(job)
                reason = f"Waiter encountered a terminal failure state: {cause}"
                raise self._error(reason, _response(job_ids, seen)) from cause

    def _error(self, reason: str, last_response: object) -> WaiterError:
        return WaiterError(name=self.name, reason=reason, last_response=last_response)


def _response(job_ids: Iterable[str], seen: Mapping[str, JobDetailTypeDef]) -> JobDescriptions:
    return {"jobs": [seen[job_id] for job_id in job_ids if job_id in seen]}


def _so_far(job_ids: list[str], left: list[str], seen: Mapping[str, JobDetailTypeDef]) -> str:
    first = left[0]
    status = f"is {seen[first]['status']}" if first in seen else "was not found"
    jobs = quantity(len(job_ids), "job is", "jobs are")
    return f"{len(left)} of {jobs} not as awaited, such as AWS Batch job ({first}), which {status}"
