"""``awaitbatch watch``: shows jobs as they change."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from awaitbatch import DescribeError, ExponentialBackoff, JobChange, JobNotFoundError, JobStuck
from awaitbatch.cli._errors import explain
from awaitbatch.cli._exit_codes import ExitCode, worst
from awaitbatch.cli._job_book import STUCK_AFTER, JobBook
from awaitbatch.cli._job_records import json_line, record_of
from awaitbatch.cli._plain_progress import Lines
from awaitbatch.cli._progress import HINT
from awaitbatch.cli._selection import interval_of, matches, since_in_milliseconds
from awaitbatch.cli._terminal import is_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from awaitbatch import BatchClient, JobChanges, JobTrouble
    from awaitbatch.cli._live import WatchPicture
    from awaitbatch.cli._terminal import Terminal

_MOST_ENDED = 1000
"""Rows of a queue's jobs that have ended, which may be any number in the course of time."""


async def run(
    arguments: argparse.Namespace, job_ids: Sequence[str], client: BatchClient, terminal: Terminal
) -> int:
    """Show the jobs, or those of the queue, until they have ended or somebody presses q.

    Args:
        arguments: The options.
        job_ids: The jobs, if no queue is given.
        client: An open client.
        terminal: Where to print.

    Returns:
        The exit code.
    """
    backoff = ExponentialBackoff(interval_of(arguments, len(job_ids)))
    if arguments.queue is None:
        changes = client.watch(job_ids, stuck_after=STUCK_AFTER, backoff=backoff)
    else:
        since = None if arguments.since is None else since_in_milliseconds(arguments.since)
        changes = client.watch_queue(arguments.queue, since=since, stuck_after=STUCK_AFTER, backoff=backoff)
    return await _Watch(arguments, job_ids, changes, terminal).run()


class _Watch:
    """What is shown of a stream of changes."""

    def __init__(
        self, arguments: argparse.Namespace, job_ids: Sequence[str], changes: JobChanges, terminal: Terminal
    ) -> None:
        self._arguments = arguments
        self._changes = changes
        self._terminal = terminal
        self._book = JobBook(job_ids, None if arguments.queue is None else _MOST_ENDED)
        self._is_silent = arguments.json or arguments.progress == "none"
        self._lines = Lines(terminal.result, terminal.paint, iso=arguments.timestamps)
        self._picture: WatchPicture | None = None
        self._codes: set[int] = set()
        self._complaints: set[str] = set()

    async def run(self) -> int:
        """Show what comes, and return the exit code."""
        with ExitStack() as stack:
            if (
                not self._is_silent
                and self._arguments.progress != "plain"
                and is_terminal(self._terminal.out)
            ):
                self._begin_picture(stack)
            async with asyncio.TaskGroup() as group, self._changes:
                drawing = group.create_task(self._keep_drawing())
                try:
                    async for item in self._changes:
                        self._on_item(item)
                finally:
                    drawing.cancel()
        return worst(self._codes)

    def _begin_picture(self, stack: ExitStack) -> None:
        if find_spec("rich") is None:
            self._terminal.note(HINT)
            return
        from awaitbatch.cli._live import WatchPicture, on_key

        can_quit = stack.enter_context(on_key("q", self._changes.close))
        self._picture = stack.enter_context(WatchPicture(self._terminal, self._book, can_quit=can_quit))

    async def _keep_drawing(self) -> None:
        while self._picture is not None:
            self._picture.refresh()
            await asyncio.sleep(self._picture.period)

    def _on_item(self, item: JobChange | JobTrouble | JobStuck) -> None:
        if isinstance(item, JobChange):
            self._on_change(item)
        elif isinstance(item, JobStuck):
            row = self._book.note_stuck(item)
            if self._shows_lines:
                self._lines.tell_stuck(row, item)
        else:
            self._on_trouble(item)

    def _on_change(self, change: JobChange) -> None:
        try:
            job: Mapping[str, Any] = change.job
        except DescribeError:
            # Its status could be read, which is what matters.
            job = {"jobId": change.job_id, "status": change.status}
        if not matches(job.get("jobName"), self._arguments.name):
            # The queue has others, too.
            self._changes.discard(change.job_id)
            return
        row = self._book.note_change(change, job)
        if self._arguments.json:
            self._terminal.result(json_line(record_of(job, self._terminal.region_name)))
        elif self._shows_lines:
            self._lines.tell(row)

    def _on_trouble(self, trouble: JobTrouble) -> None:
        row, error = self._book.note_trouble(trouble), trouble.error
        told = explain(error)
        if self._arguments.json:
            record = {"jobId": trouble.job_id, "status": None, "error": row.note}
            self._terminal.result(json_line(record))
        if isinstance(error, JobNotFoundError):
            if self._arguments.queue is None:
                self._codes.add(ExitCode.NOT_FOUND)
            if self._shows_lines:
                self._lines.tell(row)
            return
        self._codes.add(told.code if told else ExitCode.AWS)
        if (text := str(told or error)) not in self._complaints:
            self._complaints.add(text)
            self._terminal.complain(f"{self._arguments.prog}: {text}")

    @property
    def _shows_lines(self) -> bool:
        return not self._is_silent and self._picture is None
