"""That lines of the log are all written, in portions, by the time when a client has closed."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.instrumentation import Event, WaitEnded
from awaitbatch.testing import Fault
from tests.support import ENDED, PromptClient, make_client, make_server

from .support import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from awaitbatch.testing import BatchServer

logger = logging.getLogger("awaitbatch")


class OwnError(BaseException):
    """Not even an Exception."""


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], Counter[str]]]:
    """How often each line about a job was written."""
    with caplog.at_level(logging.INFO, "awaitbatch"):
        yield lambda: Counter(record.getMessage() for record in caplog.records if hasattr(record, "job_id"))


def expected(job_ids: list[str]) -> dict[str, int]:
    """One line for each of these jobs."""
    return {f"AWS Batch job ({job_id}) is SUCCEEDED": 1 for job_id in job_ids}


async def all_ended_at_once(server: BatchServer) -> tuple[BatchClient, list[str]]:
    """An open client all of whose 5,000 waits have ended in this turn of the loop, before much was logged."""
    loop = asyncio.get_running_loop()
    # All calls are answered at the same moment.
    transport = server.transport(latency=lambda: 60 - loop.time(), max_connections=52)
    client = PromptClient(transport=transport, max_calls_per_second=1000, call_timeout=1000)
    await client.open()
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(5000)]
    await asyncio.gather(*map(client.poll_for_job_complete, job_ids))
    assert loop.time() == 60
    return client, job_ids


@pytest.mark.usefixtures("_no_slow_start")
async def test_closing_writes_thousands_of_lines(written: Callable[[], Counter[str]]) -> None:
    """Of 5,000 jobs that ended at the last moment, the log has the end of each, once, when `aclose` returns."""
    client, job_ids = await all_ended_at_once(make_server())
    assert written().total() < 4000
    await client.aclose()
    assert written() == expected(job_ids)


@pytest.mark.usefixtures("_no_slow_start")
@pytest.mark.parametrize("turns", [0, 20])
async def test_closing_that_is_cancelled_writes_them_too(
    written: Callable[[], Counter[str]], turns: int
) -> None:
    """If the task that closes is cancelled meanwhile, no line is lost or written twice either."""
    client, job_ids = await all_ended_at_once(make_server())
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert written() == expected(job_ids)


@pytest.mark.usefixtures("_no_slow_start")
async def test_a_client_whose_own_task_is_cancelled_writes_them_too(
    written: Callable[[], Counter[str]],
) -> None:
    """If the client's own task is cancelled, as `asyncio.run` does at the end, the log is as complete."""
    client, job_ids = await all_ended_at_once(make_server())
    for task in asyncio.all_tasks():
        if task.get_name() == "awaitbatch client":
            task.cancel()
    await client.aclose()
    assert written() == expected(job_ids)


@pytest.mark.usefixtures("_no_slow_start")
async def test_a_client_whose_task_is_cancelled_while_it_closes_writes_them_too(
    written: Callable[[], Counter[str]],
) -> None:
    """The same if that comes while the client closes already."""
    client, job_ids = await all_ended_at_once(make_server())
    closing = asyncio.create_task(client.aclose())
    for _ in range(20):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task.get_name() == "awaitbatch client":
            task.cancel()
    await asyncio.wait({closing})
    assert written() == expected(job_ids)


async def test_a_warning_does_not_wait_for_the_lines_before_it() -> None:
    """A warning is written before the answer's own lines, which wait for their turn."""
    server = make_server()
    levels: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            levels.append(record.levelname)

    def warn(event: Event) -> None:
        if isinstance(event, WaitEnded):
            raise KeyError

    handler = Noting()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with make_client(server, observers=[warn]) as client:
            await client.poll_for_job_complete(server.add_job(life_cycle=ENDED), 0)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert levels == ["WARNING", "INFO"]


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
    assert (last["job_id"], last["status"], last["before"], last["attempt"]) == (
        job_id,
        "SUCCEEDED",
        "RUNNING",
        1,
    )


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, OwnError])
async def test_a_handler_that_raises_hurts_nobody(
    written: Callable[[], Counter[str]], error: type[BaseException]
) -> None:
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
    assert written() == expected(job_ids)
