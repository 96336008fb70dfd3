"""The server is gone for a minute of real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch._aiobotocore_transport import AiobotocoreTransport
from awaitbatch.testing import Fault, LifeCycle, ServerProcess
from tests.support import Log
from tests.survival.support import waiting

from .support import add_jobs

if TYPE_CHECKING:
    from .support import Report, Reporting

JOBS = 5000
RATE = 20.0
INTERVAL = 10.0
GONE = 60.0
FOREVER = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=1e9)


def state(client: BatchClient) -> str:
    """What a client has done so far, in a few words."""
    now = client.statistics()
    return f"{now.pending} waits, {now.calls} calls, {now.failed} failed, {now.jobs_described} jobs described"


@pytest.mark.soak
async def test_a_minute_without_a_server(report: Report, reporting: Reporting) -> None:
    """All waits go on, within one window of the server's return every job was seen, and it is no stampede."""
    loop = asyncio.get_running_loop()
    async with ServerProcess() as server:
        job_ids = await add_jobs(server, [FOREVER] * JOBS)
        log = Log(AiobotocoreTransport(**server.client_arguments))
        async with (
            BatchClient(
                transport=log.transport, backoff=FixedInterval(INTERVAL), max_calls_per_second=RATE
            ) as client,
            reporting(lambda: state(client)),
            waiting(client, job_ids),
        ):
            await asyncio.sleep(2 * INTERVAL)
            assert log.seen_between(0, loop.time()) == set(job_ids)
            await server.control("POST", "faults", {"fault": Fault.CONNECTION_REFUSED, "end": GONE})
            gone = loop.time()
            await asyncio.sleep(GONE)
            failed = client.statistics().failed
            assert not log.seen_between(gone + 1, loop.time())
            # A second for a busy machine.
            await asyncio.sleep(INTERVAL + 1)
            assert log.seen_between(gone + GONE, loop.time()) == set(job_ids)
            first_seen: dict[str, float] = {}
            for moment, seen in log.answered:
                if moment >= gone + GONE:
                    first_seen = dict.fromkeys(seen, moment) | first_seen
            all_seen = max(first_seen.values()) - gone - GONE
        by_second = (await server.control("GET", "statistics"))["calls_by_second"]["DescribeJobs"]
    report(
        f"{failed} calls failed while the server was gone; {JOBS} jobs were seen {all_seen:.1f} s after its return; "
        f"at most {max(by_second.values())} calls in a second, where {RATE:.0f} are allowed; "
        f"excess {log.excess(RATE):.2f} calls"
    )
    assert failed > GONE / INTERVAL
    # What the loop was late with for a moment comes at once.
    assert log.excess(RATE) < 1 + RATE / 4
    assert max(by_second.values()) <= 1 + RATE * 1.25
