"""The client: what users call. Each method hands on to the room that does the work."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import anyio

from awaitbatch._arrays import Children, JobProgress
from awaitbatch._changes import Changes
from awaitbatch._config import (
    DEFAULT_BACKOFF,
    ClientConfig,
    is_duration,
    number,
    require_on_change,
)
from awaitbatch._core import backoff as schedules
from awaitbatch._core.backoff import shared_random
from awaitbatch._core.text import quantity
from awaitbatch._exit_terminations import parse_reason_on_exit
from awaitbatch._first_checks import Pauses, drawn_pause
from awaitbatch._job_ids import parse_job_id
from awaitbatch._jobs import JobStatus, parse_statuses
from awaitbatch._lease import Lease
from awaitbatch._listing import JobSummaries, ListRequest
from awaitbatch._log_locations import find_log_locations
from awaitbatch._queue_jobs import QueueJobs
from awaitbatch._resources import (
    COMPUTE_ENVIRONMENT,
    JOB_QUEUE,
    Kind,
    parse_resource,
    require_until,
    wait_for_resource,
)
from awaitbatch._results import require_success
from awaitbatch._stream_handles import (
    JobChanges,
    JobOutcomes,
    JobSubmissions,
    require_job_ids,
    require_requests,
    require_return_when,
    wait_for_outcomes,
)
from awaitbatch._stream_kinds import ChangeStream, OutcomeStream
from awaitbatch._streams import Settings
from awaitbatch._stuck_jobs import StuckJobs
from awaitbatch._submission import copy_of
from awaitbatch._submission_stream import SubmissionStream
from awaitbatch._supervisor import Supervisor
from awaitbatch._termination import parse_reason
from awaitbatch._wait_limits import WHILE_ABSENT, WaitLimits, rules_of, stuck_after_of
from awaitbatch._waiters import WAITERS, JobWaiter, find_waiter
from awaitbatch._waits import describe_all, list_of_ids, parse_job_ids, wait_for
from awaitbatch.errors import JobNotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Hashable, Iterable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Unpack

    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient
    from types_aiobotocore_batch.type_defs import (
        JobDetailTypeDef,
        KeyValuesPairTypeDef,
        SubmitJobRequestTypeDef,
        SubmitJobResponseTypeDef,
    )

    from awaitbatch._bulk import BulkResult
    from awaitbatch._changes import OnChange
    from awaitbatch._config import ClientArguments
    from awaitbatch._core.backoff import Backoff, Window
    from awaitbatch._core.watch import Rules
    from awaitbatch._factory_transport import Factory
    from awaitbatch._job_results import JobResults
    from awaitbatch._jobs import JobDescriptions, MatchStatus
    from awaitbatch._log_fetchers import GetBatchLogFetcher
    from awaitbatch._resources import ResourceStatus
    from awaitbatch._results import WaitResult
    from awaitbatch._statistics import Statistics
    from awaitbatch._stream_handles import ReturnWhen
    from awaitbatch._streams import JobIds
    from awaitbatch._submission_stream import Requests
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation import Observer


class BatchClient:
    """Awaits any number of AWS Batch jobs on one event loop, with as few DescribeJobs calls as possible.

    The methods have the names and meanings of Airflow's ``BatchClientHook``, as coroutines::

        async with BatchClient(region_name="eu-west-1") as client:
            job = await client.submit_job(jobName="hello", jobQueue="queue", jobDefinition="definition")
            job = await client.wait_for_job(job["jobId"])

    Open one client and use it everywhere: all its waits share calls, with up to 100 jobs in each. Any task on the event
    loop that opened it may use it, and another task may close it. If there is no place to open one client for all
    tasks, as in many frameworks, use `shared`.

    Args:
        region_name: The AWS region, as for boto3's client. Like the credentials below, it comes from the environment or
            the AWS configuration files if it is not given.
        endpoint_url: Where to send calls, such as a test server.
        aws_access_key_id: See boto3.
        aws_secret_access_key: See boto3.
        aws_session_token: See boto3.
        profile_name: The profile of the AWS configuration files to use.
        config: An ``aiobotocore.config.AioConfig``. Its retries apply only to calls of your own through `client`.
            ``max_pool_connections`` is 50 if it does not say otherwise.
        verify: Whether to verify TLS certificates, or the path of a CA bundle.
        use_ssl: Whether to use TLS.
        session: An aiobotocore session to create the client with.
        client: An open aiobotocore Batch client. Its settings stay as they are, and it is not closed. Submissions use
            at most half of the connections of its pool. If several BatchClients share it, set
            ``max_pool_connections`` high enough for all.
        transport: Something other than aiobotocore that sends calls, such as
            ``awaitbatch.testing.BatchServer.transport()``.
        max_retries: How many checks a poll may make after the first before it raises `MaxRetriesExceededError`. By
            default there is no limit, and None means `MAX_RETRIES`. To limit a wait in time, use ``asyncio.timeout``.
        status_retries: How many answers in a row may lack the job, and how often a describe is tried, or a submission
            that did not reach AWS. None means `STATUS_RETRIES`, except that `describe` has a rule of its own for jobs
            that answers lack.
        backoff: When a poll checks again: `ExponentialBackoff` (the default), `FixedInterval`, or a `Backoff` of yours.
        delay: Seconds before the first check of a wait, give or take one. None means as soon as waits that begin
            together can share calls: within half a second, if AWS allows that many calls.
        max_calls_per_second: The most DescribeJobs calls to send per second. Below it, the rate adapts to what AWS
            allows. The same holds for each other operation that only reads, such as ListJobs.
        max_submits_per_second: The most SubmitJob calls to send per second; AWS allows an account 50. The rate begins
            at 5 and adapts, too.
        max_terminates_per_second: The same for TerminateJob and CancelJob together.
        call_timeout: Seconds to wait for the answer to a DescribeJobs call, from when it has a connection, and to other
            calls that only read.
        close_timeout: For how many seconds closing waits for submissions under way, log fetchers and connections.
        describe_window: For how many seconds a describe may be held back so that others can share its call.
        observers: Functions to call with each event about calls, jobs and waits; see `awaitbatch.instrumentation`.

    Raises:
        ValueError: An argument makes no sense, or contradicts another.
        TypeError: An argument has the wrong type.
    """

    MAX_RETRIES: ClassVar[float] = 4200
    """Airflow's number of checks that a poll may make after the first, for clients with ``max_retries=None``."""
    STATUS_RETRIES: ClassVar[float] = 10
    """How often to try to get a job's description."""
    DEFAULT_DELAY_MIN: ClassVar[float] = 1
    """The least of the random time, in seconds, within which a poll without a ``delay`` makes its first check."""
    DEFAULT_DELAY_MAX: ClassVar[float] = 10
    """The most of that time. Mostly the first check comes much sooner, with the next call."""

    FAILURE_STATE: ClassVar[JobStatus] = JobStatus.FAILED
    SUCCESS_STATE: ClassVar[JobStatus] = JobStatus.SUCCEEDED
    RUNNING_STATE: ClassVar[JobStatus] = JobStatus.RUNNING
    INTERMEDIATE_STATES: ClassVar[tuple[JobStatus, ...]] = (
        JobStatus.SUBMITTED,
        JobStatus.PENDING,
        JobStatus.RUNNABLE,
        JobStatus.STARTING,
        JobStatus.RUNNING,
    )
    COMPUTE_ENVIRONMENT_TERMINAL_STATUS: ClassVar[tuple[str, ...]] = ("VALID", "DELETED")
    COMPUTE_ENVIRONMENT_INTERMEDIATE_STATUS: ClassVar[tuple[str, ...]] = ("CREATING", "UPDATING", "DELETING")
    JOB_QUEUE_TERMINAL_STATUS: ClassVar[tuple[str, ...]] = ("VALID", "DELETED")
    JOB_QUEUE_INTERMEDIATE_STATUS: ClassVar[tuple[str, ...]] = ("CREATING", "UPDATING", "DELETING")

    def __init__(
        self,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        profile_name: str | None = None,
        config: AioConfig | None = None,
        verify: bool | str | None = None,
        use_ssl: bool = True,
        session: AioSession | None = None,
        client: AiobotocoreBatchClient | None = None,
        transport: BatchTransport | None = None,
        max_retries: float | None = math.inf,
        status_retries: float | None = None,
        backoff: Backoff | None = None,
        delay: float | None = None,
        max_calls_per_second: float = 10.0,
        max_submits_per_second: float = 50.0,
        max_terminates_per_second: float = 20.0,
        call_timeout: float = 15,
        close_timeout: float = 5,
        describe_window: float = 0.005,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._config = ClientConfig(
            region_name=region_name,
            endpoint_url=endpoint_url,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            profile_name=profile_name,
            config=config,
            verify=verify,
            use_ssl=use_ssl,
            session=session,
            client=client,
            transport=transport,
            max_retries=max_retries,
            status_retries=status_retries,
            backoff=DEFAULT_BACKOFF if backoff is None else backoff,
            delay=delay,
            max_calls_per_second=max_calls_per_second,
            max_submits_per_second=max_submits_per_second,
            max_terminates_per_second=max_terminates_per_second,
            call_timeout=call_timeout,
            close_timeout=close_timeout,
            describe_window=describe_window,
            observers=observers,
        )
        self._supervisor: Supervisor | Lease = Supervisor(self._config)

    _lease: Lease | None = None

    @classmethod
    def shared(
        cls,
        *,
        key: Hashable = None,
        factory: Factory | None = None,
        linger: float = 60.0,
        **arguments: Unpack[ClientArguments],
    ) -> Self:
        """A client that all tasks of an event loop share if they pass equal arguments.

        For programs whose tasks come and go, such as a web server's requests. Each task opens a client where it needs
        one, and all get the same client, with its calls and throttles::

            async with BatchClient.shared(region_name="eu-west-1") as client:
                job = await client.wait_for_job(job_id)

        The first user on a loop opens it, in a task and a context of its own. So a user that fails or is cancelled does
        not disturb the others. Once the last user has left, the client stays open for another ``linger`` seconds. When
        a user leaves, its own waits end with `ClientClosedError`, but what it submits or terminates goes on.

        Arguments are equal if credentials, region, endpoint, ``verify``, ``use_ssl`` and ``config`` are, and if
        ``session``, ``client`` and ``transport`` are the same objects. ``backoff``, ``max_retries``,
        ``status_retries``, ``delay`` and ``describe_window`` are each user's own. If ``max_calls_per_second`` or the
        two like it differ, the lowest holds from then on; if time-outs differ, the first one. A WARNING says so.
        Observers are called for the calls and jobs of all users, as long as the user that passed them is there. The
        client logs to ``awaitbatch.shared``, at INFO and below only if that logger has a level of its own.

        Args:
            key: Identifies what ``factory`` makes: users with an equal key share a client, and the factory of the first
                one is called. Only together with ``factory``.
            factory: Called without arguments when the client is opened, for an asynchronous context manager of an
                aiobotocore Batch client, such as ``session.create_client("batch")``; it may be a coroutine function.
                What it returns is entered and left in a task of its own. When the credentials of that client have
                expired for good, it is called again, once for all users, and waits and calls go on over the new client.
            linger: For how many seconds the client stays open without users. If users differ, the longest holds.
            arguments: As for `BatchClient`.

        Returns:
            A client that is open within ``async with``, or from ``open()`` to ``aclose()``. If it is dropped without
            being closed, it leaves by itself, with a ResourceWarning. If it cannot be opened, all who wait for it get
            the error, and the next user tries again.

        Raises:
            ValueError: An argument makes no sense, or contradicts another.
            TypeError: An argument has the wrong type.
        """
        client = cls(**arguments)
        client._supervisor = client._lease = Lease(client._config, key=key, factory=factory, linger=linger)
        return client

    def __del__(self) -> None:
        if self._lease is not None:
            self._lease.abandon()

    def __repr__(self) -> str:
        state = self._supervisor.state_text
        if not self._supervisor.was_opened:
            return f"<BatchClient, {state}>"
        numbers = self._supervisor.coalescer.statistics(counts=False)
        return (
            f"<BatchClient {self._supervisor.region_name}, {state}, {numbers.pending} pending, "
            f"{quantity(numbers.calls, 'call', 'calls')} of {numbers.ids_per_call:.1f} ids, {numbers.rate:.2f} calls/s>"
        )

    # From open to close.

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Create the aiobotocore client and start to send; ``async with`` does it for you.

        Raises:
            ClientClosedError: The client was closed; create another one.
            RuntimeError: The client is already open.
        """
        await self._supervisor.open()

    async def aclose(self) -> None:
        """End all waits with `ClientClosedError` and release connections; closing twice is fine.

        Streams, such as `watch`, end likewise, once they have yielded what was seen before. Their ``terminate_on_exit``
        is carried out for as many jobs as is possible within ``close_timeout``.

        Describes under way are given up. Submissions, terminations and cancellations that were not sent yet end with
        `ClientClosedError`. Those on their way have ``close_timeout`` seconds for their answer. Log fetchers are
        stopped, and have the same time to end.
        """
        await self._supervisor.aclose()

    @property
    def client(self) -> AiobotocoreBatchClient:
        """The aiobotocore client, for calls of your own; its retries are as configured.

        Raises:
            ClientClosedError: The BatchClient is not open.
        """
        self._supervisor.check_open()
        return self._supervisor.transport.client

    def statistics(self) -> Statistics:
        """What the client has done and is doing; all zero before it is opened.

        ::

            statistics = client.statistics()
            print(statistics.pending, "waits,", statistics.calls, "calls of", statistics.ids_per_call, "ids")

        It goes through all pending waits, which takes about 10 ms for a hundred thousand. All times in it are in
        seconds.
        """
        return self._supervisor.statistics()

    # Describing.

    async def describe(self, job_id: str, *, status_retries: float | None = None) -> JobDetailTypeDef:
        """The job's description, as botocore returns it.

        ::

            job = await client.describe(job_id)
            print(job["jobName"], job["status"], job.get("statusReason"))

        AWS Batch may not know a job for a moment after it was submitted. So it is asked again, three times within three
        seconds. If ``status_retries`` is given, here or to the client, it is asked as by `get_job_description`.

        Args:
            job_id: A job's id or ARN.
            status_retries: How many answers in a row may lack the job, and how often calls may fail.

        Raises:
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job.
            DescribeError: DescribeJobs failed for good, or ``status_retries`` times.
            ClientClosedError: The client is not open.
        """
        given = self._config.status_retries if status_retries is None else status_retries
        return await self._describe(job_id, status_retries, WHILE_ABSENT if given is None else None)

    async def get_job_description(
        self, job_id: str, *, status_retries: float | None = None
    ) -> JobDetailTypeDef:
        """The job's description, as by `describe`, but it gives up on an unknown job as late as Airflow's hook.

        AWS Batch is asked for an unknown job ``status_retries`` times, with the pauses of the client's backoff. With
        the defaults that takes more than a minute.

        Args:
            job_id: A job's id or ARN.
            status_retries: As for the client, for this call alone.

        Raises:
            JobNotFoundError: AWS Batch does not know the job, even when asked so often; and the other errors of
                `describe`.
        """
        return await self._describe(job_id, status_retries, None)

    async def describe_jobs(self, jobs: Iterable[str]) -> JobDescriptions:
        """Describe any number of jobs, with as few calls as possible.

        ::

            answer = await client.describe_jobs(job_ids)
            statuses = {job["jobId"]: job["status"] for job in answer["jobs"]}

        Args:
            jobs: Ids or ARNs of jobs.

        Returns:
            ``{"jobs": [...]}`` as boto3 does: descriptions in the order of ``jobs``, each job once, without jobs that
            AWS Batch does not know.

        Raises:
            InvalidJobIdError: One of them cannot be a job's id; nothing was sent.
            DescribeError: DescribeJobs failed for good for one of them, or ``status_retries`` times.
            ClientClosedError: The client is not open.
        """
        self._supervisor.check_open()
        job_ids = await parse_job_ids(jobs)
        window = self._config.window_of_describes()
        return {
            "jobs": await describe_all(self._supervisor.coalescer, job_ids, window, **self._rules(None, {}))
        }

    # Polling and waiting.

    async def poll_job_status(
        self,
        job_id: str,
        match_status: MatchStatus,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> bool:
        """Wait until the job has one of the given states; the first check is made at once.

        ::

            await client.poll_job_status(job_id, ["STARTING", "RUNNING", "SUCCEEDED", "FAILED"])

        Args:
            job_id: A job's id or ARN.
            match_status: The states, such as ``["RUNNING", "FAILED"]``, or a single one. For type checkers it has to be
                a literal or a `JobStatus`; convert any other str by ``JobStatus(text)``. The parent of an array job
                counts as RUNNING, too, once a child runs or has ended.
            on_change: Called with a `JobChanged` for each change of the job that this wait sees: its first state, each
                further state or reason, and for an array job each change of its counts (``event.progress``). They come
                in order, and before the wait ends. A state that begins and ends between two checks is not reported.
                ``event.job`` is the description. It is called on the event loop, in the context of the task that waits.
                So it must return soon, and it cannot be a coroutine function. If it raises an error, that is logged,
                once for each class, and the wait goes on.
            stuck_after: If the job is still RUNNABLE this many seconds after this wait first saw it so, a WARNING in
                the log and a `JobStuck` event say so, once. Nothing happens to the job. None for never. The event has
                the job's position in its queue if the credentials allow ``batch:GetJobQueueSnapshot``.
            limits: ``backoff``, ``max_retries`` and ``status_retries`` as for the client, for this wait alone.

        Returns:
            True, always.

        Raises:
            ValueError: AWS Batch has no such state.
            StatusUnreachableError: The job has ended in another state.
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it.
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job, or no longer.
            DescribeError: DescribeJobs failed for good.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        awaited = parse_statuses(match_status)
        window = self._config.window_of_describes()
        stuck = self._stuck_jobs(stuck_after)
        result = await self._wait(job_id, window, awaited, limits, on_change, stuck=stuck)
        result.description()
        return True

    async def poll_for_job_running(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """Wait until the job runs or has already ended.

        The parent of an array job, which AWS Batch shows as PENDING for as long as its children run, counts as running
        once a child runs or has ended, even if that one FAILED before it ran: AWS Batch does not tell the two apart.

        Args:
            job_id: A job's id or ARN.
            delay: Seconds before the first check, give or take one; None for the client's, which is within half a
                second unless it was given another.
            on_change: As for `poll_job_status`.
            stuck_after: As for `poll_job_status`.
            limits: ``backoff``, ``max_retries`` and ``status_retries`` as for the client, for this wait alone.

        Returns:
            The description that ended the wait.

        Raises:
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it run; and the errors of `poll_job_status`.
        """
        stuck = self._stuck_jobs(stuck_after)
        return (
            await self._poll(job_id, delay, self._started_states, limits, on_change, stuck=stuck)
        ).description()

    async def poll_for_job_complete(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        on_change: OnChange | None = None,
        stuck_after: float | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobDetailTypeDef:
        """Wait until the job has ended, as SUCCEEDED or FAILED.

        Arguments and errors are those of `poll_for_job_running`.

        Returns:
            The final description.
        """
        stuck = self._stuck_jobs(stuck_after)
        return (
            await self._poll(job_id, delay, self._terminal_states, limits, on_change, stuck=stuck)
        ).description()

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
        """Wait until the job runs, then until it has ended.

        ::

            job = await client.wait_for_job(job_id)
            if job["status"] == "FAILED":
                raise JobFailedError.from_job(job)

        A failed job raises no error: read ``["status"]``, and if it is FAILED, `JobFailedError.from_job` says why.

        Args:
            job_id: A job's id or ARN.
            delay: As for `poll_for_job_running`. If it is given, here or to the client, it comes before each of the two
                waits; otherwise the second wait goes on with the schedule of the first.
            get_batch_log_fetcher: Called with the job's id once the job runs; may return something with ``start``,
                ``stop`` and ``join``, called as Airflow calls them: the last two when the wait is over, however it
                ends. All of these may be coroutine functions. A ``join`` that blocks is called in a thread, and keeps
                the process from exiting if it never returns.
            on_change: As for `poll_job_status`.
            stuck_after: As for `poll_job_status`.
            limits: ``backoff``, ``max_retries`` (for each of the two waits) and ``status_retries`` as for the client,
                for this wait alone.

        Returns:
            The final description.

        Raises:
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it run, or then end; and the errors of
                `poll_job_status`.
        """
        # One for both, so that the second does not begin anew.
        on_change, stuck = self._changes(on_change), self._stuck_jobs(stuck_after)
        job: JobDetailTypeDef | None
        job = (
            await self._poll(job_id, delay, self._started_states, limits, on_change, stuck=stuck)
        ).description()
        job_id, status = job["jobId"], job["status"]
        if status not in self._terminal_states:
            # The wait may last for days, and a description takes more memory than all else of it.
            job = None
        fetching = (
            nullcontext()
            if get_batch_log_fetcher is None
            else self._supervisor.log_fetchers.running(get_batch_log_fetcher, job_id)
        )
        async with fetching:
            if job is not None:
                return job
            pause, awaited = self._pauses.asked_for(delay), self._terminal_states
            # PENDING if it is the parent of an array job.
            last_status = JobStatus.__members__.get(status)
            result = await self._wait(
                job_id, pause, awaited, limits, on_change, stuck=stuck, last_status=last_status
            )
            return result.description()

    async def check_job_success(self, job_id: str, *, status_retries: float | None = None) -> bool:
        """Check the job once, and raise an error that says why if it has failed.

        ::

            await client.wait_for_job(job_id)
            await client.check_job_success(job_id)

        Args:
            job_id: A job's id or ARN.
            status_retries: As for `describe`.

        Returns:
            True if it succeeded; anything else raises an error.

        Raises:
            JobFailedError: It failed; the text and ``cause`` say why.
            JobNotCompleteError: It has not ended yet.
            UnknownJobStatusError: It has a status that is not known; and the errors of `describe`.
        """
        return require_success(await self.describe(job_id, status_retries=status_retries))

    # Many jobs at once.

    def as_completed(self, job_ids: JobIds, **limits: Unpack[WaitLimits]) -> JobOutcomes:
        """Yields an outcome for each job, in the order in which their ends are seen.

        ::

            async for outcome in client.as_completed(job_ids):
                print(outcome.job_id, outcome.error or outcome.status)

        It needs no task for each job. If the end of a job cannot be found out, as of one that AWS Batch does not know,
        its outcome has an error. Leave the loop as you like: one turn of the event loop later nothing is checked any
        more. With ``async with client.as_completed(…) as outcomes`` that is so at once.

        Args:
            job_ids: Ids or ARNs of jobs, also as an asynchronous iterable that is still submitting them. The client
                iterates over that in a task of its own, as fast as it yields, and closes it with the loop. An error
                that it raises ends the loop. An id that comes twice has one outcome.
            limits: ``backoff``, ``max_retries`` and ``status_retries`` as for the client, for each of these jobs.

        Returns:
            An asynchronous iterator of `JobOutcome`. It raises `ClientClosedError` if the client is not open, or is
            closed meanwhile.

        Raises:
            InvalidJobIdError: One cannot be a job's id. One that comes from an asynchronous iterable is an outcome with
                this error.
            TypeError: ``job_ids`` is a single id.
        """
        return JobOutcomes(self._outcomes(job_ids, None, limits), self)

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
        """Yields each change of jobs, until all have ended.

        ::

            async with client.watch(job_ids) as changes:
                async for item in changes:
                    match item:
                        case JobChange(job_id=job_id, status=status):
                            print(job_id, status)

        It needs no task for each job, and ``async with`` is optional, as with `as_completed`. The changes of a job come
        in their order; the first one is from None. A state that begins and ends between two checks is not reported. The
        loop may be slow: at most one change of each job waits for it. `JobChange.previous` is the status that the loop
        was given last.

        Args:
            job_ids: As for `as_completed`. Jobs can be added and removed while it runs: see `JobChanges`.
            children: Watch the children of array jobs (``id:0`` and so on) and the nodes of multi-node parallel jobs
                (``id#0``), too, as soon as their parent shows how many there are. The parent is watched as well.
            keep_open: Go on when no job is left, until you leave it or call `JobChanges.close`. Then jobs that have
                ended are forgotten, so a job that is added again is reported again.
            stuck_after: If a job is still RUNNABLE this many seconds after it was first seen so, a `JobStuck` is
                yielded, once. Nothing happens to the job. None for never. `JobStuck` has the job's position in its
                queue if the credentials allow ``batch:GetJobQueueSnapshot``.
            terminate_on_exit: A reason, of at most 1,024 characters. If it is given, the jobs that have not ended are
                terminated when the watch is left, by an error, a cancellation, ``break`` or at its end. That happens in
                the client's own task, and leaving ``async with`` waits for it as long as jobs are being terminated.
                Nothing is terminated if the watch is left by a `DescribeError`, or because the client broke down. Jobs
                that were not found, or whose last checks failed, are left alone, too. So is a job that ``job_ids`` was
                still submitting; a `SubmissionUnclaimed` event names it. Jobs that could not be terminated are named in
                a WARNING, and in a note on the error by which the watch is left.
            limits: ``backoff``, ``max_retries`` and ``status_retries`` as for the client, for each of these jobs. The
                backoff starts again with each change.

        Returns:
            An asynchronous iterator of `JobChange`, of `JobTrouble` for a job that cannot be watched any more, and of
            `JobStuck`. It raises `ClientClosedError` if the client is not open, or is closed meanwhile.

        Raises:
            InvalidJobIdError: One cannot be a job's id.
            TypeError: ``job_ids`` is a single id.
            ValueError: ``terminate_on_exit`` is too long, or another argument makes no sense.
        """
        require_job_ids(job_ids)
        reason = parse_reason_on_exit(terminate_on_exit)
        settings = self._stream_settings(limits)
        stream = ChangeStream(
            settings,
            job_ids,
            children=children,
            stuck_after=stuck_after_of(stuck_after),
            keep_open=keep_open,
            terminate_on_exit=reason,
        )
        return JobChanges(stream, self)

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
        """Yields each change of the jobs of a queue, also of jobs that are submitted meanwhile.

        ::

            async with client.watch_queue("my-queue") as changes:
                async for item in changes:
                    print(item)

        It yields the same items as `watch`, and goes on until you leave it or call `JobChanges.close`. New jobs are
        found by ListJobs, 100 in a call, and each is reported once. AWS Batch may list a job up to a minute late; it is
        still found. The clock of this machine does not matter, and jobs that have ended are forgotten.

        Unlike `watch` it has no ``terminate_on_exit``, since others may have submitted these jobs.

        Args:
            queue: The name or ARN of a job queue.
            since: Begin with all jobs that were created from then on, ended ones included, as far as AWS Batch still
                knows them: a datetime with a time zone, or milliseconds since 1970. None to begin with those that have
                not ended. As with `list_jobs`, a job that is just being retried then may be missed.
            every: The most seconds between two lists. Each pause is random, between half of it and all of it.
            children: As for `watch`.
            stuck_after: As for `watch`.
            limits: As for `watch`.

        Returns:
            As for `watch`. Throttling and outages of ListJobs only delay new jobs. If AWS refuses the first list, it
            raises `CallError`. If AWS refuses a later one, it does so only once that has lasted for five minutes and
            five tries.

        Raises:
            ValueError: An argument makes no sense.
            TypeError: One is of a wrong type.
        """
        stream = ChangeStream(
            self._stream_settings(limits),
            QueueJobs(self._supervisor, queue, since, every, self.exponential_delay),
            children=children,
            stuck_after=stuck_after_of(stuck_after),
            keep_open=True,
        )
        return JobChanges(stream, self)

    async def wait_for_jobs(
        self,
        job_ids: JobIds,
        *,
        return_when: ReturnWhen = "ALL_COMPLETED",
        timeout: float | None = None,  # noqa: ASYNC109
        terminate_on_exit: str | None = None,
        **limits: Unpack[WaitLimits],
    ) -> JobResults:
        """Wait for many jobs.

        ::

            results = await client.wait_for_jobs(job_ids, return_when="FIRST_FAILED")
            results.raise_for_failures()

        Args:
            job_ids: As for `as_completed`.
            return_when: ``"ALL_COMPLETED"``, or at the first job that has ended (``"FIRST_COMPLETED"``) or failed
                (``"FIRST_FAILED"``); without one, when all have ended. A job whose end cannot be found out counts as
                one that has not ended.
            timeout: Seconds after which it returns in any case, with the rest in `JobResults.pending`.
            terminate_on_exit: As for `watch`: a reason to terminate the jobs that have not ended when it returns.
            limits: As for `as_completed`.

        Returns:
            Job id to `JobOutcome`, in the order of ``job_ids``. Neither a failed job nor the time-out raises.

        Raises:
            InvalidJobIdError: One cannot be a job's id.
            ValueError: Another argument makes no sense.
            TypeError: It is of a wrong type.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        require_return_when(return_when)
        if timeout is not None:
            timeout = number(is_duration, "timeout", timeout, "a number of seconds, or None")
        outcomes = self._outcomes(job_ids, parse_reason_on_exit(terminate_on_exit), limits)
        return await wait_for_outcomes(outcomes, self, return_when, timeout)

    async def child_job_ids(self, job_id: str) -> list[str]:
        """The ids of an array job's children, or of a multi-node parallel job's nodes, from one description.

        ::

            await client.poll_for_job_running(job_id)
            children = await client.child_job_ids(job_id)
            results = await client.wait_for_jobs(children)

        Args:
            job_id: The id or ARN of the parent.

        Returns:
            ``["id:0", …]`` or ``["id#0", …]``; an empty list if the job is not a parent. AWS Batch may not know the
            children of a job that was just submitted, nor nodes before the job starts.

        Raises:
            JobNotFoundError: And the other errors of `describe`.
        """
        return list(Children.of(await self.describe(job_id)) or ())

    async def job_progress(self, job_id: str) -> JobProgress:
        """How many children of an array job are in which state, from the one description of their parent.

        ::

            progress = await client.job_progress(job_id)
            print(progress.ended, "of", progress.size, "have ended:", progress.counts)

        Args:
            job_id: The id or ARN of the parent.

        Returns:
            The counts that AWS Batch keeps, which may be some seconds old. A job that is not an array counts as an
            array of one.

        Raises:
            JobNotFoundError: And the other errors of `describe`.
        """
        return JobProgress.of(await self.describe(job_id))

    def get_waiter(self, waiter_name: str) -> JobWaiter:
        """A waiter for jobs, as botocore has them for other services than AWS Batch.

        ::

            await client.get_waiter("job_complete").wait(jobs=job_ids, WaiterConfig={"Delay": 60})

        Names and meaning are those of Airflow's ``BatchWaitersHook``. Its checks share calls with all other waits.

        Args:
            waiter_name: ``"job_exists"`` (every 2 s, 100 times), ``"job_running"`` (every 5 s, 100 times) or
                ``"job_complete"`` (every 300 s, 288 times); or ``"JobExists"`` and so on.

        Raises:
            ValueError: There is no such waiter.
        """
        model, window = find_waiter(waiter_name), self._config.window_of_describes()
        return JobWaiter(self._supervisor, model, window, self._rules(None, {}), self)

    @property
    def waiter_names(self) -> list[str]:
        """The names that `get_waiter` takes."""
        return [*WAITERS]

    # Lists, compute environments and job queues.

    def list_jobs(
        self,
        queue: str | None = None,
        *,
        array_job_id: str | None = None,
        multi_node_job_id: str | None = None,
        statuses: MatchStatus | None = None,
        filters: Sequence[KeyValuesPairTypeDef] | None = None,
    ) -> JobSummaries:
        """The jobs of a queue, the children of an array job, or the nodes of a multi-node parallel job.

        ::

            async for summary in client.list_jobs("my-queue", statuses=["RUNNABLE", "RUNNING"]):
                print(summary["jobId"], summary["status"], summary.get("statusReason"))

        AWS Batch lists jobs of one state at a time, so this takes a call for each state, and one for each page of 1,000
        jobs. The states come in the order of the life cycle. So a job that changes its state meanwhile is still listed,
        once, with the state in which it was seen first. Only a job that is just being retried, and falls back from
        RUNNING to RUNNABLE, may be missed. A page is fetched only when the loop needs it.

        Args:
            queue: The name or ARN of a job queue.
            array_job_id: The id or ARN of an array job, for its children.
            multi_node_job_id: The id or ARN of a multi-node parallel job, for its nodes. Give exactly one of the three.
            statuses: The states of the jobs to list. None for all of them, unlike in boto3, which then lists only
                RUNNING jobs.
            filters: One filter, for the jobs of a queue, as boto3 takes it: ``[{"name": "JOB_NAME", "values":
                ["nightly-*"]}]``; or JOB_DEFINITION, SHARE_IDENTIFIER, or BEFORE_CREATED_AT or AFTER_CREATED_AT with
                milliseconds since 1970 as a str. The newest jobs come first then, 100 a page, and but for
                SHARE_IDENTIFIER one call gives jobs of all states.

        Returns:
            An asynchronous iterator of summaries, dicts as boto3's ``list_jobs`` has them. They lack, for instance,
            queue, attempts and tags, which `describe_jobs` returns. It raises `CallError` if ListJobs fails for good,
            and `ClientClosedError` if the client is not open, or is closed meanwhile.

        Raises:
            ValueError: AWS Batch has no such state or filter, or one argument contradicts another.
            InvalidJobIdError: One cannot be a job's id.
            TypeError: One is of a wrong type.
        """
        request = ListRequest.of(queue, array_job_id, multi_node_job_id, statuses, filters)
        return JobSummaries(self._supervisor, request, self.exponential_delay, self)

    async def wait_for_compute_environment(
        self, name: str, *, until: ResourceStatus = "VALID", **limits: Unpack[WaitLimits]
    ) -> dict[str, Any]:
        """Wait until a compute environment is VALID, or until it is gone.

        All waits for compute environments share calls, with up to 100 names in each. The first check is made at once.
        AWS Batch may not know one for a moment after it was created. So it is asked again, three times within three
        seconds, unless ``status_retries`` is given.

        Args:
            name: Its name or ARN.
            until: ``"VALID"`` or ``"DELETED"``. It also counts as DELETED once AWS Batch does not know it.
            limits: ``backoff``, ``max_retries`` and ``status_retries`` as for the client, for this wait alone.

        Returns:
            Its description, as boto3's ``describe_compute_environments`` has it; empty if it is gone.

        Raises:
            ResourceInvalidError: It is INVALID, whatever is awaited.
            ResourceNotFoundError: It should become VALID, and AWS Batch does not know it, or no longer.
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it so.
            CallError: DescribeComputeEnvironments failed for good, by the rules for polls of jobs.
            ValueError: It cannot be its name, or another argument makes no sense.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        return await self._wait_for_resource(COMPUTE_ENVIRONMENT, name, until, limits)

    async def wait_for_job_queue(
        self, name: str, *, until: ResourceStatus = "VALID", **limits: Unpack[WaitLimits]
    ) -> dict[str, Any]:
        """Wait until a job queue is VALID, or until it is gone; all else is as for `wait_for_compute_environment`."""
        return await self._wait_for_resource(JOB_QUEUE, name, until, limits)

    # Submitting and ending jobs.

    async def submit_job(self, **kwargs: Unpack[SubmitJobRequestTypeDef]) -> SubmitJobResponseTypeDef:
        """Submit a job, at most once.

        ::

            job = await client.submit_job(jobName="hello", jobQueue="queue", jobDefinition="definition")
            job_id = job["jobId"]

        SubmitJob has no idempotency token. So it is sent again only if AWS has certainly not accepted the job. That is
        as often as it takes if it was throttled or its signature was too old, and ``status_retries`` times if no
        connection was made.

        Submissions queue, and are sent as fast as AWS allows, but at most ``max_submits_per_second``. If the caller is
        cancelled while the job is in the queue, it is not submitted. If the call is on its way it goes on to its end,
        and a WARNING in the log and a `SubmissionUnclaimed` event name the job.

        Args:
            kwargs: As for boto3's ``submit_job``: ``jobName``, ``jobQueue``, ``jobDefinition`` and so on.

        Returns:
            What boto3 returns: ``{"jobId": ..., "jobName": ..., "jobArn": ...}``.

        Raises:
            SubmitUncertainError: There was no answer (a time-out, a lost connection, a server error, a client that was
                closed first), or one without the job's id, so the job may or may not have been submitted.
            botocore.exceptions.ClientError: AWS refused it.
            botocore.exceptions.BotoCoreError: There are no credentials or no connection; it was not submitted.
            ClientClosedError: The client is not open, or was closed before the call was sent. The job was not
                submitted.
        """
        self._supervisor.check_open()
        submit = self._supervisor.submissions.submit
        return await submit(copy_of(kwargs), tries=self.status_retries, pause=self.exponential_delay)

    def submit_jobs(self, requests: Requests) -> JobSubmissions:
        """Submit any number of jobs, each at most once, as fast as AWS allows.

        ::

            job = {"jobQueue": "queue", "jobDefinition": "definition"}
            requests = ({"jobName": f"job-{number}", **job} for number in range(500))
            async for submission in client.submit_jobs(requests):
                print(submission.index, submission.error or submission.job_id)

        Each is submitted as by `submit_job`. At most 100 requests are taken ahead of the loop, so a generator may yield
        millions of them. A slow loop delays only its own submissions.

        However the loop is left, by ``break``, an error, a cancellation or Ctrl-C, no job is lost. Requests in the
        queue are not submitted, and those on their way go on. A WARNING in the log and a `SubmissionUnclaimed` event
        name each job that the loop has not seen. The queue is given up one turn of the event loop later, and at once
        with ``async with client.submit_jobs(…) as submissions``.

        Args:
            requests: For each job the arguments of `submit_job`, as a mapping. They may come from a generator or an
                asynchronous iterable. The client iterates over the latter in a task of its own, and closes it with the
                loop. An error that an iterable raises ends the loop, once the loop was given all requests before it.

        Returns:
            An asynchronous iterator of `Submission`, in the order in which they are known. A job that cannot be
            submitted is a `Submission` with an error, and the others go on. It raises `ClientClosedError` if the client
            is not open, or if it is closed before all requests are taken; those that were taken are yielded first.

        Raises:
            TypeError: ``requests`` is a single request.
        """
        require_requests(requests)
        stream = SubmissionStream(
            self._supervisor,
            requests,
            tries=self.status_retries,
            pause=self.exponential_delay,
            close_timeout=self._config.close_timeout,
        )
        return JobSubmissions(stream, self)

    async def cancel_job(self, job_id: str, reason: str) -> dict[str, Any]:
        """Cancel a job that has not started; a job that has started goes on, which is no error.

        Calls queue, and at most ``max_terminates_per_second`` are sent. After failures that may pass, there are five
        tries in all. Once it is awaited, the call reaches AWS even if the caller is cancelled, repeatedly or
        beforehand. If it fails then, a WARNING in the log and a `TerminationUnclaimed` event name the job. Only closing
        the client ends it; a shared client stays open until it is done.

        Args:
            job_id: A job's id or ARN.
            reason: 1 to 1,024 characters, for the job's record.

        Raises:
            InvalidJobIdError: It cannot be a job's id.
            ValueError: The reason is empty or too long.
            botocore.exceptions.ClientError: AWS refused it, or answered five times with a server error.
            botocore.exceptions.BotoCoreError: There are no credentials, or five times no answer.
            ClientClosedError: The client is not open, or was closed before AWS answered.
        """
        return await self._end("CancelJob", job_id, reason)

    async def terminate_job(self, job_id: str, reason: str) -> dict[str, Any]:
        """End a job whatever its state; its status becomes FAILED. Arguments and errors as for `cancel_job`."""
        return await self._end("TerminateJob", job_id, reason)

    async def cancel_jobs(self, job_ids: Iterable[str], reason: str) -> BulkResult:
        """Cancel many jobs that have not started; those that have started go on, which is no error.

        ::

            result = await client.cancel_jobs(job_ids, "not needed any more")
            for job_id, error in result.errors.items():
                print(job_id, "was not cancelled:", error)

        One CancelJobs call cancels up to 50 jobs, and is paced together with single calls. If botocore or the server
        lacks that operation, which the client finds out once, it makes a call for each job. As with `cancel_job`, all
        calls reach AWS even if the caller is cancelled.

        Trouble with one job does not affect the others. A call that AWS refuses is split until the bad id is alone.
        Jobs that AWS throttles are sent again as often as it takes. After an error that may pass, there are 5 tries in
        all.

        Args:
            job_ids: Ids or ARNs of jobs; one that comes twice is sent once.
            reason: 1 to 1,024 characters, for the jobs' records.

        Returns:
            Which ids AWS has accepted, and the errors of the others, among them an `InvalidJobIdError` for what cannot
            be a job's id, and a `ClientClosedError` for what was not sent when the client was closed.
            `BulkResult.raise_for_errors` raises if there is any.

        Raises:
            ValueError: The reason is empty or too long.
            TypeError: ``job_ids`` is a single id.
            ClientClosedError: The client is not open.
        """
        return await self._end_all("CancelJob", job_ids, reason)

    async def terminate_jobs(self, job_ids: Iterable[str], reason: str) -> BulkResult:
        """End many jobs whatever their states, by TerminateJobs; the rest is as for `cancel_jobs`."""
        return await self._end_all("TerminateJob", job_ids, reason)

    # Logs.

    async def get_job_awslogs_info(self, job_id: str) -> dict[str, str] | None:
        """Where the CloudWatch log of the job's latest attempt is.

        ::

            await client.poll_for_job_running(job_id)
            where = await client.get_job_awslogs_info(job_id)
            if where is not None:
                print(where["awslogs_group"], where["awslogs_stream_name"])

        Returns:
            ``{"awslogs_stream_name": ..., "awslogs_group": ..., "awslogs_region": ...}``, or None with a warning in the
            log that says why there is none.

        Raises:
            JobNotFoundError: And the other errors of `describe`.
        """
        infos = await self.get_job_all_awslogs_info(job_id)
        return infos[-1] if infos else None

    async def get_job_all_awslogs_info(self, job_id: str) -> list[dict[str, str]]:
        """Where the CloudWatch logs of all attempts of the job are, oldest first.

        A job of several containers has a stream for each of them and attempt.

        Returns:
            Items like that of `get_job_awslogs_info`. The list is empty, and a warning in the log says why, for jobs on
            Amazon EKS, jobs with a log driver other than awslogs, and jobs that have not been RUNNING yet.

        Raises:
            JobNotFoundError: And the other errors of `describe`.
        """
        job = await self.describe(job_id)
        infos, obstacle = find_log_locations(job, self._supervisor.region_name)
        if obstacle is not None:
            text = "AWS Batch job (%s) has no CloudWatch log: %s"
            extra = {"job_id": job["jobId"]}
            self._supervisor.write_log(logging.WARNING, text, job["jobId"], obstacle, extra=extra)
        return infos

    # Airflow's arithmetic.

    @staticmethod
    async def delay(delay: float | None = None) -> None:
        """Pause without blocking the event loop.

        Args:
            delay: Seconds, give or take one; None for a pause drawn between `DEFAULT_DELAY_MIN` and
                `DEFAULT_DELAY_MAX`.
        """
        pause = drawn_pause(delay, BatchClient.DEFAULT_DELAY_MIN, BatchClient.DEFAULT_DELAY_MAX)
        await anyio.sleep(pause.latest)

    @staticmethod
    def parse_job_description(job_id: str, response: Mapping[str, Any]) -> JobDetailTypeDef:
        """Pick a job out of an answer to DescribeJobs.

        Raises:
            JobNotFoundError: The answer has not exactly one job of that id.
        """
        found: list[JobDetailTypeDef] = [
            job for job in response.get("jobs", []) if job.get("jobId") == job_id
        ]
        if len(found) != 1:
            raise JobNotFoundError.in_response(job_id, len(found))
        return found[0]

    @staticmethod
    def add_jitter(delay: float, width: float = 1, minima: float = 0) -> float:
        """Draw a pause uniformly from ``delay`` ± ``width`` seconds, but at least ``minima``; signs are ignored."""
        return schedules.add_jitter(shared_random, delay, width, minima)

    @staticmethod
    def exponential_delay(tries: int) -> float:
        """Draw a pause uniformly from d/3 … d seconds, where d = min(600, 1 + (0.6 · ``tries``)²)."""
        return schedules.exponential_delay(shared_random, tries)

    # What the methods above share.

    @property
    def max_retries(self) -> float:
        """Checks after the first that a poll may make, unless a wait is given another number."""
        return self.MAX_RETRIES if self._config.max_retries is None else self._config.max_retries

    @property
    def status_retries(self) -> float:
        """How often to try to get a job's description, unless a wait is given another number."""
        return self.STATUS_RETRIES if self._config.status_retries is None else self._config.status_retries

    @property
    def _terminal_states(self) -> tuple[str, str]:
        return (self.SUCCESS_STATE, self.FAILURE_STATE)

    @property
    def _started_states(self) -> tuple[str, ...]:
        return (self.RUNNING_STATE, *self._terminal_states)

    def _rules(self, match_status: Collection[str] | None, limits: WaitLimits) -> Rules:
        return rules_of(
            match_status,
            limits,
            max_retries=self.max_retries,
            status_retries=self.status_retries,
            backoff=self._config.backoff,
        )

    async def _end(self, operation: str, job_id: str, reason: str) -> dict[str, Any]:
        self._supervisor.check_open(job_id)
        end = self._supervisor.terminations.end
        parsed, reason = parse_job_id(job_id), parse_reason(reason)
        return await end(operation, parsed, reason, pause=self.exponential_delay)

    async def _end_all(self, operation: str, job_ids: Iterable[str], reason: str) -> BulkResult:
        self._supervisor.check_open()
        reason = parse_reason(reason)
        end_all = self._supervisor.terminations.end_all
        return await end_all(operation, list_of_ids(job_ids), reason, pause=self.exponential_delay)

    async def _wait_for_resource(
        self, kind: Kind, name: str, until: ResourceStatus, limits: WaitLimits
    ) -> dict[str, Any]:
        name = parse_resource(kind, name)
        require_until(until)
        rules = self._rules((until,), limits)
        if until == "DELETED":
            rules["absent_windows"] = ()
        elif limits.get("status_retries") is None:
            rules["absent_windows"] = WHILE_ABSENT
        self._supervisor.check_open()
        window = self._config.window_of_describes()
        return await wait_for_resource(self._supervisor, kind, name, until, window, **rules)

    def _outcomes(self, job_ids: JobIds, reason: str | None, limits: WaitLimits) -> OutcomeStream:
        require_job_ids(job_ids)
        return OutcomeStream(self._stream_settings(limits), job_ids, terminate_on_exit=reason)

    def _stream_settings(self, limits: WaitLimits) -> Settings:
        return Settings(
            host=self._supervisor,
            rules=self._rules(self._terminal_states, limits),
            # Not a method of this client: see `_Handle`.
            first_window=partial(self._pauses.window_of_first_check, self._supervisor),
            pause=self.exponential_delay,
            close_timeout=self._config.close_timeout,
        )

    def _poll(
        self,
        job_id: str,
        delay: float | None,
        match_status: Collection[str],
        limits: WaitLimits,
        on_change: OnChange | None,
        *,
        stuck: StuckJobs | None,
    ) -> Coroutine[Any, Any, WaitResult]:
        self._supervisor.check_open(job_id)
        window = self._pauses.window_of_first_check(self._supervisor, delay)
        return self._wait(job_id, window, match_status, limits, on_change, stuck=stuck)

    @property
    def _pauses(self) -> Pauses:
        return Pauses(self._config.delay, self.DEFAULT_DELAY_MIN, self.DEFAULT_DELAY_MAX)

    async def _describe(
        self, job_id: str, status_retries: float | None, absent_windows: Sequence[Window] | None
    ) -> JobDetailTypeDef:
        limits = WaitLimits(status_retries=status_retries)
        window = self._config.window_of_describes()
        return (await self._wait(job_id, window, None, limits, absent_windows=absent_windows)).description()

    def _wait(
        self,
        job_id: str,
        window: Window | None,
        match_status: Collection[str] | None,
        limits: WaitLimits,
        on_change: OnChange | None = None,
        *,
        stuck: StuckJobs | None = None,
        absent_windows: Sequence[Window] | None = None,
        last_status: str | None = None,
    ) -> Coroutine[Any, Any, WaitResult]:
        # No coroutine function itself: a frame, and what it holds, fewer for each of many thousand waits.
        rules = self._rules(match_status, limits)
        rules["absent_windows"], rules["last_status"] = absent_windows, last_status
        self._supervisor.check_open(job_id)
        changes = self._changes(on_change)
        return wait_for(self._supervisor.coalescer, parse_job_id(job_id), window, changes, stuck, **rules)

    def _changes(self, on_change: OnChange | None) -> Changes | None:
        """What tells ``on_change`` of changes, if there is one; another wait may have made it already."""
        if on_change is None or isinstance(on_change, Changes):
            return on_change
        require_on_change(on_change)
        self._supervisor.check_open()
        return Changes(on_change, self._supervisor.coalescer.report)

    def _stuck_jobs(self, stuck_after: float | None) -> StuckJobs | None:
        """What reports the job of a wait if it is stuck, if that is asked for."""
        seconds = stuck_after_of(stuck_after)
        return None if seconds is None else StuckJobs(seconds, self._supervisor.notify, self._supervisor)
