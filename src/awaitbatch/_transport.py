"""What a transport is, by which calls reach AWS Batch, and what one tells of itself."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from awaitbatch._core.text import one_line
from awaitbatch.instrumentation._log import write_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient


class BatchTransport(Protocol):
    """How calls reach AWS Batch.

    They raise what aiobotocore raises. ``awaitbatch.testing.BatchServer.transport()`` is one without a network.
    """

    @property
    def region_name(self) -> str | None:
        """The region of the jobs."""

    @property
    def endpoint_url(self) -> str | None:
        """Where calls are sent, without secrets; None if it has no address."""

    @property
    def max_connections(self) -> int:
        """How many calls may be under way at once; asked once, when it is open."""

    @property
    def refreshes_credentials(self) -> bool:
        """Whether credentials that expired will be replaced by fresh ones."""

    @property
    def client(self) -> AiobotocoreBatchClient:
        """The aiobotocore client behind it."""

    async def open(self) -> None:
        """Get ready to send."""

    async def aclose(self) -> None:
        """Give back what `open` took."""

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """The body of a good answer to DescribeJobs, not decoded."""

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Any other operation, by AWS's name for it, with boto3's parameters and answer.

        It is a single attempt: whoever calls knows whether it can be repeated, and has to see each throttled call.

        Raises:
            ValueError: It knows no such operation. In place of CancelJobs and TerminateJobs, CancelJob and TerminateJob
                are called then.
        """


def told_by(transport: BatchTransport, name: str) -> str | None:
    """What a transport tells of itself, fit for a line of text; None if it does not, as one of the user's own may."""
    try:
        value = getattr(transport, name, None)
        return None if value is None else one_line(str(value))
    except Exception:  # noqa: BLE001
        return None


_LATE: Final = 8.0
"""Seconds after which it is said that what a transport needs to open has not come yet."""


@contextmanager
def told_if_late(text: str) -> Iterator[None]:
    """Write a WARNING if this takes long; ``text`` has a place for the seconds."""
    # In the context of whoever opens it, which is nobody's.
    timer = asyncio.get_running_loop().call_later(_LATE, write_log, logging.WARNING, text, _LATE)
    try:
        yield
    finally:
        timer.cancel()
