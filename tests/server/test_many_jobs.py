"""Many jobs at once over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from awaitbatch import BatchClient, FixedInterval, JobChange, JobStatus, JobStuck
from awaitbatch.testing import BatchServer, LifeCycle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiobotocore.session import AioSession


async def test_submit_follow_and_stop(session: AioSession) -> None:
    """Jobs that a generator submits are followed, and what is left is terminated when one fails."""
    async with BatchServer(default_life_cycle=LifeCycle(running=1e6)) as server:
        async with BatchClient(
            session=session, **server.client_arguments, backoff=FixedInterval(0.2)
        ) as client:

            async def submit() -> AsyncIterator[str]:
                for number in range(8):
                    fails = LifeCycle(running=0.1, outcome="FAILED", exit_code=3).to_parameters()
                    job = await client.submit_job(
                        jobName=f"job-{number}",
                        jobQueue="queue",
                        jobDefinition="definition",
                        parameters=fails if number == 2 else {},
                    )
                    yield job["jobId"]

            results = await client.wait_for_jobs(
                submit(), return_when="FIRST_FAILED", terminate_on_exit="a sibling failed"
            )
        assert len(results.failed) == 1
        assert results.not_terminated == {}
        await asyncio.sleep(0.1)
        assert {server.status_of(job_id) for job_id in results} == {JobStatus.FAILED}


async def test_changes_of_an_array(session: AioSession) -> None:
    """An array and its children are watched to their ends, with few calls."""
    async with BatchServer() as server:
        array = server.add_job(life_cycle=LifeCycle(running=0.5), array_size=150)
        async with BatchClient(
            session=session, **server.client_arguments, backoff=FixedInterval(0.2)
        ) as client:
            items = [item async for item in client.watch([array], children=True)]
        last = {item.job_id: item.status for item in items if isinstance(item, JobChange)}
        assert len(last) == 151
        assert set(last.values()) == {"SUCCEEDED"}
        assert server.statistics.calls["DescribeJobs"] < 60


async def test_stuck_jobs(session: AioSession) -> None:
    """A real client's GetJobQueueSnapshot gives positions, and the first job of the queue the reason."""
    async with BatchServer(default_life_cycle=LifeCycle(submitted=0, pending=0, runnable=1e6)) as server:
        _, second = server.add_job(), server.add_job()
        server.block_queue("queue", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
        async with (
            BatchClient(session=session, **server.client_arguments, backoff=FixedInterval(0.2)) as client,
            client.watch([second], stuck_after=0.3) as changes,
        ):
            assert isinstance(await anext(changes), JobChange)
            stuck = await anext(changes)
        assert isinstance(stuck, JobStuck)
        assert (stuck.job_id, stuck.position) == (second, 2)
        assert stuck.reason == "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
