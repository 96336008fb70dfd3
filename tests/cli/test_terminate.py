"""``awaitbatch terminate`` in virtual time: what it ends, what it says, and what it asks."""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import suppress

import pytest

from awaitbatch.cli import _terminate, main
from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.testing import Fault
from tests.cli.support import Screen, run
from tests.support import ENDED, LONG, make_server

pytestmark = pytest.mark.virtual_time


async def test_many() -> None:
    """Fifty jobs share a call, and at the end there is one line on standard error."""
    server, screen = make_server(), Screen()
    ids = [server.add_job(life_cycle=LONG) for _ in range(120)]
    assert await run(server, screen, "terminate", *ids, "--reason", "wrong input") == ExitCode.DONE
    assert server.statistics.calls["TerminateJobs"] == 3
    assert len(server.ended()) == 120
    assert screen.err == ["120 of 120 jobs terminated"]
    assert screen.out == []
    assert await run(server, screen, "describe", ids[-1]) == ExitCode.DONE
    assert "somebody terminated it, exit code 137 (wrong input)" in screen.out[-1]


async def test_what_aws_does_not_say() -> None:
    """AWS accepts ids that it does not know, and jobs that have ended; these are found out."""
    server, screen = make_server(), Screen()
    ids = [server.add_job("runs", life_cycle=LONG), server.add_job("done", life_cycle=ENDED), "nobody"]
    assert await run(server, screen, "terminate", *ids) == ExitCode.NOT_FOUND
    assert len(screen.err) == 2
    assert "nobody" in screen.err[0]
    assert screen.err[1] == "1 of 3 jobs terminated, 1 had ended before, 1 not found"


async def test_lines_of_json() -> None:
    """--json has a line for each job, with an error for each that is not accepted or not found."""
    server, screen = make_server(), Screen()
    ids = [server.add_job("runs", life_cycle=LONG), server.add_job("denied", life_cycle=LONG), "nobody"]
    server.inject(Fault.DENIED_JOBS, job_ids=["denied"])
    assert await run(server, screen, "terminate", *ids, "--json") == ExitCode.AWS
    records = {record["jobId"]: record for record in screen.records}
    assert (records["runs"]["status"], records["runs"]["exitCode"]) == ("FAILED", 137)
    assert records["denied"].keys() == records["nobody"].keys() == {"jobId", "status", "error"}
    assert "not terminated" in records["denied"]["error"]
    assert len(screen.out) == 3


async def test_refusals_are_counted() -> None:
    """The first of many refusals is told, with what to do, and the others are counted."""
    server, screen = make_server(), Screen()
    ids = [server.add_job(f"job{number}", life_cycle=LONG) for number in range(20)]
    server.inject(Fault.DENIED_JOBS, job_ids=ids[5:])
    assert await run(server, screen, "terminate", *ids) == ExitCode.AWS
    assert len(server.ended()) == 5
    assert "job5" in screen.err[0]
    assert "allow batch:TerminateJob" in screen.err[0]
    assert screen.err[1:] == [
        "5 of 20 jobs terminated, 15 not accepted",
        "awaitbatch terminate: 14 more jobs likewise: AccessDenied",
    ]


async def test_waiting() -> None:
    """--wait waits until they have ended, which is as asked although they are FAILED then."""
    server, screen = make_server(), Screen()
    ids = [server.add_job(f"a{number}", life_cycle=LONG) for number in range(2)]
    assert await run(server, screen, "terminate", *ids, "--wait", "--json") == ExitCode.DONE
    assert [record["status"] for record in screen.records] == ["FAILED", "FAILED"]
    assert screen.told[0] == "2 of 2 jobs terminated"
    assert "2 of 2 ended: 2 FAILED" in screen.told[-1]
    assert await run(server, screen, "terminate", *ids, "nobody", "--wait") == ExitCode.NOT_FOUND


async def test_nothing_to_wait_for() -> None:
    """If none was accepted, there is nothing to wait for."""
    server, screen = make_server(), Screen()
    ids = [server.add_job(name, life_cycle=LONG) for name in "ab"]
    server.inject(Fault.DENIED_JOBS, job_ids=ids)
    assert await run(server, screen, "terminate", *ids, "--wait") == ExitCode.AWS
    assert screen.err[1:] == [
        "0 of 2 jobs terminated, 2 not accepted",
        "awaitbatch terminate: 1 more job likewise: AccessDenied",
    ]


async def test_a_slow_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """While AWS throttles, a line comes now and then."""
    monkeypatch.setattr(_terminate, "_PERIOD", 10)
    server, screen = make_server(), Screen()
    server.throttle(0.1, 1, "TerminateJobs")
    ids = [server.add_job(life_cycle=LONG) for _ in range(250)]
    assert await run(server, screen, "terminate", *ids) == ExitCode.DONE
    assert asyncio.get_running_loop().time() > 30
    lines = [line for line in screen.err if "of 250 jobs terminated" in line]
    assert len(lines) > 2
    assert lines[-1] == "250 of 250 jobs terminated"


@pytest.mark.parametrize(
    ("number", "burst", "farewell"),
    [
        (100, 1, "Stopped: 50 of 100 jobs terminated; the others may go on."),
        (
            2,
            0,
            "Stopped: 0 of 2 jobs terminated; the others may go on.\n  Again: awaitbatch terminate job-0 job-1",
        ),
    ],
)
async def test_ctrl_c(number: int, burst: int, farewell: str) -> None:
    """Who stops it is told how many jobs were terminated by then, and how to go on if that fits a line."""
    server, screen = make_server(), Screen()
    server.throttle(0.001, 1, "TerminateJobs")
    if not burst:
        server.inject(Fault.TOO_MANY_REQUESTS, operations=["TerminateJobs"])
    ids = [server.add_job(f"job-{place}", life_cycle=LONG) for place in range(number)]
    task = asyncio.create_task(run(server, screen, "terminate", *ids))
    await asyncio.sleep(5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert screen.terminal.farewell is not None
    assert screen.terminal.farewell() == farewell
    assert screen.terminal.is_stopping


async def test_without_progress() -> None:
    """--progress none says only what is wrong."""
    server, screen = make_server(), Screen()
    assert await run(server, screen, "terminate", server.add_job(life_cycle=LONG), "--progress", "none") == 0
    assert screen.err == []


async def test_nobody_answers() -> None:
    """An outage from the first call on ends it within half a minute, with what happened and what to do."""
    server, screen = make_server(), Screen()
    server.inject(Fault.BARE_503)
    assert await run(server, screen, "terminate", "a", "b") == ExitCode.AWS
    assert asyncio.get_running_loop().time() < 30.1
    assert screen.out == []
    assert "503" in screen.err[0]


class Stdin(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        """It is a terminal."""
        return True


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yes please\n"])
def test_asks(answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal it asks before it ends several jobs, and takes nothing but yes for yes."""
    monkeypatch.setattr(sys, "stdin", Stdin(answer))
    assert main(["terminate", "a", "b"]) == ExitCode.INTERRUPTED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "Terminate 2 jobs? [y/N] awaitbatch terminate: nothing was terminated\n"


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["a", "b"], Stdin("Y\n")),
        (["a", "b"], Stdin("yes\n")),
        (["a", "b", "--yes"], Stdin()),
        (["a", "a"], Stdin()),
        (["a", "b"], io.StringIO()),
        (["-"], io.StringIO("a b")),
    ],
)
def test_does_not_ask(words: list[str], stdin: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --yes, for a single job, and where nobody could answer, it goes to work."""
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr("awaitbatch.cli._session.run", lambda *_: 42)
    assert main(["terminate", *words]) == 42


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            [],
            "which jobs? Give their ids, or - to read these from standard input; see awaitbatch terminate --help",
        ),
        (["a", "--reason", ""], "--reason must have 1 to 1,024 characters"),
        (["a", "--reason", "x" * 1025], "--reason must have 1 to 1,024 characters"),
        (["a", "b d"], "not an AWS Batch job id: 'b d'"),
    ],
    ids=str,
)
def test_refuses(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What makes no sense is a usage error, before anybody is asked."""
    assert main(["terminate", *words]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith(f"awaitbatch terminate: {complaint}")
