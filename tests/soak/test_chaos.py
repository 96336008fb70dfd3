"""For the whole run a fifth of all calls fails over real sockets, in all the ways that a wait survives."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import Fault, ServerProcess
from tests.support import lasting
from tests.survival.support import SURVIVED, count_ends, fault_shares, lives_at_random, wait_for_all

from .support import add_jobs, recorded_outcomes, refreshing_session

if TYPE_CHECKING:
    from .support import Report, Reporting


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much; outages as seconds from the start.

    Attributes:
        jobs: How many jobs.
        running: Least and most seconds in RUNNING, for each attempt.
        each_until: Until when every fault has befallen a call at least once.
        outages: When the server is gone.
    """

    jobs: int
    running: tuple[float, float]
    each_until: float
    outages: tuple[tuple[float, float], ...]


LONG = Plan(jobs=5000, running=(5, 20), each_until=60, outages=((15, 20), (50, 75)))
SHORT = Plan(jobs=2000, running=(2, 6), each_until=25, outages=((10, 14), (25, 37)))


@pytest.mark.soak
async def test_every_wait_ends_with_the_truth(
    monkeypatch: pytest.MonkeyPatch, report: Report, reporting: Reporting
) -> None:
    """Of 5,000 jobs, retries among them, each wait ends once, with the outcome on record, and not before it."""
    plan = LONG if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop) else SHORT
    random = Random(1)
    counts = count_ends(monkeypatch)
    async with ServerProcess("--seed", "1") as server:
        job_ids = await add_jobs(server, [lives_at_random(random, *plan.running) for _ in range(plan.jobs)])
        for fault, probability in fault_shares(0.2):
            often = {"fault": fault, "probability": probability, **lasting(fault, 40)}
            await server.control("POST", "faults", often)
        # Each at least once, however chance has it.
        for fault in SURVIVED:
            once = {"fault": fault, "calls": 1, "begin": random.uniform(0, plan.each_until)}
            await server.control("POST", "faults", once | lasting(fault, 40))
        for begin, end in plan.outages:
            outage = {"fault": Fault.CONNECTION_REFUSED, "begin": begin, "end": end}
            await server.control("POST", "faults", outage)
        async with BatchClient(
            endpoint_url=server.endpoint_url,
            region_name=server.region_name,
            session=refreshing_session(),
            backoff=FixedInterval(2),
            max_calls_per_second=50,
            call_timeout=5,
        ) as client:

            def state() -> str:
                now = client.statistics()
                return (
                    f"{now.pending} of {plan.jobs} jobs awaited, {now.calls} calls, {now.failed} failed and "
                    f"{now.throttled} throttled, now {now.rate:.1f} calls/s"
                )

            async with reporting(state):
                ends = await wait_for_all(client, job_ids, time.time, delay=0)
            numbers = client.statistics()
        at_random = (await server.control("GET", "faults"))[: len(SURVIVED)]
        await server.control("DELETE", "faults")
        outcomes = await recorded_outcomes(server, job_ids)
        ended = await server.ended()
        seen_by_server = await server.control("GET", "statistics")

    late = [end.at - ended[job_id] for job_id, end in ends.items()]
    hit = seen_by_server["faults"]
    arrived = seen_by_server["calls"]["DescribeJobs"] - len(job_ids) / 100
    share = sum(rule["hits"] for rule in at_random) / arrived
    report(
        f"{plan.jobs} waits ended, {statistics.median(late):.1f} s after their jobs (median), {max(late):.1f} s at "
        f"most; {numbers.calls} calls of {numbers.ids_per_call:.0f} jobs, {numbers.calls - arrived:.0f} of them while "
        f"the server was gone; of the others {share:.0%} failed by chance; in all {hit}"
    )
    wrong = {
        job_id: (end, outcomes[job_id], ended[job_id])
        for job_id, end in ends.items()
        if end.outcome != outcomes[job_id] or end.at < ended[job_id]
    }
    assert not wrong, f"{len(wrong)} of {len(ends)} waits: {[*wrong.items()][:3]}"
    assert set(counts.values()) == {1}
    # Each wait checks for the start, and unless that showed the end, for the end.
    assert plan.jobs <= len(counts) <= 2 * plan.jobs
    assert (numbers.pending, numbers.in_flight) == (0, 0)
    assert set(SURVIVED) <= hit.keys()
    assert 0.1 < share < 0.35
