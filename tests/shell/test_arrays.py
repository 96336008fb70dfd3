"""Waiting for the parent of an array job, which AWS shows as PENDING for as long as its children run."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from awaitbatch import FixedInterval, JobNotFoundError, StatusUnreachableError
from awaitbatch.testing import BatchServer, LifeCycle
from tests.support import Fetcher, make_client, make_server

from .support import FaultyTransport

LATE = LifeCycle(submitted=1, pending=1, runnable=10, starting=10, running=1000)
"""A child that runs from 22 s on."""


def add_array(server: BatchServer, **changes: object) -> str:
    """Add an array of three, whose children run late and long."""
    return server.add_job(life_cycle=replace(LATE, **changes), array_size=3)  # type: ignore[arg-type]


async def test_it_runs_when_a_child_does() -> None:
    """poll_for_job_running returns when the first child runs, not when the last has ended."""
    server = make_server()
    job_id = add_array(server)
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=FixedInterval(4)) as client:
        job = await client.poll_for_job_running(job_id, 0)
        assert 22 <= loop.time() <= 26.1
        assert (job["status"], job["arrayProperties"]["size"]) == ("PENDING", 3)
        assert job["arrayProperties"]["statusSummary"]["RUNNING"] == 3


async def test_any_wait_for_running() -> None:
    """The same holds for poll_job_status."""
    server = make_server()
    job_id = add_array(server)
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=FixedInterval(4)) as client:
        assert await client.poll_job_status(job_id, ["RUNNING", "RUNNABLE"])
        assert 22 <= loop.time() <= 26.1


async def test_wait_for_job_waits_for_the_last_child() -> None:
    """wait_for_job fetches logs from the first child's start on, and returns when all have ended."""
    server = make_server()
    job_id = add_array(server)
    loop = asyncio.get_running_loop()
    fetcher, began = Fetcher(), []

    def make_fetcher(_: str) -> Fetcher:
        began.append(loop.time())
        return fetcher

    async with make_client(server, backoff=FixedInterval(4)) as client:
        job = await client.wait_for_job(job_id, 0, make_fetcher)
    assert (job["status"], fetcher.calls) == ("SUCCEEDED", ["start", "stop", "join"])
    assert 22 <= began[0] <= 26.1
    assert 1022 <= loop.time() <= 1027


async def test_the_second_phase_knows_what_the_first_has_seen() -> None:
    """When a parent vanishes in mid-run, the error says that it was PENDING, which is what AWS said."""
    server = make_server()
    job_id = add_array(server)
    async with make_client(server, backoff=FixedInterval(4), status_retries=1) as client:
        waiting = asyncio.create_task(client.wait_for_job(job_id, 0))
        await asyncio.sleep(30)
        server.forget_job(job_id)
        with pytest.raises(JobNotFoundError, match="last seen as PENDING and has vanished"):
            await waiting


async def test_an_array_whose_children_do_not_run_yet() -> None:
    """Children that are RUNNABLE are no reason to return."""
    server = make_server()
    job_id = add_array(server, runnable=1e6)
    async with make_client(server, backoff=FixedInterval(4)) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.poll_for_job_running(job_id, 0), 3600)


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
async def test_a_child_that_has_run_is_enough(status: str) -> None:
    """Children that were too quick to be seen running count, too."""
    summary = {"STARTING": 9_999, status: 1}
    job = {"jobId": "j", "status": "PENDING", "arrayProperties": {"statusSummary": summary, "size": 10_000}}
    body = msgspec.json.encode({"jobs": [job]})
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport) as client:
        assert dict(await client.poll_for_job_running("j", 0)) == job


async def test_an_array_that_ended_otherwise_than_awaited() -> None:
    """A poll for a state that neither the parent nor its children stand for ends as with any other job."""
    server = make_server()
    job_id = add_array(server, outcome="FAILED")
    async with make_client(server, backoff=FixedInterval(4)) as client:
        with pytest.raises(StatusUnreachableError, match="has ended as FAILED and will never be SUCCEEDED"):
            await client.poll_job_status(job_id, ["SUCCEEDED"])
