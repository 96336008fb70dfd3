"""Airflow without a database, and triggers whose connection leads to a `BatchServer`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

# Airflow reads it when it is imported, and writes its configuration there.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-")
os.environ.update(
    AIRFLOW_HOME=_HOME.name,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
)

# All of it, since importing Airflow 2 warns, which is an error in tests.
from awaitbatch import BatchClient  # noqa: E402
from awaitbatch.integrations.airflow.hooks import AwaitBatchHook  # noqa: E402
from tests.support import make_server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch.testing import BatchServer


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BatchServer]:
    """The AWS Batch of all connections, without a network; the clients of hooks are shared as ever."""
    server = make_server()
    transport = server.transport(refreshes_credentials=True)

    def client(_: AwaitBatchHook, **arguments: Any) -> BatchClient:
        return BatchClient.shared(transport=transport, **arguments)

    monkeypatch.setattr(AwaitBatchHook, "client", client)
    yield server
    # It lingers for a minute, by the clock of the loop.
    await asyncio.sleep(90)
