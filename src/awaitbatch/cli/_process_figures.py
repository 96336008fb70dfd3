"""How the process that awaits is doing: stalls of its event loop, and memory."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Final

_HEARTBEAT: Final = 0.01


class LoopStalls:
    """Measures for how long something held the event loop, so that nothing else could run.

    Attributes:
        longest: The longest stall so far, in seconds.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def measure(self) -> None:
        """Beat until cancelled; a beat that comes late tells of a stall."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _HEARTBEAT
            await asyncio.sleep(_HEARTBEAT)
            self.longest = max(self.longest, loop.time() - due)


def peak_memory() -> int | None:
    """The most resident memory that this process has had, in bytes; None where nobody counts it, as on Windows."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return None
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
