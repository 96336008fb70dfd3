"""The demo learns from the client's log in which states it saw the jobs."""

from __future__ import annotations

import logging

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.cli.seen import StatusCounts
from awaitbatch.testing import BatchServer, LifeCycle

LOG = logging.getLogger("awaitbatch")


async def test_follows_what_the_client_logs() -> None:
    """The real client's lines are understood: a job that it saw end is counted as ended, and no line is left over."""
    lines: list[str] = []
    seen = StatusCounts(lines.append)
    server = BatchServer()
    job_id = server.add_job(
        life_cycle=LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0.1, outcome="FAILED")
    )
    seen.submitted(job_id)
    assert +seen.counts == {"SUBMITTED": 1}
    with seen.listening():
        async with BatchClient(transport=server.transport(latency=0)) as client:
            await client.poll_for_job_complete(job_id, delay=0, backoff=FixedInterval(0.05))
    assert +seen.counts == {"FAILED": 1}
    assert lines == []


def test_hands_on_all_else() -> None:
    """What is not news of a job of ours is said as it is, and the logger is left as it was found."""
    lines: list[str] = []
    seen = StatusCounts(lines.append)
    level = LOG.level
    with seen.listening():
        LOG.warning("AWS throttles DescribeJobs: from %.2f down to %.2f calls/s", 10, 5)
        LOG.debug("not for everybody")
    assert lines == ["AWS throttles DescribeJobs: from 10.00 down to 5.00 calls/s"]
    assert (LOG.level, seen in LOG.handlers) == (level, False)
