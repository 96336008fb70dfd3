"""Credentials that expire while jobs are awaited."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from aiobotocore.credentials import (
    AioCredentials,
    AioDeferredRefreshableCredentials,
    AioRefreshableCredentials,
)
from botocore.credentials import Credentials

from awaitbatch import ClientClosedError, DescribeError, FixedInterval
from awaitbatch._aiobotocore_transport import AiobotocoreTransport
from awaitbatch.testing import Fault, LifeCycle
from tests.support import LONG, make_client, make_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.testing import BatchServer
    from awaitbatch.testing._in_process import InProcessTransport


def expiring(
    server: BatchServer, *, since: float, until: float = math.inf, refreshes: bool
) -> InProcessTransport:
    """Let calls between two moments be signed with credentials that have expired."""
    server.inject(Fault.EXPIRED_TOKEN, begin=since, end=until)
    return server.transport(refreshes_credentials=refreshes)


async def test_static_credentials_that_expire_end_waits_after_five_minutes() -> None:
    """Somebody may replace them meanwhile; then each wait ends with its next check."""
    server = make_server()
    transport = expiring(server, since=20, refreshes=False)
    loop = asyncio.get_running_loop()
    async with make_client(transport, backoff=FixedInterval(10)) as client:
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
        waits = [asyncio.create_task(client.wait_for_job(job_id, 0)) for job_id in job_ids]
        later = [asyncio.create_task(client.poll_for_job_complete(job_id, 5000)) for job_id in job_ids]
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert 300 < loop.time() - 20 < 335
        ends += await asyncio.gather(*later, return_exceptions=True)
        assert loop.time() < 5002
        assert client.statistics().pending == 0
    for job_id, end in zip(job_ids * 2, ends, strict=True):
        assert isinstance(end, DescribeError)
        assert (end.job_id, end.code, end.http_status) == (job_id, "ExpiredTokenException", 403)
        assert f"({job_id})" in str(end)
        assert "the credentials have expired and cannot renew themselves" in str(end)
        assert "create a new BatchClient with fresh ones" in str(end)


async def test_static_credentials_that_were_expired_before_end_waits_at_once() -> None:
    """Before any call was answered the user has made a mistake, and wants to know."""
    server = make_server()
    transport = expiring(server, since=0, refreshes=False)
    loop = asyncio.get_running_loop()
    async with make_client(transport, backoff=FixedInterval(10)) as client:
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
        waits = [client.wait_for_job(job_id, 0) for job_id in job_ids]
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert loop.time() < 3
        assert client.statistics().calls <= 15
    assert {type(end) for end in ends} == {DescribeError}


async def test_what_is_asked_afterwards_is_sent() -> None:
    """The client does not take AWS's word for ever: who replaced the credentials of a lent client goes on."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(expiring(server, since=0, until=10, refreshes=False)) as client:
        with pytest.raises(DescribeError, match="have expired"):
            await client.describe(job_id)
        with pytest.raises(DescribeError, match="have expired") as caught:
            await client.describe_jobs([job_id])
        assert caught.value.needs_new_credentials
        await asyncio.sleep(10)
        assert (await client.describe(job_id))["jobId"] == job_id


async def test_refreshable_credentials_that_expire_heal() -> None:
    """Polls go on, each refusal a check without a result; a describe tries again."""
    server = make_server()
    transport = expiring(server, since=5, until=15, refreshes=True)
    async with make_client(transport, backoff=FixedInterval(2)) as client:
        job_ids = [server.add_job(life_cycle=LifeCycle(running=20)) for _ in range(300)]
        waits = [asyncio.create_task(client.wait_for_job(job_id, 0)) for job_id in job_ids]
        await asyncio.sleep(6)
        assert (await client.describe(job_ids[0]))["jobId"] == job_ids[0]
        assert {job["status"] for job in await asyncio.gather(*waits)} == {"SUCCEEDED"}
        assert client.statistics().failed > 1


class Rotating(AioCredentials):  # type: ignore[misc]
    """Somebody's own credentials, which read themselves anew from a file."""


@pytest.mark.parametrize(
    ("credentials", "renewed"),
    [
        (AioCredentials("a", "b", "c"), False),
        (Credentials("a", "b"), False),
        (None, False),
        (AioRefreshableCredentials("a", "b", "c", datetime(2099, 1, 1, tzinfo=UTC), None, "sso"), True),
        (AioDeferredRefreshableCredentials(lambda: None, "assume-role"), True),
        (Rotating("a", "b", "c"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_which_credentials_are_renewed(credentials: object, renewed: bool) -> None:
    """Only kinds that are known to stay as they are end all waits; any other may renew itself."""
    transport = AiobotocoreTransport()
    transport._client = SimpleNamespace(_request_signer=SimpleNamespace(_credentials=credentials))  # type: ignore[assignment]
    assert transport.refreshes_credentials is renewed


@pytest.mark.parametrize("refreshes", [True, False])
async def test_the_log_says_so_once(caplog: pytest.LogCaptureFixture, refreshes: bool) -> None:
    """One line, and the waits go on, of whatever kind the credentials are."""
    server = make_server()
    transport = expiring(server, since=10, until=20, refreshes=refreshes)
    with caplog.at_level(logging.WARNING, "awaitbatch"):
        async with make_client(transport, backoff=FixedInterval(2)) as client:
            jobs = [server.add_job(life_cycle=LONG) for _ in range(3)]
            waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in jobs]
            await asyncio.sleep(20)
        ends = await asyncio.gather(*waits, return_exceptions=True)
    (record,) = caplog.records
    assert {type(end) for end in ends} == {ClientClosedError}
    assert (record.levelname, "polls go on" in record.getMessage()) == ("WARNING", True)


async def test_a_lack_of_permission_needs_no_new_credentials() -> None:
    """Others would be refused alike."""
    server = make_server()
    server.inject(Fault.ACCESS_DENIED)
    async with make_client(server) as client:
        with pytest.raises(DescribeError, match="IAM policy") as caught:
            await client.describe(server.add_job())
    assert not caught.value.needs_new_credentials


@pytest.mark.parametrize("operation", ["submit_job", "cancel_job", "terminate_job"])
async def test_other_operations_end_no_wait(operation: str) -> None:
    """Credentials that a submission, a cancellation or a termination finds expired concern its caller alone."""
    calls: dict[str, Callable[[], object]] = {}
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.EXPIRED_TOKEN, operations=["SubmitJob", "CancelJob", "TerminateJob"])
    async with make_client(server.transport(), backoff=FixedInterval(1)) as client:
        calls = {
            "submit_job": lambda: client.submit_job(jobName="n", jobQueue="q", jobDefinition="d"),
            "cancel_job": lambda: client.cancel_job(job_id, "no"),
            "terminate_job": lambda: client.terminate_job(job_id, "no"),
        }
        wait = asyncio.create_task(client.poll_for_job_complete(job_id, 0))
        await asyncio.sleep(1)
        with pytest.raises(Exception, match="ExpiredTokenException"):
            await calls[operation]()  # type: ignore[misc]
        await asyncio.sleep(5)
        assert not wait.done()
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)


@pytest.mark.parametrize("jobs", [1, 2])
async def test_jobs_are_terminated_although_credentials_expire(jobs: int) -> None:
    """Credentials that renew themselves may do so a moment late, and until then jobs cost money."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(jobs)]
    server.inject(Fault.EXPIRED_TOKEN, operations=["TerminateJob", "TerminateJobs"], calls=3)
    async with make_client(server) as client:
        if jobs == 1:
            await client.terminate_job(job_ids[0], "enough")
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.accepted == tuple(job_ids)
