"""The lives of the jobs that the end-to-end tests run."""

from __future__ import annotations

from typing import Final

from awaitbatch.testing import LifeCycle

REASON: Final = "OutOfMemoryError: Container killed due to memory usage"
"""What AWS says of the container of a job that failed; the stock operator never does."""

SHORT: Final = LifeCycle(running=10)
FAILING: Final = LifeCycle(running=10, outcome="FAILED", exit_code=137, reason=REASON)
ENDLESS: Final = LifeCycle(running=100_000)
SLOW: Final = LifeCycle(running=25)
"""Longer than it takes a second triggerer to notice that the first is dead."""
