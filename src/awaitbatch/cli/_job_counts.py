"""In which states the client has seen the jobs, without a call of our own."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from awaitbatch import JobStatus
from awaitbatch.instrumentation import CallEnded, JobChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.instrumentation import Event


class JobCounts:
    """An observer that counts jobs by the state in which the client saw them last.

    Args:
        say: Gets a line about each kind of failed call, once.

    Attributes:
        counts: State to number of jobs.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._statuses: dict[str, str] = {}
        self._say = say
        self._said: set[str] = set()

    def submitted(self, job_id: str) -> None:
        """A job was submitted, which is all that is known of it until the client checks it."""
        self._enter(job_id, JobStatus.SUBMITTED)

    def __call__(self, event: Event, /) -> None:
        """Take notice of an event."""
        match event:
            case JobChanged(job_id=job_id, after=status) if job_id in self._statuses:
                self._enter(job_id, status)
            case CallEnded(error_code="CancelledError"):
                # It was given up, by Ctrl-C or at the end, and has not failed.
                pass
            case CallEnded(operation=operation, error_message=str(text)):
                line = f"{operation} failed ({event.outcome}): {text}"
                if line not in self._said:
                    self._said.add(line)
                    # An observer cannot end the demo; the display's next line will.
                    with suppress(BrokenPipeError):
                        self._say(line)

    def _enter(self, job_id: str, status: str) -> None:
        before = self._statuses.get(job_id)
        if before is not None:
            self.counts[before] -= 1
        self._statuses[job_id] = status
        self.counts[status] += 1
