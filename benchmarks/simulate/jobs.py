"""Up to a million jobs behind limits of 1 to 50 calls a second: how long does a job go unseen?

Each scenario is a number of jobs, a limit and a backoff. All jobs are waited for from the beginning and never end, and
one client checks them. The first round ends when each was seen once; what is measured comes after it, and after the
first minute, in which the rate is found.

N jobs behind R calls a second go unseen for N / 100 / R seconds at least, whatever the client. So an interval can
be kept up to 100 x R x interval jobs, and beyond that every shorter interval comes to the same. Of those, only the
longest is run. The default backoff draws its pauses, between 10 and 30 s in the end; where the limit decides, a job
that draws the longest comes 10 s after the others.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

from awaitbatch import ExponentialBackoff, FixedInterval, Window
from awaitbatch._core.backoff import DEFAULT_MAX_INTERVAL
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from benchmarks.report import Figure, Result, table
from benchmarks.simulate.account import CLIENT_LIMIT, PARAMETERS, Account
from benchmarks.simulate.herd import Herd, no_collection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from awaitbatch import Backoff
    from benchmarks.simulate.progress import Progress

RATES: Final = (1.0, 5.0, 10.0, 50.0)
"""Calls a second that the account lets through."""
MOST_JOBS: Final = 2_000_000
"""A waiting job takes 0.9 KB, so these take 1.8 GB."""
RATES_ALLOWED: Final = (1.0, CLIENT_LIMIT)
"""From the least for which anything is promised to the most that the client may send."""
_TRIED: Final = 41
"""Checks after which the default backoff has reached its longest pause."""
_WARM_UP: Final = 60.0
_LEAST_SPAN: Final = 120.0
"""Seconds that are measured at least: several teeth of the sawtooth that the throttle draws."""
_ROUNDS: Final = 1.1
"""The shortest measurement, in multiples of the longest time between two checks, so that each job is seen twice."""
_KEPT: Final = 1.1
"""How many times its interval a job may go unseen where the limit does not decide."""
_LONG_ROUND: Final = 1.2
"""How many times the best possible where it decides, if a round is so long that the throttle's sawtooth evens out."""
_SHORT_ROUND: Final = 1.02 / PARAMETERS.cut
"""How many times the best possible otherwise: the whole round may come right after a cut."""
_MANY_CALLS: Final = 100
_FEW_CALLS: Final = 10
"""Calls in a round, with fewer of which a single one that is throttled counts so much that nothing is promised."""
_FULL: Final = 99
"""The least number of ids per call, in per cent of what it is if all jobs are seen in as few calls as possible."""
_TOLERABLE: Final = {"5 s": 5.0, "1 min": 60.0, "10 min": 600.0, "1 h": 3600.0}

_WHEN: Final = """\
WHEN POLLING STOPS BEING THE RIGHT TOOL: when a job goes unseen for longer than you can wait, although all are checked
as often as the account allows, in calls a second. The longest that one of so many jobs goes unseen:"""
_HOW_MANY: Final = """\
And the most jobs with which none goes unseen for longer than that: 100 x calls/s x seconds, divided by"""
INSTEAD: Final = """\
Beyond that no backoff helps. Let EventBridge send its "Batch Job State Change" events to an SQS queue of yours."""
"""What to use in place of polling."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A backoff, and how it is called.

    Attributes:
        name: What it is called.
        interval: Seconds within which it wants each job to be seen again.
        checks: How often each job was checked before.
        spread: Seconds by which the longest pause is above the mean.
    """

    name: str
    interval: float
    checks: int = 0
    spread: float = 0.0

    def backoff(self, random: Random) -> Backoff:
        """The backoff itself."""
        return ExponentialBackoff(random=random) if self.checks else FixedInterval(self.interval)

    def least(self, jobs: int, rate: float) -> float:
        """The longest that a job goes unseen at best, in seconds, if the interval does not matter."""
        return least_unseen(jobs, rate) + self.spread

    def is_beyond(self, jobs: int, rate: float) -> bool:
        """Whether so many calls a second are too few to keep the interval, so that they decide instead of it."""
        return self.least(jobs, rate) >= self.interval


DEFAULT: Final = Schedule("default", DEFAULT_MAX_INTERVAL, _TRIED, spread=DEFAULT_MAX_INTERVAL / 3)
"""At its end, when jobs have been waited for for hours."""
FIXED: Final = tuple(Schedule(f"FixedInterval({seconds:g})", seconds) for seconds in (60.0, 5.0, 1.0))

_Plan: TypeAlias = "Sequence[tuple[int, Sequence[float], Sequence[Schedule]]]"
"""Numbers of jobs, the limits that they are behind, and the backoffs."""
_ALL: Final = (DEFAULT, *FIXED)
_PLAN: Final[_Plan] = (
    (1_000, RATES, _ALL),
    (10_000, RATES, _ALL),
    (100_000, RATES, _ALL),
    # The default takes half an hour of virtual time to show what it does, which is what it does with fewer jobs.
    (1_000_000, (10.0, 50.0), FIXED),
)
_QUICK_PLAN: Final[_Plan] = ((1_000, RATES, _ALL), (10_000, (5.0,), _ALL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What became of one number of jobs, one limit and one backoff.

    Attributes:
        jobs: How many.
        rate: Calls a second that the account lets through.
        backoff: The name of the backoff.
        limit_decides: Whether the limit decides how often a job is seen, and not the backoff.
        best: The longest that a job goes unseen at best, in seconds: the backoff's interval, or what the limit needs.
        first_round: Seconds until each job was seen once.
        seconds: How long it was measured after that.
        calls: Calls that were answered meanwhile.
        throttled: Calls that were throttled meanwhile.
        call_fill: How full answered calls were: the mean share of the 100 ids that a call can carry.
        unseen_p50: Seconds between two checks of a job: the median of all.
        unseen_p99: The same: what one in a hundred exceeds.
        unseen_max: The longest, the time from the last check to the end included.
    """

    jobs: int
    rate: float
    backoff: str
    limit_decides: bool
    best: float
    first_round: float
    seconds: float
    calls: int
    throttled: int
    call_fill: float
    unseen_p50: float
    unseen_p99: float
    unseen_max: float

    @property
    def excess(self) -> float:
        """The longest time unseen, in multiples of the best."""
        return self.unseen_max / self.best

    def figures(self) -> Iterator[Figure]:
        """What has targets."""
        title = f"{self.jobs:,} jobs, {self.rate:g} calls/s, {self.backoff}"
        if not self.limit_decides:
            yield Figure(name=title, value=self.excess, unit="x the interval unseen", at_most=_KEPT)
        elif self._is_round_long:
            yield Figure(name=title, value=self.excess, unit="x the best, long rounds", at_most=_LONG_ROUND)
        elif self.jobs >= _FEW_CALLS * MAX_IDS_PER_CALL:
            yield Figure(name=title, value=self.excess, unit="x the best, short rounds", at_most=_SHORT_ROUND)
        possible = self.jobs / math.ceil(self.jobs / MAX_IDS_PER_CALL) / MAX_IDS_PER_CALL
        full = 100 * self.call_fill / possible
        yield Figure(name=title, value=full, unit="% of the ids that calls can carry", at_least=_FULL)

    @property
    def _is_round_long(self) -> bool:
        """Whether a round has many calls, so that one that is throttled hardly counts, and makes good for a cut."""
        # The rate's square grows by 2 * increase a second, and by more once the rate is calm.
        tooth = (1 - PARAMETERS.cut**2) * self.rate**2 / (2 * PARAMETERS.increase)
        return self.jobs >= _MANY_CALLS * MAX_IDS_PER_CALL and self.best >= tooth


def measure(
    progress: Progress,
    *,
    quick: bool,
    jobs: Sequence[int] = (),
    rates: Sequence[float] = (),
) -> Result:
    """Run all scenarios.

    Args:
        progress: Where to say what runs.
        quick: Few jobs, unless they are given.
        jobs: Numbers of jobs, in place of those that are planned.
        rates: Calls a second that the account lets through, in place of those that are planned.
    """
    planned = _QUICK_PLAN if quick else _PLAN
    if jobs:
        planned = [(count, RATES, _ALL) for count in jobs]
    plan = [
        (count, rate, schedule)
        for count, planned_rates, schedules in planned
        for rate in rates or planned_rates
        for schedule in distinct(schedules, count, rate)
    ]
    scenarios = []
    for number, (count, rate, schedule) in enumerate(plan, start=1):
        title = f"jobs, scenario {number} of {len(plan)}: {count:,} jobs, {rate:g} calls/s, {schedule.name}"
        with no_collection():
            scenarios.append(simulate(count, rate, schedule, progress, title))
    return Result(
        name="simulate_jobs",
        about="time that a job goes unseen, in virtual time",
        extra=[_table(scenarios), *outcome(scenarios)],
        figures=worst_figures(scenarios),
        quick=quick,
        details={"scenarios": [asdict(scenario) for scenario in scenarios]},
    )


def least_unseen(jobs: int, rate: float) -> float:
    """The least seconds between two checks of each job that so many calls a second make possible."""
    return max(1.0, jobs / MAX_IDS_PER_CALL) / rate


def distinct(schedules: Sequence[Schedule], jobs: int, rate: float) -> Iterator[Schedule]:
    """The backoffs that differ: the default, the fixed intervals that can be kept, and the longest that cannot."""
    for schedule in schedules:
        yield schedule
        if schedule is not DEFAULT and schedule.is_beyond(jobs, rate):
            return


def simulate(jobs: int, rate: float, schedule: Schedule, progress: Progress, title: str) -> Scenario:
    """Run one scenario."""
    progress.write_log(title)
    random = Random(1)
    # As `wait_for_job` draws it.
    herd = Herd(
        jobs,
        schedule.backoff(random),
        first=lambda: Window(1, random.uniform(1, 10)),
        checks=schedule.checks,
    )
    account = Account(random, rate=rate)
    sender = account.join(herd)
    best = max(schedule.interval, schedule.least(jobs, rate))
    step = max(1.0, best / 50)
    now = 0.0

    def run(until: float, part: str) -> None:
        nonlocal now
        while now < until:
            now = min(until, now + step)
            account.run(now)
            progress.write_log(f"{title}: {part}, {now:,.0f} s of virtual time")

    while math.isinf(herd.first_round):
        run(now + step, "first round")
    run(max(now, _WARM_UP), "first round")
    herd.forget()
    begin, throttled = now, len(sender.throttled)
    run(begin + max(_LEAST_SPAN, _ROUNDS * best), "after it")
    unseen = sorted(herd.unseen)
    return Scenario(
        jobs=jobs,
        rate=rate,
        backoff=schedule.name,
        limit_decides=schedule.is_beyond(jobs, rate),
        best=best,
        first_round=herd.first_round,
        seconds=now - begin,
        calls=herd.calls,
        throttled=len(sender.throttled) - throttled,
        call_fill=herd.ids / herd.calls / MAX_IDS_PER_CALL,
        unseen_p50=unseen[len(unseen) // 2],
        unseen_p99=unseen[len(unseen) * 99 // 100],
        unseen_max=herd.longest_unseen(now),
    )


def soonest(scenarios: Sequence[Scenario]) -> dict[float, dict[int, float]]:
    """Limit to number of jobs to the longest that a job went unseen, in seconds, with the backoff that was best."""
    found: dict[float, dict[int, float]] = {}
    for scenario in sorted(scenarios, key=lambda scenario: (scenario.rate, scenario.jobs)):
        by_jobs = found.setdefault(scenario.rate, {})
        by_jobs[scenario.jobs] = min(scenario.unseen_max, by_jobs.get(scenario.jobs, math.inf))
    return found


def longest(scenarios: Sequence[Scenario]) -> list[tuple[str, ...]]:
    """A table with a head: for how long one of so many jobs goes unseen, checked as often as the limit allows."""
    found = soonest(scenarios)
    rows = [_head("jobs", found)]
    for jobs in sorted({scenario.jobs for scenario in scenarios}):
        cells = (
            # What was not run cannot be better than this.
            _seconds(by_jobs[jobs]) if jobs in by_jobs else f"> {_seconds(least_unseen(jobs, rate))}"
            for rate, by_jobs in found.items()
        )
        rows.append((f"{jobs:,}", *cells))
    return rows


def most(scenarios: Sequence[Scenario]) -> list[tuple[str, ...]]:
    """A table with a head: with how many jobs none goes unseen for longer than that."""
    rates = soonest(scenarios)
    rows = [_head("unseen for", rates)]
    for name, seconds in _TOLERABLE.items():
        cells = (
            f"{rounded(MAX_IDS_PER_CALL * rate * seconds / worst_multiple(scenarios)):,}" for rate in rates
        )
        rows.append((name, *cells))
    return rows


def worst_multiple(scenarios: Sequence[Scenario]) -> float:
    """How many times the least possible a job went unseen at worst, when checked as often as the limit allows."""
    return max(
        [
            scenario.excess
            for scenario in scenarios
            if scenario.limit_decides
            and scenario.backoff != DEFAULT.name
            and scenario.jobs >= _FEW_CALLS * MAX_IDS_PER_CALL
        ],
        default=_SHORT_ROUND,
    )


def outcome(scenarios: Sequence[Scenario]) -> list[str]:
    """When polling stops being the right tool, from both sides: how long for so many jobs, how many for so long."""
    (longest_head, *longest_rows), (most_head, *most_rows) = longest(scenarios), most(scenarios)
    return [
        _WHEN,
        table(longest_head, longest_rows),
        f"{_HOW_MANY} {worst_multiple(scenarios):.2f}, the worst multiple of the least possible in this run.",
        table(most_head, most_rows),
        INSTEAD,
    ]


def _head(title: str, rates: Iterable[float]) -> tuple[str, ...]:
    return (title, *(f"{rate:g} call/s" if rate == 1 else f"{rate:g} calls/s" for rate in rates))


def rounded(jobs: float) -> int:
    """Down to two digits, since more would be pretence."""
    unit = 10 ** max(0, math.floor(math.log10(jobs)) - 1)
    return int(jobs // unit * unit)


def worst_figures(scenarios: Sequence[Scenario]) -> list[Figure]:
    """Of the figures of one kind, the one that is nearest to missing its target, or misses it most."""
    worst: dict[str, Figure] = {}
    for scenario in scenarios:
        for figure in scenario.figures():
            sign = 1 if figure.at_least is None else -1
            known = worst.setdefault(figure.unit, figure)
            if sign * figure.value > sign * known.value:
                worst[figure.unit] = figure
    return list(worst.values())


def _table(scenarios: Sequence[Scenario]) -> str:
    head = (
        *("jobs", "calls/s allowed", "backoff", "all seen after", "calls/s", "throttled", "call fill"),
        *("unseen: median", "p99", "longest", "at best", "who decides"),
    )
    return table(head, [_row(scenario) for scenario in scenarios])


def _row(scenario: Scenario) -> tuple[str, ...]:
    or_shorter = scenario.limit_decides and scenario.backoff not in {DEFAULT.name, FIXED[-1].name}
    return (
        f"{scenario.jobs:,}",
        f"{scenario.rate:g}",
        scenario.backoff + (" or shorter" if or_shorter else ""),
        _seconds(scenario.first_round),
        f"{scenario.calls / scenario.seconds:.2f}",
        f"{100 * scenario.throttled / (scenario.calls + scenario.throttled):.1f} %",
        f"{100 * scenario.call_fill:.1f} %",
        *map(_seconds, (scenario.unseen_p50, scenario.unseen_p99, scenario.unseen_max, scenario.best)),
        "the limit" if scenario.limit_decides else "the backoff",
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"  # noqa: PLR2004
