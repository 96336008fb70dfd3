"""The baseline: an event loop that waits for no job, which shows what the harness itself costs a contestant."""

from __future__ import annotations

import asyncio

from benchmarks.peers.contestants.harness import Harness


async def _race(harness: Harness) -> None:
    harness.start_on_loop()
    await asyncio.sleep(harness.settings["longest_job"])
    harness.finish()


if __name__ == "__main__":
    asyncio.run(_race(Harness()))
