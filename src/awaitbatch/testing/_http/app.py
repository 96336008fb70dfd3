"""The REST-JSON protocol of the AWS Batch API.

https://docs.aws.amazon.com/batch/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

from aiohttp import web

from awaitbatch.testing._http.control import control_routes
from awaitbatch.testing._http.transit_faults import send_with_fault
from awaitbatch.testing._model.service_error import ServiceError, unknown_operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing._service import BatchService

_LARGEST_REQUEST: Final = 16 * 2**20
"""More than AWS Batch takes, so that the model and not aiohttp refuses what is too long."""


def create_app(service: BatchService) -> web.Application:
    """Create the web application through which a service is called and controlled."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.add_routes(
        web.post(f"/v1/{operation.lower()}", _handler(service, operation)) for operation in service.operations
    )
    app.add_routes(control_routes(service))
    app.router.add_route("*", "/{path:.*}", _refuse_unknown)
    return app


def _handler(service: BatchService, operation: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body, fault = await service.call(operation, await request.read(), latency=service.latency)
        except ServiceError as error:
            return _error_response(error)
        headers = _headers() | {"Content-Type": "application/json"}
        if fault is not None:
            return await send_with_fault(request, web.StreamResponse(headers=headers), body, fault)
        return web.Response(body=body, headers=headers)

    return handle


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
