"""What commands show in real terminals, wide, narrow, dumb and without colours; and that nothing from AWS acts there."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from awaitbatch.testing import BatchServer, LifeCycle
from tests.cli.support import run
from tests.cli.terminals import Pty, RealScreen
from tests.support import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.virtual_time

EVIL = "\x1b[31mred\x1b]0;pwned\x07\x1b[2J\r\nnext\u202eright\x9b5m"
COMMANDS = {
    "wait": ["wait", "-q", "queue", "--since", "1d"],
    "watch": ["watch", "ID", "ID-2", "ID-3", "ID-4"],
    "list": ["list", "-q", "queue", "--since", "1d"],
    "describe": ["describe", "ID", "ID-2", "ID-3", "ID-4", "nobody"],
    "terminate": ["terminate", "ID", "ID-3", "nobody", "--wait"],
}


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture(params=[120, 60, 40])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pty]:
    """Terminals of 120, 60 and 40 columns."""
    # rich asks the terminal of the process, which is not this one.
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("LINES", "40")
    with Pty(request.param) as terminal:
        yield terminal


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pty]:
    """A terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    with Pty(100) as terminal:
        yield terminal


def bad_server() -> BatchServer:
    """A queue with jobs in several states, in whose texts somebody tries all that a terminal obeys."""
    server = make_server()
    life = {"submitted": 0, "pending": 0, "runnable": 0, "starting": 0}
    bad = LifeCycle(**life, running=4, outcome="FAILED", exit_code=137, reason=EVIL, attempts=2)  # type: ignore[arg-type]
    queue = f"q{EVIL}"
    server.add_job("ID", job_name=f"align{EVIL}", job_definition=f"d{EVIL}", life_cycle=bad)
    server.add_job("ID-2", job_name="align-2", life_cycle=LifeCycle(**life, running=1, status_reason=EVIL))  # type: ignore[arg-type]
    server.add_job("ID-3", job_name="align-3", life_cycle=LifeCycle(**life, running=30))  # type: ignore[arg-type]
    server.block_queue(queue, f"MISCONFIGURATION:{EVIL}")
    server.add_job("ID-4", job_name="align-4", life_cycle=LifeCycle(**life, running=5, attempts=2))  # type: ignore[arg-type]
    return server


async def show(server: BatchServer, terminal: Pty, *words: str) -> int:
    """Run a command in a terminal, and return its exit code."""
    screen = RealScreen(terminal)
    try:
        return await run(server, screen, *words)
    finally:
        screen.close()
        terminal.finish()


@pytest.mark.parametrize("command", COMMANDS)
async def test_nothing_from_aws_acts(command: str, terminal: Pty) -> None:
    """In terminals of any width, names and reasons from AWS are shown in a line, and no escape of theirs is obeyed."""
    server = bad_server()
    if command in {"list", "describe"}:
        await asyncio.sleep(10)
    await show(server, terminal, *COMMANDS[command])
    assert re.findall(r"[^\n -~À-ÿ–…✗⚠·━╸╺│]", terminal.text) == []
    assert terminal.title == ""
    assert not terminal.hides_cursor
    assert any("align-3" in line for line in terminal.lines)


@pytest.mark.parametrize("command", COMMANDS)
async def test_without_colours(command: str, wide: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR there is a picture, but no colour."""
    monkeypatch.setenv("NO_COLOR", "1")
    await show(bad_server(), wide, *COMMANDS[command])
    assert not any(re.search(r"[\[;](3|4|9|10)[0-7]m", colour) for colour in wide.colours)
    assert any("align-3" in line for line in wide.lines)


@pytest.mark.parametrize("command", COMMANDS)
async def test_dumb(command: str, wide: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor gets plain lines."""
    monkeypatch.setenv("TERM", "dumb")
    await show(bad_server(), wide, *COMMANDS[command])
    assert "\x1b" not in wide.raw
    assert any("align-3" in line for line in wide.lines)


async def test_look(terminal: Pty) -> None:
    for command, words in COMMANDS.items():
        server = bad_server()
        if command in {"list", "describe"}:
            await asyncio.sleep(10)
        with Pty(terminal._screen.columns) as t:
            await show(server, t, *words)
            print("\n###", command, t._screen.columns)
            print("\n".join("|" + l for l in t.lines))
