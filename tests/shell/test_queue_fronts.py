"""Where in its queue a stuck job is, and why the queue does not move: what is asked, and what is not."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import BatchClient, FixedInterval, JobChange, JobStuck
from awaitbatch.instrumentation import CallEnded, Event
from awaitbatch.testing import Fault, LifeCycle
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import ENDED, make_client, make_server, of_kind, supervisor_of, until

if TYPE_CHECKING:
    from collections.abc import Collection

    from awaitbatch.testing import BatchServer

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
WAITS = LifeCycle(submitted=0, pending=0, runnable=float("inf"))
OPERATION = "GetJobQueueSnapshot"


@pytest.fixture
async def server() -> BatchServer:
    """A server on the clock of the loop, whose jobs stay RUNNABLE."""
    return make_server(default_life_cycle=WAITS)


async def stuck_among(
    client: BatchClient, job_ids: Collection[str], *, after: float = 10, number: int | None = None
) -> list[JobStuck]:
    """What a watch tells of so many stuck jobs; of all, unless a number is given."""
    told: list[JobStuck] = []
    async with client.watch(job_ids, stuck_after=after) as changes:
        async for item in changes:
            told += [item] if isinstance(item, JobStuck) else []
            if len(told) == (len(job_ids) if number is None else number):
                break
    return told


def snapshots(server: BatchServer) -> int:
    """How many snapshots were asked for."""
    return server.statistics.calls[OPERATION]


async def test_jobs_of_a_queue_share_a_snapshot(server: BatchServer, client: BatchClient) -> None:
    """Each has its position, and the reason of the first, for one call, and one place of another."""
    job_ids = [server.add_job() for _ in range(5)]
    server.block_queue("queue", CAPACITY)
    told = await stuck_among(client, [*job_ids[1:], job_ids[0]])
    assert {(item.job_id, item.reason, item.position) for item in told} == {
        (job_id, CAPACITY, position) for position, job_id in enumerate(job_ids, 1)
    }
    assert snapshots(server) == 1


async def test_the_reason_is_of_a_job_that_nobody_waits_for(server: BatchServer, client: BatchClient) -> None:
    """The first job of the queue is described, in a call of others'."""
    _, second = server.add_job(), server.add_job()
    server.block_queue("queue", CAPACITY)
    # Between two checks.
    (told,) = await stuck_among(client, [second], after=10.5)
    assert (told.job_id, told.reason, told.position) == (second, CAPACITY, 2)
    # The watch itself asks for one job at a time.
    assert client.statistics().jobs_described == client.statistics().calls + 1


async def test_beyond_the_first_hundred_there_is_no_position(
    server: BatchServer, client: BatchClient
) -> None:
    """AWS Batch tells of a hundred jobs; the reason holds for the others as well."""
    job_ids = [server.add_job() for _ in range(102)]
    server.block_queue("queue", CAPACITY)
    told = {item.job_id: item for item in await stuck_among(client, job_ids)}
    assert [told[job_id].position for job_id in job_ids] == [*range(1, 101), None, None]
    assert {item.reason for item in told.values()} == {CAPACITY}


async def test_each_queue_has_its_own(server: BatchServer, client: BatchClient) -> None:
    """A snapshot is of one queue, and so is its reason."""
    queues = {server.add_job(job_queue=queue): queue for queue in ("a", "b", "b")}
    server.block_queue("b", CAPACITY)
    told = await stuck_among(client, queues)
    assert sorted((queues[item.job_id], item.position, item.reason) for item in told if item.reason) == [
        ("b", 1, CAPACITY),
        ("b", 2, CAPACITY),
    ]
    assert [(item.position, item.reason) for item in told if queues[item.job_id] == "a"] == [(1, None)]
    assert snapshots(server) == 2


async def test_a_snapshot_is_good_for_some_seconds(server: BatchServer, client: BatchClient) -> None:
    """Jobs that are found stuck soon after each other share one; later ones have one of their own."""
    told: list[JobStuck] = []
    async with client.watch(stuck_after=10, keep_open=True) as changes:
        for pause in (1, 1, 1, 20, 1):
            changes.add(server.add_job())
            await asyncio.sleep(pause)
        async for item in changes:
            told += [item] if isinstance(item, JobStuck) else []
            if len(told) == 5:
                break
    assert sorted(item.position or 0 for item in told) == [1, 2, 3, 4, 5]
    assert snapshots(server) == 2


async def test_no_permission(
    server: BatchServer, client: BatchClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs are told of without a position; one WARNING names the permission, and nobody asks on and on."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    server.inject(Fault.ACCESS_DENIED, operations=[OPERATION])
    server.block_queue("queue", CAPACITY)
    first, second = server.add_job(), server.add_job()
    told = {item.job_id: item for item in await stuck_among(client, [first, second])}
    assert [(told[job_id].reason, told[job_id].position) for job_id in (first, second)] == [
        (CAPACITY, None),
        (None, None),
    ]
    assert [item.position for item in await stuck_among(client, [server.add_job()])] == [None]
    assert snapshots(server) == 1
    await stuck_among(client, [server.add_job(job_queue="other")])
    assert snapshots(server) == 2
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "the positions of stuck jobs in their queues are not known: GetJobQueueSnapshot failed: "
    )
    assert line.endswith("; allow batch:GetJobQueueSnapshot in the IAM policy of these credentials")
    # Somebody may have allowed it meanwhile.
    server.heal()
    await asyncio.sleep(300)
    assert [item.position for item in await stuck_among(client, [second])] == [2]


async def test_a_server_that_lacks_it(caplog: pytest.LogCaptureFixture) -> None:
    """It is asked once, and nothing is said: nobody can do anything about it."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    server = make_server(default_life_cycle=WAITS, lacking=[OPERATION])
    server.block_queue("a", CAPACITY)
    async with make_client(server, backoff=FixedInterval(1)) as client:
        told = await stuck_among(client, [server.add_job(job_queue="a")])
        await asyncio.sleep(1000)
        told += await stuck_among(client, [server.add_job(job_queue="b")])
    assert [(item.reason, item.position) for item in told] == [(CAPACITY, None), (None, None)]
    assert snapshots(server) == 1
    assert caplog.records == []


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.TOO_MANY_REQUESTS])
async def test_nobody_waits_for_a_snapshot(server: BatchServer, client: BatchClient, fault: Fault) -> None:
    """Checks go on meanwhile, and a job is told of ten seconds later without it."""
    server.inject(fault, operations=[OPERATION])
    job_id = server.add_job()
    other = server.add_job(life_cycle=LifeCycle(submitted=0, pending=0, runnable=12, starting=2, running=2))
    begin, told = asyncio.get_running_loop().time(), []
    async with client.watch([job_id, other], stuck_after=9) as changes:
        async for item in changes:
            told.append((round(asyncio.get_running_loop().time() - begin), item))
            if isinstance(item, JobStuck):
                break
    assert [at for at, item in told if item.job_id == other] == pytest.approx([0, 12, 14, 16], abs=1)
    # And the other one, which has moved on before, is not told of.
    ((at, stuck),) = ((at, item) for at, item in told if isinstance(item, JobStuck))
    assert (stuck.job_id, stuck.position) == (job_id, None)
    assert at == pytest.approx(19, abs=1)
    assert not supervisor_of(client).lists.is_busy


async def test_failures_that_pass(
    server: BatchServer, client: BatchClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A job is told of without a position, with no WARNING; the next one that is stuck may have better luck."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    server.inject(Fault.SERVER_EXCEPTION, operations=[OPERATION], calls=1)
    assert [item.position for item in await stuck_among(client, [server.add_job()])] == [None]
    assert [item.position for item in await stuck_among(client, [server.add_job()])] == [2]
    assert caplog.records == []


class Answers(InProcessTransport):
    """A transport on which snapshots are what a test says."""

    answer: Any = None

    async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
        """The answer that was ordered."""
        return self.answer if operation == OPERATION else await super().call(operation, **parameters)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"frontOfQueue": None},
        {"frontOfQueue": {"jobs": []}},
        {"frontOfQueue": {"jobs": None}},
        {"frontOfQueue": {"jobs": 7}},
        {"frontOfQueue": {"jobs": [{}]}},
        {"frontOfQueue": {"jobs": ["j"]}},
        {"frontOfQueue": {"jobs": [{"jobArn": "not an id"}]}},
        {"frontOfQueue": [1]},
    ],
    ids=str,
)
async def test_answers_without_jobs(
    server: BatchServer, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the answer is, the job is told of."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    transport = Answers(server, latency=0.02)
    transport.answer = answer
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        told = await stuck_among(client, [server.add_job()])
    assert [(item.reason, item.position) for item in told] == [(None, None)]
    assert caplog.records == []


@pytest.mark.parametrize("first", ["gone", "ended"])
async def test_a_first_job_that_has_left(server: BatchServer, first: str) -> None:
    """Who is first in the snapshot, and is gone or has ended when it is described, gives no reason."""
    gone = "gone"
    if first == "ended":
        gone = server.add_job(life_cycle=replace(ENDED, outcome="FAILED", status_reason="it broke"))
    transport, job_id = Answers(server, latency=0.02), server.add_job()
    arns = [f"arn:aws:batch:us-east-1:123456789012:job/{each}" for each in (gone, job_id)]
    transport.answer = {"frontOfQueue": {"jobs": [{"jobArn": arn} for arn in arns]}}
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        told = await stuck_among(client, [job_id])
    assert [(item.reason, item.position) for item in told] == [(None, 2)]


async def test_children_have_positions(server: BatchServer, client: BatchClient) -> None:
    """Children wait in the queue on their own."""
    array = server.add_job(array_size=3)
    told = await stuck_among(client, [f"{array}:{index}" for index in range(3)])
    assert sorted((item.job_id, item.position) for item in told) == [
        (f"{array}:{index}", index + 1) for index in range(3)
    ]


async def test_who_moves_on_or_is_discarded_meanwhile_is_not_told(
    server: BatchServer, client: BatchClient
) -> None:
    """A report that comes too late is none; of who is RUNNABLE anew, time begins anew."""
    server.inject(Fault.HANG, operations=[OPERATION])
    discarded = server.add_job()
    moving = server.add_job(life_cycle=LifeCycle(submitted=0, pending=0, runnable=13, starting=5, running=5))
    async with client.watch([discarded, moving], stuck_after=10) as changes:
        await until(lambda: snapshots(server) == 1)
        changes.discard(discarded)
        items = [item async for item in changes]
    assert Counter(type(item) for item in items) == {JobChange: 4}


@pytest.mark.parametrize("way", ["leave", "close", "break"])
async def test_nothing_is_left_of_a_snapshot(server: BatchServer, way: str) -> None:
    """Who leaves while a snapshot is under way waits for nothing, and nor does a client that closes."""
    server.inject(Fault.HANG, operations=[OPERATION])
    events: list[Event] = []
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        changes = client.watch([server.add_job()], stuck_after=10)
        assert isinstance(await anext(changes), JobChange)
        await until(lambda: snapshots(server) == 1)
        begin = loop.time()
        if way == "leave":
            async with changes:
                pass
        elif way == "close":
            await client.aclose()
        else:
            del changes
        assert loop.time() - begin < 0.1
    assert loop.time() - begin < 0.1
    assert [event.outcome for event in of_kind(CallEnded, events) if event.operation == OPERATION] == [
        "cancelled"
    ]


async def test_users_of_a_shared_client_share_snapshots(server: BatchServer) -> None:
    """One snapshot serves the jobs of all users, also if the one who asked first leaves at once."""
    server.inject(Fault.HANG, operations=[OPERATION], seconds=2, calls=1)
    server.block_queue("queue", CAPACITY)
    transport, job_ids = server.transport(), [server.add_job() for _ in range(2)]
    settings: dict[str, Any] = {"transport": transport, "linger": 0, "backoff": FixedInterval(1)}
    async with BatchClient.shared(**settings) as first, BatchClient.shared(**settings) as second:
        theirs = asyncio.create_task(stuck_among(second, job_ids[1:], after=10.5))
        async with first.watch(job_ids[:1], stuck_after=10) as changes:
            await until(lambda: snapshots(server) == 1)
            assert isinstance(await anext(changes), JobChange)
        await first.aclose()
        assert [item.position for item in await theirs] == [None]
        # The connection was reset in the end, so the next is asked for anew.
        await asyncio.sleep(5)
        assert [(item.reason, item.position) for item in await stuck_among(second, job_ids)] == [
            (CAPACITY, 1),
            (CAPACITY, 2),
        ]
        assert snapshots(server) == 2
    await asyncio.sleep(1)


async def test_thousands_at_once(server: BatchServer) -> None:
    """Thousands of jobs that are stuck together take a snapshot, and no describe for each of them."""
    job_ids = [server.add_job() for _ in range(3000)]
    server.block_queue("queue", CAPACITY)
    async with make_client(server, backoff=FixedInterval(100)) as slow:
        told = await stuck_among(slow, job_ids, after=50)
        assert len({item.job_id for item in told}) == 3000
        assert {item.reason for item in told} == {CAPACITY}
        assert snapshots(server) == 1
        assert slow.statistics().calls <= 31 + 30
