"""5,000 jobs to their end against moto, which none of us wrote.

The jobs are submitted first, over SubmitJob, and live until some time after the last of them is; then awaitbatch, in a
process of its own as in the peers' race, awaits each in a task of its own. The columns are those of the race.

One moto server would be enough to answer, but slow: it goes through all its jobs for each call, so that a call for 100
ids takes 40 ms of its CPU with 5,000 jobs and 20 ms with 1,250, and it takes 6 ms for each submission. So the jobs are
spread over several, with one client each, all on one event loop.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from aiobotocore.session import AioSession

from awaitbatch import BatchClient
from awaitbatch.testing import LifeCycle, MotoServer
from benchmarks.peers import rows as table
from benchmarks.peers.race import compete, environment_variables
from benchmarks.peers.registry import CONTESTANTS, OURS
from benchmarks.peers.scenarios import EVERY_FEW_SECONDS, QUICK, QUICK_PACE, RUNNING, SEED
from benchmarks.report import Figure, Result
from benchmarks.servers import arguments_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from benchmarks.peers.rows import Row
    from benchmarks.peers.scenarios import Pace

_FAILING: Final = 0.1
_SECONDS_PER_SUBMISSION: Final = 0.015
"""Twice what it takes on two idle cores; jobs begin to end once so much time for each has passed."""
_SUBMISSIONS_AT_ONCE: Final = 4
"""To each server; more only queue up there."""
_SECONDS_BETWEEN_MESSAGES: Final = 5.0
_ENDS: Final = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True, slots=True)
class Load:
    """The jobs, and the servers that have them.

    Attributes:
        jobs: How many there are.
        servers: How many share them.
        running: Least and most seconds from the time by which all are submitted to the end of one.
        pace: How often each job is checked.
        ids_per_call: The target: the least mean number of ids per call.
    """

    jobs: int
    servers: int
    running: tuple[float, float]
    pace: Pace
    ids_per_call: float


_FULL: Final = Load(jobs=5000, servers=4, running=RUNNING, pace=EVERY_FEW_SECONDS, ids_per_call=90)
_QUICK: Final = Load(jobs=100, servers=2, running=QUICK.running, pace=QUICK_PACE, ids_per_call=30)
"""A call has 50 ids until jobs begin to end, and fewer and fewer then."""


async def measure(*, quick: bool) -> Result:
    """Let jobs live on some servers, and await them.

    Args:
        quick: A few short ones.

    Raises:
        ModuleNotFoundError: moto is not installed.
        RunError: The process that awaits failed altogether.
    """
    load = _QUICK if quick else _FULL
    _say(f"starting {load.servers} moto servers")
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(MotoServer()) for _ in range(load.servers)]
        first_end = time.time() + 2 + load.jobs * _SECONDS_PER_SUBMISSION
        job_ids = await _submit_all(load, servers, first_end)
        waiting_since = time.time()
        last_end = max(first_end, waiting_since) + load.running[1]
        about, found = await _await_all(load, servers, job_ids, last_end - waiting_since)
        _say("asking the servers what became of each job")
        ends: dict[str, float] = {}
        record: dict[str, str] = {}
        counts = []
        for server in servers:
            ends |= await server.ended()
            record |= await _listed(server)
            counts.append(await server.control("GET", "statistics"))
    # A job that ended before the wait began counts as ended when it began.
    ends = {job_id: max(end, waiting_since) for job_id, end in ends.items()}
    row = {"contestant": OURS, **about, **table.measured(found, added(counts), ends, job_ids, None)}
    wrong = disagreements(found["outcomes"], record, job_ids)
    return Result(
        name="load_moto",
        about=f"{load.jobs:,} jobs, about {_FAILING:.0%} of which fail, on {load.servers} moto servers, "
        f"each checked about every {load.pace.interval:g} s",
        figures=list(_figures(load, row, len(wrong))),
        quick=quick,
        details={"row": row, "disagreements": wrong[:10]},
        extra=[table.markdown([row], {OURS: CONTESTANTS[OURS].about})],
    )


def added(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The statistics of several servers as if they were one's."""
    counts = list(counts)

    def total(*path: str) -> dict[str, int]:
        sums: dict[str, int] = {}
        for one in counts:
            found: Any = one
            for name in path:
                found = found.get(name, {})
            for key, number in found.items():
                sums[key] = sums.get(key, 0) + number
        return sums

    ids, answered = sum(one["ids_described"] for one in counts), total("answered")["DescribeJobs"]
    return {
        "calls": total("calls"),
        "throttled": total("throttled"),
        "calls_by_second": {"DescribeJobs": total("calls_by_second", "DescribeJobs")},
        "ids_described": ids,
        "ids_per_call": ids / answered,
    }


def disagreements(
    outcomes: Mapping[str, str], record: Mapping[str, str], job_ids: Sequence[str]
) -> list[str]:
    """Where the outcomes of waits and what the servers list differ, in words."""
    return [
        f"{job_id}: its wait returned {outcomes.get(job_id)}, the server lists {record.get(job_id)}"
        for job_id in job_ids
        if job_id not in outcomes or outcomes[job_id] != record.get(job_id)
    ]


def _figures(load: Load, row: Row, wrong: int) -> Iterable[Figure]:
    yield Figure(name="waits that died or were left", value=row["died"] + row["left"], at_most=0)
    yield Figure(name="outcomes that the servers list otherwise", value=wrong, at_most=0)
    yield Figure(
        name="ids per call",
        value=row["ids_per_call"],
        unit="ids in an answered call",
        at_least=load.ids_per_call,
    )
    yield Figure(
        name="99 of 100 ends are noticed within",
        value=math.inf if row["delay_p99"] is None else row["delay_p99"],
        unit="s",
        # The interval, and a second until moto has answered a wave of calls.
        at_most=(load.pace.interval or 0.0) + 1,
    )
    yield Figure(
        name="longest stall of the loop",
        value=row["longest_stall_ms"],
        unit="ms",
        # All waits begin in one round of the loop, 50 µs each where nothing else runs.
        at_most=max(300.0, 0.1 * load.jobs),
    )


async def _submit_all(load: Load, servers: Sequence[MotoServer], first_end: float) -> list[str]:
    """Submit jobs to the servers in turn, and return their ids in that order."""
    begin, random = time.monotonic(), Random(SEED)
    plans = [
        (first_end + random.uniform(*load.running), "FAILED" if random.random() < _FAILING else "SUCCEEDED")
        for _ in range(load.jobs)
    ]
    job_ids = [""] * load.jobs

    async def submit(number: int, client: BatchClient, room: asyncio.Semaphore) -> None:
        async with room:
            end, outcome = plans[number]
            running = max(0.0, end - time.time() - 1)
            life = LifeCycle(running=running, outcome=outcome)  # type: ignore[arg-type]
            answer = await client.submit_job(
                jobName=f"load-{number}",
                jobQueue=MotoServer.job_queue,
                jobDefinition=MotoServer.job_definition,
                parameters=life.to_parameters(),
            )
        job_ids[number] = answer["jobId"]

    async def progress() -> str:
        return f"submitted {sum(map(bool, job_ids)):,} of {load.jobs:,}"

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(BatchClient(**arguments_for(server), max_submits_per_second=1000))
            for server in servers
        ]
        rooms = [asyncio.Semaphore(_SUBMISSIONS_AT_ONCE) for _ in servers]
        async with _reporting(progress), asyncio.TaskGroup() as group:
            for number in range(load.jobs):
                place = number % len(servers)
                group.create_task(submit(number, clients[place], rooms[place]))
    seconds = time.monotonic() - begin
    _say(f"all {load.jobs:,} submitted after {seconds:.0f} s, {load.jobs / seconds:.0f} a second")
    return job_ids


async def _await_all(
    load: Load, servers: Sequence[MotoServer], job_ids: list[str], longest_job: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let awaitbatch await all, and return what its process says of itself and of the jobs."""

    async def progress() -> str:
        ended = sum([len(await server.ended()) for server in servers])
        return f"{ended:,} of {len(job_ids):,} jobs have ended"

    async def give_ids() -> list[str]:
        return job_ids

    deadline = longest_job + load.pace.patience
    settings = {
        "endpoint_url": servers[0].endpoint_url,
        "endpoint_urls": [server.endpoint_url for server in servers],
        "region_name": servers[0].region_name,
        "interval": load.pace.interval,
        "jobs": len(job_ids),
        "deadline": deadline,
        "longest_job": longest_job,
        "missing_deadline": deadline,
    }
    variables = environment_variables(servers[0], inherit=True)
    async with _reporting(progress):
        return await compete(CONTESTANTS[OURS], Path(sys.executable), variables, settings, give_ids)


async def _listed(server: MotoServer) -> dict[str, str]:
    """Job id to final state of all jobs that ListJobs gives, which the waits do not call."""
    found: dict[str, str] = {}
    async with AioSession().create_client("batch", **arguments_for(server)) as client:
        pages = client.get_paginator("list_jobs")
        for status in _ENDS:
            async for page in pages.paginate(jobQueue=server.job_queue, jobStatus=status):
                found.update((job["jobId"], job["status"]) for job in page["jobSummaryList"])
    return found


@asynccontextmanager
async def _reporting(progress: Callable[[], Awaitable[str]]) -> AsyncIterator[None]:
    """Report progress from time to time."""

    async def report() -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_MESSAGES)
            _say(await progress())

    reporting = asyncio.create_task(report())
    try:
        yield
    finally:
        reporting.cancel()
        await asyncio.wait([reporting])


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
