"""The server is gone for a while, the clock jumps, the machine sleeps: all waits go on, and nothing stampedes."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import Fault
from awaitbatch.testing.virtual_time import VirtualTimeLoop
from tests.support import LONG, Log, make_client, make_server

from .support import waiting

JOBS = 1000
RATE = 20.0
CALL_TIMEOUT = 15.0
SETTLED = 60.0
"""Seconds after which all jobs have been seen a few times."""


@pytest.mark.parametrize(
    ("fault", "interval", "grace"),
    [
        (Fault.CONNECTION_REFUSED, 10, 1),
        (Fault.BARE_503, 10, 1),
        (Fault.RESET_BEFORE_BODY, 10, 1),
        # Calls that hang as the server returns take up to the time-out before they are given up.
        (Fault.HANG, 30, 1),
        (Fault.HANG, 10, CALL_TIMEOUT),
    ],
)
async def test_a_minute_without_a_server(fault: Fault, interval: float, grace: float) -> None:
    """Within one window of the server's return every job has been seen; calls never exceed the rate."""
    server = make_server(description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(JOBS)]
    log = Log(server.transport())
    loop = asyncio.get_running_loop()
    async with (
        BatchClient(
            transport=log.transport,
            backoff=FixedInterval(interval),
            max_calls_per_second=RATE,
            call_timeout=CALL_TIMEOUT,
        ) as client,
        waiting(client, job_ids),
    ):
        await asyncio.sleep(SETTLED)
        server.inject(fault, end=60)
        gone = loop.time()
        await asyncio.sleep(60)
        assert not log.seen_between(gone + 1, loop.time())
        await asyncio.sleep(interval + grace)
        assert log.seen_between(gone + 60, loop.time()) == set(job_ids)
    assert log.excess(RATE) < 1e-6


async def test_an_outage_under_load() -> None:
    """With more work than the rate allows, the return is one orderly sweep: no job is asked for twice in it."""
    server = make_server(description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3 * JOBS)]
    log = Log(server.transport())
    loop = asyncio.get_running_loop()
    async with (
        BatchClient(transport=log.transport, backoff=FixedInterval(1), max_calls_per_second=RATE) as client,
        waiting(client, job_ids),
    ):
        await asyncio.sleep(15)
        server.inject(Fault.CONNECTION_REFUSED, end=60)
        await asyncio.sleep(60)
        back = loop.time()
        await asyncio.sleep(3 * JOBS / 100 / RATE + 1)
        assert log.seen_between(back, loop.time()) == set(job_ids)
    assert log.excess(RATE) < 1e-6


async def test_a_laptop_that_slept() -> None:
    """After eight hours of sleep all jobs are seen in one orderly sweep, each once, at no more than the rate."""
    server = make_server(description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(JOBS)]
    log = Log(server.transport())
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with (
        BatchClient(transport=log.transport, backoff=FixedInterval(60), max_calls_per_second=RATE) as client,
        waiting(client, job_ids),
    ):
        await asyncio.sleep(SETTLED)
        loop.sleep_for(8 * 3600)
        awake = loop.time()
        await asyncio.sleep(25)
        swept = [job_id for moment, job_ids in log.answered if moment >= awake for job_id in job_ids]
        assert sorted(swept) == sorted(job_ids)
        calls = [moment for moment in log.sent if moment >= awake]
        assert len(calls) == JOBS / 100
        assert all(later - earlier >= 1 / RATE - 1e-6 for earlier, later in itertools.pairwise(calls))


async def test_a_wall_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the wall clock is set by an hour, AWS refuses signatures until it is set right, and no wait ends."""
    server = make_server(description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(300)]
    loop = asyncio.get_running_loop()
    wall = {"offset": 0.0}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + wall["offset"])
    async with make_client(server, backoff=FixedInterval(10)) as client, waiting(client, job_ids):
        await asyncio.sleep(SETTLED)
        before = client.statistics()
        for offset in (3600, -3600):
            wall["offset"] = offset
            skewed = server.inject(Fault.CLOCK_SKEW, end=300)
            await asyncio.sleep(300)
            assert skewed.hits > 0
            wall["offset"] = 0.0
            seen = client.statistics().jobs_described
            await asyncio.sleep(11)
            assert client.statistics().jobs_described - seen >= 300
        assert client.statistics().calls > before.calls
        assert loop.time() < 700
