"""The provider's operators, deferring to the triggers of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators import batch as provider

from awaitbatch.integrations.airflow._deferral import DefersToOurs, KnowingHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchOperator(DefersToOurs, provider.BatchOperator):  # type: ignore[misc]
    """Runs a job on AWS Batch, as the provider's operator; with ``deferrable=True`` it waits by the shared client.

    Args:
        cancel_on_kill: Whether the job is terminated if the deferred task ends before it: a user ends the task, its
            ``execution_timeout`` passes, or the wait ends in an error. Otherwise a retry would run beside it.
        kwargs: As for the provider's.
    """

    aws_hook_class = KnowingHook

    def __init__(self, *, cancel_on_kill: bool = True, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.cancel_on_kill = cancel_on_kill

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Go on with what the event tells of the job, without asking for it again."""
        event = self.hook.learn(event)
        return str(super().execute_complete(context, event))


class BatchCreateComputeEnvironmentOperator(  # type: ignore[misc]
    DefersToOurs, provider.BatchCreateComputeEnvironmentOperator
):
    """Creates a compute environment, as the provider's operator; when deferred, it waits by the shared client."""
