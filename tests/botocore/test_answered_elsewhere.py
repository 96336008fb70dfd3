"""Answers that do not come from AWS, as those of botocore's Stubber."""

from __future__ import annotations

from typing import Any

import pytest
from aiobotocore.session import get_session
from botocore.stub import Stubber

from awaitbatch import BatchClient, DescribeError

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
