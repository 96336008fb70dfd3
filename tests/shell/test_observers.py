"""Observers that misbehave in the midst of the work of a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import FixedInterval
from awaitbatch.instrumentation import CallEnded, ClientClosed, ClientOpened, Event, JobChanged, WaitEnded
from awaitbatch.testing import Fault
from tests.support import make_client, make_server, of_kind, unnumbered

from .support import QUICK

if TYPE_CHECKING:
    from awaitbatch import BatchClient


class OwnError(BaseException):
    """Not even an Exception."""


class Raising:
    """Raises at every event."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __call__(self, event: Event, /) -> None:
        """Raise."""
        raise self.error(type(event).__name__)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, OwnError])
async def test_an_observer_that_raises_hurts_nobody(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Waits, submissions and closing go on as if nothing had been raised, and it is logged once in a client's life."""
    server = make_server()
    server.inject(Fault.TOO_MANY_REQUESTS, calls=2)
    server.inject(Fault.SERVER_EXCEPTION, calls=2)
    job_ids = [server.add_job(life_cycle=QUICK) for _ in range(150)]
    events: list[Event] = []
    observers = [Raising(error), events.append]
    async with make_client(server, backoff=FixedInterval(1), observers=observers) as client:
        jobs = await asyncio.gather(*(client.wait_for_job(job_id, 0) for job_id in job_ids))
        await client.submit_job(jobName="name", jobQueue="queue", jobDefinition="definition")
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
    assert isinstance(events[0], ClientOpened)
    assert unnumbered(events[-1:]) == [ClientClosed(region_name="us-east-1", error=None)]
    assert caplog.text.count("failed on a") == 1
    assert f"the observer Raising failed on a ClientOpened: {error.__name__}: ClientOpened" in caplog.text


async def test_one_line_for_each_kind_of_error(caplog: pytest.LogCaptureFixture) -> None:
    """An observer that raises two kinds of errors has two lines, and another client begins anew."""

    def raising(event: Event) -> None:
        raise ValueError if isinstance(event, CallEnded) else KeyError

    for number in (1, 2):
        server = make_server()
        async with make_client(server, observers=[raising], backoff=FixedInterval(1)) as client:
            await client.wait_for_job(server.add_job(life_cycle=QUICK), 0)
        assert caplog.text.count("failed on a ClientOpened: KeyError;") == number
        assert caplog.text.count("failed on a CallEnded: ValueError;") == number
        assert caplog.text.count("failed on a") == 2 * number


async def test_the_log_is_written_beside_an_observer_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """Every line of INFO comes although an observer raises."""
    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    with caplog.at_level("INFO", "awaitbatch"):
        async with make_client(
            server, backoff=FixedInterval(0.3), observers=[Raising(asyncio.CancelledError)]
        ) as client:
            await client.wait_for_job(job_id, 0)
    assert f"AWS Batch job ({job_id}) is SUCCEEDED, was RUNNING" in caplog.messages


async def test_an_observer_may_ask_the_client_and_cancel() -> None:
    """An observer may use what does not wait: the client's statistics, and tasks' `cancel`."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=QUICK) for _ in range(20)]
    waits: dict[str, asyncio.Task[Any]] = {}
    pending: list[int] = []
    clients: list[BatchClient] = []

    def cancel_others(event: Event) -> None:
        if isinstance(event, WaitEnded) and event.status == "SUCCEEDED" and event.outcome == "matched":
            pending.append(clients[0].statistics().pending)
            for wait in waits.values():
                wait.cancel()

    async with make_client(server, backoff=FixedInterval(1), observers=[cancel_others]) as client:
        clients.append(client)
        # Another job, which ends later.
        late = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=QUICK), 20))
        waits |= {job_id: asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids}
        outcomes = await asyncio.gather(*waits.values(), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {dict, asyncio.CancelledError}
        assert (await late)["status"] == "SUCCEEDED"
    assert pending


async def test_two_clients_have_events_of_their_own() -> None:
    """An observer hears of the clients that it was given to, and of no other."""
    server = make_server()
    first: list[Event] = []
    second: list[Event] = []
    async with (
        make_client(server, observers=[first.append]) as one,
        make_client(server, observers=(second.append,)) as other,
    ):
        await one.poll_for_job_complete(server.add_job("one", life_cycle=QUICK), 0)
        await other.poll_for_job_complete(server.add_job("other", life_cycle=QUICK), 0)
    assert {event.job_id for event in of_kind(JobChanged, first)} == {"one"}
    assert {event.job_id for event in of_kind(JobChanged, second)} == {"other"}


@pytest.mark.parametrize("observers", [None, print, [None], [make_client, "print"], {print}])
def test_what_cannot_observe_is_refused(observers: Any) -> None:
    """A client is not even made with what cannot observe."""
    with pytest.raises((TypeError, ValueError), match="observers must be a list of functions"):
        make_client(SERVERLESS, observers=observers)


SERVERLESS: Any = object()
