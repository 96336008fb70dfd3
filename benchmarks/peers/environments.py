"""Virtual environments for the contestants, made when they are wanted and kept in ``.venvs/peers``."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.peers.roster import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.peers.roster import Environment

_HOME: Final = ROOT / ".venvs" / "peers"
_STAMP: Final = "requirements.json"
_ASK: Final = (
    "import ensurepip, sys, venv; "
    "print('%d.%d' % sys.version_info[:2] if sys.implementation.name == 'cpython' else '')"
)


class NoEnvironmentError(Exception):
    """A contestant cannot be had here; the message says why."""


async def python_of(environment: Environment) -> Path:
    """The Python of a virtual environment, which is made if it is not there or has other things installed.

    Raises:
        NoEnvironmentError: There is no suitable Python, or pip fails.
    """
    home = _HOME / environment.name
    python = home / "bin" / "python"
    wanted = json.dumps(environment.requirements)
    stamp = home / _STAMP
    if stamp.exists() and stamp.read_text() == wanted and await _version(python):
        return python
    base = await _find_python(environment.pythons)
    print(f"making the environment {environment.name}", file=sys.stderr, flush=True)
    await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
    try:
        await _run(base, "-m", "venv", str(home))
        pip = ("-m", "pip", "install", "-qq", "--disable-pip-version-check")
        await _run(python, *pip, *environment.requirements)
    except NoEnvironmentError as error:
        message = f"{' '.join(environment.requirements)} cannot be installed: {error}"
        raise NoEnvironmentError(message) from None
    # The stamp comes last: an installation that was cut off is made again.
    stamp.write_text(wanted)
    return python


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
    message = f"it needs Python {', '.join(versions[:-1])} or {versions[-1]}, and none is here"
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


async def _run(python: Path, *arguments: str) -> str:
    """Run a Python and return what it prints.

    Raises:
        NoEnvironmentError: It failed; the message is the end of its standard error.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = await asyncio.create_subprocess_exec(
        python,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NoEnvironmentError(errors.decode(errors="replace").strip()[-500:] or "no reason given")
    return output.decode().strip()
