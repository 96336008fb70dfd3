"""The throttle under limits that it does not know: what is promised, over many seeds.

Six scenarios: a limit that has to be found, from far below the client's own and for operations of which it expects
less; one that stays; one that falls from 20 calls a second to 5 and returns; four clients that share an account without
knowing of each other, alone and beside a neighbour without restraint; two and four that share one or five calls a
second; and 10,000 jobs behind a limit of one call a second. Each is run with calls of some milliseconds, which have
targets, and with slow ones.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from awaitbatch._core.backoff import FixedInterval, Window
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from benchmarks.report import Figure, Result, table
from benchmarks.simulate.account import FAR, NEAR, PARAMETERS, Account, Endless, Sender
from benchmarks.simulate.herd import Herd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awaitbatch._core.throttle import ThrottleParameters
    from benchmarks.simulate.progress import Progress

_SEEDS: Final = 20
RATE: Final = 20.0
LOW_RATE: Final = 5.0
PHASE: Final = 120.0
"""Seconds between two changes of the limit, and that four clients share it."""
TIMELINE_STEP: Final = 2.0
"""Seconds for which calls are counted together where their timeline is shown."""
_CHANGES: Final = ((PHASE, LOW_RATE), (2 * PHASE, RATE))
_HIGH_CLIENT_LIMIT: Final = 200.0
_UNKNOWN_RATES: Final = {5.0: 20.0, 20.0: 25.0, 50.0: 14.0}
"""Limits that are far below the client's own, and the calls that may be throttled until they are found and used.

These are what a cut of a fifth for each congestion took, in the mean, when nothing else led out of fast growth.
"""
_FOUND: Final = 10.0
_AT_ONCE: Final = 22.0
_A_MINUTE: Final = 60.0
_ENOUGH_FOUND: Final = 0.92
_OTHER_OPERATIONS: Final = ((50.0, 50.0), (20.0, 20.0), (20.0, 50.0))
"""Limits of operations that change something, and the client's own."""
_FIRST_SECONDS: Final = 5.0
_TOLERATED_CHANGES: Final = 0.02
_STEADY_RATES: Final = (0.3, 1.0, 2.0, 5.0, 20.0, 50.0)
_WARM_UP: Final = 60.0
STEADY_MINUTES: Final = 5.0
"""Minutes under a limit that stays, after those in which the rate is found: several teeth of its sawtooth."""
_RECOVERY: Final = 60.0
"""Seconds after a change of the limit after which all must be well for the rest of the phase."""
_WINDOWS: Final = {LOW_RATE: 20.0, RATE: 10.0}
"""Seconds over which a return is noticed: at 5 calls/s, 10 s would be 50 calls, one throttled among them 2 %."""
_TOLERATED: Final = {LOW_RATE: 0.03, RATE: 0.01}
_ENOUGH: Final = 0.9
_BEGINS: Final = (0.0, 10.0, 20.0, 30.0)
"""When each of four clients starts."""
_NAIVE: Final = 600.0
_LOW_LIMITS: Final = ((2, 1.0, 120.0), (4, 1.0, 60.0), (2, 5.0, 10.0), (4, 5.0, 10.0))
"""Clients behind a low limit, the limit, and the longest that one of them may go without an answer, in seconds."""
_LOW_CLIENT_LIMIT: Final = 10.0
_LOW_SEEDS: Final = 3
"""In multiples of those of other scenarios: with few calls chance has a larger part."""
_LOW_WARM_UP: Final = 60.0
"""Seconds from the start of the last client on."""
_LOW: Final = 300.0
_TRIGGERERS: Final = (650, 350)
"""Jobs of two clients behind one call a second, each to be checked every five seconds."""
_TRIGGERERS_INTERVAL: Final = 5.0
_LONGEST_UNSEEN: Final = 6.0
_HERD: Final = 10_000
_HERD_RATE: Final = 1.0
_HERD_SECONDS: Final = 700.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One number, of all seeds.

    Attributes:
        scenario: The scenario.
        name: What was measured.
        unit: What it counts.
        mean: The mean of the seeds.
        worst: The worst seed.
        at_least: The target, if it is a lower bound.
        at_most: The target, if it is an upper bound.
    """

    scenario: str
    name: str
    unit: str
    mean: float
    worst: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def figure(self) -> Figure:
        """The number that has the target."""
        return Figure(
            name=f"{self.scenario}: {self.name}, worst seed",
            value=self.worst,
            unit=self.unit,
            at_least=self.at_least,
            at_most=self.at_most,
        )


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what all scenarios are run.

    Attributes:
        seeds: How many runs.
        one_way: Least and most seconds that a call travels, and its answer.
        parameters: Those of the throttles.
        minutes: For how long a limit stays, in the scenario in which it does.
    """

    seeds: int
    one_way: tuple[float, float]
    parameters: ThrottleParameters = PARAMETERS
    minutes: float = STEADY_MINUTES

    def account(self, seed: int, **account: Any) -> Account:  # noqa: ANN401
        """What the clients share, with one of the seeds."""
        return Account(Random(seed), one_way=self.one_way, parameters=self.parameters, **account)

    def runs(
        self,
        until: float,
        *,
        begins: Sequence[float] = (0.0,),
        **account: Any,  # noqa: ANN401
    ) -> list[list[Sender]]:
        """The clients of each seed, when they have sent whatever the throttle let them until a moment."""
        accounts = [self.account(seed, **account) for seed in range(self.seeds)]
        for one in accounts:
            for begin in begins:
                one.join(Endless(), begin)
            one.run(until)
        return [one.senders for one in accounts]


_Scenario: TypeAlias = "Callable[[Conditions], Iterator[Measure]]"


def measure(
    progress: Progress, *, quick: bool, seeds: int | None = None, minutes: float = STEADY_MINUTES
) -> Result:
    """Run all scenarios.

    Args:
        progress: Where to say what runs.
        quick: Two seeds, and calls of some milliseconds only.
        seeds: Runs of each scenario.
        minutes: For how long a limit stays, in the scenario in which it does.
    """
    seeds = _SEEDS if seeds is None else seeds
    seeds = min(seeds, 2) if quick else seeds
    conditions = Conditions(seeds, NEAR, minutes=minutes)
    near = list(_measures(conditions, progress))
    far = [] if quick else list(_measures(replace(conditions, one_way=FAR), progress))
    return Result(
        name="simulate_throttle",
        about=f"AdaptiveThrottle in virtual time, {seeds} seeds",
        extra=[_table(near, far)],
        figures=[found.figure for found in near if (found.at_least, found.at_most) != (None, None)],
        quick=quick,
        details={
            "in_force": asdict(conditions.parameters),
            "seeds": seeds,
            "one_way_seconds": {"near": NEAR, "far": FAR},
            "near": [asdict(found) for found in near],
            "far": [asdict(found) for found in far],
            "timeline": timeline(),
        },
    )


def _measures(conditions: Conditions, progress: Progress) -> Iterator[Measure]:
    scenarios: dict[str, _Scenario] = {
        "a limit that is found": found_at_once,
        "a limit that stays": _steady,
        "a limit that changes": changing,
        "four clients": _shared,
        "four clients and a neighbour": _beside_a_naive_neighbour,
        "clients behind a low limit": behind_a_low_limit,
        "two triggerers": _two_triggerers,
        "many jobs": _herd,
    }
    for title, scenario in scenarios.items():
        progress.write_log(f"throttle, {title}")
        yield from scenario(conditions)


def found_at_once(conditions: Conditions) -> Iterator[Measure]:
    """The client may send far more than the limit, or as much, and knows nothing of it."""
    for rate, tolerated in _UNKNOWN_RATES.items():
        scenario = f"{rate:g} of {_HIGH_CLIENT_LIMIT:g} calls/s"
        runs = conditions.runs(_A_MINUTE, rate=rate, client_limit=_HIGH_CLIENT_LIMIT)
        for end in (_AT_ONCE, _A_MINUTE):
            used = [100 * shares(senders, _FOUND, end, rate)[1] for senders in runs]
            yield _least(scenario, f"used from 10 to {end:g} s", "%", used, at_least=100 * _ENOUGH_FOUND)
        throttled = [sum(len(sender.throttled) for sender in senders) for senders in runs]
        yield _most(scenario, "throttled in a minute", "calls", throttled, at_most=tolerated)
    for rate, client_limit in _OTHER_OPERATIONS:
        runs = conditions.runs(_A_MINUTE, rate=rate, client_limit=client_limit)
        found = [shares(senders, _FIRST_SECONDS, _A_MINUTE, rate) for senders in runs]
        scenario = f"{rate:g} of {client_limit:g} calls/s, after 5 s"
        yield from _throttled_and_used(scenario, found, _TOLERATED_CHANGES, _ENOUGH)


def _steady(conditions: Conditions) -> Iterator[Measure]:
    end = _WARM_UP + 60 * conditions.minutes
    for rate in _STEADY_RATES:
        runs = conditions.runs(end, rate=rate)
        found = [shares(senders, _WARM_UP, end, rate) for senders in runs]
        tolerated = _TOLERATED.get(rate)
        yield from _throttled_and_used(f"{rate:g} calls/s", found, tolerated, _ENOUGH if tolerated else None)


def changing(conditions: Conditions) -> Iterator[Measure]:
    """The limit falls from 20 calls/s to 5 and returns."""
    runs = conditions.runs(3 * PHASE, rate=RATE, changes=_CHANGES)
    for begin, rate in _CHANGES:
        scenario = f"fall to {rate:g}" if rate == LOW_RATE else f"return to {rate:g}"
        later = [shares(senders, begin + _RECOVERY, begin + PHASE, rate) for senders in runs]
        back = [_back_after(senders, begin, rate) for senders in runs]
        yield from _throttled_and_used(f"{scenario}, 60 s later", later, _TOLERATED[rate], _ENOUGH)
        yield _most(scenario, "well again after", "s", back, at_most=_RECOVERY)


def _back_after(senders: Sequence[Sender], begin: float, rate: float) -> float:
    """Seconds from a change until a window begins in which all is well; the whole phase if none does."""
    later, width = 0.0, _WINDOWS[rate]
    while later < PHASE - width:
        throttled, used = shares(senders, begin + later, begin + later + width, rate)
        if throttled <= _TOLERATED[rate] and used >= _ENOUGH:
            return later
        later += 0.5
    return PHASE


def timeline() -> dict[str, Any]:
    """What one seed did while the limit fell and returned, step by step, to be drawn."""
    [[sender]] = Conditions(1, NEAR).runs(3 * PHASE, rate=RATE, changes=_CHANGES)
    begins = [step * TIMELINE_STEP for step in range(round(3 * PHASE / TIMELINE_STEP))]
    return {
        "step_seconds": TIMELINE_STEP,
        "limits": [(0.0, RATE), *_CHANGES],
        "answered": [count(sender.answered, begin, begin + TIMELINE_STEP) for begin in begins],
        "throttled": [count(sender.throttled, begin, begin + TIMELINE_STEP) for begin in begins],
    }


def _shared(conditions: Conditions) -> Iterator[Measure]:
    begin, scenario = PHASE - 60, "four clients at 20"
    runs = conditions.runs(PHASE, rate=RATE, begins=_BEGINS)
    found = [shares(senders, begin, PHASE, RATE) for senders in runs]
    yield _least(scenario, "Jain's index", "(1 is equal)", equality(runs, begin, PHASE), at_least=0.95)
    yield from _throttled_and_used(scenario, found, 0.03, _ENOUGH)


def equality(runs: Sequence[Sequence[Sender]], begin: float, end: float) -> list[float]:
    """Jain's index of the calls that were answered to each client in a span of time, seed by seed."""
    return [jain([count(sender.answered, begin, end) for sender in senders]) for senders in runs]


def _beside_a_naive_neighbour(conditions: Conditions) -> Iterator[Measure]:
    runs = conditions.runs(_NAIVE, rate=RATE, begins=_BEGINS, naive=True)
    answered = [min(len(sender.answered) for sender in senders) for senders in runs]
    yield _least("and a naive neighbour", "answered to the least in 10 min", "calls", answered, at_least=1)


def behind_a_low_limit(conditions: Conditions) -> Iterator[Measure]:
    """The bucket holds no more than some calls, and none if somebody else has just taken the last one."""
    conditions = replace(conditions, seeds=conditions.seeds * _LOW_SEEDS)
    for clients, rate, tolerated in _LOW_LIMITS:
        for apart, begins in (("at once", [0.0] * clients), ("10 s apart", _BEGINS[:clients])):
            begin = begins[-1] + _LOW_WARM_UP
            end = begin + _LOW
            runs = conditions.runs(end, rate=rate, client_limit=_LOW_CLIENT_LIMIT, begins=begins)
            scenario = f"{clients} clients at {rate:g}, begun {apart}"
            yield _least(scenario, "Jain's index", "(1 is equal)", equality(runs, begin, end), at_least=None)
            longest = [max(_longest_silence(one, begin, end) for one in senders) for senders in runs]
            yield _most(scenario, "longest without an answer", "s", longest, at_most=tolerated)
            found = [shares(senders, begin, end, rate) for senders in runs]
            yield from _throttled_and_used(scenario, found, None, None)


def _longest_silence(sender: Sender, begin: float, end: float) -> float:
    moments = [begin, *(moment for moment in sender.answered if begin <= moment < end), end]
    return max(after - before for before, after in pairwise(moments))


def _two_triggerers(conditions: Conditions) -> Iterator[Measure]:
    end = _LOW_WARM_UP + _LOW
    longest = []
    for seed in range(conditions.seeds * _LOW_SEEDS):
        account = conditions.account(seed, rate=_HERD_RATE, client_limit=_LOW_CLIENT_LIMIT)
        herds = [
            Herd(jobs, FixedInterval(_TRIGGERERS_INTERVAL), first=lambda: Window(0, 0))
            for jobs in _TRIGGERERS
        ]
        for herd in herds:
            account.join(herd)
        account.run(_LOW_WARM_UP)
        for herd in herds:
            herd.forget()
        account.run(end)
        best = sum(_TRIGGERERS) / MAX_IDS_PER_CALL / _HERD_RATE
        longest.append(max(herd.longest_unseen(end) for herd in herds) / best)
    yield _most(
        "650 and 350 jobs at 1", "longest unseen", "x the least possible", longest, at_most=_LONGEST_UNSEEN
    )


def _herd(conditions: Conditions) -> Iterator[Measure]:
    longest = []
    for seed in range(conditions.seeds):
        herd = Herd(_HERD, FixedInterval(1), first=lambda: Window(0, 0))
        account = conditions.account(seed, rate=_HERD_RATE)
        account.join(herd)
        account.run(_HERD_SECONDS)
        longest.append(herd.longest_unseen(_HERD_SECONDS) / (_HERD / MAX_IDS_PER_CALL / _HERD_RATE))
    yield _most("10,000 jobs at 1", "longest unseen", "x the least possible", longest, at_most=1.2)


def _throttled_and_used(
    scenario: str, found: Sequence[tuple[float, float]], throttled: float | None, used: float | None
) -> Iterator[Measure]:
    shares_throttled, shares_used = ([100 * share for share in part] for part in zip(*found, strict=True))
    at_most = None if throttled is None else 100 * throttled
    at_least = None if used is None else 100 * used
    yield _most(scenario, "throttled", "% of calls", shares_throttled, at_most=at_most)
    yield _least(scenario, "limit used", "%", shares_used, at_least=at_least)


def _most(scenario: str, name: str, unit: str, values: Sequence[float], *, at_most: float | None) -> Measure:
    """A number of which less is better."""
    return Measure(scenario, name, unit, statistics.mean(values), max(values), at_most=at_most)


def _least(
    scenario: str, name: str, unit: str, values: Sequence[float], *, at_least: float | None
) -> Measure:
    """A number of which more is better."""
    return Measure(scenario, name, unit, statistics.mean(values), min(values), at_least=at_least)


def count(moments: Sequence[float], begin: float, end: float) -> int:
    """How many moments, in ascending order, lie in a span of time."""
    return bisect_left(moments, end) - bisect_left(moments, begin)


def shares(senders: Sequence[Sender], begin: float, end: float, rate: float) -> tuple[float, float]:
    """The share of calls that were throttled in a span of time, and of the limit that was used."""
    throttled = sum(count(sender.throttled, begin, end) for sender in senders)
    answered = sum(count(sender.answered, begin, end) for sender in senders)
    return throttled / max(1, throttled + answered), answered / (rate * (end - begin))


def jain(parts: Sequence[float]) -> float:
    """Jain's index: 1.0 for equal parts, 1/n if one has all."""
    return sum(parts) ** 2 / (len(parts) * sum(part**2 for part in parts))


def _table(near: Sequence[Measure], far: Sequence[Measure]) -> str:
    head: tuple[str, ...] = ("scenario and figure", "mean", "worst")
    rows: list[tuple[str, ...]] = [(f"{found.scenario}: {found.name}", *_cells(found)) for found in near]
    if far:
        head = (*head, "slow: mean", "worst")
        rows = [(*row, *_cells(slow)) for row, slow in zip(rows, far, strict=True)]
    return table((*head, ""), [(*row, found.unit) for row, found in zip(rows, near, strict=True)])


def _cells(found: Measure) -> tuple[str, str]:
    return f"{found.mean:.4g}", f"{found.worst:.4g}"
