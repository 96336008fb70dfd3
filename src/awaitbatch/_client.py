"""The client: what users call, and its life from open to close."""

from __future__ import annotations

import itertools
import logging
import math
import os
from contextlib import nullcontext
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict

import anyio
import anyio.lowlevel

from awaitbatch._core import backoff as schedules
from awaitbatch._core.backoff import Backoff, ExponentialBackoff, Window
from awaitbatch._core.text import error_line, interned, one_line, quantity, text_of
from awaitbatch._failures import (
    UnreadableResponseError,
    is_throttle,
    leaves_open_whether_done,
    was_not_sent,
)
from awaitbatch._jobs import JobStatus, Known, order_of, parse_job_id
from awaitbatch._log_locations import find_log_locations
from awaitbatch._reporter import write_log
from awaitbatch._supervisor import Supervisor
from awaitbatch._transport import AiobotocoreTransport
from awaitbatch.errors import (
    JobFailedError,
    JobNotCompleteError,
    JobNotFoundError,
    SubmitUncertainError,
    UnknownJobStatusError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Coroutine, Iterable
    from types import TracebackType
    from typing import Unpack

    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

    from awaitbatch._coalescer import Statistics
    from awaitbatch._core.watch import Rules
    from awaitbatch._log_fetchers import GetBatchLogFetcher
    from awaitbatch._results import WaitResult
    from awaitbatch._transport import BatchTransport

_random = Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    # Or the processes of a prefork server would all draw the same pauses.
    os.register_at_fork(after_in_child=_random.seed)


class _Limits(TypedDict, total=False):
    """What a wait may be told; None or nothing for the client's."""

    backoff: Backoff | None
    max_retries: float | None
    status_retries: float | None


_DECODED_AT_ONCE = 100
"""Descriptions to decode before others on the event loop get their turn; 100 take about a millisecond."""


class BatchClient:
    """Awaits AWS Batch jobs; any number of them on one event loop, with as few DescribeJobs calls as can be.

    The methods have the names and meanings of Airflow's ``BatchClientHook``, as coroutines::

        async with BatchClient(region_name="eu-west-1") as client:
            job = await client.submit_job(jobName="hello", jobQueue="queue", jobDefinition="definition")
            job = await client.wait_for_job(job["jobId"])

    Open it once and share it: all its waits travel together, up to 100 jobs a call. It may be opened and closed by
    different tasks, and used by any task of the event loop that opened it.

    Args:
        region_name: As for boto3's client, as are those that follow; what is not given comes from the environment and
            the AWS configuration files.
        endpoint_url: Where to send calls, such as a test server.
        aws_access_key_id: See boto3.
        aws_secret_access_key: See boto3.
        aws_session_token: See boto3.
        profile_name: The profile of the AWS configuration files to use.
        config: An ``aiobotocore.config.AioConfig``. Its retries hold for all operations but DescribeJobs and SubmitJob.
        verify: Whether to verify TLS certificates, or the path of a CA bundle.
        use_ssl: Whether to use TLS.
        session: An aiobotocore session to create the client with.
        client: A ready aiobotocore Batch client. Its settings stay as they are, and it is not closed. Describes use all
            connections of its pool but two; if several BatchClients share it, give it ``max_pool_connections`` for all.
        transport: Something else than aiobotocore to send calls with, such as
            ``awaitbatch.testing.BatchServer.transport()``.
        max_retries: Checks after the first that a poll may make before `MaxRetriesExceededError`; ``math.inf`` for no
            bound, None for `MAX_RETRIES`.
        status_retries: How many answers in a row may lack the job, how often a describe is tried, and how often a
            throttled SubmitJob is; None for `STATUS_RETRIES`.
        backoff: When a poll checks again: `ExponentialBackoff` (the default), `FixedInterval`, or a `Backoff` of yours.
        max_calls_per_second: Never more DescribeJobs calls a second than so many. Below it the rate adapts to what AWS
            allows.
        call_timeout: Seconds after which a DescribeJobs call without an answer is given up.
        close_timeout: Seconds that closing may take for log fetchers and connections that are still busy.
        describe_window: Seconds that a describe may wait for others to share its call.

    Raises:
        ValueError: An argument makes no sense, or contradicts another.
        TypeError: An argument is of a wrong type.
    """

    MAX_RETRIES: ClassVar[float] = 4200
    """Checks after the first that a poll may make; with the default backoff ten to twenty days."""
    STATUS_RETRIES: ClassVar[float] = 10
    """How often to try to get a job's description."""
    DEFAULT_DELAY_MIN: ClassVar[float] = 1
    """Least seconds before the first check of a poll without a ``delay``."""
    DEFAULT_DELAY_MAX: ClassVar[float] = 10
    """Most seconds before the first check of a poll without a ``delay``."""

    FAILURE_STATE: ClassVar[str] = JobStatus.FAILED
    SUCCESS_STATE: ClassVar[str] = JobStatus.SUCCEEDED
    RUNNING_STATE: ClassVar[str] = JobStatus.RUNNING
    INTERMEDIATE_STATES: ClassVar[tuple[str, ...]] = (
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
        max_retries: float | None = None,
        status_retries: float | None = None,
        backoff: Backoff | None = None,
        max_calls_per_second: float = 10.0,
        call_timeout: float = 15,
        close_timeout: float = 5,
        describe_window: float = 0.005,
    ) -> None:
        settings: dict[str, Any] = {
            "region_name": region_name,
            "endpoint_url": endpoint_url,
            "aws_access_key_id": aws_access_key_id,
            "aws_secret_access_key": aws_secret_access_key,
            "aws_session_token": aws_session_token,
            "config": config,
            "verify": verify,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        if not use_ssl:
            settings["use_ssl"] = False
        _refuse_contradictions(
            settings, profile_name=profile_name, session=session, client=client, transport=transport
        )
        _require(
            lambda rate: 0 < rate < math.inf,
            "max_calls_per_second",
            max_calls_per_second,
            "a positive number",
        )
        _require(
            lambda bound: 0 < bound < math.inf, "call_timeout", call_timeout, "a positive number of seconds"
        )
        _require(_is_duration, "close_timeout", close_timeout, "a number of seconds")
        _require(_is_duration, "describe_window", describe_window, "a number of seconds")
        self._transport: BatchTransport = transport or AiobotocoreTransport(
            client=client, session=session, profile_name=profile_name, **settings
        )
        self._max_retries = max_retries
        self._status_retries = status_retries
        self._backoff: Backoff = ExponentialBackoff(_random)
        # What is wrong is told at once, not at the first poll.
        self._backoff = self._rules(None, backoff=backoff)["backoff"]
        self._describe_window = Window(0.0, describe_window)
        self._supervisor = Supervisor(
            self._transport,
            max_calls_per_second=max_calls_per_second,
            call_timeout=call_timeout,
            close_timeout=close_timeout,
        )

    def __repr__(self) -> str:
        state = self._supervisor.state.value
        if not self._supervisor.was_opened:
            return f"<BatchClient, {state}>"
        numbers = self.statistics()
        return (
            f"<BatchClient {one_line(str(self._transport.region_name))}, {state}, {numbers.pending} pending, "
            f"{numbers.calls} calls of {numbers.ids_per_call:.1f} ids, {numbers.rate:.2f} calls/s>"
        )

    # Supervisor from open to close.

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
            ClientClosedError: The client was closed; make another one.
            RuntimeError: The client is open already.
        """
        await self._supervisor.open()

    async def aclose(self) -> None:
        """End all waits with `ClientClosedError`, and give back connections; to close twice is fine.

        Calls under way are given up. Log fetchers are stopped and get ``close_timeout`` seconds to end.
        """
        await self._supervisor.aclose()

    @property
    def client(self) -> AiobotocoreBatchClient:
        """The aiobotocore client, for calls of your own; its retries are as configured.

        Raises:
            ClientClosedError: The BatchClient is not open.
        """
        self._supervisor.check_open()
        return self._transport.client

    def statistics(self) -> Statistics:
        """What the client has done and is doing; after closing, what it did.

        Raises:
            ClientClosedError: The client was never opened.
        """
        if not self._supervisor.was_opened:
            raise self._supervisor.closed_error()
        return self._supervisor.coalescer.statistics()

    # Describing.

    async def describe(self, job_id: str) -> dict[str, Any]:
        """The job's description, as botocore returns it.

        Args:
            job_id: A job's id or ARN.

        Raises:
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job, even when asked ``status_retries`` times.
            DescribeError: DescribeJobs failed for good, or ``status_retries`` times.
            ClientClosedError: The client is not open.
        """
        return (await self._watch(job_id, self._describe_window, None)).description()

    async def get_job_description(self, job_id: str) -> dict[str, Any]:
        """The same as `describe`, by Airflow's name."""
        return await self.describe(job_id)

    async def describe_jobs(self, jobs: Iterable[str]) -> dict[str, Any]:
        """Describe any number of jobs, with as few calls as can be.

        Args:
            jobs: Ids or ARNs of jobs.

        Returns:
            ``{"jobs": [...]}`` as boto3 answers: descriptions in the order asked for, each job once, without jobs that
            AWS Batch does not know.

        Raises:
            InvalidJobIdError: One of them cannot be a job's id; nothing was sent.
            DescribeError: DescribeJobs failed for good for one of them, or ``status_retries`` times.
            ClientClosedError: The client is not open.
        """
        self._supervisor.check_open()
        if isinstance(jobs, str):
            message = f"describe_jobs takes a list of job ids, not a str: {one_line(repr(jobs))}"
            raise TypeError(message)
        job_ids = [parse_job_id(job_id) for job_id in jobs]
        rules = self._rules(None)
        rules["absence_is_final"] = True
        results = await self._supervisor.coalescer.watch_all(job_ids, self._describe_window, **rules)
        for result in results.values():
            if result.is_error:
                result.description()
        found = [results[job_id] for job_id in dict.fromkeys(job_ids) if results[job_id].item is not None]
        descriptions = []
        for number, result in enumerate(found, start=1):
            descriptions.append(result.description())
            if number % _DECODED_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
        return {"jobs": descriptions}

    # Polling and waiting.

    async def poll_job_status(
        self,
        job_id: str,
        match_status: Collection[str],
        *,
        backoff: Backoff | None = None,
        max_retries: float | None = None,
        status_retries: float | None = None,
    ) -> bool:
        """Wait until the job has one of some states; the first check is made at once.

        Args:
            job_id: A job's id or ARN.
            match_status: The states, such as ``["RUNNING", "FAILED"]``.
            backoff: When to check again; None for the client's.
            max_retries: Checks after the first; None for the client's.
            status_retries: How many answers in a row may lack the job (such checks do not count for
                ``max_retries``); None for the client's.

        Returns:
            True, always.

        Raises:
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it.
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job, or no longer.
            DescribeError: DescribeJobs failed for good.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        awaited = frozenset([match_status] if isinstance(match_status, str) else match_status)
        _require(lambda _: bool(awaited), "match_status", match_status, "at least one status")
        result = await self._watch(
            job_id,
            self._describe_window,
            awaited,
            backoff=backoff,
            max_retries=max_retries,
            status_retries=status_retries,
        )
        result.description()
        return True

    async def poll_for_job_running(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        backoff: Backoff | None = None,
        max_retries: float | None = None,
        status_retries: float | None = None,
    ) -> dict[str, Any]:
        """Wait until the job runs or has ended already.

        Args:
            job_id: A job's id or ARN.
            delay: Seconds before the first check, give or take one; None for a moment drawn between
                `DEFAULT_DELAY_MIN` and `DEFAULT_DELAY_MAX`.
            backoff: When to check again; None for the client's.
            max_retries: Checks after the first; None for the client's.
            status_retries: How many answers in a row may lack the job (such checks do not count for
                ``max_retries``); None for the client's.

        Returns:
            The description with the status that ended the wait.

        Raises:
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it run.
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job, or no longer.
            DescribeError: DescribeJobs failed for good.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        match_status = (self.RUNNING_STATE, *self._terminal_states)
        result = await self._watch(
            job_id,
            self._pause(delay),
            match_status,
            backoff=backoff,
            max_retries=max_retries,
            status_retries=status_retries,
        )
        return result.description()

    async def poll_for_job_complete(
        self,
        job_id: str,
        delay: float | None = None,
        *,
        backoff: Backoff | None = None,
        max_retries: float | None = None,
        status_retries: float | None = None,
    ) -> dict[str, Any]:
        """Wait until the job has ended, as SUCCEEDED or FAILED.

        Arguments and errors are those of `poll_for_job_running`.

        Returns:
            The final description.
        """
        result = await self._watch(
            job_id,
            self._pause(delay),
            self._terminal_states,
            backoff=backoff,
            max_retries=max_retries,
            status_retries=status_retries,
        )
        return result.description()

    async def wait_for_job(
        self,
        job_id: str,
        delay: float | None = None,
        get_batch_log_fetcher: GetBatchLogFetcher | None = None,
        *,
        backoff: Backoff | None = None,
        max_retries: float | None = None,
        status_retries: float | None = None,
    ) -> dict[str, Any]:
        """Wait until the job runs, then until it has ended.

        It does not raise for a job that failed: look at ``["status"]``, or call `check_job_success`.

        Args:
            job_id: A job's id or ARN.
            delay: As for `poll_for_job_running`, before each of the two.
            get_batch_log_fetcher: Called with the job's id once the job runs; may return something with ``start``,
                ``stop`` and ``join``, called as Airflow calls them: the last two when the wait is over, however it
                ends. It and they may be coroutine functions; a ``join`` that blocks does so in a thread, and keeps the
                process from exiting if it never returns.
            backoff: When to check again; None for the client's.
            max_retries: Checks after the first, for each of the two; None for the client's.
            status_retries: How many answers in a row may lack the job (such checks do not count for
                ``max_retries``); None for the client's.

        Returns:
            The final description.

        Raises:
            MaxRetriesExceededError: ``max_retries`` + 1 checks did not see it run, or then end.
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job, or no longer.
            DescribeError: DescribeJobs failed for good.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        job = await self.poll_for_job_running(
            job_id, delay, backoff=backoff, max_retries=max_retries, status_retries=status_retries
        )
        job_id, known = job["jobId"], Known(interned(job["status"]), order_of(job))
        if known.status not in self._terminal_states:
            # The wait may last for days, and a description takes more memory than all else of it.
            job = {}
        fetching = (
            nullcontext()
            if get_batch_log_fetcher is None
            else self._supervisor.log_fetchers.beside(get_batch_log_fetcher, job_id)
        )
        async with fetching:
            if job:
                return job
            result = await self._watch(
                job_id,
                self._pause(delay),
                self._terminal_states,
                backoff=backoff,
                max_retries=max_retries,
                status_retries=status_retries,
                known=known,
            )
            return result.description()

    async def check_job_success(self, job_id: str) -> bool:
        """Look at the job once.

        Returns:
            True if it succeeded; all else raises.

        Raises:
            JobFailedError: It failed.
            JobNotCompleteError: It has not ended yet.
            UnknownJobStatusError: It has a status that is not known.
            InvalidJobIdError: It cannot be a job's id.
            JobNotFoundError: AWS Batch does not know the job.
            DescribeError: DescribeJobs failed.
            ClientClosedError: The client is not open.
        """
        job = await self.describe(job_id)
        job_id, status = one_line(job["jobId"]), one_line(job["status"])
        if status == self.SUCCESS_STATE:
            return True
        if status == self.FAILURE_STATE:
            reason = one_line(str(job.get("statusReason") or "AWS Batch gives no reason"))
            attempts = len(JobFailedError(job=job).attempts)
            if attempts:
                history = f"after {quantity(attempts, 'attempt', 'attempts')}"
                advice = "get_job_awslogs_info tells where its log is"
            else:
                history, advice = "before its first attempt", "mend that and submit it again"
            message = f"AWS Batch job ({job_id}) failed {history}: {reason.rstrip('. ')}; {advice}"
            raise JobFailedError(message, job=job)
        if status in self.INTERMEDIATE_STATES:
            message = (
                f"AWS Batch job ({job_id}) is not complete: it is {status}; wait_for_job waits for its end"
            )
            raise JobNotCompleteError(message, job=job)
        message = f"AWS Batch job ({job_id}) has unknown status: {status}; a newer awaitbatch may know it"
        raise UnknownJobStatusError(message, job=job)

    # Submitting and ending jobs.

    async def submit_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Submit a job, at most once.

        SubmitJob has no idempotency token, so it is sent again only when AWS has certainly not taken the job: after a
        throttle, or when no connection was made. That is done ``status_retries`` times in all.

        Args:
            kwargs: As for boto3's ``submit_job``: ``jobName``, ``jobQueue``, ``jobDefinition`` and so on.

        Returns:
            What boto3 returns: ``{"jobId": ..., "jobName": ..., "jobArn": ...}``.

        Raises:
            SubmitUncertainError: There was no answer (a time-out, a lost connection, a server error), or one without
                the job's id, so the job may or may not have been submitted.
            botocore.exceptions.ClientError: AWS refused it.
            ClientClosedError: The client is not open.
        """
        for tries in itertools.count(1):
            self._supervisor.check_open()
            try:
                return _with_job_id(await self._transport.submit_job(**kwargs))
            except Exception as error:
                may_be_sent_again = is_throttle(error) or was_not_sent(error)
                if not may_be_sent_again and leaves_open_whether_done(error):
                    raise _submit_uncertain(kwargs, error, tries) from error
                if not may_be_sent_again or tries >= self.status_retries:
                    raise
                write_log(logging.DEBUG, "SubmitJob was not taken and is sent again: %s", error_line(error))
            await anyio.sleep(self.exponential_delay(tries))
        raise AssertionError

    async def cancel_job(self, job_id: str, reason: str) -> dict[str, Any]:
        """Cancel a job that has not started; one that has goes on, and that is no error.

        Args:
            job_id: A job's id or ARN.
            reason: At most 1024 characters, for the job's record.

        Raises:
            InvalidJobIdError: It cannot be a job's id.
            botocore.exceptions.ClientError: AWS refused it.
            ClientClosedError: The client is not open.
        """
        self._supervisor.check_open(job_id)
        return await self._transport.cancel_job(jobId=parse_job_id(job_id), reason=reason)

    async def terminate_job(self, job_id: str, reason: str) -> dict[str, Any]:
        """End a job whatever its state; it will be FAILED.

        Args:
            job_id: A job's id or ARN.
            reason: At most 1024 characters, for the job's record.

        Raises:
            InvalidJobIdError: It cannot be a job's id.
            botocore.exceptions.ClientError: AWS refused it.
            ClientClosedError: The client is not open.
        """
        self._supervisor.check_open(job_id)
        return await self._transport.terminate_job(jobId=parse_job_id(job_id), reason=reason)

    # Logs.

    async def get_job_awslogs_info(self, job_id: str) -> dict[str, str] | None:
        """Where the CloudWatch log of the job's latest attempt is.

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
            Items as of `get_job_awslogs_info`; none, with a warning in the log that says why, for jobs on Amazon EKS,
            jobs with another log driver than awslogs, and jobs that have not come to RUNNING yet.

        Raises:
            JobNotFoundError: And the other errors of `describe`.
        """
        job = await self.describe(job_id)
        infos, obstacle = find_log_locations(job, self._transport.region_name)
        if obstacle is not None:
            write_log(
                logging.WARNING,
                "AWS Batch job (%s) has no CloudWatch log: %s",
                job["jobId"],
                one_line(obstacle),
            )
        return infos

    # Airflow's arithmetic.

    @staticmethod
    async def delay(delay: float | None = None) -> None:
        """Pause without blocking the event loop.

        Args:
            delay: Seconds, give or take one; None for a pause drawn between `DEFAULT_DELAY_MIN` and
                `DEFAULT_DELAY_MAX`.
        """
        pause = _drawn_pause(delay, BatchClient.DEFAULT_DELAY_MIN, BatchClient.DEFAULT_DELAY_MAX)
        await anyio.sleep(pause.latest)

    @staticmethod
    def parse_job_description(job_id: str, response: dict[str, Any]) -> dict[str, Any]:
        """Pick a job out of an answer to DescribeJobs.

        Raises:
            JobNotFoundError: The answer has not exactly one job of that id.
        """
        found: list[dict[str, Any]] = [job for job in response.get("jobs", []) if job.get("jobId") == job_id]
        if len(found) != 1:
            message = (
                f"AWS Batch job ({one_line(job_id)}) description error: {len(found)} jobs of that id in the response; "
                "describe it again, or use BatchClient.describe, which does"
            )
            raise JobNotFoundError(message, job_id=job_id, seen=bool(found))
        return found[0]

    @staticmethod
    def add_jitter(delay: float, width: float = 1, minima: float = 0) -> float:
        """Draw a pause uniformly from ``delay`` ± ``width`` seconds, but at least ``minima``; signs are ignored."""
        return schedules.add_jitter(_random, delay, width, minima)

    @staticmethod
    def exponential_delay(tries: int) -> float:
        """Draw a pause uniformly from d/3 … d seconds, where d = min(600, 1 + (0.6 · ``tries``)²)."""
        return schedules.exponential_delay(_random, tries)

    # What the methods above share.

    @property
    def _terminal_states(self) -> tuple[str, str]:
        return (self.SUCCESS_STATE, self.FAILURE_STATE)

    @property
    def max_retries(self) -> float:
        """Checks after the first that a poll may make, unless it is told otherwise."""
        return self.MAX_RETRIES if self._max_retries is None else self._max_retries

    @property
    def status_retries(self) -> float:
        """How often to try to get a job's description, unless told otherwise."""
        return self.STATUS_RETRIES if self._status_retries is None else self._status_retries

    def _rules(
        self,
        match_status: Container[str] | None,
        *,
        backoff: Backoff | None = None,
        max_retries: float | None = None,
        status_retries: float | None = None,
    ) -> Rules:
        max_retries = self.max_retries if max_retries is None else max_retries
        status_retries = self.status_retries if status_retries is None else status_retries
        _require(lambda bound: bound >= 0, "max_retries", max_retries, "at least 0, or math.inf for no bound")
        _require(
            lambda bound: bound >= 1, "status_retries", status_retries, "at least 1, or math.inf for no bound"
        )
        if backoff is not None:
            _require(
                lambda given: isinstance(given, Backoff) and not isinstance(given, type),
                "backoff",
                backoff,
                "an object with window(tries), as FixedInterval(5)",
            )
        return {
            "match_status": match_status,
            "max_retries": max_retries,
            "status_retries": status_retries,
            "backoff": self._backoff if backoff is None else backoff,
        }

    def _pause(self, delay: float | None) -> Window:
        """The pause before a first check, as a window: jobs that pause at the same time can share calls."""
        return _drawn_pause(delay, self.DEFAULT_DELAY_MIN, self.DEFAULT_DELAY_MAX)

    def _watch(
        self,
        job_id: str,
        window: Window,
        match_status: Container[str] | None,
        *,
        known: Known | None = None,
        **limits: Unpack[_Limits],
    ) -> Coroutine[Any, Any, WaitResult]:
        # No coroutine function itself: a frame, and what it holds, fewer for each of many thousand waits.
        rules = self._rules(match_status, **limits)
        self._supervisor.check_open(job_id)
        return self._supervisor.coalescer.watch(parse_job_id(job_id), window, known=known, **rules)


def _drawn_pause(delay: float | None, least: float, most: float) -> Window:
    """From the least possible moment to the one drawn."""
    if delay is None:
        earliest, latest = min(least, most), max(least, most)
    else:
        _require(math.isfinite, "delay", delay, "a number of seconds")
        earliest, latest = schedules.jitter_bounds(delay)
    return Window(earliest, _random.uniform(earliest, latest))


def _is_duration(seconds: float) -> bool:
    return 0 <= seconds < math.inf


def _require(holds: Callable[[Any], bool], name: str, value: object, expected: str) -> None:
    try:
        error: type[Exception] | None = None if holds(value) else ValueError
    except TypeError:
        error = TypeError
    if error is not None:
        message = f"{name} must be {expected}, not {value!r}"
        raise error(message)


def _refuse_contradictions(settings: dict[str, Any], **sources: object) -> None:
    given = [name for name, source in sources.items() if source is not None]
    if len(given) > 1:
        message = f"give only one of {', '.join(given)}"
        raise ValueError(message)
    if settings and given in (["client"], ["transport"]):
        message = f"{', '.join(settings)} cannot be changed: {given[0]}= comes with its own settings"
        raise ValueError(message)


def _with_job_id(answer: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(answer.get("jobId"), str):
        message = "the answer to SubmitJob has no jobId"
        raise UnreadableResponseError(message)
    return answer


def _submit_uncertain(request: dict[str, Any], error: Exception, tries: int) -> SubmitUncertainError:
    job_name = str(request.get("jobName", ""))
    message = (
        f"AWS Batch job named {one_line(repr(job_name))} may or may not have been submitted "
        f"after {quantity(tries, 'try', 'tries')}: {one_line(text_of(error)).rstrip('. ')}; "
        "look for it by its name before you submit it again"
    )
    return SubmitUncertainError(message, job_name=job_name)
