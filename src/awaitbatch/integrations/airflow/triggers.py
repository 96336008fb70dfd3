"""Triggers that wait by the shared client of their connection; whatever they take and give is as the provider has it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon.aws.triggers import batch as provider
from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from awaitbatch._client import WaitLimits
from awaitbatch._core.backoff import FixedInterval
from awaitbatch._core.text import error_line
from awaitbatch._failure_causes import explain_failure
from awaitbatch._jobs import JobStatus
from awaitbatch.errors import AwaitBatchError, JobFailedError, JobNotFoundError, MaxRetriesExceededError
from awaitbatch.integrations.airflow._brief import brief_of
from awaitbatch.integrations.airflow._kills import TELLS_OF_KILLS, carry_out, is_killed
from awaitbatch.integrations.airflow._task_log import TaskLog
from awaitbatch.integrations.airflow.hooks import AwaitBatchHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch._client import BatchClient

_SHORTEST_DELAY: Final = 0.1
"""What a ``waiter_delay`` of 0 comes to, in seconds."""
_TROUBLE: Final = (AwaitBatchError, AirflowException, BotoCoreError, ClientError, OSError)
"""Errors that a task is told of as an event; any other is a bug, and fails the trigger with its traceback."""


class BatchJobTrigger(provider.BatchJobTrigger):  # type: ignore[misc]
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
        try:
            async with _client_of(self) as client:
                job = await self._wait_with(client, log)
        except _TROUBLE as error:
            return self._error(error_line(error) if isinstance(error, OSError) else str(error), **_known(error))
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

    async def _wait_with(self, client: BatchClient, log: TaskLog) -> dict[str, Any]:
        limits: Any = {"backoff": FixedInterval(max(self.waiter_delay, _SHORTEST_DELAY))}
        checks = math.inf if self.attempts is None else self.attempts
        if "on_change" in WaitLimits.__annotations__:
            limits["on_change"] = log.on_change
        while True:
            try:
                return await client.poll_for_job_complete(
                    self.job_id or "", max_retries=max(checks - 1, 0), **limits
                )
            except MaxRetriesExceededError as error:
                if not error.failed_checks:
                    raise
                # They were not the job's fault, so it is given as many more.
                checks = error.failed_checks

    def _error(self, message: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"status": "error", "message": message, self.return_key: self.return_value, **more}

    async def _terminate_if_killed(self) -> None:
        try:
            is_killed = await self.safe_to_cancel()
        except Exception as error:  # noqa: BLE001
            text = "Whether the task was killed is not known, so AWS Batch job (%s) goes on: %s"
            self.log.warning(text, self.job_id, error_line(error))
            return
        if is_killed:
            await self._terminate()

    async def _terminate(self) -> None:
        """Terminate the job by way of the shared client, which paces it and tries again; say what came of it."""
        try:
            async with _client_of(self) as client:
                await client.terminate_job(self.job_id or "", self._reason())
        except Exception as error:  # noqa: BLE001
            text = "AWS Batch job (%s) could not be terminated and may go on: %s"
            self.log.error(text, self.job_id, error_line(error))  # noqa: TRY400
        else:
            self.log.info("AWS Batch job (%s) terminated, as its task was ended by a user", self.job_id)

    def _reason(self) -> str:
        task = self.task_instance
        named = "" if task is None else f" {task.task_id} of DAG {task.dag_id}, run {task.run_id}"
        return f"The Airflow task{named} was ended by a user"[:1024]


def _client_of(trigger: Any) -> BatchClient:  # noqa: ANN401
    hook = AwaitBatchHook(
        trigger.aws_conn_id, trigger.region_name, verify=trigger.verify, config=trigger.botocore_config
    )
    return hook.client()


def _known(error: BaseException) -> dict[str, Any]:
    """What an error tells of the job's state."""
    match error:
        case MaxRetriesExceededError():
            return {"job_status": error.last_status, "reason": error.last_reason}
        case JobNotFoundError():
            return {"job_status": None}
    return {}
