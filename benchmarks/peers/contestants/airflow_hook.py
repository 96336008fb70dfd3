"""Airflow's BatchClientHook, in a thread a job; the threads share one hook, and so one boto3 client."""

from __future__ import annotations

from benchmarks.peers.contestants.airflow_ground import CONNECTION, PACKAGES, prepare
from benchmarks.peers.contestants.lane import Lane


def main() -> None:
    """Run the race."""
    lane = Lane(*PACKAGES)
    prepare(lane)
    from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

    interval = lane.interval
    if interval is not None:
        # The hook has no setting for it; its curve can be replaced.
        BatchClientHook.exponential_delay = staticmethod(lambda _tries: interval)
    hook = BatchClientHook(aws_conn_id=CONNECTION)
    hook.get_conn()
    lane.start()
    if interval is None:
        lane.thread_each(hook.wait_for_job)
    else:
        lane.thread_each(lambda job_id: hook.poll_for_job_complete(job_id, delay=0))
    lane.finish()


if __name__ == "__main__":
    main()
