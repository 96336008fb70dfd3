"""Submissions and terminations are paced, carried through, and end with the truth when the client closes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from awaitbatch import ClientClosedError, FixedInterval, SubmitUncertainError
from awaitbatch.instrumentation import CallEnded, Event, SubmissionUnclaimed
from awaitbatch.testing import Fault, TokenBucket
from tests.support import ENDED, LONG, PromptClient, make_client, make_server, of_kind, supervisor_of, until

from .support import FaultyTransport, client_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef, SubmitJobResponseTypeDef

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

JOB: SubmitJobRequestTypeDef = {"jobName": "hello", "jobQueue": "queue", "jobDefinition": "definition"}


def limited(operation: str, rate: float) -> BatchServer:
    """A server that takes so many calls of an operation a second, and as many at once."""
    return make_server(bucket={operation: TokenBucket(rate, rate)}, default_life_cycle=LONG)


async def in_turn(client: BatchClient, count: int) -> list[SubmitJobResponseTypeDef]:
    """Submit so many jobs at once."""
    return await asyncio.gather(*(client.submit_job(**JOB) for _ in range(count)))


async def test_four_thousand_submissions() -> None:
    """Behind AWS's 50 a second all are taken, next to nothing is rejected, and the limit is used."""
    server = limited("SubmitJob", 50)
    events: list[Event] = []
    async with make_client(
        server.transport(latency=0.175, max_connections=50), observers=[events.append]
    ) as client:
        begin = asyncio.get_running_loop().time()
        jobs = await in_turn(client, 4_000)
        seconds = asyncio.get_running_loop().time() - begin
    assert len({job["jobId"] for job in jobs}) == 4_000
    assert seconds < 4_000 / 50 / 0.9
    throttled = sum(event.outcome == "throttled" for event in of_kind(CallEnded, events))
    assert throttled <= 80


@pytest.mark.parametrize(("limit", "wasted"), [(3, 0.2), (5, 0.1), (20, 0.1)])
async def test_submissions_behind_a_lower_limit(limit: float, wasted: float) -> None:
    """Others on the account may leave less: nothing is given up, and few calls are wasted."""
    server = limited("SubmitJob", limit)
    async with make_client(server.transport(latency=0.1, max_connections=50)) as client:
        begin = asyncio.get_running_loop().time()
        jobs = await in_turn(client, 600)
        seconds = asyncio.get_running_loop().time() - begin
    assert len({job["jobId"] for job in jobs}) == 600
    assert seconds < 600 / limit / 0.75
    assert server.statistics.calls["SubmitJob"] < 600 * (1 + wasted)


@pytest.mark.parametrize("method", ["terminate_job", "cancel_job"])
async def test_five_hundred_terminations(method: str) -> None:
    """Behind 20 a second all arrive, none twice."""
    operation = {"terminate_job": "TerminateJob", "cancel_job": "CancelJob"}[method]
    server = limited(operation, 20)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
    async with make_client(server) as client:
        begin = asyncio.get_running_loop().time()
        await asyncio.gather(*(getattr(client, method)(job_id, "enough") for job_id in job_ids))
        assert asyncio.get_running_loop().time() - begin < 500 / 20 / 0.8
    assert server.statistics.calls[operation] < 500 * 1.05


@pytest.mark.parametrize("max_connections", [50, 10])
async def test_a_herd_of_submissions_holds_up_nobody(max_connections: int) -> None:
    """With 2,500 submissions in the queue a describe, the end of a wait and a termination get through in a second."""
    server = make_server(default_life_cycle=LONG)
    job_id, ended = server.add_job(life_cycle=LONG), server.add_job(life_cycle=ENDED)
    client = PromptClient(transport=server.transport(latency=0.1, max_connections=max_connections))
    async with client:
        herd = [asyncio.create_task(client.submit_job(**JOB)) for _ in range(2500)]
        await asyncio.sleep(3)
        async with asyncio.timeout(1):
            await asyncio.gather(
                client.describe(job_id), client.terminate_job(job_id, "enough"), client.wait_for_job(ended)
            )
        assert sum(task.done() for task in herd) < 200
        await asyncio.gather(*herd)


async def test_whoever_is_cancelled_in_the_queue_has_taken_it_back() -> None:
    """A job whose submission was still waiting is certainly not submitted, and others go on."""
    server = make_server(default_life_cycle=LONG)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        tasks = [asyncio.create_task(client.submit_job(**JOB)) for _ in range(10)]
        await asyncio.sleep(0.01)
        for task in tasks[1:9]:
            task.cancel()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, *[True] * 8, False]
    assert server.statistics.calls["SubmitJob"] == 2
    assert of_kind(SubmissionUnclaimed, events) == []


async def test_a_submission_outlives_its_caller(caplog: pytest.LogCaptureFixture) -> None:
    """Once it is on its way it goes on when its caller is cancelled, and a WARNING and an event name the job."""
    server = make_server(default_life_cycle=LONG)
    events: list[Event] = []
    async with make_client(server.transport(latency=2), observers=[events.append]) as client:
        task = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(1.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: bool(of_kind(SubmissionUnclaimed, events)))
        (event,) = of_kind(SubmissionUnclaimed, events)
        assert event.job_id is not None
        assert (await client.describe(event.job_id))["jobName"] == event.job_name == "hello"
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    text = "was submitted, but its submitter left before it was told"
    assert record.getMessage() == f"AWS Batch job ({event.job_id}) named hello {text}"


@pytest.mark.parametrize("answer_is_first", [True, False])
async def test_cancelled_in_the_moment_of_the_answer(answer_is_first: bool) -> None:
    """Whichever comes first in the same turn of the loop, somebody hears of the job."""
    events: list[Event] = []
    server = make_server(default_life_cycle=LONG)
    async with make_client(server.transport(latency=2), observers=[events.append]) as client:
        task = asyncio.create_task(client.submit_job(**JOB))
        await until(lambda: bool(supervisor_of(client).submissions._queue._under_way))
        (sending,) = supervisor_of(client).submissions._queue._under_way
        if answer_is_first:
            sending.add_done_callback(lambda _: task.cancel())
        else:
            await asyncio.sleep(1.9)
            asyncio.get_running_loop().call_at(2.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(sending.done)
        await asyncio.sleep(0)
    (event,) = of_kind(SubmissionUnclaimed, events)
    assert event.job_id


@pytest.mark.parametrize(
    ("outcome", "is_told"),
    [
        (ReadTimeoutError(endpoint_url="https://batch.example"), True),
        ({}, True),
        (client_error(400, "ClientException", operation="SubmitJob"), False),
        (client_error(429, "TooManyRequestsException", operation="SubmitJob"), False),
    ],
    ids=["no answer", "no id", "refused", "throttled"],
)
async def test_what_nobody_claims_and_nobody_knows(outcome: Any, is_told: bool) -> None:
    """It is told if nobody knows whether the job was submitted; there is nothing to tell if it certainly was not."""

    class Slow(FaultyTransport):
        async def call(self, operation: str, /, **_: object) -> dict[str, Any]:  # noqa: ARG002
            await asyncio.sleep(1)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome  # type: ignore[no-any-return]

    events: list[Event] = []
    async with make_client(Slow(make_server()), observers=[events.append]) as client:
        task = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(1)
    told = of_kind(SubmissionUnclaimed, events)
    assert [(event.job_name, event.job_id) for event in told] == [("hello", None)] * is_told
    assert all(event.error for event in told)


async def test_leaving_the_client() -> None:
    """What waits is not submitted, and is told so; what is on its way gets its answer."""
    server = make_server(default_life_cycle=LONG)
    async with make_client(server.transport(latency=0.5)) as client:
        tasks = [asyncio.create_task(client.submit_job(**JOB)) for _ in range(10)]
        await asyncio.sleep(0.3)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, dict) for result in results] == [True] * 2 + [False] * 8
    assert server.statistics.calls["SubmitJob"] == 2
    for result in results[2:]:
        assert isinstance(result, ClientClosedError)
        assert str(result) == (
            "AWS Batch job named 'hello' was not submitted: the BatchClient was closed first; create another one"
        )


async def test_leaving_while_aws_does_not_answer() -> None:
    """After `close_timeout` seconds it stays open whether the job was submitted."""
    server = make_server(default_life_cycle=LONG)
    client = make_client(server.transport(latency=60), close_timeout=3)
    async with client:
        task = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() == 4
    with pytest.raises(SubmitUncertainError, match="was closed before the answer came") as caught:
        await task
    assert caught.value.job_name == "hello"


async def test_leaving_between_two_tries() -> None:
    """Who waits to be sent again was certainly not submitted."""
    server = make_server(default_life_cycle=LONG)
    server.inject(Fault.TOO_MANY_REQUESTS, operations=["SubmitJob"])
    async with make_client(server.transport(latency=0.5)) as client:
        tasks = [asyncio.create_task(client.submit_job(**JOB)) for _ in range(3)]
        await asyncio.sleep(0.7)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result)[:45] for result in results] == ["AWS Batch job named 'hello' was not submitted"] * 3


async def test_leaving_while_jobs_are_ended() -> None:
    """The same for terminations: those that wait are told, and those on the way get their answer or that it is open."""
    server = make_server(default_life_cycle=LONG)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
    async with make_client(server.transport(latency=0.5)) as client:
        tasks = [asyncio.create_task(client.terminate_job(job_id, "enough")) for job_id in job_ids]
        await asyncio.sleep(0.1)
    answered, *refused = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answered, dict)
    assert [str(error) for error in refused] == [
        f"AWS Batch job ({job_id}) was not terminated: the BatchClient was closed first; create another one"
        for job_id in job_ids[1:]
    ]
    async with make_client(server.transport(latency=60), close_timeout=1) as client:
        cut_off = asyncio.create_task(client.cancel_job(job_ids[0], "enough"))
        await asyncio.sleep(0.1)
    with pytest.raises(ClientClosedError, match="may or may not have been cancelled"):
        await cut_off


async def test_a_termination_is_tried_again() -> None:
    """It does no harm, so what may pass is waited for; what would come again is told at once."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        server.inject(Fault.SERVER_EXCEPTION, calls=4)
        await client.terminate_job(job_id, "enough")
        assert server.statistics.calls["TerminateJob"] == 5
        server.inject(Fault.RESET_BEFORE_BODY, calls=5)
        with pytest.raises(Exception, match=r"batch\.example"):
            await client.terminate_job(job_id, "enough")
        assert server.statistics.calls["TerminateJob"] == 10
        server.inject(Fault.ACCESS_DENIED, calls=1)
        with pytest.raises(ClientError):
            await client.terminate_job(job_id, "enough")
        assert server.statistics.calls["TerminateJob"] == 11


async def test_closing_ends_waits_at_once() -> None:
    """Nobody who waits for a job has to wait for somebody's submission."""
    server = make_server(default_life_cycle=LONG)
    job_id = server.add_job(life_cycle=LONG)
    client = make_client(server.transport(latency=lambda: 60), backoff=FixedInterval(5), close_timeout=5)
    async with client:
        waiting = asyncio.create_task(client.wait_for_job(job_id))
        submitting = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(1)
        closing = asyncio.create_task(client.aclose())
        with pytest.raises(ClientClosedError):
            await waiting
        assert asyncio.get_running_loop().time() == 1
        assert not submitting.done()
        await closing
    with pytest.raises(SubmitUncertainError):
        await submitting


async def test_a_coroutine_that_is_closed_in_the_queue_submits_nothing() -> None:
    """Nobody waits for it any more, as after a cancellation."""
    server = make_server(default_life_cycle=LONG)
    async with make_client(server) as client:
        first = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(0)
        second = client.submit_job(**JOB)
        second.send(None)
        await asyncio.sleep(0)
        second.send(None)
        second.close()
        await first
        await asyncio.sleep(2)
    assert server.statistics.calls["SubmitJob"] == 1


class OddTransport(FaultyTransport):
    """Answers other calls than describes as a test tells it."""

    answer: Callable[[], Awaitable[dict[str, Any]]]

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ARG002
        """Ask the test."""
        return await self.answer()


async def test_a_failure_in_the_turn_of_the_cancellation_is_not_lost() -> None:
    """It may leave open whether there is a job, and the caller does not hear of it."""
    events: list[Event] = []
    tasks: list[asyncio.Task[Any]] = []

    def observe(event: Event) -> None:
        events.append(event)
        if isinstance(event, CallEnded):
            # The caller was told in this very turn, and has not gone on yet.
            assert tasks[0].cancel()

    async def refuse() -> dict[str, Any]:
        raise client_error(503, "ServiceUnavailable", operation="SubmitJob")

    transport = OddTransport(make_server())
    transport.answer = refuse
    async with make_client(transport, observers=[observe]) as client:
        tasks.append(asyncio.create_task(client.submit_job(**JOB)))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
    assert [event.job_id for event in of_kind(SubmissionUnclaimed, events)] == [None]


@pytest.mark.parametrize("max_connections", [1, 2, 3])
@pytest.mark.parametrize("method", ["submit", "terminate", "both"])
async def test_a_describe_gets_through_whatever_the_size_of_the_pool(
    max_connections: int, method: str
) -> None:
    """If there is hardly a connection, those who wait for one take turns."""
    server = make_server(default_life_cycle=LONG)
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server.transport(latency=0.175, max_connections=max_connections)) as client:
        herd: list[asyncio.Task[Any]] = []
        for _ in range(300):
            if method != "terminate":
                herd.append(asyncio.create_task(client.submit_job(**JOB)))
            if method != "submit":
                herd.append(asyncio.create_task(client.terminate_job(job_id, "enough")))
        await asyncio.sleep(3)
        for _ in range(3):
            async with asyncio.timeout(1):
                await client.describe(job_id)
        assert not herd[-1].done()
        for task in herd:
            task.cancel()
        await asyncio.wait(herd)


async def test_a_termination_gets_through_beside_all_others() -> None:
    """Describes and submissions without end leave it the only connection in its turn."""
    server = make_server(default_life_cycle=LONG)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1000)]
    async with make_client(
        server.transport(latency=0.2, max_connections=1), backoff=FixedInterval(1), close_timeout=1
    ) as client:
        herd: list[asyncio.Task[Any]] = [
            *(asyncio.create_task(client.wait_for_job(job_id)) for job_id in job_ids),
            *(asyncio.create_task(client.submit_job(**JOB)) for _ in range(300)),
        ]
        await asyncio.sleep(3)
        async with asyncio.timeout(1):
            await client.terminate_job(job_ids[0], "enough")
        assert sum(not task.done() for task in herd[1000:]) > 200
        for task in herd:
            task.cancel()
        await asyncio.wait(herd)


@pytest.mark.parametrize("method", ["submit", "terminate"])
async def test_what_breaks_while_a_call_ends_strands_nobody(method: str) -> None:
    """A transport of one's own may have a property that raises; the caller gets the error of his call."""

    class Broken(OddTransport):
        @property
        def refreshes_credentials(self) -> bool:
            message = "no idea"
            raise RuntimeError(message)

        @refreshes_credentials.setter
        def refreshes_credentials(self, _: bool) -> None:
            """It is set in `InProcessTransport`."""

    async def refuse() -> dict[str, Any]:
        raise client_error(400, "ClientException", operation="SubmitJob")

    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context["exception"]))
    transport = Broken(make_server())
    transport.answer = refuse
    async with make_client(transport) as client, asyncio.timeout(10):
        call = client.submit_job(**JOB) if method == "submit" else client.terminate_job("job", "enough")
        with pytest.raises(ClientError):
            await call
    assert [str(error) for error in broken] == ["no idea"]


async def test_a_call_that_something_else_cancels() -> None:
    """Then nobody says that the client was closed."""

    async def cancelled() -> dict[str, Any]:
        raise asyncio.CancelledError

    transport = OddTransport(make_server())
    transport.answer = cancelled
    async with make_client(transport) as client:
        with pytest.raises(SubmitUncertainError, match="was cancelled on its way, and not by its caller"):
            await client.submit_job(**JOB)


async def test_closing_is_bounded_whatever_the_transport_does() -> None:
    """A call that takes no notice of its cancellation is left behind, and its caller is told."""

    async def deaf() -> dict[str, Any]:
        end = asyncio.get_running_loop().time() + 3600
        while (left := end - asyncio.get_running_loop().time()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)
        return {}

    transport = OddTransport(make_server())
    transport.answer = deaf
    client = make_client(transport, close_timeout=5)
    await client.open()
    task = asyncio.create_task(client.submit_job(**JOB))
    await asyncio.sleep(1)
    async with asyncio.timeout(7):
        await client.aclose()
        with pytest.raises(SubmitUncertainError):
            await task
    await asyncio.sleep(3600)


async def test_closing_ends_pauses_between_tries() -> None:
    """And what an earlier try may have done is not denied."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.RESET_BEFORE_BODY, operations=["TerminateJob"])
    async with make_client(server) as client:
        task = asyncio.create_task(client.terminate_job(job_id, "enough"))
        await until(lambda: server.statistics.calls["TerminateJob"] == 4)
        await asyncio.sleep(0.1)
    async with asyncio.timeout(0.1):
        with pytest.raises(ClientClosedError, match="may or may not have been terminated"):
            await task


async def test_connections_are_closed_however_often_the_clients_task_is_cancelled() -> None:
    """Even if it happens while it waits for submissions."""
    transport = make_server(default_life_cycle=LONG).transport(latency=3)
    client = make_client(transport)
    await client.open()
    task = asyncio.create_task(client.submit_job(**JOB))
    await asyncio.sleep(1)
    for _ in range(2):
        supervisor_of(client)._task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(SubmitUncertainError):
        await task
    await client.aclose()
    assert transport.closed == 1


async def test_the_queue_keeps_nothing_of_those_who_were_cancelled() -> None:
    """However long those before them have to wait."""
    async with make_client(limited("SubmitJob", 1)) as client:
        tasks = [asyncio.create_task(client.submit_job(**JOB)) for _ in range(1000)]
        await asyncio.sleep(5)
        queue = supervisor_of(client).submissions._queue
        before = len(queue._waiting)
        for task in tasks[-500:]:
            task.cancel()
        await asyncio.wait(tasks[-500:])
        assert len(queue._waiting) == before - 500
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _in_a_cancelled_scope(client: BatchClient) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.submit_job(**JOB)


async def _out_of_time(client: BatchClient) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await client.submit_job(**JOB)


async def _in_a_cancelled_task(client: BatchClient) -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    with suppress(asyncio.CancelledError):
        await client.submit_job(**JOB)


@pytest.mark.parametrize("submit", [_in_a_cancelled_scope, _out_of_time, _in_a_cancelled_task])
async def test_who_is_cancelled_already_submits_nothing(
    submit: Callable[[BatchClient], Coroutine[Any, Any, None]],
) -> None:
    """Or there would be a job that nobody wants any more, with nobody to hear of it."""
    server = make_server()
    async with make_client(server) as client:
        await asyncio.create_task(submit(client))
    assert server.statistics.calls["SubmitJob"] == 0
