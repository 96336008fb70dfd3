"""The loop under most tests keeps its word, or nothing that they prove would hold."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time

import anyio
import anyio.to_thread
import pytest

from awaitbatch.testing import virtual_time
from awaitbatch.testing.virtual_time import DeadlockError, RealIOError, VirtualTimeLoop

pytestmark = pytest.mark.virtual_time


async def test_the_clock_jumps_to_the_next_timer() -> None:
    """An hour passes in no time, and asyncio and anyio agree on the moment."""
    begun = time.monotonic()
    await asyncio.sleep(3600)
    assert (asyncio.get_running_loop().time(), anyio.current_time()) == (3600.0, 3600.0)
    assert time.monotonic() - begun < 1


async def test_timers_fire_in_order_and_at_their_moments() -> None:
    """Each sleeper wakes at exactly the moment it asked for, however the moments are rounded."""
    loop = asyncio.get_running_loop()
    delays = [0.3, 0.1, 86_400.7, 0.2, 1e6 + 0.1]
    woken: list[float] = []

    async def sleep(delay: float) -> None:
        await asyncio.sleep(delay)
        woken.append(loop.time())

    await asyncio.gather(*map(sleep, delays))
    assert woken == sorted(delays)


async def test_the_clock_stands_still_while_there_is_work() -> None:
    """A thousand turns of the loop take no virtual time."""
    for _ in range(1000):
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.parametrize("run_sync", [asyncio.to_thread, anyio.to_thread.run_sync])
async def test_a_thread_holds_the_clock(run_sync: object) -> None:
    """A time-out does not pass while a thread works, whichever library started it."""
    assert callable(run_sync)
    async with asyncio.timeout(0.001):
        await run_sync(time.sleep, 0.05)
    assert asyncio.get_running_loop().time() == 0


def test_a_deadlock_is_an_error_that_names_who_waits() -> None:
    """Waiting for what never comes ends the test at once instead of hanging it, and the loop can still be closed."""

    async def wait_for_ever() -> None:
        await asyncio.sleep(2)
        await asyncio.Event().wait()

    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        pytest.raises(DeadlockError, match=r"(?s)deadlock at 2\.0 s.*wait_for_ever"),
    ):
        runner.run(wait_for_ever())


async def test_real_io_ends_a_test_as_a_deadlock_does() -> None:
    """The error comes out of the test itself, at what it waits for, and the task that ran it goes on unharmed."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    task = asyncio.current_task()
    assert task is not None

    async def connect() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)  # noqa: FBT003
            await loop.sock_accept(server)

    with pytest.raises(RealIOError, match="its socket at 127") as caught:
        await loop.run_test(connect())
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert task.cancelling() == 0


def test_a_timer_that_comes_again_and_again_keeps_no_test_alive() -> None:
    """A run that jumps too often ends as in a deadlock, and cleans up; the one before it does not count."""
    left: list[float] = []

    async def beat(times: float) -> None:
        while times > 0:
            await asyncio.sleep(1)
            times -= 1

    async def wait_for_ever() -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(beat(math.inf))
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            left.append(loop.time())

    class Patient(VirtualTimeLoop):
        most_jumps = 1000

    with asyncio.Runner(loop_factory=Patient) as runner:
        runner.run(beat(900))
        with pytest.raises(
            DeadlockError, match=r"(?s)at 1900\.0 s: the clock has jumped 1,000 times.*wait_for_"
        ):
            runner.run(wait_for_ever())
    assert left == [1901.0]
    assert VirtualTimeLoop.most_jumps == 200_000


def test_closing_waits_for_abandoned_threads() -> None:
    """The end of a loop's default executor is no deadlock, though only a thread can bring it about."""
    done: list[bool] = []

    def work() -> None:
        time.sleep(0.02)
        done.append(True)

    async def abandon() -> None:
        asyncio.get_running_loop().run_in_executor(None, work).cancel()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(abandon())
    assert done == [True]


def test_run_runs_a_coroutine_in_virtual_time() -> None:
    """It gives the result, like asyncio.run; and so does anyio.run with the backend that the module names."""

    async def main() -> float:
        await anyio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == 86_400.0
    library, options = virtual_time.ANYIO_BACKEND
    assert anyio.run(main, backend=library, backend_options=options) == 86_400.0


def test_a_real_socket_is_an_error_that_names_it() -> None:
    """Waiting for an answer ends at once and says whose, no time-out passes, and what cleans up may take its time."""
    left: list[float] = []

    async def call(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(30):
                await asyncio.sleep(2)
                await loop.sock_recv(connection, 1)
        finally:
            await asyncio.sleep(5)
            left.append(loop.time())

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(server.getsockname()) as connection:
            connection.setblocking(False)  # noqa: FBT003
            with pytest.raises(RealIOError, match=rf"after 2 s .* its connection to 127\.0\.0\.1:{port}\. "):
                virtual_time.run(call(connection))
    assert left == [7.0]


def test_each_real_file_is_an_error_once() -> None:
    """A port on which the loop listens is named, and a pipe such as a child process has; one that is gone is not."""

    async def listen(server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(server, list)
        await asyncio.sleep(1)

    async def read(pipe: int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe, list)
        await asyncio.sleep(1)

    readable, writable = os.pipe()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        with pytest.raises(RealIOError, match=r" its socket at 127\.0\.0\.1:\d+\. "):
            runner.run(listen(server))
        with pytest.raises(RealIOError, match=rf"file descriptor {readable}, such as a pipe"):
            runner.run(read(readable))
        runner.run(asyncio.sleep(1))
        runner.get_loop().remove_reader(readable)
        runner.run(asyncio.sleep(1))
        with pytest.raises(RealIOError, match=f"file descriptor {readable},"):
            runner.run(read(readable))
    os.close(readable)
    os.close(writable)
