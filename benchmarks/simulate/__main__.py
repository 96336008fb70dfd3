"""``python -m benchmarks.simulate``: the real core in virtual time, without network, clock or event loop.

`throttle` is how well the client copes with limits that it does not know; `evenness` is whether calls leave evenly, and
how many calls that costs; `delays` is how soon the end of a job is known, and with how many calls; `jobs` is how long
each of up to a million jobs goes unseen, and when polling stops being the right tool. Without a name, all.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Final

from awaitbatch._core.pace import LEAST_PACE
from benchmarks.report import conclude
from benchmarks.simulate import delays, evenness, jobs, throttle
from benchmarks.simulate.progress import Progress
from benchmarks.simulate.throttle import STEADY_MINUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

_THROTTLE: Final = "throttle"
_EVENNESS: Final = "evenness"
_DELAYS: Final = "delays"
_JOBS: Final = "jobs"
_ALL: Final = (_THROTTLE, _EVENNESS, _DELAYS, _JOBS)
_MOST_SEEDS: Final = 1_000
_PLANNED: Final = (None, STEADY_MINUTES, LEAST_PACE)
_INTERRUPTED: Final = 130
"""What a shell expects of a program that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit code is 1 if a target was missed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    has_own = bool(options.jobs or options.rates)
    if options.save and has_own:
        parser.error("--save keeps the planned numbers of jobs and rates, so not with --jobs or --rates")
    if options.save and (options.seeds, options.minutes, options.least_pace) != _PLANNED:
        parser.error("--save keeps what is planned, so not with --seeds, --minutes or --least-pace")
    # Who asks for a number of jobs or a rate asks about those.
    names = options.names or ([_JOBS] if has_own else _ALL)
    unknown = set(names) - {*_ALL}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    progress = Progress()
    codes = [0]
    try:
        if _THROTTLE in names:
            found = throttle.measure(
                progress, quick=options.quick, seeds=options.seeds, minutes=options.minutes
            )
            codes.append(conclude(found, save=options.save))
        if _EVENNESS in names:
            found = evenness.measure(
                progress, quick=options.quick, seeds=options.seeds, least_pace=options.least_pace
            )
            codes.append(conclude(found, save=options.save))
        if _DELAYS in names:
            found = delays.measure(progress, quick=options.quick)
            codes.append(conclude(found, save=options.save))
        if _JOBS in names:
            found = jobs.measure(progress, quick=options.quick, jobs=options.jobs, rates=options.rates)
            codes.append(conclude(found, save=options.save))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    return max(codes)


def _count(text: str, most: int) -> int:
    """A whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: It is none, or too large.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= most:
        message = f"{text!r} is no whole number from 1 to {most:,}"
        raise argparse.ArgumentTypeError(message)
    return number


def _seeds(text: str) -> int:
    return _count(text, _MOST_SEEDS)


def _numbers_of_jobs(text: str) -> list[int]:
    return [_count(word, jobs.MOST_JOBS) for word in text.split(",")]


def _rates(text: str) -> list[float]:
    return [_rate(word) for word in text.split(",")]


def _rate(text: str) -> float:
    least, most = jobs.RATES_ALLOWED
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not least <= rate <= most:
        message = f"{text!r} is no number of calls a second from {least:g} to {most:g}"
        raise argparse.ArgumentTypeError(message)
    return rate


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        message = f"{text!r} is no number above 0"
        raise argparse.ArgumentTypeError(message)
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="PART", help=f"{', '.join(_ALL)}; all by default")
    parser.add_argument("--quick", action="store_true", help="short, for CI; the targets are the same")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/simulate_PART.json")
    parser.add_argument(
        "--seeds",
        type=_seeds,
        metavar="N",
        help="runs of each scenario of throttle (20) and evenness (5)",
    )
    parser.add_argument(
        "--minutes",
        type=_positive,
        default=STEADY_MINUTES,
        metavar="M",
        help="how long a limit stays, of throttle (%(default)g)",
    )
    parser.add_argument(
        "--least-pace",
        type=_positive,
        default=LEAST_PACE,
        metavar="R",
        help="calls a second up to which calls leave as late as they may, of evenness (%(default)g)",
    )
    parser.add_argument(
        "--jobs",
        type=_numbers_of_jobs,
        default=[],
        metavar="N,…",
        help=f"how many jobs, up to {jobs.MOST_JOBS:,}, for a table of your own",
    )
    parser.add_argument(
        "--rates",
        type=_rates,
        default=[],
        metavar="R,…",
        help="calls a second that the account lets through, for the same",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
