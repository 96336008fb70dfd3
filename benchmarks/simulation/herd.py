"""A herd of jobs behind a limit that is far too low for it: how long does the unluckiest job go unseen?

Windows, watches and throttle are the real ones, wired as the coalescer wires them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from awaitbatch._core.backoff import FixedInterval, Window
from awaitbatch._core.outcomes import Failure, Trouble
from awaitbatch._core.throttle import AdaptiveThrottle
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import SEATS, Call, Windows
from awaitbatch.testing import TokenBucket
from benchmarks.simulation.account import CLIENT_LIMIT, IN_FLIGHT, LATENESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_THROTTLED: Final = Failure(Trouble.THROTTLED, "TooManyRequestsException", 429, "too many calls", None)


@dataclass(frozen=True, slots=True)
class _Running:
    status: str = "RUNNING"
    order: tuple[int, int] = (1, 4)


_RUNNING: Final = _Running()


class Herd:
    """Jobs that never end, each wanted every second, and one client that looks at them.

    Args:
        random: Where latencies and the lateness of timers come from.
        jobs: How many.
        rate: Calls a second that the bucket gains; it has room for those of one second.
        one_way: Least and most seconds that a call travels, and its answer.

    Attributes:
        longest_unseen: The longest time in seconds between two looks at one job, or from its last look to the present.
    """

    def __init__(self, random: Random, *, jobs: int, rate: float, one_way: tuple[float, float]) -> None:
        self.longest_unseen = 0.0
        self._random = random
        self._one_way = one_way
        self._best = jobs / SEATS / rate
        self._bucket = TokenBucket(rate)
        self._throttle = AdaptiveThrottle(CLIENT_LIMIT, random)
        self._windows = Windows[Watch]()
        self._in_flight = 0
        self._seen: dict[str, float] = {}
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[Call, bool, float], None], Call | None, bool]] = []
        backoff = FixedInterval(1)
        for number in range(jobs):
            watch = Watch(f"job-{number}", _never, match_status=(), status_retries=1, backoff=backoff)
            self._windows.add(watch, Window(0, 0), 0.0)
        self._jobs = jobs

    def run(self, until: float) -> float:
        """Look at the jobs until a moment; `longest_unseen` as a multiple of the least possible.

        It counts from the first look at each job on, and infinite if some job was never seen.
        """
        wake = 0.0
        now = 0.0
        while now < until:
            if self._events and self._events[0][0] <= wake:
                now, _, event, call, passes = heappop(self._events)
                assert call is not None
                event(call, passes, now)
            else:
                now = wake
                self._send_due(now)
            wake = self._next_departure(now)
        if len(self._seen) < self._jobs:
            return float("inf")
        self.longest_unseen = max(self.longest_unseen, now - min(self._seen.values()))
        return self.longest_unseen / self._best

    def _next_departure(self, now: float) -> float:
        if self._in_flight == IN_FLIGHT:
            return self._events[0][0]
        moment = max(self._windows.next_deadline(), self._throttle.ready_at, now)
        return moment + self._random.uniform(0, LATENESS)

    def _send_due(self, now: float) -> None:
        if self._in_flight == IN_FLIGHT or self._throttle.ready_at > now:
            return
        call = self._windows.take(now)
        if call is None:
            return
        self._throttle.sent(call.number, now, call.due)
        self._in_flight += 1
        self._travel(now, self._arrive, call)

    def _travel(
        self, now: float, event: Callable[[Call, bool, float], None], call: Call, *, passes: bool = False
    ) -> None:
        moment = now + self._random.uniform(*self._one_way)
        heappush(self._events, (moment, next(self._order), event, call, passes))

    def _arrive(self, call: Call, _: bool, now: float) -> None:  # noqa: FBT001
        self._travel(now, self._end, call, passes=self._bucket.take(now))

    def _end(self, call: Call, passes: bool, now: float) -> None:  # noqa: FBT001
        self._in_flight -= 1
        if not passes:
            self._throttle.congested(call.number)
            self._windows.fail(call, _THROTTLED, now)
            return
        self._throttle.answered(call.number)
        self._windows.answer(call, dict.fromkeys(call.job_ids, _RUNNING), now)
        for job_id in call.job_ids:
            self.longest_unseen = max(self.longest_unseen, now - self._seen.get(job_id, now))
            self._seen[job_id] = now


def _never(*_: object) -> None:
    raise AssertionError
