"""Airflow's BatchJobTrigger, as a triggerer runs it: all triggers on one asyncio loop, each in a task of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.peers.contestants.airflow_environment import CONNECTION, PACKAGES, prepare
from benchmarks.peers.contestants.harness import Harness

_OPERATOR = {"waiter_delay": 30, "waiter_max_attempts": 4200}
"""What BatchOperator gives its trigger by default."""


async def _race(harness: Harness) -> None:
    from airflow.providers.amazon.aws.triggers.batch import BatchJobTrigger

    settings: dict[str, Any] = dict(_OPERATOR)
    if harness.interval is not None:
        settings["waiter_delay"] = round(harness.interval)

    async def run(job_id: str) -> None:
        trigger = BatchJobTrigger(job_id=job_id, aws_conn_id=CONNECTION, **settings)
        try:
            async for event in trigger.run():
                if event.payload["status"] == "success":
                    harness.ended(job_id)
                else:
                    harness.died(job_id, event.payload["message"])
                return
            harness.died(job_id, "the trigger ended without an event")
        except Exception as error:  # noqa: BLE001
            harness.died(job_id, error)

    tasks = []
    for job_id in harness.start_on_loop():
        # The runner, too, gives others a turn before each new trigger.
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(run(job_id)))
    await asyncio.gather(*tasks)
    harness.finish()


def main() -> None:
    """Run the race."""
    harness = Harness(*PACKAGES)
    prepare(harness)
    asyncio.run(_race(harness))


if __name__ == "__main__":
    main()
