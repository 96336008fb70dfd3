"""Trouble with jobs, told once where it is the same for many, and made an exit code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from awaitbatch import JobNotFoundError, TerminationError
from awaitbatch._core.text import message_of
from awaitbatch.cli._errors import explain
from awaitbatch.cli._exit_codes import ExitCode, worst

if TYPE_CHECKING:
    from awaitbatch.cli._terminal import Terminal

_MOST_NOT_FOUND: Final = 10
"""So many jobs that are not found are named."""


class Complaints:
    """Prints what is wrong with jobs, as long as it is news.

    Args:
        terminal: Where to print.
        prog: Who complains.
    """

    def __init__(self, terminal: Terminal, prog: str) -> None:
        self._terminal = terminal
        self._prog = prog
        self._counts: Counter[str] = Counter()
        self._codes: set[int] = set()

    @property
    def code(self) -> int:
        """The exit code that all of it comes to."""
        return worst(self._codes)

    def add(self, error: Exception) -> str:
        """A job has met with this error; gives it in words."""
        told = explain(error)
        text, code = (str(told), told.code) if told is not None else (message_of(error), ExitCode.AWS)
        self._codes.add(code)
        kind = _kind(error, text)
        self._counts[kind] += 1
        if self._counts[kind] <= _most(kind):
            self._terminal.complain(f"{self._prog}: {text}")
        return text

    def conclude(self) -> None:
        """Say how many were not named."""
        for kind, count in self._counts.items():
            more = count - _most(kind)
            if more > 0:
                # A code is worth repeating, and a sentence is not.
                likewise = f"likewise: {kind}" if kind.isidentifier() else "likewise"
                jobs = f"{more:,} more {'job' if more == 1 else 'jobs'} {likewise if kind else 'not found'}"
                self._terminal.complain(f"{self._prog}: {jobs}")


def _kind(error: Exception, text: str) -> str:
    """What makes the errors of two jobs the same; empty for jobs that are not found."""
    if isinstance(error, JobNotFoundError):
        return ""
    return error.code if isinstance(error, TerminationError) and error.code else text


def _most(kind: str) -> int:
    # A refusal or an outage is hardly one job's fault, and one line is enough.
    return 1 if kind else _MOST_NOT_FOUND
