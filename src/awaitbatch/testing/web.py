"""The modelled service over HTTP: the REST-JSON protocol of the AWS Batch API.

https://docs.aws.amazon.com/batch/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from aiohttp import web

from awaitbatch.testing.control import control_routes
from awaitbatch.testing.service_error import ServiceError, unknown_operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing.server import BatchServer

# More than AWS Batch takes, so that the model and not aiohttp refuses what is too long.
_LARGEST_REQUEST = 16 * 2**20


def create_app(server: BatchServer) -> web.Application:
    """Create the web application that a server's HTTP face runs."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.add_routes(
        web.post(f"/v1/{operation.lower()}", _answering(server, operation)) for operation in server.operations
    )
    app.add_routes(control_routes(server))
    app.router.add_route("*", "/{path:.*}", _refuse_unknown)
    return app


def _answering(server: BatchServer, operation: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            answered = await server.call(operation, body, latency=server.latency)
        except ServiceError as error:
            return _error_response(error)
        return web.Response(body=answered, content_type="application/json", headers=_headers())

    return answer


async def _refuse_unknown(request: web.Request) -> web.Response:
    return _error_response(unknown_operation(f"{request.method} {request.path}"))


def _error_response(error: ServiceError) -> web.Response:
    return web.Response(
        status=error.http_status,
        body=msgspec.json.encode({"message": error.message}),
        content_type="application/json",
        headers=_headers() | {"x-amzn-ErrorType": error.code},
    )


def _headers() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid4())}
