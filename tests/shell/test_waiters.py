"""Waiters in botocore's manner, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import WaiterError

from awaitbatch import BatchClient, ClientClosedError, FixedInterval, InvalidJobIdError, JobFailedError
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, make_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch.testing import BatchServer

STARTS = LifeCycle(submitted=0, pending=0, runnable=20, starting=0, running=30)
FAILS = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=40, outcome="FAILED", exit_code=3)


@pytest.fixture
async def client(server: BatchServer) -> AsyncIterator[BatchClient]:
    """An open client."""
    async with make_client(server) as opened:
        yield opened


def now() -> float:
    """Seconds of virtual time."""
    return asyncio.get_running_loop().time()


def calls(server: BatchServer) -> int:
    """DescribeJobs calls that the server has seen."""
    return server.statistics.calls["DescribeJobs"]


@pytest.mark.parametrize(
    ("names", "delay", "attempts"),
    [
        (("job_exists", "JobExists"), 2, 100),
        (("job_running", "JobRunning"), 5, 100),
        (("job_complete", "JobComplete"), 300, 288),
    ],
)
async def test_names(client: BatchClient, names: tuple[str, str], delay: float, attempts: int) -> None:
    """They are Airflow's, in both ways to write them; so are the delay and the number of checks."""
    assert names[0] in client.waiter_names
    for name in names:
        waiter = client.get_waiter(name)
        assert (waiter.name, waiter.config.delay, waiter.config.max_attempts) == (names[1], delay, attempts)
        assert repr(waiter) == f"<JobWaiter {names[1]}>"


async def test_a_name_that_is_none(client: BatchClient) -> None:
    """The error shows those that there are."""
    text = "Waiter does not exist: 'jobs_done'; there are job_complete, job_exists, job_running"
    with pytest.raises(ValueError, match=text):
        client.get_waiter("jobs_done")


async def test_jobs_that_complete(server: BatchServer, client: BatchClient) -> None:
    """The answer is boto3's for all jobs, in the order in which they were given, however soon they have ended."""
    job_ids = [server.add_job(life_cycle=LifeCycle(running=seconds)) for seconds in (20, 0, 70)]
    began = now()
    response = await client.get_waiter("job_complete").wait(jobs=job_ids, WaiterConfig={"Delay": 10})
    assert [(job["jobId"], job["status"]) for job in response["jobs"]] == [
        (job_id, "SUCCEEDED") for job_id in job_ids
    ]
    assert response == await client.describe_jobs(job_ids)
    assert 70 <= now() - began <= 81


async def test_one_that_fails(server: BatchServer, client: BatchClient) -> None:
    """JobComplete fails as soon as one has failed, in botocore's words, with the job's own error as the cause."""
    job_ids = [server.add_job(life_cycle=LONG), server.add_job(life_cycle=FAILS)]
    began = now()
    with pytest.raises(
        WaiterError, match=r"^Waiter JobComplete failed: Waiter encountered a terminal failure"
    ) as caught:
        await client.get_waiter("JobComplete").wait(jobs=job_ids, WaiterConfig={"Delay": 10})
    assert 40 <= now() - began <= 51
    assert [job["status"] for job in caught.value.last_response["jobs"]] == ["RUNNING", "FAILED"]
    assert caught.value.kwargs["name"] == "JobComplete"
    assert "exit code 3" in str(caught.value)
    assert isinstance(caught.value.__cause__, JobFailedError)


async def test_jobs_that_run(server: BatchServer, client: BatchClient) -> None:
    """JobRunning ends when each job runs or has ended, as the parent of an array does once a child runs."""
    waiter = client.get_waiter("job_running")
    ended = [server.add_job(life_cycle=life) for life in (ENDED, FAILS, LONG)]
    assert len((await waiter.wait(jobs=ended))["jobs"]) == 3
    began = now()
    await waiter.wait(jobs=[server.add_job(life_cycle=STARTS), server.add_job(life_cycle=ENDED)])
    assert 20 <= now() - began <= 26
    began = now()
    (parent,) = (await waiter.wait(jobs=[server.add_job(life_cycle=STARTS, array_size=3)]))["jobs"]
    assert parent["status"] == "PENDING"
    assert 20 <= now() - began <= 30


async def test_jobs_that_exist(server: BatchServer, client: BatchClient) -> None:
    """JobExists ends when all are there, also one that comes late."""
    began = now()
    waiting = asyncio.create_task(client.get_waiter("job_exists").wait(jobs=[server.add_job(), "late"]))
    await asyncio.sleep(9)
    server.add_job("late", life_cycle=LONG)
    assert len((await waiting)["jobs"]) == 2
    assert 9 <= now() - began <= 11.1


async def test_checks_are_used_up(server: BatchServer, client: BatchClient) -> None:
    """The error says how far the jobs have come; it takes as long as the delays together, however calls are shared."""
    job_id = server.add_job(life_cycle=LONG)
    waiter = client.get_waiter("job_complete")
    polls = [asyncio.create_task(client.wait_for_job(job_id, backoff=FixedInterval(0.5)))]
    await asyncio.sleep(2)
    began = now()
    text = r"^Waiter JobComplete failed: Max attempts exceeded: 2 of 3 jobs are not as awaited, such as AWS Batch job "
    with pytest.raises(WaiterError, match=rf"{text}\({job_id}\), which is RUNNING$") as caught:
        await waiter.wait(
            jobs=[server.add_job(life_cycle=ENDED), job_id, "ghost"],
            WaiterConfig={"Delay": 10, "MaxAttempts": 4},
        )
    assert 24 <= now() - began <= 31
    assert len(caught.value.last_response["jobs"]) == 2
    polls[0].cancel()
    with pytest.raises(WaiterError, match=r"1 of 1 job is not as awaited.*\(ghost\), which was not found$"):
        await waiter.wait(jobs=["ghost"], WaiterConfig={"MaxAttempts": 1})


async def test_waiters_share_calls(server: BatchServer, client: BatchClient) -> None:
    """A hundred waiters that begin at different moments make few calls, and ended jobs are asked for no more."""
    waits = []
    for _ in range(100):
        job_id = server.add_job(life_cycle=LifeCycle(running=200))
        waits.append(
            asyncio.create_task(
                client.get_waiter("job_complete").wait(jobs=[job_id], WaiterConfig={"Delay": 10})
            )
        )
        await asyncio.sleep(0.02)
    before = calls(server)
    await asyncio.gather(*waits)
    # At 10 s of delay, a call each 5 s is the least that their windows allow.
    assert calls(server) - before <= 80


async def test_trouble_that_passes(server: BatchServer, client: BatchClient) -> None:
    """An outage of ten minutes ends no waiter that has checks left, and is told if they are used up meanwhile."""
    job_id = server.add_job(life_cycle=LifeCycle(running=100))
    server.inject(Fault.BARE_503, begin=30, end=630)
    waiter = client.get_waiter("job_complete")
    response = await waiter.wait(jobs=[job_id], WaiterConfig={"Delay": 20, "MaxAttempts": 1000})
    assert response["jobs"][0]["status"] == "SUCCEEDED"
    assert now() > 630
    server.inject(Fault.BARE_503)
    with pytest.raises(
        WaiterError, match=r"Max attempts exceeded: .* was not found; the last one failed: .*503"
    ):
        await waiter.wait(jobs=[job_id], WaiterConfig={"Delay": 1, "MaxAttempts": 2})


async def test_trouble_for_good(server: BatchServer, client: BatchClient) -> None:
    """What would come again is raised at once, with AWS's answer, as botocore does."""
    server.inject(Fault.ACCESS_DENIED)
    with pytest.raises(
        WaiterError, match=r"An error occurred \(AccessDenied.*; allow batch:DescribeJobs"
    ) as caught:
        await client.get_waiter("job_exists").wait(jobs=["j"])
    assert caught.value.last_response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert now() < 3


async def test_refusals_that_pass(server: BatchServer, client: BatchClient) -> None:
    """After an answer, what is refused for less than five minutes ends no waiter; what lasts does."""
    waiter = client.get_waiter("job_complete")
    config: Any = {"Delay": 20, "MaxAttempts": 1000}
    server.inject(Fault.ACCESS_DENIED, begin=30, end=300)
    job_id = server.add_job(life_cycle=LifeCycle(running=200))
    response = await waiter.wait(jobs=[job_id], WaiterConfig=config)
    assert response["jobs"][0]["status"] == "SUCCEEDED"
    waiting = asyncio.create_task(waiter.wait(jobs=[server.add_job(life_cycle=LONG)], WaiterConfig=config))
    await asyncio.sleep(50)
    began = now()
    server.inject(Fault.ACCESS_DENIED)
    with pytest.raises(WaiterError, match=r"An error occurred \(AccessDenied"):
        await waiting
    assert 300 <= now() - began <= 345


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"jobs": []}, ValueError, "jobs must have the id of one job at least"),
        ({"jobs": "j"}, TypeError, "job ids must be a list"),
        ({"jobs": ["a b"]}, InvalidJobIdError, "not an AWS Batch job id"),
        (
            {"jobs": ["j"], "WaiterConfig": {"delay": 1}},
            ValueError,
            "WaiterConfig takes Delay, MaxAttempts, not 'delay'",
        ),
        ({"jobs": ["j"], "WaiterConfig": {"Delay": -1}}, ValueError, "Delay must be a number of seconds"),
        ({"jobs": ["j"], "WaiterConfig": {"MaxAttempts": 0}}, ValueError, "MaxAttempts must be at least 1"),
    ],
)
async def test_arguments_that_make_no_sense(
    server: BatchServer, client: BatchClient, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(error, match=text):
        await client.get_waiter("job_exists").wait(**arguments)
    assert calls(server) == 0


async def test_closing_the_client(server: BatchServer) -> None:
    """It ends the wait with ClientClosedError, which is no failure of the jobs."""
    async with make_client(server) as client:
        waiting = asyncio.create_task(
            client.get_waiter("job_complete").wait(jobs=[server.add_job(life_cycle=LONG)])
        )
        await asyncio.sleep(1)
    with pytest.raises(ClientClosedError):
        await waiting
