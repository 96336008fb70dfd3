"""Nobody: an event loop that waits for no job, and so shows what the harness itself costs a contestant."""

from __future__ import annotations

import asyncio

from benchmarks.peers.contestants.lane import Lane


async def _race(lane: Lane) -> None:
    lane.start_on_loop()
    await asyncio.sleep(lane.order["longest_job"])
    lane.finish()


if __name__ == "__main__":
    asyncio.run(_race(Lane()))
