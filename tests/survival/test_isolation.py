"""Among many waits some come to grief, each in its own way; the others do not notice."""

from __future__ import annotations

import asyncio
import math
from random import Random
from typing import TYPE_CHECKING

import pytest

from awaitbatch import DescribeError, FixedInterval, JobNotFoundError
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from awaitbatch.testing import Fault
from tests.support import LONG, make_client, make_server

from .support import End, lives_at_random, note, wait_for_all

if TYPE_CHECKING:
    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

INTERVAL = 5.0
# What a call takes, and what it waits for the one before it at 20 calls a second.
CALL = 0.02 + 1 / 20
JOBS = [f"job-{number}" for number in range(995)]


class Misfit:
    """A schedule that raises at the third check."""

    def window(self, tries: int) -> tuple[float, float]:
        """Raise after a while."""
        if tries == 3:
            message = "a callback of the user's"
            raise ZeroDivisionError(message)
        return INTERVAL / 2, INTERVAL


def server_with_jobs() -> BatchServer:
    """A server with 995 jobs, the same each time."""
    server = make_server(description_bytes=0)
    random = Random(7)
    for job_id in JOBS:
        server.add_job(job_id, life_cycle=lives_at_random(random, 10, 90))
    return server


def client_of(server: BatchServer, max_calls_per_second: float = 20) -> BatchClient:
    """A client that checks every five seconds."""
    return make_client(
        server,
        backoff=FixedInterval(INTERVAL),
        max_calls_per_second=max_calls_per_second,
        status_retries=3,
    )


async def run_with_misfits() -> tuple[dict[str, End], dict[str, End]]:
    """Await all jobs beside five waits that come to grief; how these ended, and how the others did."""
    server = server_with_jobs()
    loop = asyncio.get_running_loop()
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=["refused"])
    server.add_job("vanishing", life_cycle=LONG)
    server.add_job("cancelled", life_cycle=LONG)
    server.add_job("misfit", life_cycle=LONG)
    async with client_of(server) as client:

        async def wait_for(job_id: str, **limits: object) -> End:
            return await note(loop.time, client.wait_for_job(job_id, 0, **limits))  # type: ignore[arg-type]

        others = asyncio.create_task(wait_for_all(client, JOBS, delay=0))
        # So that those at fault sit behind others in their call.
        await asyncio.sleep(0)
        odd = {job_id: asyncio.create_task(wait_for(job_id)) for job_id in ("refused", "never", "vanishing")}
        odd["misfit"] = asyncio.create_task(wait_for("misfit", backoff=Misfit()))
        cancelled = asyncio.create_task(client.wait_for_job("cancelled", 0))
        loop.call_later(30, cancelled.cancel)
        loop.call_later(30, server.forget_job, "vanishing")
        ends = await others
        misfits = {job_id: await task for job_id, task in odd.items()}
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        numbers = client.statistics()
        assert numbers.pending == 0
        assert numbers.failed <= math.log2(MAX_IDS_PER_CALL) + 2
    return misfits, ends


async def test_five_of_a_thousand_come_to_grief() -> None:
    """Exactly they end in their own error; the others end well, at most a window later than without them."""
    misfits, others = await run_with_misfits()
    refused, never, vanished, broken = (
        misfits[job_id].outcome for job_id in ("refused", "never", "vanishing", "misfit")
    )
    assert isinstance(refused, DescribeError)
    assert (refused.job_id, refused.code) == ("refused", "ClientException")
    assert isinstance(never, JobNotFoundError)
    assert (never.job_id, never.seen) == ("never", False)
    assert isinstance(vanished, JobNotFoundError)
    assert (vanished.job_id, vanished.seen) == ("vanishing", True)
    assert isinstance(broken, ZeroDivisionError)

    server = server_with_jobs()
    begin = asyncio.get_running_loop().time()
    async with client_of(server) as client:
        undisturbed = await wait_for_all(client, JOBS, delay=0)
    for job_id in JOBS:
        assert others[job_id].outcome == undisturbed[job_id].outcome == server.status_of(job_id)
        assert others[job_id].at <= undisturbed[job_id].at - begin + INTERVAL + CALL, job_id


async def test_misfits_without_end() -> None:
    """A stream of waits for ids that AWS refuses holds up nobody for longer than a window."""
    server = server_with_jobs()
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=[f"refused-{number}" for number in range(60)])
    # The jobs need two calls a second, and to find a bad id takes up to fifteen.
    async with client_of(server, max_calls_per_second=8) as client:

        async def come_one_by_one() -> None:
            for number in range(60):
                describing = client.describe(f"refused-{number}")
                _, outcomes = await asyncio.gather(asyncio.sleep(1), describing, return_exceptions=True)
                assert isinstance(outcomes, DescribeError)

        coming = asyncio.create_task(come_one_by_one())
        ends = await wait_for_all(client, JOBS, delay=0)
        await coming
    late = [end.at - (server.ended_at(job_id) or 0) for job_id, end in ends.items()]
    assert max(late) <= 2 * INTERVAL
    assert {end.outcome for end in ends.values()} == {"SUCCEEDED", "FAILED"}
