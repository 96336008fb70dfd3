"""Runs the examples as a user does: in processes of their own, against a server that the environment names."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from awaitbatch.testing import BatchServer

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"


@asynccontextmanager
async def running(
    program: str, *arguments: str, server: BatchServer, **streams: Any
) -> AsyncIterator[Process]:
    """An example that runs, and is killed at the end if it still does."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_DEFAULT_REGION": server.region_name,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "JOB_QUEUE": "queue",
        "JOB_DEFINITION": "definition",
        "CHECK_INTERVAL": "0.1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLES / program), *arguments),
        env=environment,
        **{"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE, **streams},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def line_with(stream: asyncio.StreamReader | None, part: str) -> str:
    """The next line that has this in it."""
    assert stream is not None
    async for line in stream:
        if part in line.decode():
            return line.decode()
    message = f"it ended without {part!r}"
    raise AssertionError(message)
