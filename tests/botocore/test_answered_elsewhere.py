"""Answers that do not come from AWS, as those of botocore's Stubber."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.session import get_session
from botocore.stub import Stubber

from awaitbatch import BatchClient, DescribeError, SubmitUncertainError
from awaitbatch.instrumentation import CallEnded, Event
from tests.support import until

JOB: dict[str, Any] = {
    "jobName": "n",
    "jobId": "j",
    "jobQueue": "q",
    "status": "RUNNING",
    "startedAt": 1,
    "jobDefinition": "d",
}
SETTINGS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "none",
    "aws_secret_access_key": "none",
}


async def test_a_stubbed_client() -> None:
    """A lent client may have its answers from a Stubber, which compares parameters and never asks for a body."""
    async with get_session().create_client("batch", **SETTINGS) as lent, BatchClient(client=lent) as client:
        with Stubber(lent) as stubber:
            stubber.add_response("describe_jobs", {"jobs": [JOB]}, {"jobs": ["j"]})
            assert await client.describe("j") == JOB
            for _ in range(4):
                stubber.add_client_error("describe_jobs", "AccessDeniedException", "no", 403)
            with pytest.raises(DescribeError, match="no; allow batch:DescribeJobs"):
                await client.describe("j")
            stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("list_jobs", {"jobSummaryList": 5}),
        ("list_jobs", {"jobSummaryList": [{"jobId": "j", "createdAt": "yesterday"}]}),
        ("list_jobs", {"jobSummaryList": [7]}),
        ("wait_for_job_queue", {"jobQueues": [7]}),
        ("wait_for_job_queue", {"jobQueues": [{"computeEnvironmentOrder": 5}]}),
        ("terminate_jobs", {"successful": 5}),
        ("terminate_jobs", {"errors": [5]}),
    ],
)
async def test_an_answer_of_another_form(operation: str, body: dict[str, Any]) -> None:
    """It makes botocore fail in many ways, and each means that the answer cannot be read, and may do so next time."""
    failures: list[Event] = []

    async def answer(request: Any, **_: object) -> AioAWSResponse:
        return AioAWSResponse(request.url, 200, {}, Raw(json.dumps(body).encode()))

    async with (
        get_session().create_client("batch", **SETTINGS) as lent,
        BatchClient(client=lent, observers=[failures.append]) as client,
    ):
        if operation == "terminate_jobs" and not hasattr(lent, operation):
            pytest.skip("this botocore has no bulk operations")
        lent.meta.events.register("before-send.batch", answer)
        calls: dict[str, Any] = {
            "list_jobs": lambda: anext(client.list_jobs("queue")),
            "wait_for_job_queue": lambda: client.wait_for_job_queue("queue"),
            "terminate_jobs": lambda: client.terminate_jobs(["j", "k"], "enough"),
        }
        asking = asyncio.create_task(calls[operation]())
        await until(lambda: any(isinstance(event, CallEnded) for event in failures))
        asking.cancel()
    ended = next(event for event in failures if isinstance(event, CallEnded))
    assert (ended.outcome, ended.error_code) == ("transient", "UnreadableResponseError")


async def test_a_hook_that_fails_over_an_answer() -> None:
    """It comes after AWS has submitted the job, which is not to be taken for one that was not."""

    async def answer(request: Any, **_: object) -> AioAWSResponse:
        return AioAWSResponse(request.url, 200, {}, Raw(b'{"jobId": "j", "jobName": "n"}'))

    def fail(**_: object) -> None:
        raise ZeroDivisionError

    async with get_session().create_client("batch", **SETTINGS) as lent, BatchClient(client=lent) as client:
        lent.meta.events.register("before-send.batch", answer)
        lent.meta.events.register("after-call.batch", fail)
        with pytest.raises(SubmitUncertainError, match="the answer could not be read: ZeroDivisionError"):
            await client.submit_job(jobName="n", jobQueue="q", jobDefinition="d")


class Raw:
    """What aiohttp gives to be read."""

    def __init__(self, body: bytes) -> None:
        self.raw_headers = ()
        self._body = body

    async def read(self) -> bytes:
        """The body."""
        return self._body
