"""The time that a call may take: it counts from when the call has a connection."""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp

_call: ContextVar[tuple[anyio.CancelScope, float] | None] = ContextVar("awaitbatch_call_time", default=None)
"""The scope that ends the call under way, and the seconds that it may take."""


@contextmanager
def call_time(seconds: float) -> Iterator[None]:
    """Raise TimeoutError once the call within takes longer than this, queues for a connection not counted."""
    with anyio.fail_after(seconds) as scope:
        token = _call.set((scope, seconds))
        try:
            yield
        finally:
            _call.reset(token)


@contextmanager
def _standing_still() -> Iterator[None]:
    call = _call.get()
    if call is None:
        yield
        return
    scope, seconds = call
    scope.deadline = math.inf
    try:
        yield
    finally:
        scope.deadline = anyio.current_time() + seconds


def not_in_queue(connections: aiohttp.ClientSession) -> None:
    """Have the time of our calls stand still while they queue for one of these connections.

    The client's owner may have taken all for calls of his own, of which we know nothing. aiohttp can be made to tell by
    a trace, too, but that takes a tenth of each call's time. It stays: calls of others have no such time.
    """
    connector: Any = connections.connector
    queue = getattr(connector, "_wait_for_available_connection", None)
    # Without it, in a version to come, time in the queue counts.
    if queue is not None and not hasattr(queue, "awaitbatch"):

        async def queue_untimed(*arguments: object) -> None:
            with _standing_still():
                await queue(*arguments)

        queue_untimed.awaitbatch = True  # type: ignore[attr-defined]
        connector._wait_for_available_connection = queue_untimed  # noqa: SLF001
