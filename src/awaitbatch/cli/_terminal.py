"""Where the command prints: results on standard output, progress and complaints on standard error."""

from __future__ import annotations

import io
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TextIO

from awaitbatch._core.text import one_line
from awaitbatch.cli._exit_codes import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

Color = Literal["auto", "always", "never"]

_STYLES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "bright_black": "90",
}


class Terminal:
    """Prints lines. What comes from AWS is given to it as `clean` leaves it, so that no name can do harm.

    Args:
        color: When to use colours.
        out: Where results go.
        err: Where progress and complaints go.

    Attributes:
        out: Where results go.
        err: Where progress and complaints go.
        above: Prints a line of standard error; a live picture has it printed above itself.
        farewell: Gives what to say after Ctrl-C or SIGTERM; None for nothing.
        region_name: The region of the client, once it is open.
        has_drawn: Whether there was a live picture.
        is_stopping: Whether a signal, or a pipe that was closed, has ended the work.
    """

    def __init__(
        self, color: Color = "auto", *, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        for stream in (self.out, self.err):
            if isinstance(stream, io.TextIOWrapper):
                # What somebody has named may have characters that it lacks.
                stream.reconfigure(errors="backslashreplace")
        self._color = color
        self.above: Callable[[str], None] = self._write_err
        self.farewell: Callable[[], str] | None = None
        self.region_name: str | None = None
        self.has_drawn = False
        self.is_stopping = False

    @property
    def width(self) -> int | None:
        """The columns of standard output if it is a terminal; None elsewhere, where a line may have any length."""
        with suppress(ValueError, OSError):
            if self.out.isatty():
                given = os.environ.get("COLUMNS", "")
                columns = int(given) if given.isdecimal() else os.get_terminal_size(self.out.fileno()).columns
                # Some that know nothing of their size say zero.
                return columns or shutil.get_terminal_size().columns
        return None

    @property
    def is_ascii(self) -> bool:
        """Whether standard output cannot show the marks of a table."""
        return is_ascii_only(self.out)

    def result(self, line: str = "") -> None:
        """Print a line of what was asked for, and send it off: who reads it may want it now.

        Raises:
            CommandError: It cannot be written, as where a disk is full.
        """
        if self.above != self._write_err and is_terminal(self.out):
            # Or it would go through the live picture.
            self.above(line)
            return
        try:
            print(line, file=self.out, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            # Or Python would try once more when it exits, and its exit code is 120 then.
            send_nowhere(self.out)
            message = f"cannot write the results to standard output: {error.strerror}"
            raise CommandError(message, ExitCode.AWS) from None

    def note(self, line: str) -> None:
        """Print a line beside the results."""
        self.above(line)

    def complain(self, line: str) -> None:
        """Print a line about trouble."""
        self.note(self.paint(line, "red", self.err))

    def say_farewell(self) -> None:
        """Say what there is to say after Ctrl-C or SIGTERM."""
        if self.farewell is not None:
            # Behind the ^C that a terminal shows, unless a picture has ended that line.
            space = " " if is_terminal(self.err) and not self.has_drawn else ""
            self.note(f"{space}{self.farewell()}")

    def _write_err(self, line: str) -> None:
        print_aside(f"{line}\n", self.err)

    def has_color(self, stream: TextIO) -> bool:
        """Whether to use colours there. https://no-color.org, and https://force-color.org likewise."""
        if self._color != "auto":
            return self._color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)

    def paint(self, text: str, style: str, stream: TextIO | None = None) -> str:
        """The text in a style such as ``"red"``, if there are colours."""
        return painted(text, style) if self.has_color(stream or self.out) else text


def painted(text: str, style: str) -> str:
    """The text in a style, as a terminal understands it."""
    code = _STYLES.get(style)
    return text if code is None else f"\x1b[{code}m{text}\x1b[0m"


def is_terminal(stream: TextIO) -> bool:
    """Whether it is a terminal that can move its cursor."""
    # Of a stream that is closed already.
    with suppress(ValueError):
        return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}
    return False


def is_ascii_only(stream: TextIO) -> bool:
    """Whether it cannot show the marks of tables and pictures."""
    try:
        "✗⚠…·━".encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return True
    return False


def clean(text: object) -> str:
    """What somebody else named or wrote, fit for a line; `one_line` of it."""
    return one_line(str(text))


def print_aside(text: str, stream: TextIO | None = None) -> None:
    """Print on standard error what is no result. On a full disk it has to wait, and may be lost; the work goes on.

    Raises:
        BrokenPipeError: Nobody reads it.
    """
    try:
        print(text, end="", file=stream or sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass


def silence() -> None:
    """Nobody reads the output any more: let Python not complain, when it exits, that it cannot write the rest."""
    for stream in (sys.stdout, sys.stderr):
        send_nowhere(stream)


def give_up_complaints() -> None:
    """If a full disk has not taken all of standard error, let Python not fail for it when it exits."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        send_nowhere(sys.stderr)


def send_nowhere(stream: TextIO) -> None:
    """Let a stream lose what it has not written yet, and all that follows."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
