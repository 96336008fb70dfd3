"""redun: `iter_batch_job_status` in a loop with the pauses of its executor's monitor, one thread for all jobs."""

from __future__ import annotations

import time

from benchmarks.peers.contestants.harness import Harness

_DEFAULT_INTERVAL = 5.0
"""Its `job_monitor_interval`: the pause after each hundred jobs, and after each round."""
_MAX_IDS_PER_CALL = 100


def main() -> None:
    """Run the race."""
    harness = Harness("redun", "boto3", "botocore")
    from redun.executors.aws_batch import iter_batch_job_status

    interval = _DEFAULT_INTERVAL
    if harness.interval is not None:
        interval = harness.interval / (-(-harness.jobs // _MAX_IDS_PER_CALL) + 1)
    waiting = dict.fromkeys(harness.start())
    try:
        while waiting:
            for number, job in enumerate(
                iter_batch_job_status(list(waiting), aws_region=harness.settings["region_name"])
            ):
                if job["status"] in {"SUCCEEDED", "FAILED"}:
                    harness.ended(job["jobId"])
                    del waiting[job["jobId"]]
                if number % _MAX_IDS_PER_CALL == 0:
                    time.sleep(interval)
            time.sleep(interval)
    except Exception as error:  # noqa: BLE001
        # The monitor hands it to the scheduler, which gives up the workflow.
        harness.all_died(waiting, error)
    harness.finish()


if __name__ == "__main__":
    main()
