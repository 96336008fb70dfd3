"""What users, networks and transports do that nobody should: it ends their own wait, and no other."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from awaitbatch import (
    ClientClosedError,
    DescribeError,
    FixedInterval,
    JobNotFoundError,
    JobStatus,
    MaxRetriesExceededError,
    Statistics,
)
from awaitbatch._core.requests import Call
from awaitbatch._results import WaitResult
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, Fetcher, make_client, make_server, until

from .support import QUICK, FaultyTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch import BatchClient, JobChanges, JobOutcomes, JobSummaries


async def test_a_stray_cancellation_is_a_failed_call() -> None:
    """A CancelledError that comes out of a call, and is not ours, is a failure like any other."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    transport = FaultyTransport(server, lambda number, _: asyncio.CancelledError() if number == 1 else None)
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        assert (await client.wait_for_job(job_id, 0))["status"] == "SUCCEEDED"


async def test_a_schedule_that_raises_a_cancellation_ends_its_own_wait_alone() -> None:
    """Not even a CancelledError out of a backoff reaches the other waits."""

    class Cancels:
        def window(self, tries: int) -> tuple[float, float]:
            raise asyncio.CancelledError(tries)

    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    async with make_client(server, backoff=FixedInterval(1)) as client:
        other = asyncio.create_task(client.wait_for_job(job_id, 0))
        with pytest.raises(asyncio.CancelledError):
            await client.poll_for_job_complete(job_id, 0, backoff=Cancels())
        assert (await other)["status"] == "SUCCEEDED"


class SlowToOpen(FaultyTransport):
    """Takes its time to open."""

    seconds = 1e6

    async def open(self) -> None:
        """Take that time."""
        await anyio.sleep(self.seconds)


async def test_opening_can_be_given_up() -> None:
    """An open() that hangs can be cancelled, and closed by another task, at once."""
    loop = asyncio.get_running_loop()
    tasks_before = asyncio.all_tasks()
    client = make_client(SlowToOpen(make_server()))
    begin = loop.time()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.open(), 2)
    assert loop.time() - begin < 2.1
    client = make_client(SlowToOpen(make_server()))
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(1)
    assert repr(client) == "<BatchClient us-east-1, opening, 0 pending, 0 calls of 0.0 ids, 5.00 calls/s>"
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await opening
    assert asyncio.all_tasks() == tasks_before


async def test_opening_ends_whatever_ends_it() -> None:
    """When the client's own task is cancelled while it opens, open() raises instead of hanging."""
    client = make_client(SlowToOpen(make_server()))
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(1)
    for task in asyncio.all_tasks():
        if task.get_name() == "awaitbatch client":
            task.cancel()
    with pytest.raises(ClientClosedError):
        await opening


async def test_a_transport_that_cannot_close(caplog: pytest.LogCaptureFixture) -> None:
    """Closing is closing: an error of the transport is logged, and masks nothing."""

    class Sticky(FaultyTransport):
        async def aclose(self) -> None:
            message = "cannot close"
            raise OSError(message)

    client = make_client(Sticky(make_server()))
    await client.open()
    await client.aclose()
    await client.aclose()
    assert "cannot close" in caplog.text
    assert "closed" in repr(client)


async def test_repr_never_raises() -> None:
    """The repr shows the state also of a client that was closed unopened."""
    client = make_client(make_server())
    await client.aclose()
    assert repr(client) == "<BatchClient, closed>"
    assert client.statistics() == Statistics()


async def test_wait_for_job_remembers_what_it_saw() -> None:
    """A job that was seen running and then fails to show up was seen."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server, backoff=FixedInterval(1), status_retries=2) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id, 2))
        await asyncio.sleep(4.2)
        server.forget_job(job_id)
        with pytest.raises(JobNotFoundError, match="last seen as RUNNING") as absent:
            await wait
        assert absent.value.seen
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server, backoff=FixedInterval(1), max_retries=2) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id, 0))
        await until(lambda: client.statistics().jobs_described == 1)
        server.inject(Fault.SERVER_EXCEPTION)
        with pytest.raises(MaxRetriesExceededError) as exhausted:
            await wait
        assert exhausted.value.last_status == "RUNNING"


@pytest.mark.parametrize(
    "body",
    [
        b'{"jobs":[{"jobId":"\xff\xfe"}]}',
        b'{"jobs":' + b"[" * 10_000,
        b"\x00",
        b'{"jobs":[{"jobId":"JOB","status":7}]}',
    ],
    ids=["bad unicode", "deep", "binary", "odd status"],
)
async def test_garbled_answers_are_checks_without_a_result(body: bytes) -> None:
    """Whatever is wrong with a body, polls go on, and no job counts as absent."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    garbled = body.replace(b"JOB", job_id.encode())
    transport = FaultyTransport(server, lambda number, _: garbled if number < 4 else None)
    async with make_client(transport, backoff=FixedInterval(1), status_retries=2) as client:
        assert (await client.wait_for_job(job_id, 0))["status"] == "SUCCEEDED"


async def test_a_description_that_cannot_be_decoded() -> None:
    """A job whose own text is garbled is a DescribeError of that job."""
    body = b'{"jobs":[{"jobId":"j","status":"SUCCEEDED","x":"\xff"}]}'
    async with make_client(FaultyTransport(make_server(), lambda *_: body)) as client:
        with pytest.raises(DescribeError, match=r"\(j\).*unreadable"):
            await client.describe("j")


async def test_closing_while_a_fetcher_is_made() -> None:
    """A fetcher that is made while the client closes is not started, and the wait ends as closed."""
    fetcher = Fetcher()

    async def factory(_: str) -> Fetcher:
        await asyncio.sleep(3)
        return fetcher

    server = make_server()
    client = make_client(server)
    await client.open()
    wait = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG), 0, factory))
    await asyncio.sleep(20)
    other = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=ENDED), 0, factory))
    await asyncio.sleep(2)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await wait
    assert (await other)["status"] == "SUCCEEDED"
    assert fetcher.calls == ["start", "stop", "join"]


async def test_a_set_that_raises_is_asked_in_the_caller() -> None:
    """An awaited set of states that raises is the error of its own poll; iterators are fine."""

    class Bad(list[JobStatus]):
        def __contains__(self, item: object) -> bool:
            raise ValueError(item)

    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    async with make_client(server, backoff=FixedInterval(0.5)) as client:
        assert await client.poll_job_status(job_id, Bad([JobStatus.RUNNABLE]))
        assert await client.poll_job_status(job_id, {JobStatus.RUNNING: 1}.keys())


async def test_throttles_at_the_floor_end_a_describe_in_a_bisection_too() -> None:
    """Describes whose call was refused and whose parts are throttled for ever end like any other."""
    server = make_server()
    job_ids = [server.add_job() for _ in range(2)]
    server.inject(Fault.CLIENT_EXCEPTION, calls=1)
    server.inject(Fault.TOO_MANY_REQUESTS)
    async with make_client(server, status_retries=3) as client:
        for outcome in await asyncio.gather(*map(client.describe, job_ids), return_exceptions=True):
            assert isinstance(outcome, DescribeError)


async def test_ended_waits_are_no_garbage() -> None:
    """An ended wait frees its description at once, without the garbage collector."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(50)]
    async with make_client(server) as client:
        gc.collect()
        gc.disable()
        try:
            await asyncio.gather(*map(client.describe, job_ids))
            await asyncio.sleep(1)
            assert not [thing for thing in gc.get_objects() if isinstance(thing, WaitResult)]
        finally:
            gc.enable()


async def test_a_wait_keeps_no_description() -> None:
    """A wait for the end of a job that runs keeps nothing of the description in which it was seen running."""
    server = make_server(default_life_cycle=LONG)
    job_ids = [server.add_job() for _ in range(50)]
    async with make_client(server) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id, 0)) for job_id in job_ids]
        await asyncio.sleep(5)
        assert client.statistics().jobs_described >= 50
        gc.collect()
        dicts = [thing for thing in gc.get_objects() if isinstance(thing, dict)]
        kept = [thing for thing in dicts if thing.get("jobId") in job_ids]
        assert not kept
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_a_call_that_has_ended_is_let_go() -> None:
    """However long calls follow each other without a pause, none but the last is kept, with those who waited for it."""
    server = make_server(default_life_cycle=LONG)
    job_ids = [server.add_job() for _ in range(300)]
    transport = server.transport(latency=0.5, max_connections=1)
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id)) for job_id in job_ids]
        await asyncio.sleep(20.25)
        assert client.statistics().in_flight == 1
        numbers = [thing.number for thing in gc.get_objects() if isinstance(thing, Call)]
        assert numbers == [client.statistics().calls]
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_describing_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody who describes a job again and again does not flood the log."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server) as client:
            for _ in range(5):
                await client.describe(job_id)
    assert caplog.text == ""


async def test_a_rate_recovers_while_nobody_needs_it() -> None:
    """Long after a storm of throttles a describe is quick again."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    loop = asyncio.get_running_loop()
    server.inject(Fault.TOO_MANY_REQUESTS, end=300)
    async with make_client(server) as client:
        poll = asyncio.create_task(client.poll_for_job_complete(job_id, 0, backoff=FixedInterval(30)))
        await asyncio.sleep(250)
        assert client.statistics().rate == pytest.approx(0.1)
        await asyncio.sleep(250)
        before = loop.time()
        for _ in range(3):
            await client.describe(job_id)
        assert loop.time() - before < 1
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)


async def test_a_backoff_must_be_an_object() -> None:
    """The class instead of an object is refused at once."""
    backoff: Any = FixedInterval
    with pytest.raises(ValueError, match="backoff"):
        make_client(make_server(), backoff=backoff)


async def _until_the_end(stream: JobChanges | JobOutcomes | JobSummaries) -> None:
    async with stream:
        async for _ in stream:
            pass


METHODS: dict[str, Callable[[BatchClient, str], Awaitable[object]]] = {
    "describe": lambda client, job_id: client.describe(job_id),
    "describe_jobs": lambda client, job_id: client.describe_jobs([job_id, "ghost"]),
    "check_job_success": lambda client, job_id: client.check_job_success(job_id),
    "get_job_awslogs_info": lambda client, job_id: client.get_job_awslogs_info(job_id),
    "poll_job_status": lambda client, job_id: client.poll_job_status(job_id, ["SUCCEEDED"]),
    "poll_for_job_running": lambda client, job_id: client.poll_for_job_running(job_id, 0),
    "poll_for_job_complete": lambda client, job_id: client.poll_for_job_complete(job_id, 0),
    "wait_for_job": lambda client, job_id: client.wait_for_job(job_id, 0),
    "as_completed": lambda client, job_id: _until_the_end(client.as_completed([job_id])),
    "watch": lambda client, job_id: _until_the_end(client.watch([job_id])),
    "wait_for_jobs": lambda client, job_id: client.wait_for_jobs([job_id]),
    "child_job_ids": lambda client, job_id: client.child_job_ids(job_id),
    "job_progress": lambda client, job_id: client.job_progress(job_id),
    "wait_for_job_queue": lambda client, _: client.wait_for_job_queue("queue", until="DELETED"),
    "waiter.wait": lambda client, job_id: client.get_waiter("job_complete").wait(jobs=[job_id]),
    "list_jobs": lambda client, _: _until_the_end(client.list_jobs("queue")),
    "submit_job": lambda client, _: client.submit_job(jobName="n", jobQueue="q", jobDefinition="d"),
    "cancel_job": lambda client, job_id: client.cancel_job(job_id, "no"),
    "terminate_job": lambda client, job_id: client.terminate_job(job_id, "no"),
    "submit_jobs": lambda client, _: anext(
        client.submit_jobs([{"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}])
    ),
    "cancel_jobs": lambda client, job_id: client.cancel_jobs([job_id, "ghost"], "no"),
    "terminate_jobs": lambda client, job_id: client.terminate_jobs([job_id, "ghost"], "no"),
    "delay": lambda client, _: client.delay(1),
}


@pytest.mark.parametrize("name", METHODS)
async def test_cancelled_at_every_await(name: str) -> None:
    """Whatever a method is waiting for when it is cancelled, it ends at once and leaves nothing."""
    server = make_server()
    async with make_client(server, backoff=FixedInterval(0.5), max_calls_per_second=1000) as client:
        ended = False
        turns = 0
        while not ended and turns < 150:
            turns += 1
            job_id = server.add_job(life_cycle=LONG)
            task = asyncio.ensure_future(METHODS[name](client, job_id))
            # On a loop whose clock jumps, a number of turns reaches every await on the way.
            for _ in range(turns):
                await asyncio.sleep(0 if turns < 8 else 0.002)
            ended = task.done()
            task.cancel()
            outcomes = await asyncio.gather(task, return_exceptions=True)
            assert ended or isinstance(outcomes[0], asyncio.CancelledError)
            assert client.statistics().pending == 0
        job_id = server.add_job()
        assert (await client.describe(job_id))["jobId"] == job_id


async def test_many_waits_for_one_job_leave_nothing() -> None:
    """Thousands of waits for one job, cancelled from the last to the first, leave nothing."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id, 500)) for _ in range(5000)]
        await asyncio.sleep(1)
        for wait in reversed(waits):
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert client.statistics().pending == 0
