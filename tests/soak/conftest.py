"""The long tests report how far they have come."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .support import Report, Reporting

EVERY = 10.0


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Write a line for whoever waits for the tests."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", end="", flush=True)  # noqa: T201

    return write


@pytest.fixture
def reporting(report: Report) -> Reporting:
    """Write how far things are, every ten seconds during the body."""

    @asynccontextmanager
    async def report_now_and_then(line: Callable[[], str]) -> AsyncIterator[None]:
        begin = time.monotonic()

        async def write() -> None:
            while True:
                await asyncio.sleep(EVERY)
                report(f"{time.monotonic() - begin:4.0f} s: {line()}")

        writing = asyncio.create_task(write())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.wait([writing])

    return report_now_and_then
