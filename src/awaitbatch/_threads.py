"""A use of the shared client by threads and other event loops, for whom it lives on the loop of `LoopThread`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from awaitbatch._awaitable_client import AwaitableClient
from awaitbatch._blocking_client import BlockingClient, refuse_event_loop
from awaitbatch._client import BatchClient
from awaitbatch._loop_thread import LoopThread
from awaitbatch.errors import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Hashable
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Unpack

    from awaitbatch._config import ClientArguments
    from awaitbatch._factory_transport import Factory


def shared(
    *,
    key: Hashable = None,
    factory: Factory | None = None,
    linger: float = 60.0,
    **arguments: Unpack[ClientArguments],
) -> SharedClient:
    """A client that all threads and event loops of a process share if they pass equal arguments.

    It is `BatchClient.shared` on one event loop for all, which runs in a thread of its own from the first use until
    the process ends::

        with awaitbatch.threads.shared(region_name="eu-west-1") as client:
            job = client.wait_for_job(job_id)

    On an event loop, its methods are awaited::

        async with awaitbatch.threads.shared(region_name="eu-west-1") as client:
            job = await client.wait_for_job(job_id)

    Observers, the factory, log fetchers and ``on_change`` are called in that thread, and must not block it.

    Args:
        key: As for `BatchClient.shared`.
        factory: As for `BatchClient.shared`.
        linger: As for `BatchClient.shared`.
        arguments: As for `BatchClient`, but for ``client``: an open aiobotocore client belongs to the event loop that
            it was opened on.

    Returns:
        Something for ``with`` or ``async with``, once.

    Raises:
        ValueError: An argument makes no sense, or contradicts another.
        TypeError: An argument has the wrong type.
    """
    if arguments.get("client") is not None:
        message = "client= belongs to the event loop that it was opened on: give session= or factory= instead"
        raise ValueError(message)
    return SharedClient(BatchClient.shared(key=key, factory=factory, linger=linger, **arguments))


class SharedClient:
    """A use of the shared client: ``with`` gives methods that block, ``async with`` gives some that are awaited.

    At its end the waits that were begun through it end with `ClientClosedError`, also those of other threads.

    Args:
        client: What is used, on the loop of `LoopThread`.
    """

    def __init__(self, client: BatchClient) -> None:
        self._client = client
        self._loop_thread: LoopThread | None = None

    def __enter__(self) -> BlockingClient:
        refuse_event_loop()
        client = BlockingClient(self._client, self._begin())
        try:
            client.run(BatchClient.open)
        except BaseException:
            self._leave()
            raise
        return client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if (left := self._leave()) is not None:
            left.result()

    async def __aenter__(self) -> AwaitableClient:
        client = AwaitableClient(self._client, self._begin())
        try:
            await client.run(BatchClient.open)
        except BaseException:
            self._leave()
            raise
        return client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if (left := self._leave()) is not None:
            # To leave takes a moment, and goes on if this task is cancelled.
            await asyncio.shield(asyncio.wrap_future(left))

    def _begin(self) -> LoopThread:
        if self._loop_thread is not None:
            message = "call awaitbatch.threads.shared() for each 'with': what it returns is good for one"
            raise RuntimeError(message)
        self._loop_thread = LoopThread.of_this_process()
        return self._loop_thread

    def _leave(self) -> Future[None] | None:
        """Begin to close it; None if its loop is gone, and with it all that there was to close."""
        if self._loop_thread is not None:
            with suppress(ClientClosedError):
                return self._loop_thread.start(self._client.aclose)
        return None
