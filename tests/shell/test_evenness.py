"""Calls leave evenly, as a server sees them."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from unittest import mock

from awaitbatch import FixedInterval, Window
from awaitbatch._coalescer import DescribeCoalescer
from awaitbatch._core.watch import Watch
from tests.support import LONG, Log, make_client, make_server


async def test_a_thousand_jobs_that_begin_together() -> None:
    """After two intervals they are hardly ever more than two calls in a second, and never more than three."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    transport = server.transport()
    log = Log(transport)
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        begin = asyncio.get_running_loop().time()
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, delay=0)) for job_id in job_ids]
        await asyncio.sleep(60)
        for wait in waits:
            wait.cancel()
    sent = [moment - begin for moment in log.sent]
    settled = [moment for moment in sent if moment > 10.5]
    assert max(bisect_left(settled, moment + 1) - place for place, moment in enumerate(settled)) <= 3
    assert len(sent) <= 120 * 1.08


async def test_a_hundred_more_bring_the_next_call_forward() -> None:
    """Although none of them has to be checked before the client would have looked anyway."""
    server = make_server()
    transport = server.transport()
    log = Log(transport)
    async with make_client(transport) as client:
        begin = asyncio.get_running_loop().time()

        def wait(latest: float) -> None:
            job_id = server.add_job(life_cycle=LONG)
            watch = Watch(
                job_id, lambda *_: None, match_status=(), status_retries=1, backoff=FixedInterval(500)
            )
            client._supervisor.coalescer.add(watch, Window(0, latest))

        wait(10)
        await asyncio.sleep(1)
        for _ in range(500):
            wait(9.5)
        await asyncio.sleep(20)
    # The last hundred begins with the 501st, and leaves at 10.5.
    assert [round(moment - begin, 1) for moment in log.sent] == [8.5, 8.9, 9.3, 9.7, 10.1, 10.5]


async def test_the_task_that_sends_wakes_up_once_a_call() -> None:
    """The end of a call does not wake it if nothing is due sooner than it knows."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    sleep_until = DescribeCoalescer._sleep_until
    sleeps = 0

    async def count(self: DescribeCoalescer, moment: float) -> None:
        nonlocal sleeps
        sleeps += 1
        await sleep_until(self, moment)

    with mock.patch.object(DescribeCoalescer, "_sleep_until", count):
        async with make_client(server.transport(latency=0.1), backoff=FixedInterval(5)) as client:
            waits = [asyncio.create_task(client.poll_for_job_complete(job_id, delay=0)) for job_id in job_ids]
            await asyncio.sleep(15)
            sleeps, calls = 0, client.statistics().calls
            await asyncio.sleep(60)
            calls = client.statistics().calls - calls
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
    assert calls > 100
    assert sleeps <= calls * 1.05
