"""Airflow's BatchClientHook, in a thread a job; the threads share one hook, and so one boto3 client."""

from __future__ import annotations

from benchmarks.peers.contestants.airflow_environment import CONNECTION, PACKAGES, prepare
from benchmarks.peers.contestants.harness import Harness


def main() -> None:
    """Run the race."""
    harness = Harness(*PACKAGES)
    prepare(harness)
    from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

    interval = harness.interval
    if interval is not None:
        # The hook has no setting for it; its curve can be replaced.
        BatchClientHook.exponential_delay = staticmethod(lambda _tries: interval)
    hook = BatchClientHook(aws_conn_id=CONNECTION)
    hook.get_conn()
    harness.start()
    if interval is None:
        harness.thread_each(hook.wait_for_job)
    else:
        harness.thread_each(lambda job_id: hook.poll_for_job_complete(job_id, delay=0))
    harness.finish()


if __name__ == "__main__":
    main()
