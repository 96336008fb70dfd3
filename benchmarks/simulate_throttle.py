"""The throttle under limits that it is not told, in virtual time: what is promised, over many seeds.

Four scenes: a limit that stays; one that falls from 20 calls a second to 5 and returns; four clients that share an
account without knowing of each other, alone and beside a neighbour that knows no restraint; and 10,000 jobs behind a
limit of one call a second. Each is run with calls of some milliseconds, which have targets, and with slow ones.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core import throttle
from benchmarks.report import Figure, Result, table
from benchmarks.simulation.account import FAR, NEAR, Account, Sender, count, jain, shares
from benchmarks.simulation.herd import Herd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATE: Final = 20.0
LOW_RATE: Final = 5.0
_STEADY_RATES: Final = (1.0, 2.0, 5.0, 20.0, 50.0)
_FORMING: Final = 60.0
_STEADY: Final = 300.0
"""Seconds under a limit that stays, after those in which the rate is found: several teeth of the saw that it draws."""
_PHASE: Final = 120.0
"""Seconds between two changes of the limit, and that four clients share it."""
_RECOVERY: Final = 60.0
"""Seconds after a change of the limit after which all must be well for the rest of the phase."""
_WINDOWS: Final = {LOW_RATE: 20.0, RATE: 10.0}
"""Seconds over which a return is noticed: at 5 calls/s, 10 s would be 50 calls, one throttled among them 2 %."""
_TOLERATED: Final = {LOW_RATE: 0.03, RATE: 0.01}
_ENOUGH: Final = 0.9
_BEGINS: Final = (0.0, 10.0, 20.0, 30.0)
"""When each of four clients starts."""
_NAIVE: Final = 600.0
_HERD: Final = 10_000
_HERD_SECONDS: Final = 700.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One number, of all seeds.

    Attributes:
        scene: The scene.
        name: What was measured.
        unit: What it counts.
        mean: The mean of the seeds.
        worst: The worst seed.
        at_least: The target, if it is a lower bound.
        at_most: The target, if it is an upper bound.
        of_mean: Whether the target is one of the mean and not of every seed.
    """

    scene: str
    name: str
    unit: str
    mean: float
    worst: float
    at_least: float | None = None
    at_most: float | None = None
    of_mean: bool = False

    def figure(self) -> Figure:
        """The number that has the target."""
        return Figure(
            name=f"{self.scene}: {self.name}, {'mean' if self.of_mean else 'worst seed'}",
            value=self.mean if self.of_mean else self.worst,
            unit=self.unit,
            at_least=self.at_least,
            at_most=self.at_most,
        )


def measure(*, quick: bool, seeds: int = 20) -> Result:
    """Run all scenes.

    Args:
        quick: Two seeds, and calls of some milliseconds only.
        seeds: Runs of each scene.
    """
    seeds = min(seeds, 2) if quick else seeds
    near = list(_scenes(seeds, NEAR))
    far = [] if quick else list(_scenes(seeds, FAR))
    titles = {"near": near, "far": far}
    return Result(
        name="throttle_simulation",
        about=f"AdaptiveThrottle in virtual time, {seeds} seeds",
        extra=[_table(near, far)],
        figures=[found.figure() for found in near if (found.at_least, found.at_most) != (None, None)],
        quick=quick,
        details={
            "in_force": _constants(),
            "seeds": seeds,
            "one_way_seconds": {"near": NEAR, "far": FAR},
            **{title: [asdict(found) for found in measures] for title, measures in titles.items()},
        },
    )


def _scenes(seeds: int, one_way: tuple[float, float]) -> list[Measure]:
    return [
        *(found for rate in _STEADY_RATES for found in _steady(rate, seeds, one_way)),
        *_changing(seeds, one_way),
        *_shared(seeds, one_way),
        *_beside_a_naive_neighbour(seeds, one_way),
        *_herd(seeds, one_way),
    ]


def _steady(rate: float, seeds: int, one_way: tuple[float, float]) -> list[Measure]:
    end = _FORMING + _STEADY
    runs = [Account(Random(seed), rate=rate, one_way=one_way).run(end) for seed in range(seeds)]
    found = [shares(senders, _FORMING, end, rate) for senders in runs]
    tolerated = _TOLERATED.get(rate)
    return _throttled_and_used(f"{rate:g} calls/s", found, tolerated, _ENOUGH if tolerated else None)


def _changing(seeds: int, one_way: tuple[float, float]) -> list[Measure]:
    changes = [(_PHASE, LOW_RATE), (2 * _PHASE, RATE)]
    runs = [
        Account(Random(seed), rate=RATE, one_way=one_way, changes=changes).run(3 * _PHASE)
        for seed in range(seeds)
    ]
    measures: list[Measure] = []
    for begin, rate in changes:
        scene = f"fall to {rate:g}" if rate == LOW_RATE else f"return to {rate:g}"
        later = [shares(senders, begin + _RECOVERY, begin + _PHASE, rate) for senders in runs]
        back = [_back_after(senders, begin, rate) for senders in runs]
        measures += _throttled_and_used(f"{scene}, 60 s later", later, _TOLERATED[rate], _ENOUGH)
        measures.append(_worst_of(scene, "well again after", "s", back, max, at_most=_RECOVERY))
    return measures


def _back_after(senders: Sequence[Sender], begin: float, rate: float) -> float:
    """Seconds from a change until a window begins in which all is well; the whole phase if none does."""
    later, width = 0.0, _WINDOWS[rate]
    while later < _PHASE - width:
        throttled, used = shares(senders, begin + later, begin + later + width, rate)
        if throttled <= _TOLERATED[rate] and used >= _ENOUGH:
            return later
        later += 0.5
    return _PHASE


def _shared(seeds: int, one_way: tuple[float, float]) -> list[Measure]:
    begin, scene = _PHASE - 60, "four clients at 20"
    runs = [
        Account(Random(seed), rate=RATE, begins=_BEGINS, one_way=one_way).run(_PHASE) for seed in range(seeds)
    ]
    equality = [jain([count(sender.answered, begin, _PHASE) for sender in senders]) for senders in runs]
    found = [shares(senders, begin, _PHASE, RATE) for senders in runs]
    return [
        _worst_of(scene, "Jain's index", "(1 is equal)", equality, min, at_least=0.95, of_mean=True),
        *_throttled_and_used(scene, found, 0.03, _ENOUGH),
    ]


def _beside_a_naive_neighbour(seeds: int, one_way: tuple[float, float]) -> list[Measure]:
    runs = [
        Account(Random(seed), rate=RATE, begins=_BEGINS, one_way=one_way, naive=True).run(_NAIVE)
        for seed in range(seeds)
    ]
    least = [min(len(sender.answered) for sender in senders) for senders in runs]
    return [
        _worst_of("and a naive neighbour", "answered to the least in 10 min", "calls", least, min, at_least=1)
    ]


def _herd(seeds: int, one_way: tuple[float, float]) -> list[Measure]:
    longest = [
        Herd(Random(seed), jobs=_HERD, rate=1.0, one_way=one_way).run(_HERD_SECONDS) for seed in range(seeds)
    ]
    return [
        _worst_of("10,000 jobs at 1", "longest unseen", "x the least possible", longest, max, at_most=1.2)
    ]


def _throttled_and_used(
    scene: str, found: Sequence[tuple[float, float]], throttled: float | None, used: float | None
) -> list[Measure]:
    return [
        _worst_of(
            scene,
            "throttled",
            "% of calls",
            [100 * share for share, _ in found],
            max,
            at_most=None if throttled is None else 100 * throttled,
        ),
        _worst_of(
            scene,
            "limit used",
            "%",
            [100 * share for _, share in found],
            min,
            at_least=None if used is None else 100 * used,
        ),
    ]


def _worst_of(
    scene: str,
    name: str,
    unit: str,
    values: Sequence[float],
    worst: Callable[[Sequence[float]], float],
    **target: Any,  # noqa: ANN401
) -> Measure:
    return Measure(scene, name, unit, statistics.mean(values), worst(values), **target)


def _constants() -> dict[str, float]:
    return {name: value for name, value in vars(throttle).items() if isinstance(value, float | int)}


def _table(near: Sequence[Measure], far: Sequence[Measure]) -> str:
    head: tuple[str, ...] = ("scene and figure", "mean", "worst")
    rows: list[tuple[str, ...]] = [(f"{found.scene}: {found.name}", *_cells(found)) for found in near]
    if far:
        head = (*head, "slow: mean", "worst")
        rows = [(*row, *_cells(slow)) for row, slow in zip(rows, far, strict=True)]
    return table((*head, ""), [(*row, found.unit) for row, found in zip(rows, near, strict=True)])


def _cells(found: Measure) -> tuple[str, str]:
    return f"{found.mean:.4g}", f"{found.worst:.4g}"
