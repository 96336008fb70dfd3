"""A modelled AWS Batch on the loop's clock, and a transport that fails to order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
from botocore.exceptions import ClientError, EndpointConnectionError

from awaitbatch import BatchClient
from awaitbatch.testing import BatchServer, LifeCycle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awaitbatch.testing.in_process import InProcessTransport

Fault = BaseException | bytes | float | None


def make_server(**settings: Any) -> BatchServer:
    """A server on the clock of the running loop."""
    return BatchServer(clock=asyncio.get_running_loop().time, seed=1, **settings)


def make_client(server: BatchServer | InProcessTransport | FaultyTransport, **settings: Any) -> BatchClient:
    """A client of that server, over a network that takes 20 ms."""
    transport = server.transport(latency=0.02) if isinstance(server, BatchServer) else server
    return BatchClient(transport=transport, **settings)


class FaultyTransport:
    """Asks a plan, for each DescribeJobs call, what shall become of it.

    The plan gets the number of the call (from 1) and its ids. It answers with an error to raise, a body to return,
    seconds to hang, or None for the true answer.
    """

    def __init__(self, server: BatchServer, plan: Callable[[int, Sequence[str]], Fault]) -> None:
        self._inner = server.transport(latency=0.02)
        self._plan = plan
        self.calls: list[tuple[str, ...]] = []
        self.submitted: list[dict[str, Any]] = []
        self.submit_faults: list[BaseException] = []
        self.region_name = server.region_name
        self.max_in_flight = 8
        self.refreshes_credentials = False

    @property
    def client(self) -> Any:
        """There is none."""
        raise AttributeError

    async def open(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        """Nothing to do."""

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Fail to order, or answer."""
        self.calls.append(tuple(job_ids))
        fault = self._plan(len(self.calls), job_ids)
        if fault is None:
            return await self._inner.describe_jobs(job_ids)
        if isinstance(fault, float):
            await anyio.sleep(fault)
            return await self._inner.describe_jobs(job_ids)
        await anyio.sleep(0.02)
        if isinstance(fault, bytes):
            return fault
        raise fault

    async def submit_job(self, **kwargs: Any) -> dict[str, Any]:
        """Fail to order, or submit."""
        self.submitted.append(kwargs)
        if self.submit_faults:
            raise self.submit_faults.pop(0)
        return await self._inner.submit_job(**kwargs)

    async def cancel_job(self, **kwargs: Any) -> dict[str, Any]:
        """Cancel."""
        return await self._inner.cancel_job(**kwargs)

    async def terminate_job(self, **kwargs: Any) -> dict[str, Any]:
        """Terminate."""
        return await self._inner.terminate_job(**kwargs)


def client_error(
    status: int, code: str, text: str = "as ordered", operation: str = "DescribeJobs"
) -> ClientError:
    """An error answer of AWS, as botocore raises it."""
    response: Any = {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


def throttle() -> ClientError:
    """HTTP 429."""
    return client_error(429, "TooManyRequestsException", "Too Many Requests")


def refused_connection() -> EndpointConnectionError:
    """Nobody listens."""
    return EndpointConnectionError(endpoint_url="https://batch.example", error=OSError("refused"))


LONG = LifeCycle(running=1e6)
"""A job that does not end within a test."""

QUICK = LifeCycle(submitted=0, pending=0, runnable=0.5, starting=0.5, running=3)
"""A job that runs from 1 s to 4 s."""

ENDED = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)
"""A job that has ended when it is submitted."""
