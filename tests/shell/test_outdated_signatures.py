"""AWS refuses what was signed too long ago, or by a wrong clock: it was not taken, so it is signed and sent again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from awaitbatch import ClientClosedError
from awaitbatch.instrumentation import CallEnded, Event, SignatureOutdated
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, make_client, make_server, of_kind, until

if TYPE_CHECKING:
    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

    from awaitbatch import BatchClient

JOB: SubmitJobRequestTypeDef = {"jobName": "hello", "jobQueue": "queue", "jobDefinition": "definition"}


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """What the log says at a level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


async def act(client: BatchClient, method: str, job_id: str) -> None:
    """Submit, terminate or cancel a job, or describe one."""
    match method:
        case "submit_job":
            await client.submit_job(**JOB)
        case "describe":
            await client.describe(job_id)
        case "poll":
            # It uses up no check.
            await client.poll_for_job_complete(job_id, delay=0, max_retries=1)
        case _:
            await getattr(client, method)(job_id, "no longer needed")


@pytest.mark.parametrize("method", ["submit_job", "terminate_job", "cancel_job", "describe", "poll"])
async def test_it_is_never_final(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that is wrong for long fails nothing; one call a half minute finds out when it is right again."""
    server = make_server(default_life_cycle=LONG)
    job_id = server.add_job(life_cycle=ENDED if method == "poll" else LONG)
    events: list[Event] = []
    # A describe asks every few seconds.
    lasts = 300 if method in {"describe", "poll"} else 3600
    fault = server.inject(Fault.CLOCK_SKEW, end=lasts)
    loop = asyncio.get_running_loop()
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server, observers=[events.append]) as client:
            begin = loop.time()
            await act(client, method, job_id)
            # The first that comes after the clock is right.
            assert lasts <= loop.time() - begin <= lasts + 31
    if method in {"describe", "poll"}:
        return
    assert 120 <= fault.hits <= 127
    assert [event.in_a_row for event in of_kind(SignatureOutdated, events)] == list(range(1, fault.hits + 1))
    assert max(event.next_in for event in of_kind(SignatureOutdated, events)) == pytest.approx(30)
    warnings = lines(caplog, logging.WARNING)
    assert "correct the clock of this machine" in warnings[0]
    assert "Signature expired" in warnings[0]
    assert len(warnings) <= 61


async def test_one_that_has_waited_for_long_is_sent_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that were under way together may all be too old: they count as one, and nobody is warned of a clock."""
    server = make_server(default_life_cycle=LONG)
    server.inject(Fault.CLOCK_SKEW, calls=5)
    events: list[Event] = []
    loop = asyncio.get_running_loop()
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server.transport(latency=5), observers=[events.append]) as client:
            begin = loop.time()
            await asyncio.gather(*(client.submit_job(**JOB) for _ in range(5)))
            assert loop.time() - begin < 12
    assert [event.in_a_row for event in of_kind(SignatureOutdated, events)] == [1] * 5
    assert not [line for line in lines(caplog, logging.WARNING) if "clock" in line]
    assert server.statistics.calls["SubmitJob"] == 10


async def test_while_the_clock_is_wrong_calls_do_not_hurry() -> None:
    """A thousand submissions send no more calls than one does, and all are taken once the clock is right."""
    server = make_server(default_life_cycle=LONG)
    fault = server.inject(Fault.CLOCK_SKEW, operations=["SubmitJob"], end=600)
    async with make_client(server) as client:
        jobs = await asyncio.gather(*(client.submit_job(**JOB) for _ in range(1000)))
    assert len({job["jobId"] for job in jobs}) == 1000
    assert fault.hits <= 40


async def test_while_the_clock_is_wrong_one_goes_at_a_time() -> None:
    """Also if many calls a second may go, and all connections could have one before the first is answered."""
    server = make_server(default_life_cycle=LONG)
    async with make_client(server.transport(latency=1, max_connections=50)) as client:
        # The rate grows.
        await asyncio.gather(*(client.submit_job(**JOB) for _ in range(300)))
        now = asyncio.get_running_loop().time()
        fault = server.inject(Fault.CLOCK_SKEW, operations=["SubmitJob"], end=now + 600)
        jobs = await asyncio.gather(*(client.submit_job(**JOB) for _ in range(300)))
    assert len({job["jobId"] for job in jobs}) == 300
    # Those that were under way together when it began, the same once more, then one at a time.
    assert fault.hits <= 25 + 25 + 30


async def test_a_refusal_accepts_the_signature() -> None:
    """Two that are outdated an hour apart do not count as in a row if there was one between them."""
    server = make_server()
    events: list[Event] = []
    async with make_client(server, observers=[events.append]) as client:
        for _ in range(2):
            server.inject(Fault.CLOCK_SKEW, operations=["TerminateJob"], calls=1)
            server.inject(Fault.CLIENT_EXCEPTION, operations=["TerminateJob"], calls=1)
            with pytest.raises(ClientError):
                await client.terminate_job(server.add_job(life_cycle=LONG), "no longer needed")
            await asyncio.sleep(3600)
    assert [event.in_a_row for event in of_kind(SignatureOutdated, events)] == [1, 1]


async def test_closing_the_client_ends_it() -> None:
    """What AWS has refused so far was certainly not submitted."""
    server = make_server()
    events: list[Event] = []
    fault = server.inject(Fault.CLOCK_SKEW)
    async with make_client(server, observers=[events.append]) as client:
        waiting = asyncio.create_task(client.submit_job(**JOB))
        await until(lambda: fault.hits >= 3)
    with pytest.raises(ClientClosedError, match="was not submitted"):
        await waiting
    assert {event.outcome for event in of_kind(CallEnded, events)} == {"transient"}
