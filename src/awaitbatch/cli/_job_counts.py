"""In which states the client has seen the jobs, without a call of our own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from awaitbatch import JobStatus
from awaitbatch.instrumentation import CallEnded, JobChanged

if TYPE_CHECKING:
    from awaitbatch.instrumentation import Event


class JobCounts:
    """An observer that counts jobs by the state in which the client saw them last.

    Attributes:
        counts: State to number of jobs.
        failures: A line about each kind of failed call, in the order in which they came.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._statuses: dict[str, str] = {}

    def submitted(self, job_id: str) -> None:
        """A job was submitted, which is all that is known of it until the client checks it."""
        self._enter(job_id, JobStatus.SUBMITTED)

    def __call__(self, event: Event, /) -> None:
        """Take notice of an event."""
        match event:
            case JobChanged(job_id=job_id, status=status) if job_id in self._statuses:
                self._enter(job_id, status)
            case CallEnded(outcome="cancelled"):
                # By Ctrl-C, say, which is no failure.
                pass
            case CallEnded(operation=operation, error_message=str(text)):
                line = f"{operation} failed ({event.outcome}): {text}"
                if line not in self.failures:
                    self.failures.append(line)

    def _enter(self, job_id: str, status: str) -> None:
        before = self._statuses.get(job_id)
        if before is not None:
            self.counts[before] -= 1
        self._statuses[job_id] = status
        self.counts[status] += 1
