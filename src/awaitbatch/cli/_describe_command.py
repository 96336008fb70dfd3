"""``awaitbatch describe``: its options; `awaitbatch.cli._describe` does the work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from awaitbatch.cli._options import add_command, add_common, add_job_ids, given_job_ids

if TYPE_CHECKING:
    import argparse

_DESCRIPTION: Final = """\
Shows what AWS Batch knows of jobs: their times, how long they waited and ran, each
attempt with its exit code, the reason and the log, and the children of an array. With
--json, whole descriptions as AWS gives them, one a line."""

_EPILOG: Final = """\
examples:
  awaitbatch describe c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11
  awaitbatch list -q reads --status FAILED --ids | awaitbatch describe -
  awaitbatch describe c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11 --json | jq .container.environment

exit codes:
  0    all jobs were described, however they fare
  2    the command line makes no sense, or an id is malformed; nothing was sent
  3    a job was not found
  4    AWS refused, or was never reached
  130  Ctrl-C; 143 SIGTERM"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "describe",
        start,
        help="show what AWS Batch knows of jobs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_job_ids(parser)
    add_common(parser)


def start(arguments: argparse.Namespace) -> int:
    """Describe.

    Raises:
        CommandError: The command line makes no sense.
    """
    job_ids = given_job_ids(arguments)

    from awaitbatch.cli import _describe, _session

    return _session.run(arguments, partial(_describe.run, arguments, job_ids))
