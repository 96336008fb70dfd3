"""`AdaptiveThrottle` against a token bucket without a network, a clock or a loop: minutes take milliseconds.

The core is pure, so the simulation drives the real one. There is always work, and up to eight calls of a client are
under way. Three scenes, each with many seeds: a steady limit; one that falls to a quarter and returns; and four
clients that share an account without knowing of each other.
"""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from awaitbatch._core import throttle
from awaitbatch._core.throttle import AdaptiveThrottle
from awaitbatch.testing import TokenBucket
from benchmarks.report import Figure, Result, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

RATE: Final = 20.0
LOW_RATE: Final = 5.0
INCREASES: Final = (0.15, 0.25, 0.4, 0.6)
CUTS: Final = (0.6, 0.7, 0.8, 0.85)
_PHASE: Final = 120.0
"""Seconds between two changes of the limit, and that four clients share it."""
_FORMING: Final = 10.0
_STEADY: Final = 300.0
"""Seconds under a steady limit: several of the teeth that the rate draws."""
_WINDOW: Final = 10.0
"""Seconds over which the share of throttled calls and the use of the limit are judged."""
_ENOUGH: Final = 0.9
_CLIENT_LIMIT: Final = 100.0
_IN_FLIGHT: Final = 8
_BEGINS: Final = (0.0, 10.0, 20.0, 30.0)
"""When each of four clients starts."""
_ONE_WAY: Final = (0.005, 0.02)
"""Least and most seconds that a call travels, and its answer."""
_LATENESS: Final = 0.002
"""Most seconds by which a timer is late."""


@dataclass(slots=True)
class Sender:
    """A client that always has something to ask.

    Attributes:
        begin: When it starts, in seconds.
        answered: The moments at which calls that the bucket let pass were sent.
        throttled: The same for the others.
    """

    begin: float
    throttle: AdaptiveThrottle = field(default_factory=lambda: AdaptiveThrottle(_CLIENT_LIMIT))
    in_flight: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    answered: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)


class Scene:
    """Clients and the bucket that they share, from event to event.

    Args:
        random: Where latencies and the lateness of timers come from.
        begins: When each of the clients starts, in seconds.
        changes: Moments, and the calls a second that the bucket gains from then on.
    """

    def __init__(
        self, random: Random, *, begins: Sequence[float], changes: Sequence[tuple[float, float]] = ()
    ) -> None:
        self.senders = [Sender(begin) for begin in begins]
        self._random = random
        self._bucket = TokenBucket(RATE)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        for moment, rate in changes:
            self._at(moment, partial(self._change, rate))
        for sender in self.senders:
            self._await_departure(sender, sender.begin)

    def run(self, until: float) -> list[Sender]:
        """Let the clients send until a moment, and return them."""
        while self._events and self._events[0][0] < until:
            now, _, event = heappop(self._events)
            event(now)
        return self.senders

    def _at(self, moment: float, event: Callable[[float], None]) -> None:
        heappush(self._events, (moment, next(self._order), event))

    def _change(self, rate: float, now: float) -> None:
        self._bucket.change(rate, now=now)

    def _await_departure(self, sender: Sender, now: float) -> None:
        moment = max(sender.throttle.ready_at, now)
        self._at(moment + self._random.uniform(0, _LATENESS), partial(self._send, sender))

    def _send(self, sender: Sender, now: float) -> None:
        if sender.throttle.ready_at > now:
            # The rate was cut meanwhile.
            self._await_departure(sender, now)
            return
        number = next(sender.numbers)
        # There is always work, so every call would have gone before.
        sender.throttle.sent(number, now, -math.inf)
        sender.in_flight += 1
        self._at(now + self._random.uniform(*_ONE_WAY), partial(self._arrive, sender, number))
        if sender.in_flight < _IN_FLIGHT:
            self._await_departure(sender, now)

    def _arrive(self, sender: Sender, number: int, now: float) -> None:
        passes = self._bucket.take(now)
        (sender.answered if passes else sender.throttled).append(now)
        self._at(now + self._random.uniform(*_ONE_WAY), partial(self._end, sender, number, passes))

    def _end(self, sender: Sender, number: int, passes: bool, now: float) -> None:  # noqa: FBT001
        if passes:
            sender.throttle.answered()
        else:
            sender.throttle.congested(number)
        sender.in_flight -= 1
        if sender.in_flight == _IN_FLIGHT - 1:
            self._await_departure(sender, now)


@dataclass(frozen=True, slots=True)
class Scores:
    """What one choice of constants does; shares are means over the seeds, moments are medians, in seconds.

    Attributes:
        throttled: Share of calls throttled under a steady limit, after the first ten seconds.
        worst_throttled: The same, of the worst seed.
        used: Share of the limit that was used in that time.
        worst_used: The same, of the worst seed.
        down_1: From a fall of the limit to a quarter until at most 1 % are throttled and 90 % are used, over 10 s.
        down_3: The same with 3 %.
        up_1: From the limit's return until the same holds with 1 %.
        up_3: The same with 3 %.
        low_throttled: Share of calls throttled while the limit is low, after the first ten seconds.
        jain: Jain's index of the calls answered to four clients in the last minute of two; 1.0 is an equal share.
        shared_throttled: Share of all their calls that were throttled in that minute.
        shared_used: Share of the limit that they used together.
    """

    throttled: float
    worst_throttled: float
    used: float
    worst_used: float
    down_1: float
    down_3: float
    up_1: float
    up_3: float
    low_throttled: float
    jain: float
    shared_throttled: float
    shared_used: float


def score(seeds: int) -> Scores:
    """Run all scenes with the constants that are in force."""
    steady = [_steady(Random(seed)) for seed in range(seeds)]
    changing = [_changing(Random(seed)) for seed in range(seeds)]
    shared = [_shared(Random(seed)) for seed in range(seeds)]

    def of(scenes: Sequence[Mapping[str, float]], name: str) -> list[float]:
        return [scene[name] for scene in scenes]

    return Scores(
        throttled=statistics.mean(of(steady, "throttled")),
        worst_throttled=max(of(steady, "throttled")),
        used=statistics.mean(of(steady, "used")),
        worst_used=min(of(steady, "used")),
        down_1=statistics.median(of(changing, "down_1")),
        down_3=statistics.median(of(changing, "down_3")),
        low_throttled=statistics.mean(of(changing, "throttled")),
        up_1=statistics.median(of(changing, "up_1")),
        up_3=statistics.median(of(changing, "up_3")),
        jain=statistics.mean(of(shared, "jain")),
        shared_throttled=statistics.mean(of(shared, "throttled")),
        shared_used=statistics.mean(of(shared, "used")),
    )


def _steady(random: Random) -> dict[str, float]:
    end = _FORMING + _STEADY
    throttled, used = _shares(Scene(random, begins=[0.0]).run(end), _FORMING, end, RATE)
    return {"throttled": throttled, "used": used}


def _changing(random: Random) -> dict[str, float]:
    down, up = _PHASE, 2 * _PHASE
    senders = Scene(random, begins=[0.0], changes=[(down, LOW_RATE), (up, RATE)]).run(3 * _PHASE)
    return {
        "down_1": _recovery(senders, down, LOW_RATE, 0.01),
        "down_3": _recovery(senders, down, LOW_RATE, 0.03),
        "throttled": _shares(senders, down + _FORMING, up, LOW_RATE)[0],
        "up_1": _recovery(senders, up, RATE, 0.01),
        "up_3": _recovery(senders, up, RATE, 0.03),
    }


def _shared(random: Random) -> dict[str, float]:
    senders = Scene(random, begins=_BEGINS).run(_PHASE)
    begin = _PHASE - 60
    throttled, used = _shares(senders, begin, _PHASE, RATE)
    answered = [_count(sender.answered, begin, _PHASE) for sender in senders]
    return {"throttled": throttled, "used": used, "jain": _jain(answered)}


def _count(moments: Sequence[float], begin: float, end: float) -> int:
    return bisect_left(moments, end) - bisect_left(moments, begin)


def _shares(senders: Sequence[Sender], begin: float, end: float, rate: float) -> tuple[float, float]:
    """The share of calls that were throttled, and of the limit that was used."""
    throttled = sum(_count(sender.throttled, begin, end) for sender in senders)
    answered = sum(_count(sender.answered, begin, end) for sender in senders)
    return throttled / max(1, throttled + answered), answered / (rate * (end - begin))


def _recovery(senders: Sequence[Sender], begin: float, rate: float, most: float) -> float:
    """Seconds from a change until a window begins in which all is well; the whole phase if none does."""
    later = 0.0
    while later < _PHASE - _WINDOW:
        throttled, used = _shares(senders, begin + later, begin + later + _WINDOW, rate)
        if throttled <= most and used >= _ENOUGH:
            return later
        later += 0.5
    return _PHASE


def _jain(shares: Sequence[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


@contextmanager
def constants(**values: Any) -> Iterator[None]:  # noqa: ANN401
    """Put other constants in the place of the throttle's own."""
    with patch.multiple(throttle, **values):
        yield


def measure(*, quick: bool, seeds: int = 20) -> Result:
    """Score the constants in force, and beside them all pairs of the grid.

    Args:
        quick: Two seeds only.
        seeds: Runs of each scene.
    """
    seeds = min(seeds, 2) if quick else seeds
    in_force = (throttle.INCREASE, throttle.CUT)
    found = {pair: _score_with(*pair, seeds) for pair in (in_force, *itertools.product(INCREASES, CUTS))}
    rows = [
        _row(f"{increase:g}, {cut:g}" + (" (in force)" if (increase, cut) == in_force else ""), scores)
        for (increase, cut), scores in found.items()
    ]
    ours = found[in_force]
    return Result(
        name="throttle_simulation",
        about=f"AdaptiveThrottle in virtual time with other constants, {seeds} seeds",
        extra=[table(_HEAD, rows)],
        figures=[
            Figure(
                name="steady limit, worst seed",
                value=100 * ours.worst_throttled,
                unit="% of calls throttled",
                at_most=1,
            ),
            Figure(
                name="steady limit, worst seed", value=100 * ours.worst_used, unit="% of it used", at_least=90
            ),
            Figure(name="four clients, Jain's index", value=ours.jain, unit="(1 is equal)", at_least=0.9),
        ],
        quick=quick,
        details={
            "in_force": _constants(),
            "seeds": seeds,
            "grid": [
                {"increase": increase, "cut": cut, **asdict(scores)}
                for (increase, cut), scores in found.items()
            ],
        },
    )


def _score_with(increase: float, cut: float, seeds: int) -> Scores:
    with constants(INCREASE=increase, CUT=cut):
        return score(seeds)


def _constants() -> dict[str, float]:
    return {name: getattr(throttle, name) for name in ("START_RATE", "FAST_GROWTH", "INCREASE", "CUT")}


_HEAD: Final = (
    "increase, cut",
    "steady: throttled",
    "worst",
    "used",
    "worst",
    "to 5/s: 1 %",
    "3 %",
    "throttled",
    "to 20/s: 1 %",
    "3 %",
    "four: Jain",
    "throttled",
    "used",
)


def _row(title: str, found: Scores) -> tuple[str, ...]:
    def percent(share: float) -> str:
        return f"{share:.2%}"

    def seconds(moment: float) -> str:
        return "never" if moment >= _PHASE else f"{moment:.0f} s"

    return (
        title,
        percent(found.throttled),
        percent(found.worst_throttled),
        f"{found.used:.1%}",
        f"{found.worst_used:.1%}",
        seconds(found.down_1),
        seconds(found.down_3),
        percent(found.low_throttled),
        seconds(found.up_1),
        seconds(found.up_3),
        f"{found.jain:.3f}",
        percent(found.shared_throttled),
        f"{found.shared_used:.1%}",
    )
