"""A million checks of ten thousand jobs, in virtual time and in a process of their own."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.survival.memory import Sample, growth

if TYPE_CHECKING:
    from .support import Report

JOBS, CHECKS = 10_000, 1_000_000


@pytest.mark.soak
async def test_a_million_checks(report: Report) -> None:
    """Memory is flat within 2 % over the last half, objects within 1 %, and no body of an answer stays alive."""
    command = (sys.executable, "-m", "tests.soak.memory", str(JOBS), str(CHECKS))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    samples: list[Sample] = []
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            samples.append(Sample(**json.loads(line)))
            last = samples[-1]
            report(
                f"{last.seen} checks, {last.waits} waits have ended: {last.objects} objects, "
                f"{last.resident / 2**20:.1f} MiB, {last.bodies} bodies held"
            )
        assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    resident, objects = ([getattr(one, what) for one in samples] for what in ("resident", "objects"))
    report(f"over the last half memory differed by {growth(resident):.2%}, objects by {growth(objects):.2%}")
    assert samples[-1].seen >= CHECKS
    assert {sample.bodies for sample in samples} == {0}
    assert growth(resident) < 0.02
    # A single object more for each call would be found here.
    assert growth(objects) < 0.01
