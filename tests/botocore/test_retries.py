"""botocore's retries: none for our describes, all of them for the user's own calls."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from awaitbatch import BatchClient, DescribeError, FixedInterval, MaxRetriesExceededError
from awaitbatch.testing import BatchServer, Fault, TokenBucket
from tests.support import LONG, until

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

pytestmark = pytest.mark.usefixtures("_no_slow_start")

in_every_mode = pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])


@in_every_mode
async def test_a_describe_is_one_attempt(mode: str, session: AioSession) -> None:
    """The throttle sees every 429, while the user's own calls through the same client keep their retries."""
    async with BatchServer(bucket={"DescribeJobs": TokenBucket(0.001, 1)}) as server:
        job_id = server.add_job(life_cycle=LONG)
        config = AioConfig(retries={"mode": mode, "total_max_attempts": 2})
        async with BatchClient(session=session, **server.client_arguments, config=config) as client:
            await client.describe(job_id)
            describing = asyncio.create_task(client.describe(job_id))
            await until(lambda: client.statistics().throttled > 0)
            describing.cancel()
            await until(lambda: client.statistics().in_flight == 0)
            calls = server.statistics.calls["DescribeJobs"]
            assert calls == client.statistics().calls
            with pytest.raises(ClientError, match="TooManyRequests"):
                await client.client.describe_jobs(jobs=[job_id])
            assert server.statistics.calls["DescribeJobs"] == calls + 2


@in_every_mode
async def test_a_lost_connection_is_one_attempt_too(mode: str, session: AioSession) -> None:
    """A connection that nobody accepts is tried once a check, not behind our back."""
    attempts: list[object] = []
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        arguments: Any = {
            "endpoint_url": f"http://127.0.0.1:{reserved.getsockname()[1]}",
            "region_name": "us-east-1",
            "aws_access_key_id": "none",
            "aws_secret_access_key": "none",
            "config": AioConfig(retries={"mode": mode, "total_max_attempts": 4}),
        }
        async with BatchClient(
            session=session, **arguments, status_retries=2, backoff=FixedInterval(0.01)
        ) as client:
            client.client.meta.events.register(
                "before-send.batch.DescribeJobs", lambda request, **_: attempts.append(request)
            )
            with pytest.raises(DescribeError, match=r"127\.0\.0\.1") as caught:
                await client.describe("j")
            assert (client.statistics().failed, len(attempts)) == (2, 2)
            assert caught.value.code == "EndpointConnectionError"


@in_every_mode
async def test_an_outage_costs_other_calls_no_retries(mode: str, session: AioSession) -> None:
    """After 120 describes that failed, the owner of a lent client still has all of his attempts."""
    async with BatchServer() as server:
        config = AioConfig(retries={"mode": mode, "total_max_attempts": 2})
        async with (
            session.create_client("batch", **server.client_arguments, config=config) as lent,
            BatchClient(client=lent, max_calls_per_second=1000, backoff=FixedInterval(0.001)) as client,
        ):
            server.inject(Fault.SERVER_EXCEPTION)
            with pytest.raises(MaxRetriesExceededError):
                await client.poll_job_status("j", ["RUNNING"], max_retries=119)
            assert server.statistics.calls["DescribeJobs"] == 120
            with pytest.raises(ClientError):
                await lent.terminate_job(jobId="j", reason="enough")
            assert server.statistics.calls["TerminateJob"] == 2


async def test_throttled_describes_slow_no_other_call(session: AioSession) -> None:
    """In adaptive mode botocore slows all calls of a client after a 429; those of our describes are not among them."""
    async with BatchServer(bucket={"DescribeJobs": TokenBucket(0.001, 1)}) as server:
        job_id = server.add_job(life_cycle=LONG)
        config = AioConfig(retries={"mode": "adaptive"})
        async with BatchClient(session=session, **server.client_arguments, config=config) as client:
            waiting = asyncio.create_task(
                client.poll_job_status(job_id, ["FAILED"], backoff=FixedInterval(0.01))
            )
            await until(lambda: client.statistics().throttled >= 3)
            begin = time.monotonic()
            for _ in range(10):
                await client.terminate_job("another", "enough")
            # botocore would begin again with one call in two seconds.
            assert time.monotonic() - begin < 5
            waiting.cancel()
