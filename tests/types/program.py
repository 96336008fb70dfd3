"""A user's program, in which type checkers find nothing: it only has to be checked, and is never run."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Unpack, assert_type

from types_aiobotocore_batch.type_defs import (
    JobDetailTypeDef,
    SubmitJobRequestTypeDef,
    SubmitJobResponseTypeDef,
)

import awaitbatch
from awaitbatch import (
    BatchClient,
    BatchProtocol,
    BulkResult,
    DescribeError,
    FixedInterval,
    JobChange,
    JobDescriptions,
    JobFailedError,
    JobProgress,
    JobResults,
    JobsFailedError,
    JobStatus,
    JobStuck,
    JobTrouble,
    MatchStatus,
    ReturnWhen,
    WaitLimits,
    WatchItem,
)
from awaitbatch.instrumentation import Event, JobChanged, OpenTelemetryObserver, PrometheusObserver

HELLO: SubmitJobRequestTypeDef = {"jobName": "hello", "jobQueue": "queue", "jobDefinition": "hello:1"}


async def one_job() -> None:
    """Submit a job and wait for it."""
    async with BatchClient(region_name="eu-west-1", observers=[observe]) as client:
        assert_type(client, BatchClient)
        submitted = await client.submit_job(**HELLO)
        assert_type(submitted, SubmitJobResponseTypeDef)
        job = await client.wait_for_job(submitted["jobId"], on_change=note, max_retries=100)
        assert_type(job, JobDetailTypeDef)
        print(job["status"], job.get("stoppedAt"), job.get("container", {}).get("exitCode"))
        assert_type(await client.describe_jobs([job["jobId"]]), JobDescriptions)
        assert_type(await client.job_progress(job["jobId"]), JobProgress)


async def measured() -> None:
    """Give a client observers that make metrics, and ask it for its own."""
    async with BatchClient(
        observers=[observe, OpenTelemetryObserver(queue=True), PrometheusObserver()]
    ) as client:
        assert_type(client.statistics().pending_by_status["RUNNING"], int)


async def statuses(client: BatchClient, job_id: str, job: JobDetailTypeDef) -> None:
    """Wait for statuses, whatever they come as."""
    await client.poll_job_status(job_id, "RUNNING")
    await client.poll_job_status(job_id, ["SUCCEEDED", JobStatus.FAILED])
    await client.poll_job_status(job_id, {JobStatus(text) for text in sys.argv[1:]})
    await client.poll_job_status(job_id, [job["status"]])
    await client.poll_job_status(job_id, BatchClient.INTERMEDIATE_STATES)


async def requests(client: BatchClient, members: dict[str, Any]) -> None:
    """Submit jobs with requests that are put together."""
    tagged: SubmitJobRequestTypeDef = {**HELLO, "tags": {"team": "blue"}}
    await client.submit_job(**tagged)
    await client.submit_job(**members)
    await client.submit_job(**members, jobName="another")
    answer = await client.client.submit_job(**HELLO)
    print(BatchClient.parse_job_description(answer["jobId"], await client.client.describe_jobs(jobs=["id"])))


async def job_ids(client: BatchClient) -> AsyncIterator[str]:
    """Submit, while others follow."""
    for _ in range(10):
        yield (await client.submit_job(**HELLO))["jobId"]


async def many_jobs(client: BatchClient) -> None:
    """Follow many jobs."""
    async for outcome in client.as_completed(job_ids(client), backoff=FixedInterval(5)):
        print(outcome.job_id, outcome.error or outcome.status)
        assert_type(outcome.job, JobDetailTypeDef | None)
        assert_type(outcome.result(), JobDetailTypeDef)
    async with client.watch(keep_open=True, stuck_after=60) as changes:
        changes.add("id")
        async for item in changes:
            match item:
                case JobChange(job_id=job_id, status="FAILED"):
                    print(job_id, item.job.get("statusReason"))
                case JobChange(job_id, previous, status):
                    assert_type((job_id, previous, status), tuple[str, str | None, str])
                case JobTrouble(job_id, error):
                    print(job_id, error)
                case JobStuck(reason=reason):
                    print(reason)
    async with client.watch_queue("queue", since=datetime.now(UTC), status_retries=3) as changes:
        assert_type(await anext(changes), WatchItem)
    results = await client.wait_for_jobs(["id"], return_when="FIRST_FAILED", timeout=60)
    assert_type(results, JobResults)
    print({job_id: outcome.status for job_id, outcome in results.items()}, list(results.pending))
    try:
        results.raise_for_failures()
    except JobFailedError as error:
        print(error.cause, error.exit_code, error.job["jobName"])
        print([attempt.get("statusReason") for attempt in error.attempts])
    except JobsFailedError as error:
        print(error, len(error.exceptions))
    except awaitbatch.errors.JobNotFoundError as error:
        print(error.job_id)


async def in_bulk(client: BatchClient, requests: list[SubmitJobRequestTypeDef]) -> None:
    """Submit and end many jobs."""
    async for submission in client.submit_jobs(requests):
        print(submission.index, submission.request["jobName"], submission.error)
        assert_type(submission.result(), str)
    ended = await client.terminate_jobs(["id"], "enough")
    assert_type(ended, BulkResult)
    print(ended.accepted, ended.errors)
    ended.raise_for_errors()


async def of_mine(
    client: BatchProtocol,
    match_status: MatchStatus = "SUCCEEDED",
    return_when: ReturnWhen = "ALL_COMPLETED",
    **limits: Unpack[WaitLimits],
) -> JobDetailTypeDef:
    """Hand on what a wait takes."""
    await client.poll_job_status("id", match_status, **limits)
    await client.wait_for_jobs(["id"], return_when=return_when, **limits)
    return await client.wait_for_job("id", **limits)


async def shared() -> None:
    """Share a client on one event loop, and on any."""
    async with BatchClient.shared(region_name="eu-west-1", linger=5) as client:
        assert_type(client, BatchClient)
        assert_type(await of_mine(client), JobDetailTypeDef)
    async with awaitbatch.threads.shared(region_name="eu-west-1") as other:
        assert_type(other, awaitbatch.threads.AwaitableClient)
        assert_type(await other.submit_job(**HELLO), SubmitJobResponseTypeDef)
        assert_type(await other.wait_for_job("id", max_retries=3), JobDetailTypeDef)


def blocking() -> None:
    """Share it from synchronous code."""
    with awaitbatch.threads.shared(region_name="eu-west-1") as client:
        assert_type(client, awaitbatch.threads.BlockingClient)
        assert_type(client.submit_job(**HELLO), SubmitJobResponseTypeDef)
        assert_type(client.describe("id"), JobDetailTypeDef)
        assert_type(client.poll_job_status("id", "FAILED", timeout=5), bool)
        assert_type(client.wait_for_jobs(["id"], timeout=5), JobResults)
        assert_type(client.run(lambda inner: inner.wait_for_jobs(["id"])), JobResults)


def observe(event: Event) -> None:
    """Hear of all events."""
    match event:
        case JobChanged(job_id=job_id, status=status):
            print(job_id, status, event.job["jobQueue"], event.progress)
        case _:
            pass


def note(change: JobChanged) -> None:
    """Hear of the changes of one job."""
    print(change.job["jobName"], change.job["status"])


if __name__ == "__main__":
    try:
        asyncio.run(one_job())
    except DescribeError as trouble:
        sys.exit(f"{trouble.code} {trouble.http_status}")
