"""Triggers that wait by the shared client of their connection; what they take and give is as the provider has it."""

from __future__ import annotations

import asyncio
import math
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon.aws.triggers import batch as provider
from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from awaitbatch._core.backoff import FixedInterval
from awaitbatch._core.text import error_line
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
from awaitbatch.integrations.airflow._brief import brief_of
from awaitbatch.integrations.airflow._kills import TELLS_OF_KILLS, carry_out, is_killed
from awaitbatch.integrations.airflow._task_log import TaskLog
from awaitbatch.integrations.airflow.hooks import AwaitBatchHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

    from awaitbatch._client import BatchClient

_CLIENT: Final = "awaitbatch._client"
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


class BatchJobTrigger(provider.BatchJobTrigger):
    """Waits until a job has ended; jobs of all triggers of the same connection share DescribeJobs calls.

    Events are the provider's, and say more: ``{"status": "success", "job_id": …}`` or ``{"status": "error",
    "message": …, "job_id": …}``, both with ``job``, a part of the job's last description, if there is one. If the job
    failed, ``message`` says why, and ``reason``, ``cause`` (a `FailureCause`) and ``exit_code`` say it for programs.

    Checks that were throttled, or failed by AWS's or the network's fault, do not count as attempts.

    Args:
        job_id: The job.
        cancel_on_kill: Whether to terminate the job if a user ends the deferred task: marks it failed or succeeded, or
            clears it. Airflow 3.3 and newer tell a trigger of that. On older ones it looks for itself, as other
            triggers of the provider do, whether its task is still deferred when it is cancelled.
        kwargs: As for the provider's: ``region_name``, ``aws_conn_id``, ``waiter_delay`` (seconds within which a job is
            checked once), ``waiter_max_attempts``, ``verify`` and ``botocore_config``.
    """

    def __init__(self, *, job_id: str | None, cancel_on_kill: bool = True, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(job_id=job_id, **kwargs)
        self.job_id = job_id
        self.cancel_on_kill = cancel_on_kill
        if not cancel_on_kill:
            self.serialized_fields["cancel_on_kill"] = False

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say how it ended."""
        try:
            event = await self._wait()
        except asyncio.CancelledError:
            if self.cancel_on_kill and not TELLS_OF_KILLS:
                await carry_out(self._terminate_if_killed())
            raise
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Terminate the job; Airflow 3.3 calls this if a user ends the task.

        It goes on if Airflow cancels it, as it does again and again, or when its time is up.
        """
        if self.cancel_on_kill:
            await carry_out(self._terminate())

    async def safe_to_cancel(self) -> bool:
        """Whether the task is no longer deferred, so that a cancellation is a user's and not that of a triggerer."""
        return await is_killed(self.task_instance)

    async def _wait(self) -> dict[str, Any]:
        """What became of the job, as the payload of an event."""
        log = TaskLog(self.log.info)
        delay = max(self.waiter_delay, _SHORTEST_DELAY)

        def poll(client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
            absences = max(_LEAST_ABSENCES, math.ceil(_GRACE / delay))
            limits |= {"on_change": log.on_change, "status_retries": absences}
            return client.poll_for_job_complete(self.job_id or "", **limits)

        try:
            job: JobDetailTypeDef = await _wait_patiently(self, poll, lambda: log.is_begun)
        except _TROUBLE as error:
            return self._error(
                _text_of(error),
                job_status=getattr(error, "last_status", None),
                reason=getattr(error, "last_reason", None),
            )
        finally:
            log.close()
        job_in_brief = brief_of(job)
        if job["status"] == JobStatus.SUCCEEDED:
            return {"status": "success", self.return_key: self.return_value, "job": job_in_brief}
        why = explain_failure(job)
        message = str(JobFailedError.from_job(job))
        return self._error(
            message, reason=why.reason, cause=str(why.cause), exit_code=why.exit_code, job=job_in_brief
        )

    def _error(self, message: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"status": "error", "message": message, self.return_key: self.return_value, **more}

    async def _terminate_if_killed(self) -> None:
        try:
            is_killed = await self.safe_to_cancel()
        except Exception as error:  # noqa: BLE001
            text = f"Whether the task was killed is not known, so {self._shown} goes on: {error_line(error)}"
            TaskLog(self.log.warning).add(text)
            return
        if is_killed:
            await self._terminate()

    async def _terminate(self) -> None:
        """Terminate the job by way of the shared client, which paces it and tries again; say what came of it."""
        try:
            async with await _client_of(self) as client:
                await client.terminate_job(self.job_id or "", self._reason())
        except Exception as error:  # noqa: BLE001
            text = f"{self._shown} could not be terminated and may go on: {error_line(error)}"
            TaskLog(self.log.error).add(text)
        else:
            TaskLog(self.log.info).add(f"{self._shown} terminated, as its task was ended by a user")

    @property
    def _shown(self) -> str:
        return f"AWS Batch job ({self.job_id})"

    def _reason(self) -> str:
        task = self.task_instance
        named = "" if task is None else f" {task.task_id} of DAG {task.dag_id}, run {task.run_id}"
        return f"The Airflow task{named} was ended by a user"[:1024]


class _ResourceTrigger(provider.AwsBaseWaiterTrigger):
    """Waits for something other than a job.

    Attributes:
        _method: The client's method that waits for it.
        _may_be_deleted: Whether the wait ends well, too, if it is deleted meanwhile.
        _may_be_unknown: The same if it was never there.
    """

    _method: str
    _may_be_deleted = True
    _may_be_unknown = False

    def hook(self) -> AwaitBatchHook:
        """What it waits with."""
        return _hook_of(self)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and say how it ended."""
        event = {"status": "success", self.return_key: self.return_value}
        try:
            await self._wait()
        except _TROUBLE as error:
            event |= {"status": "error", "message": _text_of(error)}
        yield TriggerEvent(event)

    async def _wait(self) -> None:
        try:
            await _wait_patiently(self, self._poll, lambda: False)
        except ResourceNotFoundError as error:
            if not (self._may_be_deleted if error.seen else self._may_be_unknown):
                raise

    def _poll(self, client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
        wait: Callable[..., Awaitable[Any]] = getattr(client, self._method)
        return wait(self.return_value, **limits)


class BatchCreateComputeEnvironmentTrigger(_ResourceTrigger, provider.BatchCreateComputeEnvironmentTrigger):
    """Waits until a compute environment that was just created is VALID; arguments and events are the provider's."""

    hook = provider.BatchCreateComputeEnvironmentTrigger.hook
    _method = "wait_for_compute_environment"
    _may_be_deleted = False

    def _poll(self, client: BatchClient, **limits: Any) -> Awaitable[Any]:  # noqa: ANN401
        # A new one may not be known everywhere yet, and the provider's waiter asks as often as it may.
        return super()._poll(client, status_retries=_attempts_of(self), **limits)


class BatchComputeEnvironmentTrigger(_ResourceTrigger):
    """Waits, for `BatchComputeEnvironmentSensor`, until a compute environment is VALID or DELETED.

    Events are ``{"status": "success", "value": …}`` or ``{"status": "error", "message": …, "value": …}``.

    Args:
        compute_environment: Its name or ARN.
        waiter_delay: Seconds from check to check.
        waiter_max_attempts: Checks at most; None for no limit.
        kwargs: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
    """

    _method = "wait_for_compute_environment"

    def __init__(
        self,
        *,
        compute_environment: str,
        waiter_delay: float = 60,
        waiter_max_attempts: int | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(
            serialized_fields={"compute_environment": compute_environment},
            return_value=compute_environment,
            **_waiter(waiter_delay, waiter_max_attempts),
            **kwargs,
        )


class BatchJobQueueTrigger(_ResourceTrigger):
    """Waits, for `BatchJobQueueSensor`, until a job queue is VALID or DELETED.

    Events are ``{"status": "success", "value": …}`` or ``{"status": "error", "message": …, "value": …}``.

    Args:
        job_queue: Its name or ARN.
        treat_non_existing_as_deleted: Whether a queue that AWS Batch does not know counts as DELETED.
        waiter_delay: Seconds from check to check.
        waiter_max_attempts: Checks at most; None for no limit.
        kwargs: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
    """

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
        super().__init__(
            serialized_fields={
                "job_queue": job_queue,
                "treat_non_existing_as_deleted": treat_non_existing_as_deleted,
            },
            return_value=job_queue,
            **_waiter(waiter_delay, waiter_max_attempts),
            **kwargs,
        )
        self._may_be_unknown = treat_non_existing_as_deleted


def _waiter(delay: float, attempts: int | None) -> dict[str, Any]:
    """What the provider's base of triggers takes; it describes a waiter of botocore's, which none of ours uses."""
    return {
        "waiter_name": "",
        "waiter_args": {},
        "failure_message": "",
        "status_message": "",
        "status_queries": [],
        "waiter_delay": delay,
        "waiter_max_attempts": attempts,
    }


def _hook_of(trigger: Any) -> AwaitBatchHook:  # noqa: ANN401
    return AwaitBatchHook(
        trigger.aws_conn_id, trigger.region_name, verify=trigger.verify, config=trigger.botocore_config
    )


async def _client_of(trigger: Any) -> BatchClient:  # noqa: ANN401
    # It is among the modules, but has nothing yet, while another thread imports it.
    if not hasattr(sys.modules.get(_CLIENT), "BatchClient"):
        # It takes a third of a second, for which a triggerer must not stand still.
        await asyncio.to_thread(import_module, _CLIENT)
    return _hook_of(trigger).client()


async def _wait_patiently(
    trigger: Any,  # noqa: ANN401
    poll: Callable[..., Awaitable[Any]],
    was_seen: Callable[[], bool],
) -> Any:  # noqa: ANN401
    """Wait by the shared client, and begin again if the wait ends first, but not for good.

    Args:
        trigger: Whose connection, delay and attempts count.
        poll: Called with the client, and with ``backoff`` and ``max_retries``.
        was_seen: Whether what is awaited was ever seen.
    """
    loop = asyncio.get_running_loop()
    good_until = loop.time()
    while True:
        began = loop.time()
        try:
            async with await _client_of(trigger) as client:
                return await _wait_with(trigger, partial(poll, client), was_seen)
        except (ClientClosedError, DescribeError, CallError) as error:
            now = loop.time()
            if now > began + _PATIENCE_AT_FIRST * 2:
                # Nothing takes so long to be given up: it was seen meanwhile.
                good_until = now
            patience = _PATIENCE if was_seen() else _PATIENCE_AT_FIRST
            if now > good_until + patience or not _may_pass(error):
                raise
        await asyncio.sleep(_PAUSE)


async def _wait_with(trigger: Any, poll: Callable[..., Awaitable[Any]], was_seen: Callable[[], bool]) -> Any:  # noqa: ANN401
    """Wait for as many checks as there are attempts, without those that have failed by no fault of what is awaited."""
    delay = max(trigger.waiter_delay, _SHORTEST_DELAY)
    checks = _attempts_of(trigger)
    loop = asyncio.get_running_loop()
    patient_until = loop.time() + max(_PATIENCE, delay * checks)
    while True:
        try:
            return await poll(backoff=FixedInterval(delay), max_retries=checks - 1)
        except MaxRetriesExceededError as error:
            # This round of checks may have seen nothing, but an earlier one may have.
            is_seen = was_seen() or error.last_status is not None
            if not error.failed_checks or (loop.time() > patient_until and not is_seen):
                raise
            checks = error.failed_checks


def _attempts_of(trigger: Any) -> float:  # noqa: ANN401
    return math.inf if trigger.attempts is None else max(trigger.attempts, 1)


def _may_pass(error: ClientClosedError | DescribeError | CallError) -> bool:
    """Whether the next try may be better: if the credentials are at fault, or it was a client that has broken down."""
    if isinstance(error, ClientClosedError):
        return True
    return error.needs_new_credentials or error.http_status in {401, 403}


def _text_of(error: Exception) -> str:
    """What an error says; texts of ours say it all, and those of others may be empty."""
    return str(error) if isinstance(error, AwaitBatchError | AirflowException) else error_line(error)
