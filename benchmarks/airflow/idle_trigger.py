"""The trigger that does nothing: what a triggerer costs before anybody waits for AWS Batch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class IdleTrigger(BaseTrigger):  # type: ignore[misc]
    """Waits for ever.

    Args:
        job_id: The job that it does not look at.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the database keeps of it."""
        return (f"{type(self).__module__}.{type(self).__qualname__}", {"job_id": self.job_id})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire no event."""
        await asyncio.Event().wait()
        # An unreachable `yield` makes it an asynchronous generator.
        yield
