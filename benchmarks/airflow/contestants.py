"""Who waits for the jobs: our trigger, the provider's, and one that does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.airflow.home import CONNECTION

INTERVAL: Final = 5
"""Seconds within which each job ought to be checked once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A trigger.

    Attributes:
        name: What the results call it.
        about: What the tables call it.
        trigger: Its class.
        waits: Whether it checks its job.
    """

    name: str
    about: str
    trigger: str
    waits: bool = True

    def arguments(self, job_id: str) -> dict[str, Any]:
        """The arguments of the trigger for one job."""
        if not self.waits:
            return {"job_id": job_id}
        return {
            "job_id": job_id,
            "waiter_delay": INTERVAL,
            "waiter_max_attempts": 1_000_000,
            "aws_conn_id": CONNECTION,
            "region_name": "us-east-1",
        }


OURS: Final = Contestant(
    name="ours", about="awaitbatch", trigger="awaitbatch.integrations.airflow.triggers.BatchJobTrigger"
)
STOCK: Final = Contestant(
    name="stock",
    about="the provider's trigger",
    trigger="airflow.providers.amazon.aws.triggers.batch.BatchJobTrigger",
)
IDLE: Final = Contestant(
    name="idle",
    about="a trigger that does nothing",
    trigger="benchmarks.airflow.idle_trigger.IdleTrigger",
    waits=False,
)
