"""aio-aws: `aio_batch_job_waiter`, a task a job, all with one configuration."""

from __future__ import annotations

import asyncio
import os

from benchmarks.peers.contestants.harness import Harness


async def _race(harness: Harness) -> None:
    from aio_aws.aio_aws_batch import AWSBatchConfig, aio_batch_job_waiter
    from aio_aws.aws_batch_models import AWSBatchJob

    if harness.interval is None:
        config = AWSBatchConfig()
    else:
        # Jobs that have not started are checked after one to two times `start_pause`.
        config = AWSBatchConfig(
            start_pause=harness.interval / 2, min_pause=harness.interval, max_pause=harness.interval
        )

    async def wait(job_id: str) -> None:
        job = AWSBatchJob(job_name="job", job_queue="queue", job_definition="definition", job_id=job_id)
        await aio_batch_job_waiter(job, config)

    harness.start_on_loop()
    await harness.task_each(wait)
    harness.finish()


def main() -> None:
    """Run the race."""
    harness = Harness("aio-aws", "aiobotocore", "botocore")
    os.environ["LOG_LEVEL"] = "WARNING"
    asyncio.run(_race(harness))


if __name__ == "__main__":
    main()
