"""The page of the web service in a real browser, where there is one; CI must have one."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from awaitbatch.testing import BatchServer, LifeCycle
from tests.examples.browser import CHROMIUM, tab
from tests.examples.support import line_with, running

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

ORDER: Final = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]

NOTE_STATES: Final = """
    const seen = {}
    new MutationObserver(changes => {
      for (const {target} of changes)
        if (target.dataset.status) (seen[target.cells[0].textContent] ??= []).push(target.dataset.status)
    }).observe(document.querySelector("table"), {subtree: true, attributeFilter: ["data-status"]})
"""


def life(random: Random) -> LifeCycle:
    """A job that is seen in several states, and may fail."""
    steady = LifeCycle(submitted=0, pending=0, runnable=0.5, starting=0, running=0.5)
    return steady if random.random() < 0.7 else LifeCycle(running=0.5, outcome="FAILED", exit_code=3)


@pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="no Chromium here")
async def test_page(tmp_path: Path) -> None:
    """A click submits ten jobs; the page shows how each passes through its states, and then asks no more."""
    async with (
        BatchServer(default_life_cycle=life, seed=1) as server,
        running("web_service.py", "--port", "0", server=server) as process,
        tab(tmp_path) as page,
    ):
        url = (await line_with(process.stderr, "running on ")).partition("running on ")[2].split()[0]
        await page.call("Page.navigate", url=url)
        await page.until('document.querySelector("button")?.onclick')
        await page.run(NOTE_STATES)
        await page.run('document.querySelector("button").click()')
        # It closes its stream once all have ended, or it would ask for them again.
        await page.until("rows.size === 10 && source?.readyState === EventSource.CLOSED")

        seen = await page.run("seen")
        assert sorted(seen) == sorted(f"job-{number}" for number in range(1, 11))
        for states in seen.values():
            assert all(ORDER.index(before) < ORDER.index(after) for before, after in pairwise(states))
            assert len(states) >= 3
        ended = sorted(states[-1] for states in seen.values())
        assert ended == sorted(server.status_of(job_id) for job_id in server.ended())
        assert set(ended) == {"SUCCEEDED", "FAILED"}
        shown = await page.run('document.querySelector("output").value')
        assert shown in {
            f"{ended.count(first)} {first}, {ended.count(second)} {second}"
            for first, second in (("SUCCEEDED", "FAILED"), ("FAILED", "SUCCEEDED"))
        }
        assert "exit code 3" in await page.run("document.body.innerText")
