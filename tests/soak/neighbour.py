"""One of several programs that share an account: ``python -m tests.soak.neighbour ENDPOINT``, job ids on its input.

It awaits the jobs, checks as often as it can, writes each second what it has done so far, and at last how the waits
ended. When its standard input ends, so does it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from os import _exit
from typing import Any

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import ServerProcess

INTERVAL = 0.05
"""A call of all jobs may go twenty times a second, which is as much as the whole account may send."""


def write(**line: Any) -> None:
    """Write a line of JSON."""
    print(json.dumps(line), flush=True)  # noqa: T201


def end_with_input() -> None:
    """End when whoever started this process does."""
    sys.stdin.read()
    _exit(1)


async def report(client: BatchClient) -> None:
    """Write once a second what was done so far."""
    while True:
        now = client.statistics()
        answered = now.calls - now.throttled - now.failed - now.in_flight
        write(answered=answered, throttled=now.throttled, failed=now.failed, rate=now.rate)
        await asyncio.sleep(1)


async def main() -> None:
    """Await the jobs."""
    arguments: Any = {
        "endpoint_url": sys.argv[1],
        "region_name": ServerProcess().region_name,
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    job_ids = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_input, daemon=True).start()
    async with BatchClient(
        **arguments, backoff=FixedInterval(INTERVAL), max_calls_per_second=100, max_retries=1e9
    ) as client:
        reporting = asyncio.create_task(report(client))
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in job_ids))
        reporting.cancel()
        write(outcomes={job["jobId"]: job["status"] for job in jobs})


if __name__ == "__main__":
    asyncio.run(main())
