"""Real terminals for tests: a pty whose screen pyte keeps, for code in this process or for a process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

import pyte

from awaitbatch.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
"""What sets colours and styles."""

_MOVES: Final = re.compile(r"\x1b\[(?:\?25[lh]|2K|[0-9]*A)|\r\n|\r")
"""How rich draws a picture again, and the ends of lines as a terminal gets them."""


class Pty:
    """A terminal of so many columns and lines, as a context manager.

    What is written to it is read by a thread, so that nobody who writes is ever held up.

    Args:
        columns: How wide it is.
        lines: How high it is.
    """

    def __init__(self, columns: int, lines: int = 40) -> None:
        self.columns = columns
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self._raw = bytearray()
        self._has_changed = threading.Condition()
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        os.close(self._ours)

    def finish(self) -> None:
        """Read what is left, once all who write have closed it."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1
        self._thread.join()

    def _read(self) -> None:
        # Linux reports the end of a terminal as an error, macOS as no more data.
        while data := self._read_some():
            with self._has_changed:
                self._raw += data
                self._stream.feed(data)
                self._has_changed.notify_all()

    def _read_some(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:
            return b""

    def open(self) -> TextIO:
        """A stream at the other end."""
        return os.fdopen(os.dup(self.theirs), "w", encoding="utf-8")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def wait_for(self, holds: Callable[[list[str]], bool], seconds: float = 60) -> None:
        """Block until the screen is as awaited."""
        with self._has_changed:
            assert self._has_changed.wait_for(lambda: holds(self._lines()), seconds), self._lines()

    @contextmanager
    def as_output(self) -> Iterator[Terminal]:
        """It as the standard output and standard error of code in this process; at the end all is read."""
        with self.open() as out, self.open() as err:
            yield Terminal("auto", out=out, err=err)
        self.finish()

    @property
    def raw(self) -> str:
        """All that was written."""
        return self._raw.decode()

    @property
    def lines(self) -> list[str]:
        """What the screen shows, with what has left it at the top."""
        with self._has_changed:
            return self._lines()

    @property
    def title(self) -> str:
        """The title of the window."""
        return str(self._screen.title)

    @property
    def hides_cursor(self) -> bool:
        """Whether the cursor is not to be seen."""
        return bool(self._screen.cursor.hidden)

    @property
    def colours(self) -> set[str]:
        """The sequences that set colours and styles."""
        return set(COLOURS.findall(self.raw)) - {"\x1b[0m"}

    @property
    def text(self) -> str:
        """All that was written but for colours and the moves of pictures: nothing in it may have any effect."""
        return _MOVES.sub("\n", COLOURS.sub("", self.raw))

    def _lines(self) -> list[str]:
        columns = self.columns
        above = ["".join(line[place].data for place in range(columns)) for line in self._screen.history.top]
        lines = [line.rstrip() for line in (*above, *self._screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


async def start(
    terminal: Pty, *words: str, environment: Mapping[str, str], **settings: Any
) -> asyncio.subprocess.Process:
    """Start the command with a terminal of its own, whose Ctrl-C reaches it."""
    streams = {"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs, **settings}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IN_ITS_TERMINAL, *words), env=environment, start_new_session=True, **streams
    )


_IN_ITS_TERMINAL: Final = """
import fcntl, os, sys, termios
terminal = next((number for number in (2, 1, 0) if os.isatty(number)), None)
if terminal is not None:
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
from awaitbatch.cli import main
sys.exit(main())
"""
"""What a terminal's own program does for a shell."""

PIPE: Final = subprocess.PIPE
