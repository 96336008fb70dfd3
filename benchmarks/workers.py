"""Worker processes: what is measured runs in one of its own, and answers each line of JSON with another."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

from benchmarks.peers.processes import started

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator


class Worker:
    """A module that runs in a process of its own and answers requests, one after the other."""

    def __init__(self, module: str, process: asyncio.subprocess.Process) -> None:
        self._module = module
        self._process = process

    async def ask(self, request: object) -> Any:  # noqa: ANN401
        """Send a request, and return the answer once it is there.

        Raises:
            RuntimeError: The process has ended; what it said about that is on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        answer = await self._process.stdout.readline()
        while answer and not answer.startswith(b"{"):
            # A program that runs the module, such as a profiler, may print lines of its own.
            answer = await self._process.stdout.readline()
        if not answer:
            await self._process.wait()
            raise _failed(self._module, self._process)
        return json.loads(answer)["answer"]


@asynccontextmanager
async def worker(module: str, *wrapper: str, **environment: str) -> AsyncIterator[Worker]:
    """Run a module as a worker inside ``async with``, which waits for its end.

    Args:
        module: What is run.
        wrapper: A program that runs it, with its arguments, such as a profiler.
        environment: Environment variables beside ours.

    Raises:
        RuntimeError: It failed; what it said about that is on standard error.
    """
    command = (*wrapper, sys.executable, "-m", module)
    env = {**os.environ, **environment}
    async with started(*command, stdin=PIPE, stdout=PIPE, env=env) as process:
        yield Worker(module, process)
        assert process.stdin is not None
        process.stdin.close()
        if await process.wait():
            raise _failed(module, process)


def _failed(module: str, process: asyncio.subprocess.Process) -> RuntimeError:
    return RuntimeError(
        f"a process of {module} ended with exit code {process.returncode}; its error, if any, is above"
    )


def read_request() -> Any:  # noqa: ANN401
    """In a worker: wait for the next request; the event loop and all of its tasks wait, too.

    Raises:
        SystemExit: The process that sends the requests is gone.
    """
    line = sys.stdin.readline()
    if not line:
        sys.exit("the process that sends the requests is gone")
    return json.loads(line)


def send_answer(answer: object) -> None:
    """In a worker: answer a request."""
    print(json.dumps({"answer": answer}), flush=True)
