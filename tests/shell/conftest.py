"""A server and a client, both on the clock of a test's loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from awaitbatch import FixedInterval
from tests.support import make_client, make_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer


@pytest.fixture
async def server() -> BatchServer:
    """A server on the clock of the loop."""
    return make_server()


@pytest.fixture
async def client(server: BatchServer) -> AsyncIterator[BatchClient]:
    """An open client that checks every second."""
    async with make_client(server, backoff=FixedInterval(1)) as opened:
        yield opened
