"""Processes that fork while a client is open, as servers that fork their workers do."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from awaitbatch.testing import BatchServer
from tests.support import ENDED, LONG

from .forks import CHILDREN


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no forks")
async def test_a_fork_while_a_client_is_open() -> None:
    """Each child can open a client of its own, and draws pauses of its own; it is told not to use the parent's, whose
    wait goes on.
    """
    async with BatchServer() as server:
        job_ids = server.add_job(life_cycle=LONG), server.add_job(life_cycle=ENDED)
        arguments = json.dumps(server.client_arguments)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "tests.forks", arguments, *job_ids),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    *children, parent = map(json.loads, out.splitlines())
    assert len(children) == CHILDREN
    for child in children:
        assert (child["status"], child["exit"]) == ("SUCCEEDED", 0)
        assert "belongs to another event loop" in child["error"]
    assert children[0]["draws"] != children[1]["draws"]
    assert parent == {"status": "FAILED"}
