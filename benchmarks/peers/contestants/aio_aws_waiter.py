"""aio-aws: `aio_batch_job_waiter`, a task a job, all with one configuration."""

from __future__ import annotations

import asyncio
import os

from benchmarks.peers.contestants.lane import Lane


async def _race(lane: Lane) -> None:
    from aio_aws.aio_aws_batch import AWSBatchConfig, aio_batch_job_waiter
    from aio_aws.aws_batch_models import AWSBatchJob

    if lane.interval is None:
        config = AWSBatchConfig()
    else:
        # Jobs that have not started are looked at after one to two times `start_pause`.
        config = AWSBatchConfig(
            start_pause=lane.interval / 2, min_pause=lane.interval, max_pause=lane.interval
        )

    async def wait(job_id: str) -> None:
        job = AWSBatchJob(job_name="job", job_queue="queue", job_definition="definition", job_id=job_id)
        await aio_batch_job_waiter(job, config)

    lane.start_on_loop()
    await lane.task_each(wait)
    lane.finish()


def main() -> None:
    """Run the race."""
    lane = Lane("aio-aws", "aiobotocore", "botocore")
    os.environ["LOG_LEVEL"] = "WARNING"
    asyncio.run(_race(lane))


if __name__ == "__main__":
    main()
