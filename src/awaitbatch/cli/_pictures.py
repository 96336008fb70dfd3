"""What live pictures are drawn of."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from awaitbatch import JobStatus
from awaitbatch.cli._job_book import NOT_FOLLOWED, NOT_FOUND, STUCK_AFTER, counts_in_words, first
from awaitbatch.cli._job_records import in_words, short_id
from awaitbatch.cli._plain_progress import STATUS_STYLES
from awaitbatch.cli._summary import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from awaitbatch import Statistics
    from awaitbatch.cli._job_book import JobBook, Row

_NARROW: Final = 60
"""In fewer columns only the most important is shown."""
_WIDEST: Final = 100
_FEW: Final = 10
"""Of up to so many jobs a wait shows each."""
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
    """What a picture shows beside the jobs.

    Attributes:
        seconds: How long it has taken so far.
        region_name: Where the jobs are.
        statistics: What it took.
        width: Columns of the terminal.
        height: Its lines.
        ascii_only: Whether it can show nothing else.
    """

    seconds: float
    region_name: str | None
    statistics: Statistics
    width: int
    height: int
    ascii_only: bool = False


def wait_picture(book: JobBook, view: View) -> RenderableType:
    """How far a wait has come: each of few jobs, or how many are in which state and which have failed last."""
    is_narrow = view.width < _NARROW
    parts: list[RenderableType] = [_line(_headline(book, view), "bold")]
    if len(book) <= min(_FEW, view.height - 4):
        parts.append(job_table(book.in_order(), view, indent="  "))
    else:
        bars = status_bars(book.counts.items(), len(book), min(view.width, _WIDEST) - 28)
        parts.append(_indented(bars))
    if not is_narrow:
        parts.append(_line(f"  {_effort(view.statistics)}", "bright_black"))
    if len(book) > _FEW:
        room = max(1, min(_MOST_FAILURES, view.height - 12))
        parts += [_trouble_line(row, view) for row in first(book.newest(*_TROUBLE), room)]
    if stuck := book.stuck():
        why = next((row.note for row in stuck if row.note), "")
        text = f"  {_mark('⚠', view)} {plural(len(stuck), 'job')} RUNNABLE for more than {STUCK_AFTER / 60:.0f} min"
        parts.append(_line(f"{text}: {why}" if why else text, "yellow"))
    return Group(*parts)


def watch_picture(book: JobBook, view: View) -> RenderableType:
    """A table of jobs, as many as there is room for, and how many are in which state."""
    room = max(1, view.height - 3)
    rows = first(book.in_order(), room)
    more = len(book) - len(rows)
    counts = counts_in_words(book.counts) or "no job yet"
    last = f"{_mark('…', view)} {more:,} more · {counts}" if more else counts
    if view.ascii_only:
        last = last.replace("·", "-")
    return Group(job_table(rows, view, head=True), _line(last, "bold"))


def job_table(rows: Iterable[Row], view: View, *, indent: str = "", head: bool = False) -> Table:
    """A line for each job; a narrow one leaves out the attempt and the id."""
    is_narrow = view.width < _NARROW
    table = Table(
        box=None,
        show_header=head,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        width=min(view.width, 160) if head else None,
        header_style="bold",
    )
    if indent:
        table.add_column("", width=len(indent) - 2)
    table.add_column(
        "JOB", no_wrap=True, overflow="ellipsis", min_width=8, max_width=40 if not is_narrow else 16
    )
    if not is_narrow:
        table.add_column("ID", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("SINCE", no_wrap=True, justify="right")
    if not is_narrow:
        table.add_column("TRY", no_wrap=True)
    table.add_column("NOTE", no_wrap=True, overflow="ellipsis", ratio=1)
    now = time.time()
    for row in rows:
        style = style_of(row.status)
        cells: list[RenderableType] = [Text(row.name or short_id(row.job_id))]
        if not is_narrow:
            cells.append(Text(short_id(row.job_id), style="bright_black"))
        cells += [Text(row.status, style=style), in_words(now - row.since) if row.since else ""]
        if not is_narrow:
            cells.append(f"{row.attempt}/{row.attempts}" if row.attempt else "")
        cells.append(Text(row.note, style=style))
        table.add_row(*([""] if indent else []), *cells)
    return table


def _headline(book: JobBook, view: View) -> str:
    parts = [f"{plural(len(book), 'job')}, {book.ended:,} ended"]
    if view.region_name and view.width >= _NARROW:
        parts.append(view.region_name)
    parts.append(in_words(view.seconds))
    return (" - " if view.ascii_only else " · ").join(parts)


def _effort(statistics: Statistics) -> str:
    return (
        f"{plural(statistics.calls, 'call')} of {statistics.ids_per_call:.0f} ids, "
        f"{statistics.rate:.1f}/s allowed by AWS so far, {statistics.throttled:,} throttled"
    )


def _trouble_line(row: Row, view: View) -> Text:
    name = f"{row.name} {short_id(row.job_id)}".strip() if view.width >= _NARROW else row.name
    attempt = f"attempt {row.attempt} of {row.attempts}" if row.attempts > 1 else ""
    ran = f"ran {in_words(row.seconds)}" if row.seconds is not None else ""
    details = ", ".join(filter(None, (attempt, ran)))
    tail = f" ({details})" if details and view.width >= _NARROW else ""
    return _line(
        f"  {_mark('✗', view)} {name or short_id(row.job_id)}  {row.note or row.status}{tail}", "red"
    )


def _mark(mark: str, view: View) -> str:
    return {"✗": "x", "⚠": "!", "…": "..."}[mark] if view.ascii_only else mark


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _indented(table: Table) -> RenderableType:
    from rich.padding import Padding

    return Padding(table, (0, 0, 0, 2))
