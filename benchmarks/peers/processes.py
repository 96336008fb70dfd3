"""Child processes that leave nothing behind, whatever they start themselves."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def started(
    program: Path | str,
    *arguments: str,
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program inside ``async with``, and end what is left of it and of its children at the end.

    Args:
        program: What is run.
        arguments: What it is told.
        options: Further ones of `asyncio.create_subprocess_exec`.
    """
    # In a session of its own, Ctrl-C reaches the harness alone, and all of the family can be ended at once.
    process = await asyncio.create_subprocess_exec(program, *arguments, start_new_session=True, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
