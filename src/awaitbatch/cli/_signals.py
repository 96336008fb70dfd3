"""What ends the work in good order before it is done: Ctrl-C, SIGTERM, and a pipe that nobody reads any more."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def run_until_signal(
    work: Coroutine[Any, Any, int], farewell: Callable[[], None] = lambda: None, *, only_once: bool = False
) -> int:
    """Run until it is done, or until SIGINT or SIGTERM cancels it.

    Args:
        work: Gives the exit code.
        farewell: Called after a signal, once the work has ended.
        only_once: Whether later signals change nothing; else they end the process as they would any other.

    Returns:
        The exit code, which is 128 and the signal's number after a signal.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        if task is not None and len(caught) == 1:
            task.cancel()
            if not only_once:
                for each in _SIGNALS:
                    loop.remove_signal_handler(each)

    # Windows has no such handlers, and raises KeyboardInterrupt by itself.
    with suppress(NotImplementedError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop, number)
    try:
        code = await work
    except (asyncio.CancelledError, Exception):
        # What else comes of being cancelled is no news.
        if not caught:
            raise
    if not caught:
        return code
    farewell()
    return 128 + caught[0]


@contextmanager
def ends_with_its_reader(stream: TextIO) -> Iterator[None]:
    """Cancel what the current task does within ``with`` once nobody reads a pipe any more.

    Who prints would find out; but who waits for hours may have nothing to print.

    Raises:
        BrokenPipeError: That has happened.
    """
    task, number = asyncio.current_task(), _number_of_pipe(stream)
    if task is None or number is None:
        yield
        return
    loop, is_closed = asyncio.get_running_loop(), False

    def close() -> None:
        nonlocal is_closed
        is_closed = True
        loop.remove_reader(number)
        task.cancel()

    # The end that is written to becomes readable when the other one is closed.
    loop.add_reader(number, close)
    try:
        yield
    except asyncio.CancelledError:
        if is_closed:
            raise BrokenPipeError from None
        raise
    finally:
        loop.remove_reader(number)


def _number_of_pipe(stream: TextIO) -> int | None:
    # On Windows, event loops know no pipes.
    with suppress(OSError, ValueError):
        if os.name == "posix" and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            return stream.fileno()
    return None
