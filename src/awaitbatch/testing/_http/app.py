"""The modelled service over HTTP: the REST-JSON protocol of the AWS Batch API.

https://docs.aws.amazon.com/batch/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from aiohttp import web

from awaitbatch.testing._http.control import control_routes
from awaitbatch.testing._model.faults import Fault
from awaitbatch.testing._model.service_error import ServiceError, unknown_operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing._model.batch import Answer
    from awaitbatch.testing._model.faults import FaultRule
    from awaitbatch.testing._server import BatchServer

_LARGEST_REQUEST: Final = 16 * 2**20
"""More than AWS Batch takes, so that the model and not aiohttp refuses what is too long."""
_DROPS: Final = 20
"""The pieces in which a `Fault.TRICKLE` brings a body."""
_SECONDS_TO_ARRIVE: Final = 0.02
"""Half of a body has reached the other end by then, on this machine."""


def create_app(server: BatchServer) -> web.Application:
    """Create the web application that a server's HTTP face runs."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.add_routes(
        web.post(f"/v1/{operation.lower()}", _answering(server, operation)) for operation in server.operations
    )
    app.add_routes(control_routes(server))
    app.router.add_route("*", "/{path:.*}", _refuse_unknown)
    return app


def reset_all(runner: web.AppRunner) -> int:
    """Reset every open connection, as when a server dies; how many there were."""
    connections = runner.server.connections if runner.server is not None else []
    for connection in connections:
        _reset(connection.transport)
    return len(connections)


def _answering(server: BatchServer, operation: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            answered = await server.call(operation, body, latency=server.latency)
        except ServiceError as error:
            return _error_response(error)
        if answered.mishap is not None:
            return await _lose(request, answered, answered.mishap)
        return web.Response(body=answered.body, content_type="application/json", headers=_headers())

    return answer


async def _lose(request: web.Request, answer: Answer, mishap: FaultRule) -> web.StreamResponse:
    """Let a mishap befall an answer on its way."""
    response = web.StreamResponse(headers=_headers())
    response.content_type = "application/json"
    response.content_length = size = len(answer.body)
    match mishap.fault:
        case Fault.HANG:
            await asyncio.sleep(_bounded(mishap.duration))
        case Fault.RESET_IN_BODY:
            await response.prepare(request)
            await response.write(answer.body[: size // 2])
            await asyncio.sleep(_SECONDS_TO_ARRIVE)
        case Fault.TRICKLE:
            await response.prepare(request)
            drop = size // _DROPS + 1
            begins = range(0, size, drop)
            for begin in begins:
                await asyncio.sleep(_bounded(mishap.duration) / len(begins))
                await response.write(answer.body[begin : begin + drop])
            return response
    _reset(request.transport)
    return response


def _bounded(seconds: float) -> float:
    return min(seconds, threading.TIMEOUT_MAX)


def _reset(transport: asyncio.Transport | None) -> None:
    """End a connection as a crash does: the other end sees a reset, not the end of a stream."""
    if transport is None or transport.is_closing():
        return
    number = transport.get_extra_info("socket").fileno()
    # A twin of the socket, since that of the transport can not be set on every event loop.
    with socket.socket(fileno=os.dup(number)) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _refuse_unknown(request: web.Request) -> web.Response:
    return _error_response(unknown_operation(f"{request.method} {request.path}"))


def _error_response(error: ServiceError) -> web.Response:
    return web.Response(
        status=error.http_status,
        body=error.body,
        content_type=error.content_type,
        headers=_headers() | error.headers,
    )


def _headers() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid4())}
