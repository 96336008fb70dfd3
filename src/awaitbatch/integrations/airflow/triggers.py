"""Triggers that wait by the shared client of their connection; what they take and give is as the provider has it."""

from __future__ import annotations

import asyncio
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from awaitbatch._core.backoff import FixedInterval
from awaitbatch._core.text import error_line, quantity
from awaitbatch._failure_causes import explain_failure
from awaitbatch._jobs import JobStatus
from awaitbatch.errors import (
    AwaitBatchError,
    CallError,
    ClientClosedError,
    DescribeError,
    JobFailedError,
    MaxRetriesExceededError,
    ResourceNotFoundError,
)
from awaitbatch.integrations.airflow._base import AwsTrigger
from awaitbatch.integrations.airflow._brief import brief_of
from awaitbatch.integrations.airflow._kills import (
    TELLS_OF_KILLS,
    begin,
    carry_out,
    is_kill,
    is_killed,
    is_moved,
    terminate,
)
from awaitbatch.integrations.airflow._task_log import TaskLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from awaitbatch._client import BatchClient

_SHORTEST_DELAY: Final = 0.1
"""What a ``waiter_delay`` of 0 comes to, in seconds."""
_PATIENCE: Final = 3600.0
"""Seconds for which a job is waited for that cannot be seen, as without a permission that it could be seen with before.

An error would have the job terminated, and its task started again.
"""
_PATIENCE_AT_FIRST: Final = 300.0
"""The same of a job that this trigger has never seen: it may be that it never will."""
_PAUSE: Final = 30.0
"""Seconds until it tries again."""
_GRACE: Final = 20.0
"""Seconds for which a job may be absent from answers: it may have been submitted a moment ago."""
_LEAST_ABSENCES: Final = 3
"""Answers in a row that have to lack it all the same."""
_TROUBLE: Final = (AwaitBatchError, AirflowException, BotoCoreError, ClientError, OSError)
"""Errors that a task is told of as an event; any other is a bug, and fails the trigger with its traceback."""


class _Trigger(AwsTrigger):
    """Waits, and begins again if the wait ends before what it waits for has."""

    def _poll(self, client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
        """Wait by the client, with ``backoff`` and ``max_retries``."""
        raise NotImplementedError

    def _was_seen(self) -> bool:
        """Whether what is awaited was ever seen."""
        return False

    async def _wait_patiently(self) -> Any:  # noqa: ANN401
        """Wait by the shared client, and begin again if the wait ends first, but not for good."""
        clock = asyncio.get_running_loop().time
        good_until = clock()
        while True:
            began = clock()
            try:
                async with (await self._connection()).client() as client:
                    return await self._wait_with(client)
            except (ClientClosedError, DescribeError, CallError) as error:
                if clock() > began + _PATIENCE_AT_FIRST * 2:
                    # Nothing takes so long to be given up: it was seen meanwhile.
                    good_until = clock()
                patience = _PATIENCE if self._was_seen() else _PATIENCE_AT_FIRST
                if clock() > good_until + patience or not _may_pass(error):
                    raise
            await asyncio.sleep(_PAUSE)

    async def _wait_with(self, client: BatchClient) -> Any:  # noqa: ANN401
        """Wait for as many checks as there are attempts, and for as long as these take the provider's trigger.

        Checks that fail by no fault of what is awaited do not count. Those that calls for others have made early take
        nothing from the time, which is what users mean by a number of attempts.
        """
        checks, made = self._checks, 0
        clock = asyncio.get_running_loop().time
        began = clock()
        patient_until = began + max(_PATIENCE, self._delay * checks)
        while True:
            try:
                return await self._poll(client, backoff=_every(self._delay), max_retries=checks - 1)
            except MaxRetriesExceededError as error:
                made += error.checks
                # This round of checks may have seen nothing, but an earlier one may have.
                is_seen = self._was_seen() or error.last_status is not None
                missing = (self._checks - 1) - (clock() - began) / self._delay
                # A round begins with a check at once.
                checks = max(error.failed_checks, math.floor(missing) + 1 if missing >= 1 else 0)
                if not checks or (error.failed_checks and clock() > patient_until and not is_seen):
                    raise self._exceeded(error, made) from error.__cause__

    def _exceeded(self, error: MaxRetriesExceededError, checks: int) -> MaxRetriesExceededError:
        """The error of the last round, with the checks of all; it does not say that a job goes on, which may end."""
        status, reason, cause = error.last_status, error.last_reason, error.__cause__
        seen = "never seen" if status is None else f"last seen as {status}"
        if status and reason:
            seen = f"{seen} ({reason.rstrip('. ')})"
        advice = "raise max_retries to wait longer"
        if cause is not None:
            seen = f"{seen}, the last one failed ({error_line(cause)})"
            advice = "see to it that triggerers reach AWS Batch"
        many = quantity(checks, "check", "checks")
        message = f"{self._shown} status checks exceed max_retries: {many}, {seen}; {advice}"
        return MaxRetriesExceededError(message, checks=checks, last_status=status, last_reason=reason)

    @property
    def _delay(self) -> float:
        return max(self.waiter_delay, _SHORTEST_DELAY)

    @property
    def _checks(self) -> float:
        return math.inf if self.attempts is None else max(self.attempts, 1)

    @property
    def _shown(self) -> str:
        return f"AWS Batch {self.noun} ({self.return_value})"

    def _event(self, status: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"status": status, self.return_key: self.return_value, **more}


class BatchJobTrigger(_Trigger):
    """Waits until a job has ended; jobs of all triggers of the same connection share DescribeJobs calls.

    Events are the provider's, and say more: ``{"status": "success", "job_id": …}`` or ``{"status": "error",
    "message": …, "job_id": …}``, both with ``job``, a part of the job's last description, if there is one. If the job
    failed, ``message`` says why, and ``reason``, ``cause`` (a `FailureCause`) and ``exit_code`` say it for programs.

    Checks that were throttled, or failed by AWS's or the network's fault, do not count as attempts.

    Args:
        job_id: The job.
        waiter_delay: Seconds within which a job is checked once.
        waiter_max_attempts: How many times ``waiter_delay`` it waits.
        cancel_on_kill: Whether to terminate the job if a user ends the deferred task: marks it failed or succeeded, or
            clears it. When it is cancelled it looks whether its task is still deferred, as other triggers of the
            provider do. Airflow 3.3 tells a trigger of kills, but may be wrong: see `on_kill`.
        kwargs: As for the provider's: ``region_name``, ``aws_conn_id``, ``verify`` and ``botocore_config``.
    """

    awaited = return_key = "job_id"
    noun = "job"
    _task_log: TaskLog | None = None
    _termination: asyncio.Task[None] | None = None

    def __init__(
        self,
        *,
        job_id: str | None,
        waiter_delay: float = 5,
        waiter_max_attempts: int | None = 720,
        cancel_on_kill: bool = True,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, waiter_max_attempts=waiter_max_attempts, **kwargs)
        self.job_id = job_id
        self.cancel_on_kill = cancel_on_kill

    def _own_arguments(self) -> dict[str, Any]:
        return {"job_id": self.job_id} | ({} if self.cancel_on_kill else {"cancel_on_kill": False})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say how it ended."""
        try:
            event = await self._wait()
        except asyncio.CancelledError as error:
            if self.cancel_on_kill and not TELLS_OF_KILLS:
                await carry_out(self._terminate_if_killed())
            elif self.cancel_on_kill and is_kill(error, self):
                # Airflow writes a line before it calls `on_kill`. If many are killed that takes a while, and whoever
                # is cancelled once more meanwhile, as happens each second, is never called.
                self._termination = begin(self._terminate_unless_moved())
            raise
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Terminate the job if a user has ended the task.

        Airflow 3.3 calls this then, but also if another triggerer has taken over the trigger from this one.

        The termination goes on if Airflow cancels this, as it does again and again, or when its time is up.
        """
        if self.cancel_on_kill:
            self._termination = self._termination or begin(self._terminate_unless_moved())
            await asyncio.shield(self._termination)

    async def safe_to_cancel(self) -> bool:
        """Whether the task is no longer deferred, so that a cancellation is a user's and not that of a triggerer."""
        return await is_killed(self.task_instance)

    async def _wait(self) -> dict[str, Any]:
        """What became of the job, as the payload of an event."""
        self._task_log = TaskLog(self._tell)
        try:
            job = await self._wait_patiently()
        except _TROUBLE as error:
            last_status, last_reason = (
                getattr(error, "last_status", None),
                getattr(error, "last_reason", None),
            )
            return self._event("error", message=_text_of(error), job_status=last_status, reason=last_reason)
        finally:
            self._task_log.close()
        if job["status"] == JobStatus.SUCCEEDED:
            return self._event("success", job=brief_of(job))
        why = explain_failure(job)
        return self._event(
            "error",
            message=str(JobFailedError.from_job(job)),
            reason=why.reason,
            cause=str(why.cause),
            exit_code=why.exit_code,
            job=brief_of(job),
        )

    def _was_seen(self) -> bool:
        return self._task_log is not None and self._task_log.was_seen

    def _poll(self, client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
        absences = max(_LEAST_ABSENCES, math.ceil(_GRACE / self._delay))
        on_change = self._task_log.on_change if self._task_log is not None else None
        limits |= {"on_change": on_change, "status_retries": absences}
        return client.poll_for_job_complete(self.job_id or "", **limits)

    def _tell(self, line: str) -> None:
        # The logger is one for all: where a line goes is in its context.
        self.logger().info(line)

    async def _terminate_if_killed(self) -> None:
        try:
            is_killed = await self.safe_to_cancel()
        except Exception as error:  # noqa: BLE001
            text = f"Whether the task was killed is not known, so {self._shown} goes on: {error_line(error)}"
            TaskLog(self.log.warning).add(text)
            return
        if is_killed:
            await self._terminate()

    async def _terminate_unless_moved(self) -> None:
        if await is_moved(self.task_instance, self.job_id):
            text = f"{self._shown} goes on: its task is still deferred, and another triggerer waits for it"
            TaskLog(self.log.info).add(text)
        else:
            await self._terminate()

    async def _terminate(self) -> None:
        """Terminate the job by way of the shared client, which paces it and tries again; say what came of it."""
        try:
            await terminate(await self._connection(), self.job_id or "", self._reason())
        except Exception as error:  # noqa: BLE001
            text = f"{self._shown} could not be terminated and may go on: {error_line(error)}"
            TaskLog(self.log.error).add(text)
        else:
            TaskLog(self.log.info).add(f"{self._shown} terminated, as its task {self._was_ended}")

    @property
    def _was_ended(self) -> str:
        # Before 3.3, Airflow does not say which.
        return "was ended by a user" if TELLS_OF_KILLS else "was ended by a user, or timed out"

    def _reason(self) -> str:
        task = self.task_instance
        named = "" if task is None else f" {task.task_id} of DAG {task.dag_id}, run {task.run_id}"
        return f"The Airflow task{named} {self._was_ended}"[:1024]


class _ResourceTrigger(_Trigger):
    """Waits for something other than a job.

    Attributes:
        _method: The client's method that waits for it.
        _may_be_deleted: Whether the wait ends well, too, if it is deleted meanwhile.
        _may_be_unknown: The same if it was never there.
    """

    _method: ClassVar[str]
    _may_be_deleted = True
    _may_be_unknown = False

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say how it ended."""
        event = self._event("success")
        try:
            await self._wait()
        except _TROUBLE as error:
            event = self._event("error", message=_text_of(error))
        yield TriggerEvent(event)

    async def _wait(self) -> None:
        try:
            await self._wait_patiently()
        except ResourceNotFoundError as error:
            if not (self._may_be_deleted if error.seen else self._may_be_unknown):
                raise

    def _poll(self, client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
        wait: Callable[..., Awaitable[Any]] = getattr(client, self._method)
        return wait(self.return_value, **limits)


class BatchCreateComputeEnvironmentTrigger(_ResourceTrigger):
    """Waits until a compute environment that was just created is VALID; arguments and events are the provider's.

    Args:
        compute_env_arn: Its ARN.
        waiter_delay: Seconds from check to check.
        waiter_max_attempts: How many times ``waiter_delay`` it waits.
        kwargs: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
    """

    awaited = "compute_env_arn"
    noun = "compute environment"
    _method = "wait_for_compute_environment"
    _may_be_deleted = False

    def __init__(
        self,
        *,
        compute_env_arn: str,
        waiter_delay: float = 30,
        waiter_max_attempts: int | None = 10,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, waiter_max_attempts=waiter_max_attempts, **kwargs)
        self.compute_env_arn = compute_env_arn

    def _poll(self, client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
        # A new one may not be known everywhere yet, and the provider's waiter asks as often as it may.
        return super()._poll(client, status_retries=self._checks, **limits)


class BatchComputeEnvironmentTrigger(_ResourceTrigger):
    """Waits, for `BatchComputeEnvironmentSensor`, until a compute environment is VALID or DELETED.

    Events are ``{"status": "success", "value": …}`` or ``{"status": "error", "message": …, "value": …}``.

    Args:
        compute_environment: Its name or ARN.
        waiter_delay: Seconds from check to check.
        waiter_max_attempts: How many times ``waiter_delay`` it waits; None for no limit.
        kwargs: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
    """

    awaited = "compute_environment"
    noun = "compute environment"
    _method = "wait_for_compute_environment"

    def __init__(
        self,
        *,
        compute_environment: str,
        waiter_delay: float = 60,
        waiter_max_attempts: int | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, waiter_max_attempts=waiter_max_attempts, **kwargs)
        self.compute_environment = compute_environment


class BatchJobQueueTrigger(_ResourceTrigger):
    """Waits, for `BatchJobQueueSensor`, until a job queue is VALID or DELETED.

    Events are ``{"status": "success", "value": …}`` or ``{"status": "error", "message": …, "value": …}``.

    Args:
        job_queue: Its name or ARN.
        treat_non_existing_as_deleted: Whether a queue that AWS Batch does not know counts as DELETED.
        waiter_delay: Seconds from check to check.
        waiter_max_attempts: How many times ``waiter_delay`` it waits; None for no limit.
        kwargs: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
    """

    awaited = "job_queue"
    noun = "job queue"
    _method = "wait_for_job_queue"

    def __init__(
        self,
        *,
        job_queue: str,
        treat_non_existing_as_deleted: bool = False,
        waiter_delay: float = 60,
        waiter_max_attempts: int | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(waiter_delay=waiter_delay, waiter_max_attempts=waiter_max_attempts, **kwargs)
        self.job_queue = job_queue
        self._may_be_unknown = treat_non_existing_as_deleted

    def _own_arguments(self) -> dict[str, Any]:
        return super()._own_arguments() | {"treat_non_existing_as_deleted": self._may_be_unknown}


@lru_cache
def _every(seconds: float) -> FixedInterval:
    """The schedule of all who wait alike."""
    return FixedInterval(seconds)


def _may_pass(error: ClientClosedError | DescribeError | CallError) -> bool:
    """Whether the next try may be better: if the credentials are at fault, or it was a client that has broken down."""
    if isinstance(error, ClientClosedError):
        return True
    return error.needs_new_credentials or error.http_status in {401, 403}


def _text_of(error: Exception) -> str:
    """What an error says; texts of ours say it all, and those of others may be empty."""
    if not isinstance(error, AwaitBatchError | AirflowException):
        return error_line(error)
    # An operator has an argument of that name, which does not reach its trigger.
    return str(error).removesuffix(", or set status_retries to ask more often")
