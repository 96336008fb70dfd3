"""`awaitbatch.threads` in processes that are interrupted, that end, and that fork."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from awaitbatch.testing import BatchServer
from tests.support import LONG, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no forks, and signals of its own"
)


@pytest.fixture
async def server() -> AsyncIterator[BatchServer]:
    """A server on the loop of the test."""
    async with BatchServer() as server:
        yield server


async def start(server: BatchServer, name: str, job_id: str) -> asyncio.subprocess.Process:
    """Start a program."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "tests.threads.programs"),
        *(name, json.dumps(server.client_arguments), job_id),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_ctrl_c_ends_a_wait(server: BatchServer) -> None:
    """KeyboardInterrupt comes out of `wait_for_job` at once, the wait is taken back, and the process ends."""
    process = await start(server, "wait_in_main_thread", server.add_job(life_cycle=LONG))
    await until(lambda: server.statistics.calls["DescribeJobs"] > 0)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert out.decode().split() == ["0"]
    assert err.decode().endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT


async def test_ctrl_c_does_not_lose_a_job(server: BatchServer) -> None:
    """A submission that is on its way when its process is interrupted is not lost: a WARNING names the job."""
    server.latency = 0.5
    process = await start(server, "submit_in_main_thread", "")
    await until(lambda: server.statistics.calls["SubmitJob"] > 0)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    [job_id] = server._model.jobs
    assert job_id in err.decode()
    assert process.returncode == -signal.SIGINT


async def test_waits_in_daemon_threads_do_not_outlive_the_process(server: BatchServer) -> None:
    """The interpreter ends while daemon threads wait: it does not hang, and prints nothing."""
    process = await start(server, "leave_daemon_threads", server.add_job(life_cycle=LONG))
    out, err = await process.communicate()
    assert (process.returncode, out.decode(), err.decode()) == (0, "", "")


async def test_exit_handlers(server: BatchServer) -> None:
    """One that is called before the clients are closed can use them; one that comes later is told so, and not hung."""
    process = await start(server, "use_at_exit", server.add_job(life_cycle=LONG))
    try:
        async with asyncio.timeout(10):
            out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert (process.returncode, err.decode()) == (0, "")
    status, *refusals = out.decode().splitlines()
    assert status == "RUNNING"
    assert len(refusals) == 2
    assert all("after `import awaitbatch.threads`" in refusal for refusal in refusals)


async def test_a_fork(server: BatchServer) -> None:
    """A child is told not to use the client that it has inherited, and gets one of its own; the parent's goes on."""
    process = await start(server, "fork", server.add_job(life_cycle=LONG))
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    child, parent = out.decode().splitlines()
    refusal, status = json.loads(child)
    assert "the process that this one was forked from" in refusal
    assert status == "RUNNING"
    assert parent == "0 True"
