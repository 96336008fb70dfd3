"""What the user sees: a live picture in a terminal, plain lines everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from awaitbatch import JobStatus
from awaitbatch.cli._live import LiveConsole
from awaitbatch.cli._pictures import status_bars
from awaitbatch.cli._summary import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from awaitbatch.cli._summary import Summary

_MOST_DISAGREEMENTS: Final = 10
_WIDEST_TEXT: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come.

    Attributes:
        seconds: Since the first submission.
        jobs: All jobs that will be submitted.
        statuses: State to number of jobs that the client saw in it last.
        calls: DescribeJobs calls so far.
        ids_per_call: Mean number of job ids in them.
        checks: Checks of single jobs so far.
    """

    seconds: float
    jobs: int
    statuses: Mapping[str, int]
    calls: int
    ids_per_call: float
    checks: int

    @property
    def calls_per_second(self) -> float:
        """Mean over the run so far."""
        return self.calls / self.seconds if self.seconds > 0 else 0.0

    @property
    def submitted(self) -> int:
        """Jobs that have been submitted."""
        return sum(self.statuses.values())

    @property
    def ended(self) -> int:
        """Jobs that the client has seen ended."""
        return self.statuses.get(JobStatus.SUCCEEDED, 0) + self.statuses.get(JobStatus.FAILED, 0)


class Display(Protocol):
    """Where a run is shown, from ``with`` to the end.

    Attributes:
        period: Seconds between two calls of `show`.
    """

    period: float

    def introduce(self, title: str, text: str) -> None:
        """Say what will be shown."""

    def prepare(self, text: str) -> None:
        """Say what is being done before there is progress."""

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""

    def say(self, text: str) -> None:
        """Show a line of the client's log."""

    def conclude(self, summary: Summary) -> None:
        """Show what it came to."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def choose_display() -> Display:
    """The live picture if standard output is a terminal that can show it."""
    console = LiveConsole(highlight=False, markup=False, emoji=False)
    return (
        LiveDisplay(console)
        if console.is_terminal and not console.is_dumb_terminal
        else PlainDisplay(console)
    )


class PlainDisplay:
    """Prints lines that make sense in a file."""

    period = 3.0

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def introduce(self, title: str, text: str) -> None:
        """Print it."""
        self._print(f"{title}\n")
        self._console.print(text, width=_WIDEST_TEXT)
        self._print("")

    def prepare(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def show(self, progress: Progress) -> None:
        """Print one line."""
        statuses = ", ".join(f"{count} {status}" for status, count in _in_order(progress.statuses) if count)
        self._print(
            f"{progress.seconds:5.1f} s: {statuses or 'nothing submitted yet'}; "
            f"{plural(progress.calls, 'DescribeJobs call')} of {progress.ids_per_call:.0f} ids"
        )

    def say(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def conclude(self, summary: Summary) -> None:
        """Print the summary line by line."""
        self._print(f"\n{summary.headline()}\n")
        for label, figure in summary.rows():
            self._print(f"{label:<22}{figure}")
        for line in _shown_disagreements(summary):
            self._print(line)

    def _print(self, text: str) -> None:
        # In a file a line is a line, however long.
        self._console.print(text, soft_wrap=True)


class LiveDisplay:
    """Draws a bar for each state, and redraws it in place."""

    period = 0.2

    def __init__(self, console: Console) -> None:
        self._console = console
        # We refresh ourselves: a thread that draws would compete with the event loop that is being measured.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def introduce(self, title: str, text: str) -> None:
        """Print it above the picture."""
        width = min(self._console.width, _WIDEST_TEXT)
        self._console.print()
        self._console.print(Text(title, style="bold"), width=width)
        self._console.print()
        self._console.print(text, width=width)
        self._console.print()

    def prepare(self, text: str) -> None:
        """Draw it in place of the picture."""
        self._live.update(Text(text, style="bright_black"), refresh=True)

    def show(self, progress: Progress) -> None:
        """Redraw the picture."""
        self._live.update(_picture(progress, min(self._console.width, _WIDEST_TEXT)), refresh=True)

    def say(self, text: str) -> None:
        """Print it above the picture."""
        self._console.print(Text(text, style="yellow"))

    def conclude(self, summary: Summary) -> None:
        """Print the summary as a table below the picture."""
        self._live.stop()
        table = Table.grid(padding=(0, 3))
        table.add_column(style="bright_black", no_wrap=True)
        table.add_column()
        for label, figure in summary.rows():
            table.add_row(label, figure)
        color = "red" if summary.disagreements else "green"
        self._console.print()
        self._console.print(Text(summary.headline(), style=f"bold {color}"))
        self._console.print()
        self._console.print(Padding(table, (0, 2)))
        for line in _shown_disagreements(summary):
            self._console.print(Text(line, style="red"))
        self._console.print()


def _picture(progress: Progress, width: int) -> RenderableType:
    bars = status_bars(_in_order(progress.statuses), progress.jobs, width - 24)
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="bright_black", no_wrap=True)
    figures.add_column()
    for label, figure in _figures(progress):
        figures.add_row(label, figure)
    return Group(Padding(bars, (0, 2)), "", Padding(figures, (0, 2)))


def _figures(progress: Progress) -> Sequence[tuple[str, str]]:
    """With the labels of the summary, so that one grows into the other."""
    submitted = "all" if progress.submitted == progress.jobs else f"{progress.submitted:,}"
    calls = f"{progress.calls:,}, with {progress.ids_per_call:.1f} job ids in each"
    return (
        ("Jobs", f"{submitted} of {progress.jobs:,} submitted, {progress.ended:,} ended"),
        ("Time", f"{progress.seconds:.0f} s"),
        ("DescribeJobs calls", f"{calls}, {progress.calls_per_second:.1f} a second"),
        ("A loop per job", f"{plural(progress.checks, 'call')} by now"),
    )


def _in_order(statuses: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """All states in the order of a job's life, then those that nobody knows yet."""
    known = [(status.value, statuses.get(status, 0)) for status in JobStatus]
    return known + [item for item in statuses.items() if item[0] not in JobStatus.__members__]


def _shown_disagreements(summary: Summary) -> Sequence[str]:
    lines = [f"error: {line}" for line in summary.disagreements[:_MOST_DISAGREEMENTS]]
    more = len(summary.disagreements) - len(lines)
    return [*lines, f"error: and {more:,} more"] if more > 0 else lines
