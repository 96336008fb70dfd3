"""What live pictures are drawn of."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from awaitbatch import JobStatus
from awaitbatch.cli._job_book import NOT_FOLLOWED, NOT_FOUND, STUCK_AFTER, counts_in_words, first
from awaitbatch.cli._job_records import in_words, short_id
from awaitbatch.cli._listing import LONGEST_NAME
from awaitbatch.cli._plain_progress import STATUS_STYLES
from awaitbatch.cli._summary import plural
from awaitbatch.cli._table import Cell, Column, cut, table
from awaitbatch.cli._terminal import painted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import OverflowMethod, RenderableType

    from awaitbatch import Statistics
    from awaitbatch.cli._job_book import JobBook, Row

_NARROW: Final = 56
"""In fewer columns only the most important is shown."""
_WIDE: Final = 80
_WIDEST: Final = 100
_FEW: Final = 10
"""Of up to so many jobs a wait shows each."""
_INDENT: Final = 2
_COLUMNS: Final = (
    Column(title="JOB", least=8),
    Column(title="ID", leaves=2),
    Column(title="STATUS"),
    Column(title="SINCE", is_right=True),
    Column(title="TRY", leaves=3),
    Column(title="NOTE", least=10, leaves=1),
)
_IN_ASCII: Final = str.maketrans({"✗": "x", "⚠": "!", "…": "...", "·": "-"})
_MOST_FAILURES: Final = 5
_TROUBLE: Final = (JobStatus.FAILED, NOT_FOUND, NOT_FOLLOWED)


def style_of(status: str) -> str:
    """The style of a state."""
    return STATUS_STYLES.get(status, "bright_black")


def status_bars(counts: Iterable[tuple[str, int]], total: int, width: int) -> Table:
    """A line with a bar for each state."""
    bars = Table.grid(padding=(0, 2))
    bars.add_column(no_wrap=True)
    bars.add_column(justify="right", min_width=len(f"{total:,}"), no_wrap=True)
    bars.add_column()
    for status, count in counts:
        style = style_of(status)
        bar = ProgressBar(
            total=total,
            completed=count,
            width=max(10, width),
            complete_style=style,
            finished_style=style,
        )
        bars.add_row(Text(status, style=style), f"{count:,}", bar)
    return bars


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where a picture is drawn.

    Attributes:
        width: Columns.
        height: Lines.
        ascii_only: Whether it can show nothing else.
    """

    width: int
    height: int
    ascii_only: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether there is room only for the most important."""
        return self.width < _NARROW

    @property
    def overflow(self) -> OverflowMethod:
        """What to do with a text that is too long."""
        return "crop" if self.ascii_only else "ellipsis"

    def __call__(self, text: str) -> str:
        """The text with nothing that cannot be shown."""
        return text.translate(_IN_ASCII) if self.ascii_only else text


def wait_picture(
    book: JobBook, view: View, *, seconds: float, region_name: str | None, done: Statistics
) -> RenderableType:
    """How far a wait has come: each of few jobs, or how many are in which state and which have failed last.

    Args:
        book: The jobs.
        view: Where it is drawn.
        seconds: How long it has taken so far.
        region_name: Where the jobs are.
        done: What it took.
    """
    where = [region_name] if region_name and not view.is_narrow else []
    headline = " · ".join([f"{plural(len(book), 'job')}, {book.ended:,} ended", *where, in_words(seconds)])
    parts: list[RenderableType] = [_line(headline, "bold", view)]
    is_each_shown = len(book) <= min(_FEW, view.height - 4)
    if is_each_shown:
        within = replace(view, width=view.width - _INDENT)
        parts.append(_indented(job_table(book.in_order(), within)))
    else:
        parts.append(_indented(status_bars(book.counts.items(), len(book), min(view.width, _WIDEST) - 28)))
    if not view.is_narrow:
        allowed = "allowed by AWS so far" if view.width >= _WIDE else "allowed"
        calls = f"{plural(done.calls, 'call')} of {done.ids_per_call:.0f} ids"
        effort = f"  {calls}, {done.rate:.1f}/s {allowed}, {done.throttled:,} throttled"
        parts.append(_line(effort, "bright_black", view))
    if not is_each_shown:
        room = max(1, min(_MOST_FAILURES, view.height - 12))
        parts += [_failure(row, view) for row in first(book.newest(*_TROUBLE), room)]
    if stuck := book.stuck():
        why = next((f": {row.note}" for row in stuck if row.note), "")
        text = f"  ⚠ {plural(len(stuck), 'job')} RUNNABLE for more than {STUCK_AFTER / 60:.0f} min{why}"
        parts.append(_line(text, "yellow", view))
    return Group(*parts)


def watch_picture(book: JobBook, view: View, *, can_quit: bool) -> RenderableType:
    """A table of jobs, as many as there is room for, and how many are in which state."""
    rows = first(book.in_order(), max(1, view.height - 3))
    more = len(book) - len(rows)
    parts = [f"… {more:,} more"] if more else []
    parts.append(counts_in_words(book.counts) or "no job so far")
    last = _line(" · ".join(parts), "bold", view)
    if can_quit:
        last.append(view(" · q quits"), style="bright_black")
    return Group(job_table(rows, view, has_head=True), last) if rows else last


def job_table(rows: Iterable[Row], view: View, *, has_head: bool = False) -> Text:
    """A line for each job; a narrow one leaves out the id and the attempt."""
    now = time.time()
    cells = [_cells(row, view, now) for row in rows]
    lines = table(_COLUMNS, cells, painted, width=view.width, mark=view("…"))
    shown = lines if has_head else islice(lines, 1, None)
    return Text("\n", no_wrap=True).join(Text.from_ansi(line) for line in shown)


def _cells(row: Row, view: View, now: float) -> list[Cell]:
    is_wide = not view.is_narrow
    since = in_words(now - row.since) if row.since else ""
    attempt = f"{row.attempt}/{row.attempts}" if row.attempt else ""
    style = style_of(row.status)
    # Of one that was never seen, the whole id tells where it is wrong.
    name = cut(row.name or row.job_id, LONGEST_NAME if is_wide else LONGEST_NAME // 2, view("…"))
    return [
        Cell(name),
        Cell(short_id(row.job_id) if row.name and is_wide else "", "dim"),
        Cell(row.status, style),
        Cell(since),
        Cell(attempt if is_wide else ""),
        Cell(view(row.note), style),
    ]


def _failure(row: Row, view: View) -> Text:
    """A line about a job that failed, or cannot be followed."""
    job_id = short_id(row.job_id)
    attempt = f"attempt {row.attempt} of {row.attempts}" if row.attempts > 1 else ""
    ran = f"ran {in_words(row.seconds)}" if row.seconds is not None else ""
    details = ", ".join(filter(None, (attempt, ran)))
    if view.is_narrow:
        return _line(f"  ✗ {row.name or row.job_id}  {row.note or row.status}", "red", view)
    tail = f" ({details})" if details else ""
    named = f"{row.name} {job_id}" if row.name else row.job_id
    return _line(f"  ✗ {named}  {row.note or row.status}{tail}", "red", view)


def _line(text: str, style: str, view: View) -> Text:
    return Text(view(text), style=style, no_wrap=True, overflow=view.overflow)


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, _INDENT))
