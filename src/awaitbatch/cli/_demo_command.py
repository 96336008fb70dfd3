"""``awaitbatch demo``: its options; `awaitbatch.cli._demo` does the work."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from awaitbatch._core.text import message_of
from awaitbatch.cli import _values as values
from awaitbatch.cli._options import add_command
from awaitbatch.cli._terminal import print_aside, send_nowhere

if TYPE_CHECKING:
    import argparse

_NEEDED: Final = {"moto": ("rich", "moto", "flask", "flask_cors"), "builtin": ("rich",)}

_DESCRIPTION: Final = """\
Starts a server on this machine that plays AWS Batch, submits jobs to it, and awaits
each of them with BatchClient.wait_for_job in an asyncio task of its own. Shows what
the client sees meanwhile, and at the end how many DescribeJobs calls it took. Needs
no AWS account, and touches none."""

_EPILOG: Final = """\
exit codes: 0 if every wait ended as the server's record says, 1 if not or if the demo
could not run, 2 for bad arguments, 130 after Ctrl-C, 143 after SIGTERM"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    demo = add_command(
        commands,
        "demo",
        start,
        help="watch a thousand jobs being awaited, without an AWS account",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    demo.add_argument(
        "--jobs",
        type=values.count,
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
        type=values.spread,
        default=(5.0, 30.0),
        metavar="LOW:HIGH",
        help="how long a job takes from submission to end (5:30)",
    )
    demo.add_argument(
        "--failing",
        type=values.share,
        default=0.08,
        metavar="SHARE",
        help="share of jobs that fail, 0 to 1 (%(default)s)",
    )
    demo.add_argument(
        "--interval",
        type=values.positive,
        default=4.0,
        metavar="SECONDS",
        help="check each job at least this often; fewer seconds notice ends sooner but take more calls (%(default)s)",
    )
    demo.add_argument(
        "--max-calls-per-second",
        type=values.positive,
        default=10.0,
        metavar="CALLS",
        help="the most DescribeJobs calls to send in a second (%(default)s)",
    )
    demo.add_argument(
        "--seed", type=int, metavar="N", help="plan the same jobs as an earlier run with this seed"
    )


def start(arguments: argparse.Namespace) -> int:
    """Run the demo, if what it needs is installed."""
    missing = [module for module in _NEEDED[arguments.server] if find_spec(module) is None]
    if missing:
        return _fail(f'{" and ".join(missing)} not installed; try: pip install "awaitbatch[demo]"')
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        # Ctrl-C while the demo was still being imported, or after its event loop had ended.
        code = 128 + signal.SIGINT
    if code > 128:  # noqa: PLR2004
        print_aside(f"Stopped by {signal.Signals(code - 128).name}; nothing is left running.\n")
    return code


def _run(arguments: argparse.Namespace) -> int:
    # Not before it is known that rich is installed.
    from awaitbatch.cli._demo import DemoError, Plan, run

    plan = Plan(
        jobs=arguments.jobs,
        server=arguments.server,
        seconds=arguments.seconds,
        failing=arguments.failing,
        interval=arguments.interval,
        max_calls_per_second=arguments.max_calls_per_second,
        seed=arguments.seed,
    )
    try:
        return run(plan)
    except DemoError as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        # Such as a disk that is full, which would take no more when Python exits.
        send_nowhere(sys.stdout)
        return _fail(message_of(error))


def _fail(message: str) -> int:
    print_aside(f"awaitbatch demo: {message}\n")
    return 1
