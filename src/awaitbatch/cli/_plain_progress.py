"""Progress as lines that make sense in a file: one a change for few jobs, one a minute for many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from awaitbatch import JobStatus
from awaitbatch.cli._job_book import NOT_FOLLOWED, NOT_FOUND, NOT_SEEN, counts_in_words
from awaitbatch.cli._job_records import in_words, short_id
from awaitbatch.cli._summary import plural
from awaitbatch.cli._terminal import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch import JobStuck
    from awaitbatch.cli._job_book import JobBook, Row
    from awaitbatch.cli._terminal import Terminal

FEW: Final = 20
"""Up to so many jobs, each change is worth a line."""
_ONE_BY_ONE: Final = 10
"""Of many jobs that fail, so many are named."""

STATUS_STYLES: Final = {
    JobStatus.RUNNABLE: "yellow",
    JobStatus.STARTING: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
    NOT_FOUND: "red",
    NOT_FOLLOWED: "red",
}


class Lines:
    """Writes lines about jobs, each with the time.

    Args:
        write: Prints a line.
        paint: Gives a text in a style.
        iso: Whether times have a date and the zone: ISO 8601, in UTC.
    """

    def __init__(self, write: Callable[[str], None], paint: Callable[[str, str], str], *, iso: bool) -> None:
        self._write = write
        self._paint = paint
        self._iso = iso

    def say(self, text: str) -> None:
        """Write a line."""
        now = datetime.now(UTC)
        clock = now.isoformat(timespec="seconds") if self._iso else f"{now.astimezone():%H:%M:%S}"
        self._write(f"{clock} {text}")

    def tell(self, row: Row) -> None:
        """Write what has become of a job."""
        status = self._paint(row.status, STATUS_STYLES.get(row.status, ""))
        if row.status in {NOT_FOUND, NOT_FOLLOWED}:
            # The note names it.
            self.say(f"{clean(row.job_id)} {status}: {row.note}")
            return
        lasted = f" after {in_words(row.seconds)}" if row.seconds is not None else ""
        attempt = f" (attempt {row.attempt} of {row.attempts})" if row.attempts > 1 and row.attempt else ""
        why = f": {row.note}" if row.note else ""
        # Who failed may be asked for next, for which it takes the whole id.
        job_id = row.job_id if row.status == JobStatus.FAILED else short_id(row.job_id)
        self.say(f"{row.name} {job_id} {status}{lasted}{attempt}{why}")

    def tell_stuck(self, row: Row, stuck: JobStuck) -> None:
        """Write of a job that has been RUNNABLE for long."""
        place = f", at position {stuck.position} of its queue" if stuck.position is not None else ""
        why = stuck.reason or row.note or "AWS Batch says nothing of the reason"
        status = self._paint(JobStatus.RUNNABLE, "yellow")
        self.say(
            f"{row.name} {short_id(row.job_id)} {status} for {stuck.seconds / 60:.0f} min{place}: {clean(why)}"
        )


class PlainProgress:
    """Writes the progress of a wait.

    Args:
        terminal: Where to.
        book: The jobs.
        finish: Gives what stands behind the counts at the end: the time, and what it took.
        iso: See `Lines`.

    Attributes:
        period: Seconds between two calls of `refresh`. CI systems end a job that prints nothing for ten minutes.
    """

    def __init__(self, terminal: Terminal, book: JobBook, finish: Callable[[], str], *, iso: bool) -> None:
        self._book = book
        self._finish = finish
        self._lines = Lines(
            terminal.note, lambda text, style: terminal.paint(text, style, terminal.err), iso=iso
        )
        self._is_each_told = len(book) <= FEW
        self.period = 300.0 if self._is_each_told else 60.0
        self._named = self._named_stuck = 0
        self._region_name = terminal.region_name

    def __enter__(self) -> Self:
        region = f" in {clean(self._region_name)}" if self._region_name else ""
        self._lines.say(f"waiting for {plural(len(self._book), 'job')}{region}")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, row: Row) -> None:
        """Write what has become of a job, if it is to be told one by one."""
        if not self._is_each_told:
            if row.status not in {JobStatus.FAILED, NOT_FOUND, NOT_FOLLOWED} or self._named > _ONE_BY_ONE:
                return
            self._named += 1
            if self._named > _ONE_BY_ONE:
                self._lines.say("more that fail are counted, and not named here")
                return
        self._lines.tell(row)

    def tell_stuck(self, row: Row, stuck: JobStuck) -> None:
        """Write of a job that has been RUNNABLE for long; of many, of the first."""
        self._named_stuck += 1
        if self._is_each_told or self._named_stuck == 1:
            self._lines.tell_stuck(row, stuck)

    def refresh(self) -> None:
        """Write the counts."""
        self._lines.say(self._counts())

    def conclude(self) -> None:
        """Write what it came to."""
        self._lines.say(f"{self._counts()}; {self._finish()}")

    def _counts(self) -> str:
        counts = self._book.counts
        unseen = counts.pop(NOT_SEEN, 0)
        words = counts_in_words(counts) + (
            f"{', ' if counts else ''}{unseen:,} not seen yet" if unseen else ""
        )
        stuck = len(self._book.stuck())
        long = f" ({stuck:,} RUNNABLE for long)" if stuck else ""
        return f"{self._book.ended:,} of {len(self._book):,} ended: {words}{long}"
