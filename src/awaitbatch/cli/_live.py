"""A live picture in a terminal, and the keys that are pressed meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TextIO

from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live
from rich.text import Text

from awaitbatch.cli._pictures import View, wait_picture, watch_picture
from awaitbatch.cli._terminal import is_ascii_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from awaitbatch import BatchClient, JobStuck
    from awaitbatch.cli._job_book import JobBook, Row
    from awaitbatch.cli._terminal import Terminal

_MARGIN: Final = 2
"""Columns for what the terminal itself writes behind the last line, such as ^C; a line more would spoil the picture."""


class LiveConsole(Console):
    """A console that says so when nobody reads any more."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what was raised: rich would make it a SystemExit, which breaks an event loop off half-way.

        Raises:
            BrokenPipeError: Always.
        """
        raise BrokenPipeError


class LivePicture:
    """Draws a picture again and again in the same place; lines that are printed meanwhile come above it.

    Use it as a context manager.

    Args:
        terminal: Where lines are printed.
        stream: The terminal to draw in.
        draw: Makes the picture for so many columns and lines.

    Attributes:
        period: Seconds between two calls of `refresh`.
        is_running: Whether more pictures will follow.
    """

    period = 0.25

    def __init__(
        self, terminal: Terminal, stream: TextIO, draw: Callable[[int, int], RenderableType]
    ) -> None:
        self.is_running = True
        self._terminal = terminal
        self._draw = draw
        has_color = terminal.has_color(stream)
        self._console = LiveConsole(
            file=stream,
            force_terminal=True,
            no_color=not has_color,
            color_system="auto" if has_color else None,
            highlight=False,
            markup=False,
            emoji=False,
        )
        # We refresh it ourselves, on the event loop.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        self._terminal.has_drawn = True
        self._above, self._terminal.above = self._terminal.above, self._print_above
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._terminal.above = self._above
        self.is_running = False
        if kind is not BrokenPipeError:
            self.refresh()
        self._live.stop()

    def refresh(self) -> None:
        """Draw it anew."""
        size = self._console.size
        picture = self._draw(size.width - _MARGIN, size.height)
        self._live.update(Constrain(picture, size.width - _MARGIN), refresh=True)

    def _print_above(self, line: str) -> None:
        self._console.print(Text.from_ansi(line), soft_wrap=True)


class WaitPicture(LivePicture):
    """The picture of a wait.

    Args:
        terminal: Whose standard error it is drawn on.
        book: The jobs.
        client: Who checks them.
        seconds: Gives how long it has taken so far.
    """

    def __init__(
        self, terminal: Terminal, book: JobBook, client: BatchClient, seconds: Callable[[], float]
    ) -> None:
        ascii_only = is_ascii_only(terminal.err)

        def draw(width: int, height: int) -> RenderableType:
            view = View(width=width, height=height, ascii_only=ascii_only)
            return wait_picture(
                book, view, seconds=seconds(), region_name=terminal.region_name, done=client.statistics()
            )

        super().__init__(terminal, terminal.err, draw)

    def tell(self, row: Row) -> None:
        """The next refresh shows it."""

    def tell_stuck(self, row: Row, stuck: JobStuck) -> None:
        """The next refresh shows it."""

    def conclude(self) -> None:
        """The last picture stays."""


class WatchPicture(LivePicture):
    """The table of a watch.

    Args:
        terminal: Whose standard output it is drawn on.
        book: The jobs.
        can_quit: Whether a key ends it.
    """

    def __init__(self, terminal: Terminal, book: JobBook, *, can_quit: bool) -> None:
        ascii_only = is_ascii_only(terminal.out)

        def draw(width: int, height: int) -> RenderableType:
            view = View(width=width, height=height, ascii_only=ascii_only)
            return watch_picture(book, view, can_quit=can_quit and self.is_running)

        super().__init__(terminal, terminal.out, draw)


@contextmanager
def on_key(key: str, act: Callable[[], None]) -> Iterator[bool]:
    """Call a function when a key is pressed, if standard input is a terminal; what else is typed is not shown.

    It gives whether that can be.
    """
    before = _settings_of_stdin()
    if before is None:
        yield False
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(OSError):
            typed = os.read(number, 1024)
            if not typed:
                loop.remove_reader(number)
            elif key.encode() in typed.lower():
                act()

    tty.setcbreak(number)
    try:
        loop.add_reader(number, read)
        try:
            yield True
        finally:
            loop.remove_reader(number)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _settings_of_stdin() -> list[Any] | None:
    """How the terminal is set that standard input is; None if it is none, or not ours to change."""
    try:
        import termios
    except ImportError:
        return None
    try:
        number = sys.stdin.fileno()
        settings: list[Any] = termios.tcgetattr(number)
        # A process in the background would be stopped as soon as it changes the terminal.
        return settings if os.tcgetpgrp(number) == os.getpgrp() else None
    except (termios.error, OSError, ValueError, AttributeError):
        return None
