"""However much there is to do, others on the event loop have their turns meanwhile, and nothing is lost."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from awaitbatch import ClientClosedError, DescribeError, FixedInterval
from awaitbatch import _coalescer as coalescer_module
from awaitbatch.instrumentation import CallEnded, Event, JobChanged, WaitEnded
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, PromptClient, make_client, make_server, of_kind, supervisor_of, until

from .support import FaultyTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 5_000


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def counting_turns() -> Iterator[Turns]:
    """Count the turns of the loop during the body; a task that counts would keep its clock from moving."""
    turns = Turns()
    loop: Any = asyncio.get_running_loop()
    run_once = loop._run_once

    def counted() -> None:
        turns.count += 1
        run_once()

    with mock.patch.object(loop, "_run_once", counted):
        yield turns


@pytest.mark.usefixtures("_no_slow_start")
async def test_many_described_at_once() -> None:
    """Ids are read, requests made and taken back in slices; the ids are those of the call, whatever comes later."""
    server = make_server()
    ids = [server.add_job(life_cycle=ENDED) for _ in range(MANY)]
    given = list(ids)
    async with make_client(server, max_calls_per_second=1e6) as client:
        describing = asyncio.create_task(client.describe_jobs(given))
        await asyncio.sleep(0)
        assert client.statistics().pending == 0
        given.clear()
        turns = 0
        while not client.statistics().pending:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 2
        assert [job["jobId"] for job in (await describing)["jobs"]] == ids


async def test_few_are_described_in_one_turn() -> None:
    """What fits into one slice does not pause."""
    server = make_server()
    ids = [server.add_job(life_cycle=ENDED) for _ in range(1_000)]
    async with make_client(server) as client:
        describing = asyncio.create_task(client.describe_jobs(ids))
        await asyncio.sleep(0)
        assert client.statistics().pending == len(ids)
        describing.cancel()
        await asyncio.wait([describing])
        assert client.statistics().pending == 0


@pytest.mark.parametrize("turns", [0, 3, 8, 100])
async def test_many_described_are_taken_back_when_cancelled(turns: int) -> None:
    """Whenever it is cancelled, no request stays behind, and each wait that began has ended."""
    server = make_server()
    events: list[Any] = []
    async with make_client(server, observers=[events.append]) as client:
        describing = asyncio.create_task(client.describe_jobs([f"job-{n}" for n in range(MANY)]))
        for _ in range(turns):
            await asyncio.sleep(0)
        begun = client.statistics().pending
        describing.cancel()
        await asyncio.wait([describing])
        assert describing.cancelled()
        with counting_turns() as counted:
            await until(lambda: client.statistics().pending == 0)
        assert counted.count < 100
        assert sum(isinstance(event, WaitEnded) for event in events) == begun


async def test_many_described_fail_at_the_first_error() -> None:
    """An error that ends it all also ends what is not even begun."""
    server = make_server()
    transport = FaultyTransport(server)
    async with make_client(
        transport, status_retries=1, describe_window=0, max_calls_per_second=1e6
    ) as client:
        transport._plan = lambda *_: ConnectionError("down")
        with pytest.raises(DescribeError, match="down"):
            await client.describe_jobs([f"job-{n}" for n in range(MANY)])
        await until(lambda: client.statistics().pending == 0)


@pytest.mark.parametrize("is_closed_meanwhile", [False, True])
async def test_many_who_wait_for_one_job(is_closed_meanwhile: bool) -> None:
    """They are told in slices, after the news, and all of them even if the client is closed meanwhile."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    events: list[Any] = []
    client = PromptClient(transport=server.transport(), backoff=FixedInterval(5), observers=[events.append])
    await client.open()
    waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for _ in range(MANY)]
    await asyncio.sleep(12)
    await client.terminate_job(job_id, "enough")
    events.clear()
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    assert 0 < len(done) < MANY
    if is_closed_meanwhile:
        await client.aclose()
    with counting_turns() as turns:
        jobs = await asyncio.gather(*waits)
    if not is_closed_meanwhile:
        assert turns.count > 5
        await client.aclose()
    assert {job["status"] for job in jobs} == {"FAILED"}
    kinds = [type(event) for event in events if isinstance(event, (CallEnded, JobChanged, WaitEnded))]
    first = kinds.index(JobChanged)
    assert kinds[first - 1 : first + 1 + MANY] == [CallEnded, JobChanged, *[WaitEnded] * MANY]
    assert {event.outcome for event in events if isinstance(event, WaitEnded)} == {"matched"}


@pytest.mark.parametrize("cancel_others", [False, True])
async def test_many_are_told_that_the_client_closes(cancel_others: bool) -> None:
    """Each wait ends once: as closed, or as cancelled by somebody who was told before."""
    server = make_server()
    events: list[Any] = []
    client = PromptClient(transport=server.transport(), observers=[events.append])
    await client.open()
    waits: list[asyncio.Task[Any]] = []

    async def wait(number: int) -> None:
        try:
            await client.poll_for_job_complete(f"job-{number}", 30)
        except ClientClosedError:
            if cancel_others and number == 0:
                waits[-1].cancel()
            with pytest.raises(ClientClosedError):
                await client.describe("late")
            raise

    waits += [asyncio.create_task(wait(number)) for number in range(MANY)]
    await asyncio.sleep(1)
    with counting_turns() as turns:
        await client.aclose()
    assert turns.count > 5
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    expected: list[type[BaseException]] = [ClientClosedError] * MANY
    if cancel_others:
        expected[-1] = asyncio.CancelledError
    assert [type(outcome) for outcome in outcomes] == expected
    ends = [event.outcome for event in events if isinstance(event, WaitEnded)]
    assert len(ends) == MANY
    assert ends.count("cancelled") == cancel_others


async def test_all_are_told_when_even_closing_is_cancelled() -> None:
    """A supervisor's task that is cancelled again and again, as at the end of a loop, still ends all waits."""
    server = make_server()
    client = PromptClient(transport=server.transport(), close_timeout=0.1)
    await client.open()
    waits = [asyncio.create_task(client.poll_for_job_complete(f"job-{n}", 30)) for n in range(MANY)]
    await asyncio.sleep(1)
    closing = asyncio.create_task(client.aclose())
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) < MANY
    task = supervisor_of(client)._task
    task.cancel()
    await asyncio.wait([task, closing])
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ClientClosedError}


@pytest.mark.parametrize("fault", [None, Fault.TOO_MANY_REQUESTS])
async def test_closing_while_it_is_decided_what_an_answer_means_to_many(
    monkeypatch: pytest.MonkeyPatch, fault: Fault | None
) -> None:
    """Observers hear of the call, and of the job, all the same."""
    server = make_server()
    job_id = server.add_job(life_cycle=ENDED)
    if fault is not None:
        server.inject(fault)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id)) for _ in range(MANY)]
        decide = coalescer_module._decide_rest

        async def decide_late(*arguments: Any) -> None:
            closing.append(asyncio.create_task(client.aclose()))
            await decide(*arguments)

        closing: list[asyncio.Task[None]] = []
        monkeypatch.setattr(coalescer_module, "_decide_rest", decide_late)
        await asyncio.wait(waits)
        await closing[0]
        await asyncio.gather(*waits, return_exceptions=True)
    outcomes = [event.outcome for event in of_kind(CallEnded, events)]
    assert outcomes == ["answered" if fault is None else "throttled"]
    assert len(of_kind(JobChanged, events)) == (fault is None)
