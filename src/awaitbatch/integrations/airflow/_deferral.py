"""What the operators and sensors have in common: they are the provider's but for the trigger to which they defer."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.triggers.batch import (
    BatchCreateComputeEnvironmentTrigger,
    BatchJobTrigger,
)

from awaitbatch.integrations.airflow import triggers
from awaitbatch.integrations.airflow._connection import get_connection, max_calls_per_second

# They do not extend them, since a triggerer would stand still for as long as the import takes.
BatchJobTrigger.register(triggers.BatchJobTrigger)
BatchCreateComputeEnvironmentTrigger.register(triggers.BatchCreateComputeEnvironmentTrigger)


class DefersToOurs:
    """Swaps the provider's trigger for ours when a task is deferred."""

    aws_conn_id: str | None
    deferrable: bool

    def require_what_triggers_need(self) -> None:
        """Raise an error now if the trigger would, once there is something to wait for."""
        if self.deferrable:
            get_connection(self.aws_conn_id)
            max_calls_per_second()

    def defer(self, *, trigger: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """As Airflow's; in the triggerer, nobody would be told of a slip in the configuration."""
        max_calls_per_second()
        return super().defer(trigger=self._ours(trigger), **kwargs)  # type: ignore[misc]

    def _ours(self, trigger: Any) -> Any:  # noqa: ANN401
        _, arguments = trigger.serialize()
        # The provider's sensor leaves them out.
        for name in ("verify", "botocore_config"):
            if getattr(self, name, None) is not None:
                arguments.setdefault(name, getattr(self, name))
        if type(trigger) is BatchJobTrigger:
            cancel_on_kill = getattr(self, "cancel_on_kill", True)
            return triggers.BatchJobTrigger(cancel_on_kill=cancel_on_kill, **arguments)
        if type(trigger) is BatchCreateComputeEnvironmentTrigger:
            return triggers.BatchCreateComputeEnvironmentTrigger(**arguments)
        return trigger


def without_job(event: dict[str, Any] | None) -> dict[str, Any] | None:
    """An event as the provider's triggers send it, so that errors do not show the whole description of a job."""
    return event and {name: value for name, value in event.items() if name != "job"}


def tell(hook: Any, event: dict[str, Any] | None) -> None:  # noqa: ANN401
    """Let the provider's hook know the job of an event, so that it does not ask AWS Batch for it."""
    if not event or "job" not in event:
        return
    ask = hook.get_job_description

    def get_job_description(job_id: str) -> Any:  # noqa: ANN401
        return event["job"] if job_id == event["job_id"] else ask(job_id=job_id)

    hook.get_job_description = get_job_description
