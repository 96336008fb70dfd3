"""`watch_queue`: each job of a queue once, from when it is there to its end, whatever becomes of ListJobs."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import BatchClient, CallError, ClientClosedError, FixedInterval, JobChange, JobStuck
from awaitbatch._queue_jobs import QueueJobs
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import ENDED, LONG, make_client, make_server, supervisor_of, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch import JobChanges

EPOCH = 1_700_000_000.0
"""When the servers begin, in seconds since 1970; the clock of this machine says something else."""
RUNNING = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=60)


def a_server() -> BatchServer:
    """One whose jobs are created at times that AWS might give."""
    time = asyncio.get_running_loop().time
    return make_server(clock=lambda: EPOCH + time())


@pytest.fixture
async def server() -> BatchServer:
    """A server on the clock of the loop, whose zero it moves."""
    return a_server()


@pytest.fixture
async def client(server: BatchServer) -> AsyncIterator[BatchClient]:
    """An open client that checks every five seconds."""
    async with make_client(server, backoff=FixedInterval(5)) as opened:
        yield opened


def now() -> float:
    """Seconds since the test has begun."""
    return asyncio.get_running_loop().time()


async def told_within(changes: JobChanges, seconds: float) -> list[Any]:
    """What a stream tells in so many seconds."""
    items: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            async for item in changes:
                items.append(item)  # noqa: PERF401
    except TimeoutError:
        pass
    return items


def first_sights(items: list[Any]) -> Counter[str]:
    """How often each job was told as if for the first time."""
    return Counter(item.job_id for item in items if isinstance(item, JobChange) and item.previous is None)


class Late(InProcessTransport):
    """Lists show some jobs so many seconds after others that were created with them."""

    def __init__(self, server: BatchServer) -> None:
        super().__init__(server, latency=0.02)
        self.delays: dict[str, float] = {}

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Leave out what is late."""
        answer = await super().call(operation, **parameters)
        if operation == "ListJobs":
            answer["jobSummaryList"] = [job for job in answer["jobSummaryList"] if self._is_shown(job)]
        return answer

    def _is_shown(self, job: dict[str, Any]) -> bool:
        shown_at: float = job["createdAt"] / 1000 - EPOCH + self.delays.get(job["jobId"], 0)
        return shown_at <= now()


async def test_two_thousand_jobs_in_an_hour(server: BatchServer) -> None:
    """Each is told from its submission to its end, once, also those that lists show late; nothing is kept of them."""
    random = Random(1)
    transport = Late(server)
    job_ids = []

    async def submit() -> None:
        for _ in range(2000):
            await asyncio.sleep(random.expovariate(2000 / 3600))
            job_id = server.add_job(life_cycle=LifeCycle(running=random.uniform(0, 120)))
            job_ids.append(job_id)
            transport.delays[job_id] = random.choice([0, 0, 2, 45])

    async with make_client(transport, backoff=FixedInterval(10)) as client:
        stream = client.watch_queue("queue", every=20)
        source = stream._stream._source_ids
        assert isinstance(source, QueueJobs)
        async with stream as changes:
            submitting = asyncio.create_task(submit())
            items = await told_within(changes, 3000)
            # Those of a minute, and what was found since the list before.
            assert 0 < len(source._seen) < 100
            items += await told_within(changes, 1500)
            assert submitting.done()
            assert changes._stream.job_ids == {}
    assert first_sights(items) == Counter(job_ids)
    assert Counter(item.job_id for item in items if item.status == "SUCCEEDED") == Counter(job_ids)
    told: dict[str, str | None] = {}
    for item in items:
        assert item.previous == told.get(item.job_id)
        told[item.job_id] = item.status


async def test_what_is_there_in_the_beginning(server: BatchServer, client: BatchClient) -> None:
    """Jobs that have not ended are told however old they are, and ended ones are not; other queues do not count."""
    old = [server.add_job(life_cycle=LONG) for _ in range(1200)]
    server.add_job(life_cycle=ENDED)
    await asyncio.sleep(3 * 86400)
    young = [server.add_job(life_cycle=life) for life in (LONG, ENDED, LONG, ENDED)]
    server.add_job(life_cycle=LONG, job_queue="another")
    async with client.watch_queue("queue") as changes:
        items = await told_within(changes, 30)
        assert first_sights(items) == Counter([*old, young[0], young[2]])
        brief = server.add_job(life_cycle=ENDED)
        assert [(item.job_id, item.status) for item in await told_within(changes, 30)] == [
            (brief, "SUCCEEDED")
        ]


async def test_an_empty_queue(server: BatchServer, client: BatchClient) -> None:
    """The first job of a queue is told, even if it has ended when it is listed."""
    async with client.watch_queue("queue") as changes:
        assert await told_within(changes, 3600) == []
        job_ids = [server.add_job(life_cycle=life) for life in (ENDED, RUNNING)]
        assert first_sights(await told_within(changes, 100)) == Counter(job_ids)


@pytest.mark.parametrize("as_datetime", [False, True])
async def test_since(server: BatchServer, client: BatchClient, *, as_datetime: bool) -> None:
    """All jobs that were created since then are told, ended ones included, and no older one."""
    for _ in range(5):
        server.add_job(life_cycle=LONG)
    await asyncio.sleep(5)
    moment = EPOCH + now()
    since = datetime.fromtimestamp(moment, UTC) if as_datetime else int(moment * 1000)
    wanted = [server.add_job(life_cycle=[ENDED, LONG][number % 2]) for number in range(250)]
    await asyncio.sleep(5)
    async with client.watch_queue("queue", since=since) as changes:
        wanted += [server.add_job(life_cycle=RUNNING)]
        assert first_sights(await told_within(changes, 100)) == Counter(wanted)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"queue": ""}, ValueError, "queue must be the name or ARN of a job queue"),
        ({"queue": 3}, TypeError, "queue must be the name or ARN of a job queue"),
        ({"since": datetime(2026, 1, 1)}, ValueError, "since must have a time zone"),  # noqa: DTZ001
        ({"since": 1.5}, TypeError, "since must be a datetime with a time zone, or milliseconds since 1970"),
        ({"since": True}, TypeError, "since must be a datetime"),
        ({"since": -1}, ValueError, "since must not lie before 1970: -1 ms"),
        ({"every": 0}, ValueError, "every must be a positive number of seconds"),
        ({"stuck_after": -1}, ValueError, "stuck_after must be a number of seconds"),
        ({"terminate_on_exit": "no"}, TypeError, "terminate_on_exit"),
    ],
)
async def test_arguments_that_make_no_sense(
    client: BatchClient, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """They are refused at the call. The jobs of a queue may be anybody's, so none is terminated on exit."""
    with pytest.raises(error, match=text):
        client.watch_queue(**{"queue": "queue", **arguments})


@pytest.mark.parametrize("answered", [1, 2, 3, 4, 30])
@pytest.mark.parametrize("fault", [Fault.SERVER_EXCEPTION, Fault.TOO_MANY_REQUESTS])
async def test_an_outage_of_lists(server: BatchServer, fault: Fault, answered: int) -> None:
    """Whenever it comes, and however long it lasts, it ends nothing; what came meanwhile is told when it is over."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(150)]
    async with make_client(server, backoff=FixedInterval(60)) as client:  # noqa: SIM117
        async with client.watch_queue("queue") as changes:
            await until(lambda: server.statistics.answered["ListJobs"] >= answered)
            server.inject(fault, operations=["ListJobs"], end=1200)
            await asyncio.sleep(600)
            job_ids += [server.add_job(life_cycle=life) for life in (ENDED, RUNNING) * 50]
            assert first_sights(await told_within(changes, 900)) == Counter(job_ids)


async def test_the_log_tells_of_an_outage_of_lists(
    server: BatchServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else would: when it begins, and once a minute as long as it lasts."""
    server.add_job(life_cycle=LONG)
    async with make_client(server) as client, client.watch_queue("queue") as changes:
        await told_within(changes, 60)
        server.inject(Fault.BARE_503, operations=["ListJobs"], end=now() + 600)
        caplog.clear()
        await told_within(changes, 900)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert 8 <= len(lines) <= 11
    assert all(
        line.startswith("AWS Batch job queue (queue): its jobs could not be listed: ") for line in lines
    )


@pytest.mark.parametrize("fault", [Fault.ACCESS_DENIED, Fault.CLIENT_EXCEPTION])
async def test_lists_that_are_refused(server: BatchServer, client: BatchClient, fault: Fault) -> None:
    """The first one raises at once. Later on, what passes within five minutes ends nothing, and what lasts does."""
    server.add_job(life_cycle=LONG)
    rule = server.inject(fault, operations=["ListJobs"])
    with pytest.raises(CallError, match=r"^AWS Batch job queue \(queue\): its jobs could not be listed"):
        await anext(client.watch_queue("queue"))
    assert (now() < 1, server.statistics.calls["ListJobs"]) == (True, 1)
    server.heal(rule)
    async with client.watch_queue("queue") as changes:
        for _ in range(3):
            assert len(await told_within(changes, 60)) <= 1
            server.inject(fault, operations=["ListJobs"], end=240)
            assert await told_within(changes, 240) == []
        await told_within(changes, 60)
        server.inject(fault, operations=["ListJobs"])
        began = now()
        with pytest.raises(CallError, match="its jobs could not be listed"):
            await anext(changes)
        assert 300 <= now() - began <= 320
    assert client.statistics().pending == 0


async def test_children_and_stuck_jobs(server: BatchServer, client: BatchClient) -> None:
    """The arguments of a watch hold for each job that is found; families that have ended are forgotten."""
    server.block_queue("queue", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none")
    async with client.watch_queue("queue", children=True, stuck_after=60) as changes:
        await told_within(changes, 30)
        array = server.add_job(life_cycle=RUNNING, array_size=3)
        single = server.add_job(life_cycle=RUNNING)
        items = await told_within(changes, 120)
        assert {item.job_id for item in items if isinstance(item, JobStuck)} >= {single}
        server.unblock_queue("queue")
        items += await told_within(changes, 300)
        assert first_sights(items) == Counter([array, single, *(f"{array}:{index}" for index in range(3))])
        assert (changes._stream.job_ids, changes._stream._children) == ({}, {})


async def use(client: BatchClient, way: str, seconds: float) -> None:
    """Watch a queue for so long, and leave it in that way."""
    changes = client.watch_queue("queue", every=0.1)
    if way == "let go":
        changes._begin()
        await asyncio.sleep(seconds)
        return
    async with changes:
        await asyncio.sleep(seconds)
        if way == "cancel":
            await asyncio.sleep(3600)
        elif way == "close":
            changes.close()
            assert [item async for item in changes] == []
        elif way == "client":
            await client.aclose()
            with pytest.raises(ClientClosedError):
                await told_within(changes, 60)


@pytest.mark.parametrize("way", ["cancel", "break", "let go", "close", "client"])
async def test_nothing_is_left_whenever_it_is_left(server: BatchServer, way: str) -> None:
    """However and whenever it is left, no task and no request is left of it."""
    for _ in range(150):
        server.add_job(life_cycle=LONG)
    for hundredths in range(40):
        client = make_client(server, backoff=FixedInterval(5))
        await client.open()
        before = asyncio.all_tasks()
        user = asyncio.create_task(use(client, way, hundredths / 100))
        await asyncio.sleep(hundredths / 100)
        if way == "cancel":
            user.cancel()
        await asyncio.wait({user})
        assert user.cancelled() or user.exception() is None
        # One turn of the event loop without `async with`.
        await asyncio.sleep(0.001 if way == "let go" else 0)
        assert not supervisor_of(client).streams.is_busy
        listed = server.statistics.calls["ListJobs"]
        await asyncio.sleep(1)
        assert server.statistics.calls["ListJobs"] == listed
        assert asyncio.all_tasks() <= before
        await client.aclose()
        assert client.statistics().pending == 0


async def test_users_of_a_shared_client(server: BatchServer) -> None:
    """Each has a stream of his own, and whoever leaves ends his own alone."""
    settings: dict[str, Any] = {
        "transport": server.transport(),
        "backoff": FixedInterval(1),
        "linger": 0,
    }
    async with BatchClient.shared(**settings) as stays:
        remaining = stays.watch_queue("queue")
        async with BatchClient.shared(**settings) as leaves:
            left = leaves.watch_queue("queue")
            waiting = [asyncio.ensure_future(anext(changes)) for changes in (remaining, left)]
            await asyncio.sleep(1)
            job_id = server.add_job(life_cycle=RUNNING)
            assert [item.job_id for item in await asyncio.gather(*waiting)] == [job_id] * 2
        with pytest.raises(ClientClosedError, match="this use of a shared BatchClient is closed"):
            await told_within(left, 60)
        assert [item.status for item in await told_within(remaining, 100)] == ["SUCCEEDED"]
    await asyncio.sleep(1)
