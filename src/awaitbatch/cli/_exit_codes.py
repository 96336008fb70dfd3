"""How the command ends: its exit codes, and the error that carries one."""

from __future__ import annotations

import signal
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    JOB_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    AWS = 4
    TIMED_OUT = 124
    INTERRUPTED = 128 + signal.SIGINT
    PIPE_CLOSED = 141
    """What a shell shows of a program that SIGPIPE has ended; nobody reads the output any more."""
    TERMINATED = 128 + signal.SIGTERM


_PRECEDENCE: Final = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.USAGE,
    ExitCode.AWS,
    ExitCode.NOT_FOUND,
    ExitCode.JOB_FAILED,
    ExitCode.TIMED_OUT,
)

EPILOG: Final = """\
exit codes:
  0    all is as asked
  1    a job FAILED
  2    the command line makes no sense, or an id is malformed; nothing was sent
  3    a job was not found
  4    AWS refused, or was never reached
  124  the time-out came first; the jobs go on
  130  Ctrl-C; 143 SIGTERM
Of several, the first of 130, 143, 4, 3, 1 and 124 counts."""
"""The end of the help of commands that wait."""


class CommandError(Exception):
    """The command cannot go on.

    Args:
        message: Why, and what to do: a sentence in one line.
        code: How it ends.
    """

    def __init__(self, message: str, code: int = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


def worst(codes: Iterable[int]) -> int:
    """Of several exit codes, the one that counts; 0 if there is none."""
    given = set(codes)
    return next((code for code in _PRECEDENCE if code in given), ExitCode.DONE)
