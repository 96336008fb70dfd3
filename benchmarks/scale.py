"""What it takes to await very many jobs from one event loop: memory, CPU, stalls, the beginning and the end of it all.

A process awaits 1,000 jobs, another 10,000, another 100,000: as many tasks, each in ``wait_for_job`` with
``FixedInterval(0.1)``, so that there is always a full call to send, at 20 calls a second. The jobs run and do not end.

Each goes through these phases: all waits begin at once; every job is seen twice, which at 100,000 jobs takes 100 s; CPU
time is measured; then stalls are, apart, since a task that reads the clock every few milliseconds costs something
itself; all waits are cancelled at once. Beside the tasks, as many jobs as the most of them are followed by
`BatchClient.as_completed` and by `BatchClient.watch`, which take no task for a job, in a process each. Only one process
runs at a time, the others stand still until they are asked; but CPU time is measured in rounds in which all have their
turn, or the ratio would depend on the machine's moods.

The long form also watches a million jobs; see `benchmarks.million`.
"""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import ServerProcess
from benchmarks.million import measure_million
from benchmarks.report import Figure, Result
from benchmarks.servers import FOREVER, add_running_jobs, arguments_for
from benchmarks.workers import read_request, send_answer, worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch import JobChanges, JobOutcomes


RATE: Final = 20.0
"""Calls a second."""
MAX_IDS_PER_CALL: Final = 100
_SIZES: Final = (1_000, 10_000, 100_000)
_INTERVAL: Final = 0.1
_DESCRIPTION_BYTES: Final = 3500
_TICK: Final = 0.002
"""Seconds between two readings of the clock, which tell how long the loop was held."""
_JOBS_A_REQUEST: Final = 20_000
_TASKS: Final = "tasks"
_STREAMS: Final = ("as_completed", "watch")
_SETTLE: Final = 1.0
"""Seconds that a process gets to find its pace again after a pause."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What so many waits took.

    Attributes:
        way: ``"tasks"``, each in `BatchClient.wait_for_job`, or the method of `BatchClient` that follows all of them.
        jobs: How many.
        begin_seconds: Until all had begun.
        bytes_per_job: Resident memory beyond that of the client before, once every job was seen twice.
        seconds: How long CPU time was measured, all rounds together.
        cpu_us_per_job_seen: CPU time, of user and system, per job seen; the median of the rounds.
        rounds: The same in each round.
        collections: How often Python's garbage collector ran meanwhile, in each of its three generations.
        calls: Calls sent meanwhile.
        ids_per_call: Mean number of ids in them.
        stall_p99_ms: The time by which 99 of 100 readings of the clock were late at most.
        stall_max_ms: The time by which one was latest.
        collection_ms: What one full run of Python's garbage collector takes then, which holds the loop, too.
        cancel_seconds: From the first `cancel` until all tasks had ended.
    """

    way: str
    jobs: int
    begin_seconds: float
    bytes_per_job: float
    seconds: float
    cpu_us_per_job_seen: float
    rounds: Sequence[float]
    collections: Sequence[int]
    calls: int
    ids_per_call: float
    stall_p99_ms: float
    stall_max_ms: float
    collection_ms: float
    cancel_seconds: float


async def measure(*, quick: bool) -> Result:
    """Run all sizes.

    Args:
        quick: Fewer jobs and shorter spans.
    """
    sizes, rounds, seconds, stalled = ((200, 2_000), 3, 1.0, 3.0) if quick else (_SIZES, 7, 8.0, 20.0)
    async with (
        ServerProcess("--description-bytes", str(_DESCRIPTION_BYTES)) as server,
        AsyncExitStack() as stack,
    ):
        job_ids: list[str] = []
        workers = []
        for size in sizes:
            while len(job_ids) < size:
                more = min(size - len(job_ids), _JOBS_A_REQUEST)
                job_ids += await add_running_jobs(server, more, seed=len(job_ids))
            process = await stack.enter_async_context(worker(__name__))
            await process.ask({"server": arguments_for(server), "job_ids": job_ids, "way": _TASKS})
            workers.append(process)
        for way in _STREAMS[-1:] if quick else _STREAMS:
            process = await stack.enter_async_context(worker(__name__))
            await process.ask({"server": arguments_for(server), "job_ids": job_ids, "way": way})
            workers.append(process)
        for _ in range(rounds):
            for process in workers:
                await process.ask({"checks": seconds})
        found = [Cost(**await process.ask({"stalls": stalled})) for process in workers]
    costs, streams = found[: len(sizes)], found[len(sizes) :]
    million = [] if quick else [await measure_million()]
    return Result(
        name="scale",
        about=f"waits for {', '.join(f'{size:,}' for size in sizes)} jobs at {RATE:g} calls/s, one event loop",
        figures=[
            # Times depend on the machine, and the short form runs where others use it too.
            replace(figure, at_least=None, at_most=None) if quick and figure.unit else figure
            for figure in [
                *_figures(costs),
                *(figure for cost in streams for figure in _stream_figures(cost, costs[-1])),
                *(figure for one in million for figure in one.figures()),
            ]
        ],
        quick=quick,
        details={
            "sizes": [asdict(cost) for cost in costs],
            "streams": [asdict(cost) for cost in streams],
            "million": [asdict(one) for one in million],
        },
    )


def _figures(costs: Sequence[Cost]) -> list[Figure]:
    least, most = costs[0], costs[-1]
    jobs = f"{most.jobs:,} jobs"
    return [
        Figure(name=f"{jobs}: all waits begin", value=most.begin_seconds, unit="s", at_most=10),
        Figure(name=f"{jobs}: memory", value=most.bytes_per_job / 1000, unit="KB a waiting job", at_most=4),
        Figure(name=f"{jobs}: ids per call", value=most.ids_per_call, at_least=0.999 * MAX_IDS_PER_CALL),
        Figure(
            name=f"{jobs}: calls",
            value=most.calls / most.seconds,
            unit="a second",
            at_least=0.97 * RATE,
            at_most=RATE + 1,
        ),
        Figure(name=f"{jobs}: stall of the loop, p99", value=most.stall_p99_ms, unit="ms", at_most=10),
        Figure(name=f"{jobs}: longest stall", value=most.stall_max_ms, unit="ms"),
        Figure(name=f"{jobs}: a full garbage collection", value=most.collection_ms, unit="ms"),
        Figure(name=f"{jobs}: all are cancelled", value=most.cancel_seconds, unit="s", at_most=5),
        Figure(
            name=f"{jobs}: full collections in {most.seconds:.0f} s of checks", value=most.collections[-1]
        ),
        *(
            Figure(name=f"{cost.jobs:,} jobs: CPU", value=cost.cpu_us_per_job_seen, unit="µs per job seen")
            for cost in costs
        ),
        Figure(
            name=f"CPU per job seen, {jobs} : {least.jobs:,} jobs",
            value=median(many / few for many, few in zip(most.rounds, least.rounds, strict=True)),
            unit="times",
            at_most=1.15,
        ),
    ]


def _stream_figures(cost: Cost, tasks: Cost) -> list[Figure]:
    title = f"{cost.jobs:,} jobs, {cost.way}"
    return [
        Figure(name=f"{title}: all are followed", value=cost.begin_seconds, unit="s", at_most=2),
        Figure(name=f"{title}: memory", value=cost.bytes_per_job / 1000, unit="KB a job", at_most=1),
        Figure(name=f"{title}: ids per call", value=cost.ids_per_call, at_least=0.999 * MAX_IDS_PER_CALL),
        Figure(name=f"{title}: stall of the loop, p99", value=cost.stall_p99_ms, unit="ms", at_most=10),
        Figure(name=f"{title}: longest stall", value=cost.stall_max_ms, unit="ms"),
        Figure(name=f"{title}: a full garbage collection", value=cost.collection_ms, unit="ms"),
        Figure(name=f"{title}: it is left", value=cost.cancel_seconds, unit="s", at_most=2),
        Figure(name=f"{title}: CPU", value=cost.cpu_us_per_job_seen, unit="µs per job seen"),
        Figure(
            name=f"CPU per job seen, {title} : in tasks",
            value=median(one / other for one, other in zip(cost.rounds, tasks.rounds, strict=True)),
            unit="times",
            at_most=1.05,
        ),
    ]


class Stalls:
    """By how much readings of the clock are late."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def watch(self, seconds: float) -> None:
        """Read the clock for so long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (due := loop.time() + _TICK) < end:
            await asyncio.sleep(_TICK)
            self.late.append(loop.time() - due)
        self.late.sort()

    def percentile(self, share: float) -> float:
        """By how much that share of the readings was late at most, in seconds."""
        return self.late[min(len(self.late) - 1, int(share * len(self.late)))]


class _Checks:
    """What checks cost a client, in some spans of time; in between it may have been paused."""

    def __init__(self, client: BatchClient) -> None:
        self._client = client
        self.rounds: list[float] = []
        self.seconds = 0.0
        self.calls = 0
        self.ids = 0.0
        self.collections = [0, 0, 0]

    async def measure(self, seconds: float) -> None:
        """Measure for so long."""
        before, collections = self._client.statistics(), _collections()
        begin, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        cpu, elapsed = time.process_time() - cpu, time.monotonic() - begin
        after = self._client.statistics()
        self.rounds.append(cpu / (after.jobs_described - before.jobs_described) * 1e6)
        self.seconds += elapsed
        self.calls += after.calls - before.calls
        self.ids += after.ids_per_call * after.calls - before.ids_per_call * before.calls
        self.collections = [
            so_far + now - then
            for so_far, now, then in zip(self.collections, _collections(), collections, strict=True)
        ]


def _collections() -> list[int]:
    return [generation["collections"] for generation in gc.get_stats()]


def resident() -> int:
    """Resident memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


class _Waits:
    """Jobs that are awaited in one way or the other."""

    def __init__(self, client: BatchClient, job_ids: list[str], way: str) -> None:
        self._client = client
        self._job_ids = job_ids
        self.tasks: list[asyncio.Task[Any]]
        if way == _TASKS:
            self.tasks = [asyncio.create_task(client.wait_for_job(job_id, 0)) for job_id in job_ids]
        else:
            self.tasks = [asyncio.create_task(follow(getattr(client, way)(job_ids)))]

    async def begun(self) -> None:
        """Wait until all jobs are in the queue."""
        while self._client.statistics().pending < len(self._job_ids):  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def cancel(self) -> None:
        """Leave all of them alone."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        assert all(task.cancelled() for task in self.tasks)
        assert self._client.statistics().pending == 0


async def follow(stream: JobOutcomes | JobChanges) -> None:
    """Take all that a stream gives."""
    async with stream:
        async for _ in stream:
            pass


async def _await_all(server: dict[str, Any], job_ids: list[str], way: str) -> None:
    """Wait for the jobs; measure checks for as many seconds as each request says, and with the last one stalls."""
    loop = asyncio.get_running_loop()
    async with BatchClient(
        **server,
        backoff=FixedInterval(_INTERVAL),
        max_calls_per_second=RATE,
        max_retries=float("inf"),
        # Time goes on while this process stands still.
        call_timeout=FOREVER,
    ) as client:
        await client.describe(job_ids[0])
        # As a service would: what imports have made stays for good.
        gc.collect()
        gc.freeze()
        empty, begin = resident(), loop.time()
        waits = _Waits(client, job_ids, way)
        await waits.begun()
        began = loop.time() - begin
        await seen(client, 2 * len(job_ids), RATE)
        send_answer(None)
        checks = _Checks(client)
        # While nothing is asked the loop stands still, and no other process pays for this one.
        while "checks" in (request := read_request()):
            await asyncio.sleep(_SETTLE)
            await checks.measure(request["checks"])
            send_answer(None)
        assert client.statistics().failed == 0
        await asyncio.sleep(_SETTLE)
        stalls = Stalls()
        await stalls.watch(request["stalls"])
        full = resident()
        collection = collected()
        begin = loop.time()
        await waits.cancel()
        cancelled = loop.time() - begin
    send_answer(
        asdict(
            Cost(
                way=way,
                jobs=len(job_ids),
                begin_seconds=began,
                bytes_per_job=(full - empty) / len(job_ids),
                seconds=checks.seconds,
                cpu_us_per_job_seen=median(checks.rounds),
                rounds=checks.rounds,
                collections=checks.collections,
                calls=checks.calls,
                ids_per_call=checks.ids / checks.calls,
                stall_p99_ms=stalls.percentile(0.99) * 1000,
                stall_max_ms=stalls.late[-1] * 1000,
                collection_ms=collection * 1000,
                cancel_seconds=cancelled,
            )
        )
    )


def collected() -> float:
    """The seconds that a full run of Python's garbage collector takes."""
    begin = time.monotonic()
    gc.collect()
    return time.monotonic() - begin


async def seen(client: BatchClient, jobs: int, rate: float) -> None:
    """Wait until good answers have held so many jobs, and the throttle has found its rate."""
    while client.statistics().jobs_described < jobs or client.statistics().rate < rate:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(_await_all(**read_request()))
