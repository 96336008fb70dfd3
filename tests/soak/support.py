"""What the long tests share: a server in a process of its own, and what it knows to be true."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch.testing import LifeCycle, ServerProcess

Report: TypeAlias = Callable[[str], None]
Reporting: TypeAlias = Callable[[Callable[[], str]], AbstractAsyncContextManager[None]]


async def add_jobs(server: ServerProcess, lives: Sequence[LifeCycle]) -> list[str]:
    """Add a job for each life, and return their ids."""
    job_ids: list[str] = []
    for begin in range(0, len(lives), 1000):
        order = [{"life_cycle": asdict(life)} for life in lives[begin : begin + 1000]]
        job_ids += await server.control("POST", "jobs", order)
    return job_ids


def refreshing_session() -> AioSession:
    """A session whose credentials are of the kind that renews itself, so that a wait survives their expiry."""
    session = AioSession()
    session._credentials = AioRefreshableCredentials(
        "testing", "testing", "testing", datetime(2099, 1, 1, tzinfo=UTC), None, "testing"
    )
    return session


async def recorded_outcomes(server: ServerProcess, job_ids: Sequence[str]) -> dict[str, str]:
    """What the server says has become of the jobs, asked with a plain aiobotocore client."""
    arguments: dict[str, Any] = {**server.client_arguments}
    outcomes: dict[str, str] = {}
    async with AioSession().create_client("batch", **arguments) as client:
        for begin in range(0, len(job_ids), 100):
            answer = await client.describe_jobs(jobs=job_ids[begin : begin + 100])
            outcomes |= {job["jobId"]: job["status"] for job in answer["jobs"]}
    return outcomes
