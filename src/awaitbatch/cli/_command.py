"""The command line: which commands there are, and how they begin and end.

Each command has two modules. A light one, such as `_wait_command`, has ``add_to(commands)``, which adds its options
with `add_command`, and ``start(arguments) -> int``, which gives the exit code. ``start`` checks what can be checked at
once, reads job ids with `read_job_ids`, and raises `CommandError` for what makes no sense. Only then it imports the
module that does the work, such as `_wait`, and has `_session.run` call its ``async run(…, client, terminal) -> int``
with an open client. So ``--help``, ``--version`` and usage errors do not wait for aiobotocore, and tests call ``run``
with a client of their own.
"""

from __future__ import annotations

import argparse
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final

from awaitbatch import __version__
from awaitbatch.cli import (
    _demo_command,
    _describe_command,
    _list_command,
    _terminate_command,
    _wait_command,
    _watch_command,
)
from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._options import CommandParser
from awaitbatch.cli._terminal import give_up_complaints, print_aside, silence

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = (
    _wait_command,
    _watch_command,
    _list_command,
    _describe_command,
    _terminate_command,
    _demo_command,
)
"""In the order in which the help shows them."""


_EPILOG: Final = "awaitbatch COMMAND --help tells more, such as the exit codes."


class _HelpFormatter(argparse.HelpFormatter):
    """Gives names of commands the room that they take with their indentation, which argparse forgets."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = len("    terminate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: What follows the command's name; None for what the process was started with.
    """
    parser = make_parser()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # So Python has it if the process was started with it closed: what is printed there is for nobody.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Or a terminal that knows nothing but ASCII would end the command at the first name that has more.
            stream.reconfigure(errors="backslashreplace")
    try:
        parsed = parser.parse_args(arguments)
        # To name the command again.
        parsed.words = sys.argv[1:] if arguments is None else [*arguments]
        if parsed.command is None:
            parser.print_help(sys.stderr)
            return ExitCode.USAGE
        return int(parsed.start(parsed))
    except CommandError as error:
        print_aside(f"{parsed.prog}: {error}\n")
        return error.code
    except BrokenPipeError:
        silence()
        return ExitCode.PIPE_CLOSED
    finally:
        give_up_complaints()


def make_parser() -> argparse.ArgumentParser:
    """What reads the command line."""
    parser = CommandParser(
        prog="awaitbatch",
        description="Await AWS Batch jobs, thousands of them on one event loop.",
        epilog=_EPILOG,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"awaitbatch {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
