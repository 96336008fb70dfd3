"""``awaitbatch list`` in virtual time: which jobs it lists, and in which form."""

from __future__ import annotations

import asyncio
import errno
import io
import re

import pytest

from awaitbatch import JobStatus
from awaitbatch.cli import main
from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.cli._values import STATUSES
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from tests.cli.support import Screen, run
from tests.support import ENDED, LONG, make_server

pytestmark = pytest.mark.virtual_time

FAILED = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0, outcome="FAILED", exit_code=3)
ADVICE = " among those that have not ended; --since 1d and --status all also list ended ones"
WAITS = LifeCycle(submitted=0, pending=0, runnable=1e6)


async def some_jobs(monkeypatch: pytest.MonkeyPatch) -> BatchServer:
    """A queue two hours after its first job, and a minute after its last."""
    monkeypatch.setattr("time.time", asyncio.get_running_loop().time)
    server = make_server()
    await asyncio.sleep(100)
    server.add_job("old", job_name="align-0", life_cycle=FAILED)
    await asyncio.sleep(1)
    server.add_job("runs", job_name="align-1", life_cycle=LONG)
    await asyncio.sleep(7138)
    server.add_job("done", job_name="align-2", life_cycle=ENDED)
    await asyncio.sleep(1)
    server.add_job("waits", job_name="merge", life_cycle=WAITS)
    server.add_job("elsewhere", job_queue="other", life_cycle=LONG)
    await asyncio.sleep(60)
    return server


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("", "runs waits"),
        ("--status all", "done old runs waits"),
        ("--status FAILED,succeeded", "done old"),
        ("--since 1h", "done waits"),
        ("--since 1h --status RUNNABLE", "waits"),
        ("--since 1h --status all", "done waits"),
        ("--name align-*", "runs"),
        ("--name align-? --since 1d", "done old runs"),
    ],
)
async def test_which_jobs(words: str, ids: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have not ended, or those of the states, the names and the time that are asked for."""
    server, screen = await some_jobs(monkeypatch), Screen()
    assert await run(server, screen, "list", "-q", "queue", "--ids", *words.split()) == ExitCode.DONE
    assert sorted(screen.out) == ids.split()
    assert screen.err == []


async def test_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest job comes first."""
    server, screen = await some_jobs(monkeypatch), Screen()
    assert await run(server, screen, "list", "-q", "queue", "--since", "1d") == ExitCode.DONE
    assert screen.out == [
        "JOB      ID     STATUS         AGE      RAN  NOTE",
        "merge    waits  RUNNABLE      1:00",
        "align-2  done   SUCCEEDED     1:01     0:00",
        "align-1  runs   RUNNING    1:59:59  1:59:59",
        "align-0  old    FAILED     2:00:00     0:00  exit 3, Essential container in task exited",
    ]
    assert screen.err == []


async def test_lines_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the members of other lines, as far as AWS's list says something."""
    server, screen = await some_jobs(monkeypatch), Screen()
    assert await run(server, screen, "list", "-q", "queue", "--status", "FAILED", "--json") == ExitCode.DONE
    [record] = screen.records
    assert record == {
        "jobId": "old",
        "jobName": "align-0",
        "status": "FAILED",
        "exitCode": 3,
        "reason": "Essential container in task exited",
        "attempt": None,
        "attempts": None,
        "createdAt": 100_000,
        "startedAt": 100_000,
        "stoppedAt": 100_000,
        "log": None,
    }


async def test_no_job() -> None:
    """That there is none is no failure, and is said beside the results."""
    server, screen = make_server(), Screen()
    assert await run(server, screen, "list", "-q", "queue") == ExitCode.DONE
    assert await run(server, screen, "list", "-q", "queue", "--ids", "--since", "1d") == ExitCode.DONE
    assert screen.out == []
    assert screen.err == [
        f"awaitbatch list: there is no such job{ADVICE}",
        "awaitbatch list: there is no such job",
    ]


async def test_children() -> None:
    """The children of an array in all their states, or in one; and the nodes of a multi-node job."""
    server = make_server()
    array = server.add_job("array", array_size=5, children={1: FAILED, 3: FAILED}, life_cycle=LONG)
    nodes = server.add_job("nodes", nodes=2, life_cycle=LONG)
    await asyncio.sleep(1)
    for words, ids in (
        ([array], [f"array:{index}" for index in (0, 2, 4, 1, 3)]),
        ([array, "--status", "failed"], ["array:1", "array:3"]),
        ([nodes], ["nodes#0", "nodes#1"]),
    ):
        screen = Screen()
        assert await run(server, screen, "list", "--ids", "--children", *words) == ExitCode.DONE
        assert screen.out == ids


async def test_no_parent() -> None:
    """Who asks for the children of a job that has none, or is not there, is told so."""
    server, screen = make_server(), Screen()
    server.add_job("a", life_cycle=LONG)
    assert await run(server, screen, "list", "--children", "a") == ExitCode.USAGE
    assert await run(server, screen, "list", "--children", "nobody") == ExitCode.NOT_FOUND
    assert screen.out == []
    assert "neither an array job nor a multi-node parallel job" in screen.err[0]
    assert "nobody" in screen.err[1]


async def test_aws_refuses() -> None:
    """What AWS does not allow is said in a sentence."""
    server, screen = make_server(), Screen()
    server.inject(Fault.ACCESS_DENIED)
    assert await run(server, screen, "list", "-q", "queue") == ExitCode.AWS
    assert len(screen.err) == 1
    assert "allow batch:ListJobs in the IAM policy" in screen.err[0]


async def test_nobody_answers() -> None:
    """An outage from the first call on ends it within half a minute, with what happened and what to do."""
    server, screen = make_server(), Screen()
    server.inject(Fault.BARE_503)
    assert await run(server, screen, "list", "-q", "queue") == ExitCode.AWS
    assert asyncio.get_running_loop().time() < 30.1
    assert screen.out == []
    assert "503" in screen.err[0]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "whose jobs? Give a job queue with -q, or a parent with --children"),
        (["-q", "reads", "--children", "a"], "give a queue or --children, not both"),
        (["--children", "a", "--since", "1h"], "--since chooses among the jobs of a queue"),
        (["--children", "a b"], "not an AWS Batch job id: 'a b'"),
        (["-q", "reads", "--ids", "--json"], "--ids and --json are two forms; choose one"),
    ],
    ids=str,
)
def test_refuses(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What makes no sense is a usage error."""
    assert main(["list", *words]) == ExitCode.USAGE
    assert f"awaitbatch list: {complaint}" in capsys.readouterr().err


def test_states() -> None:
    """The option knows the states that the library knows, and names them."""
    assert list(STATUSES) == [status.value for status in JobStatus]


def test_a_state_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt state is named, beside those that there are."""
    with pytest.raises(SystemExit) as refusal:
        main(["list", "-q", "reads", "--status", "RUNNING,RUNING"])
    assert refusal.value.code == ExitCode.USAGE
    assert "SUCCEEDED, FAILED, or all, not 'RUNING'" in capsys.readouterr().err


async def test_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for minutes is told every now and then how far it is; of jobs that are seen to come, nothing."""
    monkeypatch.setattr("awaitbatch._listing._PAGE", 2)
    server = make_server()
    for _ in range(2000):
        server.add_job(life_cycle=WAITS)
    seen, piped = Screen(is_terminal=True), Screen()
    assert await run(server, seen, "list", "-q", "queue") == ExitCode.DONE
    said = [line for line in seen.err if "listed so far" in line]
    assert 3 <= len(said) <= 6
    assert re.fullmatch(r"awaitbatch list: \d\d jobs listed so far", said[0])
    assert await run(server, piped, "list", "-q", "queue", "--ids", "--name", "none") == ExitCode.DONE
    assert len(piped.err) in {2, 3, 4}
    for words in (
        ["list", "-q", "queue", "--ids"],
        ["wait", "-q", "queue", "--name", "none", "--progress", "none"],
    ):
        screen = Screen(is_terminal=True)
        await run(server, screen, *words)
        assert "so far" not in "".join(screen.err)
    screen = Screen()
    assert await run(server, screen, "wait", "-q", "queue", "--name", "none") == ExitCode.NOT_FOUND
    assert screen.err[0].endswith(" jobs listed so far")


class _Full(io.StringIO):
    def write(self, _: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_full_disk() -> None:
    """Results that cannot be written are said in a sentence, and the command does not end well."""
    server, screen = make_server(), Screen()
    server.add_job(life_cycle=WAITS)
    screen.terminal.out = _Full()
    assert await run(server, screen, "list", "-q", "queue", "--ids") == ExitCode.AWS
    assert screen.err == [
        "awaitbatch list: cannot write the results to standard output: No space left on device"
    ]
