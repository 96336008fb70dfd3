"""Prometheus's multiprocess mode: several processes write, and one shows it all."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path


async def _worker(directory: Path) -> Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "tests.instrumentation.worker"),
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


def _shown(directory: Path) -> dict[str, float]:
    """What a scrape shows, of all label values together."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    shown: dict[str, float] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            assert "pid" not in sample.labels
            shown[sample.name] = shown.get(sample.name, 0) + sample.value
    return shown


async def test_two_processes(tmp_path: Path) -> None:
    """Counts add up and stay, and what is pending goes with its process."""
    one, other = await asyncio.gather(_worker(tmp_path), _worker(tmp_path))
    try:
        both = _shown(tmp_path)
        assert both["awaitbatch_wait_ends_total"] == 2
        assert both["awaitbatch_waits"] == both["awaitbatch_jobs"] == 2
        assert both["awaitbatch_overdue_seconds"] < 1
        one.kill()
        await one.communicate()
        mark_process_dead(one.pid, str(tmp_path))  # type: ignore[no-untyped-call]
        left = _shown(tmp_path)
        assert left["awaitbatch_wait_ends_total"] == 2
        assert left["awaitbatch_waits"] == left["awaitbatch_jobs"] == 1
        assert left["awaitbatch_call_limit_per_second"] < both["awaitbatch_call_limit_per_second"]
        assert left["awaitbatch_call_jobs_count"] >= both["awaitbatch_call_jobs_count"] >= 4
    finally:
        for process in (one, other):
            if process.returncode is None:
                process.kill()
                await process.communicate()
