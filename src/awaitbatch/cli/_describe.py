"""``awaitbatch describe``: what AWS Batch knows of jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from awaitbatch import AwaitBatchError
from awaitbatch.cli._complaints import Complaints
from awaitbatch.cli._description import description
from awaitbatch.cli._job_records import json_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from awaitbatch import BatchClient
    from awaitbatch.cli._terminal import Terminal

AT_ONCE: Final = 1000
"""Jobs that are described at once, by ten calls, so that the first ones are shown soon and memory stays small."""


async def run(
    arguments: argparse.Namespace, job_ids: Sequence[str], client: BatchClient, terminal: Terminal
) -> int:
    """Print the descriptions of the jobs, in the order in which they were given.

    Args:
        arguments: The options.
        job_ids: The jobs.
        client: An open client.
        terminal: Where to print.

    Returns:
        The exit code.
    """
    complaints = Complaints(terminal, arguments.prog)
    is_first = True
    for begin in range(0, len(job_ids), AT_ONCE):
        for answer in await describe_each(client, job_ids[begin : begin + AT_ONCE]):
            if isinstance(answer, AwaitBatchError):
                complaints.add(answer)
            elif arguments.json:
                terminal.result(json_line(answer))
            else:
                if not is_first:
                    terminal.result()
                is_first = False
                for line in description(
                    answer, terminal.paint, width=terminal.width, region_name=terminal.region_name
                ):
                    terminal.result(line)
    complaints.conclude()
    return complaints.code


async def describe_each(
    client: BatchClient, job_ids: Sequence[str]
) -> list[Mapping[str, Any] | AwaitBatchError]:
    """The description of each job, or the error that says why there is none."""

    async def describe(job_id: str) -> Mapping[str, Any] | AwaitBatchError:
        try:
            return await client.describe(job_id)
        except AwaitBatchError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(describe(job_id)) for job_id in job_ids]
    return [task.result() for task in tasks]
