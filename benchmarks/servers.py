"""What the measurements ask of a server: jobs to await, and what a client needs to reach it."""

from __future__ import annotations

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
    wanted = {"count": count, "ranges": {**ranges, "running": running}, "seed": seed}
    job_ids: list[str] = await server.control("POST", "jobs", wanted)
    return job_ids


def arguments_for(server: ServerProcess) -> dict[str, Any]:
    """What a client of that server has to be made with."""
    # Other than dict[str, str], this fits beside arguments of other types.
    return {**server.client_arguments}
