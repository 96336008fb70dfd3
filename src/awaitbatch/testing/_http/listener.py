"""The port on which a service is served, which is closed while the service is to be down."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from awaitbatch.testing._http.app import create_app
from awaitbatch.testing._http.transit_faults import reset_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch.testing._service import BatchService

_SHUTDOWN_TIMEOUT: Final = 1.0
_CHECK_INTERVAL: Final = 0.02
"""Seconds between two checks whether the service is to be down, while an outage is ordered."""


@asynccontextmanager
async def listening(service: BatchService, host: str, port: int) -> AsyncIterator[str]:
    """Serve a service over HTTP inside ``async with``, which gives the URL.

    Args:
        service: What is served.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.

    Raises:
        OSError: Somebody else listens there.
    """
    runner = web.AppRunner(
        create_app(service),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_TIMEOUT,
        # Or responses that take long would be made for clients that have gone, and outlive the server.
        handler_cancellation=True,
    )
    await runner.setup()
    try:
        site = await _listen(runner, host, port)
        port = runner.addresses[0][1]
        task = asyncio.create_task(_follow_outages(service, runner, site, host, port), name="BatchServer")
        try:
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            # Calls under way that hang would hold up the end.
            reset_all(runner)
            await _end(task)
    finally:
        await runner.cleanup()


async def _follow_outages(
    service: BatchService, runner: web.AppRunner, site: web.TCPSite | None, host: str, port: int
) -> None:
    """Close the port when an outage begins, and open it again when it ends."""
    loop, ordered = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ordered.set)

    service.on_outage = wake
    while True:
        ordered.clear()
        if service.is_down and site is not None:
            await site.stop()
            site = None
            service.note_refusals(reset_all(runner))
        elif not service.is_down and site is None:
            # Somebody else may have the port for a moment.
            with suppress(OSError):
                site = await _listen(runner, host, port)
        if site is None or service.expects_outage():
            # The service's clock may be anything, so no timer can wait for it.
            await asyncio.sleep(_CHECK_INTERVAL)
        else:
            await ordered.wait()
            # Not at once, while connections that were made just before are still being accepted.
            await asyncio.sleep(_CHECK_INTERVAL)


async def _listen(runner: web.AppRunner, host: str, port: int) -> web.TCPSite:
    site = web.TCPSite(runner, host, port)
    await site.start()
    return site


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
