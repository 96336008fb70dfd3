"""`as_completed` and `watch`: what they tell, in which order, and what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from awaitbatch import (
    BatchClient,
    ClientClosedError,
    DescribeError,
    FixedInterval,
    InvalidJobIdError,
    JobChange,
    JobNotFoundError,
    JobOutcome,
    JobTrouble,
    MaxRetriesExceededError,
    Window,
)
from awaitbatch.instrumentation import Event, WaitBegan
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, make_client, until

from .support import FaultyTransport, cancelled_future, client_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from awaitbatch.testing import BatchServer

SLOW = LifeCycle(submitted=3, pending=3, runnable=3, starting=3, running=3)
STATES = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


def changes_of(items: Iterable[object], job_id: str) -> list[tuple[str | None, str]]:
    """What was told of one job: from which status to which."""
    return [
        (item.previous, item.status)
        for item in items
        if isinstance(item, JobChange) and item.job_id == job_id
    ]


def running(seconds: float) -> LifeCycle:
    """A job that runs from the start, for so long."""
    return LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=seconds)


class Scripted:
    """A transport whose jobs go through the states that each is given, one for each check."""

    max_connections = 10
    refreshes_credentials = False

    def __init__(self, **scripts: Sequence[str]) -> None:
        self.scripts = {job_id: list(states) for job_id, states in scripts.items()}

    async def open(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""

    async def call(self, operation: str, /, **_: Any) -> dict[str, Any]:
        """There is nothing else to call."""
        raise NotImplementedError(operation)

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """The next state of each; ``1 RUNNING`` is one after an attempt has ended."""
        await asyncio.sleep(0.02)
        return json.dumps({"jobs": [self._next(job_id) for job_id in job_ids]}).encode()

    def _next(self, job_id: str) -> dict[str, Any]:
        states = self.scripts[job_id]
        state = states.pop(0) if len(states) > 1 else states[0]
        *attempts, status = state.split()
        return {"jobId": job_id, "status": status, "attempts": [{}] * int(attempts[0] if attempts else 0)}


class TestAsCompleted:
    """How jobs end."""

    async def test_jobs_come_in_the_order_in_which_they_end(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Each job is told when it has ended, and not when others have."""
        job_ids = {server.add_job(life_cycle=running(seconds)): seconds for seconds in (9, 3, 6)}
        told = [(job_ids[outcome.job_id], outcome) async for outcome in client.as_completed(job_ids)]
        assert [seconds for seconds, _ in told] == [3, 6, 9]
        for _, outcome in told:
            assert (outcome.status, outcome.error) == ("SUCCEEDED", None)
            assert outcome.job is not None
            assert outcome.result() == outcome.job
            assert outcome.job["jobId"] == outcome.job_id

    async def test_a_job_that_is_not_there_is_an_outcome(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """An id that cannot be found is told with an error, and the others are told all the same."""
        job_ids = ["ghost", server.add_job(life_cycle=SLOW)]
        told = {outcome.job_id: outcome async for outcome in client.as_completed(job_ids, status_retries=2)}
        assert list(told) == job_ids
        assert isinstance(told["ghost"].error, JobNotFoundError)
        assert (told["ghost"].status, told["ghost"].job) == (None, None)
        with pytest.raises(JobNotFoundError, match=r"\(ghost\) not found in 2 answers"):
            told["ghost"].result()
        assert told[job_ids[1]].status == "SUCCEEDED"

    async def test_ids_are_normalised_and_merged(self, server: BatchServer, client: BatchClient) -> None:
        """An ARN is its id, and whoever is given twice is told once."""
        job_id = server.add_job(life_cycle=SLOW)
        arn = f"arn:aws:batch:eu-west-1:123456789012:job/{job_id}"
        assert [outcome.job_id async for outcome in client.as_completed([arn, job_id, arn])] == [job_id]

    async def test_limits_are_those_of_a_wait(self, server: BatchServer, client: BatchClient) -> None:
        """A backoff and max_retries hold for each of the jobs."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
        begin = asyncio.get_running_loop().time()
        told = client.as_completed(job_ids, backoff=FixedInterval(10), max_retries=2)
        errors = [outcome.error async for outcome in told]
        assert {type(error) for error in errors} == {MaxRetriesExceededError}
        assert 10 <= asyncio.get_running_loop().time() - begin <= 21

    async def test_no_jobs(self, client: BatchClient) -> None:
        """There is nothing to tell of none."""
        assert [outcome async for outcome in client.as_completed([])] == []

    async def test_no_task_for_a_job(self, server: BatchServer, client: BatchClient) -> None:
        """However many jobs there are, they take no task."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
        before = len(asyncio.all_tasks())
        async with client.as_completed(job_ids):
            await asyncio.sleep(0.5)
            assert client.statistics().pending == 500
            # A call may be under way.
            assert len(asyncio.all_tasks()) <= before + client.statistics().in_flight

    async def test_a_failure_ends_what_it_ends_for_waits(self, server: BatchServer) -> None:
        """An error that would come again is told of each job that it concerns."""
        transport = FaultyTransport(server, lambda *_: client_error(403, "AccessDeniedException"))
        async with make_client(transport, backoff=FixedInterval(1)) as client:
            told = [outcome async for outcome in client.as_completed(["a", "b"])]
        assert [type(outcome.error) for outcome in told] == [DescribeError] * 2


class TestWatch:
    """What changes."""

    async def test_each_change_is_told(self, server: BatchServer, client: BatchClient) -> None:
        """From the first sight to the end, each change is told once, in order, from the status told before."""
        job_ids = [server.add_job(life_cycle=SLOW) for _ in range(150)]
        items = [item async for item in client.watch(job_ids)]
        for job_id in job_ids:
            assert changes_of(items, job_id) == list(zip([None, *STATES], STATES, strict=False))
        assert len(items) == 150 * 6
        for item in items[:150]:
            assert isinstance(item, JobChange)
            assert (item.job["jobId"], item.job["status"]) == (item.job_id, item.status)
            assert item.attempt == 1
            assert item.seen_at > 1.6e12

    async def test_attempts_are_told_and_what_is_late_is_not(self) -> None:
        """A retry is a change; an observation older than what was told is dropped."""
        states = ["RUNNING", "STARTING", "1 RUNNABLE", "RUNNING", "1 RUNNING", "2 RUNNING", "2 FAILED"]
        async with make_client(cast("Any", Scripted(a=states)), backoff=FixedInterval(1)) as client:
            items = [item async for item in client.watch(["a"])]
        told = [(item.previous, item.status, item.attempt) for item in items if isinstance(item, JobChange)]
        assert told == [
            (None, "RUNNING", 1),
            ("RUNNING", "RUNNABLE", 2),
            ("RUNNABLE", "RUNNING", 2),
            ("RUNNING", "RUNNING", 3),
            ("RUNNING", "FAILED", 2),
        ]

    async def test_a_slow_consumer_gets_the_last_change(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """At most one change of a job waits, from the status told last, and nobody is held up meanwhile."""
        slow, quick = (server.add_job(life_cycle=SLOW) for _ in range(2))
        async with client.watch([slow]) as changes:
            items = [await anext(changes)]
            job = await client.wait_for_job(quick)
            assert job["status"] == "SUCCEEDED"
            assert len(changes._stream.ready) == 1
            items += [item async for item in changes]
        assert changes_of(items, slow) == [(None, "SUBMITTED"), ("SUBMITTED", "SUCCEEDED")]

    async def test_who_changed_first_is_told_first(self) -> None:
        """A change that makes another outdated takes its place in the queue."""
        transport: Any = Scripted(a=["PENDING", "RUNNABLE", "RUNNING"], b=["PENDING", "PENDING", "RUNNING"])
        async with (
            make_client(transport, backoff=FixedInterval(1)) as client,
            client.watch(["a", "b"]) as changes,
        ):
            _ = [await anext(changes), await anext(changes)]
            await asyncio.sleep(10)
            told = [await anext(changes), await anext(changes)]
        assert [(item.job_id, item.status) for item in told if isinstance(item, JobChange)] == [
            ("a", "RUNNING"),
            ("b", "RUNNING"),
        ]

    async def test_trouble_follows_the_change_that_waits(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Trouble ends its own job alone, and does not take the place of what was seen before."""
        gone, stays = server.add_job(life_cycle=LONG), server.add_job(life_cycle=SLOW)
        async with client.watch([gone, stays], status_retries=2) as changes:
            await asyncio.sleep(2)
            server.forget_job(gone)
            await asyncio.sleep(20)
            items = [item async for item in changes]
        assert changes_of(items, stays)[-1][1] == "SUCCEEDED"
        assert changes_of(items, gone) == [(None, "RUNNING")]
        (trouble,) = [item for item in items if isinstance(item, JobTrouble)]
        assert trouble.job_id == gone
        assert isinstance(trouble.error, JobNotFoundError)
        assert trouble.error.seen

    async def test_other_threads_are_refused(self, server: BatchServer, client: BatchClient) -> None:
        """What is called in a thread without the loop raises, and changes nothing."""
        job_id = server.add_job(life_cycle=LONG)
        async with client.watch([job_id]) as changes:
            await anext(changes)
            for act in (changes.add, changes.discard):
                with pytest.raises(RuntimeError, match="this BatchClient belongs to another event loop"):
                    await asyncio.to_thread(act, job_id)
            assert client.statistics().pending == 1

    async def test_add_and_discard(self, server: BatchServer, client: BatchClient) -> None:
        """Jobs come and go while it runs; of one that is discarded nothing is told, not even what was seen."""
        first, second, third = (server.add_job(life_cycle=SLOW) for _ in range(3))
        async with client.watch([first, second], keep_open=True) as changes:
            changes.add(third, third, f"arn:aws:batch:eu-west-1:123456789012:job/{third}")
            changes.discard(first, "unknown")
            await asyncio.sleep(1)
            assert client.statistics().pending == 2
            changes.discard(second)
            assert client.statistics().pending == 1
            assert await anext(changes) == JobChange(
                third, None, "SUBMITTED", attempt=1, seen_at=_ANY, job=_ANY
            )
            changes.discard(third)
            assert client.statistics().pending == 0
            # The wait is over, but a new one may begin.
            changes.add(second)
            item = await anext(changes)
            assert isinstance(item, JobChange)
            assert (item.job_id, item.previous) == (second, None)
            with pytest.raises(InvalidJobIdError):
                changes.add(first, "no id")
            assert client.statistics().pending == 1

    async def test_an_observer_adds_and_discards(self, server: BatchServer) -> None:
        """Who hears that the watch of a job begins may add another one, or discard the parent whose child it is."""
        later = [server.add_job(life_cycle=ENDED) for _ in range(3)]
        parent = server.add_job(life_cycle=ENDED, array_size=2)

        def observe(event: Event) -> None:
            if isinstance(event, WaitBegan):
                if event.job_id == f"{parent}:0":
                    changes.discard(parent)
                else:
                    changes.add(*later)

        async with make_client(server, observers=[observe]) as client:
            changes = client.watch([server.add_job(life_cycle=ENDED), parent], children=True)
            async with asyncio.timeout(60):
                told = [item async for item in changes]
        assert all(changes_of(told, job_id) == [(None, "SUCCEEDED")] for job_id in later)

    async def test_keep_open_goes_on_without_jobs(self, server: BatchServer, client: BatchClient) -> None:
        """It waits for more until it is closed, and forgets jobs that have ended."""
        loop = asyncio.get_running_loop()
        changes = client.watch(keep_open=True)
        told: list[Any] = []

        async def consume() -> None:
            async for item in changes:
                told.append(item)  # noqa: PERF401

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(5)
        job_id = server.add_job(life_cycle=ENDED)
        for _ in range(2):
            changes.add(job_id)
            await asyncio.sleep(2)
        assert changes_of(told, job_id) == [(None, "SUCCEEDED")] * 2
        assert not changes._stream.job_ids
        loop.call_later(5, changes.close)
        await consumer
        with pytest.raises(RuntimeError, match="closed"):
            changes.add("another")

    async def test_it_ends_with_its_jobs(self, server: BatchServer, client: BatchClient) -> None:
        """Without keep_open it ends when all have ended, and stays so."""
        changes = client.watch()
        changes.add(server.add_job(life_cycle=ENDED))
        assert [item.status async for item in changes if isinstance(item, JobChange)] == ["SUCCEEDED"]
        assert [item async for item in changes] == []
        assert [item async for item in client.watch()] == []

    async def test_two_consumers_share_the_items(self, server: BatchServer, client: BatchClient) -> None:
        """Of several consumers each item goes to one, and all end."""
        job_ids = [server.add_job(life_cycle=SLOW) for _ in range(20)]
        changes = client.watch(job_ids)

        async def consume() -> list[Any]:
            return [item async for item in changes]

        first, second = await asyncio.gather(consume(), consume())
        assert len(first) + len(second) == 20 * 6


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


_ANY: Any = _Any()


class TestSources:
    """Ids that come by and by."""

    async def test_an_asynchronous_iterable_is_followed_while_it_goes_on(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Jobs are told while others are still being submitted."""
        log: list[str] = []

        async def submit() -> AsyncIterator[str]:
            for number in range(5):
                yield server.add_job(life_cycle=running(2))
                log.append(f"submitted {number}")
                await asyncio.sleep(3)

        async for outcome in client.as_completed(submit()):
            log.append(f"told {outcome.status}")  # noqa: PERF401
        assert log[:4] == ["submitted 0", "told SUCCEEDED", "submitted 1", "told SUCCEEDED"]
        assert len(log) == 10

    async def test_a_slow_consumer_does_not_hold_up_the_source(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """The source runs in a task of the client's, whatever the consumer does."""
        submitted = []

        async def submit() -> AsyncIterator[str]:
            for _ in range(100):
                submitted.append(server.add_job(life_cycle=ENDED))
                yield submitted[-1]
                await asyncio.sleep(0.01)

        async with client.as_completed(submit()) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(10)
            assert len(submitted) == 100
            told = [outcome async for outcome in outcomes]
        assert len(told) == 99

    async def test_what_a_source_raises_ends_the_loop(self, server: BatchServer, client: BatchClient) -> None:
        """The error is raised from `async for`, after what was seen before, and nothing is left."""
        job_id = server.add_job(life_cycle=ENDED)

        async def submit() -> AsyncIterator[str]:
            yield job_id
            yield server.add_job(life_cycle=LONG)
            await asyncio.sleep(3)
            message = "no more"
            raise ZeroDivisionError(message)

        told = []
        with pytest.raises(ZeroDivisionError, match="no more"):  # noqa: PT012
            async for outcome in client.as_completed(submit()):
                told.append(outcome.job_id)  # noqa: PERF401
        assert told == [job_id]
        await asyncio.sleep(0)
        assert client.statistics().pending == 0

    async def test_a_source_that_was_cancelled_by_others(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Its CancelledError does not make the consumer seem to be cancelled, which nobody would hear of."""

        async def submit() -> AsyncIterator[str]:
            yield server.add_job(life_cycle=LONG)
            await cancelled_future()

        with pytest.raises(RuntimeError, match="iterable of job ids was cancelled, and not by") as told:
            await anext(client.as_completed(submit()))
        assert isinstance(told.value.__cause__, asyncio.CancelledError)
        await asyncio.sleep(0)
        assert client.statistics().pending == 0

    async def test_a_source_is_closed_with_the_loop(self, server: BatchServer, client: BatchClient) -> None:
        """Whoever leaves ends the source, whose own cleanup has run when `async with` is left."""
        ended = []

        async def submit() -> AsyncIterator[str]:
            try:
                while True:
                    yield server.add_job(life_cycle=ENDED)
                    await asyncio.sleep(1)
            finally:
                await asyncio.sleep(1)
                ended.append(True)

        async with client.as_completed(submit()) as outcomes:
            async for _ in outcomes:
                break
        assert ended == [True]
        async for _ in client.as_completed(submit()):
            break
        await asyncio.sleep(1.1)
        assert ended == [True, True]
        assert client.statistics().pending == 0

    async def test_a_bad_id_of_a_source_is_an_outcome(self, server: BatchServer, client: BatchClient) -> None:
        """It does not end what the other ids have."""

        async def submit() -> AsyncIterator[Any]:
            yield "no id"
            yield 7
            yield server.add_job(life_cycle=ENDED)

        told = [outcome async for outcome in client.as_completed(submit())]
        errors = [outcome for outcome in told if outcome.error is not None]
        assert [outcome.job_id for outcome in errors] == ["'no id'", "7"]
        assert {type(outcome.error) for outcome in errors} == {InvalidJobIdError}
        assert [outcome.status for outcome in told if outcome.error is None] == ["SUCCEEDED"]

    async def test_a_source_that_has_all_at_hand(self, client: BatchClient) -> None:
        """A source that never pauses lets others have their turns."""
        turns = 0

        class AtHand:
            def __init__(self) -> None:
                self.left = 5000

            def __aiter__(self) -> AtHand:
                return self

            async def __anext__(self) -> str:
                self.left -= 1
                if not self.left:
                    raise StopAsyncIteration
                return f"job-{self.left}"

        async with client.watch(AtHand()) as changes:
            while client.statistics().pending < 4999:
                turns += 1
                await asyncio.sleep(0)
            assert turns > 3
            assert len(changes._stream.job_ids) == 4999


class TestArguments:
    """What is refused, and when."""

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (lambda client: client.as_completed("a-job"), TypeError),
            (lambda client: client.as_completed(7), TypeError),
            (lambda client: client.as_completed(client.submit_jobs([])), TypeError),
            (lambda client: client.watch(client.watch(["a"])), TypeError),
            (lambda client: client.as_completed(["a", "no id"]), InvalidJobIdError),
            (lambda client: client.as_completed([3]), InvalidJobIdError),
            (lambda client: client.as_completed(["a"], backof=1), TypeError),
            (lambda client: client.watch(["a"], backoff=3), ValueError),
            (lambda client: client.watch(["a"], max_retries=-1), ValueError),
            (lambda client: client.watch(["a"], terminate_on_exit=""), ValueError),
            (lambda client: client.watch(["a"], terminate_on_exit="x" * 1025), ValueError),
            (lambda client: client.watch(["a"], terminate_on_exit=True), TypeError),
        ],
    )
    async def test_bad_arguments_raise_at_the_call(
        self, client: BatchClient, call: Callable[[Any], Any], error: type[Exception]
    ) -> None:
        """Nobody has to iterate to learn of a mistake."""
        with pytest.raises(error):
            call(client)

    async def test_a_closed_client_raises_from_the_loop(self, server: BatchServer) -> None:
        """Not yet open, closed, and closed meanwhile: the loop says so; what was seen before is told first."""
        client = make_client(server, backoff=FixedInterval(1))
        unopened = client.as_completed(["a"])
        with pytest.raises(ClientClosedError, match="async with"):
            await anext(unopened)
        async with client:
            ended, runs = server.add_job(life_cycle=ENDED), server.add_job(life_cycle=LONG)
            outcomes = client.as_completed([ended, runs])
            without_jobs = client.watch(keep_open=True)
            waiting = asyncio.ensure_future(anext(without_jobs))
            async with client.watch([runs]) as changes:
                await anext(changes)
            begun = asyncio.ensure_future(anext(outcomes))
            await asyncio.sleep(3)
        assert (await begun).job_id == ended
        with pytest.raises(ClientClosedError, match="the BatchClient is clos"):
            await anext(outcomes)
        with pytest.raises(ClientClosedError):
            await anext(outcomes)
        with pytest.raises(ClientClosedError):
            await waiting
        with pytest.raises(ClientClosedError, match="closed"):
            await anext(client.watch(["a"]))
        with pytest.raises(ClientClosedError, match="closed"):
            async with client.watch(["a"]):
                pass

    async def test_a_stream_that_was_never_begun_leaves_nothing(self, client: BatchClient) -> None:
        """What nobody iterates over asks for nothing."""
        stream = client.watch(["a"])
        stream.close()
        assert [item async for item in stream] == []
        del stream
        client.as_completed(["a"])
        await asyncio.sleep(1)
        assert client.statistics().calls == 0


async def _leave_by_break(client: BatchClient, job_ids: list[str]) -> None:
    async for _ in client.watch(job_ids):
        break


async def _leave_by_error(client: BatchClient, job_ids: list[str]) -> None:
    async for _ in client.watch(job_ids):
        raise ZeroDivisionError


async def _leave_by_return(client: BatchClient, job_ids: list[str]) -> object:
    async for item in client.watch(job_ids):
        return item
    return None


async def _leave_alone(client: BatchClient, job_ids: list[str]) -> None:
    await anext(client.watch(job_ids))


async def _leave_by_cancellation(client: BatchClient, job_ids: list[str]) -> None:
    async with asyncio.timeout(1):
        async for _ in client.as_completed(job_ids):
            pass


@pytest.mark.parametrize(
    "leave", [_leave_by_break, _leave_by_error, _leave_by_return, _leave_alone, _leave_by_cancellation]
)
async def test_leaving_leaves_nothing(
    server: BatchServer, client: BatchClient, leave: Callable[[BatchClient, list[str]], Awaitable[None]]
) -> None:
    """However a bare loop is left, one turn of the event loop later no request is left."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(400)]
    gc.disable()
    try:
        # What is not referred to is gone without the garbage collector.
        await asyncio.gather(leave(client, job_ids), return_exceptions=True)
        await asyncio.sleep(0)
        assert client.statistics().pending == 0
    finally:
        gc.enable()


async def test_async_with_leaves_nothing_at_once(server: BatchServer, client: BatchClient) -> None:
    """When `async with` is left, no request is, however many there were, and before any other turn."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(400)]
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with client.watch(job_ids) as changes:
            async for _ in changes:
                raise ZeroDivisionError
    assert client.statistics().pending == 0
    many = [f"job-{number}" for number in range(5000)]
    async with client.watch(many):
        await until(lambda: client.statistics().pending == 5000)
    assert client.statistics().pending == 0


async def test_a_cycle_is_left_to_the_garbage_collector(server: BatchServer, client: BatchClient) -> None:
    """Who keeps a stream in a cycle of objects leaves nothing once that is collected."""
    cycle: dict[str, Any] = {"stream": client.watch([server.add_job(life_cycle=LONG)])}
    cycle["itself"] = cycle
    await anext(cycle["stream"])
    del cycle
    gc.collect()
    await asyncio.sleep(0)
    assert client.statistics().pending == 0


@pytest.mark.parametrize("turns", range(1, 8))
async def test_cancelled_at_every_await(server: BatchServer, client: BatchClient, turns: int) -> None:
    """Whatever the consumer waits for when he is cancelled, no item is lost and nothing is left."""
    job_ids = [server.add_job(life_cycle=SLOW) for _ in range(5)]
    told: list[Any] = []

    async def consume(changes: Any) -> None:
        async for item in changes:
            told.append(item)  # noqa: PERF401

    async with client.watch(job_ids) as changes:
        for _ in range(100):
            consumer = asyncio.create_task(consume(changes))
            for _ in range(turns):
                await asyncio.sleep(0)
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)
            await asyncio.sleep(0.2)
    for job_id in job_ids:
        assert changes_of(told, job_id)[-1][1] == "SUCCEEDED"
        assert [before for before, _ in changes_of(told, job_id)[1:]] == [
            after for _, after in changes_of(told, job_id)[:-1]
        ]
    assert client.statistics().pending == 0


async def test_twenty_thousand_jobs(client: BatchClient) -> None:
    """So many begin in slices, in which others have their turns, and end likewise."""
    begin = asyncio.get_running_loop().time()
    turns = 0
    many = [f"job-{number}" for number in range(20_000)]
    async with client.as_completed(many):
        while client.statistics().pending < 20_000:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 19
        assert asyncio.get_running_loop().time() == begin
    assert client.statistics().pending == 0


async def test_a_herd_that_has_ended_is_told_in_slices(server: BatchServer) -> None:
    """A consumer of very many items that are there lets others have their turns."""
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(1000)]
    async with make_client(server, backoff=FixedInterval(1), max_calls_per_second=100) as client:  # noqa: SIM117
        async with client.as_completed(job_ids) as outcomes:
            await until(lambda: len(outcomes._stream.ready) == 1000)
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counter = asyncio.create_task(count())
            told = [outcome async for outcome in outcomes]
            counter.cancel()
    assert len(told) == 1000
    assert turns >= 3


async def test_streams_of_a_shared_client(server: BatchServer) -> None:
    """Each user of a shared client has streams of his own, and whoever leaves ends his own alone."""
    transport = server.transport()
    settings: dict[str, Any] = {"transport": transport, "backoff": FixedInterval(1), "linger": 0}
    job_ids = [server.add_job(life_cycle=SLOW) for _ in range(50)]
    first, second = BatchClient.shared(**settings), BatchClient.shared(**settings)
    async with second:
        async with first:
            leaves = first.watch(job_ids, keep_open=True)
            stays = asyncio.ensure_future(_all(second.as_completed(job_ids)))
            await anext(leaves)
            await asyncio.sleep(1)
        with pytest.raises(ClientClosedError, match="this use of a shared BatchClient is closed"):
            await _all(leaves)
        assert [outcome.status for outcome in await stays] == ["SUCCEEDED"] * 50
        assert second.statistics().pending == 0
    # It closes once nobody has it.
    await asyncio.sleep(1)


async def _all(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


async def test_a_defect_ends_streams(
    server: BatchServer, client: BatchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the coalescer break, streams end with the error that says why, those without jobs, too."""

    def broken(*_: object) -> None:
        message = "a defect"
        raise ZeroDivisionError(message)

    idle = asyncio.ensure_future(anext(client.watch(keep_open=True)))
    await asyncio.sleep(0)
    monkeypatch.setattr("awaitbatch._core.windows.Windows.take", broken)
    with pytest.raises(ClientClosedError) as caught:
        await _all(client.watch([server.add_job(life_cycle=LONG)]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(ClientClosedError) as caught:
        await idle
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("defect", [False, True])
async def test_an_idle_stream_of_a_shared_client(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, *, defect: bool
) -> None:
    """It has no job that could end it, and ends all the same: when its user leaves, and if the client breaks."""

    def broken(*_: object) -> None:
        message = "a defect"
        raise ZeroDivisionError(message)

    client = BatchClient.shared(transport=server.transport(), linger=5)
    await client.open()
    idle = asyncio.ensure_future(anext(client.watch(keep_open=True)))
    await asyncio.sleep(1)
    if defect:
        monkeypatch.setattr("awaitbatch._core.windows.Windows.take", broken)
        await asyncio.gather(client.describe("a"), return_exceptions=True)
    else:
        await client.aclose()
    with pytest.raises(ClientClosedError) as caught:
        await asyncio.wait_for(idle, 1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError if defect else type(None))
    await client.aclose()
    await asyncio.sleep(6)


async def test_a_delivery_that_another_has_passed() -> None:
    """Many deliveries take several turns; one that comes after a later one is dropped."""
    transport: Any = Scripted(a=["RUNNABLE"])
    async with make_client(transport, backoff=FixedInterval(100)) as slow, slow.watch(["a"]) as changes:
        await anext(changes)
        stream = changes._stream
        watch: Any = stream.job_ids["a"]
        for status in ("RUNNING", "STARTING"):
            stream._on_delivery(watch, None, json.dumps({"jobId": "a", "status": status}).encode())
        item = await anext(changes)
        assert isinstance(item, JobChange)
        assert (item.previous, item.status) == ("RUNNABLE", "RUNNING")
        assert not stream.ready


async def test_outages_and_throttling_hold_up_and_end_nothing(server: BatchServer) -> None:
    """What calls go through on the way is not told."""
    job_ids = [server.add_job(life_cycle=SLOW) for _ in range(30)]
    server.inject(Fault.SERVER_EXCEPTION, begin=4, end=8)
    server.inject(Fault.TOO_MANY_REQUESTS, begin=10, end=11)
    async with make_client(server, backoff=FixedInterval(1)) as client:
        told = [outcome async for outcome in client.as_completed(job_ids)]
    assert [outcome.error for outcome in told] == [None] * 30


async def test_a_schedule_that_raises_ends_its_stream_alone(server: BatchServer, client: BatchClient) -> None:
    """The error of a backoff is that of each job, in a form that cancels nobody who raises it."""

    class Cancels:
        def window(self, tries: int) -> Window:
            raise asyncio.CancelledError(tries)

    job_ids = [server.add_job(life_cycle=LONG) for _ in range(2)]
    told = [outcome async for outcome in client.as_completed(job_ids, backoff=Cancels())]
    assert [type(outcome.error) for outcome in told] == [RuntimeError] * 2
    with pytest.raises(RuntimeError, match="its backoff raised CancelledError"):
        told[0].result()


def test_what_is_shown_of_them() -> None:
    """Their representations are short, and say what matters."""
    assert repr(JobOutcome("a", "FAILED")) == "<JobOutcome a: FAILED>"
    assert repr(JobOutcome("a")) == "<JobOutcome a: not seen yet>"
    assert repr(JobOutcome("a", error=JobNotFoundError("gone"))) == "<JobOutcome a: JobNotFoundError: gone>"
    assert repr(JobChange("a", None, "RUNNING", attempt=2)) == "<JobChange a: None → RUNNING, attempt 2>"
    with pytest.raises(ValueError, match=r"\(a\): this JobChange has no description"):
        _ = JobChange("a", None, "RUNNING").job
    assert repr(JobTrouble("a", JobNotFoundError("gone"))) == "<JobTrouble a: JobNotFoundError: gone>"


async def test_the_last_change_is_told_before_the_checks_are_used_up(
    server: BatchServer, client: BatchClient
) -> None:
    """A watch of one check tells what that has seen, and then that there are no more."""
    job_id = server.add_job(life_cycle=LONG)
    items = [item async for item in client.watch([job_id], max_retries=0)]
    assert changes_of(items, job_id) == [(None, "RUNNING")]
    assert isinstance(items[1], JobTrouble)
    assert isinstance(items[1].error, MaxRetriesExceededError)
