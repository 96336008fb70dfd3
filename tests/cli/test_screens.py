"""What commands show in real terminals, wide, narrow, dumb and without colours; nothing from AWS acts there."""

from __future__ import annotations

import asyncio
import io
import re
import time
from typing import TYPE_CHECKING

import pytest

from awaitbatch.cli._table import width_of
from awaitbatch.cli._terminal import Terminal
from awaitbatch.testing import BatchServer, LifeCycle
from tests.cli.support import run
from tests.cli.terminals import COLOURS, Pty
from tests.support import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.virtual_time

NOW = 1_800_000_000.0
EVIL = "\x1b[31mred\x1b]0;pwned\x07\x1b[2J\r\nnext\u202eright\x9b5m"
COMMANDS = {
    "wait": ["wait", "-q", "queue", "--since", "1d"],
    "watch": ["watch", "ID", "ID-2", "ID-3", "ID-4"],
    "list": ["list", "-q", "queue", "--since", "1d"],
    "describe": ["describe", "ID", "ID-2", "ID-3", "ID-4", "ID-5", "nobody"],
    "terminate": ["terminate", "ID", "ID-3", "nobody", "--wait"],
}


@pytest.fixture(autouse=True)
async def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("time.time", lambda: NOW + loop.time())


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
    server = make_server(clock=time.time)
    life = {"submitted": 0, "pending": 0, "runnable": 0, "starting": 0}
    bad = LifeCycle(**life, running=2, outcome="FAILED", exit_code=137, reason=EVIL, attempts=2)  # type: ignore[arg-type]
    server.add_job("ID", job_name=f"align{EVIL}", job_definition=f"d{EVIL}", life_cycle=bad)
    server.add_job("ID-2", job_name="align-2", life_cycle=LifeCycle(**life, running=1, status_reason=EVIL))  # type: ignore[arg-type]
    server.add_job("ID-3", job_name="align-3", life_cycle=LifeCycle(**life, running=4))  # type: ignore[arg-type]
    server.block_queue("blocked", f"MISCONFIGURATION:{EVIL}")
    server.add_job("ID-5", job_name="align-5", job_queue="blocked")
    server.add_job("ID-4", job_name="align-4", life_cycle=LifeCycle(**life, running=1, attempts=2))  # type: ignore[arg-type]
    return server


async def show(server: BatchServer, terminal: Pty, *words: str) -> int:
    """Run a command in a terminal, and return its exit code."""
    if words[0] in {"list", "describe"}:
        await asyncio.sleep(4)
    with terminal.as_output() as output:
        return await run(server, output, *words)


@pytest.mark.parametrize("command", COMMANDS)
async def test_nothing_from_aws_acts(command: str, terminal: Pty) -> None:
    """In terminals of any width, names and reasons from AWS are shown in a line, and no escape of theirs is obeyed."""
    await show(bad_server(), terminal, *COMMANDS[command])
    assert re.findall(r"[^\n -~À-ÿ…✗⚠·━╸╺│]", terminal.text) == []
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


@pytest.mark.parametrize("command", ["wait", "watch", "list"])
async def test_no_line_is_too_long(command: str, terminal: Pty) -> None:
    """What fits the width of the terminal does so while it changes, too, or the next picture would not cover it."""
    await show(bad_server(), terminal, *COMMANDS[command])
    assert max(map(width_of, terminal.text.splitlines())) <= terminal.columns


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("colour", [False, True])
async def test_no_terminal(command: str, colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In files and pipes nothing acts either, and there are only such colours as were asked for."""
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
    server, out = bad_server(), io.StringIO()
    if command in {"list", "describe"}:
        await asyncio.sleep(4)
    await run(server, Terminal("auto", out=out, err=out), *COMMANDS[command])
    text = out.getvalue()
    assert ("\x1b[" in text) is colour
    assert COLOURS.sub("", text).replace("\n", "").isprintable()
    assert "align-3" in text


async def test_a_table_in_colours(wide: Pty) -> None:
    """States have their colours, and columns stay straight."""
    await show(bad_server(), wide, *COMMANDS["list"])
    assert "\x1b[32mSUCCEEDED\x1b[0m" in wide.raw
    assert "\x1b[31mFAILED\x1b[0m" in wide.raw
    head, *rows, _ = wide.lines
    place = head.index("STATUS")
    assert {row[place:].split()[0] for row in rows} == {"SUCCEEDED", "FAILED"}


async def test_what_a_terminal_cannot_show() -> None:
    """Where names have characters that a terminal lacks, these are written in ASCII."""
    server = make_server()
    server.add_job("a", life_cycle=LifeCycle(running=1, outcome="FAILED", reason="Speicher erschöpft ☹"))
    await asyncio.sleep(4)
    with io.TextIOWrapper(io.BytesIO(), encoding="latin-1") as out:
        terminal = Terminal("auto", out=out, err=out)
        assert await run(server, terminal, "describe", "a") == 0
        out.flush()
        assert "Speicher erschöpft \\u2639".encode("latin-1") in out.buffer.getvalue()
