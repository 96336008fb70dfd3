"""The jobs that a command is about: given by their ids, or as those of a queue."""

from __future__ import annotations

import asyncio
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from awaitbatch import JobStatus
from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._summary import plural
from awaitbatch.cli._terminal import is_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from awaitbatch import BatchClient, JobSummaries
    from awaitbatch.cli._terminal import Terminal

_NOT_ENDED: Final = [status for status in JobStatus if status not in {JobStatus.SUCCEEDED, JobStatus.FAILED}]
_FEW: Final = 1000
_INTERVAL_OF_FEW: Final = 10.0
_INTERVAL_OF_MANY: Final = 30.0
_FIRST_COUNT: Final = 5.0
"""Seconds that a list may take without a word in a terminal; further words come ever more rarely."""
_FIRST_COUNT_ELSEWHERE: Final = 30.0
_RAREST_COUNT: Final = 60.0


class ListCount:
    """Says every now and then how many jobs were listed so far: what takes minutes must not seem to hang.

    Args:
        arguments: Of them, ``prog``.
        terminal: Where to say it; None for nowhere.
    """

    def __init__(self, arguments: argparse.Namespace, terminal: Terminal | None) -> None:
        self._prog = arguments.prog
        self._terminal = terminal
        self._time = asyncio.get_running_loop().time
        is_seen = terminal is not None and is_terminal(terminal.err)
        self._pause = _FIRST_COUNT if is_seen else _FIRST_COUNT_ELSEWHERE
        self._next = self._time() + self._pause
        self._jobs = 0

    def add(self) -> None:
        """There is one more."""
        self._jobs += 1
        if self._terminal is not None and self._time() >= self._next:
            self._terminal.note(f"{self._prog}: {plural(self._jobs, 'job')} listed so far")
            self._pause = min(2 * self._pause, _RAREST_COUNT)
            self._next = self._time() + self._pause


async def jobs_of_queue(client: BatchClient, arguments: argparse.Namespace, terminal: Terminal) -> list[str]:
    """The ids of the queue's jobs that are meant, as they are now.

    Raises:
        CommandError: There is no job of such a name.
    """
    since, name = arguments.since, arguments.name
    count = ListCount(arguments, None if arguments.progress == "none" else terminal)
    ids = []
    async for job in summaries_of_queue(client, arguments):
        count.add()
        if matches(job.get("jobName"), name):
            ids.append(job["jobId"])
    if not ids and name is not None:
        which = "that has not ended" if since is None else "that is as young"
        advice = "; --since also takes ended ones" if since is None else ""
        message = f"queue {arguments.queue} has no job {which} and is named {name!r}{advice}"
        raise CommandError(message, ExitCode.NOT_FOUND)
    return ids


def summaries_of_queue(
    client: BatchClient, arguments: argparse.Namespace, statuses: Sequence[str] | None = None
) -> JobSummaries:
    """The queue's jobs that were created since then, or that have not ended, or that are in these states.

    Args:
        client: An open client.
        arguments: Of them, ``queue`` and ``since``.
        statuses: The states; none at all for every state, and None for what ``since`` makes of it.
    """
    since: float | None = arguments.since
    if since is None:
        wanted = _NOT_ENDED if statuses is None else [JobStatus(status) for status in statuses]
        return client.list_jobs(arguments.queue, statuses=wanted or None)
    wanted = [JobStatus(status) for status in statuses or ()]
    moment = str(since_in_milliseconds(since))
    return client.list_jobs(
        arguments.queue,
        statuses=wanted or None,
        filters=[{"name": "AFTER_CREATED_AT", "values": [moment]}],
    )


def matches(name: object, pattern: str | None) -> bool:
    """Whether a job of this name is meant."""
    return pattern is None or (isinstance(name, str) and fnmatchcase(name, pattern))


def since_in_milliseconds(seconds: float) -> int:
    """The moment so many seconds ago, in epoch milliseconds."""
    return max(0, int((time.time() - seconds) * 1000))


def interval_of(arguments: argparse.Namespace, jobs: int) -> float:
    """The longest pause between two checks of a job, in seconds."""
    given: float | None = arguments.interval
    if given is not None:
        return given
    return _INTERVAL_OF_FEW if jobs <= _FEW else _INTERVAL_OF_MANY
