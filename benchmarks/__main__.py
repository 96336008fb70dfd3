"""``python -m benchmarks``: run the measurements, print a table for each, and fail if a target is missed."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from benchmarks import cpu, herd, scale, throttle, wakeup
from benchmarks.peers import cli as peers
from benchmarks.report import conclude

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEASUREMENTS = {
    "herd": herd.measure,
    "cpu": cpu.measure,
    "throttle": throttle.measure,
    "wakeup": wakeup.measure,
    "scale": scale.measure,
}
_PEERS = "peers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit code is 1 if a target was missed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [_PEERS]:
        return peers.main(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {*_MEASUREMENTS, _PEERS}
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    # One after the other: CPU time is only worth something while nothing else runs. A miss does not end the run.
    codes = [
        _run(name, quick=options.quick, save=options.save)
        for name in options.names or (*_MEASUREMENTS, _PEERS)
    ]
    return max(codes)


def _run(name: str, *, quick: bool, save: bool) -> int:
    if name == _PEERS:
        flags = {"--quick": quick, "--save": save}
        return peers.main([flag for flag, given in flags.items() if given])
    return conclude(asyncio.run(_MEASUREMENTS[name](quick=quick)), save=save)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join((*_MEASUREMENTS, _PEERS))
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {names}; all of them by default; `{_PEERS} --help` tells its own options",
    )
    parser.add_argument("--quick", action="store_true", help="short, for CI; the targets are the same")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/NAME.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
