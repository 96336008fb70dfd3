"""Array jobs and multi-node jobs in streams: their children and nodes are followed with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import DescribeError, JobChange, JobProgress, JobStatus, JobTrouble
from awaitbatch.testing import LifeCycle
from tests.support import LONG, make_client, make_server

from .support import FaultyTransport

if TYPE_CHECKING:
    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

QUICK = LifeCycle(submitted=2, pending=2, runnable=2, starting=2, running=2)


def ends(items: list[Any]) -> dict[str, str]:
    """The state that was told last of each job."""
    return {item.job_id: item.status for item in items if isinstance(item, JobChange)}


async def test_the_children_of_an_array(server: BatchServer, client: BatchClient) -> None:
    """An array is followed with its children, who are told as jobs of their own."""
    array = server.add_job(life_cycle=QUICK, array_size=300)
    single = server.add_job(life_cycle=QUICK)
    items = [item async for item in client.watch([array, single], children=True)]
    assert ends(items) == dict.fromkeys(
        [array, single, *(f"{array}:{index}" for index in range(300))], "SUCCEEDED"
    )
    told = [item.status for item in items if isinstance(item, JobChange) and item.job_id == f"{array}:7"]
    assert told[-3:] == ["STARTING", "RUNNING", "SUCCEEDED"]


async def test_the_nodes_of_a_multi_node_job(server: BatchServer, client: BatchClient) -> None:
    """Nodes are followed once the job starts; before, AWS Batch may not know them yet."""
    job_id = server.add_job(life_cycle=QUICK, nodes=3)
    items = []
    async for item in client.watch([job_id], children=True):
        items.append(item)
        if isinstance(item, JobChange) and item.status == "RUNNABLE" and item.job_id == job_id:
            assert client.statistics().pending == 1
    assert ends(items) == dict.fromkeys([job_id, *(f"{job_id}#{index}" for index in range(3))], "SUCCEEDED")


async def test_only_who_asks_gets_children(server: BatchServer, client: BatchClient) -> None:
    """Without `children` the parent is a job like any other; a child that is given itself is one, too."""
    array = server.add_job(life_cycle=QUICK, array_size=3)
    assert list(ends([item async for item in client.watch([array])])) == [array]
    assert list(ends([item async for item in client.watch([f"{array}:1"], children=True)])) == [f"{array}:1"]


async def test_a_parent_that_cannot_be_read() -> None:
    """That its children cannot be followed is told, though the parent has ended."""
    body = b'{"jobs": [{"jobId": "a", "status": "SUCCEEDED", "jobName": "\xff", "arrayProperties": {"size": 3}}]}'
    async with make_client(FaultyTransport(make_server(), lambda *_: body)) as client:
        change, trouble = [item async for item in client.watch(["a"], children=True)]
        assert isinstance(change, JobChange)
        assert isinstance(trouble, JobTrouble)
        assert isinstance(trouble.error, DescribeError)
        assert client.statistics().pending == 0


async def test_an_array_that_has_ended(server: BatchServer, client: BatchClient) -> None:
    """Its children are told all the same."""
    array = server.add_job(life_cycle=QUICK, array_size=3)
    await client.wait_for_job(array)
    assert len(ends([item async for item in client.watch([array], children=True)])) == 4


async def test_children_come_and_go_with_their_parent(server: BatchServer, client: BatchClient) -> None:
    """Whoever discards a parent discards its children; they are terminated with it when the stream is left."""
    first, second = (server.add_job(life_cycle=LONG, array_size=20) for _ in range(2))
    async with client.watch([first, second], children=True, terminate_on_exit="enough") as changes:
        await asyncio.sleep(3)
        assert client.statistics().pending == 42
        changes.discard(first)
        assert client.statistics().pending == 21
    assert server.status_of(f"{first}:0") is JobStatus.RUNNING
    assert server.status_of(f"{second}:0") is JobStatus.FAILED
    assert client.statistics().pending == 0


async def test_ten_thousand_children(server: BatchServer, client: BatchClient) -> None:
    """They begin in slices, however they came."""
    array = server.add_job(life_cycle=LONG, array_size=10_000)
    async with client.watch([array], children=True) as changes:
        await anext(changes)
        turns = 0
        while client.statistics().pending < 10_001:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 9


async def test_ids_of_children(server: BatchServer, client: BatchClient) -> None:
    """One description of the parent is enough; whoever is no parent has none."""
    array, nodes = server.add_job(array_size=3), server.add_job(nodes=2)
    assert await client.child_job_ids(array) == [f"{array}:{index}" for index in range(3)]
    assert await client.child_job_ids(nodes) == [f"{nodes}#{index}" for index in range(2)]
    assert await client.child_job_ids(f"{array}:1") == []
    assert await client.child_job_ids(server.add_job()) == []
    assert client.statistics().calls == 4


async def test_the_progress_of_an_array(server: BatchServer, client: BatchClient) -> None:
    """It is what the parent says, with the moment at which that was so."""
    array = server.add_job(life_cycle=LONG, array_size=5, children={1: QUICK})
    await asyncio.sleep(12)
    progress = await client.job_progress(array)
    assert (progress.size, progress.counts, progress.ended) == (5, {"RUNNING": 4, "SUCCEEDED": 1}, 1)
    assert (progress.job_id, progress.status) == (array, "PENDING")
    job = await client.describe(array)
    assert progress.updated_at <= job["arrayProperties"]["statusSummaryLastUpdatedAt"]
    single = await client.job_progress(server.add_job(life_cycle=LONG))
    assert (single.size, single.counts) == (1, {"RUNNING": 1})
    assert single.updated_at > 1.6e12


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"size": "3"},
        {"size": 0},
        {"size": 1 << 40},
        {"size": 3, "statusSummary": None},
        {"size": 3, "statusSummary": {"RUNNING": "3"}},
    ],
)
def test_properties_in_a_form_that_nobody_foresaw(properties: dict[str, Any]) -> None:
    """What cannot be read counts as absent."""
    progress = JobProgress.of({"jobId": "a", "status": "PENDING", "arrayProperties": properties})
    assert progress.counts == ({} if progress.size == 3 else {"PENDING": 1})
