"""Lists, and waits for queues and compute environments, over HTTP against BatchServer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval, JobChange, ResourceInvalidError
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from tests.support import ENDED, LONG

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


async def test_lists(session: AioSession) -> None:
    """What comes is what a paginator of aiobotocore gives for all states; a broken page is asked for again."""
    async with (
        BatchServer() as server,
        BatchClient(session=session, **server.client_arguments, max_calls_per_second=100) as client,
    ):
        array = server.add_job(life_cycle=ENDED, array_size=1200, job_queue="arrays")
        for life_cycle in (LONG, ENDED):
            server.add_job(life_cycle=life_cycle)
        pages = client.client.get_paginator("list_jobs").paginate
        theirs = [
            job
            for status in ("RUNNING", "SUCCEEDED")
            async for page in pages(jobQueue="queue", jobStatus=status)
            for job in page["jobSummaryList"]
        ]
        assert [job async for job in client.list_jobs("queue")] == theirs
        server.inject(Fault.RESET_IN_BODY, calls=1, operations=["ListJobs"])
        children = [
            job["jobId"] async for job in client.list_jobs(array_job_id=array, statuses=["SUCCEEDED"])
        ]
        assert children == [f"{array}:{index}" for index in range(1200)]
        async for _ in client.list_jobs(array_job_id=array, statuses=["SUCCEEDED"]):
            break


async def test_a_queue_is_watched(session: AioSession) -> None:
    """Jobs of before and jobs that come are told once each, from two pages of a list, through a broken one."""
    async with (
        BatchServer() as server,
        BatchClient(
            session=session, **server.client_arguments, backoff=FixedInterval(0.2), max_calls_per_second=100
        ) as client,
    ):
        running = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=1.5)
        job_ids = [server.add_job(life_cycle=running) for _ in range(120)]
        ended: list[str] = []
        async with client.watch_queue("queue", since=0, every=0.2) as changes:
            async for item in changes:
                if isinstance(item, JobChange) and item.previous is None and len(job_ids) < 240:
                    job_ids.append(server.add_job(life_cycle=running))
                    if len(job_ids) == 180:
                        server.inject(Fault.RESET_IN_BODY, calls=1, operations=["ListJobs"])
                if isinstance(item, JobChange) and item.status == "SUCCEEDED":
                    ended.append(item.job_id)
                if len(ended) == 240:
                    break
    assert sorted(ended) == sorted(job_ids)


async def test_resources(session: AioSession) -> None:
    """Fifty waits share calls, and each ends as its resource does."""
    async with (
        BatchServer() as server,
        BatchClient(session=session, **server.client_arguments, backoff=FixedInterval(0.2)) as client,
    ):
        for number in range(50):
            server.set_job_queue(
                f"name-{number}", "INVALID" if number == 7 else "VALID", "no role", after=0.5
            )
        server.set_compute_environment("one", None, after=0.3)
        gone = asyncio.create_task(client.wait_for_compute_environment("one", until="DELETED"))
        waits = (client.wait_for_job_queue(f"name-{number}") for number in range(50))
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert await gone == {}
        assert isinstance(ends[7], ResourceInvalidError)
        (theirs,) = (await client.client.describe_job_queues(jobQueues=["name-8"]))["jobQueues"]
        assert ends[8] == theirs
        assert server.statistics.calls["DescribeJobQueues"] <= 10
        with pytest.raises(ResourceInvalidError, match="no role"):
            await client.wait_for_job_queue("name-7")
