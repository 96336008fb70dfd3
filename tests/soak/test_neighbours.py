"""Programs that know nothing of each other share an account."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from awaitbatch.testing import LifeCycle, ServerProcess

from .support import add_jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .support import Report, Reporting

ALLOWED = 20
"""Calls a second for all of them together."""
PROCESSES = 4
APART = 10.0
SPAN = 120.0
JOBS = 100
LIFE = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=SPAN + 15)
MOST_SECONDS_BESIDE_NAIVE = 300.0
"""He takes three tokens of four before anybody else sees them, and ours try but once in ten seconds by then."""


class Neighbour:
    """A process of ours, and what it reported last."""

    def __init__(self, endpoint_url: str, job_ids: Sequence[str]) -> None:
        self._command = (sys.executable, "-m", "tests.soak.neighbour", endpoint_url)
        self._job_ids = job_ids
        self.reported = {"answered": 0, "throttled": 0, "failed": 0, "rate": 0.0}
        self.outcomes: dict[str, str] = {}

    async def run(self) -> None:
        """Start the process, read what it writes until it ends, and end it in any case."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(self._job_ids).encode() + b"\n")
            async for line in process.stdout:
                reported: dict[str, Any] = json.loads(line)
                if "outcomes" in reported:
                    self.outcomes = reported["outcomes"]
                else:
                    self.reported = reported
            assert await process.wait() == 0
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@asynccontextmanager
async def naive_neighbour(endpoint_url: str, job_ids: Sequence[str]) -> AsyncIterator[Counter[int]]:
    """Poll as fast as the server answers during the body, throttled or not; count answers by their status."""
    statuses: Counter[int] = Counter()

    async def poll() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                url = f"{endpoint_url}/v1/describejobs"
                async with session.post(url, json={"jobs": job_ids}) as response:
                    await response.read()
                    statuses[response.status] += 1

    polling = asyncio.create_task(poll())
    try:
        yield statuses
        assert not polling.done()
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 for equal shares, 1/n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


@pytest.mark.soak
async def test_four_processes_and_a_naive_one(report: Report, reporting: Reporting) -> None:
    """Four that start ten seconds apart get equal shares; beside one who polls as fast as he can, they end well."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        # AWS is not next door, so even the naive one waits for each of its answers.
        server = await stack.enter_async_context(
            ServerProcess("--rate", str(ALLOWED), "--latency", "0.02", "--description-bytes", "0")
        )
        job_ids = await add_jobs(server, [LIFE] * (PROCESSES * JOBS))
        end_of_jobs = loop.time() + LIFE.running
        neighbours = [
            Neighbour(server.endpoint_url, job_ids[number::PROCESSES]) for number in range(PROCESSES)
        ]

        def state() -> str:
            return ", ".join(
                f"{neighbour.reported['answered']} answered and {neighbour.reported['throttled']} throttled "
                f"({neighbour.reported['rate']:.1f}/s)"
                for neighbour in neighbours
            )

        await stack.enter_async_context(reporting(state))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        begin = loop.time()
        running = []
        for number, neighbour in enumerate(neighbours):
            await asyncio.sleep(begin + number * APART - loop.time())
            running.append(group.create_task(neighbour.run()))
        try:
            await asyncio.sleep(begin + SPAN / 2 - loop.time())
            before = [neighbour.reported for neighbour in neighbours]
            await asyncio.sleep(begin + SPAN - loop.time())
            after = [neighbour.reported for neighbour in neighbours]

            def gained(what: str) -> list[float]:
                return [later[what] - earlier[what] for earlier, later in zip(before, after, strict=True)]

            answered, throttled = gained("answered"), gained("throttled")
            fairness = jain(answered)
            share = sum(throttled) / (sum(answered) + sum(throttled))
            used = sum(answered) / (ALLOWED * SPAN / 2)
            report(
                f"in the second minute {answered} calls answered: Jain's index {fairness:.3f}; {share:.1%} throttled; "
                f"{used:.0%} of the limit used"
            )
            async with naive_neighbour(server.endpoint_url, job_ids[:JOBS]) as statuses:
                async with asyncio.timeout(end_of_jobs - loop.time() + MOST_SECONDS_BESIDE_NAIVE):
                    await asyncio.gather(*running)
                took = loop.time() - end_of_jobs
            report(
                f"beside a naive one, who got {statuses[200]} answers and {statuses[429]} rejections, all waits ended "
                f"{took:.1f} s after their jobs"
            )
        finally:
            for task in running:
                task.cancel()
    for neighbour, own in zip(
        neighbours, (job_ids[number::PROCESSES] for number in range(PROCESSES)), strict=True
    ):
        assert neighbour.outcomes == dict.fromkeys(own, "SUCCEEDED")
    assert fairness >= 0.95
    assert share <= 0.03
