"""The command in a shell, and in terminals, in processes of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.testing import BatchServer, LifeCycle
from tests.cli.terminals import Pty, start

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(__file__).with_name("command.sh")


def lasts(seconds: float, **members: Any) -> LifeCycle:
    """The life of a job that runs at once."""
    return LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=seconds, **members)


def environment(server: BatchServer, **variables: str) -> Mapping[str, str]:
    """The variables that lead to the server, and to an installed command."""
    arguments = server.client_arguments
    unwanted = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONUNBUFFERED"}
    return {
        **{name: value for name, value in os.environ.items() if name not in unwanted},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "AWS_ENDPOINT_URL": arguments["endpoint_url"],
        "AWS_REGION": arguments["region_name"],
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
        **variables,
    }


async def test_in_a_shell() -> None:
    """A script that has nothing but the command finds its exit codes, pipes and signals as documented."""
    async with BatchServer() as server:
        ids = {
            "GOOD": server.add_job("good-1", life_cycle=lasts(1)),
            "BAD": server.add_job("bad-1", life_cycle=lasts(0, outcome="FAILED", exit_code=3)),
            "LONG": server.add_job("long-1", life_cycle=lasts(3600)),
        }
        for number in range(3):
            server.add_job(job_name=f"doomed-{number}", job_queue="doomed", life_cycle=lasts(3600))
        for number in range(900):
            server.add_job(f"{number:0110}", job_queue="many", life_cycle=lasts(0))
        process = await asyncio.create_subprocess_exec(
            *("bash", SCRIPT),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(server, **ids),
        )
        said, _ = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "")


async def test_in_terminals() -> None:
    """Ctrl-C ends a picture and says how to go on; q ends a table; and a question is asked before jobs are ended."""
    async with BatchServer() as server:
        for number in range(3):
            server.add_job(f"long-{number}", job_name="align", life_cycle=lasts(3600))
        await asyncio.gather(_wait(server), _watch(server), _terminate(server))
        assert not server.ended()


async def _wait(server: BatchServer) -> None:
    with Pty(120) as terminal:
        process = await start(terminal, "wait", "-q", "queue", environment=environment(server))
        await asyncio.to_thread(terminal.wait_for, lambda lines: "long-2" in "".join(lines))
        terminal.type("\x03")
        assert await process.wait() == ExitCode.INTERRUPTED
        terminal.finish()
    assert terminal.lines[0].startswith("3 jobs, 0 ended · us-east-1 · 0:0")
    assert [line.split() for line in terminal.lines[1:4]] == [
        ["align", f"long-{number}", "RUNNING", ANY, "1/1"] for number in range(3)
    ]
    assert terminal.lines[-3:] == [
        "Stopped watching; 3 jobs go on.",
        "  Again: awaitbatch wait -q queue",
        "  End them: awaitbatch terminate long-0 long-1 long-2",
    ]
    assert not terminal.hides_cursor


async def _watch(server: BatchServer) -> None:
    with Pty(60) as terminal:
        process = await start(terminal, "watch", "long-0", "long-1", environment=environment(server))
        await asyncio.to_thread(terminal.wait_for, lambda lines: "2 RUNNING · q quits" in lines)
        terminal.type("q")
        assert await process.wait() == ExitCode.DONE
        terminal.finish()
    assert terminal.lines[0].split() == ["JOB", "ID", "STATUS", "SINCE", "TRY"]
    assert terminal.lines[-1] == "2 RUNNING"
    assert not terminal.hides_cursor


async def _terminate(server: BatchServer) -> None:
    with Pty(40) as terminal:
        process = await start(
            terminal,
            "terminate",
            "long-0",
            "long-1",
            environment=environment(server),
            stdout=asyncio.subprocess.PIPE,
        )
        await asyncio.to_thread(terminal.wait_for, lambda lines: lines == ["Terminate 2 jobs? [y/N]"])
        terminal.type("n\n")
        results, _ = await process.communicate()
        assert results == b""
        assert process.returncode == ExitCode.INTERRUPTED
        terminal.finish()
    assert terminal.lines == [
        "Terminate 2 jobs? [y/N] n",
        "awaitbatch terminate: nothing was termin",
        "ated",
    ]
