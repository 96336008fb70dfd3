"""Jobs that stay RUNNABLE: a watch tells of each of them once."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import FixedInterval, JobChange, JobStuck
from awaitbatch.testing import LifeCycle
from tests.support import make_client

from .test_streams import Scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

WAITS: Any = {"submitted": 0, "pending": 0, "starting": 5, "running": 5}


async def test_it_is_told_once_and_in_time(server: BatchServer, client: BatchClient) -> None:
    """Who is RUNNABLE for longer is told of once, as soon as it is so long; the others are not."""
    loop = asyncio.get_running_loop()
    short, long = (server.add_job(life_cycle=LifeCycle(runnable=seconds, **WAITS)) for seconds in (9, 60))
    told = [(loop.time(), item) async for item in client.watch([short, long], stuck_after=10)]
    stuck = [(at, item) for at, item in told if isinstance(item, JobStuck)]
    assert [(item.job_id, item.reason, item.position) for _, item in stuck] == [(long, None, 1)]
    # A snapshot and a describe later.
    assert stuck[0][0] == pytest.approx(told[0][0] + 10, abs=0.6)
    assert stuck[0][1].seconds == pytest.approx(stuck[0][0] - told[0][0])
    assert (
        repr(stuck[0][1])
        == f"<JobStuck {long}: RUNNABLE for 10 s at position 1 of its queue, no reason given>"
    )


async def test_the_reason_is_the_last_one() -> None:
    """It is what AWS Batch says by then, though the status has not changed."""

    class Blocked(Scripted):
        async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
            body = await super().describe_jobs(job_ids)
            seconds = asyncio.get_running_loop().time()
            return body.replace(b"}]}", b', "statusReason": "CAPACITY: none"}]}') if seconds > 5 else body

    transport: Any = Blocked(a=["RUNNABLE"])
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        async for item in client.watch(["a"], stuck_after=10):
            match item:
                case JobStuck(reason=reason):
                    assert reason == "CAPACITY: none"
                    break
                case JobChange(status=status):
                    assert status == "RUNNABLE"


async def test_a_retry_begins_anew_but_is_told_once() -> None:
    """The time of another attempt counts for itself; a job that was told of is not told of again."""
    states = [*["RUNNABLE"] * 3, "RUNNING", *["1 RUNNABLE"] * 8, "1 RUNNING", *["2 RUNNABLE"] * 8, "FAILED"]
    transport: Any = Scripted(a=states)
    async with make_client(transport, backoff=FixedInterval(2)) as client:
        told = [item async for item in client.watch(["a"], stuck_after=8)]
    kinds = [item.status if isinstance(item, JobChange) else type(item).__name__ for item in told]
    assert kinds == ["RUNNABLE", "RUNNING", "RUNNABLE", "JobStuck", "RUNNING", "RUNNABLE", "FAILED"]


async def test_what_is_outdated_is_not_told(server: BatchServer, client: BatchClient) -> None:
    """A job that runs by the time its user looks is not told of as stuck, nor is one that he has discarded."""
    first, second = (server.add_job(life_cycle=LifeCycle(runnable=30, **WAITS)) for _ in range(2))
    async with client.watch([first, second], stuck_after=10) as changes:
        await asyncio.sleep(5)
        changes.discard(second)
        await asyncio.sleep(10)
        assert len(changes._stream.ready[first]) == 2
        await asyncio.sleep(45)
        items = [item async for item in changes]
    assert [(type(item), item.job_id) for item in items] == [(JobChange, first)]


async def test_arguments(client: BatchClient) -> None:
    """A number of seconds is asked for."""
    with pytest.raises(ValueError, match="stuck_after"):
        client.watch([], stuck_after=math.inf)
    with pytest.raises(TypeError, match="stuck_after"):
        client.watch([], stuck_after="1")  # type: ignore[arg-type]
