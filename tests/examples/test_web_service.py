"""The web service: over HTTP in a process of its own, and in virtual time for what takes longer."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from itertools import pairwise
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
from starlette.requests import ClientDisconnect

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import BatchServer, LifeCycle
from docs.examples.web_service import app
from tests.examples.support import line_with, running
from tests.pages.blocks import ROOT, blocks_of_page
from tests.support import LONG, make_server, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

ORDER: Final = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
STEADY: Final = LifeCycle(submitted=0.3, pending=0, runnable=0.3, starting=0.3, running=0.3)
RESTLESS: Final = LifeCycle(submitted=0, pending=0, runnable=5, starting=5, running=5, attempts=20)


@asynccontextmanager
async def service(server: BatchServer) -> AsyncIterator[aiohttp.ClientSession]:
    """The service, and a client of it."""
    async with running("web_service.py", "--port", "0", server=server) as process:
        line = await line_with(process.stderr, "running on http://")
        url = line.partition("running on ")[2].split()[0]
        async with aiohttp.ClientSession(url) as session:
            yield session


async def submit(session: aiohttp.ClientSession) -> str:
    """Submit a job, and give its id."""
    async with session.post("/jobs", json={"jobName": "mine"}) as answer:
        assert answer.status == 201
        job_id: str = (await answer.json())["jobId"]
        assert answer.headers["Location"] == f"/jobs/{job_id}"
        return job_id


async def read(session: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    """The status and the body of an answer."""
    async with session.get(path) as answer:
        return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())


async def told(body: Any) -> list[tuple[str, Any]]:
    """The server-sent events of a body: their types and data."""
    blocks = (await body.read()).decode().split("\n\n")
    found = []
    for block in blocks[:-1]:
        fields = dict(line.split(":", 1) for line in block.splitlines())
        data = fields.get("data", "").strip()
        found.append((fields.get("event", " message")[1:], json.loads(data) if data else None))
    assert blocks[-1] == ""
    return found


async def test_states_arrive_in_order() -> None:
    """Each state that is seen is told once, in its order; a bad job disturbs no other, and the end is told."""
    async with BatchServer(default_life_cycle=STEADY) as server, service(server) as session:
        job_ids = [await submit(session), await submit(session)]
        async with session.get(f"/events?ids={','.join([*job_ids, 'ghost'])}") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            *messages, end = await told(answer.content)
    assert end == ("end", None)
    assert {kind for kind, _ in messages} == {"message"}
    for job_id in job_ids:
        states = [ORDER.index(data["status"]) for _, data in messages if data["jobId"] == job_id]
        assert states[-1] == len(ORDER) - 1
        assert len(states) >= 3
        assert all(before < after for before, after in pairwise(states))
    [ghost] = [data for _, data in messages if data["jobId"] == "ghost"]
    assert "not found" in ghost["error"]


async def test_waiting_and_leaving() -> None:
    """A long poll ends with the job or when its time is up, and of a browser that goes away no watch is left."""
    async with BatchServer() as server, service(server) as session:
        lasting, ending = server.add_job(life_cycle=LONG), server.add_job(life_cycle=STEADY)
        begun = asyncio.get_running_loop().time()
        polls = [
            read(session, f"/jobs/{job_id}?wait={wait}") for job_id, wait in ((lasting, 1), (ending, 30))
        ]
        (missing, _), (_, left), (_, ended) = await asyncio.gather(read(session, "/jobs/ghost"), *polls)
        assert 1 <= asyncio.get_running_loop().time() - begun < 20
        assert (left["status"], ended["status"]) == ("RUNNING", "SUCCEEDED")
        assert (await read(session, f"/jobs/{lasting}"))[1]["status"] == "RUNNING"

        calls = server.statistics.calls
        async with session.get(f"/events?ids={lasting}") as answer:
            assert b"RUNNING" in await answer.content.readline()
            before = calls["DescribeJobs"]
            await until(lambda: calls["DescribeJobs"] > before + 2)
            answer.close()
        await asyncio.sleep(0.2)
        before = calls["DescribeJobs"]
        await asyncio.sleep(0.5)
        assert calls["DescribeJobs"] == before

        assert (await read(session, f"/jobs/{lasting}?wait=61"))[0] == 400
        assert missing == 404
        for path in ("/jobs/a,b", "/events", "/events?ids=a,,b"):
            status, body = await read(session, path)
            assert status == 400
            assert "not an AWS Batch job id" in body["error"]
        async with session.post("/jobs", data="mine") as answer:
            assert answer.status == 400
        async with session.post("/jobs", json={"jobName": "?"}) as answer:
            assert answer.status == 502
            assert "jobName" in (await answer.json())["error"]


class Browser:
    """A browser that follows jobs, as the service sees it.

    Args:
        client: The service's client.
        job_ids: The jobs.
        spec_version: Of a newer ASGI than 2.3, the service hears that a browser has gone only when it sends something.
    """

    def __init__(self, client: BatchClient, job_ids: list[str], spec_version: str = "2.3") -> None:
        self.scope = {
            "type": "http",
            "asgi": {"spec_version": spec_version},
            "method": "GET",
            "path": "/events",
            "query_string": f"ids={','.join(job_ids)}".encode(),
            "headers": [],
            "state": {"client": client},
        }
        self.got = b""
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = asyncio.Event()

    async def visit(self) -> None:
        """Be served."""
        await app(self.scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        if self.gone.is_set():
            raise OSError
        self.got += message.get("body", b"")


@asynccontextmanager
async def served() -> AsyncIterator[tuple[BatchServer, BatchClient]]:
    """A server, and the service's client."""
    server = make_server(default_life_cycle=RESTLESS)
    async with BatchClient(transport=server.transport(), backoff=FixedInterval(2)) as client:
        yield server, client
        assert client.statistics().pending == 0


@pytest.mark.virtual_time
async def test_a_slow_browser_holds_up_nobody() -> None:
    """Another one is told of all changes meanwhile, and nothing is left of the slow one when it goes."""
    async with served() as (server, client):
        job_ids = [server.add_job() for _ in range(50)]
        slow, quick = Browser(client, job_ids), Browser(client, job_ids)
        visit = asyncio.create_task(slow.visit())
        await until(lambda: slow.got != b"")
        slow.reads.clear()
        await quick.visit()
        assert quick.got.count(b"data: {") == 50 * (20 * 3 + 1)
        assert quick.got.endswith(b"event: end\ndata:\n\n")
        more = asyncio.create_task(Browser(client, [server.add_job(life_cycle=LONG)]).visit())
        await asyncio.sleep(10)
        # The jobs of the slow one have ended, too.
        assert client.statistics().pending == 1
        slow.gone.set()
        await visit
        more.cancel()
        await asyncio.wait([more])


@pytest.mark.virtual_time
async def test_a_heartbeat_finds_browsers_that_have_gone() -> None:
    """Where nothing changes, a comment comes every 15 seconds; whom it does not reach is forgotten."""
    async with served() as (server, client):
        browser = Browser(client, [server.add_job(life_cycle=LONG)], spec_version="2.4")
        visit = asyncio.create_task(browser.visit())
        await asyncio.sleep(40)
        assert browser.got.count(b": nothing new\n\n") == 2
        browser.gone.set()
        await asyncio.sleep(10)
        assert client.statistics().pending == 0
        with pytest.raises(ClientDisconnect):
            await visit


def test_the_page_shows_what_the_program_says() -> None:
    """docs/howto/web-service.md explains parts of the program, as they are."""
    blocks = [block.source for block in blocks_of_page(ROOT / "docs" / "howto" / "web-service.md")]
    parts = [source for source in blocks if not source.startswith("$")]
    program = (ROOT / "docs" / "examples" / "web_service.py").read_text(encoding="utf-8")
    assert len(parts) >= 5
    assert [part for part in parts if part not in program and indent(part, " " * 4) not in program] == []
