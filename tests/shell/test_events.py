"""What observers hear of a client and of its calls, and in which order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from awaitbatch import ClientClosedError, FixedInterval, SubmitUncertainError
from awaitbatch._core.windows import Windows
from awaitbatch.instrumentation import (
    CallEnded,
    ClientClosed,
    ClientOpened,
    Event,
    JobChanged,
    JobMissing,
    SubmissionUnclaimed,
    Throttled,
    WaitBegan,
    WaitEnded,
)
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, make_client, make_server, of_kind, unnumbered, until

from .support import QUICK, FaultyTransport, client_error, throttle

if TYPE_CHECKING:
    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

    from awaitbatch import BatchClient

JOB: SubmitJobRequestTypeDef = {"jobName": "name", "jobQueue": "queue", "jobDefinition": "definition"}


async def test_a_client_opens_first_and_closes_last() -> None:
    """ClientOpened comes before all else, and ClientClosed after the ends of all waits that closing ends."""
    server = make_server(region_name="eu-west-1")
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        assert unnumbered(events) == [
            ClientOpened(region_name="eu-west-1", endpoint_url="https://batch.example")
        ]
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
        await asyncio.sleep(3)
    await asyncio.gather(*waits, return_exceptions=True)
    opened, closed = unnumbered([events[0], events[-1]])
    assert opened == ClientOpened(region_name="eu-west-1", endpoint_url="https://batch.example")
    assert closed == ClientClosed(region_name="eu-west-1", error=None)
    assert [type(event) for event in events].count(ClientOpened) == 1
    assert [type(event) for event in events].count(ClientClosed) == 1
    assert [event.outcome for event in of_kind(WaitEnded, events)] == ["closed"] * 3


async def test_a_client_that_fails_to_open_only_closes() -> None:
    """When the transport cannot be opened, the one event is ClientClosed, with the error in one line."""

    class Unopenable(FaultyTransport):
        async def open(self) -> None:
            message = "no such\nprofile"
            raise LookupError(message)

    events: list[Event] = []
    with pytest.raises(LookupError):
        await make_client(Unopenable(make_server()), observers=[events.append]).open()
    assert unnumbered(events) == [ClientClosed(region_name="us-east-1", error="LookupError: no such")]


async def test_a_client_that_was_never_opened_has_no_events() -> None:
    """Closing a client that was never opened is no event."""
    events: list[Event] = []
    await make_client(make_server(), observers=[events.append]).aclose()
    assert events == []


async def test_a_client_that_stops_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a defect ends the client's own work, the waits end as closed, and ClientClosed has the error."""

    def break_down(*_: object) -> None:
        message = "a defect"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(Windows, "take", break_down)
    events: list[Event] = []
    async with make_client(make_server(), observers=[events.append]) as client:
        with pytest.raises(ClientClosedError):
            await client.describe("j")
    assert [event.outcome for event in of_kind(WaitEnded, events)] == ["closed"]
    assert unnumbered(events[-1:]) == [
        ClientClosed(region_name="us-east-1", error="ZeroDivisionError: a defect")
    ]


async def test_a_client_whose_task_is_cancelled_still_closes() -> None:
    """When somebody cancels the client's own task, as `asyncio.run` does at the end, its waits and it still close."""
    server = make_server()
    events: list[Event] = []
    client = make_client(server, observers=[events.append])
    await client.open()
    wait = asyncio.create_task(client.poll_for_job_complete(server.add_job(life_cycle=LONG), 0))
    await asyncio.sleep(3)
    for task in asyncio.all_tasks():
        if task.get_name() == "awaitbatch client":
            task.cancel()
    with pytest.raises(ClientClosedError):
        await wait
    await client.aclose()
    assert [type(event) for event in events[-2:]] == [WaitEnded, ClientClosed]


async def test_nothing_follows_the_close() -> None:
    """ClientClosed is the last event, even if a submission was under way; it comes to its end before."""
    events: list[Event] = []
    async with make_client(make_server(), observers=[events.append]) as client:
        submission = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(0)
    assert (await submission)["jobName"] == JOB["jobName"]
    opened, ended, closed = events
    assert isinstance(opened, ClientOpened)
    assert isinstance(ended, CallEnded)
    assert isinstance(closed, ClientClosed)


async def test_one_event_for_each_describe_call() -> None:
    """Each DescribeJobs call has its event: its ids, its seconds, and the waits that it has ended and left."""
    server = make_server()
    short = [server.add_job(life_cycle=ENDED) for _ in range(30)]
    long = [server.add_job(life_cycle=LONG) for _ in range(120)]
    events: list[Event] = []
    async with make_client(
        server.transport(latency=0.25), backoff=FixedInterval(100), observers=[events.append]
    ) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in short + long]
        await asyncio.sleep(5)
        calls = of_kind(CallEnded, events)
        numbers = client.statistics()
    await asyncio.gather(*waits, return_exceptions=True)
    assert {call.operation for call in calls} == {"DescribeJobs"}
    assert len(calls) == numbers.calls == 2
    assert sum(call.ids for call in calls) == 150
    assert [call.seconds for call in calls] == [pytest.approx(0.25)] * 2
    assert [call.outcome for call in calls] == ["answered"] * 2
    assert sum(call.ended for call in calls) == 30
    assert [call.pending for call in calls] == [150 - calls[0].ended, 120]
    assert calls[-1].rate == pytest.approx(numbers.rate)


@pytest.mark.parametrize(
    ("fault", "outcome", "error_code", "http_status"),
    [
        (None, "answered", None, 200),
        (Fault.NO_STATUS, "answered", None, 200),
        (Fault.MISSING_JOBS, "answered", None, 200),
        (Fault.TOO_MANY_REQUESTS, "throttled", "TooManyRequestsException", 429),
        (Fault.BARE_429, "throttled", "429", 429),
        (Fault.THROTTLING_EXCEPTION, "throttled", "ThrottlingException", 400),
        (Fault.SERVER_EXCEPTION, "transient", "ServerException", 500),
        (Fault.BARE_503, "transient", "503", 503),
        (Fault.CLOCK_SKEW, "transient", "InvalidSignatureException", 403),
        (Fault.CONNECTION_REFUSED, "transient", "EndpointConnectionError", None),
        (Fault.RESET_BEFORE_BODY, "transient", "EndpointConnectionError", None),
        (Fault.RESET_IN_BODY, "transient", "ConnectionClosedError", None),
        (Fault.HANG, "transient", "TimeoutError", None),
        (Fault.TRICKLE, "transient", "TimeoutError", None),
        (Fault.TRUNCATED_JSON, "transient", "UnreadableResponseError", 200),
        (Fault.HTML, "transient", "UnreadableResponseError", 200),
        (Fault.EMPTY_BODY, "transient", "UnreadableResponseError", 200),
        (Fault.NULL_JOBS, "transient", "UnreadableResponseError", 200),
        (Fault.CLIENT_EXCEPTION, "refused", "ClientException", 400),
        (Fault.ACCESS_DENIED, "permanent", "AccessDeniedException", 403),
        (Fault.EXPIRED_TOKEN, "permanent", "ExpiredTokenException", 403),
    ],
)
async def test_how_a_describe_call_ended(
    fault: Fault | None, outcome: str, error_code: str | None, http_status: int | None
) -> None:
    """An event says what its call came to in AWS's own terms, with a text and advice if it failed."""
    server = make_server()
    if fault is not None:
        server.inject(fault)
    events: list[Event] = []
    settings: dict[str, Any] = {"status_retries": 1, "max_retries": 0, "observers": [events.append]}
    async with make_client(server.transport(), **settings) as client:
        job_id = server.add_job(life_cycle=LONG)
        wait = asyncio.create_task(client.poll_job_status(job_id, ["RUNNING"]))
        await until(lambda: any(isinstance(event, CallEnded) for event in events))
        wait.cancel()
        await asyncio.wait({wait})
    call = of_kind(CallEnded, events)[0]
    assert (call.outcome, call.error_code, call.http_status) == (outcome, error_code, http_status)
    assert (call.operation, call.ids) == ("DescribeJobs", 1)
    assert bool(call.error_message) == bool(call.advice) == (outcome != "answered")
    assert call.seconds > 0 or fault is Fault.CONNECTION_REFUSED
    assert call.rate is not None


async def test_expired_credentials_that_are_renewed_are_transient() -> None:
    """The same answer means something else where credentials renew themselves, and the event says so."""
    server = make_server()
    server.inject(Fault.EXPIRED_TOKEN, calls=1)
    events: list[Event] = []
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        await client.wait_for_job(server.add_job(life_cycle=QUICK), 0)
    assert of_kind(CallEnded, events)[0].outcome == "transient"


async def test_the_parts_of_a_refused_call_are_calls() -> None:
    """A call that is split until the bad id is alone has an event for each part, and the last ends its wait alone."""
    server = make_server()
    bad, *good = [server.add_job(life_cycle=LONG) for _ in range(4)]
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=[bad])
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        await asyncio.gather(*map(client.describe, [bad, *good]), return_exceptions=True)
    calls = [(call.outcome, call.ids, call.ended) for call in of_kind(CallEnded, events)]
    assert sorted(calls) == [
        ("answered", 1, 1),
        ("answered", 2, 2),
        ("refused", 1, 1),
        ("refused", 2, 0),
        ("refused", 4, 0),
    ]


async def test_every_try_of_a_submission_has_an_event() -> None:
    """Of a submission that is throttled twice, each try is a call, without ids, and the rate falls."""
    server = make_server()
    server.inject(Fault.TOO_MANY_REQUESTS, calls=2, operations=["SubmitJob"])
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        await client.submit_job(**JOB)
    calls = of_kind(CallEnded, events)
    assert [call.outcome for call in calls] == ["throttled", "throttled", "answered"]
    assert {(call.operation, call.ids) for call in calls} == {("SubmitJob", 0)}
    assert [call.rate for call in calls] == [4, 3.2, pytest.approx(3.2, abs=0.3)]
    assert [call.http_status for call in calls] == [429, 429, 200]
    assert [call.seconds for call in calls] == [pytest.approx(0.02)] * 3


@pytest.mark.parametrize(
    ("fault", "outcome", "error_code", "http_status"),
    [
        (Fault.SERVER_EXCEPTION, "transient", "ServerException", 500),
        (Fault.RESET_IN_BODY, "transient", "ConnectionClosedError", None),
        (Fault.CLIENT_EXCEPTION, "refused", "ClientException", 400),
        (Fault.ACCESS_DENIED, "permanent", "AccessDeniedException", 403),
        (Fault.EXPIRED_TOKEN, "permanent", "ExpiredTokenException", 403),
    ],
)
async def test_how_a_submission_ended(
    fault: Fault, outcome: str, error_code: str, http_status: int | None
) -> None:
    """The one call of a submission that fails for good has an event with AWS's terms, and the caller the error."""
    server = make_server()
    server.inject(fault)
    events: list[Event] = []
    async with make_client(server.transport(), observers=[events.append]) as client:
        with pytest.raises((ClientError, SubmitUncertainError)):
            await client.submit_job(**JOB)
    (call,) = of_kind(CallEnded, events)
    assert (call.operation, call.ids) == ("SubmitJob", 0)
    assert (call.outcome, call.error_code, call.http_status) == (outcome, error_code, http_status)
    assert call.error_message
    assert call.advice


@pytest.mark.parametrize(
    ("method", "operation"), [("cancel_job", "CancelJob"), ("terminate_job", "TerminateJob")]
)
async def test_cancelling_and_terminating_are_calls(method: str, operation: str) -> None:
    """A cancellation or termination has one event with one id, whether it succeeds or fails."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        await getattr(client, method)(job_id, "enough")
        server.inject(Fault.ACCESS_DENIED)
        with pytest.raises(ClientError):
            await getattr(client, method)(job_id, "enough")
    answered, refused = of_kind(CallEnded, events)
    assert (answered.operation, answered.ids, answered.outcome) == (operation, 1, "answered")
    assert (refused.operation, refused.ids, refused.outcome) == (operation, 1, "permanent")


async def test_a_submission_that_nobody_claims() -> None:
    """A submission whose caller is cancelled meanwhile goes on, and an event names the job."""
    events: list[Event] = []
    async with make_client(make_server(), observers=[events.append]) as client:
        submission = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(0.005)
        submission.cancel()
        await asyncio.wait({submission})
    (call,) = of_kind(CallEnded, events)
    assert (call.outcome, call.error_code) == ("answered", None)
    (unclaimed,) = of_kind(SubmissionUnclaimed, events)
    assert (unclaimed.job_name, unclaimed.error) == (JOB["jobName"], None)
    assert unclaimed.job_id


class _OwnError(BaseException):
    """Not even an Exception."""


async def test_no_error_whatever_is_an_answer() -> None:
    """A submission that ends in an error that is not even an Exception was not answered."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [_OwnError()]
    events: list[Event] = []
    async with make_client(transport, observers=[events.append]) as client:
        with pytest.raises(_OwnError):
            await client.submit_job(**JOB)
    (call,) = of_kind(CallEnded, events)
    assert call.outcome != "answered"


async def test_a_throttled_call_is_followed_by_the_cut() -> None:
    """Throttled comes right after its CallEnded, with the rate before and the lower one that holds from now on."""
    server = make_server()
    server.inject(Fault.TOO_MANY_REQUESTS, calls=1)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        await client.describe(server.add_job(life_cycle=LONG))
    opened, _, call, throttled = events[:4]
    assert isinstance(opened, ClientOpened)
    assert isinstance(call, CallEnded)
    assert isinstance(throttled, Throttled)
    assert (call.outcome, throttled.operation) == ("throttled", "DescribeJobs")
    assert throttled.rate < throttled.previous_rate
    assert call.rate == throttled.rate
    assert (call.pending, call.describes, call.pending_by_status) == (1, 1, {"NOT_SEEN": 1})


async def test_a_call_sent_before_the_cut_cuts_no_more() -> None:
    """Of calls under way together that are all rejected, the first cuts the rate, and the others leave it as it is."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(250)]
    server.inject(Fault.TOO_MANY_REQUESTS, calls=3)
    events: list[Event] = []
    async with make_client(server.transport(latency=1), observers=[events.append]) as client:
        await client.describe_jobs(job_ids)
    first, *others = of_kind(Throttled, events)
    assert first.rate < first.previous_rate
    assert [(event.previous_rate, event.rate) for event in others] == [(first.rate,) * 2] * 2


async def test_only_throttled_calls_are_throttled() -> None:
    """No other failure is followed by Throttled."""
    transport = FaultyTransport(
        make_server(), lambda number, _: client_error(500, "E") if number < 3 else None
    )
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(1), observers=[events.append]) as client:
        await client.wait_for_job(transport._service.add_job(life_cycle=QUICK), 0)
    assert [call.outcome for call in of_kind(CallEnded, events)][:2] == ["transient"] * 2
    assert of_kind(Throttled, events) == []


async def test_a_call_precedes_its_jobs_and_these_the_waits() -> None:
    """Of one answer, the call comes first, then the jobs that changed or are missing, then the waits that ended."""
    server = make_server()
    events: list[Event] = []
    async with make_client(server, status_retries=1, observers=[events.append]) as client:
        job_ids = [server.add_job(life_cycle=ENDED) for _ in range(3)]
        polls = (client.poll_job_status(job_id, "SUCCEEDED") for job_id in [*job_ids, "absent"])
        await asyncio.gather(*polls, return_exceptions=True)
    assert [type(event) for event in events] == [
        ClientOpened,
        *[WaitBegan] * 4,
        CallEnded,
        *[JobChanged] * 3,
        JobMissing,
        *[WaitEnded] * 4,
        ClientClosed,
    ]


async def test_waits_end_after_the_call_that_failed() -> None:
    """Of a call that failed, the call comes before the waits that it ended."""
    server = make_server()
    server.inject(Fault.ACCESS_DENIED)
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        await asyncio.gather(*map(client.describe, ["a", "a"]), return_exceptions=True)
    assert [type(event) for event in events[1:-1]] == [
        *[WaitBegan] * 2,
        CallEnded,
        *[WaitEnded] * 2,
    ]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the events about single jobs that are made from now on."""
    names: list[str] = []
    for kind in (JobChanged, JobMissing, WaitBegan, WaitEnded):
        count = {"__post_init__": lambda event: names.append(type(event).__name__)}
        counted = msgspec.defstruct(
            kind.__name__, [], bases=(kind,), namespace=count, frozen=True, kw_only=True
        )
        for module in (
            "awaitbatch._describe_events",
            "awaitbatch._changes",
            "awaitbatch.instrumentation._log",
        ):
            monkeypatch.setattr(f"{module}.{kind.__name__}", counted, raising=False)
    return names


async def _live_through(client: BatchClient, job_id: str) -> None:
    async with client:
        await client.wait_for_job(job_id, 0)
        await client.describe_jobs(["absent"])


async def test_nothing_is_made_that_nobody_hears(made: list[str]) -> None:
    """Without observers, and with a log that is not interested, no event about a single job is even made."""
    server = make_server()
    await _live_through(make_client(server), server.add_job(life_cycle=QUICK))
    assert made == []


async def test_everything_is_made_for_an_observer(made: list[str]) -> None:
    """With an observer, each of them is made once, and heard."""
    server = make_server()
    events: list[Event] = []
    await _live_through(
        make_client(server, observers=[events.append], backoff=FixedInterval(0.5)),
        server.add_job(life_cycle=QUICK),
    )
    heard = [type(event).__name__ for event in events]
    assert made == [name for name in heard if name in {"JobChanged", "JobMissing", "WaitBegan", "WaitEnded"}]
    assert "JobChanged" in made
    assert (made.count("JobMissing"), made.count("WaitBegan"), made.count("WaitEnded")) == (1, 3, 3)


async def test_the_log_alone_has_only_changes_made(made: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """If the log writes INFO, and nobody else observes, changes are made, and nothing else about single jobs."""
    server = make_server()
    with caplog.at_level("INFO", "awaitbatch"):
        await _live_through(make_client(server), server.add_job(life_cycle=QUICK))
    assert set(made) == {"JobChanged"}


async def test_each_operation_has_a_rate_of_its_own() -> None:
    """A rejected submission cuts the rate of submissions, and of nothing else."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [throttle()]
    events: list[Event] = []
    async with make_client(transport, observers=[events.append]) as client:
        await client.submit_job(**JOB)
        assert client.statistics().rate == 5
    assert [call.outcome for call in of_kind(CallEnded, events)] == ["throttled", "answered"]
    assert of_kind(Throttled, events) == [Throttled(operation="SubmitJob", previous_rate=5, rate=4)]
