"""``awaitbatch terminate``: its options; `awaitbatch.cli._terminate` does the work."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._options import add_command, add_common, add_following, add_job_ids, given_job_ids
from awaitbatch.cli._terminal import print_aside

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DEFAULT_REASON: Final = "terminated with the command awaitbatch"

_LONGEST_REASON: Final = 1024
"""Characters that AWS Batch takes."""

_DESCRIPTION: Final = """\
Ends jobs in whatever state they are, up to fifty of them by a call; their status
becomes FAILED. If standard input is a terminal and there are several, it asks first.
Jobs that have ended stay as they are. What it does is said on standard error; --json
prints a line for each job."""

_EPILOG: Final = """\
examples:
  awaitbatch terminate c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11 --reason 'wrong input'
  awaitbatch list -q reads --name 'align-*' --ids | awaitbatch terminate - --wait

exit codes:
  0    AWS Batch has accepted all of it; with --wait, all jobs have ended
  2    the command line makes no sense, or an id is malformed; nothing was sent
  3    a job was not found
  4    AWS refused for one of the jobs, or was never reached
  130  Ctrl-C, or the answer was no; 143 SIGTERM
Of several, the first of 130, 143, 4 and 3 counts."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "terminate",
        start,
        help="end jobs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_job_ids(parser)
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        default=DEFAULT_REASON,
        help="why; AWS Batch shows it as the reason of the job's state (%(default)s)",
    )
    parser.add_argument("--wait", action="store_true", help="wait until they have ended")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    add_following(parser)
    add_common(
        parser,
        progress="how to show progress on standard error: auto draws a live picture in a terminal and prints plain "
        "lines elsewhere, none says only what is wrong (auto)",
    )


def start(arguments: argparse.Namespace) -> int:
    """Terminate.

    Raises:
        CommandError: The command line makes no sense, or the answer was no.
    """
    if not 0 < len(arguments.reason.strip()) <= _LONGEST_REASON:
        message = f"--reason must have 1 to {_LONGEST_REASON:,} characters"
        raise CommandError(message)
    job_ids = given_job_ids(arguments)
    if len(job_ids) > 1 and not arguments.yes and sys.stdin is not None and sys.stdin.isatty():
        _confirm(job_ids)

    from awaitbatch.cli import _session, _terminate

    return _session.run(arguments, partial(_terminate.run, arguments, job_ids))


def _confirm(job_ids: Sequence[str]) -> None:
    # input() would write to standard output, which may go elsewhere.
    print_aside(f"Terminate {len(job_ids):,} jobs? [y/N] ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        message = "nothing was terminated"
        raise CommandError(message, ExitCode.INTERRUPTED)
