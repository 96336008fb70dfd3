"""Which jobs of a stream have been RUNNABLE for too long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from awaitbatch._jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable


class StuckJobs:
    """Reports each job once that has been RUNNABLE for so long, with one timer for all of them.

    Args:
        seconds: How long, from when it was first seen as RUNNABLE.
        report: Called with the job and the seconds since then.
    """

    def __init__(self, seconds: float, report: Callable[[str, float], None]) -> None:
        self._seconds = seconds
        self._report = report
        # Since when each is RUNNABLE, in monotonic seconds; the first has been so for longest.
        self._since: dict[str, float] = {}
        self._reported: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, job_id: str, status: str) -> None:
        """A job was seen in another status or attempt than before."""
        self._since.pop(job_id, None)
        if status == JobStatus.RUNNABLE and job_id not in self._reported:
            self._since[job_id] = asyncio.get_running_loop().time()
            if self._timer is None:
                self._set_timer()

    def forget(self, job_id: str) -> None:
        """A job has ended, or is followed no more."""
        self._since.pop(job_id, None)
        self._reported.discard(job_id)

    def close(self) -> None:
        """Report nothing any more."""
        self._since.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        first = next(iter(self._since.values()))
        self._timer = asyncio.get_running_loop().call_at(first + self._seconds, self._report_due)

    def _report_due(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._since:
            job_id, since = next(iter(self._since.items()))
            # As the timer has it, or the difference might be a trifle too small.
            if now < since + self._seconds:
                self._set_timer()
                return
            del self._since[job_id]
            self._reported.add(job_id)
            self._report(job_id, now - since)
