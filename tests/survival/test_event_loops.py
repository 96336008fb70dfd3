"""Event loops as others run them: several in threads, with eager tasks, and some that end while a client is open."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import BatchServer, Fault
from awaitbatch.testing.virtual_time import VirtualTimeLoop
from tests.shell.support import FaultyTransport
from tests.support import ENDED, LONG, make_client, make_server

from .support import check_truth, inject_faults, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

JOBS = 200


async def await_many(share: float) -> int:
    """Await jobs of a server of one's own, so large a share of whose calls fails; how many waits ended."""
    server = make_server(description_bytes=0)
    if share:
        inject_faults(server, share)
    job_ids = [server.add_job() for _ in range(JOBS)]
    async with make_client(server, backoff=FixedInterval(5), max_calls_per_second=50) as client:
        ends = await wait_for_all(client, job_ids)
        check_truth(server, ends)
        assert client.statistics().pending == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return len(ends)


@pytest.fixture
def _many_switches() -> Iterator[None]:
    """Let threads take turns a hundred times as often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 100)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_many_switches")
def test_loops_in_threads() -> None:
    """Two threads, each with a loop and a client of its own, work side by side, and all waits end with the truth."""
    together = threading.Barrier(2)
    ended: list[int | Exception] = []

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                together.wait(10)
                ended.extend(runner.run(await_many(share)) for share in (0.0, 0.2))
        except Exception as error:  # noqa: BLE001
            ended.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ended == [JOBS] * 4


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
class TestEagerTasks:
    """On a loop whose tasks run at once when they are created, until they first wait."""

    def make_loop(self) -> VirtualTimeLoop:
        """A loop with eager tasks."""
        loop = VirtualTimeLoop()
        # For mypy, which reads this as Python 3.11.
        factory = "eager_task_factory"
        loop.set_task_factory(getattr(asyncio, factory))
        return loop

    @pytest.mark.parametrize("share", [0.0, 0.2])
    def test_all_waits_end(self, share: float) -> None:
        """All waits end with the truth, whether or not calls fail, and no task is left."""
        with asyncio.Runner(loop_factory=self.make_loop) as runner:
            assert runner.run(await_many(share)) == JOBS

    def test_one_open_fails_and_one_is_cancelled(self) -> None:
        """An open that fails before it ever waits raises as it is, and one that is given up leaves no task."""

        class Broken(FaultyTransport):
            async def open(self) -> None:
                message = "no credentials"
                raise PermissionError(message)

        class Slow(FaultyTransport):
            async def open(self) -> None:
                await asyncio.sleep(60)

        async def open_both() -> None:
            with pytest.raises(PermissionError, match="no credentials"):
                await make_client(Broken(make_server())).open()
            opening = asyncio.create_task(make_client(Slow(make_server())).open())
            await asyncio.sleep(1)
            opening.cancel()
            (outcome,) = await asyncio.gather(opening, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with asyncio.Runner(loop_factory=self.make_loop) as runner:
            runner.run(open_both())

    def test_cancelled_waits(self) -> None:
        """Waits that are cancelled leave at once, and the others go on."""

        async def cancel_some() -> None:
            server = make_server()
            server.inject(Fault.SERVER_EXCEPTION, calls=1)
            async with make_client(server, backoff=FixedInterval(1)) as client:
                job_ids = [server.add_job(life_cycle=LONG) for _ in range(20)]
                waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
                ending = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=ENDED), 0))
                await asyncio.sleep(0)
                for wait in waits:
                    wait.cancel()
                outcomes = await asyncio.gather(*waits, return_exceptions=True)
                assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
                assert client.statistics().pending == 1
                assert (await ending)["status"] == "SUCCEEDED"

        with asyncio.Runner(loop_factory=self.make_loop) as runner:
            runner.run(cancel_some())


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="asyncio itself wants more of a task factory since then"
)
async def test_a_task_factory_from_before_python_3_11() -> None:
    """Though it accepts no ``context=``, clients open, shared or not, and submit, await and list what is there."""
    loop = asyncio.get_running_loop()
    server = make_server()
    request: SubmitJobRequestTypeDef = {"jobName": "n", "jobQueue": "queue", "jobDefinition": "d"}
    loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
    try:
        for client in (make_client(server), BatchClient.shared(transport=server.transport(), linger=0)):
            async with client:
                job_id = (await client.submit_job(**request))["jobId"]
                assert (await client.wait_for_job(job_id, 0))["status"] == "SUCCEEDED"
                assert [job["jobId"] async for job in client.list_jobs("queue")] != []
                await client.wait_for_job_queue("queue")
        # The shared client closes after its last user has gone.
        await asyncio.sleep(1)
    finally:
        # pytest-asyncio's own tasks have a context.
        loop.set_task_factory(None)


async def leave_one_open() -> tuple[BatchClient, list[asyncio.Task[Any]]]:
    """Open a client, and let polls and a call be under way."""
    server = BatchServer(seed=1)
    answers = 2
    transport = server.transport(latency=lambda: 0.01 if client.statistics().calls < answers else 60)
    client = BatchClient(transport=transport, backoff=FixedInterval(0.01))
    await client.open()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
    waits = [asyncio.create_task(client.poll_job_status(job_id, ["FAILED"])) for job_id in job_ids]
    while client.statistics().calls < answers:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert (client.statistics().pending, client.statistics().in_flight) == (3, 1)
    return client, waits


def end_loops() -> None:
    """End loops on which a client is open; in a process of its own, since some of it is never cleared away."""
    asyncio.run(leave_one_open())
    gc.collect()
    print("run", file=sys.stderr)  # noqa: T201
    for close in (True, False):
        loop = asyncio.new_event_loop()
        left = loop.run_until_complete(leave_one_open())
        if close:
            loop.close()
        del loop, left
        gc.collect()


def test_loops_that_end_while_a_client_is_open() -> None:
    """What asyncio.run cancels ends in silence; and of loops that are closed or dropped with all that is on them,
    asyncio may name tasks that were pending, but there is no error that nobody retrieved and no coroutine that cannot
    end.
    """
    code = "from tests.survival.test_event_loops import end_loops; end_loops()"
    command = (sys.executable, "-W", "error", "-c", code)
    environment = os.environ | {"PYTHONASYNCIODEBUG": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    # In debug mode asyncio names turns that took long, as any may on a busy machine.
    in_run, _, later = re.sub(r"Executing .* seconds\n", "", done.stderr).partition("run\n")
    assert (done.returncode, in_run) == (0, "")
    assert not re.search("never retrieved|never awaited|GeneratorExit|ignored", later)
