"""``awaitbatch list``: its options; `awaitbatch.cli._list` does the work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from awaitbatch.cli import _values as values
from awaitbatch.cli._exit_codes import CommandError
from awaitbatch.cli._job_ids import read_job_ids
from awaitbatch.cli._options import add_command, add_common

if TYPE_CHECKING:
    import argparse

_DESCRIPTION: Final = """\
Lists the jobs of a job queue, the newest first: those that have not ended, unless
--status or --since ask for others. In a terminal the table fits its width; elsewhere
nothing is cut. --ids and --json print each job as it comes."""

_EPILOG: Final = """\
examples:
  awaitbatch list -q reads
  awaitbatch list -q reads --status FAILED --since 1d
  awaitbatch list -q reads --name 'align-*' --ids | awaitbatch wait -
  awaitbatch list --children 5e2d8a90-3c1b-4f7a-8d4e-6b9f0c2a1d35 --status FAILED

exit codes:
  0    the jobs were listed, if there were any
  2    the command line makes no sense; nothing was sent
  3    the job whose children are wanted was not found
  4    AWS refused, or was never reached
  130  Ctrl-C; 143 SIGTERM"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "list",
        start,
        help="list the jobs of a queue, or the children of an array",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "-q", "--queue", type=values.some_text, metavar="QUEUE", help="the name or ARN of the job queue"
    )
    parser.add_argument(
        "--children",
        metavar="ID",
        help="instead of a queue: all children of this array job, or all nodes of this multi-node parallel job",
    )
    parser.add_argument(
        "--status",
        type=values.statuses,
        metavar="STATUS,…",
        help="only jobs in these states, such as RUNNABLE,RUNNING; all for every state",
    )
    parser.add_argument(
        "--name",
        type=values.some_text,
        metavar="GLOB",
        help="only jobs with such a name; quote it: 'align-*'",
    )
    parser.add_argument(
        "--since",
        type=values.duration,
        metavar="TIME",
        help="only jobs of the queue that were created within this time, such as 2h or 1d; also those that have ended, "
        "unless --status says otherwise",
    )
    parser.add_argument(
        "--ids", action="store_true", help="print nothing but the ids, one a line, for other commands"
    )
    add_common(parser)


def start(arguments: argparse.Namespace) -> int:
    """List.

    Raises:
        CommandError: The command line makes no sense.
    """
    if (arguments.queue is None) == (arguments.children is None):
        message = "whose jobs? Give a job queue with -q, or a parent with --children"
        if arguments.queue is not None:
            message = "give a queue or --children, not both"
        raise CommandError(message)
    if arguments.children is not None:
        if arguments.since is not None:
            message = "--since chooses among the jobs of a queue; give one with -q"
            raise CommandError(message)
        [arguments.children] = read_job_ids([arguments.children])
    if arguments.ids and arguments.json:
        message = "--ids and --json are two forms; choose one"
        raise CommandError(message)

    from awaitbatch.cli import _list, _session

    return _session.run(arguments, partial(_list.run, arguments))
