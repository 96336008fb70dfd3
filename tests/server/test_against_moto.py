"""The whole client against moto's server, which nobody of us wrote."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from awaitbatch import (
    CallError,
    FixedInterval,
    JobChange,
    JobFailedError,
    JobNotCompleteError,
    JobNotFoundError,
    JobStuck,
    ResourceNotFoundError,
)
from awaitbatch.testing import LifeCycle, MotoServer
from tests.support import Fetcher, PromptClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiobotocore.session import AioSession

    from awaitbatch import BatchClient

pytest.importorskip("moto")

SHORT = LifeCycle(submitted=0.1, pending=0.1, runnable=0.1, starting=0.1, running=0.5)
WAITING = LifeCycle(runnable=1e6)
ENDLESS = LifeCycle(running=1e6)


@pytest.fixture
def moto(moto_batch_server: MotoServer) -> MotoServer:
    """The server that all tests share: each has jobs of its own."""
    return moto_batch_server


@pytest.fixture
async def client(moto: MotoServer, session: AioSession) -> AsyncIterator[BatchClient]:
    """A client of it that checks often."""
    async with PromptClient(
        session=session,
        **moto.client_arguments,
        backoff=FixedInterval(0.3),
        status_retries=2,
        max_calls_per_second=100,
    ) as opened:
        yield opened


async def submit(client: BatchClient, moto: MotoServer, life_cycle: LifeCycle, **more: Any) -> str:
    """Submit a job through the client, for its id."""
    answer = await client.submit_job(
        jobName="job",
        jobQueue=moto.job_queue,
        jobDefinition=moto.job_definition,
        parameters=life_cycle.to_parameters(),
        **more,
    )
    job_id: str = answer["jobId"]
    return job_id


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the client has warned of."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "awaitbatch" and record.levelno >= logging.WARNING
    ]


async def test_waits(moto: MotoServer, client: BatchClient) -> None:
    """Jobs go through their states to the end that was chosen for them, each awaited in a task of its own."""
    good = [await submit(client, moto, replace(SHORT, running=0.5 + number / 20)) for number in range(10)]
    broken = replace(SHORT, outcome="FAILED", status_reason="it broke")
    bad = [await submit(client, moto, broken) for _ in range(3)]
    endless = await submit(client, moto, ENDLESS)
    jobs = await asyncio.gather(*(client.wait_for_job(job_id) for job_id in [*good, *bad]))
    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * 10 + ["FAILED"] * 3
    assert await client.poll_job_status(good[0], ["SUCCEEDED"])
    assert await client.check_job_success(good[0])
    with pytest.raises(JobFailedError, match="it broke"):
        await client.check_job_success(bad[0])
    with pytest.raises(JobNotFoundError, match="never seen"):
        await client.poll_for_job_complete("ghost")
    ended = await moto.ended()
    assert ended.keys() >= {*good, *bad}
    assert endless not in ended


async def test_descriptions_and_ends(
    moto: MotoServer, client: BatchClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A job before it runs, and one that runs, are described as botocore does it, have no log or success, and can be
    ended.
    """
    waiting = await submit(client, moto, WAITING)
    running = await submit(client, moto, ENDLESS)
    assert await client.poll_job_status(waiting, ["RUNNABLE"])
    assert (await client.poll_for_job_running(running))["status"] == "RUNNING"

    theirs = (await client.client.describe_jobs(jobs=[waiting, running]))["jobs"]
    assert sorted((await client.describe_jobs([waiting, running]))["jobs"], key=str) == sorted(
        theirs, key=str
    )
    assert await client.describe(waiting) in theirs
    assert await client.get_job_description(running) in theirs
    assert await client.get_job_awslogs_info(waiting) is None
    assert await client.get_job_all_awslogs_info(waiting) == []
    assert ["no log stream yet" in line and "RUNNABLE" in line for line in warnings(caplog)] == [True] * 2
    for job_id in (waiting, running):
        with pytest.raises(JobNotCompleteError):
            await client.check_job_success(job_id)

    await client.cancel_job(waiting, "not needed")
    await client.terminate_job(running, "enough")
    for job_id, reason in ((waiting, "not needed"), (running, "enough")):
        assert (await client.poll_for_job_complete(job_id))["status"] == "FAILED"
        with pytest.raises(JobFailedError, match=reason):
            await client.check_job_success(job_id)
    with pytest.raises(ClientError):
        await client.submit_job(jobName="job", jobQueue="no-queue", jobDefinition="no-definition")


async def test_a_retried_job_with_a_fetcher(moto: MotoServer, client: BatchClient) -> None:
    """A job that fails twice has two attempts and a log; its fetcher is started, stopped and joined."""
    fetcher = Fetcher()
    life_cycle = replace(SHORT, attempts=2, outcome="FAILED", exit_code=3)
    job_id = await submit(client, moto, life_cycle, retryStrategy={"attempts": 2})
    job = await client.wait_for_job(job_id, get_batch_log_fetcher=lambda _: fetcher)
    assert (job["status"], len(job["attempts"])) == ("FAILED", 2)
    assert fetcher.calls == ["start", "stop", "join"]
    infos = await client.get_job_all_awslogs_info(job_id)
    assert infos
    assert {(info["awslogs_group"], info["awslogs_region"]) for info in infos} == {
        ("/aws/batch/job", moto.client_arguments["region_name"])
    }
    assert await client.get_job_awslogs_info(job_id) == infos[-1]


async def test_a_stuck_job(moto: MotoServer, client: BatchClient, caplog: pytest.LogCaptureFixture) -> None:
    """A job that is stuck is told of without a position, and without a WARNING: moto has no GetJobQueueSnapshot."""
    waiting = await submit(client, moto, WAITING)
    async with client.watch([waiting], stuck_after=0.1) as changes:
        async for item in changes:
            if isinstance(item, JobStuck):
                assert (item.job_id, item.position) == (waiting, None)
                break
    assert warnings(caplog) == []
    await client.terminate_job(waiting, "enough")


async def test_an_array(moto: MotoServer, client: BatchClient, caplog: pytest.LogCaptureFixture) -> None:
    """An array and its children can be awaited; the array itself has no log."""
    array = await submit(client, moto, SHORT, arrayProperties={"size": 3})
    ended = await asyncio.gather(client.wait_for_job(array), client.wait_for_job(f"{array}:1"))
    assert [(job["jobId"], job["status"]) for job in ended] == [
        (array, "SUCCEEDED"),
        (f"{array}:1", "SUCCEEDED"),
    ]
    assert await client.get_job_awslogs_info(array) is None
    assert ["it is an array job" in line for line in warnings(caplog)] == [True]


async def test_many_jobs(moto: MotoServer, client: BatchClient, caplog: pytest.LogCaptureFixture) -> None:
    """Many are submitted, and ended by single calls, since moto has no others; nobody is warned of that."""
    request = {
        "jobName": "job",
        "jobQueue": moto.job_queue,
        "jobDefinition": moto.job_definition,
        "parameters": ENDLESS.to_parameters(),
    }
    job_ids = [item.result() async for item in client.submit_jobs([request] * 8)]
    for end in (client.cancel_jobs, client.terminate_jobs):
        assert (await end(job_ids, "enough")).accepted == tuple(job_ids)
    results = await client.wait_for_jobs(job_ids)
    assert len(results.failed) == 8
    assert warnings(caplog) == []


async def test_lists_queues_and_waiters(moto: MotoServer, client: BatchClient) -> None:
    """Jobs are listed whatever their state, also by name and by their parent; a queue that is there is VALID."""
    jobs = [await submit(client, moto, life_cycle) for life_cycle in (WAITING, ENDLESS)]
    array = await submit(client, moto, ENDLESS, arrayProperties={"size": 3})
    await client.poll_job_status(jobs[1], ["RUNNING"])
    listed = {job["jobId"]: job["status"] async for job in client.list_jobs(moto.job_queue)}
    assert listed.keys() >= {*jobs, array}
    assert {listed[job_id] for job_id in jobs} <= {"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"}
    running = [job["jobId"] async for job in client.list_jobs(moto.job_queue, statuses=["RUNNING"])]
    assert jobs[1] in running
    assert jobs[0] not in running
    named = client.list_jobs(moto.job_queue, filters=[{"name": "JOB_NAME", "values": ["nobody*"]}])
    assert [job async for job in named] == []
    children = [job["jobId"] async for job in client.list_jobs(array_job_id=array)]
    assert sorted(children) == [f"{array}:{index}" for index in range(3)]
    with pytest.raises(CallError, match=r"\(no-queue\): its jobs could not be listed: .*; check its name"):
        await anext(client.list_jobs("no-queue"))
    queue = await client.wait_for_job_queue(moto.job_queue)
    assert queue["status"] == "VALID"
    (environment,) = queue["computeEnvironmentOrder"]
    assert (await client.wait_for_compute_environment(environment["computeEnvironment"]))["status"] == "VALID"
    with pytest.raises(ResourceNotFoundError):
        await client.wait_for_job_queue("no-queue", status_retries=1)
    assert await client.wait_for_job_queue("no-queue", until="DELETED") == {}
    waiter = client.get_waiter("job_complete")
    good, bad = (
        await submit(client, moto, SHORT),
        await submit(client, moto, replace(SHORT, outcome="FAILED")),
    )
    (job,) = (await waiter.wait(jobs=[good], WaiterConfig={"Delay": 0.5}))["jobs"]
    assert job["status"] == "SUCCEEDED"
    with pytest.raises(WaiterError, match="terminal failure state"):
        await waiter.wait(jobs=[good, bad], WaiterConfig={"Delay": 0.5})
    for job_id in [*jobs, array]:
        await client.terminate_job(job_id, "enough")


async def test_streams_and_bulk(client: BatchClient, moto: MotoServer) -> None:
    """Streams, results and submissions in bulk work with moto, which lacks bulk terminations."""
    failing = replace(SHORT, outcome="FAILED", exit_code=3)
    lives = [SHORT] * 5 + [failing, ENDLESS]
    requests = [
        {
            "jobName": f"job-{number}",
            "jobQueue": moto.job_queue,
            "jobDefinition": moto.job_definition,
            "parameters": life.to_parameters(),
        }
        for number, life in enumerate(lives)
    ]
    ids = {submission.index: submission.result() async for submission in client.submit_jobs(requests)}
    ended = [outcome async for outcome in client.as_completed([ids[number] for number in range(6)])]
    assert {outcome.job_id: outcome.status for outcome in ended}[ids[5]] == "FAILED"
    assert [outcome.status for outcome in ended].count("SUCCEEDED") == 5
    async with client.watch([ids[6]], terminate_on_exit="enough") as changes:
        async for item in changes:
            if isinstance(item, JobChange) and item.status == "RUNNING":
                break
    results = await client.wait_for_jobs(ids.values(), timeout=10)
    assert len(results.succeeded) == 5
    with pytest.raises(JobFailedError, match="exit code 3"):
        results[ids[5]].result()
