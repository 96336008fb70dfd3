"""The command line: what may be asked for, what is refused, and the exit code."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from awaitbatch import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED: Final = {"moto": ("rich", "moto", "flask", "flask_cors"), "builtin": ("rich",)}

_DEMO: Final = """\
Starts a server on this machine that plays AWS Batch, submits jobs to it, and awaits
each of them with BatchClient.wait_for_job in an asyncio task of its own. Shows what
the client sees meanwhile, and at the end how many DescribeJobs calls it took. Needs
no AWS account, and touches none."""

_EPILOG: Final = """\
exit codes: 0 if every wait ended as the server's record says, 1 if not or if the demo
could not run, 2 for bad arguments, 130 after Ctrl-C, 143 after SIGTERM"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: What follows the command's name; None for what the process was started with.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    missing = [module for module in _NEEDED[options.server] if find_spec(module) is None]
    if missing:
        return _fail(f'{" and ".join(missing)} not installed; try: pip install "awaitbatch[demo]"')
    try:
        code = _demo(options)
    except KeyboardInterrupt:
        # Ctrl-C while the demo was still being imported, or after its event loop had ended.
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        # Or Python would complain, when it exits, that it cannot write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code > 128:  # noqa: PLR2004
        sys.stderr.write(f"Stopped by {signal.Signals(code - 128).name}; nothing is left running.\n")
    return code


def _demo(options: argparse.Namespace) -> int:
    # Not before it is known that rich is installed; and --help and --version are quick without it.
    from awaitbatch.cli._demo import DemoError, Plan, run

    plan = Plan(
        jobs=options.jobs,
        server=options.server,
        seconds=options.seconds,
        failing=options.failing,
        interval=options.interval,
        max_calls_per_second=options.max_calls_per_second,
        seed=options.seed,
    )
    try:
        return run(plan)
    except DemoError as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    sys.stderr.write(f"awaitbatch demo: {message}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="awaitbatch", description="Await AWS Batch jobs, thousands of them on one event loop."
    )
    parser.add_argument("--version", action="version", version=f"awaitbatch {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="watch a thousand jobs being awaited, without an AWS account",
        description=_DEMO,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--jobs",
        type=_count,
        default=1000,
        metavar="N",
        help="how many jobs to submit and await (%(default)s)",
    )
    demo.add_argument(
        "--server",
        choices=("moto", "builtin"),
        default="moto",
        help="which server plays AWS Batch: moto, which is independent of this project, or awaitbatch's own, which is "
        "faster (%(default)s)",
    )
    demo.add_argument(
        "--seconds",
        type=_range,
        default=(5.0, 30.0),
        metavar="LOW:HIGH",
        help="how long a job takes from submission to end (5:30)",
    )
    demo.add_argument(
        "--failing",
        type=_share,
        default=0.08,
        metavar="SHARE",
        help="share of jobs that fail, 0 to 1 (%(default)s)",
    )
    demo.add_argument(
        "--interval",
        type=_positive,
        default=4.0,
        metavar="SECONDS",
        help="check each job at least this often; fewer seconds notice ends sooner but take more calls (%(default)s)",
    )
    demo.add_argument(
        "--max-calls-per-second",
        type=_positive,
        default=10.0,
        metavar="CALLS",
        help="the most DescribeJobs calls to send in a second (%(default)s)",
    )
    demo.add_argument(
        "--seed", type=int, metavar="N", help="plan the same jobs as an earlier run with this seed"
    )
    return parser


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        message = f"not a number: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        message = f"must be a whole number of at least 1, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _positive(text: str) -> float:
    number = _number(text)
    if number <= 0:
        message = f"must be more than 0, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return number


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        message = f"must be between 0 and 1, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return number


def _range(text: str) -> tuple[float, float]:
    low_text, colon, high_text = text.partition(":")
    low = _number(low_text)
    high = _number(high_text) if colon else low
    if not 0 <= low <= high:
        message = f"must be LOW:HIGH with 0 <= LOW <= HIGH, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return low, high
