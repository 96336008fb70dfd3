"""A user's program with mistakes, all of which type checkers find: each line that ends with "typo" has one."""

import awaitbatch
from awaitbatch import BatchClient, JobChange, JobFailedError
from awaitbatch.instrumentation import JobChanged


async def one_job() -> None:
    """Use the client, wrongly."""
    BatchClient(regon_name="eu-west-1")  # typo
    async with BatchClient() as client:
        await client.submit_job(jobName="a", jobQueu="q", jobDefinition="d")  # typo
        await client.submit_job(jobName="a", jobQueue="q")  # typo
        await client.submit_job(jobName="a", jobQueue="q", jobDefinition="d", timeout={"seconds": 5})  # typo
        await client.wait_for_job("id", max_retires=100)  # typo
        job = await client.wait_for_job("id")
        print(job["jobID"])  # typo
        print(job.get("container", {}).get("exitCode", 0) + job["createdAt "])  # typo
        print((await client.describe_jobs(["id"]))["ResponseMetadata"])  # typo
        await client.poll_job_status("id", ["RUNNING", "SUCEEDED"])  # typo
        await client.poll_job_status("id", "SUCEEDED")  # typo


async def many_jobs(client: BatchClient) -> None:
    """Follow jobs, wrongly."""
    await client.wait_for_jobs(["id"], return_when="FIRST_FAIL")  # typo
    client.as_completed(["id"], status_retry=3)  # typo
    client.watch(["id"], stuck_for=60)  # typo
    print((await client.cancel_jobs(["id"], reason="enough")).acepted)  # typo
    async for outcome in client.as_completed(["id"]):
        print(outcome.result()["state"])  # typo
    async for item in client.watch(["id"]):
        print(item.status)  # typo
        if isinstance(item, JobChange):
            print(item.before)  # typo
            print(item.job["stauts"])  # typo


async def shared() -> None:
    """Use shared clients, wrongly."""
    BatchClient.shared(region="eu-west-1")  # typo
    awaitbatch.threads.shared(regon_name="eu-west-1")  # typo
    async with awaitbatch.threads.shared(region_name="eu-west-1") as client:
        await client.wait_for_job("id", max_retires=100)  # typo
        await client.submit_job(jobName="a", jobQueu="q", jobDefinition="d")  # typo
    with awaitbatch.threads.shared(region_name="eu-west-1") as blocking:
        blocking.poll_job_status("id", "SUCEEDED")  # typo
        blocking.wait_for_job("id", time_out=5)  # typo
        blocking.wait_for_jobs(["id"], return_when="FIRST_FAIL")  # typo
        print(blocking.describe("id")["job"])  # typo


def told(change: JobChanged, error: JobFailedError) -> None:
    """Read what came, wrongly."""
    print(change.job["jobname"])  # typo
    print(error.job["exitCode"])  # typo
    print(error.exitcode)  # typo
