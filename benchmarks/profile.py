"""What the CPU time of a check is spent on, by function: ``python -m benchmarks.profile``, or ``make profile``.

py-spy samples a contestant of `benchmarks.cpu` a thousand times a second. What the standard library or an extension
does counts for the innermost function of a package that asked for it, and for the event loop if none did. Imports and
the opening of the client are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from awaitbatch.testing import ServerProcess
from benchmarks import cpu
from benchmarks.report import Figure, Result, conclude, table
from benchmarks.servers import add_running_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PACKAGES: Final = ("awaitbatch", "aiobotocore", "botocore", "aiohttp")
LOOP: Final = "the event loop"
_FRAME: Final = re.compile(
    rf"(?P<function>.+) \((?:.*/)?(?P<package>{'|'.join(PACKAGES)})/(?P<path>[\w/]+)\.py\)"
)
_LEFT_OUT: Final = ("_find_and_load (", "open (awaitbatch/", "create_client (", "_worker (concurrent/")
"""What a stack holds that belongs to the beginning of the process, or to a thread that waits for work."""
_LEAST: Final = 0.04
"""Microseconds per check from which on a function is listed."""


def owners(stacks: Iterable[str]) -> Counter[tuple[str, str]]:
    """How many samples belong to which package and function.

    Args:
        stacks: Lines such as ``main (a.py);call (botocore/b.py) 12``: the frames of a stack, outermost first, and how
            often it was seen.
    """
    seen = Counter[tuple[str, str]]()
    for line in stacks:
        stack, _, count = line.strip().rpartition(" ")
        if not any(mark in stack for mark in _LEFT_OUT):
            seen[_owner(stack)] += int(count)
    return seen


def _owner(stack: str) -> tuple[str, str]:
    for frame in reversed(stack.split(";")):
        found = _FRAME.fullmatch(frame)
        if found and found["package"] in PACKAGES:
            return found["package"], f"{found['path'].replace('/', '.')}.{found['function']}"
    return LOOP, ""


def measure(contestant: str, seconds: float) -> Result:
    """Profile one contestant."""
    with TemporaryDirectory() as folder:
        stacks = Path(folder, "stacks")
        profiler = (
            _py_spy(),
            "record",
            "--rate",
            "1000",
            "--format",
            "raw",
            "--nolineno",
            "--output",
            str(stacks),
            "--",
        )
        cost = asyncio.run(_run(contestant, seconds, profiler))
        seen = owners(stacks.read_text().splitlines())
    each = cost.microseconds / seen.total()
    packages, modules, functions = Counter[str](), Counter[str](), Counter[str]()
    for (package, function), samples in seen.items():
        packages[package] += samples
        if function:
            modules[f"{package}.{function.partition('.')[0]}"] += samples
            functions[f"{package}.{function}"] += samples

    def shown(name: str, found: Counter[str]) -> str:
        rows = [(name, f"{samples * each:.2f}", "µs") for name, samples in found.most_common()]
        return table((name, "measured", ""), [row for row in rows if float(row[1]) >= _LEAST])

    return Result(
        name="profile",
        about=f"{contestant}, {seen.total():,} samples: what has which part in the CPU time per job seen",
        figures=[
            Figure(name=package, value=samples * each, unit="µs of CPU per job seen")
            for package, samples in packages.most_common()
        ],
        quick=False,
        extra=[shown("module", modules), shown("function", functions)],
        details={
            kind: {name: round(samples * each, 3) for name, samples in found.most_common()}
            for kind, found in (("modules", modules), ("functions", functions))
        },
    )


async def _run(contestant: str, seconds: float, profiler: Sequence[str]) -> cpu.Cost:
    async with ServerProcess("--description-bytes", str(cpu.DESCRIPTION_BYTES)) as server:
        job_ids = await add_running_jobs(server, cpu.JOBS)
        # The profiler slows it down, so what it costs is found without, and what part a function has in it with.
        cost = await cpu.in_worker(contestant, server, job_ids, 2, seconds)
        await cpu.in_worker(contestant, server, job_ids, 2, seconds, *profiler)
        return cost


def _py_spy() -> str:
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        sys.exit("py-spy is not installed; `make profile` installs it")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument(
        "contestant", nargs="?", choices=cpu.CONTESTANTS, default=cpu.OURS, help="of `benchmarks cpu`"
    )
    parser.add_argument("--seconds", type=float, default=10, help="how long to sample")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/profile.json")
    options = parser.parse_args(arguments)
    return conclude(measure(options.contestant, options.seconds), save=options.save)


if __name__ == "__main__":
    sys.exit(main())
