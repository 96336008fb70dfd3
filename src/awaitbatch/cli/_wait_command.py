"""``awaitbatch wait``: its options; `awaitbatch.cli._wait` does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from awaitbatch.cli._exit_codes import EPILOG
from awaitbatch.cli._options import add_command, add_common, add_selection

if TYPE_CHECKING:
    import argparse

_DESCRIPTION: Final = """\
Waits until jobs have ended, and tells by its exit code how. Shows progress on standard
error meanwhile."""

_EPILOG: Final = f"""\
examples:
  awaitbatch wait c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11
  aws batch submit-job … | awaitbatch wait -
  awaitbatch wait -q reads --name 'align-*' --timeout 6h

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
    add_common(parser, progress=True)


def start(arguments: argparse.Namespace) -> int:
    """Wait."""
    from awaitbatch.cli._job_ids import read_job_ids

    job_ids = read_job_ids(arguments.job_ids)

    from awaitbatch.cli import _session, _wait

    return _session.run(arguments, lambda client, terminal: _wait.run(arguments, job_ids, client, terminal))
