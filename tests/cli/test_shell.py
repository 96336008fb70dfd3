"""The command in a shell, and in terminals, in processes of its own and against a server in another one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.testing import ServerProcess
from tests.cli.terminals import Pty, start

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(__file__).with_name("command.sh")
AT_ONCE = {"submitted": 0, "pending": 0, "runnable": 0, "starting": 0}


def job(job_id: str, queue: str = "few", *, running: float = 0, **members: Any) -> dict[str, Any]:
    """A job that runs at once."""
    life = {name: members.pop(name) for name in ("outcome", "exit_code") if name in members}
    return {
        "job_id": job_id,
        "job_name": members.pop("job_name", "align"),
        "job_queue": queue,
        "life_cycle": {**AT_ONCE, "running": running, **life},
        **members,
    }


def environment(server: ServerProcess) -> Mapping[str, str]:
    """The variables that lead to the server, and an installed command."""
    arguments = server.client_arguments
    found = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    }
    return {
        **found,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "AWS_ENDPOINT_URL": arguments["endpoint_url"],
        "AWS_REGION": arguments["region_name"],
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
    }


async def test_in_a_shell() -> None:
    """A script that has nothing but the command finds its exit codes, pipes and signals as documented."""
    async with ServerProcess() as server:
        jobs = [
            job("good-1", running=1),
            job("bad-1", outcome="FAILED", exit_code=3),
            job("long-1", running=3600),
            *(
                job(f"doomed-{number}", "doomed", running=3600, job_name=f"doomed-{number}")
                for number in range(3)
            ),
            *(job(f"{number:0110}", "many") for number in range(900)),
        ]
        await server.control("POST", "jobs", jobs)
        process = await asyncio.create_subprocess_exec(
            *("bash", SCRIPT),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment(server), "GOOD": "good-1", "BAD": "bad-1", "LONG": "long-1"},
        )
        said, _ = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "")


async def test_in_terminals() -> None:
    """Ctrl-C ends a picture and says how to go on; q ends a table; and a question is asked before jobs are ended."""
    async with ServerProcess() as server:
        await server.control("POST", "jobs", [job(f"long-{number}", running=3600) for number in range(3)])
        await asyncio.gather(_wait(server), _watch(server), _terminate(server))


async def _wait(server: ServerProcess) -> None:
    with Pty(120) as terminal:
        process = await start(terminal, "wait", "-q", "few", environment=environment(server))
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
        "  Again: awaitbatch wait -q few",
        "  End them: awaitbatch terminate long-0 long-1 long-2",
    ]
    assert not terminal.hides_cursor


async def _watch(server: ServerProcess) -> None:
    with Pty(60) as terminal:
        process = await start(terminal, "watch", "long-0", "long-1", environment=environment(server))
        await asyncio.to_thread(terminal.wait_for, lambda lines: "2 RUNNING · q quits" in lines)
        terminal.type("q")
        assert await process.wait() == ExitCode.DONE
        terminal.finish()
    assert terminal.lines[0].split() == ["JOB", "ID", "STATUS", "SINCE", "TRY"]
    assert terminal.lines[-1] == "2 RUNNING"
    assert not terminal.hides_cursor


async def _terminate(server: ServerProcess) -> None:
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
