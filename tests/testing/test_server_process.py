"""Servers in a process of their own start, answer, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from awaitbatch.testing import BatchServer, ServerProcess
from awaitbatch.testing.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-m", "awaitbatch.testing")


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    """The server as a user starts it in a shell."""
    with subprocess.Popen(
        (*COMMAND, "--jobs", "3", "--rate", "20", "--running", "5:30", "--failing", "0.1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_until_it_is_stopped(running: subprocess.Popen[str], number: signal.Signals) -> None:
    """The command prints its URL, answers there, and ends with one line on Ctrl-C or SIGTERM."""
    assert running.stdout is not None
    line = running.stdout.readline()
    assert line.startswith("BatchServer listening on http://127.0.0.1:")
    body = b'{"jobs": ["a"]}'
    with urllib.request.urlopen(f"{line.split()[-1]}/v1/describejobs", data=body, timeout=60) as response:
        assert response.read() == b'{"jobs":[]}'
    running.send_signal(number)
    output, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")
    assert output == (
        "1 calls, 0 of them throttled; 1 were DescribeJobs with 1.0 ids each; "
        "0 calls hit by a fault; 0 jobs ended\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--running", "30:5"], "running must be a range from low to high"),
        (["--running", "soon"], "invalid range LOW:HIGH value: 'soon'"),
        (["--failing", "2"], "failing is a share from 0 to 1"),
        (["--port", "65536"], "--port must be 0 to 65535"),
        (["--rate", "20:0.5"], "a bucket with room for 0.5 tokens"),
        (["--rate", "StopJobs=2"], "no such operation: StopJobs; there are SubmitJob"),
        (["--rate", "fast"], "invalid rate [OPERATION=]CALLS[:BURST] value: 'fast'"),
        (["--fault", "hang=2"], "probability must be 0 to 1, not 2.0"),
        (["--fault", "boredom=1"], "invalid fault FAULT=SHARE value: 'boredom=1'"),
        (["--rate", "-1"], "cannot gain -1.0 tokens"),
        (["--description-bytes", "-1"], "--description-bytes cannot be negative"),
        (["--attempts", "0"], "a job has at least 1 attempt, not 0"),
        (["--latency", "nan"], "--latency must be a number of seconds, not nan"),
        (["--latency", "inf"], "--latency must be a number of seconds, not inf"),
    ],
)
def test_bad_options_are_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad value ends the command with status 2 and a line that says what is wrong."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_it_stops_while_jobs_are_being_added() -> None:
    """SIGTERM ends the command also while it makes a million jobs."""
    script = """
from awaitbatch.testing import __main__ as command

class Server(command.BatchServer):
    def add_job(self):
        if not self._model.jobs:
            print("adding", flush=True)
        return super().add_job()

command.BatchServer = Server
command.main(["--jobs", "1000000"])
"""
    with subprocess.Popen(
        (sys.executable, "-c", script), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "adding\n"
        process.terminate()
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert "listening" not in output


async def test_a_process_lives_as_long_as_its_block() -> None:
    """Inside the block the server can be asked and steered, after it the process is gone."""
    async with ServerProcess("--jobs", "2") as server:
        pid = server.pid
        assert pid is not None
        (job_id,) = await server.control("POST", "jobs", [{"life_cycle": {"submitted": 1e6}}])
        assert len(job_id) == 36
        assert await server.ended() == {}
        assert server.client_arguments["endpoint_url"] == server.endpoint_url
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="async with"):
        _ = server.endpoint_url


async def test_a_process_throttles_and_fails_to_order() -> None:
    """Throttles and faults of the command line are in force from the start."""
    async with (
        ServerProcess("--rate", "1000", "--rate", "DescribeJobs=5:1", "--fault", "bare-503=1") as server,
        aiohttp.ClientSession(server.endpoint_url) as session,
    ):
        statuses = []
        for _ in range(2):
            async with session.post("/v1/describejobs", json={"jobs": ["a"]}) as response:
                statuses.append(response.status)
        assert statuses == [503, 429]


async def test_a_process_that_cannot_start_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    """A server that ends before it listens raises, and its own words are on standard error."""
    with pytest.raises(RuntimeError, match="before it listened"):
        async with ServerProcess("--rate", "-1"):
            pass
    assert "cannot gain -1.0 tokens" in capfd.readouterr().err


def test_a_process_ends_when_its_parent_is_killed() -> None:
    """A server does not outlive a parent that had no time to stop it."""
    parent_code = (
        "import asyncio\n"
        "from awaitbatch.testing import ServerProcess\n"
        "async def main():\n"
        "    async with ServerProcess() as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen((sys.executable, "-c", parent_code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while _is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("server", ["ServerProcess", "MotoServer"])
def test_a_process_ends_when_its_parent_is_killed_while_a_fork_of_it_lives(server: str) -> None:
    """A fork has the pipe to the server, too, so that its input does not end; the parent is watched as well."""
    parent_code = (
        "import asyncio, os, time\n"
        f"from awaitbatch.testing import {server}\n"
        "async def main():\n"
        f"    async with {server}() as server:\n"
        "        fork = os.fork()\n"
        "        if not fork:\n"
        "            time.sleep(300)\n"
        "            os._exit(0)\n"
        "        print(server.pid, fork, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen((sys.executable, "-c", parent_code), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, fork = map(int, parent.stdout.readline().split())
    try:
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 60
        while _is_alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert _is_alive(fork)
    finally:
        os.kill(fork, signal.SIGKILL)
        parent.stdout.close()


def test_an_output_that_nobody_reads_is_no_trouble_with_the_port() -> None:
    """A broken pipe is called what it is."""
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        COMMAND, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == "nobody reads the output any more\n"


def test_a_port_that_is_taken_is_named() -> None:
    """Who cannot listen is told where."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            (*COMMAND, "--port", str(port)), capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:80"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
async def test_web_pages_cannot_control_a_server(headers: dict[str, str], status: int) -> None:
    """The control surface refuses what comes from a browser, also under a name that was led here."""
    async with BatchServer() as server, aiohttp.ClientSession() as session:
        url = f"{server.endpoint_url}/_awaitbatch/jobs"
        async with session.post(url, json={"count": 1}, headers=headers) as response:
            assert response.status == status
            assert bool("message" in await response.json()) is (status == 403)
        assert "1 jobs" in repr(server) or status == 403


@pytest.mark.parametrize(
    ("method", "resource", "body", "complaint"),
    [
        ("PUT", "latency", {"seconds": -1}, "seconds cannot be negative: -1.0"),
        ("POST", "jobs", {"count": -1}, "count cannot be negative: -1"),
    ],
)
async def test_negative_orders_are_refused(method: str, resource: str, body: object, complaint: str) -> None:
    """What makes no sense gets 400 and a text that says why."""
    async with BatchServer() as server, aiohttp.ClientSession() as session:
        url = f"{server.endpoint_url}/_awaitbatch/{resource}"
        async with session.request(method, url, json=body) as response:
            assert response.status == 400
            assert await response.json() == {"message": complaint}


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # An orphan that has ended stays as a zombie where nothing reaps it.
    return state != "Z"
