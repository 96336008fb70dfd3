"""What a client reads from disk while it opens, and who has to wait meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING

import pytest
from aiobotocore.session import AioSession
from botocore.loaders import JSONFileLoader

from awaitbatch import BatchClient
from awaitbatch.testing import BatchServer
from awaitbatch.transport import _FastFileLoader as FastFileLoader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def server() -> AsyncIterator[BatchServer]:
    """A server to open clients for."""
    async with BatchServer() as running:
        yield running


async def test_opening_reads_all_files_in_threads(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What creating a client reads from disk is read beside the loop, by a loader that lets others run meanwhile."""
    readers: list[tuple[str, int]] = []
    inner = JSONFileLoader.load_file

    def noting(loader: object, path: str) -> object:
        found = inner(loader, path)
        if found is not None:
            readers.append((path, threading.get_ident()))
        return found

    def noting_fast(loader: FastFileLoader, path: str) -> object:
        found = fast(loader, path)
        if found is not None:
            fast_readers.append((path, threading.get_ident()))
        return found

    fast, fast_readers = FastFileLoader.load_file, readers[:]
    monkeypatch.setattr(JSONFileLoader, "load_file", noting)
    monkeypatch.setattr(FastFileLoader, "load_file", noting_fast)
    async with BatchClient(**server.client_arguments):
        pass
    assert readers == []
    assert any("endpoints" in path for path, _ in fast_readers)
    assert threading.get_ident() not in {thread for _, thread in fast_readers}


@pytest.mark.soak
async def test_opening_hardly_stalls_the_loop(server: BatchServer, request: pytest.FixtureRequest) -> None:
    """While a client opens, the loop stalls for less time than botocore takes to read the longest of its files."""
    reading, stalled = [], []
    # A collection of garbage stalls everything, and comes when it likes.
    gc.disable()
    request.addfinalizer(gc.enable)
    for _ in range(4):
        begin = time.perf_counter()
        await asyncio.to_thread(AioSession().get_component("data_loader").load_data, "endpoints")
        reading.append(time.perf_counter() - begin)
        client = BatchClient(**server.client_arguments)
        opening = asyncio.create_task(client.open())
        longest = 0.0
        while not opening.done():
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - begin)
        stalled.append(longest)
        await client.aclose()
    # The best of several, since the machine has other work too.
    assert min(stalled) < min(reading) * 0.6


async def test_opening_leaves_the_loader_of_a_session_as_it_was(server: BatchServer) -> None:
    """The session of a user's goes on to read files as it did."""
    session = AioSession()
    loader = session.get_component("data_loader")
    before = loader.file_loader
    async with BatchClient(session=session, **server.client_arguments):
        pass
    assert loader.file_loader is before


def test_what_is_read_fast_is_the_same() -> None:
    """What creating a client reads from disk is equal to what botocore reads."""
    theirs, ours = (AioSession().get_component("data_loader") for _ in range(2))
    ours.file_loader = FastFileLoader()
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        assert ours.load_data(name) == theirs.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1"):
        assert ours.load_service_model("batch", kind) == theirs.load_service_model("batch", kind)
