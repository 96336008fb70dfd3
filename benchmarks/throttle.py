"""How well the client copes with a limit that it does not know.

The server lets 20 calls a second pass and answers the others with 429. The client may send 100, and 2,000 waits ask for
a check each half a second, which takes 40: there is work for the allowed rate all the time. The jobs end after the
measurement, so that every wait is followed to its end.
"""

from __future__ import annotations

import asyncio
from typing import Final

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import ServerProcess
from benchmarks.report import Figure, Result
from benchmarks.servers import add_running_jobs, arguments_for

ALLOWED: Final = 20.0
"""Calls a second, and calls at once after a pause."""
JOBS: Final = 2000
_INTERVAL: Final = 0.5
_CLIENT_LIMIT: Final = 100.0
_WARM_UP: Final = 10.0
_SECONDS_TO_SPARE: Final = 2.0
"""From the end of the measurement to the first end of a job."""
_SECONDS_FOR_ENDS: Final = 3.0
"""The jobs end within so many seconds once the measurement is over."""


async def measure(*, quick: bool) -> Result:
    """Run it once.

    Args:
        quick: Measure for a shorter time.
    """
    seconds = 12.0 if quick else 60.0
    end = _WARM_UP + seconds + _SECONDS_TO_SPARE
    async with (
        ServerProcess("--rate", str(ALLOWED)) as server,
        BatchClient(
            **arguments_for(server),
            backoff=FixedInterval(_INTERVAL),
            max_calls_per_second=_CLIENT_LIMIT,
        ) as client,
    ):
        # Only now, because their time runs and a client takes some to start.
        job_ids = await add_running_jobs(server, JOBS, running=(end, end + _SECONDS_FOR_ENDS))
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, delay=0)) for job_id in job_ids]
        await asyncio.sleep(_WARM_UP)
        # What the server has seen, because it is the judge of what comes too fast.
        first = await server.control("GET", "statistics")
        await server.control("DELETE", "statistics")
        before = client.statistics()
        await asyncio.sleep(seconds)
        seen = await server.control("GET", "statistics")
        after = client.statistics()
        ended_early = sum(wait.done() for wait in waits)
        ends = await asyncio.gather(*waits, return_exceptions=True)
    calls, throttled = _counts(seen)
    failed = sum(isinstance(end, BaseException) or end["status"] != "SUCCEEDED" for end in ends)
    return Result(
        name="throttle",
        about=f"{JOBS:,} waits, {ALLOWED:g} calls/s allowed, {seconds:g} s after the first {_WARM_UP:g} s",
        figures=[
            Figure(name="waits that failed", value=failed + ended_early, at_most=0),
            Figure(name="throttled", value=100 * throttled / calls, unit="% of calls", at_most=1),
            Figure(
                name="allowed rate used",
                value=100 * (calls - throttled) / (ALLOWED * seconds),
                unit="%",
                # After its first cuts the rate grows slowly, and one cut more takes a quarter of it: the short form
                # sees whether it holds, and not yet how close to the limit it comes.
                at_least=60 if quick else 90,
            ),
            Figure(
                name="ids per call",
                value=(after.jobs_described - before.jobs_described)
                / (after.calls - before.calls - (after.throttled - before.throttled)),
                unit="ids in an answered call",
                at_least=97,
            ),
            Figure(name="throttled in the first ten seconds", value=_counts(first)[1], unit="calls"),
        ],
        quick=quick,
        details={"calls": calls, "throttled": throttled, "seconds": seconds},
    )


def _counts(statistics: dict[str, dict[str, int]]) -> tuple[int, int]:
    """DescribeJobs calls that arrived, and those of them that were throttled."""
    return statistics["calls"].get("DescribeJobs", 0), statistics["throttled"].get("DescribeJobs", 0)
