"""miniwdl-aws: one `BatchJobDescriber`, and a thread a job, which asks it as the package's own tasks do."""

from __future__ import annotations

import time

import boto3
import botocore.config

from benchmarks.peers.contestants.harness import Harness

_DEFAULT_PERIOD = 1.0
"""Its `describe_period`: seconds between two calls, whatever the number of jobs."""
_MAX_IDS_PER_CALL = 100
_RETRIES = {"max_attempts": 5, "mode": "standard"}


def main() -> None:
    """Run the race."""
    harness = Harness("miniwdl-aws", "boto3", "botocore")
    from miniwdl_aws.batch_job import BatchJobDescriber

    period = (
        _DEFAULT_PERIOD if harness.interval is None else harness.interval * _MAX_IDS_PER_CALL / harness.jobs
    )
    describer = BatchJobDescriber()
    # The package makes a client for each thread; that would cost more than all else here.
    client = boto3.Session().client("batch", config=botocore.config.Config(retries=_RETRIES))

    def wait(job_id: str) -> None:
        try:
            status = ""
            while status not in {"SUCCEEDED", "FAILED"}:
                time.sleep(period)
                status = describer.describe(client, job_id, period)["status"]
        finally:
            describer.unsubscribe(job_id)

    harness.start()
    harness.thread_each(wait)
    harness.finish()


if __name__ == "__main__":
    main()
