"""Where a server listens over HTTP, and when: but for the times at which it is to be down."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from awaitbatch.testing._http.app import create_app, reset_all

if TYPE_CHECKING:
    from awaitbatch.testing._server import BatchServer

_SECONDS_FOR_LAST_ANSWERS: Final = 1.0
_GLANCE: Final = 0.02
"""Seconds between two looks at whether the server is to be down."""


class Doorkeeper:
    """Opens and shuts the door of a server, at one address for as long as it is on duty.

    Args:
        server: Whose door it is.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
    """

    def __init__(self, server: BatchServer, host: str, port: int) -> None:
        self._server = server
        self._host = host
        self._wanted_port = port
        self._port: int | None = None
        self._resources = AsyncExitStack()

    @property
    def url(self) -> str | None:
        """Where the door is, be it open or shut; None off duty."""
        return None if self._port is None else f"http://{self._host}:{self._port}"

    async def begin(self) -> None:
        """Go on duty.

        Raises:
            OSError: Somebody else listens there.
        """
        async with AsyncExitStack() as resources:
            runner = web.AppRunner(
                create_app(self._server),
                access_log=None,
                shutdown_timeout=_SECONDS_FOR_LAST_ANSWERS,
                # Or answers that take long would be made for clients that have gone, and outlive the server.
                handler_cancellation=True,
            )
            await runner.setup()
            resources.push_async_callback(runner.cleanup)
            site = await self._open(runner, self._wanted_port)
            port: int = runner.addresses[0][1]
            watch = asyncio.create_task(self._watch(runner, site, port), name="BatchServer")
            resources.push_async_callback(_end, watch)
            # Calls under way that hang would hold up the end.
            resources.callback(reset_all, runner)
            self._port = port
            self._resources = resources.pop_all()

    async def end(self) -> None:
        """Shut the door and go off duty."""
        self._port = None
        await self._resources.aclose()

    async def _open(self, runner: web.AppRunner, port: int) -> web.TCPSite:
        site = web.TCPSite(runner, self._host, port)
        await site.start()
        return site

    async def _watch(self, runner: web.AppRunner, site: web.TCPSite | None, port: int) -> None:
        while True:
            if self._server.is_down and site is not None:
                await site.stop()
                site = None
                self._server.note_refusals(reset_all(runner))
            elif not self._server.is_down and site is None:
                # Somebody else may have the port for a moment.
                with suppress(OSError):
                    site = await self._open(runner, port)
            # The server's clock may be anything, so it can only be looked at.
            await asyncio.sleep(_GLANCE)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
