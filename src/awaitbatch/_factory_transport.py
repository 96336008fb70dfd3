"""A transport over an aiobotocore client that somebody else makes when it is wanted."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from awaitbatch._transport import AiobotocoreTransport, require_batch_client

if TYPE_CHECKING:
    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

Factory = Callable[[], AbstractAsyncContextManager["AiobotocoreBatchClient"]]
"""Gives what ``async with`` makes an aiobotocore client of, as ``session.create_client("batch")`` does."""


class FactoryTransport(AiobotocoreTransport):
    """Asks a factory for its client when it is opened.

    What the factory gives is entered and left in one task, with a context of its own, since it may hold a cancel scope
    or a task group. A client in place of one that has gone bad can so be entered before that one is left.

    Args:
        factory: Gives an asynchronous context manager of an aiobotocore Batch client.
    """

    def __init__(self, factory: Factory) -> None:
        super().__init__()
        self._factory = factory

    async def open(self) -> None:
        """Enter what the factory gives, and attach to the client's events.

        Raises:
            TypeError: The factory gives no aiobotocore client.
            ValueError: It gives one of another service.
            Exception: Whatever the factory raises.
        """
        loop = asyncio.get_running_loop()
        made: asyncio.Future[AiobotocoreBatchClient] = loop.create_future()
        released = asyncio.Event()
        owner = loop.create_task(
            _own(self._factory, made, released), name="awaitbatch factory", context=contextvars.Context()
        )
        self._resources.push_async_callback(_release, owner, made, released)
        either: set[asyncio.Future[Any]] = {owner, made}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            if owner.cancelled():
                message = "the factory was cancelled, and not by who opens the client"
                raise ConnectionAbortedError(message)
            owner.result()
        client = made.result()
        require_batch_client(client, "factory= must give")
        self._client = client
        await super().open()


async def _own(
    factory: Factory, made: asyncio.Future[AiobotocoreBatchClient], released: asyncio.Event
) -> None:
    async with factory() as client:
        made.set_result(client)
        await released.wait()


async def _release(
    owner: asyncio.Task[None], made: asyncio.Future[AiobotocoreBatchClient], released: asyncio.Event
) -> None:
    """Have it left, and raise what is raised by that."""
    released.set()
    if not made.done():
        # It is still being entered.
        owner.cancel()
    try:
        await asyncio.wait({owner})
    except asyncio.CancelledError:
        # Whoever closes waits no longer.
        owner.cancel()
        raise
    # Asked for in any case: what nobody retrieves would be reported. That it cannot be entered was raised by `open`.
    if not owner.cancelled() and (error := owner.exception()) is not None and made.done():
        raise error
