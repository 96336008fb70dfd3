"""Airflow without a database, and triggers whose connection leads to a `BatchServer`."""

from __future__ import annotations

import asyncio
import importlib
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

# Airflow reads it when it is imported, and writes its configuration there.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-")
os.environ.update(
    AIRFLOW_HOME=_HOME.name,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
)

from awaitbatch import BatchClient  # noqa: E402
from awaitbatch.integrations.airflow import _kills  # noqa: E402
from awaitbatch.integrations.airflow._base import load  # noqa: E402
from awaitbatch.integrations.airflow._connection import Connection  # noqa: E402
from tests.support import make_server  # noqa: E402

# Threads have no part in virtual time.
load()
# Airflow 2 warns when it is imported, which would be an error in tests.
for _name in ("operators", "sensors", "triggers"):
    importlib.import_module(f"awaitbatch.integrations.airflow.{_name}")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch.testing import BatchServer


@dataclass
class Tasks:
    """What Airflow says of all tasks; an exception is raised.

    Attributes:
        state: The state of each.
        job_id: The job that it has submitted.
        questions: How often Airflow was asked.
    """

    state: Any = "deferred"
    job_id: Any = None
    questions: int = 0

    async def look_up(self, read: Any, _: object) -> Any:
        """As `_lookups.look_up`, without a thread, which has no part in virtual time."""
        self.questions += 1
        await asyncio.sleep(0.01)
        answer = self.job_id if read is _kills._submitted else self.state
        if isinstance(answer, Exception):
            raise answer
        return int(answer == "deferred") if read is _kills._deferred_by_api else answer


@pytest.fixture
def tasks() -> Tasks:
    """The tasks of all triggers."""
    return Tasks()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tasks: Tasks) -> AsyncIterator[BatchServer]:
    """The AWS Batch of all connections, without a network; the clients of hooks are shared as ever."""
    server = make_server()
    transport = server.transport(refreshes_credentials=True)

    def client(_: Connection, **arguments: Any) -> BatchClient:
        return BatchClient.shared(transport=transport, **arguments)

    monkeypatch.setattr(Connection, "client", client)
    monkeypatch.setattr(_kills, "look_up", tasks.look_up)
    yield server
    # It lingers for a minute, by the clock of the loop.
    await asyncio.sleep(90)
