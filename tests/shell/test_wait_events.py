"""What observers hear of the ends of waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import AwaitBatchError, BatchClient, FixedInterval, JobNotFoundError
from awaitbatch.instrumentation import Event, WaitEnded
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, PromptClient, make_server, of_kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing import BatchServer


class BrokenSchedule:
    """A schedule that raises."""

    def window(self, tries: int) -> tuple[float, float]:
        """Raise."""
        raise ZeroDivisionError(tries)


def prompt(server: BatchServer, events: list[Event], **settings: Any) -> PromptClient:
    """A client whose polls check at once, and then every second at least."""
    backoff = FixedInterval(1)
    return PromptClient(transport=server.transport(), backoff=backoff, observers=[events.append], **settings)


async def _matched(client: BatchClient, server: BatchServer) -> None:
    await client.poll_for_job_complete(server.add_job("j", life_cycle=LifeCycle(running=3)))


async def _absent(client: BatchClient, _: BatchServer) -> None:
    await client.poll_for_job_complete("j", status_retries=2)


async def _exhausted(client: BatchClient, server: BatchServer) -> None:
    await client.poll_for_job_complete(server.add_job("j", life_cycle=LONG), max_retries=2)


async def _failed(client: BatchClient, server: BatchServer) -> None:
    server.add_job("j", life_cycle=LONG)
    server.inject(Fault.CLIENT_EXCEPTION, begin=1.5)
    await client.poll_for_job_complete("j")


async def _broken(client: BatchClient, server: BatchServer) -> None:
    await client.poll_for_job_complete(server.add_job("j", life_cycle=LONG), backoff=BrokenSchedule())


async def _closed(client: BatchClient, server: BatchServer) -> None:
    wait = asyncio.create_task(client.poll_for_job_complete(server.add_job("j", life_cycle=LONG)))
    await asyncio.sleep(2.5)
    await client.aclose()
    await wait


async def _cancelled(client: BatchClient, server: BatchServer) -> None:
    async with asyncio.timeout(2.5):
        await client.poll_for_job_complete(server.add_job("j", life_cycle=LONG))


@pytest.mark.parametrize(
    ("wait", "outcome", "checks", "status", "seconds"),
    [
        (_matched, "matched", 4, "SUCCEEDED", (3.7, 4.8)),
        (_absent, "absent", 0, None, (0.5, 1.2)),
        (_exhausted, "exhausted", 3, "RUNNING", (2, 2.2)),
        (_failed, "failed", 3, "RUNNING", (2, 2.2)),
        (_broken, "broken", 1, "RUNNING", (0.02, 0.1)),
        (_closed, "closed", 3, "RUNNING", (2.5, 2.5)),
        (_cancelled, "cancelled", 3, "RUNNING", (2.5, 2.5)),
    ],
)
async def test_why_a_poll_ended(
    wait: Callable[[BatchClient, BatchServer], Awaitable[None]],
    outcome: str,
    checks: int,
    status: str | None,
    seconds: tuple[float, float],
) -> None:
    """The end of a poll has its outcome, its seconds, the checks without success, and the last status seen."""
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        await asyncio.sleep(100)
        await asyncio.gather(wait(client, server), return_exceptions=True)
    (ended,) = of_kind(WaitEnded, events)
    assert (ended.job_id, ended.kind, ended.outcome) == ("j", "poll", outcome)
    assert (ended.checks, ended.status) == (checks, status)
    assert seconds[0] <= ended.seconds <= seconds[1]


@pytest.mark.parametrize(
    ("fault", "outcome", "status"),
    [
        (None, "matched", "RUNNING"),
        (Fault.MISSING_JOBS, "absent", None),
        (Fault.SERVER_EXCEPTION, "failed", None),
        (Fault.ACCESS_DENIED, "failed", None),
        (Fault.CLIENT_EXCEPTION, "failed", None),
        (Fault.EXPIRED_TOKEN, "failed", None),
    ],
)
async def test_why_a_describe_ended(fault: Fault | None, outcome: str, status: str | None) -> None:
    """The end of a describe has its outcome; a describe makes no checks."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    if fault is not None:
        server.inject(fault)
    events: list[Event] = []
    async with prompt(server, events, status_retries=2) as client:
        await asyncio.gather(client.describe(job_id), return_exceptions=True)
    (ended,) = of_kind(WaitEnded, events)
    assert (ended.job_id, ended.kind, ended.outcome) == (job_id, "describe", outcome)
    assert (ended.checks, ended.status, ended.lag) == (0, status, None)


async def test_describing_jobs_is_one_describe_a_job() -> None:
    """`describe_jobs` ends as one describe for each job, absent ones included."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(150)]
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.describe_jobs([*job_ids, "absent"])
    ends = of_kind(WaitEnded, events)
    assert {end.kind for end in ends} == {"describe"}
    assert sorted((end.job_id, end.outcome) for end in ends) == sorted(
        [*((job_id, "matched") for job_id in job_ids), ("absent", "absent")]
    )


async def test_describes_are_cancelled_with_the_first_that_fails() -> None:
    """When one of the describes of `describe_jobs` fails, the others end, once each, as failed or cancelled."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(150)]
    server.inject(Fault.ACCESS_DENIED)
    events: list[Event] = []
    async with prompt(server, events) as client:
        await asyncio.gather(client.describe_jobs(job_ids), return_exceptions=True)
    ends = of_kind(WaitEnded, events)
    assert sorted(end.job_id for end in ends) == sorted(job_ids)
    # The first hundred were refused together, and then half of them and the other fifty likewise.
    counts = Counter(end.outcome for end in ends)
    assert counts.keys() == {"failed", "cancelled"}
    assert counts["failed"] >= 50


async def test_waiting_for_a_job_is_two_polls() -> None:
    """`wait_for_job` is a poll until the job runs, and one until it has ended."""
    server = make_server()
    job_id = server.add_job(life_cycle=LifeCycle(running=5))
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.wait_for_job(job_id)
    ends = [(end.kind, end.outcome, end.status) for end in of_kind(WaitEnded, events)]
    assert ends == [("poll", "matched", "RUNNING"), ("poll", "matched", "SUCCEEDED")]


async def test_waiting_for_a_job_that_has_ended_is_one_poll() -> None:
    """The second poll is not needed if the first one sees the job ended."""
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.wait_for_job(server.add_job(life_cycle=ENDED))
    assert [end.status for end in of_kind(WaitEnded, events)] == ["SUCCEEDED"]


async def test_a_second_poll_that_sees_nothing_knows_what_the_first_saw() -> None:
    """The status of the second poll of `wait_for_job` is that of the first one until it sees another."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    async with prompt(server, events, status_retries=1) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id, 2))
        await asyncio.sleep(3.1)
        server.forget_job(job_id)
        with pytest.raises(JobNotFoundError):
            await wait
    assert of_kind(WaitEnded, events)[-1].outcome == "absent"
    assert of_kind(WaitEnded, events)[-1].status == "RUNNING"


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds the clock on the wall is ahead of the server's; a test may set it."""
    seconds = [0.0]
    clock = SimpleNamespace(time=lambda: asyncio.get_running_loop().time() + seconds[0])
    monkeypatch.setattr("awaitbatch._coalescer.time", clock)
    return seconds


@pytest.mark.parametrize("seconds", [0.0, 7.0, -100.0])
async def test_the_lag_of_an_end(ahead: list[float], seconds: float) -> None:
    """The lag is from the job's end by AWS's clock to the answer by this machine's, whatever that one shows."""
    ahead[0] = seconds
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        job_id = server.add_job(life_cycle=LifeCycle(running=2.5))
        loop = asyncio.get_running_loop()
        await client.poll_for_job_complete(job_id)
        expected = loop.time() - (server.ended_at(job_id) or 0) + seconds
    (ended,) = of_kind(WaitEnded, events)
    assert ended.lag == pytest.approx(expected, abs=0.0011)


async def test_a_describe_of_a_job_that_has_ended_has_a_lag(ahead: list[float]) -> None:
    """The lag of a describe grows with the time for which the job has been over."""
    ahead[0] = 0
    server = make_server()
    job_id = server.add_job(life_cycle=ENDED)
    events: list[Event] = []
    async with prompt(server, events) as client:
        await asyncio.sleep(3600)
        await client.describe(job_id)
    assert [end.lag for end in of_kind(WaitEnded, events)] == [pytest.approx(3600, abs=0.1)]


async def test_no_lag_for_a_job_that_runs() -> None:
    """A job that was seen running has no lag."""
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        await client.poll_for_job_running(server.add_job(life_cycle=LONG))
    assert [(end.status, end.lag) for end in of_kind(WaitEnded, events)] == [("RUNNING", None)]


async def test_a_job_that_ended_otherwise_than_awaited_has_a_lag() -> None:
    """A poll whose checks are used up by a job that has ended has a lag: the job was seen ended."""
    server = make_server()
    events: list[Event] = []
    async with prompt(server, events) as client:
        with pytest.raises(AwaitBatchError):
            await client.poll_job_status(server.add_job(life_cycle=ENDED), ["RUNNING"], max_retries=0)
    (ended,) = of_kind(WaitEnded, events)
    assert (ended.outcome, ended.status) == ("unreachable", "SUCCEEDED")
    assert ended.lag is not None


async def test_each_wait_ends_once() -> None:
    """Waits that end in all sorts of ways at once, and are cancelled on top, have one end each."""
    server = make_server()
    jobs = {
        server.add_job(life_cycle=life): life
        for life in (ENDED, LONG, LifeCycle(running=2), LifeCycle(running=4, outcome="FAILED")) * 50
    }
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=[*jobs][:3])
    server.inject(Fault.SERVER_EXCEPTION, probability=0.2)
    events: list[Event] = []
    async with prompt(server, events) as client:
        polls = [asyncio.create_task(client.poll_for_job_complete(job_id)) for job_id in jobs]
        await asyncio.sleep(3)
        for poll in polls[::3]:
            poll.cancel()
        await asyncio.sleep(20)
    await asyncio.gather(*polls, return_exceptions=True)
    ends = of_kind(WaitEnded, events)
    assert sorted(end.job_id for end in ends) == sorted(jobs)
    assert {end.outcome for end in ends} == {"matched", "failed", "cancelled", "closed"}
