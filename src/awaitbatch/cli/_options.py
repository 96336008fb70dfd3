"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from awaitbatch.cli import _values as values
from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._job_ids import read_job_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CommandParser(argparse.ArgumentParser):
    """A parser that complains in a line, and of a misspelt option by itself, and not by its parent."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and refuse what is not known."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggestion(unknown)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without the usage of ten lines that argparse would put before it."""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    def _suggestion(self, unknown: Sequence[str]) -> str:
        from difflib import get_close_matches

        options = [option for action in self._actions for option in action.option_strings]
        for word in unknown:
            if close := get_close_matches(word.partition("=")[0], options, 1):
                return f" (did you mean {close[0]}?)"
        return ""


def add_command(  # noqa: D417
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    start: Callable[[argparse.Namespace], int],
    *,
    help: str,  # noqa: A002
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Add a sub-command, whose help keeps its lines as they are.

    Args:
        commands: Where to.
        name: Its name.
        start: Runs it with the parsed arguments, and gives the exit code.
    """
    parser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # An option that is added later must not change what an abbreviation in somebody's script means.
        allow_abbrev=False,
    )
    parser.set_defaults(start=start, prog=parser.prog)
    return parser


def add_common(parser: argparse.ArgumentParser, *, progress: str | None = None) -> None:
    """Add the options of every command that calls AWS.

    Args:
        parser: The command.
        progress: The help of ``--progress``; None for a command that shows none.
    """
    output = parser.add_argument_group("output")
    output.add_argument(
        "--json", action="store_true", help="print results as JSON, one line each, for other programs"
    )
    if progress is not None:
        output.add_argument("--progress", choices=("auto", "plain", "none"), help=progress)
        output.add_argument(
            "--timestamps", action="store_true", help="in plain lines, give the date and the time in UTC"
        )
    output.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="when to use colours; auto follows the terminal, NO_COLOR and FORCE_COLOR (%(default)s)",
    )
    output.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="also show what the library logs, on standard error; -vv shows every call",
    )
    aws = parser.add_argument_group("AWS")
    aws.add_argument(
        "--profile", metavar="NAME", help="the profile of the AWS configuration files to use, as for aws"
    )
    aws.add_argument(
        "--region", metavar="NAME", help="the AWS region, as for aws; else AWS_REGION or the profile says"
    )
    aws.add_argument(
        "--endpoint-url",
        type=values.url,
        metavar="URL",
        help="where to send calls instead of AWS, as for aws; for test servers",
    )
    aws.add_argument(
        "--max-calls-per-second",
        type=values.positive,
        default=10.0,
        metavar="CALLS",
        help="the most calls of one kind to send in a second; it slows down by itself if AWS throttles them "
        "(%(default)g)",
    )


def add_job_ids(parser: argparse.ArgumentParser) -> None:
    """Add the ids of jobs; `awaitbatch.cli._job_ids` reads them."""
    parser.add_argument(
        "job_ids",
        nargs="*",
        metavar="ID",
        help="a job's id or ARN; - reads them from standard input, where they may be words or what "
        "`aws batch submit-job` and `aws batch list-jobs` print, as JSON or as text",
    )


def given_job_ids(arguments: argparse.Namespace) -> list[str]:
    """The ids that `add_job_ids` was given.

    Raises:
        CommandError: There is none, or one is malformed.
    """
    if not arguments.job_ids:
        message = (
            f"which jobs? Give their ids, or - to read these from standard input; see {arguments.prog} --help"
        )
        raise CommandError(message)
    return read_job_ids(arguments.job_ids)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what chooses jobs: their ids, or their queue."""
    add_job_ids(parser)
    parser.add_argument(
        "-q",
        "--queue",
        type=values.some_text,
        metavar="QUEUE",
        help="instead of ids: the jobs of this job queue that have not ended",
    )
    parser.add_argument(
        "--name",
        type=values.some_text,
        metavar="GLOB",
        help="of the queue, only jobs with such a name; quote it: 'align-*'",
    )
    parser.add_argument(
        "--since",
        type=values.duration,
        metavar="TIME",
        help="of the queue, all jobs that were created within this time, such as 2h; also those that have ended",
    )


def add_following(parser: argparse.ArgumentParser) -> None:
    """Add how to follow jobs."""
    parser.add_argument(
        "--interval",
        type=values.duration,
        metavar="TIME",
        help="check each job at least this often (10s; 30s for more than 1,000 jobs). Soon after a change, checks come "
        "in shorter intervals; up to 100 jobs share a call",
    )


def select(arguments: argparse.Namespace) -> list[str]:
    """The ids of the jobs that are selected; none if a queue is.

    Raises:
        CommandError: Nothing is selected, or in two ways, or an id is malformed.
    """
    if arguments.queue is None:
        for option in ("name", "since"):
            if getattr(arguments, option) is not None:
                message = f"--{option} chooses among the jobs of a queue; give one with -q"
                raise CommandError(message)
        if not arguments.job_ids:
            message = (
                "which jobs? Give their ids, or - to read these from standard input, or a job queue with -q; "
                f"see {arguments.prog} --help"
            )
            raise CommandError(message)
        return read_job_ids(arguments.job_ids)
    if arguments.job_ids:
        message = "give job ids or a queue, not both"
        raise CommandError(message)
    return []
