"""The programs of the how-to pages run as they are, against a server that the environment names."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
from typing import TYPE_CHECKING, Final

from awaitbatch.testing import BatchServer, LifeCycle
from docs.render import DOCS

if TYPE_CHECKING:
    from pathlib import Path

HOWTO: Final[Path] = DOCS / "howto"


def program(page: str) -> str:
    """The first example of a page."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


async def run(page: str, server: BatchServer) -> str:
    """What the program of a page prints."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", program(page)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


async def test_embedding() -> None:
    """A third of the tasks is cancelled, and their jobs are terminated; all the others see their jobs succeed."""
    async with BatchServer(default_life_cycle=LifeCycle(running=3)) as server:
        assert ast.literal_eval(await run("embedding.md", server)) == ["cancelled", *["SUCCEEDED"] * 2] * 3
    calls = server.statistics.calls
    assert (calls["SubmitJob"], calls["TerminateJob"]) == (9, 3)
    # One client in all: once each half second, for all jobs together.
    assert calls["DescribeJobs"] <= 20


async def test_threads() -> None:
    """Thirty threads submit and await a job each, with one client."""
    async with BatchServer() as server:
        assert await run("threads.md", server) == "30 succeeded\n"
    assert server.statistics.calls["SubmitJob"] == 30
    assert server.statistics.calls["DescribeJobs"] < 30
