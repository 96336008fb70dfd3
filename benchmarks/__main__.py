"""``python -m benchmarks``: run the measurements, print a table for each, and fail if a target is missed."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from benchmarks import cpu, herd, load_moto, scale, throttle, wakeup
from benchmarks.peers import cli as peers
from benchmarks.report import conclude

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Result

_MEASUREMENTS = {
    "herd": herd.measure,
    "cpu": cpu.measure,
    "throttle": throttle.measure,
    "wakeup": wakeup.measure,
    "scale": scale.measure,
    "load-moto": load_moto.measure,
}
_LIGHT = ("herd", "throttle", "load-moto")
"""They leave the machine idle most of the time and measure no CPU time, so they may run at once where time is short."""
_PEERS = "peers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit code is 1 if a target was missed, and 130 after Ctrl-C."""
    try:
        return _perform(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("stopped; nothing runs any more, and what was saved is kept", file=sys.stderr)
        return 128 + signal.SIGINT


def _perform(arguments: Sequence[str]) -> int:
    if arguments[:1] == [_PEERS]:
        return peers.main(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {*_MEASUREMENTS, _PEERS}
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    names = options.names or (*_MEASUREMENTS, _PEERS)
    return _run_briefly(names, save=options.save) if options.quick else _run(names, save=options.save)


def _run(names: Sequence[str], *, save: bool) -> int:
    # One after the other: CPU time is only worth something while nothing else runs. A miss does not end the run.
    return max(
        peers.main(["--save"] if save else [])
        if name == _PEERS
        else conclude(asyncio.run(_MEASUREMENTS[name](quick=False)), save=save)
        for name in names
    )


def _run_briefly(names: Sequence[str], *, save: bool) -> int:
    async def at_once(group: Sequence[str]) -> list[Result]:
        return await asyncio.gather(*(_MEASUREMENTS[name](quick=True) for name in group))

    code = 0
    for group in (_LIGHT, *((name,) for name in _MEASUREMENTS if name not in _LIGHT)):
        for result in asyncio.run(at_once([name for name in group if name in names])):
            code = max(code, conclude(result, save=save))
    return max(code, peers.main(["--quick"])) if _PEERS in names else code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join((*_MEASUREMENTS, _PEERS))
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {names}; all of them by default; `{_PEERS} --help` tells its own options",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute and a half, for CI; ratios of CPU time get more room"
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/NAME.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
