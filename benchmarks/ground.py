"""What the measurements share: jobs in a server, and processes for what is measured."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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


async def ask_own_process(module: str, order: dict[str, Any]) -> dict[str, Any]:
    """Run a module as a program, which takes an order as JSON and prints what it found as JSON.

    Raises:
        RuntimeError: It failed; what it said about that is on standard error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate(json.dumps(order).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        message = f"a process of {module} ended with exit code {process.returncode}; its error is above"
        raise RuntimeError(message)
    found: dict[str, Any] = json.loads(output)
    return found
