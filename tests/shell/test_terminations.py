"""A termination that was asked for is delivered, whatever becomes of whoever asked for it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.exceptions import ClientError

from awaitbatch import BatchClient, ClientClosedError
from awaitbatch.instrumentation import ClientClosed, Event, TerminationUnclaimed
from awaitbatch.testing import BatchServer, Fault, TokenBucket
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import LONG, make_client, make_server, of_kind, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Kill = Callable[[BatchClient, str], Coroutine[Any, Any, None]]

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef


async def in_peace(client: BatchClient, job_id: str) -> None:
    """Nobody cancels it."""
    await client.terminate_job(job_id, "enough")


async def cancelled_before(client: BatchClient, job_id: str) -> None:
    """Whoever terminates was cancelled before he does."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await client.terminate_job(job_id, "enough")


async def in_a_cancelled_scope(client: BatchClient, job_id: str) -> None:
    """The same with anyio, which cancels again in each turn of the loop."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.terminate_job(job_id, "enough")


async def out_of_time(client: BatchClient, job_id: str) -> None:
    """He has no time left."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await client.terminate_job(job_id, "enough")


def killed(server: BatchServer, job_ids: list[str]) -> int:
    """How many of the jobs have been terminated."""
    return sum(server.status_of(job_id) == "FAILED" for job_id in job_ids)


async def test_a_thousand_kills_of_those_who_are_cancelled_again_and_again() -> None:
    """Behind 20 a second all arrive within a minute, though everybody is cancelled each second and leaves at once."""
    server = make_server(bucket={"TerminateJob": TokenBucket(20, 20)})
    transport = server.transport()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    events: list[Event] = []

    async def kill(job_id: str) -> None:
        async with BatchClient.shared(transport=transport, linger=0) as client:
            await client.terminate_job(job_id, "enough")

    async with BatchClient.shared(transport=transport, linger=0, observers=[events.append]):
        tasks = [asyncio.create_task(kill(job_id)) for job_id in job_ids]
        await asyncio.sleep(0)
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.sleep(1)
    assert all(task.cancelled() for task in tasks)
    assert asyncio.get_running_loop().time() < 5
    await until(lambda: transport.closed == 1)
    assert asyncio.get_running_loop().time() < 60
    assert killed(server, job_ids) == 1000
    assert server.statistics.calls["TerminateJob"] < 1050


@pytest.mark.parametrize("method", ["terminate_job", "cancel_job"])
async def test_a_thousand_kills_that_wait(method: str) -> None:
    """The same of a client of one's own: whoever is cancelled in the queue takes nothing back."""
    operation = {"terminate_job": "TerminateJob", "cancel_job": "CancelJob"}[method]
    server = make_server(bucket={operation: TokenBucket(20, 20)})
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    async with make_client(server) as client:
        tasks = [asyncio.create_task(getattr(client, method)(job_id, "enough")) for job_id in job_ids]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert sum(task.cancelled() for task in tasks) > 900
        await until(lambda: server.statistics.calls[operation] >= 1000)
        await until(lambda: not client._supervisor.terminations.is_busy)
        assert asyncio.get_running_loop().time() < 60
    assert server.statistics.calls[operation] < 1050


@pytest.mark.parametrize("kill", [in_peace, cancelled_before, in_a_cancelled_scope, out_of_time])
@pytest.mark.parametrize("shared", [False, True])
async def test_whoever_is_cancelled_already_kills_nevertheless(kill: Kill, shared: bool) -> None:
    """The cancellation is his, and the job ends; nothing is said of what went well."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    arguments: dict[str, Any] = {"transport": server.transport(), "observers": [events.append]}
    client = BatchClient.shared(**arguments, linger=0) if shared else BatchClient(**arguments)
    async with client:
        task = asyncio.create_task(kill(client, job_id))
        await asyncio.wait([task])
        assert task.cancelled() is (kill is cancelled_before)
        await until(lambda: killed(server, [job_id]) == 1)
    await asyncio.sleep(1)
    assert server.statistics.calls["TerminateJob"] == 1
    assert of_kind(TerminationUnclaimed, events) == []


async def test_it_goes_on_between_two_tries() -> None:
    """Whoever is cancelled while it waits to be tried again leaves that to the client."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.SERVER_EXCEPTION, calls=4)
    async with make_client(server) as client:
        task = asyncio.create_task(client.terminate_job(job_id, "enough"))
        await until(lambda: server.statistics.calls["TerminateJob"] == 1)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: killed(server, [job_id]) == 1)
    assert server.statistics.calls["TerminateJob"] == 5


@pytest.mark.parametrize("moment", ["before", "with"])
async def test_a_kill_that_fails_when_nobody_is_there(moment: str, caplog: pytest.LogCaptureFixture) -> None:
    """A WARNING and an event name the job, also if it fails in the very turn in which its caller is cancelled."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.ACCESS_DENIED)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        task = asyncio.create_task(client.terminate_job(job_id, "enough"))
        await asyncio.sleep(0.01)
        if moment == "with":
            (ending,) = client._supervisor.terminations._tasks
            ending.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1)
    (event,) = of_kind(TerminationUnclaimed, events)
    assert (event.operation, event.job_id) == ("TerminateJob", job_id)
    assert "AccessDeniedException" in event.error
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == (
        f"AWS Batch job ({job_id}): TerminateJob failed after its caller was cancelled, so the job may go on: "
        f"{event.error}"
    )


async def test_a_caller_who_is_there_is_told_himself() -> None:
    """What he hears is no event."""
    server = make_server()
    server.inject(Fault.ACCESS_DENIED)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.terminate_job(server.add_job(life_cycle=LONG), "enough")
    assert of_kind(TerminationUnclaimed, events) == []


async def test_closing_bounds_the_kills_of_those_who_have_gone() -> None:
    """What is on its way gets `close_timeout` seconds, what waits ends at once, and each job is named."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
    events: list[Event] = []
    client = make_client(server.transport(latency=60), close_timeout=3, observers=[events.append])
    async with client:
        tasks = [asyncio.create_task(client.terminate_job(job_id, "enough")) for job_id in job_ids]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert asyncio.get_running_loop().time() == pytest.approx(3.1)
    told = of_kind(TerminationUnclaimed, events)
    assert sorted(event.job_id for event in told) == sorted(job_ids)
    texts = {event.job_id: event.error for event in told}
    assert "may or may not have been terminated" in texts[job_ids[0]]
    assert "was not terminated" in texts[job_ids[-1]]
    assert isinstance(events[-1], ClientClosed)


async def test_a_shared_client_stays_until_all_is_delivered() -> None:
    """However short `linger` is: also what is submitted goes on, and whoever comes meanwhile has the same client."""
    server = make_server(default_life_cycle=LONG, bucket={"SubmitJob": TokenBucket(2, 2)})
    transport = server.transport()
    job: SubmitJobRequestTypeDef = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}
    async with BatchClient.shared(transport=transport, linger=0) as client:
        submitting = [asyncio.create_task(client.submit_job(**job)) for _ in range(40)]
        await asyncio.sleep(0.01)
    await asyncio.sleep(10)
    async with BatchClient.shared(transport=transport, linger=0):
        assert not all(task.done() for task in submitting)
    await asyncio.gather(*submitting)
    await until(lambda: transport.closed == 1)
    assert transport.opened == 1


def test_a_loop_that_ends_names_the_jobs(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run cancels terminations as everything else; nothing is reported but the job."""
    server = BatchServer(seed=1)
    job_id = server.add_job(life_cycle=LONG)
    transport = InProcessTransport(server, latency=60)

    async def main() -> None:
        async with BatchClient.shared(transport=transport, close_timeout=0) as client:
            task = asyncio.create_task(client.terminate_job(job_id, "enough"))
            await asyncio.sleep(0.01)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())
    (message,) = caplog.messages
    assert job_id in message
    assert "TerminateJob failed after its caller was cancelled" in message
    assert transport.closed == 1


async def test_after_the_close_nothing_begins() -> None:
    """A client that is closed says so at once."""
    server = make_server()
    async with make_client(server) as client:
        pass
    with pytest.raises(ClientClosedError, match=r"\(a-job\)"):
        await client.terminate_job("a-job", "enough")
    assert server.statistics.calls["TerminateJob"] == 0
