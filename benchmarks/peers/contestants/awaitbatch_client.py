"""awaitbatch: a task a job, on asyncio's loop or on uvloop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from awaitbatch import BatchClient, FixedInterval
from benchmarks.peers.contestants.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS_PER_SECOND = 50.0
"""Room for 5,000 jobs at 5 s, which are 10 to 20 calls a second; the default is 10."""


async def _race(lane: Lane) -> None:
    if lane.interval is None:
        client = BatchClient()
    else:
        client = BatchClient(backoff=FixedInterval(lane.interval), max_calls_per_second=_CALLS_PER_SECOND)
    async with client:
        lane.start_on_loop()
        if lane.interval is None:
            await lane.task_each(client.wait_for_job)
        else:
            await lane.task_each(lambda job_id: client.poll_for_job_complete(job_id, delay=0))
        lane.finish()


def main() -> None:
    """Run the race on the loop that is ordered."""
    lane = Lane("awaitbatch", "aiobotocore", "botocore", "aiohttp", "anyio", "msgspec", "uvloop")
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if lane.order.get("loop") == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_race(lane))


if __name__ == "__main__":
    main()
