"""What tests of the command share: parsed arguments, a terminal in memory, and a command's work in virtual time."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from awaitbatch.cli import _describe, _list, _terminate, _wait, _watch
from awaitbatch.cli._command import make_parser
from awaitbatch.cli._options import given_job_ids, select
from awaitbatch.cli._session import with_client
from awaitbatch.cli._terminal import Terminal
from tests.support import make_client

if TYPE_CHECKING:
    import argparse

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer


def arguments_of(*words: str) -> argparse.Namespace:
    """What the command line comes to."""
    arguments = make_parser().parse_args(words)
    arguments.words = [*words]
    return arguments


class Screen:
    """A terminal in memory."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        self._out, self._err = _Stream(is_terminal=is_terminal), _Stream(is_terminal=is_terminal)
        self.terminal = Terminal("never", out=self._out, err=self._err)

    @property
    def out(self) -> list[str]:
        """The lines of standard output."""
        return self._out.getvalue().splitlines()

    @property
    def err(self) -> list[str]:
        """The lines of standard error."""
        return self._err.getvalue().splitlines()

    @property
    def told(self) -> list[str]:
        """The lines of standard error without the time in front of them."""
        return [line[9:] if line[2:3] == ":" else line for line in self.err]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of JSON on standard output."""
        return [json.loads(line) for line in self.out]


class _Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


async def run(server: BatchServer, screen: Screen | Terminal, *words: str, **settings: Any) -> int:
    """Run a command against a server without a network, and return the exit code."""
    arguments = arguments_of(*words)
    work: Any
    match arguments.command:
        case "list":
            work = partial(_list.run, arguments)
        case "describe" | "terminate" as command:
            module = {"describe": _describe, "terminate": _terminate}[command]
            work = partial(module.run, arguments, given_job_ids(arguments))
        case command:
            following = {"wait": _wait, "watch": _watch}[command]
            work = partial(following.run, arguments, select(arguments))

    def make(observer: Any) -> BatchClient:
        return make_client(server, observers=[observer], status_retries=3, **settings)

    terminal = screen.terminal if isinstance(screen, Screen) else screen
    return await with_client(make, work, terminal, arguments.prog)
