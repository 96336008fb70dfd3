"""The streams that are open on a client, and the tasks that work for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine

_GRACE: Final = 1.0
"""Seconds that a task has to end in once it is cancelled."""


def error_of_source(error: BaseException, what: str) -> BaseException:
    """What a consumer is told of an error that an iterable of the user's has raised.

    A CancelledError out of it, as of a future that somebody has cancelled, would make him seem to be cancelled himself,
    and a task group takes that for no error.
    """
    if not isinstance(error, asyncio.CancelledError):
        return error
    told = RuntimeError(f"the iterable of {what} was cancelled, and not by awaitbatch")
    told.__cause__ = error
    return told


class OpenStream(Protocol):
    """What a client has to tell a stream."""

    def end(self, failure: BaseException | None = None) -> None:
        """The client closes, because of ``failure`` if there is one."""


class OpenStreams:
    """The streams of one user of a client.

    A stream's user may vanish without a word. So what works for a stream is the client's: its tasks run here, and
    `aclose` waits for them.

    Args:
        parent: Those of the client, if this is but one of its users; it hears of them, too.
    """

    def __init__(self, parent: OpenStreams | None = None) -> None:
        self._parent = parent
        self._streams: set[OpenStream] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether anything works for a stream, such as what terminates the jobs of one that was left."""
        return bool(self._tasks)

    def add(self, stream: OpenStream) -> None:
        """Tell the stream when the client closes."""
        self._streams.add(stream)
        if self._parent is not None:
            self._parent.add(stream)

    def discard(self, stream: OpenStream) -> None:
        """Forget a stream; it is no error if it is not known."""
        self._streams.discard(stream)
        if self._parent is not None:
            self._parent.discard(stream)

    def run(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Begin to run something for a stream."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._keep(task)
        return task

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._parent is not None:
            # The client must not close under it.
            self._parent._keep(task)  # noqa: SLF001

    def close(self, failure: BaseException | None = None) -> None:
        """Tell all streams that the client closes, because of ``failure`` if there is one."""
        for stream in list(self._streams):
            stream.end(failure)
            self.discard(stream)

    async def aclose(self, bound: float) -> None:
        """Wait for what still works; what does not end within ``bound`` seconds is cancelled."""
        if self._tasks:
            try:
                await asyncio.wait(list(self._tasks), timeout=bound)
            finally:
                await self._cancel()

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)
