"""The whole client over HTTP, through a real aiobotocore client, against BatchServer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import ClientError
from botocore.loaders import JSONFileLoader

from awaitbatch import (
    BatchClient,
    ClientClosedError,
    DescribeError,
    FixedInterval,
    JobFailedError,
    MaxRetriesExceededError,
    SubmitUncertainError,
)
from awaitbatch._core import throttle
from awaitbatch.testing import BatchServer, Fault, LifeCycle, LifeCycleRanges, ServerProcess, TokenBucket
from awaitbatch.transport import _FastFileLoader as FastFileLoader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RETRY_MODES = ["legacy", "standard", "adaptive"]
LONG = LifeCycle(running=1e6)
ENDED = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)
FAST = LifeCycleRanges(
    submitted=(0, 0.1), pending=(0, 0.1), runnable=(0, 0.2), starting=(0, 0.1), running=(0.1, 1), failing=0.2
)


@pytest.fixture
async def server() -> AsyncIterator[BatchServer]:
    """A server whose jobs take about a second."""
    async with BatchServer(default_life_cycle=FAST, seed=1) as running:
        yield running


async def test_the_whole_way_of_many_jobs(server: BatchServer) -> None:
    """Jobs are submitted, awaited in a task each, and end as the server recorded."""
    async with BatchClient(
        **server.client_arguments, backoff=FixedInterval(0.5), max_calls_per_second=50
    ) as client:
        submitted = [
            await client.submit_job(jobName=f"job-{number}", jobQueue="queue", jobDefinition="definition")
            for number in range(50)
        ]
        job_ids = [job["jobId"] for job in submitted] + [server.add_job() for _ in range(200)]
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in job_ids))
        assert [job["status"] for job in jobs] == [server.status_of(job_id) for job_id in job_ids]
        assert {job["status"] for job in jobs} == {"SUCCEEDED", "FAILED"}
        failed = next(job["jobId"] for job in jobs if job["status"] == "FAILED")
        with pytest.raises(JobFailedError):
            await client.check_job_success(failed)
        assert server.statistics.calls["DescribeJobs"] == client.statistics().calls
        assert client.statistics().calls < 60


async def test_descriptions_equal_botocores() -> None:
    """What users get is equal to what botocore parses from the same answer, in every state of a job."""
    now = 0.0
    life_cycle = LifeCycle(
        submitted=1, pending=1, runnable=1, starting=1, running=1, attempts=2, outcome="FAILED"
    )
    async with BatchServer(clock=lambda: now, default_life_cycle=life_cycle) as server:
        job_ids = [server.add_job(), server.add_job(array_size=3), server.add_job(tags={"null": "null"})]
        async with BatchClient(**server.client_arguments, max_calls_per_second=100) as client:
            for now in range(10):  # noqa: B007
                ours = await client.describe_jobs(job_ids)
                theirs = await client.client.describe_jobs(jobs=job_ids)
                assert ours["jobs"] == theirs["jobs"]
                assert await client.describe(job_ids[0]) == theirs["jobs"][0]


@pytest.mark.parametrize("mode", RETRY_MODES)
async def test_a_describe_is_one_attempt_in_every_retry_mode(mode: str) -> None:
    """The throttle sees every 429, while the user's own calls through the same client keep their retries."""
    async with BatchServer(bucket={"DescribeJobs": TokenBucket(0.001, 1)}) as server:
        job_id = server.add_job(life_cycle=LONG)
        config = AioConfig(retries={"mode": mode, "total_max_attempts": 3})
        async with BatchClient(**server.client_arguments, config=config) as client:
            await client.describe(job_id)
            describing = asyncio.create_task(client.describe(job_id))
            while not client.statistics().throttled:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert server.statistics.calls["DescribeJobs"] == client.statistics().calls
            describing.cancel()
            calls = server.statistics.calls["DescribeJobs"]
            with pytest.raises(ClientError, match="TooManyRequests"):
                await client.client.describe_jobs(jobs=[job_id])
            assert server.statistics.calls["DescribeJobs"] == calls + 3


@pytest.mark.parametrize("mode", RETRY_MODES)
async def test_a_lost_connection_is_one_attempt_too(mode: str) -> None:
    """A connection that nobody accepts is tried once a look, not behind our back."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        arguments: Any = {
            "endpoint_url": f"http://127.0.0.1:{reserved.getsockname()[1]}",
            "region_name": "us-east-1",
            "aws_access_key_id": "none",
            "aws_secret_access_key": "none",
        }
        config = AioConfig(retries={"mode": mode, "total_max_attempts": 4})
        async with BatchClient(
            **arguments, config=config, status_retries=2, backoff=FixedInterval(0.01)
        ) as client:
            begin = time.monotonic()
            with pytest.raises(DescribeError, match=r"127\.0\.0\.1") as caught:
                await client.describe("j")
            assert time.monotonic() - begin < 1
            assert client.statistics().failed == 2
            assert caught.value.code == "EndpointConnectionError"


@pytest.mark.parametrize("mode", RETRY_MODES)
async def test_an_outage_costs_other_calls_no_retries(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 120 describes that failed a terminate still makes all of its attempts, through a lent client too."""
    # Failures teach the throttle nothing, so it would take its time.
    monkeypatch.setattr(throttle, "START_RATE", 1000.0)
    async with BatchServer() as server:
        config = AioConfig(retries={"mode": mode, "total_max_attempts": 2})
        async with (
            get_session().create_client("batch", **server.client_arguments, config=config) as lent,
            BatchClient(client=lent, max_calls_per_second=1000, backoff=FixedInterval(0.001)) as client,
        ):
            server.inject(Fault.SERVER_EXCEPTION)
            with pytest.raises(MaxRetriesExceededError):
                await client.poll_job_status("j", ["RUNNING"], max_retries=119)
            assert server.statistics.calls["DescribeJobs"] == 120
            with pytest.raises(ClientError):
                await client.terminate_job("j", "enough")
            assert server.statistics.calls["TerminateJob"] == 2


async def test_throttled_describes_slow_no_other_call() -> None:
    """In adaptive mode botocore slows all calls of a client after a 429; those of our describes are not among them."""
    async with BatchServer(bucket={"DescribeJobs": TokenBucket(0.001, 1)}) as server:
        job_id = server.add_job(life_cycle=LONG)
        config = AioConfig(retries={"mode": "adaptive"})
        async with BatchClient(**server.client_arguments, config=config) as client:
            waiting = asyncio.create_task(client.wait_for_job(job_id, 0, backoff=FixedInterval(0.01)))
            while client.statistics().throttled < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            begin = time.monotonic()
            for _ in range(10):
                await client.terminate_job("another", "enough")
            assert time.monotonic() - begin < 1
            waiting.cancel()


async def test_a_lent_client_is_left_as_it_was(server: BatchServer) -> None:
    """Two BatchClients may share a client; closing one leaves the other at work, and the client open and as it was."""
    job_id = server.add_job(life_cycle=LONG)
    async with get_session().create_client("batch", **server.client_arguments) as lent:
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


async def test_a_session_may_be_given(server: BatchServer) -> None:
    """session= creates the client from a session of the user's."""
    job_id = server.add_job(life_cycle=LONG)
    async with BatchClient(session=AioSession(), **server.client_arguments) as client:
        assert (await client.describe(job_id))["jobId"] == job_id


async def test_opening_reads_all_files_in_threads(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What creating a client reads from disk is read beside the loop, by a loader that lets others run meanwhile."""
    readers: list[tuple[str, int]] = []
    inner = JSONFileLoader.load_file

    def noting(loader: object, path: str) -> object:
        found = inner(loader, path)
        if found is not None:
            readers.append((path, threading.get_ident()))
        return found

    def noting_fast(loader: FastFileLoader, path: str) -> object:
        found = fast(loader, path)
        if found is not None:
            fast_readers.append((path, threading.get_ident()))
        return found

    fast, fast_readers = FastFileLoader.load_file, readers[:]
    monkeypatch.setattr(JSONFileLoader, "load_file", noting)
    monkeypatch.setattr(FastFileLoader, "load_file", noting_fast)
    async with BatchClient(**server.client_arguments):
        pass
    assert readers == []
    assert any("endpoints" in path for path, _ in fast_readers)
    assert threading.get_ident() not in {thread for _, thread in fast_readers}


@pytest.mark.soak
async def test_opening_hardly_stalls_the_loop(server: BatchServer, request: pytest.FixtureRequest) -> None:
    """While a client opens, the loop stalls for less time than botocore takes to read the longest of its files."""
    reading, stalled = [], []
    # A collection of garbage stalls everything, and comes when it likes.
    gc.disable()
    request.addfinalizer(gc.enable)
    for _ in range(4):
        begin = time.perf_counter()
        await asyncio.to_thread(AioSession().get_component("data_loader").load_data, "endpoints")
        reading.append(time.perf_counter() - begin)
        client = BatchClient(**server.client_arguments)
        opening = asyncio.create_task(client.open())
        longest = 0.0
        while not opening.done():
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - begin)
        stalled.append(longest)
        await client.aclose()
    # The best of several, since the machine has other work too.
    assert min(stalled) < min(reading) * 0.6


async def test_opening_leaves_the_loader_of_a_session_as_it_was(server: BatchServer) -> None:
    """The session of a user's goes on to read files as it did."""
    session = AioSession()
    loader = session.get_component("data_loader")
    before = loader.file_loader
    async with BatchClient(session=session, **server.client_arguments):
        pass
    assert loader.file_loader is before


def test_what_is_read_fast_is_the_same() -> None:
    """What creating a client reads from disk is equal to what botocore reads."""
    theirs, ours = (AioSession().get_component("data_loader") for _ in range(2))
    ours.file_loader = FastFileLoader()
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        assert ours.load_data(name) == theirs.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1"):
        assert ours.load_service_model("batch", kind) == theirs.load_service_model("batch", kind)


async def test_malformed_ids_that_pass_our_check_hurt_nobody(server: BatchServer) -> None:
    """When the server refuses a call for one of its ids, the others are described all the same."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(30)]
    server.refused_ids = {"a-bad-one"}  # type: ignore[attr-defined]
    async with BatchClient(**server.client_arguments, max_calls_per_second=100, status_retries=1) as client:
        asked = [*job_ids, "a-bad-one"]
        outcomes = await asyncio.gather(*map(client.describe, asked), return_exceptions=True)
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 30


async def test_a_throttled_account_fails_no_wait() -> None:
    """Behind a bucket of 15 calls/s nobody told us of, hundreds of waits end well."""
    jobs_of_seconds = LifeCycleRanges(running=(2, 3), failing=0.2)
    async with BatchServer(default_life_cycle=jobs_of_seconds, bucket=TokenBucket(15, 5), seed=1) as server:
        job_ids = [server.add_job() for _ in range(1000)]
        async with BatchClient(
            **server.client_arguments, backoff=FixedInterval(0.2), max_calls_per_second=100
        ) as client:
            jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in job_ids))
            assert client.statistics().throttled > 0
        assert {job["status"] for job in jobs} == {"SUCCEEDED", "FAILED"}


async def test_a_server_that_hangs(server: BatchServer) -> None:
    """A call without an answer is given up after call_timeout, a submission is uncertain, and closing does not wait."""
    job_id = server.add_job(life_cycle=LONG)
    config = AioConfig(read_timeout=0.3)
    client = BatchClient(
        **server.client_arguments,
        config=config,
        call_timeout=0.1,
        status_retries=2,
        backoff=FixedInterval(0.01),
    )
    await client.open()
    server.latency = 3.0
    with pytest.raises(DescribeError) as caught:
        await client.describe(job_id)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert "no answer within 0.1 s" in str(caught.value)
    with pytest.raises(SubmitUncertainError):
        await client.submit_job(jobName="n", jobQueue="q", jobDefinition="d")
    waiting = asyncio.create_task(client.describe(job_id))
    await asyncio.sleep(0.05)
    begin = time.monotonic()
    await client.aclose()
    assert time.monotonic() - begin < 1
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
async def test_no_socket_outlives_the_client() -> None:
    """Whatever its connections go through, all of them are closed with the client."""
    async with ServerProcess() as server:
        (job_id,) = await server.control("POST", "jobs", [{"life_cycle": {"running": 1e6}}])
        before = open_sockets()
        for fault in (Fault.HANG, Fault.RESET_IN_BODY, Fault.BARE_503):
            await server.control("DELETE", "faults")
            async with BatchClient(
                **server.client_arguments,
                backoff=FixedInterval(0.05),
                call_timeout=0.5,
                max_calls_per_second=100,
            ) as client:
                assert (await client.describe(job_id))["jobId"] == job_id
                await server.control("POST", "faults", {"fault": fault, "seconds": 5})
                waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for _ in range(3)]
                while client.statistics().calls < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await asyncio.gather(*waits, return_exceptions=True)
            # A transport that was told to close does so in the next turns of the loop.
            deadline = time.monotonic() + 2
            while open_sockets() > before:
                assert time.monotonic() < deadline, fault
                await asyncio.sleep(0.02)


async def test_a_blocking_join_blocks_nobody(server: BatchServer) -> None:
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
    async with BatchClient(**server.client_arguments, backoff=FixedInterval(0.2)) as client:
        cancelled = asyncio.create_task(client.wait_for_job(running, 0, lambda _: fetchers[0]))
        await asyncio.sleep(2)
        cancelled.cancel()
        joined = asyncio.create_task(client.wait_for_job(ended, 0, lambda _: fetchers[1]))
        while fetchers[0].is_alive():
            begin = time.monotonic()
            await asyncio.sleep(0.01)
            assert time.monotonic() - begin < 0.2
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
        (sys.executable, "-c", script), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 3
    # asyncio has something to say, but not of resources.
    assert "Unclosed" not in done.stderr
