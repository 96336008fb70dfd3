"""awaitbatch: a task a job, on asyncio's loop or on uvloop."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from awaitbatch import BatchClient, FixedInterval
from benchmarks.peers.contestants.harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

_CALLS_PER_SECOND = 50.0
"""Room for 5,000 jobs at 5 s, which are 10 to 20 calls a second; the default is 10."""
_MAX_IDS_PER_CALL = 100
_LITTLE = 1.0
"""Seconds between checks; so few that the rate alone decides when the next one is."""


def _client(harness: Harness, endpoint_url: str) -> BatchClient:
    if harness.interval is None:
        return BatchClient(endpoint_url=endpoint_url)
    if harness.settings.get("steady"):
        # As many calls as one check of each job takes, at that rate from the beginning to the end.
        rate = harness.jobs / _MAX_IDS_PER_CALL / harness.interval
        return BatchClient(
            endpoint_url=endpoint_url, backoff=FixedInterval(_LITTLE), max_calls_per_second=rate
        )
    return BatchClient(
        endpoint_url=endpoint_url,
        backoff=FixedInterval(harness.interval),
        max_calls_per_second=_CALLS_PER_SECOND,
    )


async def _race(harness: Harness) -> None:
    # Usually one server; with several, each gets every n-th job.
    endpoint_urls = harness.settings.get("endpoint_urls", [harness.endpoint_url])
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(_client(harness, url)) for url in endpoint_urls]
        client_of = dict(zip(harness.start_on_loop(), itertools.cycle(clients), strict=False))

        def wait(job_id: str) -> Coroutine[Any, Any, JobDetailTypeDef]:
            if harness.interval is None:
                return client_of[job_id].wait_for_job(job_id)
            return client_of[job_id].poll_for_job_complete(job_id, delay=0)

        await harness.task_each(wait, outcome=lambda job: str(job["status"]))
        harness.finish()


def main() -> None:
    """Run the race on the loop that is ordered."""
    harness = Harness("awaitbatch", "aiobotocore", "botocore", "aiohttp", "anyio", "msgspec", "uvloop")
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if harness.settings.get("loop") == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_race(harness))


if __name__ == "__main__":
    main()
