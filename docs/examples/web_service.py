"""A web service that submits jobs, waits for them, and shows a browser how they get on.

    JOB_QUEUE=my-queue JOB_DEFINITION=my-definition python web_service.py
    python web_service.py --server

The second one needs no AWS account: it plays AWS Batch itself. All requests share one client and its calls.

| request | answer |
|---|---|
| `GET /` | a page that submits jobs and shows their states |
| `POST /jobs` with `{"jobName": "mine"}` | 201 with the job's id |
| `GET /jobs/{id}?wait=30` | the job when it has ended, or as it is after 30 seconds |
| `GET /events?ids={id},{id}` | each change as a server-sent event; the last event is `end` |
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.routing import Route

from awaitbatch import (
    AwaitBatchError,
    BatchClient,
    FixedInterval,
    InvalidJobIdError,
    JobChange,
    JobFailedError,
    JobNotFoundError,
    JobTrouble,
)
from awaitbatch.testing import BatchServer, LifeCycleRanges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from awaitbatch import JobChanges

PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
LONGEST_WAIT = 60
HEARTBEAT = 15
"""Seconds without news after which a comment is sent: proxies see that we live, and we see whether the browser does."""


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, BatchClient]]:
    """One client for all requests. Endpoint, region and credentials are what boto3 would take."""
    interval = FixedInterval(float(os.environ.get("CHECK_INTERVAL", "2")))
    async with BatchClient(backoff=interval) as client:
        yield {"client": client}


async def page(_: Request) -> Response:
    """The page."""
    return HTMLResponse(PAGE)


async def submit(request: Request) -> Response:
    """Submit a job; what it runs, and where, is not for the browser to say."""
    try:
        name = (await request.json())["jobName"]
    except (ValueError, TypeError, KeyError):
        raise HTTPException(400, 'send JSON such as {"jobName": "mine"}') from None
    job = await request.state.client.submit_job(
        jobName=name, jobQueue=os.environ["JOB_QUEUE"], jobDefinition=os.environ["JOB_DEFINITION"]
    )
    return JSONResponse({"jobId": job["jobId"]}, 201, headers={"Location": f"/jobs/{job['jobId']}"})


async def wait_for_job(request: Request) -> Response:
    """Wait until a job has ended, or the time is up."""
    client, job_id = request.state.client, request.path_params["job_id"]
    wait = request.query_params.get("wait", "0")
    if not wait.isdecimal() or int(wait) > LONGEST_WAIT:
        raise HTTPException(400, f"wait must be 0 to {LONGEST_WAIT} seconds")
    try:
        async with asyncio.timeout(int(wait)):
            job = await client.wait_for_job(job_id)
    except TimeoutError:
        job = await client.describe(job_id)
    return JSONResponse(summary(job))


async def follow(request: Request) -> Response:
    """Send each change of the jobs, for as long as the browser is there."""
    return EventStream(request.state.client.watch(request.query_params.get("ids", "").split(",")))


class EventStream(StreamingResponse):
    """Server-sent events of changes: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

    media_type = "text/event-stream"

    def __init__(self, changes: JobChanges) -> None:
        super().__init__(events(changes), headers={"Cache-Control": "no-store"})
        self.changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; however that ends, nothing is watched any more. A generator could not promise that."""
        async with self.changes:
            await super().__call__(scope, receive, send)


async def events(changes: JobChanges) -> AsyncIterator[str]:
    """The text of each event, and the end."""
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT):
                item = await anext(changes)
        except TimeoutError:
            yield ": nothing new\n\n"
        except StopAsyncIteration:
            # Without it, the browser would take the end for a lost connection, and ask again.
            yield "event: end\ndata:\n\n"
            return
        else:
            match item:
                case JobChange(job=dict() as job):
                    yield f"data: {json.dumps(summary(job))}\n\n"
                case JobTrouble(job_id=job_id, error=error):
                    yield f"data: {json.dumps({'jobId': job_id, 'error': str(error)})}\n\n"


def summary(job: dict[str, Any]) -> dict[str, str]:
    """What a browser is told of a job."""
    told = {name: job[name] for name in ("jobId", "jobName", "status")}
    return told | ({"error": str(JobFailedError.from_job(job))} if job["status"] == "FAILED" else {})


async def refuse(_: Request, error: Exception) -> Response:
    """Say what is wrong."""
    statuses = {InvalidJobIdError: 400, JobNotFoundError: 404}
    return JSONResponse({"error": str(error)}, statuses.get(type(error), 502))


app = Starlette(
    routes=[
        Route("/", page),
        Route("/jobs", submit, methods=["POST"]),
        Route("/jobs/{job_id}", wait_for_job),
        Route("/events", follow),
    ],
    exception_handlers=dict.fromkeys((AwaitBatchError, BotoCoreError, ClientError), refuse),
    lifespan=lifespan,
)


async def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000, help="port of this machine (default: %(default)s)")
    parser.add_argument("--server", action="store_true", help="play AWS Batch, so that no account is needed")
    options = parser.parse_args()
    async with AsyncExitStack() as stack:
        if options.server:
            lives = LifeCycleRanges(runnable=(1, 4), running=(2, 10), failing=0.1)
            server = await stack.enter_async_context(BatchServer(default_life_cycle=lives))
            os.environ |= {"AWS_ENDPOINT_URL": server.endpoint_url, "AWS_DEFAULT_REGION": server.region_name}
            os.environ |= {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
            os.environ |= {"JOB_QUEUE": "any", "JOB_DEFINITION": "any"}
        # Browsers that watch jobs would keep it from ending.
        await uvicorn.Server(uvicorn.Config(app, port=options.port, timeout_graceful_shutdown=1)).serve()


if __name__ == "__main__":
    asyncio.run(main())
