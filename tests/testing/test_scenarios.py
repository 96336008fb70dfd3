"""Whole situations in one line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from awaitbatch.testing import Fault, LifeCycleRanges, scenarios

if TYPE_CHECKING:
    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

pytestmark = pytest.mark.virtual_time

MINUTES = LifeCycleRanges(running=(60, 120), failing=1)


async def test_a_herd_of_which_a_share_fails(batch_server: BatchServer, batch_client: BatchClient) -> None:
    """Exactly that share fails, and the same jobs as in each other herd of that seed."""
    herd = scenarios.herd(batch_server, 200, failing=0.05, life_cycle=MINUTES, job_queue="herds")
    assert (len(herd.job_ids), len(herd.failing)) == (200, 10)
    results = await batch_client.wait_for_jobs(herd.job_ids)
    assert [*results.failed] == herd.failing
    assert len(results.succeeded) == 190
    assert 60 <= min(batch_server.ended().values()) <= max(batch_server.ended().values()) < 125
    names = [job["jobName"] async for job in batch_client.list_jobs("herds", statuses=["FAILED"])]
    others = [scenarios.herd(batch_server, 200, failing=0.05, seed=seed) for seed in (0, 1)]
    same, different = ([other.job_ids.index(job_id) for job_id in other.failing] for other in others)
    assert sorted(f"job-{number}" for number in same) == sorted(names)
    assert same != different


@pytest.mark.parametrize("failing", [-0.1, 1.1, float("nan")])
async def test_a_share_that_is_none(batch_server: BatchServer, failing: float) -> None:
    """It is refused, and no job is added."""
    with pytest.raises(ValueError, match="failing is a share from 0 to 1"):
        scenarios.herd(batch_server, 10, failing=failing)
    assert "0 jobs" in repr(batch_server)


async def test_a_throttled_account(batch_server: BatchServer, batch_client: BatchClient) -> None:
    """No second has more good answers than the limit and what was saved for a burst, and all waits end."""
    herd = scenarios.herd(batch_server, 1000, life_cycle=MINUTES)
    scenarios.throttled_account(batch_server, 2, burst=1)
    results = await batch_client.wait_for_jobs(herd.job_ids)
    assert len(results.succeeded) + len(results.failed) == 1000
    statistics = batch_server.statistics
    assert statistics.answered["DescribeJobs"] <= 1 + 2 * asyncio.get_running_loop().time()
    assert statistics.throttled["DescribeJobs"] > 0
    with pytest.raises(ValueError, match="lets no call pass"):
        scenarios.throttled_account(batch_server, 5, burst=0)


async def test_an_outage(batch_server: BatchServer, batch_client: BatchClient) -> None:
    """Nobody reaches the server while it lasts, and it ends by itself; the waits go on."""
    herd = scenarios.herd(batch_server, 100, life_cycle=MINUTES)
    rule = scenarios.outage(batch_server, 300, after=10)
    assert (rule.fault, rule.begin, rule.end) == (Fault.CONNECTION_REFUSED, 10, 310)
    await asyncio.sleep(10)
    assert batch_server.is_down
    results = await batch_client.wait_for_jobs(herd.job_ids)
    assert (len(results.succeeded), len(results.errors)) == (100, 0)
    assert rule.hits > 0
    assert asyncio.get_running_loop().time() > 310
    with pytest.raises(ValueError, match="begin must be before end"):
        scenarios.outage(batch_server, 0)
