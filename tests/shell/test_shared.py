"""A client that all on one event loop share: who gets it, what each has of it, and when it closes."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import threading
import weakref
from collections import Counter
from contextlib import asynccontextmanager
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from awaitbatch import BatchClient, ClientClosedError, DescribeError, FixedInterval, JobChange
from awaitbatch._config import ClientArguments
from awaitbatch._shared import _clients
from awaitbatch._shared_keys import hashable
from awaitbatch._supervisor import State
from awaitbatch.instrumentation import (
    CallEnded,
    ChecksOverdue,
    ClientClosed,
    ClientOpened,
    Event,
    ObserverRemoved,
    WaitBegan,
    WaitEnded,
)
from awaitbatch.testing import BatchServer, Fault
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import LONG, Fetcher, PromptClient, make_server, of_kind, until

from .support import QUICK, client_error
from .test_open_and_close import all_methods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

    from awaitbatch._shared import SharedClient

LINGER = 60.0
"""What is the default."""

trigger: ContextVar[str] = ContextVar("trigger", default="nobody's")


class SlowTransport(InProcessTransport):
    """Takes a second to open and a second to close, and notes who did it."""

    def __init__(self, server: BatchServer) -> None:
        super().__init__(server, latency=0.02)
        self.failures: list[Exception] = []
        self.is_open = False
        self.seen: list[str] = []

    async def open(self) -> None:
        """Take a second, and fail to order."""
        assert not self.is_open
        await super().open()
        self.seen.append(trigger.get())
        await anyio.sleep(1)
        if self.failures:
            raise self.failures.pop(0)
        self.is_open = True

    async def aclose(self) -> None:
        """Take a second."""
        self.seen.append(trigger.get())
        await anyio.sleep(1)
        self.is_open = False
        await super().aclose()


@pytest.fixture
async def server() -> BatchServer:
    """A server on the test's clock."""
    return make_server()


@pytest.fixture
async def transport(server: BatchServer) -> AsyncIterator[SlowTransport]:
    """A transport to share, that is closed at the end without anybody's help."""
    transport = SlowTransport(server)
    yield transport
    await asyncio.sleep(LINGER + 10)
    assert transport.opened == transport.closed
    assert not transport.is_open


def shared_of(client: BatchClient) -> SharedClient:
    """What is behind a user's client."""
    shared: SharedClient = client._supervisor._joined  # type: ignore[union-attr]
    return shared


async def hold(transport: InProcessTransport, seconds: float = 1.0, **settings: Any) -> SharedClient:
    """Have the shared client for a while."""
    async with BatchClient.shared(transport=transport, **settings) as client:
        await asyncio.sleep(seconds)
        return shared_of(client)


# One for all.


async def test_two_hundred_users_share_calls(server: BatchServer, transport: SlowTransport) -> None:
    """Two hundred users at once, each with a wait of his own, are one client and a handful of calls."""
    job_ids = [server.add_job(life_cycle=QUICK) for _ in range(200)]

    async def use(job_id: str) -> Any:
        async with BatchClient.shared(transport=transport, backoff=FixedInterval(1)) as client:
            return (await client.wait_for_job(job_id))["status"]

    assert await asyncio.gather(*map(use, job_ids)) == ["SUCCEEDED"] * 200
    assert transport.opened == 1
    assert server.statistics.calls["DescribeJobs"] <= 14


async def test_the_keys_of_arguments() -> None:
    """Equal arguments make one client, a config by its values; one that leads elsewhere makes another."""
    session = AioSession()
    common: dict[str, Any] = {
        "region_name": "eu-west-1",
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
    }
    config: dict[str, Any] = {
        "retries": {"mode": "standard"},
        "proxies": {"https": "http://p"},
        "read_timeout": 5,
    }

    def key(**arguments: Any) -> Any:
        return BatchClient.shared(**common | arguments)._supervisor._key  # type: ignore[union-attr]

    assert AioConfig(**config) != AioConfig(**config)
    assert key(config=AioConfig(**config)) == key(
        config=AioConfig(**config), backoff=FixedInterval(3), delay=1
    )
    assert key() == key(config=AioConfig(), max_retries=3, status_retries=2, max_calls_per_second=1)
    assert key(session=session) == key(session=session)
    # botocore writes the last in place of the others, also for a client that somebody else creates.
    retries = {"max_attempts": 3}, {"total_max_attempts": 4}, {"total_max_attempts": 4, "mode": "legacy"}
    assert len({key(config=AioConfig(retries=each)) for each in retries}) == 1
    others: list[dict[str, Any]] = [
        {"region_name": "eu-west-2"},
        {"endpoint_url": "https://other.example"},
        {"aws_access_key_id": "c"},
        {"aws_secret_access_key": "c"},
        {"aws_session_token": "c"},
        {"profile_name": "c"},
        {"verify": False},
        {"verify": "/a/bundle"},
        {"use_ssl": False},
        {"session": session},
        {"session": AioSession()},
        {"config": AioConfig(**config)},
        {"config": AioConfig(**config | {"read_timeout": 6})},
        {"config": AioConfig(**config | {"retries": {"mode": "adaptive"}})},
        {"config": AioConfig(**config | {"retries": {"max_attempts": 3}})},
        {"config": AioConfig(connector_args={"force_close": True})},
    ]
    assert len({key(), *(key(**other) for other in others)}) == 1 + len(others)


def test_options_without_a_hash_are_equal_to_themselves() -> None:
    """An option that is neither a container nor hashable makes configs equal only if it is the same object."""

    class Option:
        __hash__ = None  # type: ignore[assignment]

    option = Option()
    assert hashable([{"a": {1, 2}}, option]) == hashable(({"a": {2, 1}}, option))
    assert hashable([option]) != hashable([Option()])


async def test_each_user_keeps_his_own_defaults(server: BatchServer, transport: SlowTransport) -> None:
    """Backoff, retries and delay belong to the user and not to the client that he shares."""
    job_id = server.add_job(life_cycle=LONG)
    async with (
        BatchClient.shared(transport=transport) as first,
        BatchClient.shared(transport=transport, max_retries=2, backoff=FixedInterval(1), delay=0) as second,
        BatchClient.shared(transport=transport, max_retries=None, status_retries=3) as third,
    ):
        assert shared_of(first) is shared_of(second) is shared_of(third)
        assert (first.max_retries, second.max_retries, third.max_retries) == (float("inf"), 2, 4200)
        assert (first.status_retries, third.status_retries) == (10, 3)
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for client in (first, second)]
        done, _ = await asyncio.wait(waits, timeout=60)
        assert done == {waits[1]}
        assert "3 checks" in str(waits[1].exception())
    with pytest.raises(ClientClosedError):
        await waits[0]


async def test_a_subclass_is_what_its_user_gets(transport: SlowTransport) -> None:
    """`shared` of a subclass gives an instance of it, with its own defaults, over the client of all."""

    class Limited(BatchClient):
        MAX_RETRIES = 7

        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments | {"max_retries": None})

    async with (
        Limited.shared(transport=transport) as first,
        PromptClient.shared(transport=transport) as second,
    ):
        assert type(first) is Limited
        assert type(second) is PromptClient
        assert first.max_retries == 7
        assert shared_of(first) is shared_of(second)


async def test_two_loops_have_two_clients() -> None:
    """Each event loop has a client of its own, whatever the key."""
    opened: list[SharedClient] = []

    class Transport(InProcessTransport):
        async def open(self) -> None:
            await asyncio.sleep(0)

    transport = Transport(make_server(), latency=0)

    async def use() -> None:
        async with BatchClient.shared(transport=transport, linger=0) as client:
            opened.append(shared_of(client))

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    async with BatchClient.shared(transport=transport, linger=0) as client:
        thread.start()
        await asyncio.to_thread(thread.join)
        assert len(opened) == 1
        assert opened[0] is not shared_of(client)
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, client.aclose())
    await asyncio.sleep(1)


# Opening.


@pytest.mark.parametrize("how", ["task", "scope"])
@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize("turn", range(12))
async def test_whoever_is_cancelled_while_it_opens_harms_nobody(
    transport: SlowTransport, victim: int, turn: int, how: str
) -> None:
    """The first of three who open it, or any other, may be cancelled at any await: the others get it."""
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def use(scope: anyio.CancelScope) -> str:
        with scope:
            async with BatchClient.shared(transport=transport) as client:
                await asyncio.sleep(5)
                return repr(client)
        return "cancelled"

    users = [asyncio.create_task(use(scope)) for scope in scopes]
    for _ in range(turn):
        await asyncio.sleep(0)
    if turn == 11:
        await asyncio.sleep(0.999)
    if how == "task":
        users[victim].cancel()
    else:
        scopes[victim].cancel()
    ends = await asyncio.gather(*users, return_exceptions=True)
    assert isinstance(ends[victim], asyncio.CancelledError) or ends[victim] == "cancelled"
    assert all("open, 0 pending" in str(end) for number, end in enumerate(ends) if number != victim)
    assert transport.opened == 1


async def test_if_all_are_cancelled_while_it_opens_it_still_lingers(transport: SlowTransport) -> None:
    """Who comes after all who opened it were cancelled finds it opening, or open; nobody else closes it."""
    users = [asyncio.create_task(hold(transport)) for _ in range(3)]
    await asyncio.sleep(0.5)
    for user in users:
        user.cancel()
    await asyncio.wait(users)
    await hold(transport)
    assert transport.opened == 1


async def test_an_opening_that_nobody_wants_any_more_is_given_up(server: BatchServer) -> None:
    """A transport that never opens is given up once it has been idle for the time of lingering."""

    class Hanging(SlowTransport):
        async def open(self) -> None:
            await asyncio.sleep(1e6)

    transport = Hanging(server)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5), BatchClient.shared(transport=transport, linger=3):
            pass
    await asyncio.sleep(2.9)
    assert transport.closed == 0
    await asyncio.sleep(2)
    assert transport.closed == 1


async def test_all_who_wait_share_the_failure_and_the_next_tries_anew(transport: SlowTransport) -> None:
    """The error of opening is itself what each gets who waits for it; it harms nobody who comes later."""
    transport.failures = [PermissionError("no credentials")]
    ends = await asyncio.gather(*(hold(transport) for _ in range(50)), return_exceptions=True)
    assert {type(end) for end in ends} == {PermissionError}
    assert len({id(end) for end in ends}) == 1
    depth, traceback = 0, ends[0].__traceback__  # type: ignore[union-attr]
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    assert depth < 12
    await hold(transport)
    assert transport.opened == 2


async def test_who_comes_while_a_failed_opening_ends_tries_anew(transport: SlowTransport) -> None:
    """A newcomer neither gets what has failed nor its failure."""
    transport.failures = [PermissionError("no credentials")]
    failing = asyncio.create_task(hold(transport))
    await asyncio.sleep(1.5)
    assert transport.closed == 0
    await hold(transport)
    with pytest.raises(PermissionError):
        await failing


async def test_a_keeper_that_is_cancelled_at_once(transport: SlowTransport) -> None:
    """If somebody cancels the task that keeps it before it has begun, nobody waits in vain, and the next gets one."""
    client = BatchClient.shared(transport=transport)
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(0)
    shared_of(client).task.cancel()
    with pytest.raises(ClientClosedError):
        await opening
    await hold(transport)


async def test_a_handle_that_failed_to_open_says_why() -> None:
    """After a failure to open, the user's client is closed, and the error has the cause."""
    transport = SlowTransport(make_server())
    transport.failures = [PermissionError("no credentials")]
    client = BatchClient.shared(transport=transport)
    with pytest.raises(PermissionError):
        await client.open()
    with pytest.raises(ClientClosedError) as caught:
        await client.describe("j")
    assert isinstance(caught.value.__cause__, PermissionError)
    assert repr(client) == "<BatchClient, shared, closed>"


async def test_no_context_of_a_user_is_seen(server: BatchServer, transport: SlowTransport) -> None:
    """What the first and the last user have in their contexts is neither opened, nor called, nor closed with."""

    async def use(name: str) -> None:
        trigger.set(name)
        async with BatchClient.shared(transport=transport, linger=1) as client:
            await client.describe(server.add_job())

    await asyncio.gather(*(asyncio.create_task(use(name)) for name in ("a", "b")))
    await asyncio.sleep(5)
    assert transport.seen == ["nobody's", "nobody's"]


@pytest.mark.parametrize("seed", range(30))
async def test_users_come_and_go_as_they_like(
    server: BatchServer, transport: SlowTransport, seed: int
) -> None:
    """Whoever comes when, leaves, is cancelled or meets a failure: each gets answers or an error of his own."""
    random = Random(seed)
    job_id = server.add_job(life_cycle=LONG)
    ends: Counter[str] = Counter()

    async def use() -> None:
        await asyncio.sleep(random.choice([0, 1, 2, random.uniform(0, 40)]))
        try:
            async with BatchClient.shared(transport=transport, linger=random.choice([0, 1, 3])) as client:
                for _ in range(random.randrange(4)):
                    await client.describe(job_id)
                    assert transport.is_open
                    await asyncio.sleep(random.uniform(0, 3))
            ends["fine"] += 1
        except PermissionError:
            ends["failed"] += 1

    transport.failures = [PermissionError("no credentials")]
    users = [asyncio.create_task(use()) for _ in range(30)]
    for user in random.sample(users, 10):
        await asyncio.sleep(random.uniform(0, 4))
        user.cancel()
    results = await asyncio.gather(*users, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
    assert ends["fine"] >= 5


async def test_no_context_of_a_user_is_kept(transport: SlowTransport) -> None:
    """What users have in their contexts is free once they are gone, while the client is used and while it lingers."""

    class Request:
        pass

    request: ContextVar[Request] = ContextVar("request")

    async def use() -> weakref.ref[Request]:
        request.set(Request())
        await hold(transport, 1)
        return weakref.ref(request.get())

    async with BatchClient.shared(transport=transport):
        pass
    for _ in range(2):
        gone = await asyncio.create_task(use())
        # The turn in which it was awaited still has the task.
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
    await asyncio.sleep(LINGER + 5)
    first = asyncio.create_task(use())
    await asyncio.sleep(1.5)
    async with BatchClient.shared(transport=transport):
        gone = await first
        del first
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
    assert transport.opened == 2


# Lingering and closing.


async def test_it_lingers_for_whoever_comes_meanwhile(transport: SlowTransport) -> None:
    """It stays open for 60 seconds after the last has left, and whoever comes meanwhile keeps it."""
    first = await hold(transport)
    await asyncio.sleep(LINGER - 0.1)
    second = await hold(transport)
    assert second is first
    await asyncio.sleep(LINGER - 0.1)
    assert transport.is_open
    await asyncio.sleep(1.2)
    assert not transport.is_open
    assert transport.opened == 1


async def test_the_longest_linger_holds(transport: SlowTransport) -> None:
    """Users with different `linger` have it stay for the longest of them."""
    await asyncio.gather(hold(transport, 1, linger=30), hold(transport, 2, linger=0))
    await asyncio.sleep(29)
    assert transport.is_open
    await asyncio.sleep(3)
    assert not transport.is_open


@pytest.mark.parametrize("seconds", [1, 1.5, 1.99, 2, 2.01, 2.5, 3])
async def test_nobody_gets_a_client_that_closes(
    server: BatchServer, transport: SlowTransport, seconds: float
) -> None:
    """Newcomers at any moment around the close get a client that works; one transport is never opened twice at once."""
    async with BatchClient.shared(transport=transport, linger=1):
        pass
    await asyncio.sleep(seconds)

    async def use() -> None:
        async with BatchClient.shared(transport=transport, linger=1) as client:
            for _ in range(3):
                await client.describe(server.add_job())
                await asyncio.sleep(1)

    await asyncio.gather(use(), use())


async def test_who_gives_up_while_a_transport_closes_does_not_let_the_next_one_in(
    server: BatchServer, transport: SlowTransport
) -> None:
    """The second waits for the first to close, and so does the third, though the second is gone before."""
    async with BatchClient.shared(transport=transport, linger=0):
        pass
    await anyio.sleep(0.2)
    with anyio.move_on_after(0.2):
        async with BatchClient.shared(transport=transport, linger=0):
            pass
    await anyio.sleep(0.2)
    # Or the first of them to be collected would be found no more.
    gc.collect()
    async with BatchClient.shared(transport=transport, linger=0) as client:
        await anyio.sleep(2)
        assert transport.is_open
        await client.describe(server.add_job())


async def test_newcomers_do_not_wait_for_a_close(server: BatchServer) -> None:
    """While one client closes, another one opens: only a transport of the user's own is waited for."""
    opened: list[asyncio.Task[Any] | None] = []

    @asynccontextmanager
    async def factory() -> AsyncIterator[Any]:
        opened.append(asyncio.current_task())
        async with AioSession().create_client("batch", region_name="eu-west-1") as client:
            yield client
            await asyncio.sleep(3)

    async def use() -> SharedClient:
        async with BatchClient.shared(key="k", factory=factory, linger=1) as client:
            return shared_of(client)

    loop = asyncio.get_running_loop()
    first = await use()
    await asyncio.sleep(2)
    assert first.supervisor.state is State.CLOSING
    begin = loop.time()
    second = await use()
    assert second is not first
    assert loop.time() - begin < 1
    assert len(opened) == 2
    await asyncio.sleep(6)
    del server


async def test_a_client_that_stopped_is_replaced(
    transport: SlowTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a defect stops the client, its users learn of it, and who comes next gets another one."""
    async with BatchClient.shared(transport=transport) as first:
        monkeypatch.setattr(shared_of(first).supervisor.coalescer, "_take_due", lambda: 1 / 0)
        with pytest.raises(ClientClosedError) as caught:
            await first.describe("j")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert "shared by 1, clos" in repr(first)
        await hold(transport)
    assert transport.opened == 2


def test_a_loop_that_ends_while_it_is_used_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run with users in the midst of waits closes the client, and reports nothing."""
    _run_and_leave(caplog, users=3, leave=False)


def test_a_loop_that_ends_while_it_lingers_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run within the time of lingering closes the client, and reports nothing."""
    _run_and_leave(caplog, users=3, leave=True)


def test_a_loop_that_ends_while_it_opens_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run while the client still opens gives it up, and reports nothing."""
    _run_and_leave(caplog, users=3, leave=False, seconds=0.005)


def _run_and_leave(
    caplog: pytest.LogCaptureFixture, *, users: int, leave: bool, seconds: float = 0.05
) -> None:
    entered: list[str] = []

    class Transport(InProcessTransport):
        async def open(self) -> None:
            await super().open()
            await asyncio.sleep(0.02)

        async def aclose(self) -> None:
            await asyncio.sleep(0.01)
            await super().aclose()

    transports: list[Transport] = []

    async def use(transport: Transport, job_id: str) -> None:
        async with BatchClient.shared(transport=transport) as client:
            entered.append(job_id)
            if not leave:
                await client.wait_for_job(job_id)

    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        server = BatchServer(seed=1)
        transports.append(Transport(server, latency=0))
        tasks = [
            asyncio.create_task(use(transports[0], server.add_job(life_cycle=LONG))) for _ in range(users)
        ]
        await asyncio.sleep(seconds)
        if seconds > 0.02:
            # A busy machine takes longer.
            await until(lambda: len(entered) == users and all(task.done() is leave for task in tasks))
        assert all(task.done() is leave for task in tasks)
        return weakref.ref(loop)

    loop = asyncio.run(main())
    assert transports[0].opened == transports[0].closed == 1
    assert len(entered) == (users if seconds > 0.02 else 0)
    transports.clear()
    gc.collect()
    assert loop() is None
    assert caplog.messages == []


def test_a_loop_that_is_closed_in_the_midst_harms_no_other() -> None:
    """After a loop that was closed with a client open, the next loop opens one of its own; only a loop keeps one."""
    transport = InProcessTransport(BatchServer(seed=1), latency=0)
    loop = asyncio.new_event_loop()
    client = BatchClient.shared(transport=transport)
    loop.run_until_complete(client.open())
    loop.close()
    (broken_off,) = _clients[loop].values()
    # There is nothing left to close, so it is no use to warn of it.
    del client

    async def main() -> None:
        async with BatchClient.shared(transport=transport) as another:
            assert shared_of(another) is not broken_off

    asyncio.run(main())
    assert transport.opened == 2
    assert loop not in _clients
    assert [kind for kind in map(type, gc.get_referrers(broken_off)) if "Dictionary" in kind.__name__] == []


# Leaving.


async def test_who_leaves_ends_his_own_waits_and_nobody_elses(
    server: BatchServer, transport: SlowTransport
) -> None:
    """Waits and describes of a user who leaves end with ClientClosedError; those of others for the same jobs go on."""
    job_ids = [server.add_job(life_cycle=QUICK) for _ in range(30)]
    leaver = BatchClient.shared(transport=transport, backoff=FixedInterval(1))
    await leaver.open()
    async with BatchClient.shared(transport=transport, backoff=FixedInterval(1)) as other:
        theirs: list[asyncio.Task[Any]] = [
            asyncio.create_task(leaver.wait_for_job(job_id)) for job_id in job_ids
        ]
        ours = [asyncio.create_task(other.wait_for_job(job_id)) for job_id in job_ids]
        await asyncio.sleep(0.5)
        theirs.append(asyncio.create_task(leaver.describe_jobs(job_ids)))
        await asyncio.sleep(0.01)
        await leaver.aclose()
        await leaver.aclose()
        ends = await asyncio.gather(*theirs, return_exceptions=True)
        assert {type(end) for end in ends} == {ClientClosedError}
        assert job_ids[0] in str(ends[0])
        assert {job["status"] for job in await asyncio.gather(*ours)} == {"SUCCEEDED"}
        assert other.statistics().pending == 0


async def test_who_leaves_in_the_midst_of_a_beginning(server: BatchServer, transport: SlowTransport) -> None:
    """Jobs that are still being read in when their user leaves are not asked for."""
    client = BatchClient.shared(transport=transport)
    await client.open()
    describing = asyncio.create_task(client.describe_jobs([f"job-{number}" for number in range(2500)]))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await describing
    await asyncio.sleep(5)
    assert server.statistics.calls["DescribeJobs"] == 0


async def test_waits_that_end_are_forgotten(server: BatchServer, transport: SlowTransport) -> None:
    """A user who lives for long keeps nothing of waits that have ended, however they did."""
    running, unknown = server.add_job(life_cycle=LONG), "unknown"
    async with BatchClient.shared(transport=transport, backoff=FixedInterval(1)) as client:
        await client.describe(running)
        await client.describe_jobs([running, unknown])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await client.wait_for_job(running)
        server.inject(Fault.RESET_BEFORE_BODY)
        with pytest.raises(DescribeError):
            await client.describe(running, status_retries=1)
        assert client._supervisor.coalescer._own == set()  # type: ignore[union-attr]


async def test_what_a_user_submits_goes_on_when_he_leaves(transport: SlowTransport) -> None:
    """A submission that waits for its turn is made although its user has left."""
    arguments: SubmitJobRequestTypeDef = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}
    async with BatchClient.shared(transport=transport) as client:
        submissions = [asyncio.create_task(client.submit_job(**arguments)) for _ in range(10)]
        await asyncio.sleep(0.01)
    jobs = await asyncio.gather(*submissions)
    assert len({job["jobId"] for job in jobs}) == 10


async def test_a_log_fetcher_ends_when_its_user_leaves(server: BatchServer, transport: SlowTransport) -> None:
    """The log fetcher of a wait that ends because its user leaves is stopped and joined; jobs can be terminated."""
    job_id = server.add_job(life_cycle=LONG)
    fetcher = Fetcher()
    async with BatchClient.shared(transport=transport, backoff=FixedInterval(1)) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id, get_batch_log_fetcher=lambda _: fetcher))
        await until(lambda: bool(fetcher.calls))
    with pytest.raises(ClientClosedError):
        await wait
    assert fetcher.calls == ["start", "stop", "join"]
    async with BatchClient.shared(transport=transport) as client:
        await client.terminate_job(job_id, "enough")
        assert (await client.describe(job_id))["status"] == "FAILED"


async def test_use_before_and_after_raises(server: BatchServer) -> None:
    """Every method of a user's client that is not open raises ClientClosedError, which says what to do."""
    transport = server.transport()
    client = BatchClient.shared(transport=transport, linger=0)
    for method in all_methods(client).values():
        with pytest.raises(ClientClosedError, match="async with"):
            await method()
    async with client:
        with pytest.raises(RuntimeError, match=r"already open; each task calls BatchClient\.shared\(\)"):
            await client.open()
    for method in all_methods(client).values():
        with pytest.raises(ClientClosedError, match=r"BatchClient\.shared\(\)"):
            await method()
    with pytest.raises(ClientClosedError, match=r"AWS Batch job \(a-job\): this use of a shared"):
        await client.terminate_job("a-job", "enough")
    with pytest.raises(ClientClosedError):
        _ = client.client
    with pytest.raises(ClientClosedError):
        await client.open()
    await client.aclose()
    never = BatchClient.shared(transport=transport)
    await never.aclose()
    with pytest.raises(ClientClosedError):
        await never.open()
    await asyncio.sleep(1)
    assert client.statistics().calls == 0


async def test_closing_while_it_opens(transport: SlowTransport) -> None:
    """A user whose client is closed by another task while he opens it is told at once."""
    client = BatchClient.shared(transport=transport)
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(0.5)
    begin = asyncio.get_running_loop().time()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await opening
    assert asyncio.get_running_loop().time() == begin


async def test_the_repr_shows_the_state(transport: SlowTransport) -> None:
    """A user's client shows where it is, and with how many it is shared."""
    first, second = (BatchClient.shared(transport=transport) for _ in range(2))
    assert repr(first) == "<BatchClient, shared, not open yet>"
    opening = asyncio.create_task(first.open())
    await asyncio.sleep(0.5)
    assert repr(first) == "<BatchClient, shared, opening>"
    await opening
    await second.open()
    assert repr(first).startswith("<BatchClient us-east-1, shared by 2, open, 0 pending")
    await second.aclose()
    assert repr(second).startswith("<BatchClient us-east-1, shared, closed, 0 pending")
    await first.aclose()


# Who never leaves.


async def test_whoever_is_lost_without_leaving_leaves(transport: SlowTransport) -> None:
    """A user's client that nobody has any more counts no longer, with a warning, and harms no other."""
    async with BatchClient.shared(transport=transport) as other:
        lost = BatchClient.shared(transport=transport)
        await lost.open()
        assert len(shared_of(other).users) == 2
        with pytest.warns(ResourceWarning, match="a shared BatchClient was not closed: use 'async with'"):
            del lost
        await asyncio.sleep(0)
        assert len(shared_of(other).users) == 1
    await asyncio.sleep(LINGER + 3)
    assert not transport.is_open


async def test_it_may_be_noticed_in_any_thread(transport: SlowTransport) -> None:
    """The garbage collector runs where it likes."""
    clients = [BatchClient.shared(transport=transport, linger=0)]
    await clients[0].open()
    shared = shared_of(clients[0])
    with pytest.warns(ResourceWarning):
        await asyncio.to_thread(clients.clear)
    await asyncio.sleep(0.1)
    assert shared.users == set()


async def test_who_waits_is_not_lost(server: BatchServer, transport: SlowTransport) -> None:
    """Whose client is only in the hands of a wait, or is not opened, or was closed, is not warned of."""
    client = BatchClient.shared(transport=transport, backoff=FixedInterval(1))
    await client.open()
    wait = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=QUICK)))
    del client
    gc.collect()
    await asyncio.sleep(1)
    assert not wait.done()
    closed = BatchClient.shared(transport=transport, observers=[])
    async with closed:
        pass
    del closed
    BatchClient.shared(transport=transport)
    wait.add_done_callback(lambda _: gc.collect())
    with pytest.warns(ResourceWarning, match="was not closed"):
        await wait
    assert wait.result()["status"] == "SUCCEEDED"


async def test_a_stream_keeps_its_client(server: BatchServer, transport: SlowTransport) -> None:
    """Whose client is only in the hands of a stream has it for as long as the stream goes on, and no longer."""
    client = BatchClient.shared(transport=transport, backoff=FixedInterval(1), linger=2)
    await client.open()
    shared = shared_of(client)
    changes = client.watch([server.add_job(life_cycle=QUICK), server.add_job(life_cycle=LONG)])
    del client
    gc.collect()
    statuses = []
    async for item in changes:
        assert isinstance(item, JobChange)
        statuses.append(item.status)
        if item.status == "SUCCEEDED":
            break
    await asyncio.sleep(10)
    assert (len(shared.users), transport.is_open) == (1, True)
    with pytest.warns(ResourceWarning, match="was not closed"):
        del changes
    await asyncio.sleep(1)
    assert (len(shared.users), shared.supervisor.coalescer.statistics().pending) == (0, 0)
    await asyncio.sleep(3)
    assert not transport.is_open


async def test_a_stream_that_has_ended_keeps_no_client(server: BatchServer, transport: SlowTransport) -> None:
    """Once it has told all, its client may go, whoever has the stream."""
    client = BatchClient.shared(transport=transport, backoff=FixedInterval(1), linger=0)
    await client.open()
    outcomes = client.as_completed([server.add_job(life_cycle=QUICK)])
    del client
    with pytest.warns(ResourceWarning, match="was not closed"):
        assert [outcome.status async for outcome in outcomes] == ["SUCCEEDED"]
    await asyncio.sleep(3)
    assert not transport.is_open


async def test_a_list_keeps_its_client(server: BatchServer, transport: SlowTransport) -> None:
    """Whose client is only in the hands of a list has it for as long as the list goes on, and no longer."""
    client = BatchClient.shared(transport=transport, linger=0)
    await client.open()
    job_ids = {server.add_job(life_cycle=QUICK) for _ in range(3)}
    summaries = client.list_jobs("queue")
    del client
    gc.collect()
    with pytest.warns(ResourceWarning, match="was not closed"):
        assert {summary["jobId"] async for summary in summaries} == job_ids
    await asyncio.sleep(3)
    assert not transport.is_open


async def test_a_waiter_keeps_its_client(server: BatchServer, transport: SlowTransport) -> None:
    """Whose client is only in the hands of a waiter has it for as long as that."""
    client = BatchClient.shared(transport=transport, linger=0)
    await client.open()
    waiter = client.get_waiter("job_complete")
    del client
    gc.collect()
    await asyncio.sleep(1)
    job_id = server.add_job(life_cycle=QUICK)
    await waiter.wait(jobs=[job_id], WaiterConfig={"Delay": 1})
    with pytest.warns(ResourceWarning, match="was not closed"):
        del waiter
    await asyncio.sleep(3)
    assert not transport.is_open


async def test_a_client_keeps_no_stream(server: BatchServer, transport: SlowTransport) -> None:
    """Also while nothing else is to be done, nothing is left of a stream that has ended."""
    async with BatchClient.shared(transport=transport, backoff=FixedInterval(1)) as client:
        outcomes = client.as_completed([server.add_job(life_cycle=QUICK)])
        state = weakref.ref(outcomes._stream)
        assert len([outcome async for outcome in outcomes]) == 1
        await asyncio.sleep(1)
        del outcomes
        gc.collect()
        assert state() is None


# What is for all.


async def test_the_lower_rate_holds(
    server: BatchServer, transport: SlowTransport, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two rates the lower one holds from then on, and one WARNING names both, however many users there are."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    async with BatchClient.shared(transport=transport) as first:
        for _ in range(20):
            async with BatchClient.shared(
                transport=transport, max_calls_per_second=0.5, max_submits_per_second=2, call_timeout=7
            ):
                pass
        async with BatchClient.shared(transport=transport, max_calls_per_second=8):
            pass
        assert first.statistics().rate == 0.5
        begin = asyncio.get_running_loop().time()
        for _ in range(5):
            await first.describe(server.add_job())
        assert asyncio.get_running_loop().time() - begin >= 8
    assert {message.partition(" ask for ")[0] for message in caplog.messages} == {
        "users of one shared BatchClient"
    }
    assert [message.partition(" ask for ")[2] for message in caplog.messages] == [
        "max_calls_per_second=10 and for 0.5: 0.5, the lower one, holds from now on",
        "max_submits_per_second=50 and for 2: 2, the lower one, holds from now on",
        "call_timeout=15 and for 7: 15 holds, which came first",
        "max_calls_per_second=0.5 and for 8: 0.5, the lower one, holds from now on",
    ]


async def test_observers_hear_while_their_user_is_there(
    server: BatchServer, transport: SlowTransport
) -> None:
    """An observer hears of the calls of all from when its user comes until he leaves, once, whoever else named it."""
    first_events: list[Event] = []
    second_events: list[Event] = []
    async with BatchClient.shared(transport=transport) as client:
        async with (
            BatchClient.shared(transport=transport, observers=[second_events.append]),
            BatchClient.shared(transport=transport, observers=[second_events.append]),
        ):
            await client.describe(server.add_job())
        await client.describe(server.add_job())
        assert [type(event) for event in second_events] == [WaitBegan, CallEnded, WaitEnded, ObserverRemoved]
    await asyncio.sleep(LINGER + 5)
    async with (
        BatchClient.shared(transport=transport) as client,
    ):
        first = BatchClient.shared(transport=transport, observers=[first_events.append])
        async with first:
            pass
        await client.describe(server.add_job())
    assert [type(event) for event in first_events] == [ObserverRemoved]
    assert of_kind(ClientClosed, second_events) == []


async def test_a_late_observer_hears_of_late_checks(server: BatchServer, transport: SlowTransport) -> None:
    """Also if they are those of waits that had begun before its user came."""
    events: list[Event] = []
    async with BatchClient.shared(transport=transport, backoff=FixedInterval(1), call_timeout=100) as client:
        wait = asyncio.create_task(client.poll_for_job_complete(server.add_job(life_cycle=LONG), 0))
        await asyncio.sleep(10)
        async with BatchClient.shared(transport=transport, call_timeout=100, observers=[events.append]):
            await asyncio.sleep(3)
            server.throttle(0.001)
            await asyncio.sleep(60)
        wait.cancel()
    late = [event.seconds for event in of_kind(ChecksOverdue, events)]
    assert late == sorted(late)
    assert late[0] < 11
    assert late[-1] > 40


async def test_observers_that_fail_are_forgotten_with_their_users(
    server: BatchServer, transport: SlowTransport
) -> None:
    """What was logged once of each of them is not remembered for as long as the client lives."""
    async with BatchClient.shared(transport=transport) as client:
        for _ in range(10):
            async with BatchClient.shared(
                transport=transport, observers=[lambda event: event.nothing]
            ) as user:
                await user.describe(server.add_job())
                assert len(shared_of(client).supervisor.observers._reported) == 1
        assert not shared_of(client).supervisor.observers._reported


async def test_the_observers_of_the_first_hear_of_the_opening(transport: SlowTransport) -> None:
    """Whoever opens the client is told so, and that he hears no more of it once he has left."""
    events: list[Event] = []
    await hold(transport, observers=[events.append])
    assert [type(event) for event in events] == [ClientOpened, ObserverRemoved]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"key": "k"}, "both key= and factory="),
        ({"factory": lambda: None}, "both key= and factory="),
        (
            {"key": "k", "factory": lambda: None, "region_name": "r"},
            "region_name cannot be changed: factory=",
        ),
        ({"key": "k", "factory": lambda: None, "session": AioSession()}, "give only one of session, factory"),
        ({"linger": -1}, "linger must be"),
        ({"linger": float("inf")}, "linger must be"),
        ({"max_calls_per_second": 0}, "max_calls_per_second must be"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], text: str) -> None:
    """What makes no sense or contradicts is refused before anything is opened."""
    with pytest.raises(ValueError, match=text):
        BatchClient.shared(**arguments)


def test_type_checkers_know_the_arguments() -> None:
    """They are those of `BatchClient`, of the same types, so a name that is none is an error before it runs."""
    given = inspect.signature(BatchClient.__init__).parameters
    types = {name: parameter.annotation for name, parameter in given.items() if name != "self"}
    assert {name: kind.__forward_arg__ for name, kind in ClientArguments.__annotations__.items()} == types
    with pytest.raises(TypeError, match="regon_name"):
        # If mypy took it, it would say that this comment is not needed.
        BatchClient.shared(regon_name="eu-west-1")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "arguments",
    [
        {"key": [], "factory": lambda: None},
        {"key": "k", "factory": "factory"},
        {"linger": "60"},
        {"nonsense": 1},
        {"session": 1},
    ],
)
def test_arguments_of_wrong_types(arguments: dict[str, Any]) -> None:
    """What is of a wrong type is refused with a TypeError."""
    with pytest.raises(TypeError):
        BatchClient.shared(**arguments)


# Factories.


class Factory:
    """Gives an aiobotocore client within a task group, and notes in which task and context."""

    def __init__(self, service: str = "batch") -> None:
        self.service = service
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.seen: list[str] = []
        self.failure: Exception | None = None
        self.seconds = 1.0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Any]:
        """Take a second."""
        self.tasks.append(asyncio.current_task())
        self.seen.append(trigger.get())
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        async with (
            anyio.create_task_group(),
            AioSession().create_client(self.service, region_name="eu-west-3") as client,
        ):
            yield client
        self.tasks.append(asyncio.current_task())
        self.seen.append(trigger.get())


@pytest.fixture
def factory() -> Iterator[Factory]:
    """A factory, not called yet."""
    return Factory()  # type: ignore[return-value]


async def test_a_factory_is_asked_once_and_late(factory: Factory) -> None:
    """Users with an equal key share what the first one's factory gives, entered and left in a task of its own."""
    trigger.set("the first's")
    unused = Factory()
    async with BatchClient.shared(key=("conn", 1), factory=factory, linger=1) as first:
        async with BatchClient.shared(key=("conn", 1), factory=unused, linger=1) as second:
            assert first.client is second.client
            assert first.client.meta.region_name == "eu-west-3"
            assert "BatchClient eu-west-3, shared by 2, open" in repr(first)
        async with BatchClient.shared(key=("conn", 2), factory=factory, linger=1) as other:
            assert other.client is not first.client
    assert unused.tasks == []
    await asyncio.sleep(5)
    assert len(set(factory.tasks)) == 2
    assert len(factory.tasks) == 4
    assert asyncio.current_task() not in factory.tasks
    assert set(factory.seen) == {"nobody's"}


async def test_a_factory_that_fails(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    """What a factory raises reaches all who wait as it is, nothing else is logged, and it is asked again."""
    factory.failure = LookupError("no such connection")

    async def use() -> None:
        async with BatchClient.shared(key="k", factory=factory, linger=0):
            pass

    ends = await asyncio.gather(use(), use(), return_exceptions=True)
    assert ends[0] is ends[1] is factory.failure
    assert caplog.messages == []
    factory.failure = None
    await use()
    await asyncio.sleep(3)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 0.999, 1.0])
async def test_a_factory_that_is_given_up(factory: Factory, seconds: float) -> None:
    """If nobody waits any more, the factory is cancelled, or left again."""
    with anyio.move_on_after(seconds):
        async with BatchClient.shared(key="k", factory=factory, linger=0):
            pass
    await asyncio.sleep(5)


@pytest.mark.parametrize(("seconds", "lines"), [(7, 0), (9, 1), (1000, 1)])
async def test_a_factory_that_takes_long_is_named(
    caplog: pytest.LogCaptureFixture, seconds: float, lines: int
) -> None:
    """Who waits for a factory that waits for AWS STS can see what he waits for."""

    @asynccontextmanager
    async def factory() -> AsyncIterator[Any]:
        await asyncio.sleep(seconds)
        raise ConnectionError
        yield

    with pytest.raises(ConnectionError):
        async with BatchClient.shared(key="k", factory=factory):
            pass
    text = (
        "the factory has given no aiobotocore client for 8 s, and all who open the shared client wait for it"
    )
    assert caplog.messages == [text] * lines


async def test_a_factory_that_cancels_itself() -> None:
    """A cancellation that comes out of a factory is an error of opening, and cancels nobody."""

    @asynccontextmanager
    async def factory() -> AsyncIterator[Any]:
        raise asyncio.CancelledError
        yield

    with pytest.raises(ConnectionAbortedError):
        async with BatchClient.shared(key="k", factory=factory):
            pass


@pytest.mark.parametrize(("service", "error"), [("sts", ValueError), ("batch", TypeError)])
async def test_a_factory_of_something_else(service: str, error: type[Exception]) -> None:
    """A client of another service, or none at all, is refused as when it is given directly."""

    @asynccontextmanager
    async def no_client() -> AsyncIterator[Any]:
        yield client_error(400, "Nonsense")

    with pytest.raises(error, match="factory= must give what"):
        async with BatchClient.shared(key="k", factory=no_client if error is TypeError else Factory(service)):
            pass


async def test_a_factory_that_forgets_to_give_its_client() -> None:
    """A ``yield`` without one is told as what it is."""

    @asynccontextmanager
    async def factory() -> AsyncIterator[Any]:
        yield

    with pytest.raises(TypeError, match=r"factory= must give what .*, not of type NoneType"):
        async with BatchClient.shared(key="k", factory=factory):
            pass


async def test_a_factory_that_fails_to_leave_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What is raised by leaving it hurts nobody, and is logged."""

    @asynccontextmanager
    async def factory() -> AsyncIterator[Any]:
        async with AioSession().create_client("batch", region_name="eu-west-1") as client:
            yield client
        message = "cannot leave"
        raise OSError(message)

    async with BatchClient.shared(key="k", factory=factory, linger=0):
        pass
    await asyncio.sleep(1)
    assert caplog.messages == ["the connections could not be closed: OSError: cannot leave"]


async def test_a_factory_that_takes_too_long_to_leave_is_cut_off() -> None:
    """Closing waits for it no longer than `close_timeout`, and leaves nothing behind."""
    left: list[float] = []
    loop = asyncio.get_running_loop()

    @asynccontextmanager
    async def factory() -> AsyncIterator[Any]:
        async with AioSession().create_client("batch", region_name="eu-west-1") as client:
            yield client
        try:
            await asyncio.sleep(1000)
        finally:
            left.append(loop.time())

    begin = loop.time()
    async with BatchClient.shared(key="k", factory=factory, linger=0, close_timeout=3):
        pass
    await asyncio.sleep(5)
    assert left == [pytest.approx(begin + 3, abs=0.1)]
