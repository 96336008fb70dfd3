"""A redirect takes a call, with its session token, to whoever it names: calls of ours do not follow."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiobotocore.config import AioConfig
from aiohttp import web

from awaitbatch import BatchClient, DescribeError, FixedInterval
from awaitbatch._failures import RedirectedError
from tests.support import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiobotocore.session import AioSession
    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

CREDENTIALS: Final = {
    "region_name": "us-east-1",
    "aws_access_key_id": "AKIAPLANTEDACCESSKEY",
    "aws_secret_access_key": "planted-secret-key",
    "aws_session_token": "planted-session-token",
}
REDIRECTS: Final = (301, 302, 303, 307, 308)
SUBMISSION: Final[SubmitJobRequestTypeDef] = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}


class Server:
    """Redirects for as long as it has somewhere to redirect to, and then answers well."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 307
        self.location: Callable[[str], str | None] | None = None
        self.seen: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer."""
        self.seen.append(request.path)
        if self.location is not None:
            location = self.location(request.path)
            return web.Response(status=self.status, headers={"Location": location} if location else {})
        asked = json.loads(await request.read() or b"{}")
        if "jobName" in asked:
            return web.json_response({"jobId": "new", "jobName": "n"})
        jobs = [{"jobId": job_id, "status": "SUCCEEDED"} for job_id in asked.get("jobs", [])]
        return web.json_response({"jobs": jobs})


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server that listens."""
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The endpoint."""
    async with serving() as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    """Somebody else, who answers well."""
    async with serving() as running:
        yield running


def arguments(server: Server, session: AioSession) -> dict[str, Any]:
    """What a client of that endpoint is made with."""
    return {"session": session, "endpoint_url": server.url, "status_retries": 1, **CREDENTIALS}


@pytest.mark.parametrize("status", REDIRECTS)
async def test_to_another_host(server: Server, other: Server, session: AioSession, status: int) -> None:
    """No operation is sent to another host; the error names the host, and a submission was certainly not made."""
    server.status, server.location = status, lambda path: f"{other.url}{path}?token=x"
    async with BatchClient(**arguments(server, session)) as client:
        expected = f"DescribeJobs was redirected to {other.url}, .*; check endpoint_url"
        with pytest.raises(DescribeError, match=expected) as caught:
            await client.describe("j")
        assert isinstance(caught.value.__cause__, RedirectedError)
        for operation, asked in (
            ("SubmitJob", client.submit_job(**SUBMISSION)),
            ("CancelJob", client.cancel_job("j", "enough")),
            ("TerminateJob", client.terminate_job("j", "enough")),
        ):
            seen = len(server.seen)
            with pytest.raises(RedirectedError, match=f"{operation} was redirected to {other.url}, "):
                await asked
            assert len(server.seen) == seen + 1
    assert other.seen == []


@pytest.mark.parametrize("status", REDIRECTS)
async def test_to_the_same_host(server: Server, session: AioSession, status: int) -> None:
    """Neither a whole nor a relative address of the same host is followed, so no chain begins."""
    server.status = status
    async with BatchClient(**arguments(server, session)) as client:
        for location in (server.url + "/elsewhere", "/elsewhere", "elsewhere", "//127.0.0.1/", "?again"):
            server.location, server.seen = lambda _, location=location: location, []
            with pytest.raises(RedirectedError, match=r"redirected to http://127\.0\.0\.1"):
                await client.submit_job(**SUBMISSION)
            assert server.seen == ["/v1/submitjob"]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (None, "an address that it does not name"),
        ("http://[half", "an address that is not valid"),
        ("http://host:port/", "an address that is not valid"),
        ("mailto:somebody", "an address that is not valid"),
        ("http://me:planted-password@portal.example/login?token=planted-query", "http://portal.example,"),
        ("http://planted-session-token.example/", r"http://\*\*\*.example,"),
    ],
)
async def test_to_odd_addresses(
    server: Server, session: AioSession, location: str | None, shown: str
) -> None:
    """Whatever the address is, the error tells where it leads, and nothing more."""
    server.location = lambda _: location
    async with BatchClient(**arguments(server, session)) as client:
        with pytest.raises(DescribeError, match=f"was redirected to {shown}") as caught:
            await client.describe("j")
    assert "planted" not in f"{caught.value} {caught.value.__cause__!r}"


async def test_while_polling(server: Server, other: Server, session: AioSession) -> None:
    """A network that redirects for a while, as its login page does, ends no poll that had good answers before."""
    async with BatchClient(**arguments(server, session), backoff=FixedInterval(0.05)) as client:
        await client.describe("j")
        server.location = lambda path: other.url + path
        polling = asyncio.create_task(client.poll_for_job_complete("j", 0))
        await until(lambda: len(server.seen) >= 4)
        server.location = None
        assert (await polling)["status"] == "SUCCEEDED"
    assert other.seen == []


async def test_connections_are_given_back(server: Server, other: Server, session: AioSession) -> None:
    """Redirected calls use up no connection."""
    config = AioConfig(max_pool_connections=3)
    async with BatchClient(**arguments(server, session), config=config) as client:
        server.location = lambda path: other.url + path
        for _ in range(8):
            with pytest.raises(RedirectedError):
                await client.submit_job(**SUBMISSION)
        server.location = None
        assert (await client.submit_job(**SUBMISSION))["jobId"] == "new"


async def test_a_lent_client(server: Server, other: Server, session: AioSession) -> None:
    """Through a client that is lent our calls follow no redirect; its owner's do, and all is as before at the end."""
    server.location = lambda path: other.url + path
    creating = session.create_client("batch", endpoint_url=server.url, **CREDENTIALS)
    async with creating as lent:
        async with BatchClient(client=lent, status_retries=1) as one, BatchClient(client=lent) as another:
            for client in (one, another):
                with pytest.raises(DescribeError, match="was redirected"):
                    await client.describe("j")
            assert other.seen == []
            await lent.describe_jobs(jobs=["j"])
            assert other.seen == ["/v1/describejobs"]
        (connections,) = lent._endpoint.http_session._sessions.values()
        assert connections.trace_configs == []


async def test_through_a_proxy(server: Server, other: Server, session: AioSession) -> None:
    """A proxy may redirect, too."""
    server.location = lambda _: other.url
    config = AioConfig(proxies={"http": server.url})
    settings = arguments(server, session) | {"endpoint_url": "http://batch.invalid", "config": config}
    async with BatchClient(**settings) as client:
        with pytest.raises(DescribeError, match=f"was redirected to {other.url}"):
            await client.describe("j")
    assert other.seen == []
