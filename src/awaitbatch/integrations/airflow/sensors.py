"""The provider's sensors, deferring to the triggers of this package."""

from __future__ import annotations

from airflow.providers.amazon.aws.sensors import batch as provider

from awaitbatch.integrations.airflow._deferral import DefersToOurs


class BatchSensor(DefersToOurs, provider.BatchSensor):  # type: ignore[misc]
    """Waits until a job has ended, as the provider's sensor; when deferred, by the shared client.

    The job is not the sensor's, so nothing that happens to the sensor ends it.
    """

    cancel_on_kill = False
