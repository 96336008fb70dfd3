"""The modelled service in place of the network: for tests in virtual time."""

from __future__ import annotations

import asyncio
import errno
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import uuid4

import aiohttp
import botocore.exceptions
import msgspec
from botocore.awsrequest import HeadersDict
from botocore.parsers import ResponseParserError, create_parser

from awaitbatch.testing._model.faults import Fault
from awaitbatch.testing._model.service_error import ServiceError
from awaitbatch.testing.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch.testing._model.faults import FaultRule
    from awaitbatch.testing._service import BatchService, Latency

_URL: Final = "https://batch.example"
_PARSER: Final = create_parser("rest-json")


class InProcessTransport:
    """Calls a `BatchServer` without a network; `BatchServer.transport` makes one.

    Requests and responses are the bytes that HTTP would carry, and errors are those that aiobotocore raises.

    Attributes:
        region_name: The server's region.
        endpoint_url: The address that errors name; there is nothing behind it.
        refreshes_credentials: Whether credentials that expired are said to be replaced by fresh ones.
        max_connections: How many calls a client may have under way at once.
        latency: Seconds from a call to its response, or a callable that gives them. The server sees the call
            half-way.
        opened: How often it was opened.
        closed: How often it was closed.
    """

    def __init__(
        self,
        service: BatchService,
        *,
        latency: Latency,
        max_connections: int = 10,
        refreshes_credentials: bool = False,
    ) -> None:
        self._service = service
        self.refreshes_credentials = refreshes_credentials
        self.latency = latency
        self.max_connections = max_connections
        self.region_name = service.region_name
        self.endpoint_url = _URL
        self.opened = 0
        self.closed = 0

    @property
    def client(self) -> NoReturn:
        """There is no aiobotocore client behind this transport.

        Raises:
            AttributeError: Always.
        """
        message = "an in-process transport has no aiobotocore client; use BatchServer.endpoint_url for one"
        raise AttributeError(message)

    async def open(self) -> None:
        """Count that it was opened.

        Raises:
            RuntimeError: The server is on the clock of the machine, and the event loop is in virtual time.
        """
        if self._service.is_in_real_time() and isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
            message = (
                "this event loop is in virtual time and the server is not, so its jobs would hardly get on: make it by "
                "BatchServer(clock=asyncio.get_running_loop().time), or use the fixture batch_server"
            )
            raise RuntimeError(message)
        self.opened += 1

    async def aclose(self) -> None:
        """Count that it was closed."""
        self.closed += 1

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Send DescribeJobs and return the body of the response.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused.
        """
        body, _ = await self._call("DescribeJobs", {"jobs": list(job_ids)})
        return body

    async def call(self, operation: str, /, **parameters: object) -> dict[str, Any]:
        """Send any other operation with boto3's parameters, as ``call("SubmitJob", jobName=…)``.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused, or there is no such operation.
        """
        body, metadata = await self._call(operation, parameters)
        try:
            response: dict[str, Any] = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise ResponseParserError(str(error)) from None
        return {"ResponseMetadata": metadata, **response}

    async def _call(self, operation: str, request: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        if self._service.is_down:
            await asyncio.sleep(0)
            self._service.note_refusals(1)
            raise _refused()
        metadata: dict[str, Any] = {"RequestId": str(uuid4()), "HTTPHeaders": {}, "RetryAttempts": 0}
        try:
            body, fault = await self._service.call(
                operation, msgspec.json.encode(request), latency=self.latency
            )
        except ServiceError as error:
            raise _client_error(error, operation, metadata) from None
        if fault is not None:
            await _apply_in_transit(fault)
        if self._service.is_down:
            self._service.note_refusals(1)
            raise _reset()
        return body, metadata | {"HTTPStatusCode": 200}


def _refused() -> botocore.exceptions.EndpointConnectionError:
    key: Any = SimpleNamespace(host="batch.example", port=443, ssl=True)
    error = aiohttp.ClientConnectorError(
        key, ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed")
    )
    return botocore.exceptions.EndpointConnectionError(endpoint_url=_URL, error=error)


def _client_error(
    error: ServiceError, operation: str, metadata: dict[str, Any]
) -> botocore.exceptions.ClientError:
    """What botocore makes of such a response, by its own parser."""
    response = {
        "status_code": error.http_status,
        "headers": HeadersDict(error.headers | {"content-type": error.content_type}),
        "body": error.body,
    }
    parsed = _PARSER.parse(response, None)
    parsed["ResponseMetadata"] = metadata | parsed["ResponseMetadata"]
    return botocore.exceptions.ClientError(parsed, operation)


async def _apply_in_transit(rule: FaultRule) -> None:
    """Delay or raise as aiobotocore would for a fault in transit."""
    match rule.fault:
        case Fault.TRICKLE:
            await asyncio.sleep(rule.duration)
        case Fault.RESET_IN_BODY:
            payload_error = aiohttp.ClientPayloadError("Response payload is not completed")
            raise botocore.exceptions.ConnectionClosedError(endpoint_url=_URL, error=payload_error)
        case Fault.HANG:
            await asyncio.sleep(rule.duration)
            raise _reset()
        case Fault.RESET_BEFORE_BODY:
            raise _reset()


def _reset() -> botocore.exceptions.EndpointConnectionError:
    error = aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")
    return botocore.exceptions.EndpointConnectionError(endpoint_url=_URL, error=error)
