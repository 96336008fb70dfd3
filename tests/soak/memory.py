"""A million checks in a process of its own, ``python -m tests.soak.memory JOBS CHECKS``: a sample a line, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

from awaitbatch.testing.virtual_time import VirtualTimeLoop
from tests.survival.memory import watch_jobs


async def main() -> None:
    """Write the samples."""
    async for sample in watch_jobs(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(asdict(sample)), flush=True)  # noqa: T201


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
