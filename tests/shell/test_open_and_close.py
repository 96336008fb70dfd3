"""The life of a client: opening, closing, cancelling, and what is left afterwards."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from awaitbatch import AwaitBatchError, BatchClient, BatchProtocol, ClientClosedError, FixedInterval, Window
from awaitbatch._core.windows import Windows
from awaitbatch._waits import wait_for
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, Log, make_client, make_server, until

from .support import QUICK, FaultyTransport, client_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing.virtual_time import VirtualTimeLoop


def all_methods(client: BatchClient) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Every coroutine that needs an open client."""
    return {
        "describe": lambda: client.describe("j"),
        "describe_jobs": lambda: client.describe_jobs(["j"]),
        "poll_job_status": lambda: client.poll_job_status("j", ["FAILED"]),
        "poll_for_job_running": lambda: client.poll_for_job_running("j"),
        "poll_for_job_complete": lambda: client.poll_for_job_complete("j"),
        "wait_for_job": lambda: client.wait_for_job("j"),
        "as_completed": lambda: anext(client.as_completed(["j"])),
        "watch": lambda: anext(client.watch(["j"])),
        "wait_for_jobs": lambda: client.wait_for_jobs(["j"]),
        "child_job_ids": lambda: client.child_job_ids("j"),
        "job_progress": lambda: client.job_progress("j"),
        "waiter.wait": lambda: client.get_waiter("job_exists").wait(jobs=["j"]),
        "wait_for_compute_environment": lambda: client.wait_for_compute_environment("e"),
        "wait_for_job_queue": lambda: client.wait_for_job_queue("q"),
        "list_jobs": lambda: anext(client.list_jobs("q")),
        "check_job_success": lambda: client.check_job_success("j"),
        "submit_job": lambda: client.submit_job(jobName="n", jobQueue="q", jobDefinition="d"),
        "cancel_job": lambda: client.cancel_job("j", "r"),
        "terminate_job": lambda: client.terminate_job("j", "r"),
        "submit_jobs": lambda: anext(client.submit_jobs([{"jobName": "n"}])),
        "cancel_jobs": lambda: client.cancel_jobs(["j"], "r"),
        "terminate_jobs": lambda: client.terminate_jobs(["j"], "r"),
        "get_job_awslogs_info": lambda: client.get_job_awslogs_info("j"),
        "get_job_all_awslogs_info": lambda: client.get_job_all_awslogs_info("j"),
    }


async def test_use_before_open_and_after_close_raises() -> None:
    """Every method of a client that is not open raises ClientClosedError, which says what to do."""
    client = make_client(make_server())
    for name, method in all_methods(client).items():
        with pytest.raises(ClientClosedError, match="async with"):
            await method()
        assert name
    with pytest.raises(ClientClosedError):
        _ = client.client
    assert client.statistics().calls == 0
    async with client:
        with pytest.raises(RuntimeError, match="already open"):
            await client.open()
    for method in all_methods(client).values():
        with pytest.raises(ClientClosedError, match="closed"):
            await method()
    with pytest.raises(ClientClosedError, match=r"AWS Batch job \(a-job\): the BatchClient is closed"):
        await client.terminate_job("a-job", "enough")
    with pytest.raises(ClientClosedError):
        await client.open()
    await client.aclose()
    assert client.statistics().calls == 0


async def test_closing_what_was_never_opened_is_fine() -> None:
    """aclose() of a client that was never opened closes it for good."""
    client = make_client(make_server())
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.open()


async def test_closing_ends_the_waits_that_are_left() -> None:
    """Waits end with ClientClosedError naming the job; nothing of the client is left behind."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(300)]
    tasks_before = asyncio.all_tasks()
    client = make_client(server)
    await client.open()
    waits = [asyncio.create_task(client.wait_for_job(job_id, 0)) for job_id in job_ids]
    await asyncio.sleep(5)
    await asyncio.gather(client.aclose(), client.aclose())
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(outcome, ClientClosedError) for outcome in outcomes)
    assert job_ids[0] in str(outcomes[0])
    assert client.statistics().pending == client.statistics().in_flight == 0
    assert asyncio.all_tasks() == tasks_before


async def test_closing_gives_up_calls_that_hang() -> None:
    """aclose() does not wait for a call that hangs."""
    server = make_server()
    loop = asyncio.get_running_loop()
    server.inject(Fault.HANG)
    client = make_client(server)
    await client.open()
    wait = asyncio.create_task(client.describe(server.add_job()))
    await asyncio.sleep(1)
    assert client.statistics().in_flight == 1
    begin = loop.time()
    await client.aclose()
    assert loop.time() - begin < 0.1
    with pytest.raises(ClientClosedError):
        await wait


async def test_opened_by_one_task_and_closed_by_another() -> None:
    """A client is not bound to the task that opened it, nor to its cancel scope."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    client = make_client(server, backoff=FixedInterval(0.5))

    async def open_in_a_scope() -> None:
        with anyio.CancelScope() as scope:
            await client.open()
            scope.cancel()

    await asyncio.create_task(open_in_a_scope())
    job = await asyncio.create_task(client.wait_for_job(job_id, 0))
    assert job["status"] == "SUCCEEDED"
    await asyncio.create_task(client.aclose())


async def test_another_event_loop_gets_a_clear_error() -> None:
    """Use from another event loop raises instead of hanging."""
    errors: list[BaseException] = []
    async with make_client(make_server()) as client:

        def elsewhere() -> None:
            try:
                asyncio.run(client.describe("j"))
            except RuntimeError as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "another event loop" in str(errors[0])


class FailingTransport(FaultyTransport):
    """Cannot be opened."""

    closed = False

    async def open(self) -> None:
        """Fail."""
        await anyio.sleep(1)
        message = "no credentials"
        raise PermissionError(message)

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True


async def test_an_open_that_fails_raises_as_it_is() -> None:
    """The error of opening reaches the user unwrapped, and nothing is left."""
    transport = FailingTransport(make_server())
    tasks_before = asyncio.all_tasks()
    client = make_client(transport)
    with pytest.raises(PermissionError, match="no credentials"):
        await client.open()
    await asyncio.sleep(0.1)
    assert transport.closed
    assert asyncio.all_tasks() == tasks_before
    with pytest.raises(ClientClosedError) as caught:
        await client.describe("j")
    assert isinstance(caught.value.__cause__, PermissionError)


async def test_an_open_that_is_cancelled_leaves_nothing() -> None:
    """Cancelling open() half-way closes what it had begun."""
    transport = FailingTransport(make_server())
    tasks_before = asyncio.all_tasks()
    client = make_client(transport)
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(0.5)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.sleep(1)
    assert transport.closed
    assert asyncio.all_tasks() == tasks_before


@pytest.mark.parametrize("moment", [0, 0.001, 0.006, 0.02, 0.5, 1.01, 3.0, 3.9])
@pytest.mark.parametrize("how", ["task", "scope"])
async def test_cancelling_one_wait_harms_no_other(moment: float, how: str) -> None:
    """A wait cancelled at any moment takes back its own request and nothing else."""
    server = make_server()
    job_id, other = (server.add_job(life_cycle=QUICK) for _ in range(2))
    async with make_client(server, backoff=FixedInterval(0.5)) as client:
        scope = anyio.CancelScope()
        ended: list[str] = []

        async def wait() -> None:
            with scope:
                await client.wait_for_job(job_id, 0)
                ended.append(job_id)

        victim = asyncio.create_task(wait())
        same_job = asyncio.create_task(client.wait_for_job(job_id, 0))
        other_job = asyncio.create_task(client.wait_for_job(other, 0))
        await asyncio.sleep(moment)
        if how == "task":
            victim.cancel()
        else:
            scope.cancel()
        await asyncio.gather(victim, return_exceptions=True)
        assert ended == []
        assert (await same_job)["status"] == "SUCCEEDED"
        assert (await other_job)["status"] == "SUCCEEDED"
        assert client.statistics().pending == 0


async def test_a_storm_of_cancellations_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Half of 2,000 waits cancelled at once: the others end well, no request leaks, nothing is never retrieved."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=QUICK) for _ in range(2000)]
    async with make_client(server, max_calls_per_second=50, backoff=FixedInterval(2)) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id, 1)) for job_id in job_ids]
        await asyncio.sleep(1.5)
        for wait in waits[::2]:
            wait.cancel()
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
        assert {outcome["status"] for outcome in outcomes[1::2] if isinstance(outcome, dict)} == {"SUCCEEDED"}
        assert client.statistics().pending == 0
        del waits, outcomes
        gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_wait_with_a_deadline() -> None:
    """asyncio.timeout and anyio.fail_after end a wait as they end any other."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await client.wait_for_job(job_id)
        with pytest.raises(TimeoutError), anyio.fail_after(30):
            await client.wait_for_job(job_id)
        assert client.statistics().pending == 0


async def test_a_single_failure_is_not_wrapped() -> None:
    """An error inside async with reaches the user as it is, also when waits are left."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    waits: list[asyncio.Task[Any]] = []

    async def use() -> None:
        async with make_client(server) as client:
            waits.append(asyncio.create_task(client.wait_for_job(job_id)))
            await asyncio.sleep(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use()
    with pytest.raises(ClientClosedError):
        await waits[0]


async def test_calls_never_exceed_the_rate() -> None:
    """In any t seconds at most 1 + rate · t calls go, however much work there is."""
    server = make_server()
    log = Log(server.transport())
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3000)]
    async with make_client(log.transport, max_calls_per_second=7, backoff=FixedInterval(0.5)) as client:
        polls = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
        await asyncio.sleep(20)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
    assert len(log.sent) > 7 * 17
    assert log.excess(7) < 1e-6


async def test_calls_wait_for_a_free_connection() -> None:
    """Never more calls under way than the transport has connections."""
    server = make_server()
    under_way = 0
    most = 0
    transport = server.transport(latency=2, max_connections=3)
    inner = transport.describe_jobs

    async def describe_jobs(job_ids: Any) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await inner(job_ids)
        finally:
            under_way -= 1

    transport.describe_jobs = describe_jobs  # type: ignore[method-assign]
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(1000)]
    async with make_client(transport) as client:
        await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in job_ids))
    assert most == 3


async def test_what_is_due_goes_in_the_task_of_the_call_before() -> None:
    """Where calls wait for a connection, whoever has one sends call after call, and nobody has to be woken for it."""
    server = make_server()
    transport = server.transport(latency=2, max_connections=2)
    inner = transport.describe_jobs
    senders: list[asyncio.Task[Any] | None] = []

    async def describe_jobs(job_ids: Any) -> bytes:
        senders.append(asyncio.current_task())
        return await inner(job_ids)

    transport.describe_jobs = describe_jobs  # type: ignore[method-assign]
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
        # The states of the first answers are logged, which ends the task.
        await asyncio.sleep(30)
        senders.clear()
        await asyncio.sleep(60)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    assert len(senders) == 60
    assert len(set(senders)) == 2


async def test_the_only_connection_is_used_again_when_the_next_check_is_due() -> None:
    """When its call ends nothing is due yet, and the task that sends calls sleeps for want of a connection."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(
        server.transport(latency=0.2, max_connections=1), backoff=FixedInterval(5)
    ) as client:
        wait = asyncio.create_task(client.poll_for_job_complete(job_id, 0))
        await asyncio.sleep(18)
        assert client.statistics().calls == 4
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)


async def test_a_check_waits_for_a_connection_that_others_took_during_the_one_before() -> None:
    """The task that sends calls fell asleep when one was free, for good since nothing else was to be sent."""
    server = make_server()
    job_id, *others = (server.add_job(life_cycle=LONG) for _ in range(3))
    transport = server.transport(latency=2, max_connections=2)
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        wait = asyncio.create_task(client.poll_for_job_complete(job_id, 0))
        await until(lambda: client.statistics().in_flight == 1)
        transport.latency = 20
        await asyncio.gather(*(client.terminate_job(other, "enough") for other in others))
        await asyncio.sleep(10)
        assert client.statistics().calls >= 2
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)


async def test_what_else_is_due_does_not_wait_for_the_call_that_goes_on() -> None:
    """Of two waits of one answer the first may be in a call that takes long; the other has its own in time."""
    server = make_server()
    transport = server.transport(latency=0.3)
    inner = transport.describe_jobs
    fast, slow = (server.add_job(life_cycle=LONG) for _ in range(2))
    loop = asyncio.get_running_loop()
    checks: list[float] = []

    async def describe_jobs(job_ids: Any) -> bytes:
        if slow in job_ids:
            checks.append(loop.time())
        elif len(checks) == 1:
            await asyncio.sleep(20)
        return await inner(job_ids)

    class Gives:
        def __init__(self, *window: float) -> None:
            self._window = Window(*window)

        def window(self, _: int) -> Window:
            return self._window

    async with make_client(transport) as client:
        transport.describe_jobs = describe_jobs  # type: ignore[method-assign]
        watch = partial(
            wait_for,
            client._supervisor.coalescer,
            window=Window(0, 0),
            match_status=["SUCCEEDED"],
            status_retries=1,
        )
        waits = [
            asyncio.create_task(watch(fast, backoff=Gives(0, 0))),
            asyncio.create_task(watch(slow, backoff=Gives(0.5, 1))),
        ]
        await asyncio.sleep(10)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    assert len(checks) > 5
    assert max(after - before for before, after in itertools.pairwise(checks)) < 1.5


async def test_parts_of_a_refused_call_do_not_wait_for_each_other() -> None:
    """A part that is never answered holds up nobody else."""
    server = make_server()
    transport = server.transport(latency=0.3)
    inner = transport.describe_jobs
    calls = 0

    async def describe_jobs(job_ids: Any) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(0.3)
            raise client_error(400, "ClientException")
        if calls == 2:
            await asyncio.sleep(20)
        return await inner(job_ids)

    transport.describe_jobs = describe_jobs  # type: ignore[method-assign]
    async with make_client(transport) as client:
        describes = [asyncio.create_task(client.describe(server.add_job())) for _ in range(100)]
        await asyncio.sleep(3)
        assert sum(describe.done() for describe in describes) == 50
        await asyncio.gather(*describes)


async def test_a_transport_that_answers_at_once() -> None:
    """Others on the event loop have their turns between calls that never wait, however many are due."""
    transport = make_server().transport(max_connections=1)
    turns = 0
    seen: list[int] = []

    async def describe_jobs(job_ids: Any) -> bytes:
        seen.append(turns)
        assert len(seen) < 100, "nobody else has a turn"
        # It takes its time, though it does not wait.
        loop.sleep_for(1)
        return json.dumps({"jobs": [{"jobId": job_id, "status": "RUNNING"} for job_id in job_ids]}).encode()

    transport.describe_jobs = describe_jobs  # type: ignore[method-assign]
    loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
    async with make_client(transport, backoff=FixedInterval(0.1)) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(f"job-{n}", 0)) for n in range(300)]
        while len(seen) < 50:
            turns += 1
            await asyncio.sleep(0.5)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    # A sleeping task needs three turns: for its timer, its future and itself.
    assert max(Counter(seen[:50]).values()) <= 3


async def test_a_rate_that_connections_hold_back_does_not_grow() -> None:
    """Where calls wait for a connection, the rate has not been tried, and stays what it was."""
    server = make_server()
    transport = server.transport(latency=2, max_connections=2)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
        await asyncio.sleep(20)
        grown = client.statistics().rate
        await asyncio.sleep(60)
        assert client.statistics().rate == grown < 10
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


@pytest.mark.usefixtures("_no_slow_start")
async def test_a_client_begins_at_the_rate_of_its_parameters() -> None:
    """The throttle's parameters reach it, and the limit that the user set still holds."""
    async with make_client(make_server(), max_calls_per_second=70) as client:
        assert client.statistics().rate == 70


async def test_repr_and_statistics_show_the_state() -> None:
    """The repr and the statistics show what a client does."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(10)]
    client = make_client(server)
    assert repr(client) == "<BatchClient, not open yet>"
    async with client:
        await asyncio.gather(*map(client.describe, job_ids))
        wait = asyncio.create_task(client.wait_for_job(job_ids[0]))
        await asyncio.sleep(0)
        assert repr(client) == "<BatchClient us-east-1, open, 1 pending, 1 call of 10.0 ids, 5.00 calls/s>"
        numbers = client.statistics()
        assert (numbers.calls, numbers.jobs_described, numbers.ids_per_call) == (1, 10, 10.0)
        assert (numbers.throttled, numbers.failed, numbers.in_flight, numbers.pending) == (0, 0, 0, 1)
        assert "1 pending, 0 calls in flight" in repr(client._supervisor.coalescer)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)
    assert "closed" in repr(client)
    assert "closed" in repr(client._supervisor.coalescer)


def test_the_client_is_a_batch_protocol() -> None:
    """BatchClient satisfies BatchProtocol, at run time too."""
    assert isinstance(BatchClient(region_name="us-east-1"), BatchProtocol)
    assert not isinstance(object(), BatchProtocol)


async def test_a_defect_ends_the_waits_instead_of_hanging_them(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the coalescer itself break, its waits end, and the error is not lost."""
    server = make_server()
    client = make_client(server)
    await client.open()

    def broken(*_: object) -> None:
        message = "a defect"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(Windows, "take", broken)
    with caplog.at_level(logging.CRITICAL), pytest.raises(AwaitBatchError):
        await client.describe(server.add_job())
    await asyncio.sleep(0.1)
    assert "a defect" in caplog.text
    with pytest.raises(ClientClosedError) as caught:
        await client.describe("j")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    await client.aclose()


async def test_a_throttled_client_still_closes_at_once() -> None:
    """Closing does not wait for the throttle."""
    server = make_server()
    loop = asyncio.get_running_loop()
    server.inject(Fault.TOO_MANY_REQUESTS)
    async with make_client(server) as client:
        wait = asyncio.create_task(client.wait_for_job(server.add_job(), 0))
        await asyncio.sleep(100)
        begin = loop.time()
    assert loop.time() - begin < 0.1
    with pytest.raises(ClientClosedError):
        await wait


@pytest.mark.parametrize("size", [0, -1, None, "10", float("nan"), float("inf")], ids=repr)
async def test_a_pool_of_no_size(size: Any) -> None:
    """A transport that does not say how many connections it has is refused when it is opened."""
    transport = make_server().transport(max_connections=size)
    with pytest.raises(ValueError, match="max_connections of the transport must be an int of at least 1"):
        await make_client(transport).open()
    assert transport.closed == 1
