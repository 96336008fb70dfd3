"""The virtual environments of the race: made once, and never half."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.peers import environments
from benchmarks.peers.environments import NoEnvironmentError, python_of
from benchmarks.peers.processes import started
from benchmarks.peers.registry import Environment

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = ".".join(map(str, sys.version_info[:2]))
WANTED = Environment(name="one", requirements=("a-package==1",), pythons=(HERE,))


class Installations:
    """Stands in for pip and venv, which take seconds; knows what was installed."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.in_the_end: Callable[[], None] = lambda: None

    async def run(self, python: Path, *arguments: str, **_: Any) -> str:
        """Do what the real one would leave behind."""
        if "venv" in arguments:
            _make(Path(arguments[-1], "bin", "python"))
        elif "pip" in arguments:
            self.made.append(arguments[-1])
            self.in_the_end()
        else:
            _ask(python)
        return HERE


def _ask(python: Path) -> None:
    if not python.exists():
        raise FileNotFoundError(python)


def _make(python: Path) -> None:
    python.parent.mkdir(parents=True)
    python.touch()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Installations:
    """Install nothing."""
    installations = Installations()
    monkeypatch.setattr(environments, "_run", installations.run)
    return installations


async def test_an_environment_is_made_once(pip: Installations, tmp_path: Path) -> None:
    """Until its requirements change."""
    python = await python_of(WANTED, tmp_path)
    assert await python_of(WANTED, tmp_path) == python
    assert pip.made == ["a-package==1"]
    await python_of(Environment(name="one", requirements=("a-package==2",), pythons=(HERE,)), tmp_path)
    assert pip.made == ["a-package==1", "a-package==2"]


async def test_an_environment_whose_python_is_gone_is_made_again(pip: Installations, tmp_path: Path) -> None:
    """A version manager may have removed it."""
    python = await python_of(WANTED, tmp_path)
    python.unlink()
    await python_of(WANTED, tmp_path)
    assert len(pip.made) == 2


@pytest.mark.parametrize("interruption", [asyncio.CancelledError, KeyboardInterrupt])
async def test_an_installation_that_was_cut_off_is_made_again(
    pip: Installations, tmp_path: Path, interruption: type[BaseException]
) -> None:
    """Though there was a whole one before."""
    changed = Environment(name="one", requirements=("a-package==2",), pythons=(HERE,))
    await python_of(WANTED, tmp_path)

    def cut_off() -> None:
        raise interruption

    pip.in_the_end = cut_off
    with pytest.raises(interruption):
        await python_of(changed, tmp_path)
    pip.in_the_end = lambda: None
    await python_of(WANTED, tmp_path)
    assert pip.made == ["a-package==1", "a-package==2", "a-package==1"]


async def test_an_error_says_what_failed_and_where_to_read_on(pip: Installations, tmp_path: Path) -> None:
    """And the next run tries again."""

    def fail() -> None:
        message = "no such version"
        raise NoEnvironmentError(message)

    pip.in_the_end = fail
    with pytest.raises(NoEnvironmentError) as raised:
        await python_of(WANTED, tmp_path)
    for words in ("a-package==1", "no such version", str(tmp_path / "one.log"), "tries again"):
        assert words in str(raised.value)
    pip.in_the_end = lambda: None
    await python_of(WANTED, tmp_path)
    assert len(pip.made) == 2


@pytest.mark.usefixtures("pip")
async def test_without_a_suitable_python_it_says_which_ones_would_do(tmp_path: Path) -> None:
    """Rather than taking another."""
    old = Environment(name="old", requirements=(), pythons=("2.6", "2.5"))
    with pytest.raises(NoEnvironmentError, match=r"needs CPython 2\.6 or 2\.5 .* called as python2\.6"):
        await python_of(old, tmp_path)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
async def test_what_a_child_process_has_started_ends_with_it() -> None:
    """Pip and contestants start processes of their own."""
    script = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    async with started(Path(sys.executable), "-c", script, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        grandchild = int(await process.stdout.readline())
        os.kill(grandchild, 0)
    assert process.returncode is not None
    for _ in range(500):
        if not _runs(grandchild):
            return
        await asyncio.sleep(0.01)
    pytest.fail("it still runs")


def _runs(process_id: int) -> bool:
    """Whether it does; a zombie, whose exit code was not collected yet, does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
