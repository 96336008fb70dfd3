"""The provider's operators, deferring to the triggers of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.providers.amazon.aws.operators import batch as provider
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.providers.common.compat.sdk import AirflowException, get_current_context

from awaitbatch._core.text import error_line
from awaitbatch._jobs import JobStatus
from awaitbatch.errors import JobFailedError
from awaitbatch.integrations.airflow._deferral import DefersToOurs, tell, without_job

if TYPE_CHECKING:
    from airflow.sdk import Context

_TO_FAIL: Final = "__fail__"
"""The method at which Airflow lets a task go on whose trigger has failed or timed out."""


class BatchOperator(DefersToOurs, provider.BatchOperator):
    """Runs a job on AWS Batch, as the provider's operator; with ``deferrable=True`` it waits by the shared client.

    Args:
        cancel_on_kill: Whether to terminate the job if the deferred task ends first: because a user ends it, its
            ``execution_timeout`` passes, or the wait ends in an error. Otherwise the job would go on, and a retry of
            the task would submit a second one beside it.
        kwargs: As for the provider's.
    """

    def __init__(self, *, cancel_on_kill: bool = True, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.cancel_on_kill = cancel_on_kill

    def execute(self, context: Context) -> str | None:
        """Submit the job and wait for it; without what the trigger will need, nothing is submitted."""
        self.require_what_triggers_need()
        job_id: str | None = super().execute(context)
        return job_id

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Go on with what the event tells of the job, without asking for it again."""
        tell(self.hook, event)
        # Only a wait that has not seen the job's end tells of the last state that it has seen.
        if event and "job_status" in event:
            self._end_job(event["job_id"], f"The Airflow task gave up waiting: {event['message']}")
        job_id: str = super().execute_complete(context, without_job(event))
        return job_id

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:  # noqa: ANN401
        """As Airflow's, but a job whose task has timed out does not outlive it."""
        if next_method == _TO_FAIL and self.cancel_on_kill:
            if job_id := self._submitted(context):
                why = (next_kwargs or {}).get("error", "its trigger failed")
                self._end_job(job_id, f"The Airflow task ended before it: {why}")
            else:
                text = "The AWS Batch job of this task may go on: its id is not known, as there is no XCom %s"
                self.log.warning(text, BatchJobDetailsLink.key)
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """As the provider's, if there is a job.

        Airflow 2 calls this for a deferred task whose ``execution_timeout`` has passed, and does not resume it.
        """
        if self.job_id:
            super().on_kill()
        elif not AIRFLOW_V_3_0_PLUS and (job_id := self._submitted()):
            self._end_job(job_id, "The Airflow task was killed, or its execution_timeout has passed")

    def _persist_links(
        self, context: Context, job_description: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """As the provider's; but if the job has failed before the task defers, the error says why."""
        job: dict[str, Any] = super()._persist_links(context, job_description)
        if self.deferrable and job.get("status") == JobStatus.FAILED:
            self._persist_cloudwatch_link(context)
            why = JobFailedError.from_job({"jobId": self.job_id, **job})
            # It begins as the provider's, for whoever looks for that.
            message = f"Error while running job: {self.job_id} is in FAILED state: {why}"
            raise AirflowException(message)
        return job

    def _submitted(self, context: Context | None = None) -> str | None:
        """The job that this try of the task has submitted, if that is known: the provider keeps it for a link."""
        key = BatchJobDetailsLink.key
        try:
            task = (context or get_current_context())["ti"]
            details = task.xcom_pull(task_ids=self.task_id, key=key, map_indexes=task.map_index)
        except Exception as error:  # noqa: BLE001
            self.log.warning("The AWS Batch job of this task is not known: %s", error_line(error))
            return None
        return details.get("job_id") if isinstance(details, dict) else None

    def _end_job(self, job_id: str, reason: str) -> None:
        """Terminate the job; that this fails must not hide why the task does."""
        if not self.cancel_on_kill:
            return
        try:
            self.hook.terminate_job(job_id, reason[:1024])
        except Exception as error:  # noqa: BLE001
            text = "AWS Batch job (%s) could not be terminated and may go on: %s"
            self.log.error(text, job_id, error_line(error))  # noqa: TRY400
        else:
            self.log.info("AWS Batch job (%s) terminated: %s", job_id, reason)


class BatchCreateComputeEnvironmentOperator(DefersToOurs, provider.BatchCreateComputeEnvironmentOperator):
    """Creates a compute environment, as the provider's operator; when deferred, it waits by the shared client."""

    def execute(self, context: Context) -> str:
        """Create it and wait for it; without what the trigger will need, nothing is created."""
        self.require_what_triggers_need()
        arn: str = super().execute(context)
        return arn
