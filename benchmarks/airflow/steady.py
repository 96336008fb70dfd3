"""What 1,000 waiting triggers cost a triggerer from their start on, and in a minute of nothing but waiting."""

from __future__ import annotations

import time
from collections import Counter
from math import isnan
from typing import TYPE_CHECKING, Any, Final

from benchmarks.airflow.contestants import IDLE, INTERVAL, OURS, STOCK
from benchmarks.report import Figure

if TYPE_CHECKING:
    from benchmarks.airflow.contestants import Contestant
    from benchmarks.airflow.stage import Stage, Stages
    from benchmarks.airflow.triggerer import Triggerer

JOBS: Final = 1000
_SECONDS: Final = 60
_SECONDS_TO_SETTLE: Final = 10
_PATIENCE: Final = 240
_ONE: Final = ", one trigger"
"""The runs that say what botocore's models, aiobotocore and the provider's modules take, whoever uses them."""


def measure(stages: Stages) -> tuple[list[Figure], dict[str, Any]]:
    """Run all three, one after the other, and return the figures and what they came from."""
    found = {}
    for contestant in (IDLE, STOCK, OURS):
        with stages.new(contestant) as stage:
            found[contestant.name] = _run(stage, JOBS)
    for contestant in (IDLE, STOCK):
        with stages.new(contestant) as stage:
            found[contestant.name + _ONE] = _run(stage, 1)
    return _figures(found), found


def _run(stage: Stage, jobs: int) -> dict[str, Any]:
    stage.defer(jobs)
    triggerer = stage.start_triggerer()
    samples = _watch_start(stage, triggerer, jobs)
    checks = stage.batch.statistics()
    starts = stage.starts()
    warnings = triggerer.warnings
    stage.batch.control("DELETE", "statistics")
    cpu, begin = triggerer.cpu, time.monotonic()
    samples += _sample(triggerer, _SECONDS if jobs > 1 else 1)
    seconds = time.monotonic() - begin
    firsts = sorted(check["first"] - starts[0] for check in checks["checks"].values())
    calls = Counter(checks["calls_by_second"].get("DescribeJobs", {}))
    steady = stage.batch.statistics()
    calls.update(steady["calls_by_second"].get("DescribeJobs", {}))
    return {
        "triggers_started": len(starts),
        "hand_over": starts[-1] - starts[0],
        "jobs_checked": len(firsts),
        "all_checked": firsts[-1] if len(firsts) == jobs else None,
        "calls_a_minute": steady["calls"].get("DescribeJobs", 0) * 60 / seconds,
        "cpu_percent": 100 * (triggerer.cpu - cpu) / seconds,
        "memory_mb": triggerer.memory,
        "sockets": triggerer.sockets,
        "warnings_at_start": warnings,
        "warnings_in_the_minute": triggerer.warnings - warnings,
        "triggers_lost": jobs - stage.deferred,
        "first_checks": [round(first, 2) for first in firsts],
        "memory": [(round(moment - starts[0], 1), round(memory, 1)) for moment, memory in samples],
        "calls": sorted((int(second) - int(starts[0]), count) for second, count in calls.items()),
    }


def _watch_start(stage: Stage, triggerer: Triggerer, jobs: int) -> list[tuple[float, float]]:
    """Wait until every job was checked once, or every trigger started, and things have settled."""
    samples: list[tuple[float, float]] = []
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        samples += _sample(triggerer, 1)
        if (stage.checked() if stage.contestant.waits else len(stage.starts())) == jobs:
            break
    return samples + _sample(triggerer, _SECONDS_TO_SETTLE)


def _sample(triggerer: Triggerer, seconds: int) -> list[tuple[float, float]]:
    """The memory of the runner, once a second."""
    samples = []
    for _ in range(seconds):
        time.sleep(1)
        samples.append((time.time(), triggerer.memory))
    return samples


def _figures(found: dict[str, dict[str, Any]]) -> list[Figure]:
    idle, ours = found[IDLE.name], found[OURS.name]
    needed = JOBS / 100 * 60 / INTERVAL
    figures = []
    for contestant in (STOCK, OURS):
        row = found[contestant.name]
        is_ours = contestant is OURS

        def figure(
            name: str,
            value: float | None,
            unit: str = "",
            at_most: float | None = None,
            contestant: Contestant = contestant,
            *,
            judged: bool = is_ours,
        ) -> Figure:
            measured = float("nan") if value is None else value
            return Figure(
                name=f"{contestant.name}: {name}",
                value=measured,
                unit=unit,
                at_most=at_most if judged else None,
            )

        late = None if row["all_checked"] is None else row["all_checked"] - row["hand_over"]
        figures += [
            figure("DescribeJobs a minute", row["calls_a_minute"], "", 1.1 * needed),
            figure("CPU above the idle trigger", row["cpu_percent"] - idle["cpu_percent"], "%", 2),
            figure("memory above the idle trigger", row["memory_mb"] - idle["memory_mb"], "MB", 35),
            figure("all triggers started after", row["hand_over"], "s"),
            figure("all jobs checked after", row["all_checked"], "s"),
            figure("the same after the last start", late, "s", 3),
            figure("sockets above the idle trigger", row["sockets"] - idle["sockets"], "", 8),
            figure(
                "warnings of a blocked loop at the start",
                row["warnings_at_start"],
                "",
                idle["warnings_at_start"],
            ),
            figure("warnings of a blocked loop in a minute", row["warnings_in_the_minute"], "", 0),
        ]
    figures.append(Figure(name="idle: CPU", value=idle["cpu_percent"], unit="%"))
    figures.append(Figure(name="idle: memory", value=idle["memory_mb"], unit="MB"))
    figures.append(
        Figure(name="idle: warnings of a blocked loop at the start", value=idle["warnings_at_start"])
    )
    least = found[STOCK.name + _ONE]["memory_mb"] - found[IDLE.name + _ONE]["memory_mb"]
    figures.append(Figure(name="stock, one trigger: memory above one idle trigger", value=least, unit="MB"))
    figures.append(Figure(name="ours: triggers lost", value=ours["triggers_lost"], at_most=0))
    # Who has not checked all jobs in time has no figure for it.
    return [figure for figure in figures if not isnan(figure.value)]
