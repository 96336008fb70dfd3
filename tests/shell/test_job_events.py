"""What observers hear of single jobs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from awaitbatch import FixedInterval, JobNotFoundError, MaxRetriesExceededError
from awaitbatch.instrumentation import CallEnded, Event, JobChanged, JobMissing, WaitEnded
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, PromptClient, make_client, make_server, of_kind

from .support import QUICK, FaultyTransport

if TYPE_CHECKING:
    from awaitbatch.testing import BatchServer

OFTEN = FixedInterval(0.3)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds the clock on the wall is ahead of the server's, which is the loop's; a test may set it."""
    ahead = [0.0]
    clock = SimpleNamespace(time=lambda: asyncio.get_running_loop().time() + ahead[0])
    monkeypatch.setattr("awaitbatch._coalescer.time", clock)
    return ahead


def prompt(server: BatchServer, events: list[Event], **settings: Any) -> PromptClient:
    """A client whose polls check at once and then often."""
    return PromptClient(transport=server.transport(), backoff=OFTEN, observers=[events.append], **settings)


async def test_one_change_a_job_and_state() -> None:
    """Each state of a job is one change from the state before, however many wait for it and in how many steps."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=2, starting=2))
    events: list[Event] = []
    async with prompt(server, events) as client:
        await asyncio.gather(*(client.wait_for_job(job_id) for _ in range(5)))
    changes = of_kind(JobChanged, events)
    assert {change.job_id for change in changes} == {job_id}
    assert [(change.previous, change.status) for change in changes] == [
        (None, "RUNNABLE"),
        ("RUNNABLE", "STARTING"),
        ("STARTING", "RUNNING"),
        ("RUNNING", "SUCCEEDED"),
    ]


async def test_no_news_for_the_next_wait() -> None:
    """What one wait has seen of a job is no change for the waits that follow."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=0, starting=0))
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.poll_for_job_running(job_id)
        await client.poll_for_job_running(job_id)
        await asyncio.sleep(10)
        await client.poll_for_job_complete(job_id)
        await client.poll_for_job_complete(job_id)
    changes = [(change.previous, change.status) for change in of_kind(JobChanged, events)]
    assert changes == [(None, "RUNNING"), ("RUNNING", "SUCCEEDED")]


async def test_what_only_a_describe_sees_is_no_change() -> None:
    """Describes make no changes; a poll that follows sees the job as new."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.describe(job_id)
        await client.describe_jobs([job_id])
        assert of_kind(JobChanged, events) == []
        await client.poll_for_job_running(job_id)
    assert [(change.previous, change.status) for change in of_kind(JobChanged, events)] == [(None, "RUNNING")]


async def test_attempts_are_numbered() -> None:
    """A change has the number of the attempt that the job is in; at the end, that of the attempt that ended it."""
    server = make_server()
    job_id = server.add_job(
        life_cycle=LifeCycle(
            submitted=1, pending=1, runnable=1, starting=1, running=1, attempts=3, outcome="FAILED"
        )
    )
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.wait_for_job(job_id)
    assert [(change.status, change.attempt) for change in of_kind(JobChanged, events)] == [
        ("SUBMITTED", 1),
        ("PENDING", 1),
        ("RUNNABLE", 1),
        ("STARTING", 1),
        ("RUNNING", 1),
        ("RUNNABLE", 2),
        ("STARTING", 2),
        ("RUNNING", 2),
        ("RUNNABLE", 3),
        ("STARTING", 3),
        ("RUNNING", 3),
        ("FAILED", 3),
    ]


async def test_a_job_that_ends_before_its_first_attempt() -> None:
    """A job that was terminated before it ran has no attempt, and never started."""
    server = make_server()
    job_id = server.add_job(life_cycle=LifeCycle(runnable=1e6))
    events: list[Event] = []
    async with prompt(server, events) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(3)
        await client.terminate_job(job_id, "enough")
        await wait
    last = of_kind(JobChanged, events)[-1]
    assert (last.previous, last.status, last.attempt, last.started_at) == ("RUNNABLE", "FAILED", 0, None)
    assert last.stopped_at is not None


async def test_times_are_those_of_the_description() -> None:
    """A change has the times of the answer that showed it, and None for what has not happened by then."""
    server = make_server()
    await asyncio.sleep(1000)
    job_id = server.add_job(life_cycle=LifeCycle())
    events: list[Event] = []
    async with prompt(server, events) as client:
        job = await client.wait_for_job(job_id)
    first, *_, running, ended = of_kind(JobChanged, events)
    assert (first.created_at, first.started_at, first.stopped_at) == (1_000_000, None, None)
    assert (running.status, running.started_at, running.stopped_at) == ("RUNNING", job["startedAt"], None)
    times = (ended.created_at, ended.started_at, ended.stopped_at)
    assert times == (job["createdAt"], job["startedAt"], job["stoppedAt"])


@pytest.mark.parametrize("odd", ["soon", None, 1.5, True, [], {}, -1.0], ids=repr)
async def test_odd_times_hurt_nobody(odd: object) -> None:
    """What is no whole number of milliseconds is no time, and the wait ends as it should."""
    times = {"createdAt": odd, "startedAt": odd, "stoppedAt": odd}
    body = msgspec.json.encode({"jobs": [{"jobId": "j", "status": "SUCCEEDED", "attempts": [{}], **times}]})
    events: list[Event] = []
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport, observers=[events.append]) as client:
        assert await client.poll_job_status("j", ["SUCCEEDED"])
    (change,) = of_kind(JobChanged, events)
    assert (change.created_at, change.started_at, change.stopped_at) == (None, None, None)
    assert change.attempt == 1
    assert [event.lag for event in of_kind(WaitEnded, events)] == [None]


async def test_a_stop_of_a_job_that_runs_is_no_end() -> None:
    """A job that runs has no lag, even if AWS gives a time at which it stopped."""
    body = msgspec.json.encode({"jobs": [{"jobId": "j", "status": "RUNNING", "stoppedAt": 7}]})
    events: list[Event] = []
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport, observers=[events.append]) as client:
        assert await client.poll_job_status("j", ["RUNNING"])
    assert [event.lag for event in of_kind(WaitEnded, events)] == [None]


@pytest.mark.parametrize("moment", [0, -1, 2**63, -(2**63), 10**30])
async def test_far_times_hurt_nobody(moment: int) -> None:
    """A time may be long ago, and a number too large for one is no time."""
    body = msgspec.json.encode({"jobs": [{"jobId": "j", "status": "SUCCEEDED", "stoppedAt": moment}]})
    events: list[Event] = []
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport, observers=[events.append]) as client:
        assert await client.poll_job_status("j", ["SUCCEEDED"])
    is_time = abs(moment) < 2**53
    assert [event.stopped_at for event in of_kind(JobChanged, events)] == [moment if is_time else None]
    assert [event.lag is not None for event in of_kind(WaitEnded, events)] == [is_time]


async def test_a_number_too_large_for_a_float_hurts_nobody() -> None:
    """Digits without end in the place of a time are no time, and stop neither this wait nor another."""
    body = b'{"jobs":[{"jobId":"j","status":"SUCCEEDED","stoppedAt":1%s}]}' % (b"0" * 400)
    server = make_server()
    other = server.add_job(life_cycle=QUICK)
    transport = FaultyTransport(server, lambda _, job_ids: body if job_ids == ("j",) else None)
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(1), observers=[events.append]) as client:
        async with asyncio.timeout(60):
            assert await client.poll_job_status("j", ["SUCCEEDED"])
            assert (await client.wait_for_job(other, 0))["status"] == "SUCCEEDED"


async def test_seen_at_goes_by_the_clock_on_the_wall(wall_clock: list[float]) -> None:
    """A change was seen when the answer came, in whole milliseconds since the epoch by this machine's clock."""
    wall_clock[0] = 1_800_000_000.0006
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        await asyncio.sleep(50)
        await client.poll_for_job_running(server.add_job(life_cycle=LONG))
    (change,) = of_kind(JobChanged, events)
    assert change.seen_at == 1_800_000_050_020
    assert type(change.seen_at) is int


async def test_all_changes_of_an_answer_were_seen_at_once(wall_clock: list[float]) -> None:
    """The jobs of one answer have one moment at which they were seen."""
    wall_clock[0] = 1000
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        job_ids = [server.add_job(life_cycle=ENDED) for _ in range(100)]
        await asyncio.gather(*map(client.poll_for_job_complete, job_ids))
    assert len(of_kind(CallEnded, events)) == 1
    assert [change.seen_at for change in of_kind(JobChanged, events)] == [1_000_020] * 100


async def test_a_status_that_nobody_knows_is_a_change() -> None:
    """A state that AWS invented yesterday is a change to it, in one line, and the job goes on."""
    body = b'{"jobs": [{"jobId": "j", "status": "PAUSED\\nforged"}]}'
    transport = FaultyTransport(make_server(), lambda number, _: body if number == 1 else None)
    events: list[Event] = []
    async with make_client(
        transport, backoff=FixedInterval(1), status_retries=1, observers=[events.append]
    ) as client:
        with pytest.raises(JobNotFoundError):
            await client.poll_job_status("j", ["RUNNING"])
    assert [(change.status, change.attempt) for change in of_kind(JobChanged, events)] == [
        (r"'PAUSED\nforged'", 1)
    ]


async def test_a_job_without_a_status_has_not_changed() -> None:
    """An answer that lacks the status of a job is no change."""
    server = make_server()
    server.inject(Fault.NO_STATUS, calls=2)
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.poll_for_job_running(server.add_job(life_cycle=LONG))
    assert [(change.previous, change.status) for change in of_kind(JobChanged, events)] == [(None, "RUNNING")]
    assert of_kind(JobMissing, events) == []


async def test_stale_answers_are_no_changes() -> None:
    """An answer that shows a job as it was before is no change."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=3, starting=3))
    events: list[Event] = []
    async with prompt(server, events) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(4)
        server.inject(Fault.STALE_JOBS, end=2)
        await wait
    changes = [change.status for change in of_kind(JobChanged, events)]
    assert changes == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


async def test_a_reason_that_changes_is_a_change() -> None:
    """What AWS says of a state comes with the change to it, and again when it says something else, or something."""
    reasons = [None, "CAPACITY:x", "CAPACITY:x", None, "MISCONFIGURATION:y", "MISCONFIGURATION:y"]
    bodies = [
        msgspec.json.encode({"jobs": [{"jobId": "j", "status": "RUNNABLE", "statusReason": reason}]})
        for reason in reasons
    ]
    bodies.append(b'{"jobs": [{"jobId": "j", "status": "SUCCEEDED", "statusReason": "done"}]}')
    transport = FaultyTransport(make_server(), lambda number, _: bodies[number - 1])
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(1), observers=[events.append]) as client:
        assert await client.poll_job_status("j", ["SUCCEEDED"])
    assert [(change.previous, change.status, change.reason) for change in of_kind(JobChanged, events)] == [
        (None, "RUNNABLE", None),
        ("RUNNABLE", "RUNNABLE", "CAPACITY:x"),
        ("RUNNABLE", "RUNNABLE", "MISCONFIGURATION:y"),
        ("RUNNABLE", "SUCCEEDED", "done"),
    ]


@pytest.mark.parametrize("odd", [5, True, [], ["x"], {"a": {}}, ""], ids=repr)
async def test_an_odd_reason_hurts_nobody(odd: object) -> None:
    """What is no text is no reason, and the wait ends as it should."""
    body = msgspec.json.encode({"jobs": [{"jobId": "j", "status": "SUCCEEDED", "statusReason": odd}]})
    events: list[Event] = []
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport, observers=[events.append]) as client:
        assert await client.poll_job_status("j", ["SUCCEEDED"])
    assert [(change.status, change.reason) for change in of_kind(JobChanged, events)] == [("SUCCEEDED", None)]


async def test_waits_that_give_up_know_the_last_reason() -> None:
    """Each wait whose checks are used up has the reason last seen, whichever of them saw it first."""
    body = b'{"jobs": [{"jobId": "j", "status": "RUNNABLE", "statusReason": "MISCONFIGURATION:x"}]}'
    transport = FaultyTransport(make_server(), lambda *_: body)
    async with make_client(transport, backoff=FixedInterval(1), max_retries=3) as client:
        polls = (client.poll_job_status("j", ["SUCCEEDED"]) for _ in range(3))
        errors = await asyncio.gather(*polls, return_exceptions=True)
        # The job is remembered with its reason.
        with pytest.raises(MaxRetriesExceededError) as caught:
            await client.poll_job_status("j", ["SUCCEEDED"], max_retries=0)
    for error in (*errors, caught.value):
        assert isinstance(error, MaxRetriesExceededError)
        assert (error.last_status, error.last_reason) == ("RUNNABLE", "MISCONFIGURATION:x")


async def test_a_missing_job_is_heard_of_each_time() -> None:
    """Each good answer that lacks a job is an event of its own, and failed calls are none."""
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events, status_retries=4) as client:
        server.inject(Fault.SERVER_EXCEPTION, calls=2)
        with pytest.raises(JobNotFoundError):
            await client.poll_for_job_complete("absent")
        answered = [call.outcome for call in of_kind(CallEnded, events)].count("answered")
    assert of_kind(JobMissing, events) == [JobMissing(job_id="absent")] * 4
    assert answered == 4


async def test_a_missing_job_is_one_however_many_wait() -> None:
    """An answer that lacks a job is one event, whoever asked for the job, and present jobs are none."""
    server = make_server()
    present = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    async with prompt(server, events, status_retries=1) as client:
        outcomes = await asyncio.gather(
            client.describe("absent"),
            client.describe_jobs(["absent", present]),
            client.poll_for_job_running("absent"),
            return_exceptions=True,
        )
    assert [type(outcome) for outcome in outcomes] == [JobNotFoundError, dict, JobNotFoundError]
    assert len(of_kind(CallEnded, events)) == 1
    assert of_kind(JobMissing, events) == [JobMissing(job_id="absent")]
