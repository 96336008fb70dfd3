"""Calls leave evenly: how many at most in a second, and how many more than if each left as late as it may.

Each row is run twice with the same seeds: as it is, and in waves, with calls that leave when the first window closes.
The account lets through more than anybody asks for.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from awaitbatch._core import pace
from awaitbatch._core.backoff import (
    AIRFLOWS_MAX_INTERVAL,
    DEFAULT_MAX_INTERVAL,
    ExponentialBackoff,
    FixedInterval,
    Window,
)
from awaitbatch._core.pace import LEAST_PACE
from benchmarks.report import Figure, Result, table
from benchmarks.simulate.account import CLIENT_LIMIT, Account
from benchmarks.simulate.herd import Herd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awaitbatch._core.backoff import Backoff
    from benchmarks.simulate.progress import Progress

_SEEDS: Final = 5
_DEFAULT: Final = 0.0
_AIRFLOWS: Final = -1.0
_CURVES: Final = {_DEFAULT: DEFAULT_MAX_INTERVAL, _AIRFLOWS: AIRFLOWS_MAX_INTERVAL}
"""In place of an interval: the default schedule, or the one with Airflow's ceiling. With their longest pauses."""
_LATE: Final = 0.1
"""Seconds for which a job may go unseen beyond its interval: a call travels, and timers are late. In the beginning the
throttle does not know yet what is allowed, and then it may be as many as in waves."""


@dataclass(frozen=True, slots=True)
class Row:
    """What to run.

    Attributes:
        name: What it is called.
        parts: How many jobs, and the interval of each in seconds; or one of `_CURVES`.
        seconds: How long.
        settled: Seconds after which calls in a second are counted.
        most_calls: The most calls that are wanted, in multiples of those in waves.
        most_in_a_second: The most calls in a second that are wanted; None for no more than in waves.
        at_once: Whether all jobs are checked in the beginning, and not after pauses drawn as `wait_for_job` draws them.
    """

    name: str
    parts: Sequence[tuple[int, float]]
    seconds: float
    settled: float
    most_calls: float
    most_in_a_second: int | None = None
    at_once: bool = False


ROWS: Final = (
    Row("1,000 jobs, 5 s", [(1_000, 5)], 120, 11, 1.04, 3, at_once=True),
    Row("3,000 jobs, 5 s", [(3_000, 5)], 120, 11, 1.04, 8, at_once=True),
    Row("100 jobs, 1 s; 1,000, Airflow's", [(100, 1), (1_000, _AIRFLOWS)], 300, 60, 1.65 / 1.54),
    Row("100 jobs, 1 s; 1,000, default", [(100, 1), (1_000, _DEFAULT)], 300, 60, 1.65 / 1.54),
    Row("90 jobs, 1 s; 2,000, 30 s", [(90, 1), (2_000, 30)], 300, 75, 1.06),
    Row("100 jobs, 5 s; 2,000, 60 s", [(100, 5), (2_000, 60)], 300, 135, 1.06),
    Row("300 jobs, 2 s; 5,000, 60 s", [(300, 2), (5_000, 60)], 300, 135, 1.15),
    Row("3,000 jobs, Airflow's", [(3_000, _AIRFLOWS)], 600, 60, 1.01),
    Row("3,000 jobs, default", [(3_000, _DEFAULT)], 600, 60, 1.02),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a row, of all seeds.

    Attributes:
        most_in_a_second: The most calls in any second, once settled: the worst seed.
        calls_per_second: Calls a second from the beginning on: the mean.
        ids_per_call: Ids in a call: the mean.
        unseen_p50: Seconds between two checks of a job: the median of all, with intervals of all kinds.
        unseen_max: The longest of them.
    """

    most_in_a_second: int
    calls_per_second: float
    ids_per_call: float
    unseen_p50: float
    unseen_max: float


def measure(
    progress: Progress, *, quick: bool, seeds: int | None = None, least_pace: float = LEAST_PACE
) -> Result:
    """Run all rows, evenly and in waves.

    Args:
        progress: Where to say what runs.
        quick: One seed.
        seeds: Runs of each row.
        least_pace: Calls a second up to which calls leave as late as they may.
    """
    seeds = _SEEDS if seeds is None else seeds
    seeds = 1 if quick else seeds
    found: list[tuple[Row, Found, Found]] = []
    with patch.object(pace, "LEAST_PACE", least_pace):
        for row in ROWS:
            progress.write_log(f"evenness, {row.name}")
            waves, evenly = (simulate(row, seeds, evenly=evenly) for evenly in (False, True))
            found.append((row, waves, evenly))
    return Result(
        name="simulate_evenness",
        about=f"calls leave evenly, in virtual time, {seeds} seeds",
        extra=[_table(found)],
        figures=[figure for row, waves, evenly in found for figure in figures(row, waves, evenly)],
        quick=quick,
        details={
            "seeds": seeds,
            "rows": [
                {"row": asdict(row), "in_waves": asdict(waves), "evenly": asdict(evenly)}
                for row, waves, evenly in found
            ],
        },
    )


def simulate(row: Row, seeds: int, *, evenly: bool) -> Found:
    """Run one row."""
    most = calls = ids = 0
    unseen: list[float] = []
    for seed in range(seeds):
        random = Random(seed)
        first = _first(random, at_once=row.at_once)
        (jobs, interval), *others = row.parts
        herd = Herd(jobs, _backoff(interval, random), first=first, evenly=evenly)
        for jobs, interval in others:
            herd.add(jobs, _backoff(interval, random), first=first)
        account = Account(random, rate=CLIENT_LIMIT)
        sender = account.join(herd)
        account.run(row.seconds)
        most = max(most, most_in_a_second([moment for moment in sender.answered if moment >= row.settled]))
        calls += herd.calls
        ids += herd.ids
        unseen.extend(herd.unseen)
    unseen.sort()
    return Found(
        most_in_a_second=most,
        calls_per_second=calls / seeds / row.seconds,
        ids_per_call=ids / calls,
        unseen_p50=unseen[len(unseen) // 2],
        unseen_max=unseen[-1],
    )


def most_in_a_second(moments: Sequence[float]) -> int:
    """The most of some moments, in ascending order, that are within one second."""
    return max((bisect_left(moments, begin + 1) - place for place, begin in enumerate(moments)), default=0)


def figures(row: Row, waves: Found, evenly: Found) -> Iterator[Figure]:
    """What has targets."""
    most = waves.most_in_a_second if row.most_in_a_second is None else row.most_in_a_second
    yield Figure(name=row.name, value=evenly.most_in_a_second, unit="calls in a second at most", at_most=most)
    ratio = evenly.calls_per_second / waves.calls_per_second
    yield Figure(name=row.name, value=ratio, unit="x the calls in waves", at_most=row.most_calls)
    longest = max(interval for _, interval in row.parts)
    if all(interval not in _CURVES for _, interval in row.parts):
        late = evenly.unseen_max - longest
        at_most = max(_LATE, waves.unseen_max - longest)
        yield Figure(name=row.name, value=late, unit="s unseen beyond the interval", at_most=at_most)


def _backoff(interval: float, random: Random) -> Backoff:
    if interval in _CURVES:
        return ExponentialBackoff(_CURVES[interval], random=random)
    return FixedInterval(interval)


def _first(random: Random, *, at_once: bool) -> Callable[[], Window]:
    return lambda: Window(0, 0) if at_once else Window(1, random.uniform(1, 10))


def _table(found: Sequence[tuple[Row, Found, Found]]) -> str:
    head = (
        *(
            "calls leave evenly",
            "calls in a second: in waves",
            "evenly",
            "calls/s: in waves",
            "evenly",
            "more",
        ),
        *("ids per call", "evenly", "unseen: median", "evenly", "longest", "evenly"),
    )
    rows = []
    for row, waves, evenly in found:
        more = 100 * (evenly.calls_per_second / waves.calls_per_second - 1)
        cells = [f"{waves.most_in_a_second}", f"{evenly.most_in_a_second}"]
        cells += [f"{waves.calls_per_second:.2f}", f"{evenly.calls_per_second:.2f}", f"{more:+.2f} %"]
        for name, form in (("ids_per_call", ".1f"), ("unseen_p50", ".3g"), ("unseen_max", ".3g")):
            cells += [format(getattr(one, name), form) for one in (waves, evenly)]
        rows.append((row.name, *cells))
    return table(head, rows)
