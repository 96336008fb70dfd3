"""The modelled service in place of the network: for tests in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import msgspec
from botocore.exceptions import ClientError

from awaitbatch.testing.service_error import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch.testing.server import BatchServer, Latency


class InProcessTransport:
    """Calls a `BatchServer` without a network; `BatchServer.transport` makes one.

    Calls and answers are the bytes that HTTP would carry, and errors are those that aiobotocore raises.

    Attributes:
        region_name: The server's region.
        refreshes_credentials: False, for there are none.
        max_in_flight: How many calls a client should have in flight at most.
        latency: Seconds from a call to its answer, or a callable that gives them. The server sees the call
            half-way.
        opened: How often it was opened.
        closed: How often it was closed.
    """

    refreshes_credentials = False

    def __init__(self, server: BatchServer, *, latency: Latency, max_in_flight: int = 8) -> None:
        self._server = server
        self.latency = latency
        self.max_in_flight = max_in_flight
        self.region_name = server.region_name
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
        """Count that it was opened."""
        self.opened += 1

    async def aclose(self) -> None:
        """Count that it was closed."""
        self.closed += 1

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Send DescribeJobs and return the body of the answer.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused.
        """
        body, _ = await self._call("DescribeJobs", {"jobs": list(job_ids)})
        return body

    async def submit_job(self, **kwargs: object) -> dict[str, Any]:
        """Send SubmitJob with boto3's parameters.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused.
        """
        return await self._parsed("SubmitJob", kwargs)

    async def list_jobs(self, **kwargs: object) -> dict[str, Any]:
        """Send ListJobs with boto3's parameters.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused.
        """
        return await self._parsed("ListJobs", kwargs)

    async def cancel_job(self, **kwargs: object) -> dict[str, Any]:
        """Send CancelJob with boto3's parameters, `jobId` and `reason`.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused.
        """
        return await self._parsed("CancelJob", kwargs)

    async def terminate_job(self, **kwargs: object) -> dict[str, Any]:
        """Send TerminateJob with boto3's parameters, `jobId` and `reason`.

        Raises:
            botocore.exceptions.ClientError: The call was throttled or refused.
        """
        return await self._parsed("TerminateJob", kwargs)

    async def _parsed(self, operation: str, request: dict[str, object]) -> dict[str, Any]:
        body, metadata = await self._call(operation, request)
        answer: dict[str, Any] = msgspec.json.decode(body)
        return {"ResponseMetadata": metadata, **answer}

    async def _call(self, operation: str, request: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        metadata: dict[str, Any] = {"RequestId": str(uuid4()), "HTTPHeaders": {}, "RetryAttempts": 0}
        try:
            body = await self._server.call(operation, msgspec.json.encode(request), latency=self.latency)
        except ServiceError as error:
            response: Any = {
                "Error": {"Message": error.message, "Code": error.code},
                "ResponseMetadata": metadata | {"HTTPStatusCode": error.http_status},
            }
            raise ClientError(response, operation) from None
        return body, metadata | {"HTTPStatusCode": 200}
