"""What the operators and sensors have in common: they are the provider's but for the trigger to which they defer."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
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


class KnowingHook(BatchClientHook):
    """The provider's hook, which does not ask for a job that it has been told of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._known: dict[str, dict[str, Any]] = {}

    def learn(self, event: dict[str, Any] | None) -> dict[str, Any] | None:
        """Take a job's description out of an event, and return the rest."""
        if event and "job" in event:
            self._known[event["job_id"]] = event["job"]
        return without_job(event)

    def get_job_description(self, job_id: str) -> dict[str, Any]:
        """The description that an event brought, or else what AWS Batch says now."""
        known = self._known.get(job_id)
        return super().get_job_description(job_id=job_id) if known is None else known
