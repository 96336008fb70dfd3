"""Describing: `describe`, `get_job_description`, `describe_jobs`, `check_job_success`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from awaitbatch import (
    DescribeError,
    FailureCause,
    FixedInterval,
    InvalidJobIdError,
    JobFailedError,
    JobNotCompleteError,
    JobNotFoundError,
    UnknownJobStatusError,
)
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, make_client, make_server

from .support import FaultyTransport


async def test_describe_returns_the_description() -> None:
    """Both names of describe return the job as the server describes it."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        job = await client.describe(job_id)
        assert (job["jobId"], job["status"]) == (job_id, "RUNNING")
        later = await client.get_job_description(job["jobArn"])
        assert (later["jobId"], later["createdAt"]) == (job_id, job["createdAt"])


async def test_describes_at_the_same_time_share_a_call() -> None:
    """A hundred describes in one tick are one call."""
    server = make_server()
    job_ids = [server.add_job() for _ in range(100)]
    async with make_client(server) as client:
        jobs = await asyncio.gather(*map(client.describe, job_ids))
        assert [job["jobId"] for job in jobs] == job_ids
        assert client.statistics().calls == 1


async def test_an_id_that_cannot_be_one_is_refused_before_it_is_sent() -> None:
    """A malformed id raises at once, and nothing is sent."""
    async with make_client(make_server()) as client:
        for ask in (
            client.describe,
            client.wait_for_job,
            client.poll_for_job_complete,
            client.check_job_success,
        ):
            with pytest.raises(InvalidJobIdError, match="a, b"):
                await ask("a, b")
        with pytest.raises(InvalidJobIdError):
            await client.describe_jobs(["good", ""])
        with pytest.raises(InvalidJobIdError):
            await client.cancel_job("", "reason")
        assert client.statistics().calls == 0


async def test_a_job_that_never_appears_is_not_found() -> None:
    """After status_retries answers without the job, describe and polls say that it was never seen."""
    async with make_client(make_server(), status_retries=3) as client:
        with pytest.raises(JobNotFoundError, match=r"\(ghost\).*3 answers.*never seen") as caught:
            await client.describe("ghost")
        assert (caught.value.job_id, caught.value.seen, client.statistics().calls) == ("ghost", False, 3)
        with pytest.raises(JobNotFoundError):
            await client.poll_for_job_complete("ghost", 0, status_retries=2)
        assert client.statistics().calls == 5


@pytest.mark.parametrize("name", ["describe", "get_job_description", "check_job_success"])
async def test_a_job_may_appear_late(name: str) -> None:
    """A job that answers lack for a moment is found all the same."""
    server = make_server()
    async with make_client(server) as client:
        asking = asyncio.create_task(getattr(client, name)("late"))
        await asyncio.sleep(1)
        server.add_job("late", life_cycle=ENDED)
        assert await asking


@pytest.mark.parametrize("name", ["describe", "check_job_success", "get_job_awslogs_info"])
async def test_who_mistypes_an_id_learns_it_soon(name: str) -> None:
    """Unless somebody has set status_retries, an unknown id is an error after three or four answers within 3 s."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        async with make_client(make_server()) as client:
            begin = loop.time()
            with pytest.raises(
                JobNotFoundError, match=r"\(ghost\) not found in \d answers in a row: it was never"
            ):
                await getattr(client, name)("ghost")
            assert 1.5 <= loop.time() - begin <= 3.1
            assert 3 <= client.statistics().calls <= 4


async def test_get_job_description_has_airflows_patience() -> None:
    """Under Airflow's name an unknown id is asked for status_retries times, with the backoff's pauses."""
    loop = asyncio.get_running_loop()
    async with make_client(make_server(), backoff=FixedInterval(8)) as client:
        with pytest.raises(JobNotFoundError, match="10 answers"):
            await client.get_job_description("ghost")
        assert 9 * 4 <= loop.time() <= 9 * 8.1


@pytest.mark.parametrize("name", ["describe", "get_job_description", "check_job_success"])
async def test_status_retries_may_be_given_to_the_call(name: str) -> None:
    """A call's own status_retries goes before the client's, and makes the backoff's pauses those of the call."""
    loop = asyncio.get_running_loop()
    for given in ({}, {"status_retries": 2}):
        async with make_client(make_server(), backoff=FixedInterval(8), **given) as client:
            begin = loop.time()
            with pytest.raises(JobNotFoundError, match="in 6 answers"):
                await getattr(client, name)("ghost", status_retries=6)
            assert loop.time() - begin >= 5 * 4
            with pytest.raises(ValueError, match="status_retries"):
                await getattr(client, name)("ghost", status_retries=0)


async def test_status_retries_of_the_client_hold_for_describes() -> None:
    """Who gives status_retries to the client means describes, too."""
    async with make_client(make_server(), backoff=FixedInterval(8), status_retries=12) as client:
        with pytest.raises(JobNotFoundError, match="in 12 answers"):
            await client.describe("ghost")


async def test_describe_jobs_answers_like_boto3() -> None:
    """Any number of ids, in the order asked for, absent ones left out and not asked for again."""
    server = make_server()
    job_ids = [server.add_job() for _ in range(250)]
    async with make_client(server) as client:
        answer = await client.describe_jobs([*reversed(job_ids), "ghost", job_ids[7]])
        assert [job["jobId"] for job in answer["jobs"]] == job_ids[::-1]
        assert client.statistics().calls == 3
        assert await client.describe_jobs([]) == {"jobs": []}
        assert await client.describe_jobs(["ghost"]) == {"jobs": []}
        assert client.statistics().calls == 4
        with pytest.raises(TypeError, match=r"must be a list, .* not 'one-id'"):
            await client.describe_jobs("one-id")


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SERVER_EXCEPTION,
        Fault.RESET_BEFORE_BODY,
        Fault.HTML,
        Fault.EMPTY_BODY,
        Fault.NULL_JOBS,
        Fault.TRUNCATED_JSON,
        Fault.HANG,
    ],
)
async def test_a_describe_survives_what_may_heal(fault: Fault) -> None:
    """Server errors, lost connections, unreadable bodies and time-outs are tried again; then they are the error."""
    server = make_server()
    job_id = server.add_job()
    server.inject(fault, calls=2)
    async with make_client(server) as client:
        assert (await client.describe(job_id))["jobId"] == job_id
        assert client.statistics().failed == 2
    server.inject(fault)
    async with make_client(server) as client:
        with pytest.raises(DescribeError, match=rf"\({job_id}\).*10 tries") as caught:
            await client.describe(job_id)
        assert caught.value.__cause__ is not None
        with pytest.raises(DescribeError):
            await client.describe_jobs([job_id])
        assert client.statistics().calls == 20


async def test_what_cannot_heal_is_raised_at_once() -> None:
    """Access denied ends every request of the call, with botocore's error as the cause."""
    server = make_server()
    job_ids = [server.add_job() for _ in range(3)]
    server.inject(Fault.ACCESS_DENIED)
    async with make_client(server) as client:
        waits = [client.describe(job_ids[0]), client.poll_job_status(job_ids[1], ["FAILED"])]
        for outcome in await asyncio.gather(*waits, return_exceptions=True):
            assert isinstance(outcome, DescribeError)
            assert (outcome.code, outcome.http_status) == ("AccessDeniedException", 403)
            assert isinstance(outcome.__cause__, ClientError)
            assert "not authorized to perform" in str(outcome)
        # Together, and then each alone, since it might have been the fault of one of them.
        assert client.statistics().calls == 3


async def test_throttles_cost_a_describe_nothing() -> None:
    """A describe outlives more throttled calls than it has tries, as long as the rate can still fall."""
    server = make_server()
    job_id = server.add_job()
    server.inject(Fault.TOO_MANY_REQUESTS, calls=7)
    async with make_client(server, status_retries=1) as client:
        assert (await client.describe(job_id))["jobId"] == job_id
        assert client.statistics().throttled == 7


async def test_throttles_at_the_floor_end_a_describe() -> None:
    """Once the rate cannot fall any further, throttled calls count as tries."""
    server = make_server()
    server.inject(Fault.TOO_MANY_REQUESTS)
    async with make_client(server, status_retries=2) as client:
        with pytest.raises(DescribeError) as caught:
            await client.describe(server.add_job())
        assert caught.value.http_status == 429


async def test_one_bad_id_hurts_nobody_else() -> None:
    """When AWS refuses a call, only those who asked for the id at fault hear of it."""
    server = make_server()
    job_ids = [server.add_job() for _ in range(99)]
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=["bad"])
    async with make_client(server) as client:
        asked = [*job_ids[:50], "bad", *job_ids[50:], "bad"]
        outcomes = await asyncio.gather(*map(client.describe, asked), return_exceptions=True)
        for job_id, outcome in zip(asked, outcomes, strict=True):
            if job_id == "bad":
                assert isinstance(outcome, DescribeError)
                assert outcome.code == "ClientException"
            else:
                assert isinstance(outcome, dict)
        assert client.statistics().calls <= 15


async def test_describe_jobs_fails_whole_when_one_is_refused() -> None:
    """An id that AWS refuses is the error of describe_jobs."""
    server = make_server()
    job_id = server.add_job()
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=["bad"])
    async with make_client(server) as client:
        with pytest.raises(DescribeError, match=r"\(bad\)"):
            await client.describe_jobs([job_id, "bad"])
        assert client.statistics().pending == 0


async def test_a_describe_never_shows_the_past() -> None:
    """A describe after a terminate is not answered by a call that was on its way before."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        first = asyncio.create_task(client.describe(job_id))
        await asyncio.sleep(0.008)  # the first call is on its way
        assert client.statistics().in_flight == 1
        server_side = asyncio.create_task(client.terminate_job(job_id, "enough"))
        await server_side
        assert (await client.describe(job_id))["status"] == "FAILED"
        assert (await first)["status"] == "RUNNING"


async def test_due_describes_pass_overdue_polls() -> None:
    """A describe does not queue behind thousands of overdue polls."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3000)]
    async with make_client(server, max_calls_per_second=1, backoff=FixedInterval(1)) as client:
        polls = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
        await asyncio.sleep(5)
        loop = asyncio.get_running_loop()
        before = loop.time()
        await client.describe(job_ids[-1])
        assert loop.time() - before < 1.1
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        assert client.statistics().pending == 0


async def test_check_job_success() -> None:
    """True for a success; every other state is an error of its own, with the job attached."""
    server = make_server()
    good = server.add_job(life_cycle=ENDED)
    failed = server.add_job(life_cycle=replace(ENDED, outcome="FAILED", status_reason="Host EC2 terminated."))
    running = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        assert await client.check_job_success(good) is True
        with pytest.raises(
            JobFailedError, match=rf"\({failed}\) failed after 1 attempt: its host was lost"
        ) as failure:
            await client.check_job_success(failed)
        assert failure.value.job["jobId"] == failed
        assert failure.value.reason == "Host EC2 terminated."
        assert failure.value.cause is FailureCause.HOST_LOST
        assert len(failure.value.attempts) == 1
        with pytest.raises(JobNotCompleteError, match=rf"\({running}\) is not complete"):
            await client.check_job_success(running)


async def test_a_status_that_aws_invents_is_kept_as_it_came() -> None:
    """An unknown status reaches the user, and check_job_success says that it does not know it."""
    body = b'{"jobs": [{"jobId": "j", "status": "SUSPENDED", "added": {"later": null}}]}'
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport) as client:
        assert dict(await client.describe("j")) == {"jobId": "j", "status": "SUSPENDED", "added": {}}
        with pytest.raises(UnknownJobStatusError, match="has unknown status: SUSPENDED"):
            await client.check_job_success("j")
