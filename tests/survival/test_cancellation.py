"""Waits are cancelled in storms, and at every moment: nobody else notices, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
from random import Random
from typing import TYPE_CHECKING

import pytest

from awaitbatch import FixedInterval
from awaitbatch.testing import Fault, LifeCycle
from tests.support import LONG, lasting, make_client, make_server, supervisor_of

from .support import check_truth, inject_faults, lives_at_random, note

if TYPE_CHECKING:
    from awaitbatch import BatchClient

INTERVAL = 20.0


def check_nothing_is_left(client: BatchClient) -> None:
    """No request, no call and no job is left in the client."""
    numbers = client.statistics()
    assert (numbers.pending, numbers.in_flight) == (0, 0)
    windows = supervisor_of(client).coalescer._windows
    assert (len(windows), list(windows), windows._jobs) == (0, [], {})


async def test_half_of_two_thousand_at_once() -> None:
    """The other half ends with the truth, none later than a window after its job."""
    server = make_server(description_bytes=0)
    loop = asyncio.get_running_loop()
    random = Random(3)
    job_ids = [server.add_job(life_cycle=lives_at_random(random, 60, 90)) for _ in range(2_000)]
    async with make_client(server, backoff=FixedInterval(INTERVAL), max_calls_per_second=4) as client:
        waits = {
            job_id: asyncio.create_task(note(loop.time, client.poll_for_job_complete(job_id, 0)))
            for job_id in job_ids
        }
        await asyncio.sleep(40)
        # Some of those that go are in a call.
        while not client.statistics().in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for job_id in job_ids[::2]:
            waits[job_id].cancel()
        await asyncio.sleep(0)
        assert client.statistics().pending == 1000
        outcomes = await asyncio.gather(*waits.values(), return_exceptions=True)
        ends = dict(zip(job_ids, outcomes, strict=True))
        assert all(isinstance(ends[job_id], asyncio.CancelledError) for job_id in job_ids[::2])
        left = {job_id: ends[job_id] for job_id in job_ids[1::2]}
        check_truth(server, left)  # type: ignore[arg-type]
        late = [end.at - (server.ended_at(job_id) or 0) for job_id, end in left.items()]  # type: ignore[union-attr]
        assert max(late) <= INTERVAL + 1
        check_nothing_is_left(client)


async def test_storms_in_bad_weather() -> None:
    """Storm after storm, while calls fail in all ways: the waits that stay end with the truth, and nothing is left."""
    server = make_server(description_bytes=0)
    loop = asyncio.get_running_loop()
    random = Random(4)
    inject_faults(server, 0.3)
    async with make_client(server, backoff=FixedInterval(5), max_calls_per_second=50) as client:
        staying: dict[str, asyncio.Task[object]] = {}
        for _ in range(12):
            job_ids = [server.add_job(life_cycle=lives_at_random(random, 5, 60)) for _ in range(200)]
            tasks = {
                job_id: asyncio.create_task(
                    note(loop.time, client.wait_for_job(job_id, random.choice([0, None])))
                )
                for job_id in job_ids
            }
            await asyncio.sleep(random.choice([0, 0.001, 0.03, 1, 7]))
            for job_id in random.sample(job_ids, 150):
                tasks.pop(job_id).cancel()
            staying |= tasks
        ends = dict(zip(staying, await asyncio.gather(*staying.values()), strict=True))
        check_truth(server, ends)  # type: ignore[arg-type]
        check_nothing_is_left(client)


@pytest.mark.parametrize("fault", [None, Fault.HANG, Fault.CLIENT_EXCEPTION, Fault.TOO_MANY_REQUESTS])
async def test_all_in_a_call_leave(fault: Fault | None) -> None:
    """When everybody leaves during a call, whatever becomes of it, the next ones find a clean client."""
    server = make_server(description_bytes=0)
    async with make_client(server, backoff=FixedInterval(5), call_timeout=3) as client:
        for _ in range(3):
            if fault is not None:
                server.inject(fault, calls=1, **lasting(fault, 1))
            job_ids = [server.add_job(life_cycle=LONG) for _ in range(50)]
            tasks = [asyncio.create_task(client.describe(job_id)) for job_id in job_ids]
            await asyncio.sleep(0.012)
            assert client.statistics().in_flight == 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert client.statistics().pending == 0
            await asyncio.sleep(5)
            check_nothing_is_left(client)
            server.heal()
            # And until the throttle has a call to spare at once.
            await asyncio.sleep(60)
            assert (await client.describe(job_ids[0]))["jobId"] == job_ids[0]
            await asyncio.sleep(60)


async def test_cancelled_while_opening_and_closing() -> None:
    """Whenever opening or closing is cancelled, the client is closed in the end and leaves no task."""
    before = asyncio.all_tasks()
    for turns in range(12):
        server = make_server(description_bytes=0)
        client = make_client(server)
        opening = asyncio.create_task(client.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        waits = []
        if not opening.cancelled():
            waits = [
                asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG))) for _ in range(20)
            ]
            await asyncio.sleep(0.5)
            closing = asyncio.create_task(client.aclose())
            for _ in range(turns % 5):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        await client.aclose()
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(outcome, Exception) for outcome in outcomes)
        assert asyncio.all_tasks() == before


async def test_nobody_is_delayed_by_those_who_leave() -> None:
    """A wait that is cancelled and begun anew again and again takes no place from the one beside it."""
    server = make_server(description_bytes=0)
    loop = asyncio.get_running_loop()
    job_id = server.add_job(life_cycle=LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=60))
    async with make_client(server, backoff=FixedInterval(5)) as client:
        steady = asyncio.create_task(note(loop.time, client.poll_for_job_complete(job_id, 0)))
        while not steady.done():
            fickle = asyncio.create_task(client.poll_for_job_complete(job_id, 0))
            await asyncio.sleep(0.7)
            fickle.cancel()
        assert steady.result().at <= 60 + 5 + 0.1
        # A call for the last one who left may still be under way.
        await asyncio.sleep(1)
        gc.collect(1)
        check_nothing_is_left(client)
