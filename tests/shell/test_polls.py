"""Polling and waiting: `poll_job_status`, `poll_for_job_running`, `poll_for_job_complete`, `wait_for_job`."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import pytest

from awaitbatch import (
    BatchClient,
    DescribeError,
    ExponentialBackoff,
    FixedInterval,
    JobNotFoundError,
    MaxRetriesExceededError,
    StatusUnreachableError,
    Window,
)
from awaitbatch.testing import Fault, LifeCycleRanges
from tests.support import ENDED, LONG, make_client, make_server

from .support import QUICK

if TYPE_CHECKING:
    from awaitbatch import MatchStatus


async def test_poll_job_status_checks_at_once() -> None:
    """poll_job_status is True as soon as the status matches, and its first check waits for nothing."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    loop = asyncio.get_running_loop()
    async with make_client(server) as client:
        begin = loop.time()
        assert await client.poll_job_status(job_id, ["RUNNABLE"]) is True
        assert loop.time() - begin < 0.05
        assert await client.poll_job_status(job_id, "SUCCEEDED", backoff=FixedInterval(0.5)) is True
        assert 4 <= loop.time() - begin < 4.6


async def test_polls_return_the_description_that_matched() -> None:
    """poll_for_job_running returns the running job, poll_for_job_complete the ended one."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    async with make_client(server, backoff=FixedInterval(0.2)) as client:
        running = await client.poll_for_job_running(job_id, 0.5)
        assert running["status"] == "RUNNING"
        complete = await client.poll_for_job_complete(job_id, 0)
        assert complete["status"] == "SUCCEEDED"
        assert (await client.poll_for_job_running(job_id, 0))["status"] == "SUCCEEDED"


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED"])
async def test_wait_for_job_returns_the_final_description(outcome: Literal["SUCCEEDED", "FAILED"]) -> None:
    """wait_for_job waits for the end, and a failed job is an answer, no error."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, outcome=outcome))
    async with make_client(server, backoff=FixedInterval(0.5)) as client:
        job = await client.wait_for_job(job_id, 0)
    assert job["status"] == outcome
    assert server.ended_at(job_id) == pytest.approx(job["stoppedAt"] / 1000, abs=0.01)


async def test_wait_for_job_takes_a_first_terminal_check_as_final() -> None:
    """If the first check is terminal there is no second."""
    server = make_server()
    job_id = server.add_job(life_cycle=ENDED)
    async with make_client(server) as client:
        assert (await client.wait_for_job(job_id))["status"] == "SUCCEEDED"
        assert client.statistics().calls == 1


async def test_wait_for_job_follows_a_job_that_is_retried() -> None:
    """A job that goes from RUNNING back to RUNNABLE is awaited to its real end."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, attempts=3, outcome="FAILED"))
    async with make_client(server, backoff=FixedInterval(0.3)) as client:
        job = await client.wait_for_job(job_id, 0)
    assert job["status"] == "FAILED"
    assert len(job["attempts"]) == 3


async def test_max_retries_bound_the_checks() -> None:
    """max_retries + 1 checks without the status raise, naming the job, the checks and the last status."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server, backoff=FixedInterval(1), max_retries=99) as client:
        with pytest.raises(
            MaxRetriesExceededError, match=rf"\({job_id}\) status checks exceed max_retries"
        ) as caught:
            await client.poll_job_status(job_id, ["SUCCEEDED"], max_retries=4)
        assert (caught.value.job_id, caught.value.checks, caught.value.last_status) == (job_id, 5, "RUNNING")
        assert client.statistics().calls == 5
        with pytest.raises(MaxRetriesExceededError):
            await client.poll_for_job_complete(job_id, 0, max_retries=0)
        assert client.statistics().calls == 6


@pytest.mark.parametrize("awaited", [["RUNNABLE"], ["SUCCEEDED", "RUNNING"], "SUCCEEDED"], ids=str)
async def test_a_wait_that_cannot_be_fulfilled_ends(awaited: MatchStatus) -> None:
    """A poll for other states than the one in which the job ends raises as soon as that is seen."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=0, running=30, outcome="FAILED"))
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=FixedInterval(4)) as client:
        if "RUNNING" in list(awaited):
            await client.poll_for_job_complete(job_id, 0)
        with pytest.raises(StatusUnreachableError, match=rf"\({job_id}\) has ended as FAILED") as caught:
            await client.poll_job_status(job_id, awaited)
        assert loop.time() < 36
    error = caught.value
    assert (error.job_id, error.status) == (job_id, "FAILED")
    assert error.awaited == tuple(sorted([awaited] if isinstance(awaited, str) else awaited))


async def test_a_wait_for_what_has_passed_costs_one_check() -> None:
    """If the job has ended when the wait begins, its first check is its last."""
    server = make_server()
    async with make_client(server) as client:
        with pytest.raises(StatusUnreachableError):
            await client.poll_job_status(server.add_job(life_cycle=ENDED), ["RUNNING"])
        assert client.statistics().calls == 1


async def test_another_waits_answer_ends_it_too() -> None:
    """A poll with a long interval hears of the end when somebody else does."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    loop = asyncio.get_running_loop()
    async with make_client(server) as client:
        rare = asyncio.create_task(client.poll_job_status(job_id, ["PENDING"], backoff=FixedInterval(1000)))
        await client.poll_for_job_complete(job_id, 0, backoff=FixedInterval(0.5))
        with pytest.raises(StatusUnreachableError):
            await rare
        assert loop.time() < 6


async def test_class_defaults_are_read_at_each_use() -> None:
    """None means the class's default at the time of the call, and the delays come from the class too."""

    class Impatient(BatchClient):
        DEFAULT_DELAY_MIN = 0.01
        DEFAULT_DELAY_MAX = 0.02

    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    loop = asyncio.get_running_loop()
    transport = server.transport(latency=0.02)
    async with Impatient(transport=transport, backoff=FixedInterval(1), max_retries=None) as client:
        await client.describe(job_id)
        begin = loop.time()
        Impatient.MAX_RETRIES = 0
        with pytest.raises(MaxRetriesExceededError):
            await client.poll_for_job_complete(job_id)
        # The second call waits a fifth of a second for the throttle, and for nothing else.
        assert loop.time() - begin <= 0.21
        Impatient.STATUS_RETRIES = 2
        with pytest.raises(JobNotFoundError):
            await client.describe("ghost")
        assert (client.max_retries, client.status_retries) == (0, 2)


async def test_thousands_of_waits_fill_their_calls() -> None:
    """2,000 waits share calls of nearly a hundred ids, and each ends with its own outcome."""
    server = make_server(default_life_cycle=LifeCycleRanges(running=(20, 60), failing=0.2))
    job_ids = [server.add_job() for _ in range(2000)]
    async with make_client(server, backoff=FixedInterval(5)) as client:
        jobs = await asyncio.gather(*map(client.wait_for_job, job_ids))
        numbers = client.statistics()
    assert [(job["jobId"], job["status"]) for job in jobs] == [(i, server.status_of(i)) for i in job_ids]
    assert numbers.ids_per_call > 90
    assert numbers.pending == 0


async def test_a_few_jobs_travel_together() -> None:
    """With fewer than a hundred jobs every call carries them all."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(40)]
    async with make_client(server) as client:
        polls = [asyncio.create_task(client.poll_for_job_complete(job_id)) for job_id in job_ids]
        await asyncio.sleep(60)
        before = client.statistics()
        await asyncio.sleep(600)
        after = client.statistics()
        calls, checks = after.calls - before.calls, after.jobs_described - before.jobs_described
        assert checks / calls > 39
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def test_a_job_is_seen_at_least_every_interval() -> None:
    """With FixedInterval(5) a job's end is seen within 5 s, whatever else is polled."""
    server = make_server(default_life_cycle=LifeCycleRanges(running=(5, 30)))
    job_ids = [server.add_job() for _ in range(500)]
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=FixedInterval(5)) as client:

        async def delay(job_id: str) -> float:
            await client.poll_for_job_complete(job_id, 0)
            return loop.time() - (server.ended_at(job_id) or math.nan)

        delays = await asyncio.gather(*map(delay, job_ids))
    assert max(delays) < 5.1


@pytest.mark.parametrize("fault", [Fault.TOO_MANY_REQUESTS, Fault.CONNECTION_REFUSED, Fault.SERVER_EXCEPTION])
async def test_a_poll_outlives_an_outage(fault: Fault) -> None:
    """Ten minutes of throttles or failures end no wait."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=QUICK) for _ in range(150)]
    loop = asyncio.get_running_loop()
    server.inject(fault, begin=2, end=600)
    async with make_client(server, backoff=FixedInterval(5)) as client:
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in job_ids))
        assert {job["status"] for job in jobs} == {"SUCCEEDED"}
        assert loop.time() < 700


async def test_failures_are_checks_of_a_poll_and_throttles_are_not() -> None:
    """Server errors use up max_retries, with the last of them as the cause; throttled calls do not."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.TOO_MANY_REQUESTS, calls=2)
    server.inject(Fault.SERVER_EXCEPTION, calls=3)
    async with make_client(server, backoff=FixedInterval(1), max_retries=2) as client:
        with pytest.raises(MaxRetriesExceededError, match="never seen") as caught:
            await client.poll_for_job_complete(job_id, 0)
        assert "ServerException" in str(caught.value.__cause__)
        assert client.statistics().calls == 5


async def test_a_job_that_vanishes_says_so() -> None:
    """A job that was seen and is then absent for status_retries answers is gone."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server, backoff=FixedInterval(1), status_retries=4) as client:
        wait = asyncio.create_task(client.poll_for_job_complete(job_id, 0))
        await asyncio.sleep(10)
        server.forget_job(job_id)
        with pytest.raises(JobNotFoundError, match="was last seen as RUNNING and has vanished") as caught:
            await wait
        assert caught.value.seen


async def test_a_schedule_that_raises_ends_its_own_wait_alone() -> None:
    """A backoff of the user's that raises, or gives nonsense, is the error of its own poll."""

    class Broken:
        def window(self, tries: int) -> Window:
            raise ZeroDivisionError(tries)

    class Absurd:
        def window(self, tries: int) -> tuple[float, float]:
            return (tries, -1.0)

    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    async with make_client(server) as client:
        good = asyncio.create_task(client.poll_for_job_complete(job_id, 0))
        with pytest.raises(ZeroDivisionError):
            await client.poll_for_job_complete(job_id, 0, backoff=Broken())
        with pytest.raises(ValueError, match="Absurd"):
            await client.poll_for_job_complete(job_id, 0, backoff=Absurd())
        assert (await good)["status"] == "SUCCEEDED"


async def test_waits_for_one_job_share_its_id() -> None:
    """Twenty waits for one job cost as many checks as one, and all end."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    async with make_client(server, backoff=FixedInterval(1)) as client:
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for _ in range(20)))
        assert {job["status"] for job in jobs} == {"SUCCEEDED"}
        numbers = client.statistics()
        assert numbers.ids_per_call == 1
        assert numbers.calls < 30


async def test_refused_for_everybody_ends_early() -> None:
    """When AWS would refuse any call, the bisection gives up soon and all get the error."""
    server = make_server()
    job_ids = [server.add_job() for _ in range(100)]
    server.inject(Fault.CLIENT_EXCEPTION)
    async with make_client(server) as client:
        outcomes = await asyncio.gather(*map(client.describe, job_ids), return_exceptions=True)
        assert all(isinstance(outcome, DescribeError) for outcome in outcomes)
        assert client.statistics().calls < 30


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_retries": -1},
        {"status_retries": 0},
        {"max_calls_per_second": 0},
        {"call_timeout": 0},
        {"close_timeout": -1},
        {"describe_window": math.nan},
        {"backoff": 5},
        {"region_name": "eu-west-1"},
        {"profile_name": "me"},
        {"max_retries": math.nan},
    ],
    ids=str,
)
async def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, object]) -> None:
    """A wrong argument raises when the client is made, and says which it is."""
    name = next(iter(arguments))
    with pytest.raises(ValueError, match=name):
        make_client(make_server(), **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_retries": "3"},
        {"status_retries": [1]},
        {"max_calls_per_second": None},
        {"call_timeout": "15"},
        {"close_timeout": None},
        {"session": 3},
        {"client": "batch"},
    ],
    ids=str,
)
async def test_arguments_of_a_wrong_type_are_refused(arguments: dict[str, Any]) -> None:
    """An argument of a wrong type raises when the client is made, and the error names it."""
    name = next(iter(arguments))
    with pytest.raises(TypeError, match=f"^{name}=? must be"):
        BatchClient(**arguments)


async def test_arguments_of_a_poll_are_checked_too() -> None:
    """A wrong argument of a poll raises at once."""
    async with make_client(make_server()) as client:
        with pytest.raises(ValueError, match="max_retries"):
            await client.poll_job_status("j", ["FAILED"], max_retries=-1)
        with pytest.raises(ValueError, match="delay"):
            await client.poll_for_job_complete("j", math.nan)
        with pytest.raises(TypeError, match="delay must be a number of seconds, not '1'"):
            await client.poll_for_job_complete("j", "1")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="match_status"):
            await client.poll_job_status("j", [])
        with pytest.raises(ValueError, match=r"'Succeded', .* \(did you mean SUCCEEDED\?\)"):
            await client.poll_job_status("j", ["FAILED", "Succeded"])  # type: ignore[list-item]
        assert client.statistics().calls == 0


async def test_delay_pauses_without_blocking() -> None:
    """delay() pauses for a drawn time; delay(s) for s give or take one second."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        begin = loop.time()
        await BatchClient.delay()
        assert BatchClient.DEFAULT_DELAY_MIN <= loop.time() - begin <= BatchClient.DEFAULT_DELAY_MAX
        begin = loop.time()
        await BatchClient.delay(3)
        assert 2 <= loop.time() - begin <= 4
        begin = loop.time()
        await BatchClient.delay(0)
        assert loop.time() - begin <= 1


def test_static_arithmetic_is_airflows() -> None:
    """add_jitter and exponential_delay draw within Airflow's bounds, and parse_job_description picks one job."""
    for tries, longest in [(0, 1.0), (1, 1.36), (5, 10.0), (9, 30.16), (1000, 600.0)]:
        drawn = [BatchClient.exponential_delay(tries) for _ in range(200)]
        assert longest / 3 <= min(drawn) <= max(drawn) <= longest + 0.01
    assert all(5 <= BatchClient.add_jitter(10, width=5) <= 15 for _ in range(200))
    assert all(2 <= BatchClient.add_jitter(1, width=5, minima=2) <= 6 for _ in range(200))
    assert all(0 <= BatchClient.add_jitter(0) <= 1 for _ in range(200))
    response = {"jobs": [{"jobId": "a"}, {"jobId": "b", "status": "FAILED"}]}
    assert dict(BatchClient.parse_job_description("b", response)) == {"jobId": "b", "status": "FAILED"}
    with pytest.raises(JobNotFoundError, match=r"\(c\) description error"):
        BatchClient.parse_job_description("c", response)


async def test_backoffs_repeat_with_a_seeded_random() -> None:
    """ExponentialBackoff takes its own Random, so that a user's test can repeat."""
    first, second = (ExponentialBackoff(random=Random(7)) for _ in range(2))
    assert [first.window(tries) for tries in range(1, 9)] == [second.window(tries) for tries in range(1, 9)]
