"""``awaitbatch describe`` in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from awaitbatch.cli import _describe
from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.testing import Fault, LifeCycle
from tests.cli.support import Screen, run
from tests.support import ENDED, LONG, make_server

pytestmark = pytest.mark.virtual_time


async def test_jobs_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs come in the order in which they were given, with an empty line between two of them."""
    monkeypatch.setattr(_describe, "AT_ONCE", 2)
    server, screen = make_server(), Screen()
    ids = [server.add_job(name, job_name=name.upper(), life_cycle=ENDED) for name in "dacb"]
    assert await run(server, screen, "describe", *ids) == ExitCode.DONE
    heads = [line for line in screen.out if not line.startswith(" ")]
    assert heads == [
        "D  d  SUCCEEDED  queue queue  definition definition:1",
        "",
        "A  a  SUCCEEDED  queue queue  definition definition:1",
        "",
        "C  c  SUCCEEDED  queue queue  definition definition:1",
        "",
        "B  b  SUCCEEDED  queue queue  definition definition:1",
    ]
    assert screen.err == []


async def test_hundreds_share_calls() -> None:
    """A hundred jobs share a call."""
    server, screen = make_server(), Screen()
    ids = [server.add_job(life_cycle=LONG) for _ in range(250)]
    assert await run(server, screen, "describe", *ids, "--json") == ExitCode.DONE
    assert [record["jobId"] for record in screen.records] == ids
    assert server.statistics.calls["DescribeJobs"] == 3


async def test_whole_descriptions() -> None:
    """--json gives all that AWS says, in ASCII."""
    server, screen = make_server(), Screen()
    job_id = server.add_job(tags={"Ärger": "\x1b[31m"}, life_cycle=LONG)
    assert await run(server, screen, "describe", job_id, "--json") == ExitCode.DONE
    [record] = screen.records
    assert record["tags"]["Ärger"] == "\x1b[31m"
    assert {"container", "attempts", "jobQueue", "retryStrategy"} <= record.keys()
    assert screen.out[0].isascii()
    assert screen.out[0].isprintable()


async def test_jobs_that_are_not_found() -> None:
    """The others are described, each is named within ten seconds, and of very many the first ones are."""
    server, screen = make_server(), Screen()
    job_id = server.add_job("a", life_cycle=LONG)
    assert await run(server, screen, "describe", "nobody", job_id) == ExitCode.NOT_FOUND
    assert asyncio.get_running_loop().time() < 10
    assert screen.out[0].startswith("job  a  RUNNING")
    [complaint] = screen.err
    assert complaint.startswith("awaitbatch describe: ")
    assert "nobody" in complaint
    screen = Screen()
    assert await run(server, screen, "describe", *(f"no-{number}" for number in range(30))) == 3
    assert len(screen.err) == 11
    assert screen.err[-1] == "awaitbatch describe: 20 more jobs not found"


async def test_aws_refuses() -> None:
    """A refusal of all of them is said once."""
    server, screen = make_server(), Screen()
    server.inject(Fault.ACCESS_DENIED)
    ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
    assert await run(server, screen, "describe", *ids) == ExitCode.AWS
    assert len(screen.err) == 2
    assert "allow batch:DescribeJobs in the IAM policy" in screen.err[0]
    assert screen.err[1].startswith("awaitbatch describe: 2 more jobs likewise")


async def test_the_worst_decides() -> None:
    """A refusal counts more than a job that is not found."""
    server, screen = make_server(), Screen()
    bad = server.add_job("bad", life_cycle=LifeCycle(running=1))
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=[bad])
    assert await run(server, screen, "describe", bad, "nobody") == ExitCode.AWS
    assert len(screen.err) == 2


async def test_nobody_answers() -> None:
    """An outage from the first call on ends it within half a minute, with what happened and what to do."""
    server, screen = make_server(), Screen()
    server.inject(Fault.BARE_503)
    assert await run(server, screen, "describe", "a") == ExitCode.AWS
    assert asyncio.get_running_loop().time() < 30.1
    assert screen.out == []
    assert "503" in screen.err[0]
