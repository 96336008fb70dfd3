"""In which states the client has seen the jobs, without a call of our own."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from awaitbatch import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StatusCounts(logging.Handler):
    """Counts jobs by the state in which the client saw them last.

    To ask would take calls, and they are what is counted here. But the client logs each change that it sees, once.
    All else that it logs is handed on.

    Args:
        say: Gets every other line of the client's log, such as that AWS throttles.

    Attributes:
        counts: State to number of jobs.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.counts: Counter[str] = Counter()
        self._statuses: dict[str, str] = {}
        self._say = say

    def submitted(self, job_id: str) -> None:
        """A job was submitted, which is all that is known of it until the client looks."""
        self._enter(job_id, JobStatus.SUBMITTED)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a line of the client's log."""
        match record.args:
            case (str(job_id), str(status), str()) if job_id in self._statuses:
                self._enter(job_id, status)
            case _:
                self._say(record.getMessage())

    def _enter(self, job_id: str, status: str) -> None:
        before = self._statuses.get(job_id)
        if before is not None:
            self.counts[before] -= 1
        self._statuses[job_id] = status
        self.counts[status] += 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Attach to the client's log, and let it write at INFO."""
        log = logging.getLogger("awaitbatch")
        level = log.level
        log.setLevel(logging.INFO)
        log.addHandler(self)
        try:
            yield
        finally:
            log.removeHandler(self)
            log.setLevel(level)
