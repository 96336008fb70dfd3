"""Virtual environments for the contestants, made when they are wanted and kept in ``.venvs/peers``."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Final

from benchmarks.peers.processes import started
from benchmarks.peers.registry import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.peers.registry import Environment

_HOME: Final = ROOT / ".venvs" / "peers"
_STAMP: Final = "requirements.json"
_ASK: Final = (
    "import ensurepip, sys, venv; "
    "print('%d.%d' % sys.version_info[:2] if sys.implementation.name == 'cpython' else '')"
)
_SECONDS_BETWEEN_MESSAGES: Final = 10.0
"""How often a long installation reports its progress."""
_LONGEST_MESSAGE: Final = 90


class NoEnvironmentError(Exception):
    """A contestant cannot be had here; the message says why, and what can be done."""


async def python_of(environment: Environment, home: Path = _HOME) -> Path:
    """The Python of a virtual environment, which is made if it is not there or has other things installed.

    Args:
        environment: Which.
        home: The directory of all of them.

    Raises:
        NoEnvironmentError: There is no suitable Python, or pip fails.
    """
    place = home / environment.name
    python, stamp = place / "bin" / "python", place / _STAMP
    wanted = json.dumps([environment.pythons, environment.requirements])
    if stamp.exists() and stamp.read_text() == wanted and await _version(python):
        return python
    base = await _find_python(environment.pythons)
    await asyncio.to_thread(_clear, place)
    begin = time.monotonic()
    _say(environment, f"installing {' '.join(environment.requirements)} (once; it may take minutes)")
    await _make(environment, base, place)
    # The stamp goes first and comes last: what was cut off, removal or installation, is made again.
    stamp.write_text(wanted)
    _say(environment, f"ready after {time.monotonic() - begin:.0f} s")
    return python


def _clear(place: Path) -> None:
    (place / _STAMP).unlink(missing_ok=True)
    _log(place).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)


def _log(place: Path) -> Path:
    return place.with_suffix(".log")


async def _make(environment: Environment, base: Path, place: Path) -> None:
    try:
        await _run(base, "-m", "venv", str(place))
    except NoEnvironmentError as error:
        message = f"{base} cannot make {place}: {error}"
        raise NoEnvironmentError(message) from None
    pip = ("-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")
    log = str(_log(place))
    try:
        await _run(place / "bin" / "python", *pip, "--log", log, *environment.requirements, told=environment)
    except NoEnvironmentError as error:
        message = (
            f"pip cannot install {' '.join(environment.requirements)}; all that it said is in {log}, "
            f"and the next run tries again: {error}"
        )
        raise NoEnvironmentError(message) from None


async def _find_python(versions: Sequence[str]) -> Path:
    """The first of some versions of Python that this machine has.

    Raises:
        NoEnvironmentError: There is none of them.
    """
    # What a version manager puts on the path says nothing about the Python behind it, so each is run and asked.
    found: dict[str, Path] = {}
    for candidate in _candidates(versions):
        version = await _version(candidate)
        if version:
            found.setdefault(version, candidate)
    for version in versions:
        if version in found:
            return found[version]
    message = (
        f"it needs CPython {', '.join(versions[:-1])} or {versions[-1]} with the modules venv and ensurepip, and none "
        f"is here; install one that can be called as python{versions[0]}, or with pyenv, and run again"
    )
    raise NoEnvironmentError(message)


def _candidates(versions: Iterable[str]) -> Iterator[Path]:
    yield Path(sys.executable)
    for directory in os.get_exec_path():
        yield from (Path(directory, f"python{version}") for version in versions)
    manager = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(manager.glob("versions/*/bin/python"))


async def _version(python: Path) -> str:
    """Its minor version, such as "3.11"; nothing if it does not run or cannot make environments."""
    try:
        return await _run(python, "-I", "-c", _ASK)
    except (NoEnvironmentError, OSError):
        return ""


async def _run(python: Path, *arguments: str, told: Environment | None = None) -> str:
    """Run a Python and return the last line that it prints.

    Args:
        python: Which.
        arguments: What it runs.
        told: The environment in whose name the user is told from time to time what was printed last.

    Raises:
        NoEnvironmentError: It failed; the message is the end of its standard error.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    begin, latest = time.monotonic(), ""

    async def read(output: asyncio.StreamReader) -> None:
        nonlocal latest
        async for line in output:
            latest = line.decode(errors="replace").strip()

    pipes = {"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE}
    async with started(python, *arguments, **pipes, env=variables) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.TaskGroup() as group:
            errors = group.create_task(process.stderr.read())
            reading = group.create_task(read(process.stdout))
            while not (await asyncio.wait({reading}, timeout=_SECONDS_BETWEEN_MESSAGES))[0]:
                if told is not None:
                    _say(told, f"{time.monotonic() - begin:.0f} s: {latest[:_LONGEST_MESSAGE]}")
        code = await process.wait()
    if code:
        raise NoEnvironmentError(errors.result().decode(errors="replace").strip()[-500:] or "no reason given")
    return latest


def _say(environment: Environment, message: str) -> None:
    print(f"[{environment.name}] {message}", file=sys.stderr, flush=True)
