"""The provider's sensors, deferring to the triggers of this package."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon.aws.sensors import batch as provider
from airflow.providers.common.compat.sdk import AirflowException, conf

from awaitbatch.integrations.airflow._connection import max_calls_per_second
from awaitbatch.integrations.airflow._deferral import DefersToOurs, without_job
from awaitbatch.integrations.airflow.triggers import BatchComputeEnvironmentTrigger, BatchJobQueueTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

_DEFAULT_DEFERRABLE: Final[bool] = conf.getboolean("operators", "default_deferrable", fallback=False)


class BatchSensor(DefersToOurs, provider.BatchSensor):
    """Waits until a job has ended, as the provider's sensor; when deferred, by the shared client.

    The job is not the sensor's own, so nothing that happens to the sensor ends it.
    """

    cancel_on_kill = False

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:
        """End as the trigger says."""
        super().execute_complete(context, without_job(event))


class _Deferrable:
    """Lets a sensor that only pokes defer, after it has poked once."""

    deferrable: bool

    # Airflow 2 calls `execute` with an argument of its own, which it takes out in classes of operators only.
    def poke(self, context: Context) -> Any:  # noqa: ANN401
        """Poke; if it is not as awaited yet, wait in the triggerer."""
        is_done = super().poke(context)  # type: ignore[misc]
        if self.deferrable and not is_done:
            max_calls_per_second()
            limits = (timedelta(seconds=self.timeout), self.execution_timeout)  # type: ignore[attr-defined]
            self.defer(  # type: ignore[attr-defined]
                # Within it, there is no limit on the checks.
                timeout=min(limit for limit in limits if limit is not None),
                trigger=self._trigger(
                    waiter_delay=self.poke_interval,  # type: ignore[attr-defined]
                    aws_conn_id=self.aws_conn_id,  # type: ignore[attr-defined]
                    region_name=self.region_name,  # type: ignore[attr-defined]
                    verify=self.verify,  # type: ignore[attr-defined]
                    botocore_config=self.botocore_config,  # type: ignore[attr-defined]
                ),
                method_name="execute_complete",
            )
        return is_done

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """End as the trigger says."""
        if event is None or event["status"] != "success":
            message = "the trigger sent no event" if event is None else event["message"]
            raise AirflowException(message)

    def _trigger(self, **arguments: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError


class BatchComputeEnvironmentSensor(_Deferrable, provider.BatchComputeEnvironmentSensor):
    """Waits until a compute environment is VALID or DELETED, as the provider's sensor; it can be deferred.

    Args:
        deferrable: Whether it waits in the triggerer, by the shared client.
        kwargs: As for the provider's.
    """

    # Airflow's metaclass sees to the arguments of a constructor only if its class has one of its own.
    def __init__(self, *, deferrable: bool = _DEFAULT_DEFERRABLE, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.deferrable = deferrable

    def _trigger(self, **arguments: Any) -> BatchComputeEnvironmentTrigger:  # noqa: ANN401
        return BatchComputeEnvironmentTrigger(compute_environment=self.compute_environment, **arguments)


class BatchJobQueueSensor(_Deferrable, provider.BatchJobQueueSensor):
    """Waits until a job queue is VALID or DELETED, as the provider's sensor; it can be deferred.

    Args:
        deferrable: Whether it waits in the triggerer, by the shared client.
        kwargs: As for the provider's.
    """

    # Airflow's metaclass sees to the arguments of a constructor only if its class has one of its own.
    def __init__(self, *, deferrable: bool = _DEFAULT_DEFERRABLE, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.deferrable = deferrable

    def _trigger(self, **arguments: Any) -> BatchJobQueueTrigger:  # noqa: ANN401
        return BatchJobQueueTrigger(
            job_queue=self.job_queue,
            treat_non_existing_as_deleted=self.treat_non_existing_as_deleted,
            **arguments,
        )
