"""``awaitbatch list``: the jobs of a queue, or the children of a parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awaitbatch._arrays import Children
from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._job_records import json_line, record_of_summary
from awaitbatch.cli._listing import counts_lines, listing
from awaitbatch.cli._selection import ListCount, matches, summaries_of_queue
from awaitbatch.cli._terminal import is_terminal

if TYPE_CHECKING:
    import argparse

    from awaitbatch import BatchClient, JobSummaries
    from awaitbatch.cli._terminal import Terminal


async def run(arguments: argparse.Namespace, client: BatchClient, terminal: Terminal) -> int:
    """Print the jobs.

    Args:
        arguments: The options.
        client: An open client.
        terminal: Where to print.

    Returns:
        The exit code.
    """
    jobs: list[Any] = []
    found = 0
    prints_each = arguments.ids or arguments.json
    # Who sees each job come need not be told.
    count = ListCount(arguments, None if prints_each and is_terminal(terminal.out) else terminal)
    async for job in await _summaries(arguments, client):
        count.add()
        if not matches(job.get("jobName"), arguments.name):
            continue
        found += 1
        if arguments.ids:
            terminal.result(job["jobId"])
        elif arguments.json:
            terminal.result(json_line(record_of_summary(job)))
        else:
            jobs.append(job)
    if not found:
        terminal.note(f"{arguments.prog}: there is no such job{_advice(arguments)}")
    width = terminal.width
    for line in listing(jobs, terminal.paint, width=width, is_ascii=terminal.is_ascii):
        terminal.result(line)
    if jobs and width is not None:
        for line in counts_lines(jobs, width):
            terminal.note(line)
    return ExitCode.DONE


async def _summaries(arguments: argparse.Namespace, client: BatchClient) -> JobSummaries:
    if arguments.children is None:
        return summaries_of_queue(client, arguments, arguments.status)
    parent = await client.describe(arguments.children)
    children = Children.of(parent)
    if children is None:
        message = f"job {arguments.children} is neither an array job nor a multi-node parallel job"
        raise CommandError(message)
    whose = "array_job_id" if "#" not in next(iter(children)) else "multi_node_job_id"
    return client.list_jobs(**{whose: arguments.children}, statuses=arguments.status or None)


def _advice(arguments: argparse.Namespace) -> str:
    if arguments.queue is not None and arguments.status is None and arguments.since is None:
        return " among those that have not ended; --since 1d and --status all also list ended ones"
    return ""
