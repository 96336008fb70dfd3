"""Rows of the result: what is in them, how they are merged, compared and shown. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Row: TypeAlias = dict[str, Any]
"""One contestant in one scenario at one pace, ready for JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A number that is compared.

    Attributes:
        key: Its name in a row.
        title: Its head in a table.
        digits: Digits after the point that are shown.
        more_is_better: Whether the highest wins; mostly the lowest does.
        noise: The share by which another must be better to be called so.
        grain: The difference below which two are the same, in the unit of the column.
    """

    key: str
    title: str
    digits: int = 0
    more_is_better: bool = False
    noise: float = 0.1
    grain: float = 0.0

    def beats(self, one: float | None, other: float | None) -> bool:
        """Whether `one` is better than `other` by more than chance."""
        if one is None or other is None:
            return False
        difference = one - other if self.more_is_better else other - one
        return difference > max(self.grain, self.noise * abs(other))


COLUMNS: Final = (
    Column(key="calls", title="calls", noise=0.02, grain=1),
    Column(key="ids_per_call", title="ids/call", digits=1, more_is_better=True, noise=0.02),
    Column(key="peak_calls_per_second", title="peak calls/s", noise=0.0),
    Column(key="throttled", title="throttled", noise=0.0),
    Column(key="died", title="died", noise=0.0),
    Column(key="left", title="left", noise=0.0),
    Column(key="delay_p50", title="delay p50 s", digits=2, grain=0.05),
    Column(key="delay_p99", title="p99 s", digits=2, grain=0.05),
    Column(key="delay_max", title="max s", digits=2, grain=0.05),
    Column(key="cpu_seconds", title="CPU s", digits=2),
    Column(key="cpu_us_per_job_seen", title="CPU µs/job seen", noise=0.1),
    Column(key="peak_mb", title="peak MB", grain=1),
    Column(key="kb_per_job", title="KB/job", digits=1, grain=1),
    Column(key="longest_stall_ms", title="stall ms", grain=5),
)


def percentile(values: Collection[float], percent: float) -> float | None:
    """The least of the values that so many percent do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def key_of(row: Row) -> tuple[str, str, str]:
    """What a row is about; of two with the same key the newer holds."""
    return row["scenario"], row["pace"], row["contestant"]


def merged(old: Iterable[Row], new: Iterable[Row], order: Sequence[tuple[str, str, str]]) -> list[Row]:
    """Old rows and new ones, the new in the place of old ones about the same, in a given order of keys."""
    rows = {key_of(row): row for row in (*old, *new)}
    places = {key: place for place, key in enumerate(order)}
    return sorted(rows.values(), key=lambda row: (places.get(key_of(row), len(places)), key_of(row)))


def measured(
    found: Mapping[str, Any],
    statistics: Mapping[str, Any],
    ends: Mapping[str, float],
    job_ids: Collection[str],
    missing: str | None,
) -> Row:
    """Make the numbers of a row.

    Args:
        found: What the contestant says at its end.
        statistics: The server's counts.
        ends: Job id to the moment at which it ended, by the server.
        job_ids: The jobs that exist.
        missing: The id that does not.
    """
    told: Mapping[str, float] = found["ended"]
    deaths: Mapping[str, tuple[float, str]] = found["died"]
    # Clocks of two processes on one machine agree, but for what the system does to them.
    early = {
        job_id for job_id in job_ids if job_id in told and told[job_id] < ends.get(job_id, math.inf) - 0.05
    }
    delays = [max(0.0, told[job_id] - ends[job_id]) for job_id in job_ids if job_id in told.keys() - early]
    died = [job_id for job_id in job_ids if job_id in deaths and job_id not in told]
    seen = statistics["ids_described"]
    calls = statistics["calls"].get("DescribeJobs", 0)
    by_second = statistics["calls_by_second"].get("DescribeJobs", {})
    grown = found["peak"] - found["base"]
    row: Row = {
        "calls": calls,
        "ids_per_call": statistics["ids_per_call"],
        "peak_calls_per_second": max(by_second.values(), default=0),
        "throttled": statistics["throttled"].get("DescribeJobs", 0),
        "jobs_seen": seen,
        "died": len(died) + len(early),
        "left": len(job_ids) - len(died) - sum(job_id in told for job_id in job_ids),
        "delay_p50": percentile(delays, 50),
        "delay_p99": percentile(delays, 99),
        "delay_max": max(delays, default=None),
        "cpu_seconds": found["cpu"],
        "cpu_us_per_job_seen": found["cpu"] / seen * 1e6 if seen else None,
        "peak_mb": found["peak"] / 1e6,
        "grown_mb": grown / 1e6,
        "kb_per_job": grown / 1e3 / len(job_ids),
        "longest_stall_ms": None if found["stall"] is None else found["stall"] * 1e3,
        "stalled_at": None if found["stall"] is None else found["stalled_at"],
        "seconds": found["seconds"],
        "cut_off": found["cut_off"],
        "why_died": _counted([deaths[job_id][1] for job_id in died], len(early)),
    }
    if missing is not None:
        row["missing_id"] = _fate(missing, told, deaths)
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}


def _counted(texts: Iterable[str], early: int) -> dict[str, int]:
    """How often waits ended with which error, by the error's name."""
    counts: dict[str, int] = {"called ended too early": early} if early else {}
    for text in texts:
        name = text.partition("(")[0].partition(":")[0] if text.startswith("ClientError") else text[:80]
        counts[name] = counts.get(name, 0) + 1
    # Messages that name their job are all different.
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:3])


def _fate(missing: str, told: Mapping[str, float], deaths: Mapping[str, tuple[float, str]]) -> str:
    if missing in told:
        return "called ended"
    if missing in deaths:
        seconds, error = deaths[missing]
        return f"{error.partition(':')[0]} after {seconds:.0f} s"
    return "still waited for"


def losses(rows: Iterable[Row], ours: str, others: Collection[str]) -> list[tuple[Row, Row, Column]]:
    """Where another contestant beats ours: its row, our row, and the column."""
    by_key = {key_of(row): row for row in rows}
    lost = []
    for (scenario, pace, contestant), row in by_key.items():
        our_row = by_key.get((scenario, pace, ours))
        if contestant not in others or our_row is None or "error" in row or "error" in our_row:
            continue
        lost += [
            (row, our_row, column) for column in COLUMNS if column.beats(row[column.key], our_row[column.key])
        ]
    return lost


def shown(value: float | None, column: Column) -> str:
    """A number as a table shows it."""
    return "-" if value is None else f"{value:,.{column.digits}f}"


def markdown(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """The rows of one scenario and pace as a table.

    Args:
        rows: The rows.
        titles: What the table calls each contestant.
    """
    head = ["", *(column.title for column in COLUMNS)]
    body = []
    for row in rows:
        title = titles.get(row["contestant"], row["contestant"])
        if "error" in row:
            body.append([title, row["error"].splitlines()[-1][:100], *("" for _ in COLUMNS[1:])])
            continue
        cells = [shown(row[column.key], column) for column in COLUMNS]
        body.append([title, *cells])
    widths = [max(len(line[place]) for line in (head, *body)) for place in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join("| " + " | ".join(_padded(line, widths)) + " |" for line in (head, rule, *body))


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = cells
    return [
        first.ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)),
    ]
