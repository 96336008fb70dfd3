"""``make plots``, or ``python -m benchmarks.plots``: draw docs/images from the results that are kept.

The same results give the same bytes. Each picture names the results that it was drawn from and a digest of what of them
it shows, so that a test tells whether it is up to date without drawing it. A picture whose results are not there is
left out.

All colours are of medium lightness and there is no background, so that the pictures can be read on a white page and on
a dark one.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.airflow.contestants import INTERVAL
from benchmarks.peers.registry import CONTESTANTS, IDLE, OURS
from benchmarks.report import RESULTS
from benchmarks.simulate.jobs import Scenario, soonest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"

GREY: Final = "#757b84"
GREEN: Final = "#2b8a4b"
RED: Final = "#d0533f"
BLUE: Final = "#3f7fc4"
BROWN: Final = "#a66a1f"
_SERIES: Final = (RED, BROWN, BLUE, GREEN)

_STYLE: Final = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.color": GREY,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "savefig.transparent": True,
    # Text stays text, for readers, for searching, and for the reader's own fonts.
    "svg.fonttype": "none",
    "svg.hashsalt": "awaitbatch",
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}

_TRIGGERS: Final = {
    "stock": ("the Amazon provider's trigger", RED),
    "ours": ("awaitbatch", GREEN),
    "idle": ("a trigger that does nothing", GREY),
}
_EACH: Final = 20
"""Of so many first checks of jobs, one is drawn."""

_FREE: Final = "1000"
_LIMITED: Final = "1000-limited"
_PACE: Final = "5s"
_SHOWN: Final = ("delay_p50", "delay_p99", "delay_max", "cpu_us_per_job_seen", "died", "left")


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture.

    Attributes:
        source: The file in results/ that it is drawn from.
        about: What the picture shows, in one sentence, for those who cannot see it.
        chosen: The part of the results that is shown, ready for JSON.
        draw: Draws that; given it and matplotlib's pyplot, returns the figure.
    """

    source: str
    about: str
    chosen: Callable[[Mapping[str, Any]], Any]
    draw: Callable[[Any, Any], Any]

    @property
    def data(self) -> Any:  # noqa: ANN401
        """What is shown of the results that are kept."""
        return self.chosen(json.loads((RESULTS / self.source).read_text(encoding="utf-8")))

    @property
    def signature(self) -> str:
        """What the picture says of where it comes from, with a digest of what is shown and of this file."""
        digest = hashlib.sha256(Path(__file__).read_bytes() + json.dumps(self.data).encode())
        return f"Drawn from results/{self.source} by benchmarks/plots.py: {digest.hexdigest()}"


def main() -> int:
    """Draw every picture whose results are there."""
    for name, plot in PLOTS.items():
        if not (RESULTS / plot.source).exists():
            print(f"{name}: results/{plot.source} is not there", file=sys.stderr)
            continue
        path = IMAGES / f"{name}.svg"
        path.write_text(drawn(plot), encoding="utf-8")
        print(path)
    return 0


def drawn(plot: Plot) -> str:
    """The picture as SVG."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    with plt.rc_context(_STYLE), io.BytesIO() as written:
        figure = plot.draw(plot.data, plt)
        # Without a date and matplotlib's version.
        metadata = {"Date": None, "Creator": None, "Description": plot.signature}
        figure.savefig(written, format="svg", metadata=metadata)
        plt.close(figure)
        svg = written.getvalue().decode()
    return svg.replace("<svg ", f'<svg role="img" aria-label="{plot.about}" ', 1)


def contestants(results: Mapping[str, Any]) -> list[tuple[str, dict[str, dict[str, float]]]]:
    """Each contestant that ran: its title, and its numbers by scenario, ours first."""
    rows = {
        (row["contestant"], row["scenario"]): {key: row[key] for key in _SHOWN}
        for row in results["rows"]
        if row["pace"] == _PACE and row.get("delay_p50") is not None
    }
    found = []
    for name, contestant in CONTESTANTS.items():
        by_scenario = {
            scenario: rows[name, scenario] for scenario in (_FREE, _LIMITED) if (name, scenario) in rows
        }
        if by_scenario and name != IDLE:
            found.append((contestant.about, by_scenario))
    return found


def timeline(results: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The calls answered and throttled, step by step, and the limits."""
    return results["details"]["timeline"]


def lines(results: Mapping[str, Any]) -> dict[float, dict[int, float]]:
    """Limit in calls a second to number of jobs to the seconds that one of them goes unseen at most."""
    return soonest([Scenario(**scenario) for scenario in results["details"]["scenarios"]])


def sizes(results: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Numbers of jobs, and the CPU time of a check of one in microseconds."""
    return sorted((row["jobs"], row["cpu_us_per_job_seen"]) for row in results["details"]["sizes"])


def starts(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Ours and the provider's trigger, and one that does nothing: what is drawn of them, thinned out."""
    shown = {}
    for name in _TRIGGERS:
        row = results["details"]["steady"][name]
        calls = dict(row["calls"])
        # An interval's calls are taken together: within it, all that begin together leave together.
        steps = range(0, max(calls, default=0), INTERVAL)
        shown[name] = {
            "first_checks": [*enumerate(row["first_checks"], 1)][_EACH - 1 :: _EACH],
            "calls": [
                sum(calls.get(begin + second, 0) for second in range(INTERVAL)) / INTERVAL for begin in steps
            ],
            "memory": row["memory"],
        }
    return shown


def _peers(found: list[tuple[str, dict[str, dict[str, float]]]], plt: Any) -> Any:  # noqa: ANN401
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(8.6, 0.9 + 0.36 * len(found)), width_ratios=(3, 2)
    )
    for place, (about, rows) in enumerate(found):
        colour = GREEN if about.startswith(OURS) else GREY
        for scenario, row in rows.items():
            height, face = (place - 0.16, colour) if scenario == _FREE else (place + 0.16, "none")
            marks = {"color": colour, "markerfacecolor": face}
            left.plot((row["delay_p50"], row["delay_max"]), (height, height), color=colour, linewidth=1)
            left.plot(row["delay_p50"], height, "o", markersize=5, **marks)
            left.plot(row["delay_p99"], height, "|", markersize=7, **marks)
            left.plot(row["delay_max"], height, "D", markersize=3.5, **marks)
            right.plot(row["cpu_us_per_job_seen"], height, "o", markersize=5, **marks)
            lost = row["died"] + row["left"]
            if lost:
                note = f"{lost:,} waits lost"
                left.annotate(
                    note, (row["delay_max"], height), (6, -3), textcoords="offset points", color=RED
                )
    left.set_yticks(range(len(found)), [about for about, _ in found])
    left.invert_yaxis()
    left.set_title("delay from the end of a job to its waiter")
    right.set_title("CPU time per check of a job")
    _log_axis(left.xaxis, {1: "1 s", 10: "10 s", 100: "100 s"})
    _log_axis(right.xaxis, {100: "0.1 ms", 1_000: "1 ms", 10_000: "10 ms", 100_000: "100 ms"})
    for axes in (left, right):
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    keys = [
        plt.Line2D([], [], color=GREY, marker=marker, markerfacecolor=face, linestyle="none", label=label)
        for marker, face, label in (
            ("o", GREY, "median"),
            ("|", GREY, "99 of 100"),
            ("D", GREY, "longest"),
            ("o", GREY, "filled: no limit"),
            ("o", "none", "hollow: behind a limit of 20 calls/s"),
        )
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure


def _throttle(found: Mapping[str, Any], plt: Any) -> Any:  # noqa: ANN401
    step = found["step_seconds"]
    edges = [step * number for number in range(len(found["answered"]) + 1)]
    figure, axes = plt.subplots(figsize=(8.2, 3.0))
    moments, limits = zip(*found["limits"], strict=True)
    axes.step(
        (*moments, edges[-1]),
        (*limits, limits[-1]),
        where="post",
        color=GREY,
        linestyle="--",
        label="the limit, which the client does not know",
    )
    for kind, colour in (("answered", GREEN), ("throttled", RED)):
        rates = [calls / step for calls in found[kind]]
        axes.stairs(rates, edges, baseline=None, color=colour, linewidth=1.4, label=f"calls {kind}")
    axes.set_xlim(0, edges[-1])
    axes.set_xticks(range(0, round(edges[-1]) + 1, 60))
    axes.set_xlabel("time, s")
    axes.set_ylabel("calls/s")
    axes.grid(axis="y")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _unseen(found: dict[float, dict[int, float]], plt: Any) -> Any:  # noqa: ANN401
    figure, axes = plt.subplots(figsize=(8.2, 4.2))
    for (rate, points), colour in zip(found.items(), cycle(_SERIES), strict=False):
        jobs, seconds = zip(*points.items(), strict=True)
        axes.plot(jobs, seconds, "o-", markersize=4, color=colour)
        # Above the line and before its end, where there is no other.
        place = {"xytext": (-6, 4), "textcoords": "offset points", "ha": "right", "va": "bottom"}
        axes.annotate(f"{rate:g} calls/s", (jobs[-1], seconds[-1]), color=colour, **place)
    _log_axis(axes.xaxis, {10**power: f"{10**power:,}" for power in range(3, 7)})
    _log_axis(axes.yaxis, {1: "1 s", 5: "5 s", 60: "1 min", 600: "10 min", 3600: "1 h"})
    axes.grid()
    axes.set_xlabel("jobs awaited")
    axes.set_title("longest time that a job goes unseen, checked as often as the account allows")
    return figure


def _scale(found: list[tuple[int, float]], plt: Any) -> Any:  # noqa: ANN401
    jobs, costs = zip(*found, strict=True)
    figure, axes = plt.subplots(figsize=(8.2, 3.0))
    axes.plot(jobs, costs, "o-", markersize=5, color=GREEN)
    axes.set_xscale("log")
    _log_axis(axes.xaxis, {count: f"{count:,}" for count in jobs})
    axes.set_ylim(0, 1.2 * max(costs))
    axes.grid(axis="y")
    axes.set_xlabel("jobs awaited on one event loop")
    axes.set_ylabel("CPU time per check of a job, µs")
    return figure


def _airflow(found: Mapping[str, Mapping[str, Any]], plt: Any) -> Any:  # noqa: ANN401
    figure, (checked, calls, memory) = plt.subplots(1, 3, figsize=(8.6, 2.8))
    for name, (about, colour) in _TRIGGERS.items():
        row = found[name]
        style = {"color": colour, "linewidth": 1.4, "label": about}
        if row["first_checks"]:
            counts, seconds = zip(*row["first_checks"], strict=True)
            checked.plot(seconds, counts, **style)
            calls.plot(range(0, INTERVAL * len(row["calls"]), INTERVAL), row["calls"], **style)
        memory.plot(*zip(*row["memory"], strict=True), **style)
    for axes, title in (
        (checked, "jobs checked at least once"),
        (calls, "DescribeJobs, calls/s"),
        (memory, "memory of the runner, MB"),
    ):
        axes.set_title(title)
        axes.set_xlabel("time since the first trigger's start, s")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    figure.legend(*memory.get_legend_handles_labels(), loc="outside lower center", ncols=len(_TRIGGERS))
    return figure


def _log_axis(axis: Any, ticks: Mapping[float, str]) -> None:  # noqa: ANN401
    """A logarithmic axis with ticks that have names, and no others."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_ticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()


PLOTS: Final = {
    "peers": Plot(
        "peers.json",
        "Detection delay and CPU time per check of a job, of awaitbatch and of what people use today",
        contestants,
        _peers,
    ),
    "throttle": Plot(
        "simulate_throttle.json",
        "Calls answered and throttled each second while a limit falls from 20 calls a second to 5 and returns",
        timeline,
        _throttle,
    ),
    "unseen": Plot(
        "simulate_jobs.json",
        "Longest time that a job goes unseen, from 1,000 to a million jobs, behind limits of 1 to 50 calls a second",
        lines,
        _unseen,
    ),
    "scale": Plot(
        "scale.json",
        "CPU time per check of a job, by the number of jobs that one event loop waits for",
        sizes,
        _scale,
    ),
    "airflow": Plot(
        "airflow.json",
        "First checks of 1,000 jobs, DescribeJobs calls and memory of an Airflow triggerer, from its start on",
        starts,
        _airflow,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
