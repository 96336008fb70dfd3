"""Many jobs are ended in few calls, and none suffers for another one."""

from __future__ import annotations

import asyncio
import pickle
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import BatchClient, BulkError, ClientClosedError, InvalidJobIdError, TerminationError
from awaitbatch.instrumentation import CallEnded, Event, TerminationUnclaimed
from awaitbatch.testing import BatchServer, Fault, LifeCycle, TokenBucket
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import LONG, make_client, make_server, of_kind, until

if TYPE_CHECKING:
    from collections.abc import Iterable

BULK = ["CancelJobs", "TerminateJobs"]
RUNNABLE = LifeCycle(submitted=0, pending=0, runnable=float("inf"))


def add_jobs(server: BatchServer, count: int) -> list[str]:
    """So many jobs that run until somebody ends them."""
    return [server.add_job(life_cycle=LONG) for _ in range(count)]


def ended(server: BatchServer, job_ids: Iterable[str]) -> set[str]:
    """Those of the jobs that have been ended."""
    return {job_id for job_id in job_ids if server.status_of(job_id) == "FAILED"}


class OldBotocore(InProcessTransport):
    """A transport whose botocore does not know the bulk operations."""

    async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
        """Refuse them as AiobotocoreTransport does."""
        if operation in BULK:
            message = f"the installed botocore knows no AWS Batch operation {operation}"
            raise ValueError(message)
        return await super().call(operation, **parameters)


@pytest.mark.parametrize("method", ["terminate_jobs", "cancel_jobs"])
async def test_five_thousand_behind_two_calls_a_second(method: str) -> None:
    """They take a hundred calls and what AWS throttles, fifty seconds, and come back in their order."""
    operation = {"terminate_jobs": "TerminateJobs", "cancel_jobs": "CancelJobs"}[method]
    server = make_server(bucket={operation: TokenBucket(2, 2)})
    job_ids = [server.add_job(life_cycle=RUNNABLE) for _ in range(5000)]
    async with make_client(server) as client:
        result = await getattr(client, method)(job_ids, "enough")
        seconds = asyncio.get_running_loop().time()
    assert result.accepted == tuple(job_ids)
    assert result.errors == {}
    result.raise_for_errors()
    assert len(ended(server, job_ids)) == 5000
    assert server.statistics.answered == {operation: 100}
    assert server.statistics.calls[operation] < 130
    assert seconds < 65


async def test_cancelling_leaves_those_alone_that_have_started() -> None:
    """AWS accepts them all the same."""
    server = make_server()
    running, waiting = server.add_job(life_cycle=LONG), server.add_job(life_cycle=RUNNABLE)
    async with make_client(server) as client:
        result = await client.cancel_jobs([running, waiting], "enough")
        assert result.accepted == (running, waiting)
        assert (await client.describe(waiting))["statusReason"] == "enough"
    assert ended(server, [running, waiting]) == {waiting}


async def test_ids_are_normalised_and_bad_ones_are_errors_of_their_own() -> None:
    """An ARN is the job's id, each is sent once, unknown ones count as accepted, and what is no id is not sent."""
    server = make_server()
    one, two = add_jobs(server, 2)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        arn = (await client.describe(two))["jobArn"]
        given: Any = [two, "not an id", one, None, arn, one, "nobody"]
        result = await client.terminate_jobs(given, "enough")
        with pytest.raises(TypeError, match="must be a list, or another iterable, not "):
            await client.terminate_jobs(one, "enough")
    assert result.accepted == (two, one, "nobody")
    assert {job_id: type(error) for job_id, error in result.errors.items()} == {
        "'not an id'": InvalidJobIdError,
        "None": InvalidJobIdError,
    }
    (call,) = [event for event in of_kind(CallEnded, events) if event.operation == "TerminateJobs"]
    assert call.ids == 3


async def test_nothing_and_one() -> None:
    """Without an id nothing is sent, and a single one needs no bulk call."""
    server = make_server()
    (job_id,) = add_jobs(server, 1)
    async with make_client(server) as client:
        nothing = await client.terminate_jobs(iter(()), "enough")
        assert (nothing.accepted, nothing.errors) == ((), {})
        assert not server.statistics.calls
        assert (await client.terminate_jobs([job_id], "enough")).accepted == (job_id,)
    assert server.statistics.calls == {"TerminateJob": 1}


async def test_errors_of_single_jobs() -> None:
    """Each names its job, the code and what to do; several are counted; nobody else suffers."""
    server = make_server()
    job_ids = add_jobs(server, 120)
    denied = {job_ids[7], job_ids[70]}
    server.inject(Fault.DENIED_JOBS, job_ids=denied)
    async with make_client(server) as client:
        result = await client.terminate_jobs([*job_ids, "?"], "enough")
    assert result.errors.keys() == {*denied, "'?'"}
    assert ended(server, job_ids) == {*job_ids} - denied == {*result.accepted}
    error = result.errors[job_ids[7]]
    assert isinstance(error, TerminationError)
    assert (error.job_id, error.operation, error.code) == (job_ids[7], "TerminateJob", "AccessDenied")
    assert str(error) == (
        f"AWS Batch job ({job_ids[7]}) was not terminated: An error occurred (AccessDenied) when calling the "
        "TerminateJobs operation: not authorized to perform this action on the job; "
        "allow batch:TerminateJob in the IAM policy of these credentials"
    )
    assert server.statistics.calls == {"TerminateJobs": 3}
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(copy), copy.job_id, copy.code) == (str(error), error.job_id, error.code)
    with pytest.raises(BulkError) as caught:
        result.raise_for_errors()
    assert str(caught.value) == "3 of 121 jobs could not be ended: 2 AccessDenied, 1 InvalidJobIdError"
    assert list(caught.value.exceptions) == list(result.errors.values())
    assert isinstance(caught.value.split(TerminationError)[0], BulkError)


async def test_one_error_raises_itself() -> None:
    """It is in no group."""
    server = make_server()
    job_ids = add_jobs(server, 3)
    server.inject(Fault.DENIED_JOBS, job_ids=job_ids[:1])
    async with make_client(server) as client:
        result = await client.cancel_jobs(job_ids, "enough")
    with pytest.raises(
        TerminationError, match=rf"\({job_ids[0]}\) was not cancelled: .*allow batch:CancelJob in"
    ):
        result.raise_for_errors()


async def test_throttled_ids_are_sent_again_as_often_as_it_takes() -> None:
    """However often AWS throttles single jobs of a call, they are ended in the end, and without haste."""
    server = make_server()
    job_ids = add_jobs(server, 200)
    rule = server.inject(Fault.THROTTLED_JOBS, job_ids=job_ids[::10], calls=30)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
        seconds = asyncio.get_running_loop().time()
    assert result.errors == {}
    assert len(ended(server, job_ids)) == 200
    assert rule.hits == 30
    # One of 20 ids follows the four that had five of them each.
    assert server.statistics.calls == {"TerminateJobs": 31}
    assert 60 < seconds < 600


@pytest.mark.parametrize("lasts", [False, True])
async def test_an_error_that_may_pass_is_tried_again_alone(*, lasts: bool) -> None:
    """Such a job goes by a single call, 5 times; then nobody knows whether it was done, and the error says so."""
    server = make_server()
    job_ids = add_jobs(server, 60)
    bad = job_ids[3]
    server.inject(Fault.UNSTOPPED_JOBS, job_ids=[bad])
    server.inject(Fault.SERVER_EXCEPTION, operations=["TerminateJob"], calls=9 if lasts else 4)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert server.statistics.calls == {"TerminateJobs": 2, "TerminateJob": 5}
    assert result.errors.keys() == ({bad} if lasts else set())
    assert len(ended(server, job_ids)) == len(result.accepted)
    if lasts:
        assert f"({bad}) may or may not have been terminated: " in str(result.errors[bad])
        assert str(result.errors[bad]).endswith("; describe the job to find out")


@pytest.mark.parametrize(
    "answer", [{}, {"successful": None, "errors": None}, {"errors": ["?"]}, None, []], ids=str
)
async def test_an_answer_that_does_not_mention_jobs(answer: Any) -> None:
    """They are ended by single calls."""

    class Silent(InProcessTransport):
        async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
            return answer if operation in BULK else await super().call(operation, **parameters)

    server = make_server()
    job_ids = add_jobs(server, 10)
    async with make_client(Silent(server, latency=0.02)) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.accepted == tuple(job_ids)
    assert len(ended(server, job_ids)) == 10


@pytest.mark.parametrize("lacks", ["server", "botocore"])
async def test_without_the_operations_single_calls_do(lacks: str) -> None:
    """They are paced as single calls are; that it is so is found out by one call, whoever else begins meanwhile."""
    server = make_server(
        lacking=BULK if lacks == "server" else (), bucket={"TerminateJob": TokenBucket(20, 20)}
    )
    transport = OldBotocore(server, latency=0.02) if lacks == "botocore" else server.transport()
    events: list[Event] = []
    job_ids = add_jobs(server, 400)
    async with make_client(transport, observers=[events.append]) as client:
        results = await asyncio.gather(
            *(client.terminate_jobs(job_ids[first::4], "enough") for first in range(4))
        )
        assert [len(result.accepted) for result in results] == [100] * 4
        seconds = asyncio.get_running_loop().time()
    assert len(ended(server, job_ids)) == 400
    calls = [event for event in of_kind(CallEnded, events) if event.operation == "TerminateJobs"]
    assert len(calls) == 1
    assert server.statistics.calls["TerminateJob"] < 420
    assert seconds < 30


async def test_each_operation_may_be_lacking() -> None:
    """A server that has one of them is asked for it."""
    server = make_server(lacking=["CancelJobs"])
    job_ids = add_jobs(server, 2)
    async with make_client(server) as client:
        for _ in range(2):
            await client.cancel_jobs(job_ids, "enough")
            await client.terminate_jobs(job_ids, "enough")
    assert server.statistics.calls == {"CancelJobs": 1, "CancelJob": 4, "TerminateJobs": 2}


async def test_single_calls_do_not_wait_behind_thousands() -> None:
    """Who ends one job while 1,500 are ended one by one waits for a second, not for a minute."""
    server = make_server(lacking=BULK)
    job_ids = add_jobs(server, 1500)
    async with make_client(server) as client:
        many = asyncio.create_task(client.terminate_jobs(job_ids, "enough"))
        await asyncio.sleep(20)
        begun = asyncio.get_running_loop().time()
        await client.terminate_job(server.add_job(life_cycle=LONG), "enough")
        assert asyncio.get_running_loop().time() - begun < 1.5
        assert len((await many).accepted) == 1500


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.CLIENT_EXCEPTION, "ClientException"), (Fault.ACCESS_DENIED, "AccessDeniedException")],
)
@pytest.mark.parametrize("bad", [1, 2, 5])
async def test_a_refused_call_is_split_until_the_bad_ids_are_alone(bad: int, fault: Fault, code: str) -> None:
    """Up to five bad ids among fifty harm nobody else, and 250 jobs take not many more calls than 5."""
    server = make_server()
    job_ids = add_jobs(server, 250)
    chosen = Random(bad).sample(job_ids[:50], bad)
    server.inject(fault, job_ids=chosen)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.errors.keys() == {*chosen}
    assert ended(server, job_ids) == {*job_ids} - {*chosen}
    error = result.errors[chosen[0]]
    assert f"({code}) when calling the TerminateJob operation" in str(error)
    assert server.statistics.calls.total() <= 5 + 14 * bad


async def test_bulk_calls_that_are_refused_whatever_they_carry() -> None:
    """Single calls end all jobs."""
    server = make_server()
    job_ids = add_jobs(server, 60)
    server.inject(Fault.CLIENT_EXCEPTION, operations=BULK)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.accepted == tuple(job_ids)


@pytest.mark.parametrize("fault", [Fault.CLIENT_EXCEPTION, Fault.ACCESS_DENIED])
async def test_calls_that_are_all_refused(fault: Fault) -> None:
    """A few dozen calls show that nothing is wrong with the ids, thousands are not sent, and the last one ends it."""
    server = make_server()
    job_ids = add_jobs(server, 2000)
    server.inject(fault)
    loop = asyncio.get_running_loop()
    ends: list[float] = []
    async with make_client(server, observers=[lambda _: ends.append(loop.time())]) as client:
        result = await client.terminate_jobs(job_ids, "enough")
        assert loop.time() == ends[-1]
    assert result.errors.keys() == {*job_ids}
    assert server.statistics.calls.total() < 100


async def test_an_answer_that_was_lost_before_a_refusal() -> None:
    """The first try has ended the job, and it is not said that it was not."""
    server = make_server(lacking=BULK)
    job_ids = add_jobs(server, 2)
    server.inject(Fault.HTML, calls=1, job_ids=job_ids[:1])
    server.inject(Fault.ACCESS_DENIED)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert ended(server, job_ids) == {*job_ids[:1]}
    assert "may or may not have been terminated" in str(result.errors[job_ids[0]])
    assert "was not terminated" in str(result.errors[job_ids[1]])


async def test_throttled_jobs_pause_together() -> None:
    """However many calls come back with them, one pause is for all, and the last answer ends it."""
    server = make_server()
    job_ids = add_jobs(server, 800)
    server.inject(Fault.THROTTLED_JOBS, job_ids=job_ids, end=20)
    loop = asyncio.get_running_loop()
    ends: list[float] = []
    async with make_client(server, observers=[lambda _: ends.append(loop.time())]) as client:
        result = await client.terminate_jobs(job_ids, "enough")
        assert loop.time() == ends[-1]
    assert result.accepted == tuple(job_ids)


async def test_passing_failures_of_whole_calls() -> None:
    """Four calls that fail delay their jobs."""
    server = make_server()
    job_ids = add_jobs(server, 200)
    server.inject(Fault.SERVER_EXCEPTION, calls=4)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.accepted == tuple(job_ids)


@pytest.mark.parametrize("fault", [Fault.SERVER_EXCEPTION, Fault.HTML, Fault.RESET_BEFORE_BODY])
@pytest.mark.parametrize("jobs", [50, 250])
async def test_a_job_that_makes_every_call_fail(fault: Fault, jobs: int) -> None:
    """It ends up alone, and is the only one that could not be ended for sure."""
    server = make_server()
    job_ids = add_jobs(server, jobs)
    server.inject(fault, job_ids=[job_ids[20]])
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.errors.keys() == {job_ids[20]}
    assert "may or may not" in str(result.errors[job_ids[20]])
    assert ended(server, job_ids) >= {*result.accepted}
    assert server.statistics.calls.total() < 40


async def test_an_outage() -> None:
    """If no call is answered at all, each job has an error after 5 tries, and few calls are smaller than others."""
    server = make_server()
    job_ids = add_jobs(server, 1000)
    server.inject(Fault.BARE_503)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert result.errors.keys() == {*job_ids}
    assert server.statistics.calls.total() <= 20 * 8


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_goes_wrong_each_job_is_accounted_for(seed: int) -> None:
    """With faults at random, what is accepted is ended, and the rest has errors."""
    random = Random(seed)
    server = make_server(seed=seed, lacking=BULK if random.random() < 0.2 else ())
    job_ids = add_jobs(server, random.randint(2, 300))
    faults = [Fault.SERVER_EXCEPTION, Fault.TOO_MANY_REQUESTS, Fault.CLIENT_EXCEPTION, Fault.ACCESS_DENIED]
    faults += [Fault.TRUNCATED_JSON, Fault.RESET_IN_BODY, Fault.EMPTY_BODY]
    bulk_faults = [Fault.THROTTLED_JOBS, Fault.DENIED_JOBS, Fault.UNSTOPPED_JOBS]
    for fault in [*random.sample(faults, 3), *random.sample(bulk_faults, 2)]:
        server.inject(fault, probability=random.random() * 0.4)
    async with make_client(server) as client:
        result = await client.terminate_jobs(job_ids, "enough")
    assert [*result.accepted] == [job_id for job_id in job_ids if job_id not in result.errors]
    done = ended(server, job_ids)
    assert done >= {*result.accepted}
    for job_id in done - {*result.accepted}:
        assert "may or may not have been terminated" in str(result.errors[job_id])


@pytest.mark.parametrize("lacking", [False, True])
async def test_closing_in_the_middle(*, lacking: bool) -> None:
    """What was not sent is named, what was on its way may be done, and the result has the rest."""
    server = make_server(lacking=BULK if lacking else ())
    job_ids = add_jobs(server, 1000)
    # The answers of calls from half a second on do not come.
    server.inject(Fault.HANG, begin=0.5)
    client = make_client(server, close_timeout=2)
    async with client:
        task = asyncio.create_task(client.terminate_jobs(job_ids, "enough"))
        await asyncio.sleep(1.0)
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 2.5
    result = await task
    assert [*result.errors] == [job_id for job_id in job_ids if job_id not in {*result.accepted}]
    assert {*result.accepted} <= ended(server, job_ids)
    texts = [str(error) for error in result.errors.values()]
    assert all(isinstance(error, ClientClosedError) for error in result.errors.values())
    not_sent = [text for text in texts if "was not terminated: the BatchClient was closed first" in text]
    open_ends = [text for text in texts if "may or may not have been terminated" in text]
    assert result.accepted
    assert not_sent
    assert open_ends
    assert len(not_sent) + len(open_ends) == len(texts)
    assert all(f"({job_id})" in text for job_id, text in zip(result.errors, texts, strict=True))


async def test_closing_after_a_failure_that_left_it_open() -> None:
    """A job whose first call may have ended it is not said to be left alone."""
    server = make_server()
    job_ids = add_jobs(server, 10)
    server.inject(Fault.SERVER_EXCEPTION)
    async with make_client(server) as client:
        task = asyncio.create_task(client.terminate_jobs(job_ids, "enough"))
        await until(lambda: server.statistics.calls.total() == 1)
        await asyncio.sleep(0.1)
    for error in (await task).errors.values():
        assert "may or may not have been terminated" in str(error)


@pytest.mark.parametrize("moment", [None, 0, 0.01, 0.5, 5])
@pytest.mark.parametrize("shared", [False, True])
async def test_they_are_ended_though_their_caller_is_cancelled(moment: float | None, *, shared: bool) -> None:
    """Before it begins, at once or later, again and again: all is delivered; what fails is named."""
    server = make_server(bucket={"TerminateJobs": TokenBucket(2, 2)})
    job_ids = add_jobs(server, 1000)
    denied = {job_ids[3], job_ids[997]}
    server.inject(Fault.DENIED_JOBS, job_ids=denied)
    events: list[Event] = []
    transport = server.transport()
    arguments: dict[str, Any] = {"transport": transport, "observers": [events.append]}

    async def end_them(client: BatchClient) -> None:
        if moment is None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await client.terminate_jobs([*job_ids, "no id"], "enough")

    client = BatchClient.shared(**arguments, linger=0) if shared else BatchClient(**arguments)
    keeper = BatchClient.shared(**arguments, linger=0) if shared else client
    async with keeper:
        if shared:
            await client.open()
        task = asyncio.create_task(end_them(client))
        await asyncio.sleep(moment or 0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])
        assert task.cancelled()
        if shared:
            await client.aclose()
        await asyncio.sleep(30)
        assert ended(server, job_ids) == {*job_ids} - denied
    await until(lambda: transport.closed == 1)
    told = {event.job_id: event for event in of_kind(TerminationUnclaimed, events)}
    assert told.keys() == {*denied, "'no id'"}
    assert {event.operation for event in told.values()} == {"TerminateJob"}
    assert "AccessDenied" in told[job_ids[3]].error


def test_a_loop_that_ends_names_the_jobs(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run cancels the calls as everything else; each job that was not ended is named."""
    server = BatchServer(seed=1)
    job_ids = add_jobs(server, 70)
    transport = InProcessTransport(server, latency=60)

    async def main() -> None:
        client = BatchClient(transport=transport, close_timeout=0)
        await client.open()
        task = asyncio.create_task(client.terminate_jobs(job_ids, "enough"))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        await client.aclose()

    asyncio.run(main())
    assert all(job_id in caplog.text for job_id in job_ids)
