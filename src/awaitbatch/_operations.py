"""Every operation but DescribeJobs: one call, of which observers hear."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from awaitbatch._failures import classify
from awaitbatch.instrumentation._events import CallEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch._core.outcomes import Failure
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation._observers import Observers


class Operations:
    """Sends calls, and tells observers how they ended.

    Args:
        transport: How calls reach AWS Batch.
        observers: Who hears of them.
        check_open: Raises unless calls can be made; gets the job that one is about.
    """

    def __init__(
        self, transport: BatchTransport, observers: Observers, check_open: Callable[[str | None], None]
    ) -> None:
        self._transport = transport
        self._observers = observers
        self._check_open = check_open

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Make one call with boto3's parameters, and return boto3's answer.

        Args:
            operation: AWS's name for it, such as ``"SubmitJob"``.
            parameters: What it asks for.

        Raises:
            ClientClosedError: The client is not open.
            Exception: Whatever the transport raises.
        """
        job_id = parameters.get("jobId")
        self._check_open(job_id)
        began = asyncio.get_running_loop().time()
        # Nothing here may keep an error in a variable: it refers to this frame, and so to the parameters.
        try:
            answer = await self._transport.call(operation, **parameters)
        except asyncio.CancelledError:
            self._notify(operation, "cancelled", began, job_id)
            raise
        except BaseException as error:
            renewed = self._transport.refreshes_credentials
            self._notify(
                operation,
                classify(error, operation=operation, refreshes_credentials=renewed),
                began,
                job_id,
            )
            raise
        self._notify(operation, "answered", began, job_id)
        return answer

    def _notify(self, operation: str, how: Failure | str, began: float, job_id: str | None) -> None:
        seconds = asyncio.get_running_loop().time() - began
        self._observers.notify(CallEnded.of(operation, how, ids=int(job_id is not None), seconds=seconds))
