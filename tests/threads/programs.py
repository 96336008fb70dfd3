"""Processes that use `awaitbatch.threads`: ``python -m tests.threads.programs NAME ARGUMENTS JOB_ID``.

The arguments are those of the client, as JSON.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import multiprocessing
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import awaitbatch.threads
from awaitbatch._loop_thread import LoopThread, _lock

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def wait_in_main_thread(arguments: dict[str, Any], job_id: str) -> None:
    """Wait until somebody presses Ctrl-C; then say how many waits there are."""
    with awaitbatch.threads.shared(**arguments) as client:
        try:
            client.wait_for_job(job_id)
        finally:
            client.describe(job_id)
            print(client.statistics().pending)  # noqa: T201


def submit_in_main_thread(arguments: dict[str, Any], _: str) -> None:
    """Submit a job until somebody presses Ctrl-C."""
    with awaitbatch.threads.shared(**arguments) as client:
        client.submit_job(jobName="n", jobQueue="q", jobDefinition="d")


def leave_daemon_threads(arguments: dict[str, Any], job_id: str) -> None:
    """End while daemon threads wait, in each of the ways there are."""

    def block() -> None:
        with awaitbatch.threads.shared(**arguments) as client:
            clients.append(client)
            client.wait_for_job(job_id)

    async def wait() -> None:
        async with awaitbatch.threads.shared(**arguments) as client:
            await client.wait_for_job(job_id)

    clients: list[awaitbatch.threads.BlockingClient] = []
    for target in (block, block, lambda: asyncio.run(wait())):
        threading.Thread(target=target, daemon=True).start()
    while not clients or clients[0].statistics().pending < 3:
        time.sleep(0.01)


def use_at_exit(arguments: dict[str, Any], job_id: str) -> None:
    """End with exit handlers that use a client, one of which is called after those of awaitbatch."""

    def describe() -> None:
        try:
            print(client.describe(job_id)["status"])  # noqa: T201
        except awaitbatch.ClientClosedError as error:
            print(error)  # noqa: T201

    def open_another() -> None:
        try:
            with awaitbatch.threads.shared(**arguments):
                pass
        except awaitbatch.ClientClosedError as error:
            print(error)  # noqa: T201

    # Of the client that is left too late.
    warnings.simplefilter("ignore", ResourceWarning)
    # The last one that was registered is called first.
    atexit.unregister(LoopThread.end_with_the_process)
    context = awaitbatch.threads.shared(**arguments)
    client = context.__enter__()
    client.describe(job_id)
    atexit.register(context.__exit__, None, None, None)
    atexit.register(open_another)
    atexit.register(describe)
    atexit.register(LoopThread.end_with_the_process)
    atexit.register(describe)


def fork(arguments: dict[str, Any], job_id: str) -> None:
    """Fork while a client is open, while a thread waits by way of it, and while another one holds the lock."""
    # Python's own warning to who forks.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    context = multiprocessing.get_context("fork")
    with awaitbatch.threads.shared(**arguments) as client:
        waiting = threading.Thread(target=client.wait_for_job, args=(job_id,))
        waiting.start()
        client.describe(job_id)
        receiving, sending = context.Pipe(duplex=False)
        child = context.Process(target=live_as_child, args=(client, arguments, job_id, sending))
        starting = threading.Thread(target=hold_the_lock, args=(begun := threading.Event(),))
        starting.start()
        begun.wait()
        child.start()
        print(json.dumps(receiving.recv()))  # noqa: T201
        child.join()
        print(child.exitcode, waiting.is_alive())  # noqa: T201
        client.terminate_job(job_id, "enough")
        waiting.join()


def hold_the_lock(begun: threading.Event) -> None:
    """Be in the middle of starting the thread of all, as far as others can see."""
    with _lock:
        begun.set()
        time.sleep(0.1)


def live_as_child(
    inherited: awaitbatch.threads.BlockingClient, arguments: dict[str, Any], job_id: str, results: Connection
) -> None:
    """What a child can do: not use the client that it has inherited, but open one of its own."""
    try:
        inherited.describe(job_id)
    except awaitbatch.ClientClosedError as error:
        refusal = str(error)
    with awaitbatch.threads.shared(**arguments) as client:
        status = client.describe(job_id)["status"]
    results.send([refusal, status])


if __name__ == "__main__":
    globals()[sys.argv[1]](json.loads(sys.argv[2]), sys.argv[3])
