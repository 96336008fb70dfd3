"""What cannot be ordered from a server: answers and errors of a test's own making, by the number of the call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
from botocore.exceptions import ClientError

from awaitbatch.testing import LifeCycle
from awaitbatch.testing._in_process import InProcessTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awaitbatch.testing import BatchServer

Outcome: TypeAlias = BaseException | bytes | None
"""An error to raise, a body to return, or the true answer."""

Plan: TypeAlias = "Callable[[int, Sequence[str]], Outcome]"
"""What becomes of a call of DescribeJobs, by its number (from 1) and its ids."""

QUICK: Final = LifeCycle(submitted=0, pending=0, runnable=0.5, starting=0.5, running=3)
"""A job that runs from 1 s to 4 s."""


class FaultyTransport(InProcessTransport):
    """Asks a plan for the outcome of each DescribeJobs call, and a list for the errors of the next submissions."""

    def __init__(self, server: BatchServer, plan: Plan = lambda *_: None) -> None:
        super().__init__(server, latency=0.02)
        self._plan = plan
        self.described = 0
        self.submitted = 0
        self.submit_faults: list[BaseException] = []

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Do as planned."""
        self.described += 1
        outcome = self._plan(self.described, job_ids)
        if outcome is None:
            return await super().describe_jobs(job_ids)
        await anyio.sleep(0.02)
        if isinstance(outcome, bytes):
            return outcome
        raise outcome

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Let submissions fail to order."""
        if operation == "SubmitJob":
            self.submitted += 1
            if self.submit_faults:
                raise self.submit_faults.pop(0)
        return await super().call(operation, **parameters)


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


def cancelled_future() -> asyncio.Future[None]:
    """Whoever awaits it gets a CancelledError, though nobody has cancelled him."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    return future
