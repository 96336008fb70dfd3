"""BatchServer over its two faces, as a real aiobotocore client and as a transport see it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from awaitbatch import BatchClient
from awaitbatch.testing import BatchServer, Fault, LifeCycleRanges, TokenBucket
from tests.support import ENDED, LONG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SUBMISSION: dict[str, Any] = {"jobName": "one", "jobQueue": "queue", "jobDefinition": "definition"}


@asynccontextmanager
async def aws_client(server: BatchServer) -> AsyncIterator[Any]:
    """A client of aiobotocore that makes each call once."""
    config = AioConfig(retries={"mode": "standard", "total_max_attempts": 1})
    async with get_session().create_client("batch", config=config, **server.client_arguments) as client:
        yield client


def code_of(error: ClientError) -> tuple[int, str]:
    """The HTTP status and the code that botocore took from a response."""
    response: Any = error.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


class _Counting(asyncio.SelectorEventLoop):
    """A loop that counts the timers that are set."""

    timers = 0

    def call_at(self, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        self.timers += 1
        return super().call_at(*args, **kwargs)


def test_a_server_that_nobody_calls_sleeps() -> None:
    """It looks at its clock again and again only while an outage is to begin or to end."""

    async def turns() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Counting)
        for _ in range(10):
            await asyncio.sleep(0)
        before, loop.timers = loop.timers, 0
        return before

    async def main() -> None:
        now = 0.0
        async with BatchServer(clock=lambda: now) as server:
            await turns()
            assert await turns() == 0
            server.inject(Fault.CONNECTION_REFUSED, begin=5, end=10)
            assert await turns() >= 1
            now = 10.0
            await asyncio.sleep(0.05)
            await turns()
            assert await turns() == 0
            await asyncio.to_thread(server.inject, Fault.CONNECTION_REFUSED)
            assert await turns() >= 1

    with asyncio.Runner(loop_factory=_Counting) as runner:
        runner.run(main())


async def test_a_real_client_submits_and_describes() -> None:
    """What aiobotocore submits it can describe, and it reads the description as AWS's."""
    async with BatchServer() as server, aws_client(server) as client:
        submitted = await client.submit_job(**SUBMISSION, parameters=ENDED.to_parameters())
        (job,) = (await client.describe_jobs(jobs=[submitted["jobId"]]))["jobs"]
        assert (job["status"], job["jobName"], job["container"]["exitCode"]) == ("SUCCEEDED", "one", 0)
        assert server.statistics.calls == {"SubmitJob": 1, "DescribeJobs": 1}


async def test_a_real_client_lists_and_stops() -> None:
    """ListJobs, CancelJob and TerminateJob work with aiobotocore, its paginator included."""
    async with BatchServer(default_life_cycle=LONG) as server, aws_client(server) as client:
        ids = [server.add_job() for _ in range(3)]
        pages = client.get_paginator("list_jobs").paginate(jobQueue="queue", PaginationConfig={"PageSize": 2})
        assert [job["jobId"] async for page in pages for job in page["jobSummaryList"]] == ids
        await client.cancel_job(jobId=ids[0], reason="no effect")
        await client.terminate_job(jobId=ids[1], reason="enough")
        assert [server.status_of(job_id) for job_id in ids] == ["RUNNING", "FAILED", "RUNNING"]
        assert list(server.ended()) == [ids[1]]
        assert (server.ended_at(ids[0]), server.ended_at(ids[1])) == (None, server.ended()[ids[1]])


async def test_a_real_client_sees_the_throttle() -> None:
    """An empty bucket reaches botocore as a ClientError with AWS's code and status."""
    async with BatchServer(bucket=TokenBucket(0.001, burst=1)) as server, aws_client(server) as client:
        await client.describe_jobs(jobs=["a"])
        with pytest.raises(ClientError) as caught:
            await client.describe_jobs(jobs=["a"])
        assert code_of(caught.value) == (429, "TooManyRequestsException")


async def test_a_real_client_sees_its_own_mistakes() -> None:
    """A refused call reaches botocore as the modelled ClientException, an unknown operation as 404."""
    async with BatchServer() as server, aws_client(server) as client:
        with pytest.raises(client.exceptions.ClientException, match="not a job id") as caught:
            await client.describe_jobs(jobs=["not an id"])
        assert code_of(caught.value) == (400, "ClientException")
        with pytest.raises(ClientError) as caught:
            await client.list_service_jobs(jobQueue="queue")
        assert code_of(caught.value) == (404, "UnknownOperationException")


async def test_the_control_surface_adds_jobs_and_shows_their_ends() -> None:
    """Another process may add jobs one by one or at random, and ask when they ended."""
    async with (
        BatchServer(clock=lambda: 7.0) as server,
        aiohttp.ClientSession(server.endpoint_url) as session,
    ):
        one = {"job_id": "mine", "life_cycle": {"running": 0, "outcome": "FAILED"}}
        async with session.post("/_awaitbatch/jobs", json=[one, {}]) as response:
            mine, other = await response.json()
        assert mine == "mine"
        assert server.status_of(other) == "SUBMITTED"
        chain = [
            {"job_id": "array", "array_size": 2, "children": {"1": {"running": 0, "outcome": "FAILED"}}},
            {"depends_on": ["mine", {"jobId": "array"}], "job_queue": "other", "tags": {"a": "b"}},
        ]
        async with session.post("/_awaitbatch/jobs", json=chain) as response:
            _, last = await response.json()
        job = (await server.transport(latency=0).describe_jobs([last])).decode()
        assert '"dependsOn":[{"jobId":"mine"},{"jobId":"array"}]' in job
        assert ":job-queue/other" in job
        many = {"count": 20, "ranges": {"running": [0, 0.1], "failing": 1.0}, "seed": 7}
        async with session.post("/_awaitbatch/jobs", json=many) as response:
            assert len(set(await response.json())) == 20
        server.add_job("done", life_cycle=ENDED)
        async with session.get("/_awaitbatch/ended") as response:
            assert await response.json() == {"done": 7.0}


async def test_the_control_surface_changes_throttle_latency_and_counts() -> None:
    """Throttle and latency change while the server runs, and counts can be read and reset."""
    async with BatchServer() as server, aiohttp.ClientSession(server.endpoint_url) as session:
        await session.put("/_awaitbatch/throttle", json={"rate": 5, "burst": 7})
        assert repr(server.bucket) == "TokenBucket(rate=5, burst=7, tokens=7.00)"
        await session.put("/_awaitbatch/throttle", json={"rate": 3})
        assert server.bucket is not None
        assert (server.bucket.rate, server.bucket.burst) == (3, 3)
        await session.put("/_awaitbatch/throttle", json={"rate": None})
        assert server.bucket is None
        await session.put("/_awaitbatch/latency", json={"seconds": 0.01})
        assert server.latency == 0.01
        await session.post("/v1/describejobs", json={"jobs": ["a"]})
        async with session.get("/_awaitbatch/statistics") as response:
            assert (await response.json())["ids_described"] == 1
        await session.delete("/_awaitbatch/statistics")
        assert server.statistics.calls.total() == 0


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("jobs", [{"depends_on": ["nobody"]}]),
        ("jobs", {"count": "many"}),
        ("jobs", [{"life_cycle": {"running": -1}}]),
        ("throttle", {"rate": -1}),
    ],
)
async def test_the_control_surface_says_what_it_does_not_understand(resource: str, body: object) -> None:
    """A bad order is answered with 400 and a reason."""
    async with BatchServer() as server, aiohttp.ClientSession(server.endpoint_url) as session:
        method = "PUT" if resource == "throttle" else "POST"
        async with session.request(method, f"/_awaitbatch/{resource}", json=body) as response:
            assert response.status == 400
            assert (await response.json())["message"]


async def test_a_server_listens_only_inside_its_block() -> None:
    """Outside its block a server has no URL, and its port is free; its repr shows where it listens."""
    server = BatchServer()
    async with server:
        url = server.endpoint_url
        assert repr(server) == f"<BatchServer at {url}: 0 jobs, 0 calls>"
    assert repr(server) == "<BatchServer: 0 jobs, 0 calls>"
    with pytest.raises(RuntimeError, match="async with"):
        _ = server.endpoint_url
    async with BatchServer(port=int(url.rpartition(":")[2])) as again:
        assert again.endpoint_url == url
        with pytest.raises(OSError, match="address"):
            await BatchServer(port=int(url.rpartition(":")[2])).__aenter__()


async def test_a_server_may_listen_on_ipv6() -> None:
    """The address is in brackets in its URL, and a client finds it."""
    try:
        async with BatchServer(host="::1") as server, BatchClient(**server.client_arguments) as client:
            assert server.endpoint_url.startswith("http://[::1]:")
            job = await client.submit_job(jobName="one", jobQueue="queue", jobDefinition="definition")
            assert (await client.describe(job["jobId"]))["jobName"] == "one"
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


async def test_the_transport_answers_without_a_network() -> None:
    """The in-process transport gives DescribeJobs as bytes and the rest as boto3's dicts."""
    server = BatchServer(clock=lambda: 0.0, default_life_cycle=LONG, region_name="eu-west-1")
    transport = server.transport(latency=0)
    await transport.open()
    submitted = await transport.call("SubmitJob", **SUBMISSION)
    assert submitted["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert submitted["jobId"].encode() in await transport.describe_jobs([submitted["jobId"]])
    await transport.call("CancelJob", jobId=submitted["jobId"], reason="no effect")
    listed = await transport.call("ListJobs", jobQueue="queue")
    assert [job["jobId"] for job in listed["jobSummaryList"]] == [submitted["jobId"]]
    await transport.call("TerminateJob", jobId=submitted["jobId"], reason="enough")
    assert server.status_of(submitted["jobId"]) == "FAILED"
    await transport.aclose()
    assert (transport.opened, transport.closed, transport.region_name) == (1, 1, "eu-west-1")
    with pytest.raises(AttributeError, match="no aiobotocore client"):
        _ = transport.client


async def test_the_transport_raises_what_aiobotocore_raises() -> None:
    """Errors of the in-process transport have the status, the code and the text of those over HTTP."""
    server = BatchServer(bucket=TokenBucket(0.001, burst=2))
    transport = server.transport(latency=0)
    async with server, aws_client(server) as client:
        for expected in ((400, "ClientException"), (429, "TooManyRequestsException")):
            with pytest.raises(ClientError) as over_http:
                await client.describe_jobs(jobs=["not an id"])
            with pytest.raises(ClientError) as in_process:
                await transport.describe_jobs(["not an id"])
            assert code_of(in_process.value) == code_of(over_http.value) == expected
            assert in_process.value.response["Error"] == over_http.value.response["Error"]
            assert in_process.value.operation_name == over_http.value.operation_name


@pytest.mark.virtual_time
async def test_latency_lies_on_both_sides_of_the_service() -> None:
    """The service sees a call after half of the latency, and its response arrives after the other half."""
    server = BatchServer()
    transport = server.transport(latency=lambda: 0.1)
    call = asyncio.create_task(transport.describe_jobs(["a"]))
    await asyncio.sleep(0.02)
    assert server.statistics.calls.total() == 0
    await asyncio.sleep(0.05)
    assert server.statistics.calls.total() == 1
    assert not call.done()
    assert await call == b'{"jobs":[]}'


async def test_a_seed_repeats_everything() -> None:
    """Two servers with one seed give the same ids and life cycles, two without one different ids."""

    async def bodies(seed: int | None) -> bytes:
        server = BatchServer(
            clock=lambda: 1.0, default_life_cycle=LifeCycleRanges(attempts=(1, 9)), seed=seed
        )
        return await server.transport(latency=0).describe_jobs([server.add_job() for _ in range(3)])

    assert await bodies(1) == await bodies(1)
    assert await bodies(None) != await bodies(None)


def test_jobs_can_be_added_with_all_that_a_submission_has() -> None:
    """A job that is added has its name, queue, parameters, tags and children, as if it had been submitted."""
    server = BatchServer(clock=lambda: 0.0)
    array = server.add_job(array_size=2, parameters={"awaitbatch.submitted": "0"}, tags={"a": "b"})
    assert server.status_of(f"{array}:1") == "PENDING"
    server.forget_job(array)
    with pytest.raises(KeyError):
        server.status_of(array)


@pytest.mark.virtual_time
async def test_jobs_in_real_time_are_not_awaited_in_virtual_time() -> None:
    """Who forgets to give a server the clock of the loop is told so, and does not wait for hours."""
    server = BatchServer()
    with pytest.raises(RuntimeError, match=r"BatchServer\(clock=asyncio.get_running_loop\(\).time\)"):
        async with BatchClient(transport=server.transport()):
            pass
