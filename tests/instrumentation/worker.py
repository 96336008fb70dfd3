"""A process of a service with several: it has awaited a job, awaits another, and ends when its input does."""

from __future__ import annotations

import asyncio
import sys

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.instrumentation import PrometheusObserver
from awaitbatch.testing import BatchServer
from tests.support import ENDED, LONG


async def _main() -> None:
    server = BatchServer()
    async with BatchClient(
        transport=server.transport(), backoff=FixedInterval(0.05), observers=[PrometheusObserver()]
    ) as client:
        await client.poll_for_job_complete(server.add_job(life_cycle=ENDED), 0)
        wait = asyncio.create_task(client.poll_for_job_complete(server.add_job(life_cycle=LONG), 0))
        while client.statistics().pending_by_status != {"RUNNING": 1}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        wait.cancel()


if __name__ == "__main__":
    asyncio.run(_main())
