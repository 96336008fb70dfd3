"""The script that submits many jobs: what it prints, how it ends, and that it leaves no job to itself."""

from __future__ import annotations

import os
import pty
import signal
import termios
from itertools import count
from typing import TYPE_CHECKING

from awaitbatch.testing import BatchServer, Fault, LifeCycle
from tests.examples.support import line_with, running
from tests.support import LONG, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

PROMPT = ("queue", "definition", "--interval", "0.2", "--rate", "1000")
SHORT = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0.3)
FAILING = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0, outcome="FAILED", exit_code=3)


def all_but(failing: int) -> Callable[[Random], LifeCycle]:
    """Every 20th job fails, and so many in all; the others run for ever."""
    numbers = count()
    return lambda _: FAILING if (number := next(numbers)) % 20 == 0 and number < 20 * failing else LONG


def known(server: BatchServer) -> dict[str, str]:
    """The jobs that the server has accepted, by their states."""
    return {job_id: server.status_of(job_id) for job_id in server._model.jobs}


async def test_all_succeed() -> None:
    """Five hundred jobs are submitted, followed in shared calls, and told by their ids alone."""
    async with BatchServer(default_life_cycle=SHORT) as server:
        async with running("submit_many.py", *PROMPT, server=server) as process:
            out, err = await process.communicate()
        assert sorted(out.decode().split()) == sorted(known(server))
        assert set(known(server).values()) == {"SUCCEEDED"}
    assert process.returncode == 0
    assert err.decode().splitlines()[-1] == "500 of 500 jobs submitted: 500 SUCCEEDED"
    assert server.statistics.calls["SubmitJob"] == 500
    assert server.statistics.calls["DescribeJobs"] < 250


async def test_too_many_failures() -> None:
    """After the fifth failure no job is left running, not even one that was accepted while the script was leaving."""
    async with BatchServer(default_life_cycle=all_but(failing=5), latency=0.1) as server:
        async with running("submit_many.py", *PROMPT, server=server) as process:
            out, err = await process.communicate()
        assert sorted(out.decode().split()) == sorted(known(server))
        assert set(known(server).values()) == {"FAILED"}
    assert process.returncode == 1
    lines = err.decode().splitlines()
    assert "too many failures: the rest is terminated" in lines
    assert lines[-1].endswith(" jobs failed: 5 exit code 3")


async def test_refused_submissions() -> None:
    """Jobs that are not even accepted are failures, too, and their error is shown."""
    async with BatchServer() as server:
        server.inject(Fault.ACCESS_DENIED, operations=["SubmitJob"])
        async with running("submit_many.py", *PROMPT, server=server) as process:
            out, err = await process.communicate()
        assert known(server) == {}
    assert (process.returncode, out) == (1, b"")
    last = err.decode().splitlines()[-1]
    assert last.startswith("5 were not submitted, the first because of: An error occurred (AccessDenied")


async def test_ctrl_c_while_submitting() -> None:
    """SIGINT in the middle: what the server has accepted by then is terminated, and printed."""
    async with BatchServer(default_life_cycle=LONG, latency=0.1) as server:
        async with running("submit_many.py", *PROMPT, server=server) as process:
            await until(lambda: len(known(server)) > 100)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
        assert 100 < len(known(server)) < 500
        assert sorted(out.decode().split()) == sorted(known(server))
        assert set(known(server).values()) == {"FAILED"}
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "interrupted"
    # Fifty in each.
    assert server.statistics.calls["TerminateJobs"] < 20


async def test_on_a_terminal() -> None:
    """There, progress is one line that is written anew. Failures within bounds end nothing, and are counted."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (25, 40))
    lives = iter([FAILING, SHORT] * 10)
    try:
        async with BatchServer(default_life_cycle=lambda _: next(lives)) as server:
            arguments = (*PROMPT, "--jobs", "20", "--max-failures", "11")
            async with running("submit_many.py", *arguments, server=server, stderr=inner) as process:
                out, _ = await process.communicate()
        shown = os.read(outer, 100_000).decode()
    finally:
        os.close(outer)
        os.close(inner)
    assert (process.returncode, len(out.split())) == (1, 20)
    *written, last = shown.split("\r\x1b[K")[1:]
    assert last.splitlines() == [
        "20 of 20 jobs submitted: 10 SUCCEEDED, 10 FAILED",
        "10 of 20 jobs failed: 10 exit code 3",
    ]
    assert len(written) > 2
    # What is wider than the terminal, or has a line's end, would stay.
    assert all(len(line) < 40 and line.isprintable() for line in written)


async def test_it_plays_aws_batch_itself() -> None:
    """With --server it needs no other one, and Ctrl-C ends that, too."""
    async with (
        BatchServer() as unused,
        running("submit_many.py", "q", "d", "--server", server=unused) as process,
    ):
        await line_with(process.stdout, "-")
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    assert known(unused) == {}
