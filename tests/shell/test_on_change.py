"""What the `on_change` of a wait hears, and when."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from awaitbatch import BatchClient, FixedInterval, MaxRetriesExceededError, StatusUnreachableError
from awaitbatch.instrumentation import Event, JobChanged
from awaitbatch.testing import Fault, LifeCycle
from tests.support import LONG, PromptClient, make_client, make_server, of_kind

from .support import QUICK, FaultyTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.testing import BatchServer

STEADY = LifeCycle(submitted=2, pending=2, runnable=2, starting=2, running=2)
ALL = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
PARENT = '{"jobs":[{"jobId":"j","status":"PENDING","arrayProperties":{"size":3,"statusSummary":%s}}]}'


def prompt(server: BatchServer, **settings: Any) -> PromptClient:
    """A client whose polls check at once and then often."""
    return PromptClient(transport=server.transport(), **{"backoff": FixedInterval(0.3), **settings})


def states(changes: list[JobChanged]) -> list[tuple[str | None, str]]:
    """From which states to which."""
    return [(change.previous, change.status) for change in changes]


def answers(*jobs: dict[str, Any]) -> Callable[[int, object], bytes]:
    """One answer after the other about the job ``j``."""
    return lambda number, _: msgspec.json.encode({"jobs": [{"jobId": "j", **jobs[number - 1]}]})


async def test_each_state_in_order() -> None:
    """A wait hears of each state of its job, from none on, and has its own answer after the last."""
    server = make_server()
    job_id = server.add_job(life_cycle=STEADY)
    changes: list[JobChanged] = []
    async with prompt(server) as client:
        await client.wait_for_job(job_id, on_change=changes.append)
    assert states(changes) == list(zip([None, *ALL], ALL, strict=False))
    assert {change.job_id for change in changes} == {job_id}


async def test_states_passed_between_checks_are_not_invented() -> None:
    """A state that the job passed between two checks is no change."""
    server = make_server()
    job_id = server.add_job(life_cycle=STEADY)
    changes: list[JobChanged] = []
    async with prompt(server, backoff=FixedInterval(6)) as client:
        await client.poll_for_job_complete(job_id, on_change=changes.append)
    assert states(changes) == [(None, "SUBMITTED"), ("SUBMITTED", "STARTING"), ("STARTING", "SUCCEEDED")]


async def test_the_description_comes_along() -> None:
    """An event has the description at that moment, like that of a describe, for observers too."""
    server = make_server()
    job_id = server.add_job(life_cycle=STEADY)
    changes: list[JobChanged] = []
    events: list[Event] = []
    async with prompt(server, observers=[events.append]) as client:
        final = await client.wait_for_job(job_id, on_change=changes.append)
    assert [change.job["status"] for change in changes] == ALL
    assert changes[-1].job == final
    assert [change.job for change in of_kind(JobChanged, events)] == [change.job for change in changes]
    assert [change.started_at for change in changes] == [change.job.get("startedAt") for change in changes]


async def test_an_event_remains_a_value() -> None:
    """Its text and its JSON do not have the description; pickles and copies do; nothing in it can be set."""
    server = make_server()
    changes: list[JobChanged] = []
    async with prompt(server) as client:
        await client.poll_for_job_running(server.add_job(life_cycle=LONG), on_change=changes.append)
    (change,) = changes
    assert len(repr(change)) < 300
    assert b"jobQueue" not in msgspec.json.encode(change)
    for same in (pickle.loads(pickle.dumps(change)), copy.copy(change), copy.deepcopy(change)):  # noqa: S301
        assert same == change
        assert hash(same) == hash(change)
        assert same.job == change.job
    with pytest.raises(AttributeError):
        change.reason = "other"  # type: ignore[misc]
    assert change.progress is None


@pytest.mark.parametrize(
    "item", [None, b"{", b'"\xff"', b"[" * 100_000], ids=["none", "cut off", "no text", "too deep"]
)
def test_an_event_without_a_description(item: bytes | None) -> None:
    """An event that somebody else made, or whose description nobody can read, says so."""
    members: dict[str, Any] = dict.fromkeys(("previous", "created_at", "started_at", "stopped_at"))
    event = JobChanged.of(item, job_id="j", status="RUNNING", attempt=1, seen_at=0, **members)
    with pytest.raises(ValueError, match=r"AWS Batch job \(j\)"):
        event.job  # noqa: B018
    assert event.progress is None


async def test_several_waits_hear_for_themselves() -> None:
    """Each wait for a job hears of what it sees itself, from its own beginning."""
    server = make_server()
    job_id = server.add_job(life_cycle=STEADY)
    first: list[JobChanged] = []
    second: list[JobChanged] = []
    events: list[Event] = []
    async with prompt(server, observers=[events.append]) as client:
        one = asyncio.create_task(client.wait_for_job(job_id, on_change=first.append))
        silent = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(5)
        await client.poll_job_status(job_id, ["RUNNING"], on_change=second.append)
        await asyncio.gather(one, silent)
    assert [change.status for change in first] == ALL
    assert states(second) == [(None, "RUNNABLE"), ("RUNNABLE", "STARTING"), ("STARTING", "RUNNING")]
    assert [change.status for change in of_kind(JobChanged, events)] == ALL


async def test_anothers_answer_is_news_too() -> None:
    """What an answer to somebody else shows of the job is heard at once, and no check is made for it."""
    server = make_server()
    job_id = server.add_job(life_cycle=STEADY)
    changes: list[JobChanged] = []
    async with prompt(server, backoff=FixedInterval(100)) as client:
        waiting = asyncio.create_task(client.poll_for_job_complete(job_id, on_change=changes.append))
        await asyncio.sleep(5)
        await client.describe(job_id)
        assert states(changes) == [(None, "SUBMITTED"), ("SUBMITTED", "RUNNABLE")]
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_reason_is_a_change() -> None:
    """A new reason of the same state is a change, silence is none, and an older state is none either."""
    plan = answers(
        {"status": "RUNNABLE"},
        {"status": "RUNNABLE", "statusReason": "CAPACITY:x"},
        {"status": "RUNNABLE"},
        {"status": "RUNNABLE", "statusReason": "CAPACITY:x"},
        {"status": "SUBMITTED"},
        {"status": "RUNNABLE", "statusReason": "MISCONFIGURATION:y"},
        {"status": "SUCCEEDED"},
    )
    changes: list[JobChanged] = []
    async with make_client(FaultyTransport(make_server(), plan), backoff=FixedInterval(1)) as client:
        await client.poll_job_status("j", ["SUCCEEDED"], on_change=changes.append)
    assert [(change.previous, change.status, change.reason) for change in changes] == [
        (None, "RUNNABLE", None),
        ("RUNNABLE", "RUNNABLE", "CAPACITY:x"),
        ("RUNNABLE", "RUNNABLE", "MISCONFIGURATION:y"),
        ("RUNNABLE", "SUCCEEDED", None),
    ]


async def test_the_progress_of_an_array() -> None:
    """Each change of the counts of an array's children is a change of its parent, with the counts."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(STEADY, running=10), array_size=3)
    changes: list[JobChanged] = []
    events: list[Event] = []
    async with prompt(server, observers=[events.append]) as client:
        await client.wait_for_job(job_id, on_change=changes.append)
    seen = [change.progress.counts if change.progress else {} for change in changes]
    assert seen[-3:] == [{"STARTING": 3}, {"RUNNING": 3}, {"SUCCEEDED": 3}]
    assert len(seen) == len({str(counts) for counts in seen}) or seen[0] == seen[1]
    assert states(changes)[-2:] == [("PENDING", "PENDING"), ("PENDING", "SUCCEEDED")]
    # Observers hear of states alone, with the progress by then.
    heard = of_kind(JobChanged, events)
    assert [change.status for change in heard] == ["SUBMITTED", "PENDING", "SUCCEEDED"]
    progress = heard[-1].progress
    assert progress is not None
    assert (progress.job_id, progress.status, progress.size, progress.ended) == (job_id, "SUCCEEDED", 3, 3)


@pytest.mark.parametrize(
    ("summary", "counts"),
    [
        ('{"RUNNING":2,"STARTING":1}', {"RUNNING": 2, "STARTING": 1}),
        ('{"RUN\\nNING":2}', {r"'RUN\nNING'": 2}),
        ('{"RUNNING":"2","STARTING":1}', {"STARTING": 1}),
        ("{}", None),
        ("null", None),
        ("[3]", None),
        ("7", None),
    ],
)
async def test_odd_counts_hurt_nobody(summary: str, counts: dict[str, int] | None) -> None:
    """What is no count is left out, and the wait goes on."""
    transport = FaultyTransport(make_server(), lambda *_: (PARENT % summary).encode())
    changes: list[JobChanged] = []
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        with pytest.raises(MaxRetriesExceededError):
            await client.poll_job_status("j", ["SUCCEEDED"], max_retries=3, on_change=changes.append)
    (change,) = changes
    assert (change.status, change.progress and change.progress.counts) == ("PENDING", counts)


async def test_the_change_that_ends_a_wait_in_an_error() -> None:
    """What the last check saw is heard of, also if it means that the wait has failed."""
    server = make_server()
    changes: list[JobChanged] = []
    failing = server.add_job(life_cycle=replace(QUICK, outcome="FAILED"))
    async with prompt(server) as client:
        with pytest.raises(StatusUnreachableError):
            await client.poll_job_status(failing, ["SUCCEEDED"], on_change=changes.append)
        assert changes[-1].status == "FAILED"
        changes.clear()
        with pytest.raises(MaxRetriesExceededError):
            await client.poll_job_status(
                server.add_job(life_cycle=LONG), ["SUCCEEDED"], max_retries=0, on_change=changes.append
            )
        assert states(changes) == [(None, "RUNNING")]


async def test_failed_calls_and_gaps_are_no_changes() -> None:
    """Errors, missing jobs and missing states are heard of by nobody."""
    server = make_server()
    changes: list[JobChanged] = []
    async with prompt(server) as client:
        waiting = asyncio.create_task(
            client.wait_for_job(
                server.add_job(life_cycle=replace(QUICK, running=30)), on_change=changes.append
            )
        )
        await asyncio.sleep(2)
        for fault in (Fault.SERVER_EXCEPTION, Fault.NO_STATUS, Fault.MISSING_JOBS):
            server.inject(fault, calls=2)
            await asyncio.sleep(3)
        await waiting
    assert [change.status for change in changes] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


class OwnError(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("error", [ValueError, OwnError, asyncio.CancelledError])
async def test_one_that_raises(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises is logged once, however many waits have such a function; no wait ends for it."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=STEADY) for _ in range(20)]
    heard: list[str] = []

    def make() -> Callable[[JobChanged], None]:
        def broken(event: JobChanged) -> None:
            heard.append(event.status)
            message = "as it is"
            raise error(message)

        return broken

    async with prompt(server) as client:
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, on_change=make()) for job_id in job_ids))
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
    assert len(heard) == 20 * len(ALL)
    (line,) = caplog.messages
    assert line.startswith("the on_change test_one_that_raises.")
    assert line.endswith("as it is; more errors like this are not logged")


async def test_one_that_ends_the_program() -> None:
    """KeyboardInterrupt and SystemExit are obeyed."""
    server = make_server()

    def leave(_: JobChanged) -> None:
        raise SystemExit

    async with prompt(server) as client:
        changes = client._changes(leave)
        assert changes is not None
        with pytest.raises(SystemExit):
            changes.note(b'{"jobId":"j","status":"RUNNING"}')


async def test_it_is_called_in_the_context_of_who_waits() -> None:
    """Each function sees the context variables of its own wait, as a log that goes by them needs."""
    server = make_server()
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    async def wait(name: str) -> None:
        variable.set(name)
        job_id = server.add_job(life_cycle=LONG)
        await client.poll_for_job_running(job_id, on_change=lambda _: seen.append((name, variable.get())))

    async with prompt(server) as client:
        await asyncio.gather(*(wait(name) for name in "abc"))
    assert sorted(seen) == [("a", "a"), ("b", "b"), ("c", "c")]


async def test_nothing_follows_a_cancellation() -> None:
    """From the moment on in which its wait is cancelled, it is not called, not even in that turn of the loop."""
    server = make_server()
    job_id = server.add_job(life_cycle=STEADY)
    changes: list[JobChanged] = []

    def note(change: JobChanged) -> None:
        changes.append(change)
        if len(changes) == 3:
            for wait in waits:
                wait.cancel()

    async with prompt(server) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id, on_change=note)) for _ in range(2)]
        await asyncio.wait(waits)
    assert all(wait.cancelled() for wait in waits)
    assert states(changes) == [(None, "SUBMITTED")] * 2 + [("SUBMITTED", "PENDING")]


async def test_users_of_a_shared_client() -> None:
    """Waits of a shared client hear of changes, too."""
    server = make_server()
    transport = server.transport()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=0, starting=0))
    changes: list[JobChanged] = []
    arguments: dict[str, Any] = {"transport": transport, "backoff": FixedInterval(1), "linger": 0}
    async with BatchClient.shared(**arguments) as client, BatchClient.shared(**arguments) as other:
        await asyncio.gather(
            client.wait_for_job(job_id, on_change=changes.append), other.wait_for_job(job_id)
        )
    # It has been closed by then.
    await asyncio.sleep(1)
    assert states(changes) == [(None, "RUNNING"), ("RUNNING", "SUCCEEDED")]


@pytest.mark.parametrize("wrong", [3, "print", JobChanged])
async def test_what_cannot_be_called_is_refused(wrong: Any) -> None:
    """An on_change that is no function is refused before anything is asked."""
    server = make_server()
    async with prompt(server) as client:
        for wait in (client.wait_for_job, client.poll_for_job_running, client.poll_for_job_complete):
            with pytest.raises(ValueError, match="on_change must be a function"):
                await wait("j", on_change=wrong)

        async def late(_: JobChanged) -> None: ...

        with pytest.raises(ValueError, match="on_change must be a function"):
            await client.poll_job_status("j", ["RUNNING"], on_change=late)
        assert client.statistics().calls == 0


async def test_a_description_is_kept_without_its_neighbours() -> None:
    """An event keeps its own description, and not the answer with a hundred of them."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(100)]
    changes: list[JobChanged] = []
    async with prompt(server) as client:
        waits = (client.poll_for_job_running(job_id, on_change=changes.append) for job_id in job_ids)
        await asyncio.gather(*waits)
        assert client.statistics().calls == 1
    assert sorted(change.job["jobId"] for change in changes) == sorted(job_ids)
    assert all(type(change._item) is bytes and len(change._item) < 5000 for change in changes)
