"""Ctrl-C and SIGTERM: the first one ends the work in good order."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

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
