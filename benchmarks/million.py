"""A million jobs, watched on one event loop.

No server of ours holds a million jobs and answers as fast as AWS does. So the client has a transport without a network,
which answers each call at once with descriptions of a few hundred bytes. Memory, how soon the watch begins and ends,
and how long it holds the event loop do not depend on who answers; CPU per job seen does, so it is not measured.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from awaitbatch import BatchClient, FixedInterval
from benchmarks.report import Figure
from benchmarks.workers import read_request, send_answer, worker

if TYPE_CHECKING:
    from collections.abc import Sequence

_JOBS: Final = 1_000_000
_RATE: Final = 200.0
"""Calls a second: a pass over all jobs takes 50 seconds."""


@dataclass(frozen=True, slots=True)
class Million:
    """What so many took; see `benchmarks.scale.Cost`."""

    jobs: int
    call_seconds: float
    begin_seconds: float
    bytes_per_job: float
    calls_per_second: float
    ids_per_call: float
    stall_p99_ms: float
    stall_max_ms: float
    collection_ms: float
    leave_seconds: float

    def figures(self) -> list[Figure]:
        """Its figures, with their targets."""
        title = f"{self.jobs:,} jobs, watch"
        return [
            Figure(name=f"{title}: the call, which checks all ids", value=self.call_seconds, unit="s"),
            Figure(name=f"{title}: all are followed", value=self.begin_seconds, unit="s", at_most=20),
            Figure(name=f"{title}: memory", value=self.bytes_per_job / 1000, unit="KB a job", at_most=1),
            Figure(name=f"{title}: calls", value=self.calls_per_second, unit="a second"),
            Figure(name=f"{title}: ids per call", value=self.ids_per_call, at_least=99.9),
            Figure(name=f"{title}: stall of the loop, p99", value=self.stall_p99_ms, unit="ms"),
            Figure(name=f"{title}: longest stall", value=self.stall_max_ms, unit="ms"),
            Figure(name=f"{title}: a full garbage collection", value=self.collection_ms, unit="ms"),
            Figure(name=f"{title}: it is left", value=self.leave_seconds, unit="s", at_most=20),
        ]


async def measure_million() -> Million:
    """Watch them, in a process of their own."""
    async with worker(__name__) as process:
        return Million(**await process.ask({"jobs": _JOBS}))


class _Echo:
    """A transport that says of each job that it runs."""

    max_connections = 50
    refreshes_credentials = False
    region_name = endpoint_url = client = None

    async def open(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
        """Nothing but DescribeJobs is called."""
        raise NotImplementedError(operation, parameters)

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """A description of each, of some hundred bytes."""
        filler = '","status":"RUNNING","attempts":[],"jobName":"' + "x" * 300
        return (
            '{"jobs":[' + ",".join(f'{{"jobId":"{job_id}{filler}"}}' for job_id in job_ids) + "]}"
        ).encode()


async def _watch(jobs: int) -> None:
    # Only here, since that module needs this one.
    from benchmarks.scale import Stalls, collected, follow, resident, seen  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    transport: Any = _Echo()
    async with BatchClient(
        transport=transport, backoff=FixedInterval(0.1), max_calls_per_second=_RATE
    ) as client:
        job_ids = [f"{number:08x}-aaaa-bbbb-cccc-{number:012x}" for number in range(jobs)]
        await client.describe(job_ids[0])
        gc.collect()
        gc.freeze()
        empty, begin = resident(), loop.time()
        stream = client.watch(job_ids)
        called = loop.time() - begin
        task = asyncio.create_task(follow(stream))
        while client.statistics().pending < jobs:  # noqa: ASYNC110
            await asyncio.sleep(0)
        began = loop.time() - begin
        await seen(client, 2 * jobs, _RATE)
        full, before, since = resident(), client.statistics(), loop.time()
        stalls = Stalls()
        await stalls.watch(20)
        after, seconds = client.statistics(), loop.time() - since
        collection = collected()
        begin = loop.time()
        task.cancel()
        await asyncio.wait({task})
        assert client.statistics().pending == 0
        left = loop.time() - begin
    calls = after.calls - before.calls
    send_answer(
        asdict(
            Million(
                jobs=jobs,
                call_seconds=called,
                begin_seconds=began,
                bytes_per_job=(full - empty) / jobs,
                calls_per_second=calls / seconds,
                ids_per_call=(after.ids_per_call * after.calls - before.ids_per_call * before.calls) / calls,
                stall_p99_ms=stalls.percentile(0.99) * 1000,
                stall_max_ms=stalls.late[-1] * 1000,
                collection_ms=collection * 1000,
                leave_seconds=left,
            )
        )
    )


if __name__ == "__main__":
    asyncio.run(_watch(**read_request()))
