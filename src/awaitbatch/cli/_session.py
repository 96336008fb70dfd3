"""A client for a command: opened with its options, watched for a first answer, and closed with an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from typing import TYPE_CHECKING, Final, TypeAlias

from awaitbatch import BatchClient
from awaitbatch._core.text import MOST_CHARACTERS
from awaitbatch.cli._errors import explain, first_of
from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._signals import ends_with_its_reader, run_until_signal
from awaitbatch.cli._table import cut
from awaitbatch.cli._terminal import Terminal
from awaitbatch.instrumentation import CallEnded, ClientOpened

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from awaitbatch.instrumentation import Event, Observer

    Work: TypeAlias = Callable[[BatchClient, Terminal], Awaitable[int]]

PATIENCE: Final = 30.0
"""Seconds for the first good answer. A service may wait for longer, but in a shell nobody would know why."""
_STATUS_RETRIES: Final = 3
"""Checks that may lack a job; with the pauses of the backoff they take less than five seconds."""
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)

_IS_OF_JOBS: Final = {"previous", "changes"}
"""What the records have that tell of a job in another state, or of many."""


def run(arguments: argparse.Namespace, work: Work) -> int:
    """Run a command's work with an open client, until it is done or a signal ends it.

    Args:
        arguments: The options of `add_common`.
        work: Called with the client and the terminal; gives the exit code. What it raises is printed in a sentence, and
            ends the command with its exit code.
    """
    terminal = Terminal(arguments.color)
    log, handler = logging.getLogger("awaitbatch"), LogLines(terminal, arguments)
    log.addHandler(handler)
    log.setLevel(handler.lowest_level)
    try:
        guarded = with_client(lambda observer: client_of(arguments, observer), work, terminal, arguments.prog)
        return asyncio.run(run_until_signal(guarded, terminal.say_farewell))
    finally:
        log.removeHandler(handler)


async def with_client(
    make: Callable[[Observer], BatchClient], work: Work, terminal: Terminal, prog: str
) -> int:
    """Do the work with the client, and make an exit code of whatever it raises.

    Args:
        make: Makes the client, with an observer.
        work: See `run`.
        terminal: Where to complain.
        prog: Who complains.
    """
    try:
        return await _with_patience(make, work, terminal)
    except Exception as raised:  # noqa: BLE001
        error = first_of(raised)
        if isinstance(error, BrokenPipeError):
            raise error from None
        told = explain(error)
        if told is None:
            terminal.complain(f"{prog}: this was not foreseen, please report it as a bug:")
            terminal.note("".join(traceback.format_exception(error)).rstrip())
            return ExitCode.AWS
        terminal.complain(f"{prog}: {told}")
        return told.code


async def _with_patience(make: Callable[[Observer], BatchClient], work: Work, terminal: Terminal) -> int:
    endpoint, last = "AWS Batch", ""

    def hear(event: Event) -> None:
        nonlocal endpoint, last
        match event:
            case ClientOpened():
                endpoint = event.endpoint_url or endpoint
                terminal.region_name = event.region_name
            case CallEnded(outcome="answered" | "throttled" | "refused"):
                if not patience.expired():
                    patience.reschedule(None)
            case CallEnded(error_message=str(text)):
                last = f"; the last call: {text.rstrip('. ')}"

    try:
        with ends_with_its_reader(terminal.out):
            async with asyncio.timeout(PATIENCE) as patience, make(hear) as client:
                try:
                    return await work(client, terminal)
                except asyncio.CancelledError:
                    terminal.is_stopping = True
                    raise
    except TimeoutError:
        if not patience.expired():
            raise
        message = (
            f"{endpoint} has given no good answer within {PATIENCE:.0f} s{last}; "
            "check the network, --region and --endpoint-url"
        )
        raise CommandError(message, ExitCode.AWS) from None


def client_of(arguments: argparse.Namespace, observer: Observer) -> BatchClient:
    """The client that the options of `add_common` describe; it is not open yet."""
    return BatchClient(
        profile_name=arguments.profile,
        # As the second version of aws has it, while botocore knows AWS_DEFAULT_REGION alone.
        region_name=arguments.region or os.environ.get("AWS_REGION") or None,
        endpoint_url=arguments.endpoint_url,
        max_calls_per_second=arguments.max_calls_per_second,
        status_retries=_STATUS_RETRIES,
        close_timeout=2,
        observers=[observer],
    )


class LogLines(logging.Handler):
    """Prints what the library logs.

    Args:
        terminal: Where to.
        arguments: The options of `add_common`.

    Attributes:
        lowest_level: What is worth a line.
    """

    def __init__(self, terminal: Terminal, arguments: argparse.Namespace) -> None:
        super().__init__()
        self._terminal = terminal
        self._arguments = arguments
        self.lowest_level = _LEVELS[min(arguments.verbose, len(_LEVELS) - 1)]

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, unless the command says the same."""
        # Whoever gets the error of such a call prints it, and what becomes of jobs is shown anyway.
        is_told = getattr(record, "outcome", None) == "permanent" or _IS_OF_JOBS & vars(record).keys()
        # After Ctrl-C the farewell says what was given up.
        if (is_told or self._terminal.is_stopping) and self.lowest_level > logging.DEBUG:
            return
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        message = record.getMessage()
        if self.lowest_level > logging.INFO:
            # A shell needs no line that names hundreds of jobs.
            message = cut(message, MOST_CHARACTERS)
        line = f"{self._arguments.prog}: {message}"
        self._terminal.note(self._terminal.paint(line, style, self._terminal.err))
