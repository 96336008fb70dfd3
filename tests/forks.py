"""A process that forks while its client is open: ``python -m tests.forks ARGUMENTS PARENT'S_JOB CHILDREN'S_JOB``.

The arguments are those of the client, as JSON. It writes what became of each child, and then of the parent's wait, a
line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import warnings
from typing import TYPE_CHECKING

from awaitbatch import BatchClient, ExponentialBackoff, FixedInterval

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CHILDREN = 2
# One that was made before the fork draws from what all schedules do, those of clients that are given none as well.
BACKOFF = ExponentialBackoff()


def make_client(arguments: str) -> BatchClient:
    """A client of a server of the test's."""
    return BatchClient(**json.loads(arguments), backoff=FixedInterval(0.1))


async def work_in_child(arguments: str, job_id: str, inherited: BatchClient) -> dict[str, object]:
    """What a child can do: not use the client that it has inherited, but open one of its own."""
    error = None
    try:
        await inherited.describe(job_id)
    except RuntimeError as refusal:
        error = str(refusal)
    async with make_client(arguments) as client:
        status = (await client.wait_for_job(job_id, 0))["status"]
    return {"status": status, "error": error, "draws": [BACKOFF.window(9) for _ in range(3)]}


def live_as_child(arguments: str, job_id: str, inherited: BatchClient, results: Connection) -> None:
    """Run a loop of one's own, and tell how it went."""
    results.send(asyncio.run(work_in_child(arguments, job_id, inherited)))


async def main(arguments: str, job_id: str, job_id_of_children: str) -> None:
    """Fork while a poll is under way, and end its job when the children are done."""
    # Python's own warning to who forks.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    fork = multiprocessing.get_context("fork")
    async with make_client(arguments) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id, 0))
        await client.describe(job_id)
        children = []
        for _ in range(CHILDREN):
            receiving, sending = fork.Pipe(duplex=False)
            child = fork.Process(target=live_as_child, args=(arguments, job_id_of_children, client, sending))
            child.start()
            sending.close()
            children.append((child, receiving))
        for child, receiving in children:
            found = await asyncio.to_thread(receiving.recv)
            await asyncio.to_thread(child.join)
            print(json.dumps(found | {"exit": child.exitcode}))  # noqa: T201
        assert not wait.done()
        await client.terminate_job(job_id, "enough")
        print(json.dumps({"status": (await wait)["status"]}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
