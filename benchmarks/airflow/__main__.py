"""``make bench-airflow``: 1,000 deferred tasks on a real triggerer, waiting for jobs on AWS Batch.

It takes about half an hour. CPU time and memory are those of the process in which the triggerer runs its triggers.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from benchmarks.airflow import steady, trouble
from benchmarks.airflow.stage import stages
from benchmarks.report import Result, conclude

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.airflow.stage import Stages
    from benchmarks.report import Figure

_PARTS: Final[dict[str, Callable[[Stages], tuple[list[Figure], dict[str, Any]]]]] = {
    "steady": steady.measure,
    "outages": trouble.measure_outages,
    "limit": trouble.measure_limit,
    "kills": trouble.measure_kills,
    "starts": trouble.measure_starts,
}
_PACKAGES: Final = ("apache-airflow", "apache-airflow-providers-amazon")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that the command line asks for; the exit code is 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.airflow", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *_PARTS], metavar="PART", help=f"of {', '.join(_PARTS)}"
    )
    parser.add_argument(
        "--save", action="store_true", help="write benchmarks/results/airflow.json, of all parts only"
    )
    options = parser.parse_args(arguments)
    parts = options.parts or [*_PARTS]
    if options.save and set(parts) != {*_PARTS}:
        parser.error("results are kept of all parts together, so that they are of one run")
    figures: list[Figure] = []
    details: dict[str, Any] = {"versions": {package: version(package) for package in _PACKAGES}}
    with stages() as made:
        for part in parts:
            begin = time.monotonic()
            found, details[part] = _PARTS[part](made)
            figures += found
            print(f"[{part}] done after {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    about = (
        f"{steady.JOBS:,} deferred tasks on one triggerer of Airflow {details['versions']['apache-airflow']}"
    )
    return conclude(
        Result(name="airflow", about=about, figures=figures, quick=False, details=details), save=options.save
    )


if __name__ == "__main__":
    sys.exit(main())
