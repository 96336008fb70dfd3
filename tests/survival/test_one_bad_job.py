"""A job that makes every call with it fail hurts no other job, however calls fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import DescribeError, FixedInterval
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, lasting, make_client, make_server

if TYPE_CHECKING:
    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

FAULTS = [
    Fault.SERVER_EXCEPTION,
    Fault.BARE_503,
    Fault.HANG,
    Fault.RESET_BEFORE_BODY,
    Fault.RESET_IN_BODY,
    Fault.TRUNCATED_JSON,
    Fault.HTML,
    Fault.NULL_JOBS,
    Fault.ACCESS_DENIED,
]
INTERVAL = 5.0
CALL_TIMEOUT = 2.0

ENDS_LATER = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=30)
"""A job that has been seen a few times before it ends after half a minute."""


def client_of(server: BatchServer, **settings: Any) -> BatchClient:
    """A client that checks every five seconds, whose calls may take two."""
    arguments = {"backoff": FixedInterval(INTERVAL), "call_timeout": CALL_TIMEOUT, **settings}
    return make_client(server, **arguments)


@pytest.mark.parametrize("seen_before", [True, False])
@pytest.mark.parametrize("neighbours", [1, 20, 99, 299])
@pytest.mark.parametrize("fault", FAULTS)
async def test_neighbours_hear_of_their_ends(fault: Fault, neighbours: int, seen_before: bool) -> None:
    """Within three intervals and nine time-outs of silence, after at most twenty calls more; the job goes on."""
    server = make_server()
    bad = server.add_job(life_cycle=LONG)
    job_ids = [server.add_job(life_cycle=ENDS_LATER) for _ in range(neighbours)]
    loop = asyncio.get_running_loop()
    async with client_of(server, max_calls_per_second=50) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in [bad, *job_ids]]
        await asyncio.sleep(29 if seen_before else 0)
        server.inject(fault, job_ids=[bad], operations=["DescribeJobs"], **lasting(fault, 60))
        before = client.statistics().calls
        begin = max(loop.time(), 30)
        await asyncio.wait(waits[1:], timeout=600)
        took = loop.time() - begin
        assert [wait.result()["status"] for wait in waits[1:]] == ["SUCCEEDED"] * neighbours
        silence = 9 * CALL_TIMEOUT if fault is Fault.HANG else 0
        # Half a second for what the throttle holds back.
        assert took < 3 * INTERVAL + silence + 0.5
        rounds = (loop.time() - begin) / (INTERVAL / 2) if seen_before else loop.time() / (INTERVAL / 2)
        assert client.statistics().calls - before <= 20 + (rounds + 1) * (-(-(neighbours + 1) // 100) + 1)
        if fault is Fault.ACCESS_DENIED and not seen_before:
            # Refused alone before any call was answered, it is a mistake of the user's.
            with pytest.raises(DescribeError, match="allow batch:DescribeJobs"):
                await waits[0]
        else:
            assert not waits[0].done()
            server.heal()
            await client.terminate_job(bad, "to end it")
            assert (await waits[0])["status"] == "FAILED"


@pytest.mark.parametrize("fault", FAULTS)
async def test_describes_beside_it(fault: Fault) -> None:
    """Of describes that share its call only its own fails, and the others hardly take longer."""
    server = make_server()
    bad, *job_ids = (server.add_job(life_cycle=ENDED) for _ in range(10))
    server.inject(fault, job_ids=[bad], operations=["DescribeJobs"], **lasting(fault, 60))
    loop = asyncio.get_running_loop()
    async with client_of(server, status_retries=2, max_calls_per_second=50) as client:
        describes = [asyncio.create_task(client.describe(job_id)) for job_id in [*job_ids, bad]]
        await asyncio.wait(describes[:-1], timeout=600)
        silence = 5 * CALL_TIMEOUT if fault is Fault.HANG else 0
        assert loop.time() < silence + 1.5
        assert [describe.result()["status"] for describe in describes[:-1]] == ["SUCCEEDED"] * 9
        with pytest.raises(DescribeError):
            await describes[-1]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("fault", [Fault.SERVER_EXCEPTION, Fault.HANG, Fault.ACCESS_DENIED])
@pytest.mark.parametrize("together", [True, False])
async def test_up_to_five_bad_jobs(fault: Fault, count: int, together: bool) -> None:
    """Up to five of them in one call hurt nobody else, wherever they are."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(100)]
    bad = job_ids[40 : 40 + count] if together else job_ids[:: 100 // count][:count]
    async with client_of(server) as client:
        waits = {job_id: asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids}
        # Refusals of two calls with different ids would be a mistake of the user's before any call was answered.
        await asyncio.sleep(10 if fault is Fault.ACCESS_DENIED else 0)
        server.inject(fault, job_ids=bad, operations=["DescribeJobs"], **lasting(fault, 60))
        await asyncio.sleep(150)
        for job_id in job_ids:
            if job_id not in bad:
                await client.terminate_job(job_id, "to end it")
        await asyncio.sleep(3 * INTERVAL)
        unheard = [job_id for job_id, wait in waits.items() if not wait.done()]
        assert sorted(unheard) == sorted(bad)
        for wait in waits.values():
            wait.cancel()
        await asyncio.gather(*waits.values(), return_exceptions=True)
