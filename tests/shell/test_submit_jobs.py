"""Many jobs are submitted as fast as AWS lets them, a few at a time, and none is lost."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.exceptions import ClientError

from awaitbatch import BatchClient, ClientClosedError, Submission, SubmitUncertainError
from awaitbatch._submission_stream import LOOK_AHEAD
from awaitbatch.instrumentation import ClientClosed, Event, SubmissionUnclaimed
from awaitbatch.testing import BatchServer, Fault, TokenBucket
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import LONG, make_client, make_server, of_kind, until

from .support import cancelled_future

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from awaitbatch import JobSubmissions

    Leave = Callable[[BatchClient, JobSubmissions, list[Submission]], Coroutine[Any, Any, None]]

JOB: dict[str, Any] = {"jobQueue": "queue", "jobDefinition": "definition"}


def make_requests(count: int) -> Iterator[dict[str, Any]]:
    """So many requests, with a name each."""
    return ({"jobName": f"job-{number}", **JOB} for number in range(count))


class Source:
    """A generator of requests without end that counts those taken; it may be an asynchronous one."""

    def __init__(self) -> None:
        self.taken = 0
        self.is_closed = False

    def requests(self) -> Iterator[dict[str, Any]]:
        """Give them."""
        try:
            while True:
                self.taken += 1
                yield {"jobName": f"job-{self.taken - 1}", **JOB}
        finally:
            self.is_closed = True

    async def async_requests(self) -> AsyncIterator[dict[str, Any]]:
        """Give them with pauses."""
        try:
            for request in self.requests():
                yield request
                await asyncio.sleep(0)
        finally:
            self.is_closed = True


def jobs_of(server: BatchServer) -> set[str]:
    """The ids of all jobs."""
    return {*server._model.jobs}


def told_in(events: list[Event]) -> set[str]:
    """The ids of jobs that observers were told of."""
    return {event.job_id for event in of_kind(SubmissionUnclaimed, events) if event.job_id is not None}


def ids_of(submissions: list[Submission]) -> set[str]:
    """The ids that a loop was told."""
    return {submission.job_id for submission in submissions if submission.job_id is not None}


@pytest.mark.parametrize("kind", ["list", "generator", "async"])
async def test_each_request_is_submitted_and_told(kind: str) -> None:
    """In whatever form the requests come, each has an item with its place, itself and its job."""
    server = make_server(default_life_cycle=LONG)
    async with make_client(server) as client:
        requests: Any = make_requests(250)
        if kind == "list":
            requests = list(requests)
        if kind == "async":
            given = requests

            async def later() -> AsyncIterator[dict[str, Any]]:
                for request in given:
                    yield request
                    await asyncio.sleep(0.001)

            requests = later()
        submissions = [submission async for submission in client.submit_jobs(requests)]
        assert sorted(submission.index for submission in submissions) == list(range(250))
        for submission in submissions:
            assert submission.request == {"jobName": f"job-{submission.index}", **JOB}
            assert submission.error is None
            assert submission.result() == submission.job_id
        assert len(ids_of(submissions)) == 250
        assert ids_of(submissions) == jobs_of(server)
        assert (await client.describe(submissions[7].result()))["jobName"] == f"job-{submissions[7].index}"
        first = submissions[0]
        assert repr(first) == f"<Submission {first.index} of 'job-{first.index}': {first.job_id}>"
        assert not client._supervisor.submissions.is_busy


async def test_what_is_refused_is_an_item() -> None:
    """Neither a request that AWS refuses nor what is no request at all ends the loop."""
    server = make_server()
    requests: list[Any] = [
        *make_requests(3),
        {"jobName": "n"},
        "request",
        None,
        {**JOB, "jobName": "n", "x": 1},
    ]
    async with make_client(server) as client:
        submissions = {item.index: item async for item in client.submit_jobs(requests)}
    errors = {index: type(item.error) for index, item in submissions.items() if item.error is not None}
    assert errors == {3: ClientError, 4: TypeError, 5: TypeError, 6: ClientError}
    assert (
        str(submissions[4].error) == "request 4 must be a mapping of submit_job's parameters, not 'request'"
    )
    assert "ClientException" in repr(submissions[3])
    with pytest.raises(ClientError):
        submissions[3].result()
    assert len(jobs_of(server)) == 3


async def test_what_is_no_collection_of_requests_is_refused_at_the_call() -> None:
    """Such as a single request."""
    async with make_client(make_server()) as client:
        for wrong in ({"jobName": "n"}, "jobs", None, 7):
            requests: Any = wrong
            with pytest.raises(TypeError, match="requests must be a list, or an iterable"):
                client.submit_jobs(requests)


async def test_requests_may_be_changed_afterwards() -> None:
    """A generator may give one dict again and again."""

    def requests() -> Iterator[dict[str, Any]]:
        request = dict(JOB)
        for number in range(20):
            request["jobName"] = f"job-{number}"
            yield request

    server = make_server()
    async with make_client(server) as client:
        submissions = [item async for item in client.submit_jobs(requests())]
    assert {item.request["jobName"] for item in submissions} == {f"job-{number}" for number in range(20)}


async def test_results_come_as_they_are_known() -> None:
    """A request whose call hangs is told when it is known; those after it are told meanwhile."""
    server = make_server()
    server.inject(Fault.TRICKLE, calls=1, seconds=10)
    async with make_client(server) as client:
        order = [item.index async for item in client.submit_jobs(make_requests(40))]
    assert order == [*range(1, 40), 0]


@pytest.mark.parametrize("kind", ["requests", "async_requests"])
async def test_few_are_taken_at_a_time(kind: str) -> None:
    """Of requests without end only a hundred are taken more than were told, however slow the loop is."""
    server = make_server(default_life_cycle=LONG)
    source, told = Source(), 0
    async with make_client(server) as client:
        async with client.submit_jobs(getattr(source, kind)()) as submissions:
            async for _ in submissions:
                told += 1
                assert source.taken <= told + LOOK_AHEAD
                if told == 300:
                    await asyncio.sleep(3600)
                    assert source.taken <= told + LOOK_AHEAD
                    assert len(jobs_of(server)) >= told + LOOK_AHEAD - 1
                    begun = asyncio.get_running_loop().time()
                    # It holds up nobody else.
                    await client.submit_job(jobName="another", **JOB)
                    assert asyncio.get_running_loop().time() - begun < 0.5
                if told == 500:
                    break
        await asyncio.sleep(0)
        gc.collect(0)
        assert source.is_closed


@pytest.mark.parametrize("kind", ["tasks", "stream"])
async def test_it_uses_what_aws_allows(kind: str) -> None:
    """Behind 50 calls a second that nobody knows of, 1,500 jobs take no longer than with a task for each."""
    server = make_server(default_life_cycle=LONG, bucket={"SubmitJob": TokenBucket(50, 50)})
    loop = asyncio.get_running_loop()
    async with make_client(
        server.transport(latency=0.2, max_connections=50), max_submits_per_second=200
    ) as client:
        if kind == "tasks":
            await asyncio.gather(*(client.submit_job(**request) for request in make_requests(1500)))
        else:
            moments = [loop.time() async for _ in client.submit_jobs(make_requests(1500))]
            in_between = [moment for moment in moments if 10 <= moment < 30]
            assert len(in_between) >= 0.9 * 50 * 20
    assert len(jobs_of(server)) == 1500
    assert loop.time() < 36


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_requests_that_raise(kind: str) -> None:
    """What was taken before is told first; then the loop ends by the error."""

    def broken() -> Iterator[dict[str, Any]]:
        yield from make_requests(150)
        raise ZeroDivisionError

    async def async_broken() -> AsyncIterator[dict[str, Any]]:
        for request in broken():
            yield request

    server = make_server()
    told: list[Submission] = []
    async with make_client(server) as client:
        with pytest.raises(ZeroDivisionError):
            await collect(client.submit_jobs(broken() if kind == "sync" else async_broken()), told)
    assert len(told) == 150
    assert ids_of(told) == jobs_of(server)


@pytest.mark.parametrize("is_asynchronous", [True, False])
async def test_requests_that_were_cancelled_by_others(is_asynchronous: bool) -> None:
    """A CancelledError of the iterable does not end the loop as if these were all requests, or the user cancelled."""

    async def broken() -> AsyncIterator[dict[str, Any]]:
        for request in make_requests(3):
            yield request
        await cancelled_future()

    def broken_likewise() -> Iterator[dict[str, Any]]:
        yield from make_requests(3)
        cancelled_future().result()

    told: list[Submission] = []
    async with make_client(make_server()) as client:
        with pytest.raises(RuntimeError, match="iterable of requests was cancelled, and not by awaitbatch"):
            await collect(client.submit_jobs(broken() if is_asynchronous else broken_likewise()), told)
    assert len(told) == 3


async def test_submissions_that_others_cancel() -> None:
    """Who cancels all tasks lets nobody wait for ever, and loses no job that is on its way."""
    server, events, told = make_server(default_life_cycle=LONG), list[Event](), list[Submission]()
    async with make_client(server, observers=[events.append]) as client:
        task = asyncio.create_task(collect(client.submit_jobs(make_requests(120)), told))
        await asyncio.sleep(0.01)
        for submitting in asyncio.all_tasks():
            if submitting.get_name() == "awaitbatch submission":
                submitting.cancel()
        await asyncio.wait_for(task, 60)
    assert [str(one.error)[:28] for one in told[:LOOK_AHEAD]] == ["the submission was cancelled"] * LOOK_AHEAD
    assert len(told) == 120
    assert ids_of(told) | told_in(events) == jobs_of(server)


async def collect(submissions: JobSubmissions, told: list[Submission]) -> None:
    """Note what is told; whoever cancels it has what was told till then."""
    async for submission in submissions:
        told.append(submission)  # noqa: PERF401


async def leave_by_break(_: BatchClient, submissions: JobSubmissions, told: list[Submission]) -> None:
    """It is enough."""
    async for submission in submissions:
        told.append(submission)
        if len(told) == 60:
            break


async def leave_by_break_in_a_block(
    client: BatchClient, submissions: JobSubmissions, told: list[Submission]
) -> None:
    """The same with ``async with``."""
    async with submissions:
        await leave_by_break(client, submissions, told)


async def leave_by_an_error(_: BatchClient, submissions: JobSubmissions, told: list[Submission]) -> None:
    """The loop's own code raises."""
    with suppress(ZeroDivisionError):
        async with submissions:
            async for submission in submissions:
                told.append(submission)
                if len(told) == 60:
                    raise ZeroDivisionError


async def leave_out_of_time(_: BatchClient, submissions: JobSubmissions, told: list[Submission]) -> None:
    """Somebody has only three seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(3), submissions:
            await collect(submissions, told)


async def leave_by_scope(_: BatchClient, submissions: JobSubmissions, told: list[Submission]) -> None:
    """The same with anyio."""
    with anyio.move_on_after(3):
        await collect(submissions, told)


async def leave_by_close(_: BatchClient, submissions: JobSubmissions, told: list[Submission]) -> None:
    """It is closed in the middle, and ends."""
    async for submission in submissions:
        told.append(submission)
        if len(told) == 60:
            submissions.close()


async def leave_with_the_client(
    client: BatchClient, submissions: JobSubmissions, told: list[Submission]
) -> None:
    """Another task closes the client."""
    closing = asyncio.get_running_loop().call_later(
        3, lambda: tasks.append(asyncio.create_task(client.aclose()))
    )
    tasks: list[asyncio.Task[None]] = []
    with pytest.raises(ClientClosedError):  # noqa: PT012
        async for submission in submissions:
            told.append(submission)
            # It is busy when the client closes.
            await asyncio.sleep(0.07)
    closing.cancel()
    await asyncio.wait(tasks)


WAYS = [
    leave_by_break,
    leave_by_break_in_a_block,
    leave_by_an_error,
    leave_out_of_time,
    leave_by_scope,
    leave_by_close,
    leave_with_the_client,
]


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("kind", ["requests", "async_requests"])
@pytest.mark.parametrize("shared", [False, True])
async def test_however_it_is_left_no_job_is_lost(leave: Leave, kind: str, *, shared: bool) -> None:
    """Each job is told to the loop or to observers, and to one of them only; what was in the queue is taken back."""
    server = make_server(default_life_cycle=LONG)
    events: list[Event] = []
    source = Source()
    told: list[Submission] = []
    transport = server.transport(latency=0.3)
    arguments: dict[str, Any] = {"transport": transport, "observers": [events.append]}
    client = BatchClient.shared(**arguments, linger=1) if shared else BatchClient(**arguments)
    async with BatchClient.shared(**arguments, linger=0) if shared else client:
        if shared:
            await client.open()
        # Nothing but the loop has the handle.
        await leave(client, client.submit_jobs(getattr(source, kind)()), told)
        await asyncio.sleep(0.01)
        sent = server.statistics.calls["SubmitJob"]
        gc.collect(0)
        assert source.is_closed
        await asyncio.sleep(3)
        # Those that were under way.
        assert server.statistics.calls["SubmitJob"] - sent <= transport.max_connections
        assert leave is leave_with_the_client or not client._supervisor.submissions.is_busy
        if shared:
            await client.aclose()
    await until(lambda: transport.closed == 1)
    assert ids_of(told) | told_in(events) == jobs_of(server)
    assert not ids_of(told) & told_in(events)
    assert [*map(type, events)].count(ClientClosed) <= 1
    assert len(told) >= 10


async def test_cancelled_at_every_point() -> None:
    """In whatever turn the loop is cancelled, each job is told to it or to observers."""
    for kind in ("requests", "async_requests"):
        for turns in range(1, 40):
            server = make_server(default_life_cycle=LONG)
            events: list[Event] = []
            told: list[Submission] = []

            async def consume(client: BatchClient, kind: str, told: list[Submission]) -> None:
                async for submission in client.submit_jobs(getattr(Source(), kind)()):
                    told.append(submission)
                    if len(told) % 3 == 0:
                        await asyncio.sleep(0.01)

            transport = server.transport(latency=0.02)
            async with make_client(
                transport, observers=[events.append], max_submits_per_second=500
            ) as client:
                task = asyncio.create_task(consume(client, kind, told))
                for _ in range(turns):
                    await asyncio.sleep(0 if turns < 15 else 0.005)
                task.cancel()
                await asyncio.wait([task])
            assert ids_of(told) | told_in(events) == jobs_of(server)
            assert not ids_of(told) & told_in(events)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_goes_wrong_no_job_is_lost(seed: int) -> None:
    """With faults at random, a job is told by its id or by its name, as it is known."""
    random = Random(seed)
    server = make_server(default_life_cycle=LONG, seed=seed)
    events: list[Event] = []
    told: list[Submission] = []
    faults = [Fault.SERVER_EXCEPTION, Fault.TOO_MANY_REQUESTS, Fault.CLIENT_EXCEPTION, Fault.RESET_IN_BODY]
    for fault in [*random.sample(faults, 2), Fault.EMPTY_BODY]:
        server.inject(fault, probability=random.random() * 0.2)
    server.inject(Fault.HANG, probability=0.03, seconds=60)
    async with make_client(server, observers=[events.append], close_timeout=random.choice([0, 1])) as client:
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, 12)):
                await collect(client.submit_jobs(make_requests(300)), told)
    names = {job.submission.job_name for job in server._model.jobs.values()}
    known = {item.request["jobName"] for item in told if isinstance(item.error, None | SubmitUncertainError)}
    known |= {event.job_name for event in of_kind(SubmissionUnclaimed, events)}
    assert names <= known


async def test_closing_refuses_what_is_in_the_queue() -> None:
    """If all requests are taken, those that are not sent are items with an error, and the loop ends by itself."""
    server = make_server(default_life_cycle=LONG)
    told: list[Submission] = []

    async with make_client(server) as client:
        task = asyncio.create_task(collect(client.submit_jobs(make_requests(80)), told))
        await asyncio.sleep(1)
    await task
    assert sorted(item.index for item in told) == list(range(80))
    refused = [item for item in told if isinstance(item.error, ClientClosedError)]
    assert ids_of(told) == jobs_of(server)
    assert len(refused) == 80 - len(jobs_of(server)) > 20
    name = refused[0].request["jobName"]
    assert f"AWS Batch job named '{name}' was not submitted: the BatchClient was closed first" in str(
        refused[0].error
    )


@pytest.mark.parametrize("count", [30, 500])
async def test_a_loop_that_is_forgotten(count: int) -> None:
    """If nobody asks any more when the client closes, observers hear of the rest before it has closed."""
    server = make_server(default_life_cycle=LONG)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        submissions = client.submit_jobs(make_requests(count))
        first = await anext(submissions)
        await asyncio.sleep(20)
    assert len(jobs_of(server)) == min(count, LOOK_AHEAD + 1)
    assert {first.job_id} | told_in(events) == jobs_of(server)
    assert isinstance(events[-1], ClientClosed)
    with pytest.raises(ClientClosedError):
        await anext(submissions)


async def test_a_source_that_cannot_be_cancelled() -> None:
    """What it gives afterwards is not submitted."""
    server = make_server(default_life_cycle=LONG)

    async def stubborn() -> AsyncIterator[dict[str, Any]]:
        for request in make_requests(5):
            yield request
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    async with make_client(server) as client:
        async with client.submit_jobs(stubborn()) as submissions:
            await anext(submissions)
            await asyncio.sleep(0.5)
        await asyncio.sleep(5)
    assert len(jobs_of(server)) == 1


async def test_whoever_leaves_a_shared_client_ends_his_loops_only() -> None:
    """What he has in the queue is submitted and told; no more is taken, also from a source that waits."""
    server = make_server(default_life_cycle=LONG)
    transport = server.transport()
    told: list[Submission] = []

    async def waiting() -> AsyncIterator[dict[str, Any]]:
        for request in make_requests(30):
            yield request
        await asyncio.Event().wait()

    async with BatchClient.shared(transport=transport, linger=0) as other:
        rest = asyncio.create_task(anext(other.submit_jobs(make_requests(1))))
        async with BatchClient.shared(transport=transport, linger=0) as client:
            task = asyncio.create_task(collect(client.submit_jobs(waiting()), told))
            await asyncio.sleep(0.1)
        with pytest.raises(ClientClosedError, match="this use of a shared BatchClient is closed"):
            await task
        assert len(told) == 30
        assert (await rest).error is None
    await until(lambda: transport.closed == 1)


async def test_requests_that_are_changed_for_the_next_job(server: BatchServer) -> None:
    """Each job has what its request had when it was given, however deep a generator changes it before it is sent."""
    sent: list[tuple[str, str]] = []

    class Recording(InProcessTransport):
        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            sent.append((parameters["jobName"], parameters["parameters"]["name"]))
            return await super().call(operation, **parameters)

    def requests() -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {**JOB, "parameters": {}}
        for number in range(20):
            request["jobName"] = request["parameters"]["name"] = f"job-{number}"
            yield request

    async with make_client(Recording(server, latency=0.02)) as client:
        submissions = [one async for one in client.submit_jobs(requests())]
    assert sorted(sent) == sorted((f"job-{number}",) * 2 for number in range(20))
    assert all(one.request["parameters"]["name"] == one.request["jobName"] for one in submissions)


async def test_a_request_that_cannot_be_copied(client: BatchClient) -> None:
    """It is that job's error, and the others are submitted."""
    bad: dict[str, Any] = {"jobName": "bad", **JOB}
    bad["parameters"] = {"itself": bad}
    requests = [*make_requests(2), bad, *make_requests(2)]
    submissions = [one async for one in client.submit_jobs(requests)]
    assert [one.index for one in submissions if one.error is not None] == [2]
    assert len(ids_of(submissions)) == 4


def test_ctrl_c(caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of 500 submits it leaves each job known, or named by a WARNING."""
    server = BatchServer(default_life_cycle=LONG)
    told: list[Submission] = []

    async def main() -> None:
        transport = InProcessTransport(server, latency=0.05)
        async with BatchClient(transport=transport) as client:
            async for submission in client.submit_jobs(make_requests(500)):
                told.append(submission)
                if len(told) == 10:
                    os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    jobs = jobs_of(server)
    assert 10 < len(jobs) < 100
    unknown = jobs - ids_of(told)
    assert unknown
    assert all(job_id in caplog.text for job_id in unknown)
