"""A client that has never had an answer says so, soon and not too often."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from awaitbatch import FixedInterval
from awaitbatch.instrumentation import Event, NoAnswer
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, make_client, make_server, of_kind, supervisor_of

from .support import FaultyTransport, client_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

JOB: SubmitJobRequestTypeDef = {"jobName": "name", "jobQueue": "queue", "jobDefinition": "definition"}


class DeafTransport(FaultyTransport):
    """Sends calls to where nobody answers, until it is told that somebody does."""

    fetching: str | None = None
    hangs = True

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Hang, or describe."""
        if self.hangs:
            await asyncio.sleep(1e6)
        return await super().describe_jobs(job_ids)

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Hang, or do it."""
        if self.hangs:
            await asyncio.sleep(1e6)
        return await super().call(operation, **parameters)


def warnings(caplog: pytest.LogCaptureFixture) -> list[tuple[float, str]]:
    """When which warning was written, by the loop's clock."""
    return [
        (vars(record)["moment"], record.getMessage())
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]


@pytest.fixture(autouse=True)
def _moments(caplog: pytest.LogCaptureFixture) -> Any:
    """Let records tell when they were written."""

    def stamp(record: logging.LogRecord) -> bool:
        record.moment = asyncio.get_running_loop().time()
        return True

    caplog.handler.addFilter(stamp)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        yield
    caplog.handler.removeFilter(stamp)


async def polling(client: Any, seconds: float, job_id: str = "j") -> None:
    """Poll a job for so long."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.poll_job_status(job_id, ["SUCCEEDED"]), seconds)


@pytest.mark.parametrize("call_timeout", [15, 1e5], ids=["default", "no bound"])
async def test_a_call_that_hangs_is_no_secret(caplog: pytest.LogCaptureFixture, call_timeout: float) -> None:
    """Within ten seconds of the first call a warning names the endpoint and the cause; others are a minute apart."""
    transport = DeafTransport(make_server())
    async with make_client(transport, backoff=FixedInterval(5), call_timeout=call_timeout) as client:
        await asyncio.sleep(1000)
        assert warnings(caplog) == []
        await polling(client, 600)
    moments = [moment for moment, _ in warnings(caplog)]
    assert 1005 <= moments[0] <= 1010
    assert all(60 <= later - earlier <= 80 for earlier, later in itertools.pairwise(moments))
    assert 8 <= len(moments) <= 11
    assert warnings(caplog)[0][1] == (
        "no answer from https://batch.example in the 8 s since the first call: a call is still under way; "
        "check the network, the region and endpoint_url"
    )
    assert all("https://batch.example" in text for _, text in warnings(caplog))


async def test_a_submission_that_hangs_is_no_secret_either(caplog: pytest.LogCaptureFixture) -> None:
    """The first call may be any."""
    async with make_client(DeafTransport(make_server())) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.submit_job(**JOB), 10)
    # The other one says that nobody knows whether the job was submitted.
    (moment, text), _ = warnings(caplog)
    assert moment <= 10
    assert text.startswith("no answer from https://batch.example")


async def test_credentials_that_cannot_be_fetched_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """If STS hangs the warning says for which role, and so does the error of the call that was given up."""
    transport = DeafTransport(make_server())
    transport.fetching = "role arn:aws:iam::123456789012:role/batch"
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(5), observers=[events.append]) as client:
        await polling(client, 90)
    first, later = (text for _, text in warnings(caplog))
    assert "credentials are still being fetched: role arn:aws:iam::123456789012:role/batch; check" in first
    assert "no answer within 15 s; while fetching credentials: role arn:aws:iam::123456789012:role/b" in later
    assert later.endswith("; no answer from https://batch.example so far")
    event = of_kind(NoAnswer, events)[0]
    assert event.seconds == pytest.approx(8)
    assert event.endpoint_url == "https://batch.example"
    assert event.fetching == transport.fetching


async def test_failures_name_the_endpoint_until_there_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A call that fails at once is news at once; which endpoint it was is said as long as it may be the wrong one."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.HTML, end=100)
    server.inject(Fault.HTML, begin=200)
    async with make_client(server, backoff=FixedInterval(5)) as client:
        await polling(client, 300, job_id)
    named, unnamed = (
        [moment for moment, text in warnings(caplog) if ("https://batch.example" in text) is is_named]
        for is_named in (True, False)
    )
    assert named[0] < 1
    assert len(named) == 2
    assert all(moment >= 200 for moment in unnamed)
    assert len(unnamed) == 2


async def test_an_error_that_names_it_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """The endpoint is not named twice."""
    server = make_server()
    server.inject(Fault.CONNECTION_REFUSED)
    async with make_client(server, backoff=FixedInterval(5)) as client:
        await polling(client, 50)
    ((_, text),) = warnings(caplog)
    assert text.count("https://batch.example") == 1


async def test_it_is_over_with_the_first_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A late answer has a line at INFO, and later calls that hang are failures like any other."""
    server = make_server()
    transport = DeafTransport(server)
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(5), observers=[events.append]) as client:
        waiting = asyncio.create_task(polling(client, 100, job_id))
        await asyncio.sleep(10)
        transport.hangs = False
        await waiting
        transport.hangs = True
        await polling(client, 100, job_id)
    assert len(of_kind(NoAnswer, events)) == 1
    assert [record.getMessage() for record in caplog.records if "works again" in record.getMessage()] == [
        "DescribeJobs works again, after 1 failed calls"
    ]
    assert all("batch.example" not in text for moment, text in warnings(caplog) if moment > 100)


async def test_an_answer_that_comes_late_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """If no call failed meanwhile none is counted."""
    server = make_server()
    async with make_client(server.transport(latency=14)) as client:
        await client.describe(server.add_job(life_cycle=ENDED))
    assert [record.getMessage() for record in caplog.records][1:] == ["AWS Batch has answered"]


@pytest.mark.parametrize(
    "error",
    [
        client_error(429, "TooManyRequestsException"),
        client_error(400, "ClientException"),
    ],
    ids=["throttled", "refused"],
)
async def test_a_rejection_is_an_answer(error: Exception) -> None:
    """Who throttles or refuses calls is AWS Batch, so the endpoint is right."""
    transport = DeafTransport(make_server(), lambda number, _: error if number == 1 else None)
    events: list[Event] = []
    transport.hangs = False
    async with make_client(transport, observers=[events.append], backoff=FixedInterval(1)) as client:
        for _ in range(2):
            with pytest.raises(Exception, match=r".*"):
                await asyncio.wait_for(client.describe("j"), 0.05)
            transport.hangs = True
        await asyncio.sleep(100)
    assert of_kind(NoAnswer, events) == []


async def test_an_idle_client_has_no_timer() -> None:
    """Neither before the first call, nor a minute after the last one, nor after an answer; and none is left behind."""
    loop: Any = asyncio.get_running_loop()
    server = make_server()
    transport = DeafTransport(server)
    events: list[Event] = []
    async with make_client(transport, observers=[events.append], call_timeout=5) as client:
        first_answer = supervisor_of(client)._first_answer
        assert first_answer._timer is None
        for _ in range(2):
            await polling(client, 2)
            await asyncio.sleep(98)
            assert first_answer._timer is None
        assert of_kind(NoAnswer, events) == []
        transport.hangs = False
        for _ in range(2):
            await client.describe(server.add_job(life_cycle=ENDED))
            assert first_answer._timer is None
    transport = DeafTransport(server)
    async with make_client(transport) as client:
        await polling(client, 2)
    assert not [timer for timer in loop._scheduled if not timer.cancelled() and "_tell" in repr(timer)]


async def test_seconds_count_from_the_first_call() -> None:
    """Whatever has happened since, and however long there was no call."""
    events: list[Event] = []
    async with make_client(DeafTransport(make_server()), observers=[events.append]) as client:
        await polling(client, 2)
        await asyncio.sleep(98)
        await polling(client, 10)
    assert [event.seconds for event in of_kind(NoAnswer, events)] == [8, pytest.approx(108, abs=0.1)]


async def test_it_is_said_in_no_callers_context() -> None:
    """What the first caller has in his context, such as the log of his task, is not for what concerns all."""
    task: contextvars.ContextVar[str | None] = contextvars.ContextVar("task", default=None)
    heard: list[str | None] = []

    def watch(event: Event) -> None:
        if isinstance(event, NoAnswer):
            heard.append(task.get())

    async with make_client(DeafTransport(make_server()), observers=[watch]) as client:
        task.set("mine")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.submit_job(**JOB), 10)
    assert heard == [None]


async def test_a_transport_may_have_no_address(caplog: pytest.LogCaptureFixture) -> None:
    """One of the user's own, which tells nothing of itself or raises when asked, is no harm."""

    class Mute(DeafTransport):
        def __getattribute__(self, name: str) -> Any:
            if name == "fetching":
                raise ArithmeticError
            return super().__getattribute__(name)

    transport = Mute(make_server())
    del transport.endpoint_url
    async with make_client(transport) as client:
        await polling(client, 20)
    assert warnings(caplog)[0][1].startswith(
        "no answer from AWS Batch in the 8 s since the first call: a call"
    )


async def test_submissions_that_reach_nobody_are_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """While connections are refused, and nothing was ever answered, a WARNING a minute names the endpoint."""
    server = make_server()
    server.inject(Fault.CONNECTION_REFUSED, end=200)
    async with make_client(server) as client:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(EndpointConnectionError):
            await client.submit_job(jobName="n", jobQueue="q", jobDefinition="d")
        lasted = asyncio.get_running_loop().time() - begin
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 <= len(warnings) <= 1 + lasted / 60
    assert "SubmitJob failed, and is tried again" in warnings[0].getMessage()
    assert "https://batch.example" in warnings[0].getMessage()
