"""The whole client against moto's server, which nobody of us wrote."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval, JobFailedError, JobNotFoundError
from awaitbatch.testing import LifeCycle, MotoServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytest.importorskip("moto")


@pytest.fixture
async def moto() -> AsyncIterator[MotoServer]:
    """Have moto's server in a process of its own, with a queue and a job definition."""
    async with MotoServer() as running:
        yield running


async def test_the_whole_client(moto: MotoServer) -> None:
    """Jobs go through their states to the end that was chosen for them, and every method works."""
    async with BatchClient(**moto.client_arguments, backoff=FixedInterval(0.3)) as client:

        async def submit(life_cycle: LifeCycle) -> str:
            answer = await client.submit_job(
                jobName="job",
                jobQueue=moto.job_queue,
                jobDefinition=moto.job_definition,
                parameters=life_cycle.to_parameters(),
            )
            job_id: str = answer["jobId"]
            return job_id

        good = [await submit(LifeCycle(running=0.5 + number / 20)) for number in range(10)]
        bad = [
            await submit(LifeCycle(running=0.5, outcome="FAILED", status_reason="it broke")) for _ in range(3)
        ]
        endless = await submit(LifeCycle(running=1e6))

        running = await client.poll_for_job_running(endless, 0)
        assert running["status"] == "RUNNING"
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in [*good, *bad]))
        assert [job["status"] for job in jobs] == ["SUCCEEDED"] * 10 + ["FAILED"] * 3
        assert await client.poll_job_status(good[0], ["SUCCEEDED"])
        assert await client.check_job_success(good[0])
        with pytest.raises(JobFailedError, match="it broke"):
            await client.check_job_success(bad[0])
        theirs = (await client.client.describe_jobs(jobs=good[:3]))["jobs"]
        ours = (await client.describe_jobs(good[:3]))["jobs"]
        assert sorted(ours, key=str) == sorted(theirs, key=str)
        info = await client.get_job_awslogs_info(good[0])
        assert info is None or info["awslogs_group"] == "/aws/batch/job"
        await client.terminate_job(endless, "enough")
        assert (await client.poll_for_job_complete(endless, 0))["status"] == "FAILED"
        with pytest.raises(JobNotFoundError):
            await client.poll_for_job_complete("ghost", 0, status_retries=2)
        ends = await moto.ended()
        assert set(ends) == {*good, *bad, endless}
