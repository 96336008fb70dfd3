"""What the log says, and what it does not."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from awaitbatch import BatchClient, DescribeError, FixedInterval, MaxRetriesExceededError
from awaitbatch.testing import Fault
from tests.support import ENDED, LONG, make_client, make_server

from .support import QUICK, FaultyTransport


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The messages of one level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


async def test_one_line_a_job_and_state(caplog: pytest.LogCaptureFixture) -> None:
    """INFO has one line for each state of each job, however many wait for it and in how many steps."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=2, starting=2, attempts=2))
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server, backoff=FixedInterval(0.3)) as client:
            await asyncio.gather(*(client.wait_for_job(job_id, 0) for _ in range(5)))
    assert lines(caplog, logging.INFO) == [
        f"AWS Batch job ({job_id}) is RUNNABLE",
        f"AWS Batch job ({job_id}) is STARTING, was RUNNABLE",
        f"AWS Batch job ({job_id}) is RUNNING, was STARTING",
        f"AWS Batch job ({job_id}) is RUNNABLE, was RUNNING",
        f"AWS Batch job ({job_id}) is STARTING, was RUNNABLE",
        f"AWS Batch job ({job_id}) is RUNNING, was STARTING",
        f"AWS Batch job ({job_id}) is SUCCEEDED, was RUNNING",
    ]


async def test_one_line_in_waits_that_follow_each_other(caplog: pytest.LogCaptureFixture) -> None:
    """What the log has said of a job for one wait it does not say again for a later one."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=0, starting=0))
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server, backoff=FixedInterval(0.3)) as client:
            await client.poll_for_job_running(job_id, 0)
            await client.poll_for_job_complete(job_id, 0)
            await client.poll_for_job_complete(job_id, 0)
    assert lines(caplog, logging.INFO) == [
        f"AWS Batch job ({job_id}) is RUNNING",
        f"AWS Batch job ({job_id}) is SUCCEEDED, was RUNNING",
    ]


async def test_a_short_outage_is_over_when_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """An outage of 20 seconds has one line at its beginning, and one some seconds after its end."""
    server = make_server()
    server.inject(Fault.CONNECTION_REFUSED, end=20)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server, backoff=FixedInterval(1)) as client:
            await client.wait_for_job(server.add_job(life_cycle=replace(QUICK, running=40)), 0)
    assert len(lines(caplog, logging.WARNING)) == 1
    texts = [line for line in lines(caplog, logging.INFO) if "is RUNNING" in line or "works again" in line]
    assert "is RUNNING" in texts[0]
    assert "DescribeJobs works again, after" in texts[1]


async def test_a_herd_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Of 500 jobs that end at once twenty have a line, and when the client closes, one counts the others."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(500)]
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server) as client:
            await asyncio.gather(*(client.poll_for_job_complete(job_id, 0) for job_id in job_ids))
            assert len(lines(caplog, logging.INFO)) <= 40
        *each, summary = lines(caplog, logging.INFO)
    assert summary == f"and {500 - len(each)} more changes of AWS Batch jobs: {500 - len(each)} SUCCEEDED"


async def test_a_little_herd_has_every_line(caplog: pytest.LogCaptureFixture) -> None:
    """A client that is closed as soon as all its twenty waits have ended has the end of each job in its log."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=ENDED) for _ in range(20)]
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server) as client:
            await asyncio.gather(*(client.poll_for_job_complete(job_id, 0) for job_id in job_ids))
    expected = sorted(f"AWS Batch job ({job_id}) is SUCCEEDED" for job_id in job_ids)
    assert sorted(lines(caplog, logging.INFO)) == expected


async def test_a_shared_client_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A client that several share logs nothing of jobs unless its own logger is told to, but warns as any other."""
    server = make_server()
    server.inject(Fault.SERVER_EXCEPTION, calls=1)
    caplog.set_level(logging.INFO, "awaitbatch")
    for level in (logging.NOTSET, logging.INFO):
        caplog.set_level(level, "awaitbatch.shared")
        transport = server.transport()
        async with BatchClient.shared(transport=transport, linger=0, backoff=FixedInterval(1)) as client:
            await client.wait_for_job(server.add_job(life_cycle=replace(QUICK, running=10)))
        await asyncio.sleep(1)
        if not level:
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            caplog.clear()
    assert {record.name for record in caplog.records} == {"awaitbatch.shared"}
    assert "is SUCCEEDED, was RUNNING" in caplog.messages[-1]


async def test_warnings_that_come_once_a_job_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Of 300 jobs without a log, asked for at once, twenty have a warning, and one more counts the others."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=replace(QUICK, runnable=100)) for _ in range(300)]
    async with make_client(server) as client:
        assert await asyncio.gather(*map(client.get_job_awslogs_info, job_ids)) == [None] * 300
    *each, summary = lines(caplog, logging.WARNING)
    assert len(each) <= 40
    assert summary == f"and {300 - len(each)} lines like this: AWS Batch job (…) has no CloudWatch log: …"


@pytest.mark.parametrize(
    ("fault", "begin", "still", "end"),
    [
        (
            Fault.TOO_MANY_REQUESTS,
            "throttles DescribeJobs: slowing from",
            "still throttles",
            "no longer throttles",
        ),
        (Fault.CONNECTION_REFUSED, "DescribeJobs failed, polls go on", "keeps failing", "works again"),
    ],
)
async def test_failures_do_not_flood_the_log(
    caplog: pytest.LogCaptureFixture, fault: Fault, begin: str, still: str, end: str
) -> None:
    """A ten-minute outage: a WARNING at first, at most one a minute, and one line when it is over."""
    server = make_server()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(150)]
    server.inject(fault, begin=10, end=610)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(server, backoff=FixedInterval(5)) as client:
            waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
            await asyncio.sleep(800)
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
    warnings = lines(caplog, logging.WARNING)
    assert begin in warnings[0]
    assert all(still in line for line in warnings[1:])
    assert 8 <= len(warnings) <= 11
    assert [line for line in lines(caplog, logging.INFO) if end in line] == lines(caplog, logging.INFO)[-1:]


async def test_a_failure_that_ends_waits_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """In words that cannot be read as if somebody waited for an end."""
    server = make_server()
    server.inject(Fault.ACCESS_DENIED)
    async with make_client(server) as client:
        with pytest.raises(DescribeError):
            await client.poll_for_job_complete(server.add_job(life_cycle=LONG), 0)
    (line,) = lines(caplog, logging.WARNING)
    assert line.startswith(
        "DescribeJobs failed, so the waits for its jobs end: An error occurred (AccessDenied"
    )


async def test_a_handler_that_raises_stops_nobody() -> None:
    """A log filter of the user's that raises does not stop the calls."""

    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ZeroDivisionError(record)

    logger = logging.getLogger("awaitbatch")
    bad = Raising()
    logger.addFilter(bad)
    logger.setLevel(logging.DEBUG)
    try:
        server = make_server()
        rules = [
            server.inject(fault, calls=2) for fault in (Fault.TOO_MANY_REQUESTS, Fault.RESET_BEFORE_BODY)
        ]
        async with make_client(server, backoff=FixedInterval(0.5)) as client:
            assert (await client.wait_for_job(server.add_job(life_cycle=QUICK), 0))["status"] == "SUCCEEDED"
        assert all(rule.hits for rule in rules)
    finally:
        logger.removeFilter(bad)
        logger.setLevel(logging.NOTSET)


async def test_what_aws_writes_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A status with a newline does not begin a new line in the log."""
    body = b'{"jobs": [{"jobId": "j", "status": "RUNNING\\nERROR forged"}]}'
    transport = FaultyTransport(make_server(), lambda *_: body)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        async with make_client(transport) as client:
            with pytest.raises(MaxRetriesExceededError):
                await client.poll_job_status("j", ["RUNNING"], max_retries=0)
    assert lines(caplog, logging.INFO) == [r"AWS Batch job (j) is 'RUNNING\nERROR forged'"]


async def test_log_locations_through_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """None and one warning before the job runs; afterwards the latest attempt, or all of them."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(QUICK, runnable=5, attempts=3))
    async with make_client(server, backoff=FixedInterval(0.5)) as client:
        assert await client.get_job_awslogs_info(job_id) is None
        assert await client.get_job_all_awslogs_info(job_id) == []
        assert [
            job_id in line and "no log stream yet" in line for line in lines(caplog, logging.WARNING)
        ] == [True] * 2
        await client.wait_for_job(job_id)
        infos = await client.get_job_all_awslogs_info(job_id)
        assert len({info["awslogs_stream_name"] for info in infos}) == 3
        assert await client.get_job_awslogs_info(job_id) == infos[-1]
        assert infos[0]["awslogs_region"] == "us-east-1"
