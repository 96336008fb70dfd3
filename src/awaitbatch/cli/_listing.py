"""The table that ``awaitbatch list`` prints. Pure but for the time."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from awaitbatch import JobStatus
from awaitbatch.cli._job_book import counts_in_words
from awaitbatch.cli._job_records import in_words, note_of, seconds_between, short_id
from awaitbatch.cli._plain_progress import STATUS_STYLES
from awaitbatch.cli._summary import plural
from awaitbatch.cli._table import Cell, Column, cut, flow, natural_width, table
from awaitbatch.cli._terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from awaitbatch.cli._table import Paint

    Json = Mapping[str, Any]

_COLUMNS: Final = (
    Column(title="JOB", least=10),
    Column(title="ID", leaves=2),
    Column(title="STATUS"),
    Column(title="AGE", is_right=True),
    Column(title="RAN", is_right=True),
    Column(title="NOTE", least=10, leaves=1),
)
_ENOUGH_OF_A_NOTE: Final = 24
"""Rather than less of a note, less is shown of names and ids, and not how long jobs ran."""
LONGEST_NAME: Final = 36
"""Of a name that is longer, no more is shown if there is too little room."""


def listing(
    jobs: Sequence[Json],
    paint: Paint,
    *,
    width: int | None,
    is_ascii: bool = False,
    now: float | None = None,
) -> Iterator[str]:
    """The lines of the table, the newest jobs first; none if there is no job.

    Args:
        jobs: Their summaries, as ListJobs gives them.
        paint: Gives a text in a style.
        width: The columns of the terminal; None if nothing is to be cut.
        is_ascii: Whether nothing but ASCII can be shown.
        now: The time in epoch seconds.
    """
    if not jobs:
        return iter(())
    moment = (time.time() if now is None else now) * 1000
    newest_first = sorted(jobs, key=_created, reverse=True)
    rows = [_row(job, moment) for job in newest_first]
    mark = "..." if is_ascii else "…"
    if width is not None:
        for shorten in (_shorten_name, _shorten_id, _forget_time):
            if _width_with_some_notes(rows) > width:
                for row in rows:
                    shorten(row, mark)
    return table(_COLUMNS, rows, paint, width=width, mark=mark)


def counts_lines(jobs: Sequence[Json], width: int | None) -> Iterator[str]:
    """How many jobs there are in which state."""
    counts = Counter(clean(job.get("status")) for job in jobs)
    in_order = {str(status): counts.pop(status) for status in JobStatus if status in counts} | counts
    counted = Cell(f"{plural(len(jobs), 'job')}: {counts_in_words(in_order)}", is_prose=True)
    return flow([counted], lambda text, _: text, width=width, indent=0)


def _created(job: Json) -> float:
    created = job.get("createdAt")
    return created if isinstance(created, int | float) else 0


def _row(job: Json, now: float) -> list[Cell]:
    status = clean(job.get("status"))
    style = STATUS_STYLES.get(status, "")
    age = seconds_between(job.get("createdAt"), now)
    stopped = job.get("stoppedAt")
    ran = seconds_between(job.get("startedAt"), now if stopped is None else stopped)
    return [
        Cell(clean(job.get("jobName") or "")),
        Cell(clean(job.get("jobId")), "dim"),
        Cell(status, style),
        Cell(in_words(age) if age is not None else ""),
        Cell(in_words(ran) if ran is not None else ""),
        Cell(note_of(job), style),
    ]


def _shorten_name(row: list[Cell], mark: str) -> None:
    row[0] = Cell(cut(row[0].text, LONGEST_NAME, mark))


def _shorten_id(row: list[Cell], _: str) -> None:
    row[1] = row[1]._replace(text=short_id(row[1].text))


def _forget_time(row: list[Cell], _: str) -> None:
    row[4] = Cell("")


def _width_with_some_notes(rows: Sequence[Sequence[Cell]]) -> int:
    shortened = [[*row[:-1], Cell(row[-1].text[:_ENOUGH_OF_A_NOTE])] for row in rows]
    return natural_width(_COLUMNS, shortened)
