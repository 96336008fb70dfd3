"""Faults in transit, for real: connections that stall or are reset."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

from awaitbatch.testing._model.faults import Fault

if TYPE_CHECKING:
    from aiohttp import web

    from awaitbatch.testing._model.faults import FaultRule

_CHUNKS: Final = 20
"""The pieces in which a `Fault.TRICKLE` brings a body."""
_SECONDS_TO_ARRIVE: Final = 0.02
"""Half of a body has reached the other end by then, on this machine."""


async def send_with_fault(
    request: web.Request, response: web.StreamResponse, body: bytes, rule: FaultRule
) -> web.StreamResponse:
    """Send a body as far as a fault of `faults.TRANSIT_FAULTS` lets it pass."""
    response.content_length = size = len(body)
    # A hang may be for ever, which is more than a timer can take.
    seconds = min(rule.duration, threading.TIMEOUT_MAX)
    match rule.fault:
        case Fault.HANG:
            await asyncio.sleep(seconds)
        case Fault.RESET_IN_BODY:
            await response.prepare(request)
            await response.write(body[: size // 2])
            await asyncio.sleep(_SECONDS_TO_ARRIVE)
        case Fault.TRICKLE:
            await response.prepare(request)
            chunk = size // _CHUNKS + 1
            begins = range(0, size, chunk)
            for begin in begins:
                await asyncio.sleep(seconds / len(begins))
                await response.write(body[begin : begin + chunk])
            return response
    _reset(request.transport)
    return response


def reset_all(runner: web.AppRunner) -> int:
    """Reset every open connection, as when a server dies, and return how many there were."""
    connections = runner.server.connections if runner.server is not None else []
    for connection in connections:
        _reset(connection.transport)
    return len(connections)


def _reset(transport: asyncio.Transport | None) -> None:
    """End a connection as a crash does: the other end sees a reset, not the end of a stream."""
    if transport is None or transport.is_closing():
        return
    number = transport.get_extra_info("socket").fileno()
    # A duplicate of the socket, since not every event loop lets that of the transport be changed.
    with socket.socket(fileno=os.dup(number)) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
