"""What pytest's fixtures are made of; the plugin imports it when the first of them is asked for."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from anyio.from_thread import start_blocking_portal

from awaitbatch import BatchClient
from awaitbatch.testing._server import BatchServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractAsyncContextManager


class LoopClock:
    """The time of the running event loop; where none runs, that of the last moment at which one did, at first 0."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        # None runs where a synchronous fixture adds jobs.
        with suppress(RuntimeError):
            self._now = asyncio.get_running_loop().time()
        return self._now


class InProcessServer(BatchServer):
    """A `BatchServer` for virtual time: on the clock of whatever loop uses it, and without a network."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**{"clock": LoopClock(), **options})

    @property
    def endpoint_url(self) -> NoReturn:
        """There is none.

        Raises:
            RuntimeError: Always.
        """
        message = (
            "in virtual time there is no network, so the batch_server has no URL: use the fixture batch_client, or "
            "BatchClient(transport=batch_server.transport())"
        )
        raise RuntimeError(message)


def client_of(server: BatchServer, options: Mapping[str, Any]) -> BatchClient:
    """A client, yet to be opened, that calls a server in the way that the server offers."""
    if isinstance(server, InProcessServer):
        return BatchClient(**{"transport": server.transport(), **options})
    return BatchClient(**{**server.client_arguments, **options})


@contextmanager
def running_elsewhere(server: AbstractAsyncContextManager[Any]) -> Iterator[None]:
    """Run a server on an event loop in a thread of its own, so that synchronous code can call it, and any loop."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server):
        yield
