"""What a client says of itself when it is asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval, Statistics
from awaitbatch._core.windows import Windows
from awaitbatch.testing import Fault, LifeCycle
from tests.support import LONG, PromptClient, make_client

from .support import FaultyTransport, throttle

if TYPE_CHECKING:
    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

    from awaitbatch.testing import BatchServer

JOB: SubmitJobRequestTypeDef = {"jobName": "name", "jobQueue": "queue", "jobDefinition": "definition"}


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock on the wall show the time of the loop, as the server's does."""
    clock = SimpleNamespace(time=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr("awaitbatch._coalescer.time", clock)


async def test_all_is_zero_before_opening(server: BatchServer) -> None:
    """Who asks too early gets an answer all the same, also of a client that others share."""
    nothing = Statistics()
    transport = server.transport()
    for client in (make_client(server), BatchClient.shared(transport=transport)):
        assert client.statistics() == nothing
        await client.aclose()
        assert client.statistics() == nothing
    assert not any(getattr(nothing, name) for name in Statistics.__slots__)


async def test_what_was_sent(server: BatchServer) -> None:
    """Calls of each kind count, those that were sent again included, and stay when the client is closed."""
    transport = FaultyTransport(server)
    transport.submit_faults = [throttle()]
    async with make_client(transport) as client:
        job_ids = [(await client.submit_job(**JOB))["jobId"] for _ in range(3)]
        await client.describe_jobs(job_ids)
        await client.terminate_job(job_ids[0], "enough")
        await client.cancel_job(job_ids[1], "enough")
        open_ = client.statistics()
    for statistics in (open_, client.statistics()):
        assert (statistics.submits, statistics.terminates) == (4, 2)
        assert (statistics.calls, statistics.ids, statistics.ids_per_call) == (1, 3, 3.0)


async def test_one_user_of_a_shared_client_sees_what_all_have_sent(server: BatchServer) -> None:
    """What is counted is the client's."""
    transport = server.transport()
    async with (
        BatchClient.shared(transport=transport, linger=0) as one,
        BatchClient.shared(transport=transport, linger=0) as other,
    ):
        await one.submit_job(**JOB)
        assert other.statistics().submits == 1
    await asyncio.sleep(1)


async def test_pending_by_status(server: BatchServer) -> None:
    """Jobs count once however many wait for them, in the state in which polls have seen them."""
    running, queued = server.add_job(life_cycle=LONG), server.add_job(life_cycle=LifeCycle(runnable=50))
    async with make_client(server, backoff=FixedInterval(1)) as client, asyncio.TaskGroup() as tasks:
        for job_id in (running, running, queued):
            tasks.create_task(client.poll_for_job_complete(job_id))
        await asyncio.sleep(0)
        assert client.statistics().pending_by_status == {"NOT_SEEN": 2}
        await asyncio.sleep(30)
        statistics = client.statistics()
        assert (statistics.pending, statistics.pending_by_status) == (3, {"RUNNING": 1, "RUNNABLE": 1})
        await client.terminate_job(running, "enough")
        await asyncio.sleep(100)
        assert client.statistics().pending_by_status == {}


async def test_the_oldest_overdue_check(server: BatchServer) -> None:
    """While AWS throttles, checks wait longer than they should; afterwards none is late."""
    async with make_client(server, backoff=FixedInterval(1)) as client:
        wait = asyncio.create_task(client.poll_for_job_complete(server.add_job(life_cycle=LONG)))
        await asyncio.sleep(30)
        assert client.statistics().overdue == 0
        rule = server.inject(Fault.TOO_MANY_REQUESTS)
        await asyncio.sleep(60)
        overdue = client.statistics().overdue
        # A check does not wait while a call makes it; a moment later, that call has failed.
        await asyncio.sleep(0.1)
        assert max(overdue, client.statistics().overdue) == pytest.approx(59, abs=2)
        server.heal(rule)
        await asyncio.sleep(60)
        assert client.statistics().overdue == 0
        wait.cancel()


async def test_detection_lag(server: BatchServer) -> None:
    """It is known of polls that waited when the job ended, and of no other."""
    async with PromptClient(transport=server.transport(), backoff=FixedInterval(10)) as client:
        ended = server.add_job(life_cycle=LifeCycle(running=0))
        await asyncio.sleep(1000)
        await client.poll_for_job_complete(ended)
        await client.describe(ended)
        assert client.statistics().lag_p50 == client.statistics().lag_p99 == 0
        job_ids = [server.add_job(life_cycle=LifeCycle(running=20 + number / 10)) for number in range(200)]
        lags = []

        async def wait(job_id: str) -> None:
            await client.poll_for_job_complete(job_id)
            lags.append(asyncio.get_running_loop().time() - (server.ended_at(job_id) or 0))

        await asyncio.gather(*map(wait, job_ids))
    lags.sort()
    statistics = client.statistics()
    assert statistics.lag_p50 == pytest.approx(lags[99], rel=0.06)
    assert statistics.lag_p99 == pytest.approx(lags[197], rel=0.06)
    assert 0 < statistics.lag_p50 < statistics.lag_p99 < 11


async def test_another_thread_may_ask(server: BatchServer) -> None:
    """It does so while waits come and go."""
    async with make_client(server, backoff=FixedInterval(1)) as client:
        seen: list[Statistics] = []

        def ask() -> None:
            while len(seen) < 50:
                seen.append(client.statistics())

        thread = asyncio.create_task(asyncio.to_thread(ask))
        job_ids = [server.add_job(life_cycle=LifeCycle(running=1)) for _ in range(2000)]
        await asyncio.gather(*map(client.poll_for_job_complete, job_ids))
        await thread
    assert len(seen) == 50


async def test_the_repr_does_not_look_at_everything(
    client: BatchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of a log is no reason to go through a hundred thousand jobs."""
    monkeypatch.setattr(Windows, "count", None)
    assert "0 pending" in repr(client)
