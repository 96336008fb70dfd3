"""What to say when the command stops and the jobs go on: how to wait again, and how to end them. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from awaitbatch.cli._job_ids import STDIN
from awaitbatch.cli._summary import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_MOST_IDS: Final = 3
_LONGEST: Final = 400
"""A command line that is longer is not worth printing."""


def go_on(arguments: argparse.Namespace, pending: Sequence[str]) -> str:
    """Which jobs go on, and what to do about it; each command stands in a line of its own, to be copied."""
    is_one = len(pending) == 1
    lines = [f"{plural(len(pending), 'job')} {'goes' if is_one else 'go'} on."]
    if command := again(arguments, pending):
        lines.append(f"  Again: {command}")
    # Who has just done that need not be told how.
    if arguments.command != "terminate" and (end := _end(arguments, pending)):
        lines.append(f"  End {'it' if is_one else 'them'}: {end}")
    return "\n".join(lines)


def again(arguments: argparse.Namespace, pending: Sequence[str]) -> str:
    """The same command for the jobs that are left; empty if it would be too long."""
    words = list(arguments.words)
    if STDIN in arguments.job_ids:
        if len(pending) > _MOST_IDS:
            return ""
        words[words.index(STDIN) : words.index(STDIN) + 1] = pending
    command = shlex.join(["awaitbatch", *words])
    return command if len(command) <= _LONGEST else ""


def _end(arguments: argparse.Namespace, pending: Sequence[str]) -> str:
    aws = aws_words(arguments)
    if len(pending) <= _MOST_IDS:
        return shlex.join(["awaitbatch", "terminate", *pending, *aws])
    if arguments.name is None:
        # All jobs of a queue may be anybody's, and many ids are too long a line.
        return ""
    listing = shlex.join(
        ["awaitbatch", "list", "-q", arguments.queue, "--name", arguments.name, "--ids", *aws]
    )
    return f"{listing} | {shlex.join(['awaitbatch', 'terminate', '-', *aws])}"


def aws_words(arguments: argparse.Namespace) -> list[str]:
    """The options that say which account is meant, to be given to another command."""
    options = (
        ("--profile", arguments.profile),
        ("--region", arguments.region),
        ("--endpoint-url", arguments.endpoint_url),
    )
    return [word for option, value in options if value is not None for word in (option, value)]
