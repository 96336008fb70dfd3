"""The first check of a wait comes soon, but many waits do not make a call each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import BatchClient, ExponentialBackoff, FixedInterval, Window
from tests.support import ENDED, LONG, Log, make_client, make_server

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_a_job_that_has_ended() -> None:
    """A plain `wait_for_job` of it is over in a moment, so a test suite does not wait."""
    server = make_server()
    job_id = server.add_job(life_cycle=ENDED)
    async with make_client(server) as client:
        await client.wait_for_job(job_id)
        assert asyncio.get_running_loop().time() <= 0.08
        await asyncio.sleep(10)
        begin = asyncio.get_running_loop().time()
        await client.poll_for_job_complete(job_id)
        assert asyncio.get_running_loop().time() - begin <= 0.08


@pytest.mark.usefixtures("_no_slow_start")
async def test_waits_that_begin_one_after_the_other() -> None:
    """Whoever submits and waits, fifty times a second, makes two calls a second for it."""
    server = make_server()
    transport = server.transport(latency=0.02)
    log = Log(transport)
    async with make_client(transport, backoff=FixedInterval(1000)) as client:
        tasks = []
        for _ in range(500):
            job_id = server.add_job(life_cycle=LONG)
            tasks.append(asyncio.create_task(client.poll_for_job_complete(job_id)))
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        assert len(log.sent) <= 22
        assert sum(len(ids) for _, ids in log.answered) == 500
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_waits_that_begin_together() -> None:
    """A thousand of them are ten full calls, at the rate that the throttle allows."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(1000)]
    async with make_client(server) as client:
        jobs = await asyncio.gather(*map(client.poll_for_job_complete, job_ids))
        assert len(jobs) == 1000
        assert client.statistics().calls == 10
        assert asyncio.get_running_loop().time() < 2


@pytest.mark.usefixtures("_no_slow_start")
async def test_it_is_never_later_than_the_moment_drawn() -> None:
    """A class may ask for sooner first checks than half a second after the last call."""

    class Prompt(BatchClient):
        DEFAULT_DELAY_MIN = 0.1
        DEFAULT_DELAY_MAX = 0.2

    server = make_server()
    async with Prompt(transport=server.transport(latency=0.02)) as client:
        for _ in range(10):
            begin = asyncio.get_running_loop().time()
            await client.poll_for_job_complete(server.add_job(life_cycle=ENDED))
            assert asyncio.get_running_loop().time() - begin <= 0.23


async def test_the_second_phase_goes_on_with_the_schedule() -> None:
    """A job that was seen RUNNING is checked again when the schedule says so, and not at once."""
    server = make_server()
    transport = server.transport(latency=0.02)
    log = Log(transport)
    windows: list[int] = []

    class Noted(FixedInterval):
        def window(self, tries: int) -> Window:
            windows.append(tries)
            return super().window(tries)

    async with make_client(transport, backoff=Noted(8)) as client:
        task = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG)))
        await asyncio.sleep(20)
        assert log.sent == [pytest.approx(moment, abs=0.1) for moment in (0.05, 8.07, 16.09)]
        assert windows == [1, 1, 2]
        task.cancel()
        await asyncio.wait([task])


async def test_a_schedule_that_fails_in_the_second_phase() -> None:
    """It ends its own wait with its own error."""

    class Broken(FixedInterval):
        def window(self, tries: int) -> Window:
            raise LookupError(tries)

    server = make_server()
    async with make_client(server) as client:
        with pytest.raises(LookupError) as caught:
            await client.wait_for_job(server.add_job(life_cycle=LONG), backoff=Broken(1))
        assert "backoff of a wait for AWS Batch job" in caught.value.__notes__[0]
        assert client.statistics().pending == 0


@pytest.mark.parametrize(
    ("client_delay", "delay", "least", "most"),
    [(None, 20, 19, 21), (20, None, 19, 21), (20, 5, 4, 6), (5, 0, 0, 1)],
)
async def test_a_delay_comes_before_both_phases(
    client_delay: float | None, delay: float | None, least: float, most: float
) -> None:
    """Given to the client or to the wait, it is the pause before each of the two, give or take a second."""
    server = make_server()
    transport = server.transport(latency=0.02)
    log = Log(transport)
    async with make_client(transport, delay=client_delay, backoff=FixedInterval(100)) as client:
        task = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG), delay))
        await asyncio.sleep(60)
        task.cancel()
        await asyncio.wait([task])
    first, second = log.sent
    assert least <= first <= most + 0.01
    assert least <= second - first <= most + 0.3


@pytest.mark.parametrize("delay", ["soon", float("nan"), float("inf")])
def test_a_delay_that_is_none(delay: Any) -> None:
    """It is refused when the client is made."""
    with pytest.raises((ValueError, TypeError), match="delay must be a number of seconds"):
        BatchClient(delay=delay)


@pytest.mark.parametrize(
    ("make", "longest"),
    [(lambda: None, 30), (lambda: ExponentialBackoff(5), 5), (lambda: ExponentialBackoff(600), 600)],
    ids=["default", "5", "600"],
)
async def test_no_end_is_noticed_later_than_the_longest_pause(
    make: Callable[[], ExponentialBackoff | None], longest: float
) -> None:
    """However long the job took."""
    server = make_server()
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=make()) as client:
        job_id = server.add_job(life_cycle=LONG)
        task = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(6 * 3600)
        await client.terminate_job(job_id, "enough")
        end = loop.time()
        await task
        assert loop.time() - end <= longest + 0.3


async def test_a_wait_has_no_limit_by_default() -> None:
    """A month of checks ends no wait; `max_retries=None` is Airflow's number."""
    server = make_server()
    async with make_client(server, backoff=FixedInterval(60)) as client:
        assert client.max_retries == float("inf")
        task = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG)))
        await asyncio.sleep(5000 * 60)
        assert not task.done()
        assert client.statistics().calls > 4300
        task.cancel()
        await asyncio.wait([task])
    assert make_client(server, max_retries=None).max_retries == 4200
