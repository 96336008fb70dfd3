"""`awaitbatch.threads`: one client for all threads and event loops, over real sockets."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import gc
import inspect
import threading
import time
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import (
    BatchClient,
    BatchProtocol,
    ClientClosedError,
    FixedInterval,
    JobNotCompleteError,
    JobStatus,
    SubmitUncertainError,
)
from awaitbatch import _loop_thread as loop_thread
from awaitbatch._loop_thread import LoopThread
from awaitbatch.instrumentation import CallEnded, SubmissionUnclaimed
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from awaitbatch.threads import AwaitableClient, BlockingClient, SharedClient, shared
from tests.support import ENDED, LONG, Fetcher, of_kind, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Future

    from awaitbatch.instrumentation import Event

ASKED = {
    name: value for name, value in vars(BatchProtocol).items() if inspect.isfunction(value) and name[0] != "_"
}
METHODS = sorted(name for name, value in ASKED.items() if inspect.iscoroutinefunction(value))
# What these give can do more than be iterated over: they are for `run`.
ITERATORS = sorted(ASKED.keys() - {*METHODS, "submit_jobs", "watch", "watch_queue"})


@pytest.fixture
async def server() -> AsyncIterator[BatchServer]:
    """A server on the loop of the test; who calls it is in other threads."""
    async with BatchServer() as server:
        yield server


def use(server: BatchServer, **arguments: Any) -> SharedClient:
    """One use of a client of that server."""
    return shared(**{**server.client_arguments, "backoff": FixedInterval(0.2), "linger": 0, **arguments})


async def test_a_hundred_threads_share_calls(server: BatchServer) -> None:
    """A hundred threads, each with a use of its own, are one client with one coalescer; nothing is left of them."""

    def wait_for(job_id: str) -> object:
        with use(server) as client:
            assert (client.wait_for_job(job_id))["status"] == "SUCCEEDED"
            return client.run(inner)

    async def inner(client: BatchClient) -> object:
        return client.client

    job_ids = [server.add_job(life_cycle=LifeCycle(running=0.3)) for _ in range(100)]
    # Other tests have loops of their own.
    before = set(threading.enumerate())
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(100) as pool:
        clients = await asyncio.gather(*(loop.run_in_executor(pool, wait_for, job_id) for job_id in job_ids))
    assert len({id(client) for client in clients}) == 1
    assert server.statistics.calls["DescribeJobs"] <= 12
    names = [thread.name for thread in threading.enumerate() if thread not in before]
    assert names.count("awaitbatch") <= 1


async def test_tasks_with_loops_of_their_own_share_calls(server: BatchServer) -> None:
    """Twenty tasks, each on an event loop of its own, await jobs by way of one client."""

    async def wait_for(job_id: str) -> str:
        async with use(server) as client:
            return str((await client.wait_for_job(job_id))["status"])

    job_ids = [server.add_job(life_cycle=LifeCycle(running=0.3)) for _ in range(20)]
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(20) as pool:
        ends = [loop.run_in_executor(pool, asyncio.run, wait_for(job_id)) for job_id in job_ids]
        assert await asyncio.gather(*ends) == ["SUCCEEDED"] * 20
    assert server.statistics.calls["DescribeJobs"] <= 12


async def test_cancelling_a_task_takes_back_its_wait(server: BatchServer) -> None:
    """A task that is cancelled is so at once, and its job is not asked for any more; its neighbour goes on."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(2)]
    async with use(server) as client:
        tasks = [asyncio.create_task(client.wait_for_job(job_id)) for job_id in job_ids]
        await until(lambda: client.statistics().pending == 2)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        await until(lambda: client.statistics().pending == 1)
        await client.terminate_job(job_ids[1], "enough")
        assert (await tasks[1])["status"] == "FAILED"


async def test_a_termination_is_delivered_without_its_caller(server: BatchServer) -> None:
    """Who asks for a termination, and is cancelled before its call is made, has his job terminated all the same."""
    job_id = server.add_job(life_cycle=LONG)
    async with use(server) as client:
        task = asyncio.create_task(client.terminate_job(job_id, "enough"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await until(lambda: server.statistics.calls["TerminateJob"] == 1)


@pytest.mark.parametrize("failing", [False, True])
async def test_who_is_cancelled_as_the_answer_comes_loses_no_job(
    server: BatchServer, *, failing: bool
) -> None:
    """If the client has the answer, and its submitter is gone by the time he would get it, observers hear of it."""
    events: list[Event] = []

    async def submit(client: AwaitableClient) -> None:
        task = asyncio.create_task(client.submit_job(jobName="n", jobQueue="q", jobDefinition="d"))
        await asyncio.sleep(0)
        # This loop does not turn until the other one has the answer.
        while not any(isinstance(event, CallEnded) and event.operation == "SubmitJob" for event in events):
            time.sleep(0.01)  # noqa: ASYNC251
        time.sleep(0.1)  # noqa: ASYNC251
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    if failing:
        server.inject(Fault.SERVER_EXCEPTION, operations=["SubmitJob"])
    async with use(server, observers=[events.append]) as client:
        # The server is on the loop of the test, so the submitter is not.
        await asyncio.to_thread(asyncio.run, submit(client))
        await until(lambda: bool(of_kind(SubmissionUnclaimed, events)))
        (unclaimed,) = of_kind(SubmissionUnclaimed, events)
        assert (unclaimed.job_name, unclaimed.job_id is None) == ("n", failing)
        if unclaimed.job_id is not None:
            assert server.status_of(unclaimed.job_id) is not JobStatus.FAILED


async def test_who_is_told_himself_is_not_reported(server: BatchServer) -> None:
    """Whoever gets the id of his job, or the error, needs no warning of it."""
    events: list[Event] = []
    job: Any = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}

    def submit() -> None:
        with use(server) as client:
            client.submit_job(**job)
            server.inject(Fault.SERVER_EXCEPTION, operations=["SubmitJob"])
            with pytest.raises(SubmitUncertainError):
                client.submit_job(**job)

    async with use(server, observers=[events.append]) as client:
        await client.submit_job(**job)
        await asyncio.to_thread(submit)
        with pytest.raises(SubmitUncertainError):
            await client.submit_job(**job)
    assert of_kind(SubmissionUnclaimed, events) == []


async def test_who_is_cancelled_as_an_item_comes_loses_none(server: BatchServer) -> None:
    """The item is there for whoever asks next."""
    job_ids = {server.add_job(life_cycle=ENDED) for _ in range(3)}

    async def collect(client: AwaitableClient) -> set[str]:
        outcomes = client.as_completed(job_ids)
        task = asyncio.create_task(anext(outcomes))
        await asyncio.sleep(0)
        while client.statistics().pending or not client.statistics().calls:
            time.sleep(0.01)  # noqa: ASYNC251
        time.sleep(0.1)  # noqa: ASYNC251
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return {outcome.job_id async for outcome in outcomes}

    async with use(server) as client:
        assert await asyncio.to_thread(asyncio.run, collect(client)) == job_ids


async def test_leaving_ends_waits_of_other_threads(server: BatchServer) -> None:
    """Whoever leaves ends what others wait for by way of his use, and only that."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(2)]
    async with use(server) as other:
        going_on = asyncio.create_task(other.wait_for_job(job_ids[0]))
        async with use(server) as client:
            ending = asyncio.create_task(client.wait_for_job(job_ids[1]))
            await until(lambda: client.statistics().pending == 2)
        with pytest.raises(ClientClosedError):
            await ending
        await other.terminate_job(job_ids[0], "enough")
        assert (await going_on)["status"] == "FAILED"


async def test_a_time_out(server: BatchServer) -> None:
    """A wait that takes too long is taken back, and the error names the job; what ends in time is no error."""
    job_id, ended = server.add_job(life_cycle=LONG), server.add_job(life_cycle=ENDED)

    def wait() -> None:
        with use(server) as client:
            waits: list[Callable[..., Any]] = [
                client.wait_for_job,
                client.poll_for_job_complete,
                lambda job_id, timeout: client.poll_job_status(job_id, ["FAILED"], timeout=timeout),
            ]
            for poll in waits:
                with pytest.raises(TimeoutError, match=rf"AWS Batch job \({job_id}\): .* 0.05 s"):
                    poll(job_id, timeout=0.05)
            with pytest.raises(TimeoutError, match=r"the call was given up after 0 s"):
                client.run(lambda client: client.describe(job_id), timeout=0)
            assert client.poll_for_job_running(job_id, 0, timeout=60)["status"] == "RUNNING"
            assert client.wait_for_job(ended, timeout=60)["status"] == "SUCCEEDED"
            assert client.statistics().pending == 0
            with pytest.raises(ValueError, match="timeout must be seconds, not -1"):
                client.wait_for_job(job_id, timeout=-1)

    await asyncio.to_thread(wait)


async def test_errors_keep_their_type_and_say_where(server: BatchServer) -> None:
    """An error has its own type, and a traceback from the caller down to where it arose; nothing keeps it alive."""
    job_id = server.add_job(life_cycle=LONG)

    def check() -> weakref.ref[BaseException]:
        with use(server) as client:
            try:
                client.check_job_success(job_id)
            except JobNotCompleteError as error:
                frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
                assert frames[0] == "check"
                assert frames[-2:] == ["check_job_success", "require_success"]
                return weakref.ref(error)
        pytest.fail("no error")

    gc.disable()
    try:
        error = await asyncio.to_thread(check)
        # The task that raised it ends a moment later.
        await until(lambda: error() is None)
    finally:
        gc.enable()


async def test_an_error_of_opening() -> None:
    """A client that cannot be opened raises its error in both ways, and leaves no user behind."""

    def factory() -> Any:
        message = "no such connection"
        raise LookupError(message)

    def block() -> None:
        with shared(key="k", factory=factory):
            pytest.fail("opened")

    for _ in range(2):
        with pytest.raises(LookupError, match="no such connection"):
            await asyncio.to_thread(block)
    with pytest.raises(LookupError, match="no such connection"):
        async with shared(key="k", factory=factory):
            pytest.fail("opened")


async def test_blocking_on_an_event_loop_is_refused(server: BatchServer) -> None:
    """In a thread whose event loop runs, `with` and each method say what to use instead."""
    with pytest.raises(RuntimeError, match=r"use 'async with awaitbatch\.threads\.shared"):
        use(server).__enter__()

    def give() -> tuple[SharedClient, BlockingClient]:
        context = use(server)
        return context, context.__enter__()

    context, client = await asyncio.to_thread(give)
    with pytest.raises(RuntimeError, match="would block the event loop"):
        client.describe("a")
    await asyncio.to_thread(context.__exit__, None, None, None)
    with pytest.raises(ClientClosedError, match="this use of a shared BatchClient is closed"):
        await asyncio.to_thread(client.describe, "a")


async def test_one_use_each(server: BatchServer) -> None:
    """What `shared` returns is good for one `with`; the second one is refused, and does not close the first."""
    context = use(server)
    async with context as client:
        with pytest.raises(RuntimeError, match=r"call awaitbatch\.threads\.shared"):
            await context.__aenter__()
        assert await client.describe_jobs([]) == {"jobs": []}


def test_a_client_of_another_loop_is_refused() -> None:
    """An open aiobotocore client cannot be lent; other arguments are checked as ever."""
    with pytest.raises(ValueError, match="client= belongs to the event loop"):
        shared(client=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="linger must be"):
        shared(linger=-1)


async def test_all_methods(server: BatchServer) -> None:
    """Both ways have each coroutine of `BatchProtocol`, with its arguments and its documentation."""
    async with use(server) as client:
        job_id = (await client.submit_job(jobName="n", jobQueue="q", jobDefinition="d"))["jobId"]
        assert (await client.get_job_description(job_id))["jobId"] == job_id
        assert "ResponseMetadata" in await client.cancel_job(job_id, "enough")
        assert [outcome.status async for outcome in client.as_completed([job_id])] == ["FAILED"]
        assert [job["jobId"] async for job in client.list_jobs("q")] == [job_id]
        assert repr(client).startswith("<AwaitableClient of <BatchClient us-east-1, shared by 1, open")

    def block() -> None:
        with use(server) as client:
            job_id = client.submit_job(jobName="n", jobQueue="q", jobDefinition="d", timeout={})["jobId"]
            assert client.describe_jobs([job_id])["jobs"][0]["jobId"] == job_id
            assert "ResponseMetadata" in client.terminate_job(job_id, "enough")
            assert [outcome.job_id for outcome in client.as_completed([job_id])] == [job_id]
            assert job_id in {job["jobId"] for job in client.list_jobs("q")}
            with pytest.raises(ValueError, match="exactly one of queue"):
                client.list_jobs()

    await asyncio.to_thread(block)
    assert "wait_for_job" in METHODS
    assert {"as_completed", "list_jobs"} <= {*ITERATORS}
    for name in METHODS + ITERATORS:
        theirs = inspect.signature(getattr(BatchClient, name)).parameters
        assert inspect.signature(getattr(AwaitableClient, name)).parameters == theirs
        blocking = dict(inspect.signature(getattr(BlockingClient, name)).parameters)
        if "timeout" not in theirs:
            assert (blocking.pop("timeout", None) is not None) == (name.startswith("poll") or "wait" in name)
        assert blocking == theirs
        for kind in (AwaitableClient, BlockingClient):
            assert getattr(kind, name).__name__ == name
            assert getattr(kind, name).__doc__


async def test_the_context_and_the_thread_of_callbacks(server: BatchServer) -> None:
    """A log fetcher runs in the context of who waits, as it does without threads."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    fetcher, seen = Fetcher(), []

    def get_fetcher(_: str) -> Fetcher:
        seen.append((variable.get(), threading.current_thread().name))
        return fetcher

    def wait() -> None:
        variable.set("mine")
        with use(server) as client:
            client.wait_for_job(server.add_job(life_cycle=ENDED), None, get_fetcher)

    await asyncio.to_thread(wait)
    assert seen == [("mine", "awaitbatch")]
    assert fetcher.calls == ["start", "stop", "join"]


async def test_system_exit_is_the_callers_own(server: BatchServer) -> None:
    """SystemExit in a function of the user's comes out where it was called, and ends nobody else's wait."""
    job_id = server.add_job(life_cycle=LONG)

    async def leave(_: BatchClient) -> None:
        raise SystemExit(3)

    def block() -> str:
        with use(server) as client:
            with pytest.raises(SystemExit):
                client.run(leave)
            with pytest.raises(RuntimeError, match="StopIteration"):
                client.run(lambda _: next(iter(())))
            return str(client.describe(job_id)["status"])

    async with use(server) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id))
        await until(lambda: client.statistics().pending == 1)
        assert await asyncio.to_thread(block) == "RUNNING"
        await client.terminate_job(job_id, "enough")
        assert (await wait)["status"] == "FAILED"


async def test_a_loop_that_was_ended(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an observer ends the loop of all, those who wait learn it, and the next gets another one."""
    # Python would ignore it without a word; pytest does not.
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    job_id = server.add_job(life_cycle=LONG)

    def leave() -> None:
        raise SystemExit(3)

    async def end(_: BatchClient) -> None:
        asyncio.get_running_loop().call_soon(leave)

    context = use(server)
    client = await context.__aenter__()
    wait = asyncio.create_task(client.wait_for_job(job_id))
    await until(lambda: client.statistics().pending == 1)
    ended = LoopThread.of_this_process()
    await client.run(end)
    with pytest.raises(ClientClosedError, match=r"event loop of awaitbatch\.threads has ended"):
        await wait
    with pytest.raises(ClientClosedError, match=r"call awaitbatch\.threads\.shared\(\)"):
        await client.describe(job_id)
    await context.__aexit__(None, None, None)
    async with use(server) as client:
        assert (await client.describe(job_id))["status"] == "RUNNING"
    assert LoopThread.of_this_process() is not ended


async def test_who_comes_while_the_loop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a call that was begun a moment before is told so, though its task would have come too late to be ended."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ended = LoopThread()
    futures: list[Future[Any]] = []

    def leave() -> None:
        futures.append(ended.start(asyncio.Event().wait))
        raise SystemExit(3)

    async def end() -> None:
        asyncio.get_running_loop().call_soon(leave)

    ended.start(end)
    await asyncio.to_thread(ended._thread.join)
    (late,) = futures
    with pytest.raises(ClientClosedError, match="has ended"):
        late.result(0)


async def test_an_exception_that_another_thread_raises(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that ends a thread by an exception from outside ends its wait soon, and the wait is taken back."""
    monkeypatch.setattr(loop_thread, "_SECONDS_DEAF", 0.02)
    job_id, threads, clients = server.add_job(life_cycle=LONG), [], []

    def wait() -> None:
        threads.append(threading.get_ident())
        with use(server) as client:
            clients.append(client)
            with pytest.raises(InterruptedError):
                client.wait_for_job(job_id)
            client.describe(job_id)
            assert client.statistics().pending == 0

    waiting = asyncio.create_task(asyncio.to_thread(wait))
    await until(lambda: bool(clients) and clients[0].statistics().pending == 1)
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert interrupt(ctypes.c_ulong(threads[0]), ctypes.py_object(InterruptedError)) == 1
    await waiting


def test_no_thread_for_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, the error is raised, and no event loop is left open."""

    def start(_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        LoopThread()
    gc.collect()
