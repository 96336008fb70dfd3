"""What has been seen of the jobs that a command follows: a row for each, in the order of their states."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from awaitbatch import JobNotFoundError, JobStatus
from awaitbatch._core.text import message_of
from awaitbatch.cli._errors import why_missing
from awaitbatch.cli._job_records import attempts_allowed, note_of, seconds_in
from awaitbatch.cli._terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from awaitbatch import JobChange, JobStuck, JobTrouble

NOT_SEEN: Final = "NOT SEEN"
NOT_FOUND: Final = "NOT FOUND"
NOT_FOLLOWED: Final = "NOT FOLLOWED"
"""What a row has in place of a state."""

STUCK_AFTER: Final = 900.0
"""Seconds for which a job may be RUNNABLE until it is worth a word."""

_ENDED: Final = (JobStatus.SUCCEEDED, JobStatus.FAILED)
_FIRST: Final = (JobStatus.FAILED, NOT_FOUND, NOT_FOLLOWED)
_WAITING: Final = (JobStatus.STARTING, JobStatus.RUNNABLE, JobStatus.PENDING, JobStatus.SUBMITTED, NOT_SEEN)
_ORDER: Final = (*_FIRST, JobStatus.RUNNING, *_WAITING)
"""Who wants attention comes first; states that nobody knows and SUCCEEDED come last."""


@dataclass(slots=True)
class Row:
    """A job; all texts are fit for a line.

    Attributes:
        job_id: Its id.
        name: Its name; empty until it was seen.
        status: Its state, or what there is in place of one.
        since: When it got there, in epoch seconds, as far as is known.
        attempt: The number of its attempt.
        attempts: How many attempts it may have.
        seconds: For how long it ran, or if it never did, how long it was there; None while it has not ended.
        note: Why it failed, or does not start.
        is_stuck: Whether it has been RUNNABLE for long.
    """

    job_id: str
    name: str = ""
    status: str = NOT_SEEN
    since: float = 0.0
    attempt: int = 0
    attempts: int = 1
    seconds: float | None = None
    note: str = ""
    is_stuck: bool = False


class JobBook:
    """The rows of all jobs, by state.

    Args:
        job_ids: Jobs that are known from the beginning.
        most_ended: Of jobs that have ended with each outcome, keep the rows of so many, and count the others; None
            keeps all.
    """

    def __init__(self, job_ids: Iterable[str] = (), most_ended: int | None = None) -> None:
        self._most_ended = most_ended
        self._rows = {job_id: Row(job_id) for job_id in job_ids}
        self._by_status: dict[str, dict[str, Row]] = {NOT_SEEN: dict(self._rows)}
        self._dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rows) + self._dropped.total()

    def __getitem__(self, job_id: str) -> Row:
        return self._rows[job_id]

    @property
    def counts(self) -> dict[str, int]:
        """State to number of jobs, in the order of a job's life; what there is in place of a state comes last."""
        states = (*JobStatus, *(state for state in self._by_status if state not in JobStatus.__members__))
        counts = {str(state): len(self._by_status.get(state, ())) + self._dropped[state] for state in states}
        return {state: count for state, count in counts.items() if count}

    @property
    def ended(self) -> int:
        """How many have SUCCEEDED or FAILED."""
        counts = self.counts
        return sum(counts.get(status, 0) for status in _ENDED)

    def in_order(self) -> Iterator[Row]:
        """All rows, those that want attention first, and of those that failed the newest."""
        others = (state for state in self._by_status if state not in {*_ORDER, JobStatus.SUCCEEDED})
        for state in (*_ORDER, *others, JobStatus.SUCCEEDED):
            rows = self._by_status.get(state, {}).values()
            yield from reversed(rows) if state in {*_FIRST, JobStatus.SUCCEEDED} else rows

    def newest(self, *states: str) -> Iterator[Row]:
        """The rows in these states, those that came last first."""
        return chain.from_iterable(reversed(self._by_status.get(state, {}).values()) for state in states)

    def stuck(self) -> list[Row]:
        """The jobs that have been RUNNABLE for long."""
        return [row for row in self._by_status.get(JobStatus.RUNNABLE, {}).values() if row.is_stuck]

    def note_change(self, change: JobChange, job: Mapping[str, Any]) -> Row:
        """Take notice of a change; ``job`` is its description, decoded."""
        row = self._row(change.job_id)
        row.name = clean(job.get("jobName") or "")
        row.attempt, row.attempts = change.attempt, attempts_allowed(job)
        row.note = note_of(job)
        created, started, stopped = (
            seconds_in(job.get(f"{what}At")) for what in ("created", "started", "stopped")
        )
        seen = change.seen_at / 1000
        row.seconds, row.is_stuck = None, False
        match change.status:
            case JobStatus.SUCCEEDED | JobStatus.FAILED:
                row.since = seen if stopped is None else stopped
                began = created if started is None else started
                row.seconds = None if stopped is None or began is None else stopped - began
            case JobStatus.RUNNING:
                row.since = seen if started is None else started
            case _:
                # AWS does not say since when; the first time, it is about as old as the job.
                row.since = seen if change.previous is not None or created is None else created
        self._move(row, clean(change.status))
        return row

    def note_trouble(self, trouble: JobTrouble) -> Row:
        """Take notice of a job that cannot be followed any more."""
        row = self._row(trouble.job_id)
        row.since = time.time()
        if isinstance(trouble.error, JobNotFoundError):
            row.note = why_missing(trouble.error)
            self._move(row, NOT_FOUND)
        else:
            row.note = message_of(trouble.error)
            self._move(row, NOT_FOLLOWED)
        return row

    def note_stuck(self, stuck: JobStuck) -> Row:
        """Take notice of a job that has been RUNNABLE for long."""
        row = self._row(stuck.job_id)
        row.is_stuck = True
        row.note = stuck.reason or row.note
        return row

    def _row(self, job_id: str) -> Row:
        row = self._rows.get(job_id)
        if row is None:
            row = self._rows[job_id] = Row(job_id)
        return row

    def _move(self, row: Row, status: str) -> None:
        self._by_status.get(row.status, {}).pop(row.job_id, None)
        row.status = status
        there = self._by_status.setdefault(status, {})
        there[row.job_id] = row
        if self._most_ended is not None and status in _ENDED and len(there) > self._most_ended:
            oldest = next(iter(there))
            del there[oldest], self._rows[oldest]
            self._dropped[status] += 1


def first(rows: Iterable[Row], number: int) -> list[Row]:
    """The first few rows."""
    return list(islice(rows, max(0, number)))


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Counts such as ``188 RUNNING, 12 FAILED``."""
    return ", ".join(f"{count:,} {state}" for state, count in counts.items())
