"""That the log accounts for all jobs by the time when a client has closed, in few lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import Fault
from tests.support import ENDED, PromptClient, make_client, make_server

from .support import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awaitbatch.testing import BatchServer


class OwnError(BaseException):
    """Not even an Exception."""


Written = Callable[[], tuple[int, int]]


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Iterator[Written]:
    """How many lines about jobs were written, and for how many that have ended they account."""

    def counts() -> list[int]:
        lines = [vars(record) for record in caplog.records]
        return [
            line["changes"]["SUCCEEDED"] if "changes" in line else 1
            for line in lines
            if "changes" in line or "job_id" in line
        ]

    with caplog.at_level(logging.INFO, "awaitbatch"):
        yield lambda: (len(counts()), sum(counts()))


async def all_ended_at_once(server: BatchServer) -> BatchClient:
    """An open client all of whose 1,000 waits have ended in this turn of the loop."""
    loop = asyncio.get_running_loop()
    # All calls are answered at the same moment.
    transport = server.transport(latency=lambda: 60 - loop.time(), max_connections=52)
    client = PromptClient(transport=transport, max_calls_per_second=1000, call_timeout=1000)
    await client.open()
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(1000)]
    await asyncio.gather(*map(client.poll_for_job_complete, job_ids))
    assert loop.time() == 60
    return client


@pytest.mark.usefixtures("_no_slow_start")
async def test_closing_writes_a_summary(written: Written) -> None:
    """Of 1,000 jobs that ended at the last moment, the log has 20, and a line for the others when `aclose` returns."""
    client = await all_ended_at_once(make_server())
    assert written() == (20, 20)
    await client.aclose()
    assert written() == (21, 1000)


@pytest.mark.usefixtures("_no_slow_start")
@pytest.mark.parametrize("turns", [0, 20])
async def test_closing_that_is_cancelled_writes_it_too(written: Written, turns: int) -> None:
    """If the task that closes is cancelled meanwhile, the summary comes once as well."""
    client = await all_ended_at_once(make_server())
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    with suppress(asyncio.CancelledError):
        await closing
    assert written() == (21, 1000)


@pytest.mark.usefixtures("_no_slow_start")
async def test_a_client_whose_own_task_is_cancelled_writes_it_too(written: Written) -> None:
    """If the client's own task is cancelled, as `asyncio.run` does at the end, the log is as complete."""
    client = await all_ended_at_once(make_server())
    for task in asyncio.all_tasks():
        if task.get_name() == "awaitbatch client":
            task.cancel()
    await client.aclose()
    assert written() == (21, 1000)


async def test_records_carry_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    """Through a client, too, the records of jobs and of failed calls carry their members."""
    server = make_server()
    server.inject(Fault.SERVER_EXCEPTION, calls=1)
    server.inject(Fault.TOO_MANY_REQUESTS, calls=1)
    job_id = server.add_job(life_cycle=QUICK)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server, backoff=FixedInterval(0.3)) as client:
            await client.wait_for_job(job_id, 0)
    failed, throttled = (vars(record) for record in caplog.records if record.levelno == logging.WARNING)
    assert (failed["operation"], failed["outcome"]) == ("DescribeJobs", "transient")
    assert (failed["error_code"], failed["http_status"]) == ("ServerException", 500)
    assert failed["rate"] > throttled["rate"] > 0
    last = vars(caplog.records[-1])
    assert (last["job_id"], last["status"], last["previous"], last["attempt"]) == (
        job_id,
        "SUCCEEDED",
        "RUNNING",
        1,
    )


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, OwnError])
async def test_a_handler_that_raises_hurts_nobody(written: Written, error: type[BaseException]) -> None:
    """Whatever a handler raises, waits end, the client closes, and other handlers get every line once."""

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error(record)

    bad = Raising()
    logging.getLogger().addHandler(bad)
    try:
        server = make_server()
        job_ids = [server.add_job(life_cycle=ENDED) for _ in range(100)]
        async with make_client(server) as client:
            await asyncio.gather(*(client.poll_for_job_complete(job_id, 0) for job_id in job_ids))
    finally:
        logging.getLogger().removeHandler(bad)
    assert written() == (21, 100)
