"""The `stuck_after` of a wait for one job: a WARNING and an event, once."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest

import awaitbatch
from awaitbatch import BatchClient, FixedInterval, JobStuck
from awaitbatch.instrumentation import Event, JobChanged
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, make_client, of_kind

from .test_streams import Scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing import BatchServer

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
WAITS = LifeCycle(submitted=0, pending=0, runnable=60, starting=2, running=5)

METHODS: list[tuple[str, Callable[..., Awaitable[Any]]]] = [
    ("wait_for_job", BatchClient.wait_for_job),
    ("poll_for_job_running", BatchClient.poll_for_job_running),
    ("poll_for_job_complete", BatchClient.poll_for_job_complete),
    ("poll_job_status", lambda client, job_id, **more: client.poll_job_status(job_id, ["STARTING"], **more)),
]
each_method = pytest.mark.parametrize(
    "wait", [method for _, method in METHODS], ids=[name for name, _ in METHODS]
)


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Lines at WARNING and above."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@each_method
async def test_a_warning_and_an_event(
    server: BatchServer, wait: Callable[..., Awaitable[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """They come once, in time, with the reason and the position; the wait goes on as it would."""
    server.add_job(life_cycle=WAITS)
    server.block_queue("queue", CAPACITY)
    asyncio.get_running_loop().call_later(40, server.unblock_queue, "queue")
    events: list[Event] = []
    job_id = server.add_job(life_cycle=WAITS)
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        await wait(client, job_id, stuck_after=20)
    (stuck,) = of_kind(JobStuck, events)
    assert stuck == JobStuck(job_id, stuck.seconds, CAPACITY, 2)
    assert stuck.seconds == pytest.approx(20, abs=0.6)
    (line,) = warnings(caplog)
    assert line.getMessage() == (
        f"AWS Batch job ({job_id}) has been RUNNABLE for 20 s, at position 2 of its queue: {CAPACITY}"
    )
    members = vars(line)
    assert [members[name] for name in ("job_id", "reason", "position")] == [job_id, CAPACITY, 2]


@each_method
async def test_who_moves_on_in_time_is_not_reported(
    server: BatchServer, wait: Callable[..., Awaitable[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor who is not asked for, and nothing is asked of AWS for either."""
    events: list[Event] = []
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        await wait(client, server.add_job(life_cycle=WAITS), stuck_after=61.5)
        await wait(client, server.add_job(life_cycle=WAITS))
    assert of_kind(JobStuck, events) == []
    assert warnings(caplog) == []
    assert server.statistics.calls["GetJobQueueSnapshot"] == 0


async def test_a_job_is_reported_once_though_it_is_retried() -> None:
    """The two polls of wait_for_job are one wait, and a retry takes a job back to RUNNABLE."""
    events: list[Event] = []
    states = [*["RUNNABLE"] * 8, "RUNNING", *["1 RUNNABLE"] * 8, "1 RUNNING", "SUCCEEDED"]
    transport: Any = Scripted(j=states)
    async with make_client(transport, backoff=FixedInterval(2), observers=[events.append]) as client:
        await client.wait_for_job("j", stuck_after=8)
    assert [event.job_id for event in of_kind(JobStuck, events)] == ["j"]


async def test_a_retry_may_be_the_one_that_is_stuck() -> None:
    """Its time counts for itself, and a change of the reason does not begin it anew."""

    class Explained(Scripted):
        def _next(self, job_id: str) -> dict[str, Any]:
            job = super()._next(job_id)
            left = len(self.scripts[job_id])
            return job | ({"statusReason": f"why {left % 2}"} if job["status"] == "RUNNABLE" else {})

    events: list[Event] = []
    states = [*["RUNNABLE"] * 3, "RUNNING", *["1 RUNNABLE"] * 8, "1 RUNNING", "SUCCEEDED"]
    transport: Any = Explained(j=states)
    async with make_client(transport, backoff=FixedInterval(2), observers=[events.append]) as client:
        await client.wait_for_job("j", stuck_after=8)
    (stuck,) = of_kind(JobStuck, events)
    assert stuck.seconds == pytest.approx(8, abs=0.1)
    before = events[: events.index(stuck)]
    assert [event.attempt for event in of_kind(JobChanged, before)][-1] == 2
    assert stuck.reason is not None
    assert stuck.reason.startswith("why")


async def test_with_on_change(server: BatchServer) -> None:
    """Both hear of the job, each in its own way."""
    events: list[Event] = []
    changes: list[JobChanged] = []
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        job_id = server.add_job(life_cycle=WAITS)
        await client.wait_for_job(job_id, stuck_after=20, on_change=changes.append)
    assert [change.status for change in changes] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert len(of_kind(JobStuck, events)) == 1


@pytest.mark.parametrize("way", ["cancel", "close"])
async def test_nothing_comes_after_the_wait(server: BatchServer, way: str) -> None:
    """A wait that has ended while the position was asked for reports nothing, and leaves nothing."""
    server.inject(Fault.HANG, operations=["GetJobQueueSnapshot"])
    events: list[Event] = []
    loop = asyncio.get_running_loop()
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        job_id = server.add_job(life_cycle=WAITS)
        wait = asyncio.create_task(client.wait_for_job(job_id, stuck_after=10))
        await asyncio.sleep(12)
        begin = loop.time()
        if way == "cancel":
            wait.cancel()
        else:
            await client.aclose()
        await asyncio.gather(wait, return_exceptions=True)
        assert loop.time() - begin < 0.1
        await asyncio.sleep(30)
    assert of_kind(JobStuck, events) == []


async def test_of_a_shared_client(server: BatchServer, caplog: pytest.LogCaptureFixture) -> None:
    """All users' observers hear of it, as of all events; the WARNING goes to the logger of shared clients."""
    first: list[Event] = []
    second: list[Event] = []
    settings: dict[str, Any] = {"transport": server.transport(), "linger": 0, "backoff": FixedInterval(1)}
    async with (
        BatchClient.shared(**settings, observers=[first.append]) as client,
        BatchClient.shared(**settings, observers=[second.append]),
    ):
        job_id = server.add_job(life_cycle=WAITS)
        await client.wait_for_job(job_id, stuck_after=20)
    await asyncio.sleep(1)
    assert len(of_kind(JobStuck, first)) == 1
    assert of_kind(JobStuck, first) == of_kind(JobStuck, second)
    assert [line.name for line in warnings(caplog)] == ["awaitbatch.shared"]


async def test_many_lines_at_once(server: BatchServer, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand waits have a thousand events, twenty lines and one that counts the others."""
    events: list[Event] = []
    async with make_client(server, backoff=FixedInterval(5), observers=[events.append]) as client:
        job_ids = [server.add_job(life_cycle=WAITS) for _ in range(1000)]
        waits = [client.poll_for_job_running(job_id, stuck_after=20) for job_id in job_ids]
        await asyncio.gather(*waits)
    assert len(of_kind(JobStuck, events)) == 1000
    assert server.statistics.calls["GetJobQueueSnapshot"] <= 3
    assert len(warnings(caplog)) <= 150
    assert any(
        "lines like this: AWS Batch job (…) has been RUNNABLE" in line.getMessage()
        for line in warnings(caplog)
    )


@each_method
async def test_arguments(server: BatchServer, wait: Callable[..., Awaitable[Any]]) -> None:
    """A number of seconds is asked for, before anything is sent."""
    async with make_client(server) as client:
        for wrong in (math.inf, math.nan, -1, "1"):
            with pytest.raises((TypeError, ValueError), match="stuck_after must be a number of seconds"):
                await wait(client, server.add_job(life_cycle=ENDED), stuck_after=wrong)
    assert server.statistics.calls["DescribeJobs"] == 0


def test_it_is_one_class() -> None:
    """The item of a watch and the event are the same, and can be made by whoever tests his own code."""
    assert awaitbatch.JobStuck is awaitbatch.instrumentation.JobStuck
    match JobStuck("j", 900.0, "why", 3):
        case JobStuck("j", 900.0, "why", 3) as stuck:
            assert stuck == JobStuck(job_id="j", seconds=900, reason="why", position=3)
        case _:
            pytest.fail("it has no such positions")
    assert repr(stuck) == "<JobStuck j: RUNNABLE for 900 s at position 3 of its queue, why>"
    assert repr(JobStuck("j", 900.0)) == "<JobStuck j: RUNNABLE for 900 s, no reason given>"
