"""Closing, whatever is going on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, ClientClosedError, FixedInterval
from awaitbatch.testing import Fault
from awaitbatch.testing._model.faults import BULK_ERRORS
from tests.support import LONG, lasting, make_client, make_server

from .support import inject_faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch.testing import FaultRule


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in BULK_ERRORS])
async def test_closing_during_every_fault(fault: Fault) -> None:
    """Closing takes no time, and all waits that are left end with ClientClosedError."""
    server = make_server(description_bytes=0)
    loop = asyncio.get_running_loop()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
    client = make_client(server, backoff=FixedInterval(2), max_retries=1e9, status_retries=1e9)
    await client.open()
    waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
    rule: FaultRule = server.inject(fault, **lasting(fault, 1e6))
    await asyncio.sleep(10)
    if fault is not Fault.CONNECTION_REFUSED:
        assert rule.hits > 0
    ended_before = sum(wait.done() for wait in waits)
    begin = loop.time()
    await client.aclose()
    await client.aclose()
    assert loop.time() - begin < 0.1
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    closed = [outcome for outcome in outcomes if isinstance(outcome, ClientClosedError)]
    assert len(closed) == len(job_ids) - ended_before
    assert ended_before == 0 or fault in {Fault.ACCESS_DENIED, Fault.CLIENT_EXCEPTION}
    assert client.statistics().pending == 0


async def test_tasks_come_and_go() -> None:
    """Opened on one task, closed on another, used from many that end in between, in bad weather."""
    server = make_server(description_bytes=0)
    inject_faults(server, 0.2)
    client = make_client(server, backoff=FixedInterval(2), max_calls_per_second=50)
    await asyncio.create_task(client.open())

    async def visit(number: int) -> str:
        await asyncio.sleep(number / 10)
        status: str = (await client.wait_for_job(server.add_job(), 0))["status"]
        return status

    outcomes = await asyncio.gather(*(asyncio.create_task(visit(number)) for number in range(100)))
    assert set(outcomes) == {"SUCCEEDED"}
    await asyncio.create_task(client.aclose())
    with pytest.raises(ClientClosedError, match="create another one"):
        await client.describe("a")


def test_another_event_loop(recwarn: pytest.WarningsRecorder) -> None:
    """A client that is used from another loop than the one that opened it says so, whatever is called."""
    client: list[BatchClient] = []

    async def open_one() -> None:
        client.append(make_client(make_server()))
        await client[0].open()

    async def use_it() -> None:
        uses: dict[str, Callable[[], Awaitable[object]]] = {
            "describe": lambda: client[0].describe("a"),
            "wait": lambda: client[0].wait_for_job("a"),
            "submit": lambda: client[0].submit_job(jobName="n", jobQueue="q", jobDefinition="d"),
            "close": client[0].aclose,
        }
        for name, use in uses.items():
            with pytest.raises(RuntimeError, match="another event loop") as caught:
                await use()
            assert "open one on each loop, or use awaitbatch.threads.shared()" in str(caught.value), name

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(open_one())
        second.run_until_complete(use_it())
        first.run_until_complete(client[0].aclose())
    finally:
        first.close()
        second.close()
    assert not recwarn.list
