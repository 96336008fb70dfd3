"""The servers of an Airflow: started, watched, and stopped by their process ids."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from benchmarks.airflow.home import AirflowHome

COMMANDS: Final = {
    "api-server": ("api-server", "--host", "127.0.0.1", "--workers", "1"),
    # Their logs are read from the disk, so nobody needs to serve them.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

_SECONDS_TO_STOP: Final = 5.0
_SECONDS_BETWEEN_CHECKS: Final = 0.1
_LINES_SHOWN: Final = 25
_LONGEST_LINE: Final = 400
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")


class Server:
    """A process of Airflow's with all that it starts, and its log.

    Args:
        home: Where it runs.
        kind: One of `COMMANDS`.
        name: What its log is called.
        arguments: Further ones of its command.

    Attributes:
        name: What its log is called.
        log: The file with all that it prints.
        is_wanted: Whether it was not killed by us.
    """

    def __init__(self, home: AirflowHome, kind: str, name: str, arguments: tuple[str, ...] = ()) -> None:
        self.name = name
        self.log = home.directory / f"{name}.log"
        port = ("--port", str(home.port)) if kind == "api-server" else ()
        self.is_wanted = True
        self._output: IO[bytes] = self.log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603
            (sys.executable, "-m", "airflow", *COMMANDS[kind], *port, *arguments),
            env=home.variables,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # A session and a process group of its own, by which its children are stopped too.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The id of its process, and of its process group."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """What it has printed so far, without colours."""
        return _ANSI.sub("", self.log.read_text(encoding="utf-8", errors="replace"))

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process; its children are its own to stop."""
        if self.is_running:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for it to end by itself, for so many seconds at most."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def kill(self) -> None:
        """End it and its children at once, as ``kill -9`` does."""
        self.is_wanted = False
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()


class Servers:
    """The servers of one home, inside ``with``: what has been started is stopped at the end.

    Args:
        home: Where they run.
    """

    def __init__(self, home: AirflowHome) -> None:
        self.home = home
        self._all: list[Server] = []

    def start(self, kind: str, *arguments: str) -> Server:
        """Start one.

        Args:
            kind: One of `COMMANDS`.
            arguments: Further ones of its command.
        """
        count = sum(server.name.startswith(kind) for server in self._all)
        server = Server(self.home, kind, f"{kind}-{count}" if count else kind, arguments)
        self._all.append(server)
        return server

    def wait_until(self, what: str, condition: Callable[[], Any], seconds: float) -> Any:  # noqa: ANN401
        """Wait until something is so, and return what the condition gave.

        Args:
            what: Says what is waited for.
            condition: Gives something true once it is so.
            seconds: The longest wait.

        Raises:
            TimeoutError: It did not come to be so, or a server has ended by itself; the message has the ends of all
                logs.
        """
        end = time.monotonic() + seconds
        while not (found := condition()):
            gone = [server.name for server in self._all if server.is_wanted and not server.is_running]
            if gone or time.monotonic() > end:
                why = f"{' and '.join(gone)} ended by itself" if gone else f"not within {seconds:g} s"
                message = f"{why}: {what}\n{self.last_lines()}"
                raise TimeoutError(message)
            time.sleep(_SECONDS_BETWEEN_CHECKS)
        return found

    def last_lines(self) -> str:
        """The last lines that each has printed."""
        parts = []
        for server in self._all:
            state = "running" if server.is_running else "ended"
            parts.append(f"== {server.name} ({state}), {server.log}\n{last_lines(server.text)}")
        return "\n".join(parts)

    def __iter__(self) -> Iterator[Server]:
        return iter(self._all)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server in self._all:
            server.ask_to_stop()
        end = time.monotonic() + _SECONDS_TO_STOP
        for server in self._all:
            server.wait(max(end - time.monotonic(), 0))
            server.kill()


def last_lines(text: str) -> str:
    """The end of a log, without the ends of lines that are very long."""
    return "\n".join(line[:_LONGEST_LINE] for line in text.splitlines()[-_LINES_SHOWN:])
