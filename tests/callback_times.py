"""How long each callback holds an event loop, in CPU time of its thread.

CPU time and not the clock on the wall, or the figures would show how busy the machine is with other programs. For the
same reason collections of garbage are kept apart, since how long one takes depends on all that the process holds; and
who traces lines, as coverage does, has to pause.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True)
class CallbackTimes:
    """What was measured, in seconds of CPU time.

    Attributes:
        callbacks: Each callback that the loop ran, without collections of garbage.
        collections: Each collection of garbage.
        longest: What the longest callback was.
    """

    callbacks: list[float] = field(default_factory=list)
    collections: list[float] = field(default_factory=list)
    longest: str = "none"
    _longest: float = 0.0
    _is_over: bool = False

    def __str__(self) -> str:
        collections = (
            f"{len(self.collections)} collections of at most {1000 * max(self.collections, default=0):.2f} ms"
        )
        return (
            f"{len(self.callbacks)} callbacks, 99.9 % of at most {1000 * self.quantile(0.999):.2f} ms, "
            f"the longest {1000 * self.quantile(1):.2f} ms; {collections}"
        )

    def quantile(self, share: float) -> float:
        """The time that such a share of callbacks took at most."""
        return sorted(self.callbacks)[max(0, round(share * len(self.callbacks)) - 1)]

    def run(self, name: object, callback: Callable[..., object], *arguments: Any) -> None:
        """Run a callback and take its time."""
        collected = len(self.collections)
        begin = time.thread_time()
        try:
            callback(*arguments)
        finally:
            took = time.thread_time() - begin - sum(self.collections[collected:])
            # The callback that ends the measurement may go on to other things.
            if not self._is_over:
                self.callbacks.append(took)
                if took > self._longest:
                    self._longest, self.longest = took, repr(name)

    def end(self) -> None:
        """Take no more times."""
        self._is_over = True


@contextmanager
def callback_times(loop: asyncio.AbstractEventLoop) -> Iterator[CallbackTimes]:
    """Take the times of all callbacks that a loop of asyncio's or uvloop's runs meanwhile."""
    times = CallbackTimes()
    with ExitStack() as patches:
        if isinstance(loop, asyncio.BaseEventLoop):
            run = asyncio.events.Handle._run

            def timed_run(handle: asyncio.Handle) -> None:
                times.run(handle, run, handle)

            patches.enter_context(mock.patch.object(asyncio.events.Handle, "_run", timed_run))
        else:
            # Its handles are not Python's, so callbacks are wrapped on their way in; what it reads from a socket goes
            # to aiohttp without a handle.
            for name, position in (("call_soon", 0), ("call_later", 1), ("call_at", 1)):
                patches.enter_context(mock.patch.object(loop, name, _timing(times, loop, name, position)))
            received = ResponseHandler.data_received
            patches.enter_context(
                mock.patch.object(
                    ResponseHandler,
                    "data_received",
                    lambda handler, data: times.run(received, received, handler, data),
                )
            )
        _watch_collections(times, patches)
        patches.callback(times.end)
        patches.callback(sys.settrace, sys.gettrace())
        sys.settrace(None)
        yield times


def _timing(
    times: CallbackTimes, loop: asyncio.AbstractEventLoop, name: str, position: int
) -> Callable[..., object]:
    schedule = getattr(loop, name)

    def timed_schedule(*arguments: Any, **context: Any) -> object:
        before, callback, rest = arguments[:position], arguments[position], arguments[position + 1 :]
        return schedule(*before, times.run, callback, callback, *rest, **context)

    return timed_schedule


def _watch_collections(times: CallbackTimes, patches: ExitStack) -> None:
    begin = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal begin
        if phase == "start":
            begin = time.thread_time()
        else:
            times.collections.append(time.thread_time() - begin)

    # What is there before is not walked again and again. It stays frozen: what conftest.py froze would thaw with it.
    gc.collect()
    gc.freeze()
    gc.callbacks.append(note)
    patches.callback(gc.callbacks.remove, note)
