"""A shared client over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from awaitbatch import BatchClient, FixedInterval
from awaitbatch._shared import close_shared_clients
from awaitbatch.testing import BatchServer, LifeCycle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_tasks_that_come_and_go_share_what_a_factory_gives(session: AioSession) -> None:
    """A hundred tasks, each with a client of its own, are one aiobotocore client, which is closed after them."""
    opened: list[Any] = []
    async with BatchServer() as server:

        @contextlib.asynccontextmanager
        async def factory() -> AsyncIterator[Any]:
            async with session.create_client("batch", **server.client_arguments) as client:
                opened.append(client)
                yield client
            opened.append(None)

        async def use(job_id: str) -> str:
            shared = BatchClient.shared(key="conn", factory=factory, linger=0.05, backoff=FixedInterval(0.2))
            async with shared as client:
                return str((await client.wait_for_job(job_id))["status"])

        job_ids = [server.add_job(life_cycle=LifeCycle(running=0.3)) for _ in range(100)]
        assert await asyncio.gather(*map(use, job_ids)) == ["SUCCEEDED"] * 100
        assert len(opened) == 1
        assert server.statistics.calls["DescribeJobs"] <= 12
        await asyncio.sleep(0.3)
        assert len(opened) == 2


async def test_arguments_share_a_client_of_its_own(session: AioSession) -> None:
    """With arguments and no factory, users at the same endpoint share one client, and its sockets are closed."""
    async with BatchServer() as server:
        arguments = {"session": session, **server.client_arguments}
        job_id = server.add_job()

        async def use() -> object:
            async with BatchClient.shared(**arguments, linger=0) as client:
                await client.describe(job_id)
                return client.client

        clients = await asyncio.gather(*(use() for _ in range(20)))
        assert len(set(clients)) == 1
        await asyncio.sleep(0.3)
        gc.collect()


@pytest.mark.parametrize("more", [{}, {"max_pool_connections": 7}])
async def test_a_config_is_the_same_after_its_first_use(more: dict[str, Any]) -> None:
    """The retries of a config, which botocore fills in, stay as they were: their user has them for all tasks."""
    retries = {"max_attempts": 3}
    config = AioConfig(retries=retries, **more)
    async with BatchServer() as server:
        arguments: dict[str, Any] = {**server.client_arguments, "linger": 0}
        async with (
            BatchClient.shared(config=config, **arguments) as first,
            BatchClient.shared(config=config, **arguments) as second,
            BatchClient.shared(config=AioConfig(retries=retries, **more), **arguments) as third,
        ):
            assert first.client is second.client is third.client
            assert first.client.meta.config.retries == {"total_max_attempts": 4, "mode": "legacy"}
        await close_shared_clients()
    assert retries == config.retries == {"max_attempts": 3}


def test_a_loop_that_is_closed_with_its_tasks_pending_keeps_no_connections() -> None:
    """A host may have such a loop for each task: what lingers on them is let go of when the next client opens."""

    async def use(server_arguments: dict[str, Any]) -> weakref.ref[Any]:
        async with BatchClient.shared(**server_arguments) as client:
            return weakref.ref(client.client)

    def run(**arguments: Any) -> weakref.ref[Any]:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(use(arguments))
        finally:
            loop.close()

    place: dict[str, Any] = {
        "region_name": "eu-west-1",
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
    }
    own = run(**place)
    made = run(key="conn", factory=lambda: AioSession().create_client("batch", **place))
    asyncio.run(use(place))
    gc.collect()
    assert own() is made() is None
