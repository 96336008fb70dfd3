"""A lent client, all of whose connections its owner has taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiobotocore.config import AioConfig

from awaitbatch import BatchClient, DescribeError
from awaitbatch.testing import BatchServer, Fault
from tests.support import until

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


async def test_the_queue_for_a_connection_is_no_part_of_call_timeout(session: AioSession) -> None:
    """Describes wait until the owner's calls have ended, however long; only then does their time begin."""
    async with BatchServer() as server:
        job_id = server.add_job()
        hanging = server.inject(Fault.HANG, operations=["ListJobs"], seconds=2)
        config = AioConfig(max_pool_connections=2, retries={"total_max_attempts": 1})
        async with (
            session.create_client("batch", **server.client_arguments, config=config) as lent,
            BatchClient(client=lent, call_timeout=1, status_retries=1) as client,
        ):
            # The guard of the connections is put up by the first call.
            assert (await client.describe(job_id))["jobId"] == job_id
            owners = [asyncio.create_task(lent.list_jobs(jobQueue="queue")) for _ in range(2)]
            await until(lambda: hanging.hits == 2)
            assert (await client.describe(job_id))["jobId"] == job_id
            assert client.statistics().failed == 0
            assert client.statistics().calls == 2
            # A server that hangs breaks the connection in the end.
            await asyncio.gather(*owners, return_exceptions=True)


async def test_the_time_begins_with_the_connection(session: AioSession) -> None:
    """A call that has waited for a connection and then gets no answer ends like any other."""
    async with BatchServer() as server:
        hanging = server.inject(Fault.HANG, operations=["ListJobs"], seconds=1.5)
        config = AioConfig(max_pool_connections=1, retries={"total_max_attempts": 1})
        async with (
            session.create_client("batch", **server.client_arguments, config=config) as lent,
            BatchClient(client=lent, call_timeout=1, status_retries=1) as client,
        ):
            await client.describe(server.add_job())
            owner = asyncio.create_task(lent.list_jobs(jobQueue="queue"))
            await until(lambda: hanging.hits == 1)
            server.inject(Fault.HANG, operations=["DescribeJobs"])
            with pytest.raises(DescribeError, match=r"no answer within 1 s"):
                await client.describe("j")
            assert owner.done()
            await asyncio.gather(owner, return_exceptions=True)
