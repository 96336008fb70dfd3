"""How a wait shows how far it has come: a live picture, lines, or nothing."""

from __future__ import annotations

import asyncio
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, Self

from awaitbatch.cli._job_book import NOT_FOUND
from awaitbatch.cli._job_records import in_words
from awaitbatch.cli._plain_progress import PlainProgress
from awaitbatch.cli._summary import plural
from awaitbatch.cli._terminal import is_terminal

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

    from awaitbatch import BatchClient, JobStuck
    from awaitbatch.cli._job_book import JobBook, Row
    from awaitbatch.cli._terminal import Terminal

HINT: Final = 'for a live picture: pip install "awaitbatch[cli]"'


class Progress(Protocol):
    """What shows how far a wait has come, from ``with`` to the end.

    Attributes:
        period: Seconds between two calls of `refresh`.
    """

    period: float

    def tell(self, row: Row) -> None:
        """Something has become of a job."""

    def tell_stuck(self, row: Row, stuck: JobStuck) -> None:
        """A job has been RUNNABLE for long."""

    def refresh(self) -> None:
        """Show how far it has come."""

    def conclude(self) -> None:
        """Show what it came to."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def choose_progress(
    arguments: argparse.Namespace, terminal: Terminal, book: JobBook, client: BatchClient, began: float
) -> Progress:
    """What ``--progress`` asks for, and the terminal and what is installed allow.

    Args:
        arguments: The options of `add_common`.
        terminal: Where to show it.
        book: The jobs.
        client: Who checks them.
        began: When it began, by the clock of the event loop.
    """
    loop = asyncio.get_running_loop()

    def seconds() -> float:
        return loop.time() - began

    if arguments.progress == "none":
        return _NoProgress(terminal, arguments.prog)
    if arguments.progress != "plain" and is_terminal(terminal.err):
        if find_spec("rich") is not None:
            from awaitbatch.cli._live import WaitPicture

            return WaitPicture(terminal, book, client, seconds)
        terminal.note(HINT)

    def finish() -> str:
        return f"{in_words(seconds())}, {plural(client.statistics().calls, 'DescribeJobs call')}"

    return PlainProgress(terminal, book, finish, iso=arguments.timestamps)


class _NoProgress:
    """Says only what is wrong."""

    period = math.inf

    def __init__(self, terminal: Terminal, prog: str) -> None:
        self._terminal = terminal
        self._prog = prog
        self._not_found = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, row: Row) -> None:
        """Complain of a job that was not found; of many, of the first."""
        if row.status == NOT_FOUND:
            self._not_found += 1
            if self._not_found == 1:
                self._terminal.complain(f"{self._prog}: job {row.job_id}: {row.note}")

    def tell_stuck(self, row: Row, stuck: JobStuck) -> None:
        """Keep silent."""

    def refresh(self) -> None:
        """Keep silent."""

    def conclude(self) -> None:
        """Say how many more were not found."""
        if self._not_found > 1:
            self._terminal.complain(f"{self._prog}: {self._not_found - 1:,} more not found")
