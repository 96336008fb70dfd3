"""What a client reads from disk while it opens, and who has to wait meanwhile."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.loaders import JSONFileLoader
from botocore.regions import EndpointResolver

from awaitbatch import BatchClient
from awaitbatch._models import _LeanFiles
from awaitbatch.testing import BatchServer
from tests.support import until

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
    """What creating a client reads from disk is read beside the event loop."""
    readers: list[tuple[str, int]] = []

    def note(kind: type[JSONFileLoader]) -> None:
        load_file = kind.load_file

        def noting(loader: JSONFileLoader, path: str) -> object:
            found = load_file(loader, path)
            if found is not None:
                readers.append((path, threading.get_ident()))
            return found

        monkeypatch.setattr(kind, "load_file", noting)

    note(JSONFileLoader)
    note(_LeanFiles)
    async with BatchClient(**server.client_arguments):
        pass
    assert any("endpoints" in path for path, _ in readers)
    assert threading.get_ident() not in {thread for _, thread in readers}


@pytest.mark.parametrize("kind", ["own", "shared", "lent"])
def test_the_first_client_of_a_process(kind: str) -> None:
    """Opening it imports nothing of anyio's any more, and no turn of the loop takes 30 ms of CPU time."""
    command = (sys.executable, "-W", "error", "-m", "tests.first_open", kind)
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    measured = json.loads(output)
    assert [name for name in measured["imported"] if name.startswith("anyio")] == []
    # It takes 8 ms at most on the machine on which this was written.
    assert measured["turn"] < 0.03, measured["longest"]


@pytest.mark.soak
async def test_opening_stalls_the_loop_for_less_than_reading_takes(
    server: BatchServer, request: pytest.FixtureRequest
) -> None:
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
    print(f"\n  longest stall {1000 * min(stalled):.1f} ms, reading {1000 * min(reading):.1f} ms")  # noqa: T201
    # The best of several, since the machine has other work too.
    assert min(stalled) < min(reading)


async def test_clients_that_open_at_once_leave_the_loader_of_their_session_alone(server: BatchServer) -> None:
    """The session of a user's goes on to read files as it did, however many clients open on it at once."""
    session = AioSession()
    loader = session.get_component("data_loader")
    before = loader.file_loader
    clients = [BatchClient(session=session, **server.client_arguments) for _ in range(3)]
    await asyncio.gather(*(client.open() for client in clients))
    assert loader.file_loader is before
    await asyncio.gather(*(client.aclose() for client in clients))


async def test_what_was_read_to_create_a_client_is_not_kept(server: BatchServer) -> None:
    """The data of all endpoints are megabytes; the client reads anew what it lacks."""

    def resolvers() -> int:
        gc.collect()
        return sum(type(found) is EndpointResolver for found in gc.get_objects())

    before = resolvers()
    async with BatchClient(**server.client_arguments) as client:
        batch: Any = client.client
        assert batch._loader._cache == {}
        # A thread that has read for it may still be about to let go of the session.
        await until(lambda: resolvers() <= before)
        # This one needs a file that was not read before.
        pages = await asyncio.to_thread(batch.get_paginator, "list_jobs")
        assert [page["jobSummaryList"] async for page in pages.paginate(jobQueue="queue")] == [[]]


async def test_what_a_users_session_has_read_is_kept(server: BatchServer) -> None:
    """It may be about to create other clients."""
    session = AioSession()
    async with BatchClient(session=session, **server.client_arguments):
        assert any("endpoints" in key for key in session.get_component("data_loader")._cache)


def in_botocore(name: str) -> str:
    """The path of a file of botocore's data, as loaders want it."""
    return str(Path(botocore.__file__).parent / "data" / name)


def test_that_data_are_what_botocore_reads(tmp_path: Path) -> None:
    """They are equal, compressed or not, and there are none where there is no file."""
    ours, theirs = _LeanFiles(), JSONFileLoader()
    for name in ("_retry", "batch/2016-08-10/service-2", "batch/2016-08-10/endpoint-rule-set-1"):
        path = in_botocore(name)
        assert ours.load_file(path) == theirs.load_file(path)
        assert type(ours.load_file(path)) is dict
    assert ours.load_file(str(tmp_path / "none")) is None


def test_that_endpoints_are_those_that_are_wanted(tmp_path: Path) -> None:
    """Of each partition there is all but the endpoints of services that nobody here calls."""
    lean, whole = (kind().load_file(in_botocore("endpoints")) for kind in (_LeanFiles, JSONFileLoader))
    assert set(lean["partitions"][0]["services"]) == {"batch", "oidc", "portal.sso", "sso", "sts"}
    for partition, complete in zip(lean["partitions"], whole["partitions"], strict=True):
        assert complete["services"].items() >= partition["services"].items()
        assert {**partition, "services": None} == {**complete, "services": None}
    del whole["partitions"], lean["partitions"]
    assert lean == whole
    # AWS_DATA_PATH may have others.
    for text in ("{}", "[1]", '{"partitions": [{}]}'):
        (tmp_path / "endpoints.json").write_text(text)
        assert _LeanFiles().load_file(str(tmp_path / "endpoints")) == json.loads(text)


@pytest.mark.parametrize(
    ("region", "options"),
    [
        ("us-east-1", {}),
        ("us-gov-west-1", {"use_fips_endpoint": True}),
        ("cn-north-1", {}),
        ("eusc-de-east-1", {"use_dualstack_endpoint": True}),
        ("no-such-1", {}),
    ],
)
async def test_where_calls_go(region: str, options: dict[str, Any]) -> None:
    """It is where botocore itself would send them, and they are signed for the same."""
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    arguments: dict[str, Any] = {"region_name": region, "config": AioConfig(**options), **keys}
    async with (
        BatchClient(**arguments) as ours,
        BatchClient(session=AioSession(), **arguments) as theirs,
    ):
        assert await called(ours.client) == await called(theirs.client)


async def called(client: Any) -> tuple[str, ...]:
    """Where a client sends a call, what it signs it for, and what it takes the region for."""
    found: list[tuple[str, ...]] = []

    def note(request: Any, signing_name: str, region_name: str, **_: object) -> None:
        found.append((request.url, signing_name, region_name, client.meta.partition))
        raise ConnectionAbortedError

    client.meta.events.register("before-sign.batch", note)
    with pytest.raises(ConnectionAbortedError):
        await client.list_jobs(jobQueue="queue")
    return found[0]


async def test_that_models_of_ones_own_are_read(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS_DATA_PATH has places where botocore looks first."""
    (tmp_path / "mine.json").write_text('{"mine": 1}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    async with BatchClient(**server.client_arguments) as client:
        batch: Any = client.client
        assert await asyncio.to_thread(batch._loader.load_data, "mine") == {"mine": 1}
