"""The demo as a user runs it, in a process of its own."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from awaitbatch.cli._demo import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-m", "awaitbatch", "demo", "--server", "builtin")
# Of one whose lines come often.
HURRIED = """
from awaitbatch.cli import _display as display
display.PlainDisplay.period = 0.2
"""
SHORT = ("--seconds", "0.3:1", "--interval", "0.3", "--failing", "0.2", "--seed", "1")
# What every progress line has but the one at the start, in whatever state a fast or a slow machine finds the jobs.
JOBS_BY_STATE = r"s: \d+ [A-Z]+"
PLAN = Plan(
    jobs=3,
    server="builtin",
    seconds=(0.1, 0.2),
    failing=0.5,
    interval=0.1,
    max_calls_per_second=50,
    seed=1,
)


def prepared(preparation: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a demo in a process in which something was replaced before."""
    script = f"""
from awaitbatch.cli import _demo as demo
from awaitbatch.cli import main
{preparation}
raise SystemExit(main({[*COMMAND[3:], *arguments]}))
"""
    return (sys.executable, "-c", script)


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    """A demo that has just begun; standard error is no terminal either."""
    with subprocess.Popen(
        prepared(HURRIED, "--jobs", "100"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], pattern: str) -> None:
    """Read what it prints until a line has a part that matches."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return
    pytest.fail(f"nothing matches {pattern!r} in {lines}")


def test_plain_lines_and_figures_that_agree() -> None:
    """Without a terminal it prints plain lines, whose last counts are those of the summary, and exits with 0."""
    done = subprocess.run(
        (*COMMAND, "--jobs", "30", *SHORT), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    last = re.findall(r"s: (\d+) SUCCEEDED, (\d+) FAILED; (\d+) DescribeJobs calls", done.stdout)[-1]
    jobs = re.search(r"Jobs +(\d+) succeeded, (\d+) failed", done.stdout)
    calls = re.search(r"DescribeJobs calls +(\d+), with", done.stdout)
    assert jobs
    assert calls
    assert last == (*jobs.groups(), calls[1])
    assert sum(map(int, jobs.groups())) == 30
    assert int(jobs[2]) > 0
    assert f"30 jobs awaited from one event loop with {calls[1]} DescribeJobs calls." in done.stdout
    assert "agrees with the outcome of every wait" in done.stdout


def test_terminal() -> None:
    """In a terminal it draws, and gives the cursor back."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        (*COMMAND, "--jobs", "5", *SHORT), stdout=theirs, env={**os.environ, "TERM": "xterm-256color"}
    ) as process:
        os.close(theirs)
        shown = b""
        # Linux reports the end of a terminal as an error, macOS as no more data.
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0
    assert b"5 jobs awaited from one event loop" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("Starting the server", signal.SIGINT),
        ("nothing submitted yet", signal.SIGINT),
        ("nothing submitted yet", signal.SIGTERM),
        (JOBS_BY_STATE, signal.SIGINT),
    ],
    ids=["start", "submission", "submission-SIGTERM", "wait"],
)
def test_a_signal_ends_all(running: subprocess.Popen[str], line: str, number: signal.Signals) -> None:
    """A signal at start-up, during submission or while waiting leaves no process, a short line, and its exit code."""
    wait_for_line(running, line)
    running.send_signal(number)
    # The server has inherited standard error: that this ends before the time-out proves that the server has ended too.
    _, complaint = running.communicate(timeout=60)
    assert complaint == f"Stopped by {number.name}; nothing is left running.\n"
    assert running.returncode == 128 + number


@pytest.mark.parametrize("line", ["awaitbatch demo", JOBS_BY_STATE], ids=["title", "progress"])
def test_a_reader_that_has_enough(running: subprocess.Popen[str], line: str) -> None:
    """When the other end of a pipe closes, as with head, the demo ends without a traceback, whoever was writing."""
    wait_for_line(running, line)
    assert running.stdout is not None
    running.stdout.close()
    # The server has inherited standard error, so it has ended too.
    _, complaint = running.communicate(timeout=60)
    assert (running.returncode, complaint) == (141, "")


def test_a_seed_repeats_the_jobs() -> None:
    """The same seed plans the same jobs, each within the bounds."""
    jobs = PLAN.life_cycles()
    assert jobs == PLAN.life_cycles()
    for job in jobs:
        assert 0.1 <= job.submitted + job.pending + job.runnable + job.starting + job.running <= 0.2


def run_after(preparation: str) -> subprocess.CompletedProcess[str]:
    """Run a demo of three jobs after something was replaced."""
    command = prepared(preparation, "--jobs", "3", *SHORT)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_disagreement_with_the_server_is_an_error() -> None:
    """When the server's record says otherwise, each job is named and the exit code is 1."""
    done = run_after("""
async def nothing(self):
    return demo.ServerRecord({}, {})
demo._Run._server_record = nothing
""")
    assert done.returncode == 1
    assert "DISAGREES in 6 points" in done.stdout
    assert done.stdout.count("error: job ") == 6


def test_a_server_that_does_not_start() -> None:
    """A server that ends at once ends the demo with a line and exit code 1."""
    done = run_after("""
Server = demo.ServerProcess
demo.ServerProcess = lambda: Server(module="this.is.none")
""")
    assert done.returncode == 1
    assert "awaitbatch demo: the server's process ended before it listened" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_cannot_be_reached() -> None:
    """Submissions that fail end the demo with the client's own words, not with a group of errors."""
    done = run_after("""
demo.BatchClient.STATUS_RETRIES = 1
class Unreachable(demo.ServerProcess):
    @property
    def client_arguments(self):
        return {**super().client_arguments, "endpoint_url": "http://127.0.0.1:9"}
demo.ServerProcess = Unreachable
""")
    assert done.returncode == 1
    # Before it there may be a WARNING, as soon as a second submission has failed.
    assert done.stderr.splitlines()[-1].startswith("awaitbatch demo: Could not connect to the endpoint URL")
    assert "Traceback" not in done.stderr
