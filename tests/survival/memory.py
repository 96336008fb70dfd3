"""Very many checks of jobs in virtual time, and what of them stays in memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from awaitbatch import BatchClient, FixedInterval
from awaitbatch._core import windows
from awaitbatch.testing import LifeCycle
from tests.support import LONG, make_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from awaitbatch._transport import BatchTransport

INTERVAL = 10.0
SAMPLES = 10
REMEMBERED = 100
BRIEF = LifeCycle(submitted=0, pending=0, runnable=2, starting=2, running=8)


@dataclass(frozen=True, slots=True)
class Sample:
    """What there is at a moment.

    Attributes:
        seen: Checks so far.
        waits: Waits that have ended so far, or were cancelled.
        objects: Objects that are new and that the garbage collector knows, when it has done its work.
        resident: Bytes of memory that the process has, when what is free was given back.
        bodies: Bodies of answers that somebody held on to.
    """

    seen: int
    waits: int
    objects: int
    resident: int
    bodies: int


class Bodies:
    """Keeps each body until fifty later ones have come, and then says whether anybody else keeps it.

    A body is an object of type bytes, which the garbage collector does not know and which takes no weak references. But
    it counts its references, and of a body that is over and done with only that of this class is left.
    """

    def __init__(self, transport: BatchTransport) -> None:
        self.held = 0
        self._last: deque[bytes] = deque()
        self._describe_jobs = transport.describe_jobs
        transport.describe_jobs = self._describe  # type: ignore[method-assign]

    async def _describe(self, job_ids: Sequence[str]) -> bytes:
        self._last.append(await self._describe_jobs(job_ids))
        if len(self._last) > 50:
            old = self._last.popleft()
            # The variable, and the argument of the function.
            self.held += sys.getrefcount(old) > 2
        return self._last[-1]


async def watch_jobs(jobs: int, checks: int) -> AsyncIterator[Sample]:
    """Await so many jobs that do not end, until there were so many checks of them; take samples meanwhile.

    Each second a hundredth of the waits is cancelled and begun anew, and some jobs begin that end and are forgotten.
    """
    server = make_server(description_bytes=3500)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(jobs)]
    transport = server.transport()
    bodies = Bodies(transport)
    over = 0

    async def await_a_brief_one(client: BatchClient) -> None:
        nonlocal over
        job_id = server.add_job(life_cycle=BRIEF)
        assert (await client.wait_for_job(job_id, 0))["status"] == "SUCCEEDED"
        server.forget_job(job_id)
        over += 1

    async with (
        AsyncExitStack() as stack,
        BatchClient(
            transport=transport, backoff=FixedInterval(INTERVAL), max_calls_per_second=1000
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        # What is remembered of jobs that nobody awaits any more is to be full before the first sample.
        stack.enter_context(mock.patch.object(windows, "REMEMBERED", REMEMBERED))
        _hide_old_objects()

        def begin(job_id: str) -> asyncio.Task[Any]:
            return group.create_task(client.poll_for_job_complete(job_id, 0))

        waits = deque((job_id, begin(job_id)) for job_id in job_ids)
        for number in range(1, SAMPLES + 1):
            while client.statistics().jobs_described < checks * number / SAMPLES:
                for _ in range(jobs // 100):
                    job_id, wait = waits.popleft()
                    wait.cancel()
                    waits.append((job_id, begin(job_id)))
                    over += 1
                for _ in range(jobs // 500):
                    group.create_task(await_a_brief_one(client))
                await asyncio.sleep(1)
            gc.collect()
            yield Sample(
                client.statistics().jobs_described, over, len(gc.get_objects()), _resident(), bodies.held
            )
        for _, wait in waits:
            wait.cancel()


def _hide_old_objects() -> None:
    """Hide what is there already from the garbage collector, which then takes less time.

    It stays hidden, as all that conftest.py froze would come back with it.
    """
    gc.collect()
    gc.freeze()


def _resident() -> int:
    """Bytes of memory of this process."""
    # Or what is free, but not yet given back, would hide what is not.
    ctypes.CDLL(None).malloc_trim(0)
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


def growth(numbers: Sequence[int]) -> float:
    """By which share numbers of the last half differ at most."""
    last = numbers[len(numbers) // 2 :]
    return max(last) / min(last) - 1
