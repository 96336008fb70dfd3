"""The demo learns from the client's events in which states it saw the jobs."""

from __future__ import annotations

import asyncio

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.cli._job_counts import JobCounts
from awaitbatch.instrumentation import CallEnded
from awaitbatch.testing import BatchServer, Fault, LifeCycle


@pytest.mark.virtual_time
async def test_follows_what_the_client_sees() -> None:
    """A job that the client saw end is counted as ended, and of a failing call there is one line of each kind."""
    jobs = JobCounts()
    server = BatchServer(clock=asyncio.get_running_loop().time)
    job_id = server.add_job(
        life_cycle=LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0.1, outcome="FAILED")
    )
    other = server.add_job(life_cycle=LifeCycle(running=0))
    jobs.submitted(job_id)
    assert +jobs.counts == {"SUBMITTED": 1}
    server.inject(Fault.BARE_503, calls=2)
    async with BatchClient(transport=server.transport(latency=0), observers=[jobs]) as client:
        for awaited in (job_id, other):
            await client.poll_for_job_complete(awaited, delay=0, backoff=FixedInterval(0.05))
    assert +jobs.counts == {"FAILED": 1}
    assert [line.partition(": ")[0] for line in jobs.failures] == ["DescribeJobs failed (transient)"]


def test_a_call_that_was_given_up() -> None:
    """A call that ended with the demo is no failure to tell of."""
    jobs = JobCounts()
    for outcome in ("cancelled", "transient"):
        jobs(CallEnded(operation="SubmitJob", ids=0, seconds=0.1, outcome=outcome, error_message="text"))
    assert jobs.failures == ["SubmitJob failed (transient): text"]
