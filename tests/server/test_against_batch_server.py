"""The whole client over HTTP, through a real aiobotocore client, against BatchServer."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiobotocore.config import AioConfig

from awaitbatch import (
    BatchClient,
    ClientClosedError,
    DescribeError,
    FixedInterval,
    JobFailedError,
    SubmitUncertainError,
)
from awaitbatch.testing import BatchServer, Fault, LifeCycle, LifeCycleRanges, ServerProcess, TokenBucket
from tests.support import ENDED, LONG, PromptClient, lasting, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiobotocore.session import AioSession

FAST = LifeCycleRanges(
    submitted=(0, 0.1), pending=(0, 0.1), runnable=(0, 0.2), starting=(0, 0.1), running=(0.1, 1), failing=0.2
)


@pytest.fixture
async def server() -> AsyncIterator[BatchServer]:
    """A server whose jobs take about a second."""
    async with BatchServer(default_life_cycle=FAST, seed=1) as running:
        yield running


async def test_the_whole_way_of_many_jobs(server: BatchServer, session: AioSession) -> None:
    """Jobs are submitted, awaited in a task each, and end as the server recorded."""
    async with PromptClient(
        session=session, **server.client_arguments, backoff=FixedInterval(0.5), max_calls_per_second=50
    ) as client:
        submitted = [
            await client.submit_job(jobName=f"job-{number}", jobQueue="queue", jobDefinition="definition")
            for number in range(50)
        ]
        job_ids = [job["jobId"] for job in submitted] + [server.add_job() for _ in range(200)]
        jobs = await asyncio.gather(*map(client.wait_for_job, job_ids))
        assert [job["status"] for job in jobs] == [server.status_of(job_id) for job_id in job_ids]
        assert {job["status"] for job in jobs} == {"SUCCEEDED", "FAILED"}
        failed = next(job["jobId"] for job in jobs if job["status"] == "FAILED")
        with pytest.raises(JobFailedError):
            await client.check_job_success(failed)
        assert server.statistics.calls["DescribeJobs"] == client.statistics().calls
        assert client.statistics().calls < len(job_ids)


@pytest.mark.usefixtures("_no_slow_start")
async def test_descriptions_equal_botocores(session: AioSession) -> None:
    """What users get is equal to what botocore parses from the same answer, in every state of a job."""
    now = 0.0
    life_cycle = LifeCycle(
        submitted=1, pending=1, runnable=1, starting=1, running=1, attempts=2, outcome="FAILED"
    )
    async with BatchServer(clock=lambda: now, default_life_cycle=life_cycle) as server:
        job_ids = [server.add_job(), server.add_job(array_size=3), server.add_job(tags={"null": "null"})]
        async with BatchClient(
            session=session, **server.client_arguments, max_calls_per_second=1000
        ) as client:
            for now in range(10):  # noqa: B007
                ours = await client.describe_jobs(job_ids)
                theirs = await client.client.describe_jobs(jobs=job_ids)
                assert ours["jobs"] == theirs["jobs"]
                assert await client.describe(job_ids[0]) == theirs["jobs"][0]


async def test_a_lent_client_is_left_as_it_was(server: BatchServer, session: AioSession) -> None:
    """Two BatchClients may share a client; closing one leaves the other at work, and the client open and as it was."""
    job_id = server.add_job(life_cycle=LONG)
    async with session.create_client("batch", **server.client_arguments) as lent:
        emitter = lent.meta.events._emitter
        handlers_before = len(emitter._handlers.prefix_search("before-parse.batch.DescribeJobs"))
        async with BatchClient(client=lent) as first:
            async with BatchClient(client=lent) as second:
                assert first.client is lent
                described = await asyncio.gather(first.describe(job_id), second.describe(job_id))
                assert [job["jobId"] for job in described] == [job_id] * 2
            assert (await first.describe(job_id))["jobId"] == job_id
        handlers_after = len(emitter._handlers.prefix_search("before-parse.batch.DescribeJobs"))
        assert handlers_after == handlers_before
        assert (await lent.describe_jobs(jobs=[job_id]))["jobs"][0]["jobId"] == job_id


async def test_a_session_may_be_given(server: BatchServer, session: AioSession) -> None:
    """session= creates the client from a session of the user's."""
    job_id = server.add_job(life_cycle=LONG)
    async with BatchClient(session=session, **server.client_arguments) as client:
        assert (await client.describe(job_id))["jobId"] == job_id


@pytest.mark.usefixtures("_no_slow_start")
async def test_malformed_ids_that_pass_our_check_hurt_nobody(
    server: BatchServer, session: AioSession
) -> None:
    """When the server refuses a call for one of its ids, the others are described all the same."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(30)]
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=["a-bad-one"])
    async with BatchClient(session=session, **server.client_arguments, max_calls_per_second=100) as client:
        asked = [*job_ids, "a-bad-one"]
        *good, bad = await asyncio.gather(*map(client.describe, asked), return_exceptions=True)
    assert all(isinstance(outcome, dict) for outcome in good)
    assert isinstance(bad, DescribeError)
    assert bad.code == "ClientException"


@pytest.mark.usefixtures("_no_slow_start")
async def test_a_throttled_account_fails_no_wait(session: AioSession) -> None:
    """Behind a bucket of 5 calls/s that nobody mentioned, hundreds of waits end well."""
    async with BatchServer(default_life_cycle=FAST, bucket=TokenBucket(5, 1), seed=1) as server:
        job_ids = [server.add_job() for _ in range(800)]
        async with PromptClient(
            session=session, **server.client_arguments, backoff=FixedInterval(0.1), max_calls_per_second=100
        ) as client:
            jobs = await asyncio.gather(*map(client.wait_for_job, job_ids))
            assert client.statistics().throttled > 0
        assert {job["status"] for job in jobs} == {"SUCCEEDED", "FAILED"}


async def test_a_server_that_hangs(server: BatchServer, session: AioSession) -> None:
    """A call without an answer is given up after call_timeout, and a submission is uncertain."""
    server.inject(Fault.HANG)
    async with BatchClient(
        session=session,
        **server.client_arguments,
        config=AioConfig(read_timeout=0.3),
        call_timeout=0.1,
        status_retries=2,
        backoff=FixedInterval(0.01),
    ) as client:
        with pytest.raises(DescribeError) as caught:
            await client.describe("j")
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert "no answer within 0.1 s" in str(caught.value)
        with pytest.raises(SubmitUncertainError):
            await client.submit_job(jobName="n", jobQueue="q", jobDefinition="d")


async def test_closing_waits_for_no_answer(server: BatchServer, session: AioSession) -> None:
    """A client closes at once although a call hangs that may take a minute, and its describe ends."""
    rule = server.inject(Fault.HANG)
    async with BatchClient(session=session, **server.client_arguments, call_timeout=60) as client:
        waiting = asyncio.create_task(client.describe("j"))
        await until(lambda: rule.hits > 0)
        begin = time.monotonic()
    assert time.monotonic() - begin < 20
    with pytest.raises(ClientClosedError):
        await waiting


def open_sockets() -> set[str]:
    """The sockets of this process, by their numbers in the kernel."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="sockets are counted in /proc")
async def test_no_socket_outlives_the_client(session: AioSession) -> None:
    """Whatever its connections go through, all of them are closed with the client."""
    async with ServerProcess() as server:
        (job_id,) = await server.control("POST", "jobs", [{"life_cycle": {"running": 1e6}}])
        before = open_sockets()
        for fault in (Fault.HANG, Fault.RESET_IN_BODY, Fault.BARE_503):
            await server.control("DELETE", "faults")
            async with PromptClient(
                session=session,
                **server.client_arguments,
                backoff=FixedInterval(0.05),
                call_timeout=0.5,
                max_calls_per_second=100,
            ) as client:
                assert (await client.describe(job_id))["jobId"] == job_id
                await server.control("POST", "faults", {"fault": fault, **lasting(fault, 5)})
                waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for _ in range(3)]
                await until(lambda: client.statistics().calls >= 3)
            await asyncio.gather(*waits, return_exceptions=True)
            # A transport that is to close does so in the next turns of the loop.
            deadline = time.monotonic() + 20
            while open_sockets() > before:
                assert time.monotonic() < deadline, fault
                await asyncio.sleep(0.02)


async def test_a_blocking_join_blocks_nobody(server: BatchServer, session: AioSession) -> None:
    """A fetcher whose join blocks does so in a thread, also when the wait is cancelled; others go on meanwhile."""

    class Fetcher(threading.Thread):
        def __init__(self) -> None:
            super().__init__(daemon=True)
            self.stopped = threading.Event()

        def run(self) -> None:
            self.stopped.wait()
            time.sleep(0.3)

        def stop(self) -> None:
            self.stopped.set()

    fetchers = [Fetcher(), Fetcher()]
    ended, running = server.add_job(life_cycle=ENDED), server.add_job(life_cycle=LONG)
    turns = 0
    async with PromptClient(session=session, **server.client_arguments, backoff=FixedInterval(0.2)) as client:
        cancelled = asyncio.create_task(client.wait_for_job(running, None, lambda _: fetchers[0]))
        await until(fetchers[0].is_alive)
        cancelled.cancel()
        joined = asyncio.create_task(client.wait_for_job(ended, None, lambda _: fetchers[1]))
        while fetchers[0].is_alive():
            await asyncio.sleep(0.01)
            turns += 1
        # It would be one turn if the loop waited for the thread.
        assert turns > 3
        assert (await joined)["status"] == "SUCCEEDED"
        await asyncio.gather(cancelled, return_exceptions=True)
        assert cancelled.cancelled()
    assert not any(fetcher.is_alive() for fetcher in fetchers)


def test_a_service_that_exits_in_a_task() -> None:
    """SystemExit in a task of the user's breaks the loop off; the process ends all the same, and closes what it had."""
    script = """
import asyncio, sys
from awaitbatch import BatchClient
from awaitbatch.testing import BatchServer

async def leave():
    await asyncio.sleep(0.1)
    sys.exit(3)

async def main():
    async with (
        BatchServer() as server,
        BatchClient(**server.client_arguments) as client,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(leave())
        await client.wait_for_job(server.add_job(), 5)

asyncio.run(main())
"""
    done = subprocess.run(
        (sys.executable, "-c", script), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    # asyncio has something to say, but not of resources.
    assert "Unclosed" not in done.stderr
