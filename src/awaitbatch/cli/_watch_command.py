"""``awaitbatch watch``: its options; `awaitbatch.cli._watch` does the work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from awaitbatch.cli._options import add_command, add_common, add_following, add_selection, select

if TYPE_CHECKING:
    import argparse

_DESCRIPTION: Final = """\
Shows jobs as they change: in a terminal as a table, those that failed first, then those
that run, then those that wait; elsewhere as a line for each change. Of a queue, new jobs
appear. It ends when all the jobs have ended that were given by their ids, with q, or
with Ctrl-C."""

_EPILOG: Final = """\
examples:
  awaitbatch watch -q reads
  awaitbatch watch -q reads --name 'align-*' --since 1h
  awaitbatch watch c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11 --json | jq .status

exit codes:
  0    always, however the jobs fare: `awaitbatch wait` tells that
  2    the command line makes no sense, or an id is malformed; nothing was sent
  3    a job was not found
  4    AWS refused, or was never reached
  130  Ctrl-C; 143 SIGTERM"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "watch",
        start,
        help="show jobs as they change, in a live table",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_selection(parser)
    add_following(parser)
    add_common(
        parser,
        progress="auto draws a live table if standard output is a terminal, and prints plain lines elsewhere; none "
        "says only what is wrong (auto). With --json there is a line for each change in any case",
    )


def start(arguments: argparse.Namespace) -> int:
    """Watch.

    Raises:
        CommandError: The command line makes no sense.
    """
    job_ids = select(arguments)

    from awaitbatch.cli import _session, _watch

    return _session.run(arguments, partial(_watch.run, arguments, job_ids))
