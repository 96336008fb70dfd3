"""What the measurements share: jobs in a server, and processes for what is measured."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import TYPE_CHECKING, Any, Final

from benchmarks.peers.processes import started

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from awaitbatch.testing import ServerProcess

FOREVER: Final = 1e6
"""Seconds in RUNNING of a job that outlasts every measurement; JSON has no infinity."""


async def add_running_jobs(
    server: ServerProcess, count: int, *, running: tuple[float, float] = (FOREVER, FOREVER), seed: int = 1
) -> list[str]:
    """Add jobs that run already, and return their ids.

    Args:
        server: Where to add them.
        count: How many.
        running: Least and most seconds for which they run.
        seed: Another one gives other ids.
    """
    ranges = dict.fromkeys(("submitted", "pending", "runnable", "starting"), (0, 0))
    order = {"count": count, "ranges": {**ranges, "running": running}, "seed": seed}
    job_ids: list[str] = await server.control("POST", "jobs", order)
    return job_ids


def arguments_for(server: ServerProcess) -> dict[str, Any]:
    """What a client of that server has to be made with."""
    # Other than dict[str, str], this fits beside arguments of other types.
    return {**server.client_arguments}


class Program:
    """A module that runs as a program of its own and answers each line of JSON with one."""

    def __init__(self, module: str, process: asyncio.subprocess.Process) -> None:
        self._module = module
        self._process = process

    async def ask(self, order: object) -> Any:  # noqa: ANN401
        """Give an order, and wait until it is carried out.

        Raises:
            RuntimeError: The program has ended; what it said about that is on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = await self._process.stdout.readline()
        while answer and not answer.startswith(b"{"):
            # A program that runs this one may have something to say itself.
            answer = await self._process.stdout.readline()
        if not answer:
            await self._process.wait()
            raise _failed(self._module, self._process)
        return json.loads(answer)["found"]


@asynccontextmanager
async def own_process(module: str, *wrapper: str, **environment: str) -> AsyncIterator[Program]:
    """Run a module inside ``async with``, which waits for its end.

    Args:
        module: What is run.
        wrapper: A program that runs it, with its arguments, such as a profiler.
        environment: What is added to ours.

    Raises:
        RuntimeError: It failed; what it said about that is on standard error.
    """
    command = (*wrapper, sys.executable, "-m", module)
    env = {**os.environ, **environment}
    async with started(*command, stdin=PIPE, stdout=PIPE, env=env) as process:
        yield Program(module, process)
        assert process.stdin is not None
        process.stdin.close()
        if await process.wait():
            raise _failed(module, process)


def _failed(module: str, process: asyncio.subprocess.Process) -> RuntimeError:
    return RuntimeError(
        f"a process of {module} ended with exit code {process.returncode}; its error, if any, is above"
    )


def read_order() -> Any:  # noqa: ANN401
    """In such a program: wait for the next order; the event loop and all of its tasks wait, too.

    Raises:
        SystemExit: Whoever gives the orders is gone.
    """
    line = sys.stdin.readline()
    if not line:
        sys.exit("nobody gives orders any more")
    return json.loads(line)


def answer_order(found: object) -> None:
    """In such a program: say what an order has led to."""
    print(json.dumps({"found": found}), flush=True)
