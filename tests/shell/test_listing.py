"""`list_jobs`: every job once, page after page, whatever becomes of the calls, in virtual time."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import BatchClient, CallError, ClientClosedError, InvalidJobIdError, JobStatus
from awaitbatch._listing import ListRequest
from awaitbatch.instrumentation import CallEnded
from awaitbatch.testing import Fault, LifeCycle, TokenBucket
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import ENDED, LONG, make_client, make_server, of_kind, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch import JobSummaries
    from awaitbatch.instrumentation import Event
    from awaitbatch.testing import BatchServer

STATES = ("submitted", "pending", "runnable", "starting", "running")
FAILED = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0, outcome="FAILED", exit_code=3)


def staying(state: str) -> LifeCycle:
    """The life of a job that stays in a state."""
    return LifeCycle(**dict.fromkeys(STATES, 0.0) | {state: math.inf})  # type: ignore[arg-type]


@pytest.fixture
async def client(server: BatchServer) -> AsyncIterator[BatchClient]:
    """An open client."""
    async with make_client(server) as opened:
        yield opened


async def ids(summaries: JobSummaries) -> list[str]:
    """The ids of all jobs."""
    return [summary["jobId"] async for summary in summaries]


def calls(server: BatchServer) -> int:
    """ListJobs calls that the server has seen."""
    return server.statistics.calls["ListJobs"]


async def test_all_states_in_the_order_of_the_life_cycle(server: BatchServer, client: BatchClient) -> None:
    """Without statuses there are jobs of all states, with some only those; each in the order of the life cycle."""
    for life_cycle in (ENDED, FAILED, *map(staying, reversed(STATES))):
        server.add_job(life_cycle=life_cycle)
    assert [summary["status"] async for summary in client.list_jobs("queue")] == [*JobStatus]
    assert calls(server) == 7
    some = client.list_jobs("queue", statuses=["FAILED", "RUNNABLE", "FAILED"])
    assert [summary["status"] async for summary in some] == ["RUNNABLE", "FAILED"]
    assert calls(server) == 9
    assert [summary["status"] async for summary in client.list_jobs("queue", statuses="RUNNING")] == [
        "RUNNING"
    ]
    assert await ids(client.list_jobs("another")) == []


async def test_who_moves_on_is_met_once(server: BatchServer, client: BatchClient) -> None:
    """Jobs that change while they are listed are neither missed nor given twice."""
    job_ids = [server.add_job(life_cycle=LifeCycle(running=number / 40)) for number in range(100)]
    assert sorted(await ids(client.list_jobs("queue"))) == sorted(job_ids)


async def test_pages_are_asked_for_as_they_are_consumed(server: BatchServer, client: BatchClient) -> None:
    """A page has 1,000 jobs; who leaves the loop asks for no more, and nothing is left of it."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(2500)]
    taken = []
    async for summary in client.list_jobs("queue", statuses=["RUNNING"]):
        taken.append(summary["jobId"])
        assert calls(server) == (len(taken) - 1) // 1000 + 1
        if len(taken) == 1500:
            break
    assert taken == job_ids[:1500]
    await asyncio.sleep(60)
    assert calls(server) == 2
    assert await ids(client.list_jobs("queue")) == job_ids
    async with client.list_jobs("queue", statuses=["RUNNING"]) as summaries:
        assert (await anext(summaries))["jobId"] == job_ids[0]
    with pytest.raises(StopAsyncIteration):
        await anext(summaries)
    assert repr(summaries) == "<JobSummaries of AWS Batch job queue (queue), 1000 seen>"


async def test_others_have_their_turns(server: BatchServer, client: BatchClient) -> None:
    """Who goes through thousands of jobs lets others on the event loop have their turns, and can be cancelled."""
    for _ in range(1000):
        server.add_job(life_cycle=LONG)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    summaries = client.list_jobs("queue", statuses=["RUNNING"])
    await anext(summaries)
    counting = asyncio.create_task(count())
    await ids(summaries)
    counting.cancel()
    assert turns >= 2


async def test_children_and_nodes(server: BatchServer, client: BatchClient) -> None:
    """The children of an array are listed by their parent, and which of them failed by one call."""
    array = server.add_job(life_cycle=ENDED, array_size=300, children={7: FAILED, 200: FAILED})
    nodes = server.add_job(life_cycle=LONG, nodes=3)
    assert await ids(client.list_jobs(array_job_id=array, statuses=["FAILED"])) == [
        f"{array}:7",
        f"{array}:200",
    ]
    assert calls(server) == 1
    assert (
        len(await ids(client.list_jobs(array_job_id=f"arn:aws:batch:us-east-1:123456789012:job/{array}")))
        == 300
    )
    assert await ids(client.list_jobs(multi_node_job_id=nodes)) == [f"{nodes}#{index}" for index in range(3)]


async def test_a_filter_gives_all_states_at_once(server: BatchServer, client: BatchClient) -> None:
    """The newest come first; of the states that were asked for the others are left out here, not by AWS Batch."""
    life_cycles = [ENDED, FAILED, LONG] * 50
    job_ids = [
        server.add_job(job_name=f"n{number}", life_cycle=life) for number, life in enumerate(life_cycles)
    ]
    server.add_job(job_name="other")
    filters: Any = [{"name": "JOB_NAME", "values": ["n*"]}]
    assert await ids(client.list_jobs("queue", filters=filters)) == job_ids[::-1]
    assert calls(server) == 2
    failed = await ids(client.list_jobs("queue", filters=filters, statuses=["FAILED"]))
    assert failed == job_ids[::-1][1::3]


async def test_a_share_identifier_goes_with_states(server: BatchServer, client: BatchClient) -> None:
    """It is the one filter beside which AWS Batch heeds a status, so it takes a call for each."""
    job_ids = [
        server.add_job(life_cycle=life, share_identifier=share)
        for life, share in ((ENDED, "A"), (LONG, "A"), (LONG, "B"))
    ]
    filters: Any = ({"name": "SHARE_IDENTIFIER", "values": ("A",)},)
    assert await ids(client.list_jobs("queue", filters=filters)) == [job_ids[1], job_ids[0]]
    assert calls(server) == 7
    assert await ids(client.list_jobs("queue", filters=filters, statuses=["RUNNING"])) == [job_ids[1]]


NAMED: dict[str, Any] = {"name": "JOB_NAME", "values": ["a"]}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, ValueError, "exactly one of queue, array_job_id, multi_node_job_id, not none of them"),
        ({"queue": "q", "array_job_id": "a"}, ValueError, "not queue and array_job_id"),
        ({"queue": ""}, ValueError, "queue must be the name or ARN of a job queue, not an empty str"),
        ({"queue": 7}, TypeError, "queue must be the name or ARN of a job queue, not 7"),
        ({"array_job_id": "a b"}, InvalidJobIdError, "not an AWS Batch job id"),
        ({"array_job_id": "a:1"}, ValueError, "array_job_id must be the id of a parent"),
        ({"multi_node_job_id": "a#1"}, ValueError, "multi_node_job_id must be the id of a parent"),
        (
            {"queue": "q", "statuses": ["RUNING"]},
            ValueError,
            r"statuses has 'RUNING'.*RUNNING\?.*SUBMITTED, PENDING",
        ),
        ({"queue": "q", "statuses": []}, ValueError, "statuses must be at least one status"),
        ({"queue": "q", "statuses": 3}, TypeError, "statuses must be a collection"),
        ({"queue": "q", "filters": []}, ValueError, "one filter at a time, not 0"),
        ({"queue": "q", "filters": [NAMED, NAMED]}, ValueError, "one filter at a time, not 2"),
        ({"queue": "q", "filters": NAMED}, TypeError, "filters must be a list of one filter, such as"),
        (
            {"queue": "q", "filters": [{"name": "NAME", "values": ["a"]}]},
            ValueError,
            "one of JOB_NAME, JOB_DEF",
        ),
        ({"queue": "q", "filters": [{**NAMED, "value": 1}]}, ValueError, "a filter has a name"),
        (
            {"queue": "q", "filters": [{**NAMED, "values": "a"}]},
            ValueError,
            "values of filter JOB_NAME must be",
        ),
        (
            {"queue": "q", "filters": [{**NAMED, "values": []}]},
            ValueError,
            "values of filter JOB_NAME must be",
        ),
        (
            {"queue": "q", "filters": [{**NAMED, "values": [1]}]},
            ValueError,
            "values of filter JOB_NAME must be",
        ),
        ({"array_job_id": "a", "filters": [NAMED]}, ValueError, "filters are for the jobs of a queue"),
    ],
)
async def test_arguments_that_make_no_sense(
    client: BatchClient, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """They are refused at the call, and the text shows what is right."""
    with pytest.raises(error, match=text):
        client.list_jobs(**arguments)


async def test_throttled_pages_are_asked_again(server: BatchServer) -> None:
    """However often AWS throttles them, no page is lost; lists have a throttle of their own."""
    server = make_server(bucket={"ListJobs": TokenBucket(1, 1)})
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(2500)]
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        lists = [ids(client.list_jobs("queue", statuses=["RUNNING"])) for _ in range(5)]
        assert await asyncio.gather(*lists) == [job_ids] * 5
    outcomes = [(event.outcome, event.ids) for event in of_kind(CallEnded, events)]
    assert outcomes.count(("answered", 0)) == 15
    assert ("throttled", 0) in outcomes


@pytest.mark.parametrize("fault", [Fault.SERVER_EXCEPTION, Fault.RESET_IN_BODY, Fault.HTML, Fault.EMPTY_BODY])
async def test_failures_that_pass(server: BatchServer, client: BatchClient, fault: Fault) -> None:
    """A page is asked for five times; then the error names the queue and the operation, and says what to do."""
    job_id = server.add_job(life_cycle=LONG)
    summaries = client.list_jobs("queue", statuses=["RUNNING"])
    server.inject(fault, calls=4)
    assert await ids(summaries) == [job_id]
    server.inject(fault, calls=5)
    summaries = client.list_jobs("queue", statuses=["RUNNING"])
    text = r"^AWS Batch job queue \(queue\): its jobs could not be listed: .*; (try again|check)"
    with pytest.raises(CallError, match=text) as caught:
        await anext(summaries)
    assert caught.value.operation == "ListJobs"
    assert caught.value.__cause__ is not None
    # Who asks once more goes on where it failed.
    assert await ids(summaries) == [job_id]


@pytest.mark.parametrize(
    ("fault", "text", "code"),
    [
        (
            Fault.ACCESS_DENIED,
            r"ListJobs operation.*; allow batch:ListJobs in the IAM policy",
            "AccessDenied",
        ),
        (Fault.CLIENT_EXCEPTION, r"; check its name, the region and the account$", "ClientException"),
    ],
)
async def test_failures_for_good(
    server: BatchServer, client: BatchClient, fault: Fault, text: str, code: str
) -> None:
    """What would come again is raised at once."""
    server.inject(fault)
    with pytest.raises(CallError, match=text) as caught:
        await ids(client.list_jobs("queue"))
    assert caught.value.code.startswith(code)
    assert calls(server) == 1


async def test_a_call_that_hangs(server: BatchServer) -> None:
    """A page that does not come within call_timeout is asked for again."""
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server, call_timeout=2) as client:
        server.inject(Fault.HANG, calls=1)
        began = asyncio.get_running_loop().time()
        assert await ids(client.list_jobs("queue", statuses=["RUNNING"])) == [job_id]
        assert 2 < asyncio.get_running_loop().time() - began < 5
        server.inject(Fault.HANG)
        with pytest.raises(CallError, match="no answer within 2 s; check the network, or raise call_timeout"):
            await ids(client.list_jobs("queue"))


async def test_who_is_cancelled_gives_up_the_call(server: BatchServer) -> None:
    """A page that nobody waits for any more is not waited for; who asks once more gets it all the same."""
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        summaries = client.list_jobs("queue", statuses=["RUNNING"])
        server.inject(Fault.HANG, calls=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(summaries)
        await asyncio.sleep(0.001)
        assert [event.outcome for event in of_kind(CallEnded, events)] == ["cancelled"]
        assert await ids(summaries) == [job_id]


async def test_two_tasks_share_one(server: BatchServer, client: BatchClient) -> None:
    """Two tasks that go through one list together get each job once."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(2500)]
    summaries = client.list_jobs("queue", statuses=["RUNNING"])
    halves = await asyncio.gather(ids(summaries), ids(summaries))
    assert sorted(halves[0] + halves[1]) == sorted(job_ids)
    assert calls(server) == 3


async def test_a_closed_client(server: BatchServer) -> None:
    """The loop raises ClientClosedError before, after and while the client is closed; closing waits for no page."""
    client = make_client(server)
    summaries = client.list_jobs("queue")
    with pytest.raises(ClientClosedError, match="not open yet"):
        await anext(summaries)
    async with client:
        server.inject(Fault.HANG)
        waiting = [asyncio.create_task(ids(client.list_jobs("queue"))) for _ in range(3)]
        await until(lambda: calls(server) > 0)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 0.1
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, ClientClosedError)
    with pytest.raises(ClientClosedError, match="closed"):
        async with summaries:
            pass


async def test_users_of_a_shared_client(server: BatchServer) -> None:
    """They list by one throttle, and who leaves lists no more."""
    transport = server.transport()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(1500)]
    async with BatchClient.shared(transport=transport, linger=0) as other:
        async with BatchClient.shared(transport=transport, linger=0, max_calls_per_second=1) as one:
            summaries = one.list_jobs("queue")
            assert (await anext(summaries))["jobId"] == job_ids[0]
        assert await ids(other.list_jobs("queue", statuses=["RUNNING"])) == job_ids
        with pytest.raises(ClientClosedError, match="this use of a shared BatchClient is closed"):
            await ids(summaries)
    await asyncio.sleep(1)


async def test_an_answer_without_a_list(server: BatchServer) -> None:
    """It does not pass for a page without jobs."""

    class Lacking(InProcessTransport):
        async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
            return {"ResponseMetadata": (await super().call(operation, **parameters))["ResponseMetadata"]}

    async with make_client(Lacking(server, latency=0.02)) as client:
        with pytest.raises(
            CallError, match="the answer to ListJobs has no jobSummaryList; check what is between"
        ):
            await ids(client.list_jobs("queue"))


async def test_a_page_that_comes_again_and_again(server: BatchServer) -> None:
    """A server that takes no notice of tokens, as some that imitate AWS, is told of, and not listed for ever."""

    class Stuck(InProcessTransport):
        async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
            parameters.pop("nextToken", None)
            return {**await super().call(operation, **parameters), "nextToken": "next"}

    job_id = server.add_job(life_cycle=LONG)
    async with make_client(Stuck(server, latency=0.02)) as client:
        summaries = client.list_jobs("queue", statuses=["RUNNING"])
        assert (await anext(summaries))["jobId"] == job_id
        with pytest.raises(
            CallError, match="the answer to ListJobs has the nextToken that it was asked with"
        ):
            await anext(summaries)


@pytest.mark.parametrize("job", [{"status": "RUNNING"}, None, {"jobId": 7}])
async def test_an_answer_with_a_job_without_an_id(server: BatchServer, job: object) -> None:
    """It is asked for again, and no job is lost that came with it."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]

    class Garbled(InProcessTransport):
        calls = 0

        async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
            answer = await super().call(operation, **parameters)
            self.calls += 1
            if self.calls <= 2:
                answer["jobSummaryList"].insert(1, job)
            return answer

    async with make_client(Garbled(server, latency=0.02)) as client:
        assert await ids(client.list_jobs("queue", statuses=["RUNNING"])) == job_ids


class Odd(InProcessTransport):
    """Lists begin with a job whose members are odd."""

    async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
        """Put it there."""
        answer = await super().call(operation, **parameters)
        if operation == "ListJobs":
            answer["jobSummaryList"].insert(0, {"jobId": "odd", "status": ["RUNNING"], "createdAt": "now"})
        return answer


async def test_a_job_with_odd_members(server: BatchServer) -> None:
    """It is in none of the states that are asked for, and hides no other job, also of a queue that is watched."""
    job_id = server.add_job(job_name="n", life_cycle=LONG)
    filters: Any = [{"name": "JOB_NAME", "values": ["n"]}]
    async with make_client(Odd(server, latency=0.02)) as client:
        assert await ids(client.list_jobs("queue", filters=filters)) == ["odd", job_id]
        assert await ids(client.list_jobs("queue", filters=filters, statuses=["RUNNING"])) == [job_id]
        async with client.watch_queue("queue") as changes:
            item = await anext(changes)
            while item.job_id != job_id:
                item = await anext(changes)


def test_lists_of_the_request_stay_as_they_are() -> None:
    """What the user gave may change afterwards."""
    values = ["a"]
    request = ListRequest.of("queue", None, None, None, [{"name": "JOB_NAME", "values": values}])
    values.append("b")
    assert request.calls[0]["filters"] == [{"name": "JOB_NAME", "values": ["a"]}]
