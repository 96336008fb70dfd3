"""``make bench-airflow``: 1,000 deferred tasks on a real triggerer, waiting for jobs on AWS Batch.

It takes about half an hour. CPU time and memory are those of the process in which the triggerer runs its triggers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from benchmarks.airflow import steady, trouble
from benchmarks.airflow.stage import stages
from benchmarks.report import RESULTS, Figure, Result, conclude

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.airflow.stage import Stages

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
        "parts",
        nargs="*",
        choices=[[], *_PARTS],
        metavar="PART",
        help=f"of {', '.join(_PARTS)}; all by default",
    )
    text = "write benchmarks/results/airflow.json; the parts that are not run are kept as they are there"
    parser.add_argument("--save", action="store_true", help=text)
    options = parser.parse_args(arguments)
    parts = _kept() if options.save else {}
    with stages() as made:
        for part in options.parts or _PARTS:
            begin = time.monotonic()
            figures, found = _PARTS[part](made)
            parts[part] = {"figures": [asdict(figure) for figure in figures], **found}
            # It is long until the end, and what is there already may be enough.
            if options.save:
                _result(parts).save()
            lines = [f"[{part}] after {time.monotonic() - begin:.0f} s:"]
            lines += [f"  {figure.name}: {figure.value:.4g} {figure.unit}".rstrip() for figure in figures]
            print("\n".join(lines), file=sys.stderr, flush=True)
    return conclude(_result(parts), save=options.save)


def _result(parts: Mapping[str, Any]) -> Result:
    versions = {package: version(package) for package in _PACKAGES}
    return Result(
        name="airflow",
        about=f"{steady.JOBS:,} deferred tasks on one triggerer of Airflow {versions[_PACKAGES[0]]}",
        figures=[Figure(**figure) for name in _PARTS if name in parts for figure in parts[name]["figures"]],
        quick=False,
        details={"versions": versions, **parts},
    )


def _kept() -> dict[str, Any]:
    """The parts of the results that are kept."""
    path = RESULTS / "airflow.json"
    details = json.loads(path.read_text(encoding="utf-8"))["details"] if path.exists() else {}
    return {name: part for name, part in details.items() if name in _PARTS}


if __name__ == "__main__":
    sys.exit(main())
