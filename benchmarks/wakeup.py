"""The way from an answer to the tasks that it wakes: CPU time per waiter.

10,000 tasks wait in ``poll_for_job_complete`` until answers, 100 calls of 100 jobs each, say that all of them have
ended. The answers come from this process, ready made, so that no network and no parser of HTTP is in the figure. What
is: walking the body, finding the waiters of each job, cutting the job's description out of the answer, resuming the
task, and the turns of the event loop. Decoding the description, which the resumed task does, is left out and measured
apart.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import msgspec

from awaitbatch import BatchClient, _results
from awaitbatch._coalescer import DescribeCoalescer
from awaitbatch._core.throttle import ThrottleParameters
from awaitbatch._jobs import decode_description
from awaitbatch.testing import BatchServer, LifeCycle
from benchmarks.report import Figure, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_IDS_PER_CALL: Final = 100
_JOBS: Final = 10_000
_DESCRIPTION_BYTES: Final = 3500
_TURNS: Final = 4
"""Turns of the event loop from an answer to the end of the tasks that it wakes."""
_MORE_THAN_ANY_SERVER: Final = 1e6
"""Calls a second."""
_MOST: Final = 25.0
"""Microseconds of CPU time for a waiter."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU time per waiter, of user and system.

    Attributes:
        waking: From the answer to the resumed task.
        decoding: Decoding a description of 3,500 bytes.
    """

    waking: float
    decoding: float


class _Answers:
    """A transport whose answers are there already, but held back until it may give them."""

    region_name = None
    max_connections = _JOBS
    refreshes_credentials = False

    def __init__(self, items: dict[str, bytes]) -> None:
        self._items = items
        self.may_answer = asyncio.Semaphore(0)

    async def open(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """The answer, once it may be given."""
        body = b'{"jobs":[%b]}' % b",".join([self._items[job_id] for job_id in job_ids])
        await self.may_answer.acquire()
        return body


async def measure(*, quick: bool) -> Result:
    """Run all rounds.

    Args:
        quick: Fewer rounds.
    """
    rounds = 3 if quick else 7
    items = await _descriptions(_JOBS)
    with (
        # All calls leave before the first answer comes, so none of them lets the rate grow.
        mock.patch.object(
            DescribeCoalescer,
            "throttle_parameters",
            ThrottleParameters(start_rate=_MORE_THAN_ANY_SERVER),
        ),
        mock.patch.object(_results, "decode_description", lambda item: {"bytes": len(item)}),
    ):
        costs = [await _wake_all(items) for _ in range(rounds)]
    waking = [cost.waking for cost in costs]
    return Result(
        name="wakeup",
        about=f"{_JOBS:,} tasks woken by {_JOBS // MAX_IDS_PER_CALL} answers, median of {rounds} rounds",
        figures=[
            Figure(
                name="from the answer to the resumed task",
                value=statistics.median(waking),
                unit="µs of CPU per waiter",
                # A time depends on the machine, and the short form runs where others use it too.
                at_most=None if quick else _MOST,
            ),
            Figure(
                name=f"decoding a description of {_DESCRIPTION_BYTES:,} bytes, beside it",
                value=statistics.median(cost.decoding for cost in costs),
                unit="µs of CPU per waiter",
            ),
        ],
        quick=quick,
        details={"waking": waking, "decoding": [cost.decoding for cost in costs]},
    )


async def _descriptions(count: int) -> dict[str, bytes]:
    """Descriptions of jobs that have succeeded, by id, as JSON."""
    server = BatchServer(description_bytes=_DESCRIPTION_BYTES)
    ended = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)
    job_ids = [server.add_job(life_cycle=ended) for _ in range(count)]
    transport = server.transport(latency=0)
    await transport.open()
    items: dict[str, bytes] = {}
    for start in range(0, count, MAX_IDS_PER_CALL):
        some = job_ids[start : start + MAX_IDS_PER_CALL]
        jobs = msgspec.json.decode(await transport.describe_jobs(some), type=dict[str, list[msgspec.Raw]])[
            "jobs"
        ]
        items.update(zip(some, map(bytes, jobs), strict=True))
    await transport.aclose()
    return items


async def _wake_all(items: dict[str, bytes]) -> Cost:
    transport: Any = _Answers(items)
    async with BatchClient(transport=transport, max_calls_per_second=_MORE_THAN_ANY_SERVER) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in items]
        while client.statistics().in_flight < len(items) / MAX_IDS_PER_CALL:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        gc.collect()
        gc.freeze()
        begin = time.process_time()
        while client.statistics().pending:
            # One answer after the other, as they come over a network.
            transport.may_answer.release()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        waking = time.process_time() - begin
        gc.unfreeze()
        assert all(
            dict(wait.result()) == {"bytes": len(item)}
            for wait, item in zip(waits, items.values(), strict=True)
        )
    begin = time.process_time()
    for item in items.values():
        decode_description(item)
    decoding = time.process_time() - begin
    return Cost(waking=waking / len(items) * 1e6, decoding=decoding / len(items) * 1e6)
