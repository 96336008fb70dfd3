"""``awaitbatch wait``: its options; `awaitbatch.cli._wait` does the work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from awaitbatch.cli import _values as values
from awaitbatch.cli._exit_codes import EPILOG, CommandError
from awaitbatch.cli._options import add_command, add_common, add_following, add_selection, select

if TYPE_CHECKING:
    import argparse

_DESCRIPTION: Final = """\
Waits until jobs have ended, and tells by its exit code how. Progress is shown on
standard error; standard output has nothing but the lines of --json."""

_EPILOG: Final = f"""\
examples:
  awaitbatch wait c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11
  aws batch submit-job … | awaitbatch wait -
  awaitbatch wait -q reads --name 'align-*' --since 1h --timeout 6h

{EPILOG}"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "wait",
        start,
        help="wait until jobs have ended; the exit code tells how",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_selection(parser)
    parser.add_argument(
        "--for",
        dest="goal",
        choices=("ended", "running", "succeeded"),
        default="ended",
        help="what to wait for: until each job has ended; until it runs or has ended already; or until it has "
        "succeeded, which is over at the first one that fails (%(default)s)",
    )
    parser.add_argument("--any", action="store_true", help="stop once one job is as --for says")
    parser.add_argument(
        "--fail-fast",
        action="store_true",
        help="stop at the first job that fails or is not found; the others go on",
    )
    parser.add_argument(
        "--timeout",
        type=values.duration,
        metavar="TIME",
        help="wait no longer than this, such as 90s, 30m or 6h; the jobs go on",
    )
    parser.add_argument(
        "--start-timeout",
        type=values.duration,
        metavar="TIME",
        help="stop if a job does not start within this time; the jobs go on",
    )
    parser.add_argument(
        "--exit-code",
        choices=("outcome", "job"),
        default="outcome",
        help="with job, end with the exit code of the only job's container; 1 if it failed without one (%(default)s)",
    )
    add_following(parser)
    add_common(
        parser,
        progress="how to show progress on standard error: auto draws a live picture in a terminal and prints plain "
        "lines elsewhere, none says only what is wrong (auto). If it is given, and is not none, --json prints a line "
        "for each change of a job, and not only one for each job once it is as asked",
    )


def start(arguments: argparse.Namespace) -> int:
    """Wait.

    Raises:
        CommandError: The command line makes no sense.
    """
    job_ids = select(arguments)
    if arguments.exit_code == "job" and len(job_ids) != 1:
        message = "--exit-code job is for a single job"
        raise CommandError(message)

    from awaitbatch.cli import _session, _wait

    return _session.run(arguments, partial(_wait.run, arguments, job_ids))
