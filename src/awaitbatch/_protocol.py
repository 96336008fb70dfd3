"""What code that awaits AWS Batch jobs may ask of a client; `BatchClient` is one, a fake of yours may be another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from typing import Unpack

    from types_aiobotocore_batch.type_defs import (
        JobDetailTypeDef,
        JobSummaryTypeDef,
        KeyValuesPairTypeDef,
        SubmitJobRequestTypeDef,
        SubmitJobResponseTypeDef,
    )

    from awaitbatch._arrays import JobProgress
    from awaitbatch._bulk import BulkResult
    from awaitbatch._changes import OnChange
    from awaitbatch._job_results import JobOutcome, JobResults
    from awaitbatch._jobs import JobDescriptions, MatchStatus
    from awaitbatch._log_fetchers import GetBatchLogFetcher
    from awaitbatch._resources import ResourceStatus
    from awaitbatch._stream_handles import JobChanges, ReturnWhen
    from awaitbatch._streams import JobIds
    from awaitbatch._submission_stream import Requests, Submission
    from awaitbatch._wait_limits import WaitLimits


@runtime_checkable
class BatchProtocol(Protocol):
    """The methods of `BatchClient`, whose documentation says what they do."""

    async def describe(self, job_id: str, *, status_retries: float | None = None) -> JobDetailTypeDef:
        """The job's description; an error soon if there is no such job."""

    async def get_job_description(
        self, job_id: str, *, status_retries: float | None = None
    ) -> JobDetailTypeDef:
        """The job's description, with Airflow's patience if there is no such job."""

    async def describe_jobs(self, jobs: Iterable[str]) -> JobDescriptions:
        """The descriptions of any number of jobs, as ``{"jobs": [...]}``."""

    async def poll_job_status(
        self,
        job_id: str,
        match_status: MatchStatus,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> bool:
        """True once the job has one of the states."""

    async def poll_for_job_running(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """The job's description once it, or a child of it, runs or has ended."""

    async def poll_for_job_complete(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """The job's description once it has ended."""

    async def wait_for_job(
        self,
        job_id: str,
        delay: float | None = None,
        get_batch_log_fetcher: GetBatchLogFetcher | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """The job's final description, once it has run and ended."""

    def as_completed(self, job_ids: JobIds, **limits: Unpack[WaitLimits]) -> AsyncIterator[JobOutcome]:
        """How jobs end, one after the other."""

    def watch(
        self,
        job_ids: JobIds = (),
        *,
        children: bool = False,
        keep_open: bool = False,
        stuck_after: float | None = None,
        terminate_on_exit: str | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobChanges:
        """What changes about jobs."""

    def watch_queue(
        self,
        queue: str,
        *,
        since: datetime | int | None = None,
        every: float = 10.0,
        children: bool = False,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobChanges:
        """What changes about all jobs of a queue."""

    async def wait_for_jobs(
        self,
        job_ids: JobIds,
        *,
        return_when: ReturnWhen = "ALL_COMPLETED",
        timeout: float | None = None,  # noqa: ASYNC109
        terminate_on_exit: str | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobResults:
        """How many jobs have ended."""

    async def child_job_ids(self, job_id: str) -> list[str]:
        """The ids of an array's children, or of nodes."""

    async def job_progress(self, job_id: str) -> JobProgress:
        """How many children of an array are in which state."""

    def list_jobs(
        self,
        queue: str | None = None,
        *,
        array_job_id: str | None = None,
        multi_node_job_id: str | None = None,
        statuses: MatchStatus | None = None,
        filters: Sequence[KeyValuesPairTypeDef] | None = None,
    ) -> AsyncIterator[JobSummaryTypeDef]:
        """The jobs of a queue, or the children of a parent."""

    async def wait_for_compute_environment(
        self, name: str, *, until: ResourceStatus = "VALID", **limits: Unpack[WaitLimits]
    ) -> dict[str, Any]:
        """The description of a compute environment once it is VALID, or gone."""

    async def wait_for_job_queue(
        self, name: str, *, until: ResourceStatus = "VALID", **limits: Unpack[WaitLimits]
    ) -> dict[str, Any]:
        """The description of a job queue once it is VALID, or gone."""

    async def check_job_success(self, job_id: str, *, status_retries: float | None = None) -> bool:
        """True if the job succeeded."""

    async def submit_job(self, **kwargs: Unpack[SubmitJobRequestTypeDef]) -> SubmitJobResponseTypeDef:
        """Submit a job."""

    def submit_jobs(self, requests: Requests) -> AsyncIterator[Submission]:
        """Submit any number of jobs; what became of each, as it is known."""

    async def cancel_job(self, job_id: str, reason: str) -> dict[str, Any]:
        """Cancel a job that does not run yet."""

    async def terminate_job(self, job_id: str, reason: str) -> dict[str, Any]:
        """End a job whatever its state."""

    async def cancel_jobs(self, job_ids: Iterable[str], reason: str) -> BulkResult:
        """Cancel many jobs that do not run yet."""

    async def terminate_jobs(self, job_ids: Iterable[str], reason: str) -> BulkResult:
        """End many jobs whatever their state."""

    async def get_job_awslogs_info(self, job_id: str) -> dict[str, str] | None:
        """Where the log of the job's latest attempt is."""

    async def get_job_all_awslogs_info(self, job_id: str) -> list[dict[str, str]]:
        """Where the logs of all attempts of the job are."""
