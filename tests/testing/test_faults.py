"""Faults as a real aiobotocore client meets them over HTTP, and as the transport without a network plays them."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError, EndpointConnectionError

from awaitbatch._aiobotocore_transport import AiobotocoreTransport
from awaitbatch._failures import classify
from awaitbatch.testing import BatchServer, Fault, ServerProcess
from awaitbatch.testing._model.faults import BULK_ERRORS, JOB_FAULTS
from tests.support import LONG, lasting, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiobotocore.session import AioSession

    from awaitbatch import BatchTransport

SUBMISSION = {"jobName": "one", "jobQueue": "queue", "jobDefinition": "definition"}
GARBLED = {Fault.TRUNCATED_JSON, Fault.HTML, Fault.EMPTY_BODY}


@asynccontextmanager
async def opened(
    server: BatchServer, session: AioSession, **settings: Any
) -> AsyncIterator[AiobotocoreTransport]:
    """A transport over a real client, with one attempt a call."""
    config = AioConfig(retries={"mode": "standard", "total_max_attempts": 1}, **settings)
    transport = AiobotocoreTransport(session=session, config=config, **server.client_arguments)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.aclose()


async def outcome_of(transport: BatchTransport, job_id: str) -> bytes | Exception:
    """What becomes of a describe."""
    try:
        async with asyncio.timeout(30):
            return await transport.describe_jobs([job_id])
    except Exception as error:  # noqa: BLE001
        return error


async def until_listening(url: str, *, is_it: bool) -> None:
    """Wait until somebody listens there, or nobody: a server checks its orders only every few moments."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            if not is_it:
                return
        else:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            if is_it:
                return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("fault", sorted({*Fault} - JOB_FAULTS - BULK_ERRORS.keys() - GARBLED))
async def test_both_faces_say_the_same(fault: Fault, session: AioSession) -> None:
    """Over HTTP and without a network, a fault is the same error to the client and means the same to a wait."""
    async with BatchServer(default_life_cycle=LONG, description_bytes=30_000) as server:
        job_id = server.add_job()
        async with opened(server, session) as real:
            good = await outcome_of(real, job_id)
            server.inject(fault, **lasting(fault, 0.05))
            if fault is Fault.CONNECTION_REFUSED:
                await until_listening(server.endpoint_url, is_it=False)
            ours = await outcome_of(server.transport(latency=0), job_id)
            theirs = await outcome_of(real, job_id)
    if fault is Fault.TRICKLE:
        assert ours == theirs == good
        return
    assert isinstance(ours, Exception)
    assert isinstance(theirs, type(ours))
    found, expected = classify(ours), classify(theirs)
    assert (found.kind, found.code, found.http_status) == (
        expected.kind,
        expected.code,
        expected.http_status,
    )


@pytest.mark.parametrize("fault", sorted(JOB_FAULTS | GARBLED))
async def test_both_faces_bring_the_same_bytes(fault: Fault, session: AioSession) -> None:
    """What is wrong with a body is wrong with the same bytes on both faces."""
    over_http, without_network = (
        BatchServer(clock=lambda: 45.0, default_life_cycle=LONG, seed=1) for _ in range(2)
    )
    job_ids = [server.add_job() for server in (over_http, without_network)]
    for server in (over_http, without_network):
        server.inject(fault)
    async with over_http, opened(over_http, session) as real:
        body = await outcome_of(real, job_ids[0])
    assert isinstance(body, bytes)
    assert body == await outcome_of(without_network.transport(latency=0), job_ids[1])


async def test_a_hang_past_the_read_time_out(session: AioSession) -> None:
    """A hang lasts for ever by default, and does not keep the server from closing."""
    async with BatchServer() as server, opened(server, session, read_timeout=0.1) as real:
        server.inject(Fault.HANG)
        error = await outcome_of(real, server.add_job())
        assert type(error).__name__ == "ReadTimeoutError"
        begin = time.monotonic()
    assert time.monotonic() - begin < 20


async def test_a_server_that_goes_down_and_comes_back(session: AioSession) -> None:
    """While it is down open connections are reset and new ones refused; then it is at the same address again."""
    now = 0.0
    async with BatchServer(clock=lambda: now) as server, opened(server, session) as real:
        job_id = server.add_job()
        url = server.endpoint_url
        hang = server.inject(Fault.HANG)
        hanging = asyncio.create_task(real.describe_jobs([job_id]))
        await until(lambda: hang.hits == 1)
        server.heal()
        rule = server.inject(Fault.CONNECTION_REFUSED, begin=5, end=10)
        assert not server.is_down
        now = 5.0
        assert server.is_down
        with pytest.raises(EndpointConnectionError, match="Could not connect"):
            await hanging
        with pytest.raises(EndpointConnectionError):
            await real.describe_jobs([job_id])
        now = 10.0
        await until_listening(url, is_it=True)
        assert server.endpoint_url == url
        assert job_id.encode() in await real.describe_jobs([job_id])
        # The call that hung when it went down, and the one that was refused in vain is nobody's to count.
        assert rule.hits == server.statistics.faults[Fault.CONNECTION_REFUSED] == 1


async def test_a_lost_response_to_a_submission_is_a_submitted_job(session: AioSession) -> None:
    """What breaks the connection breaks the response: AWS has done what was asked. An error means that it has not."""
    async with BatchServer() as server, opened(server, session) as real:
        server.inject(Fault.RESET_BEFORE_BODY, calls=1)
        server.inject(Fault.SERVER_EXCEPTION, calls=1)
        for jobs in ("1 jobs", "1 jobs"):
            with pytest.raises((EndpointConnectionError, ClientError)):
                await real.call("SubmitJob", **SUBMISSION)
            assert jobs in repr(server)
        assert server.statistics.answered == {"SubmitJob": 1}
        assert server.statistics.failed == {"SubmitJob": 1}


async def test_a_server_in_another_process() -> None:
    """Faults are ordered, asked for and lifted over the control surface."""
    async with ServerProcess() as server, aiohttp.ClientSession(server.endpoint_url) as session:
        await server.control(
            "POST", "faults", {"fault": "bare-503", "calls": 2, "operations": ["DescribeJobs"]}
        )
        await server.control("POST", "faults", {"fault": "bare-429", "end": 1e6})
        statuses = []
        for _ in range(3):
            async with session.post("/v1/describejobs", json={"jobs": ["a"]}) as response:
                statuses.append(response.status)
        assert statuses == [503, 503, 429]
        assert await server.control("GET", "faults") == [
            {"fault": "bare-503", "probability": 1, "hits": 2},
            {"fault": "bare-429", "probability": 1, "hits": 1},
        ]
        await server.control("DELETE", "faults")
        assert await server.control("GET", "faults") == []
        counts = await server.control("GET", "statistics")
        assert counts["faults"] == {"bare-503": 2, "bare-429": 1}
        for refused, why in (
            ({"fault": "boredom"}, "Invalid enum value 'boredom'"),
            ({"fault": "connection-refused"}, "connection-refused needs an end"),
        ):
            with pytest.raises(aiohttp.ClientResponseError, match=why):
                await server.control("POST", "faults", refused)
        with pytest.raises(aiohttp.ClientResponseError, match="/_awaitbatch/boredom"):
            await server.control("GET", "boredom")


async def test_without_a_network_a_call_under_way_is_lost_when_the_server_dies() -> None:
    """A call that is on its way when the server goes down ends in a reset, on both faces."""
    async with BatchServer() as server:
        job_id = server.add_job()
        calling = asyncio.create_task(server.transport(latency=0.3).describe_jobs([job_id]))
        await until(lambda: server.statistics.calls.total() == 1)
        rule = server.inject(Fault.CONNECTION_REFUSED)
        with pytest.raises(EndpointConnectionError):
            await calling
        assert rule.hits == 1


def test_a_server_of_several_loops() -> None:
    """A server that was closed may be opened again on another event loop."""
    server = BatchServer()

    async def visit() -> None:
        async with server, aiohttp.ClientSession(server.endpoint_url) as session:
            rule = server.inject(Fault.CONNECTION_REFUSED)
            await until_listening(server.endpoint_url, is_it=False)
            server.heal(rule)
            await until_listening(server.endpoint_url, is_it=True)
            async with session.post("/v1/describejobs", json={"jobs": ["a"]}) as response:
                assert response.status == 200

    asyncio.run(visit())
    asyncio.run(visit())


async def test_a_port_that_is_taken_meanwhile() -> None:
    """When somebody else has the port as the server wants to be back, it is back as soon as the port is free."""
    async with BatchServer() as server, aiohttp.ClientSession() as session:
        url = server.endpoint_url
        rule = server.inject(Fault.CONNECTION_REFUSED)
        await until_listening(url, is_it=False)
        async with BatchServer(port=int(url.rpartition(":")[2])):
            server.heal(rule)
            # It tries in vain meanwhile.
            await asyncio.sleep(0.1)
        await until_listening(url, is_it=True)
        async with session.post(f"{url}/v1/describejobs", json={"jobs": ["a"]}) as response:
            assert response.status == 200
        assert server.statistics.calls["DescribeJobs"] == 1
