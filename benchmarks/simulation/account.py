"""Clients that always have something to ask, and the bucket of calls that they share.

The throttle of each is the real `AdaptiveThrottle`. Up to eight calls of a client are under way.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from awaitbatch._core.throttle import AdaptiveThrottle
from awaitbatch.testing import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

CLIENT_LIMIT: Final = 100.0
IN_FLIGHT: Final = 8
LATENESS: Final = 0.002
"""Most seconds by which a timer is late."""
NEAR: Final = (0.005, 0.02)
"""Least and most seconds that a call travels, and its answer."""
FAR: Final = (0.1, 0.2)
"""The same where the network is slow."""
_NAIVE_CALL: Final = (0.01, 0.02)
"""Least and most seconds that a call of the naive neighbour takes."""


@dataclass(slots=True)
class Sender:
    """A client that always has something to ask.

    Attributes:
        begin: When it starts, in seconds.
        throttle: Its throttle.
        in_flight: Its calls under way.
        freed_at: When it could send another one after all its connections had been taken.
        answered: The moments at which calls that the bucket let pass arrived.
        throttled: The same for the others.
    """

    begin: float
    throttle: AdaptiveThrottle
    in_flight: int = 0
    freed_at: float = -math.inf
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    answered: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)


class Account:
    """Clients and the bucket that they share, from event to event.

    Args:
        random: Where latencies and the lateness of timers come from.
        rate: Calls a second that the bucket gains; it has room for those of one second.
        begins: When each of the clients starts, in seconds.
        one_way: Least and most seconds that a call travels, and its answer.
        changes: Moments, and the calls a second that the bucket gains from then on.
        naive: Whether a neighbour calls from the beginning as fast as it can, one call after the other.
    """

    def __init__(
        self,
        random: Random,
        *,
        rate: float,
        begins: Sequence[float] = (0.0,),
        one_way: tuple[float, float] = NEAR,
        changes: Sequence[tuple[float, float]] = (),
        naive: bool = False,
    ) -> None:
        self.senders = [Sender(begin, AdaptiveThrottle(CLIENT_LIMIT, random)) for begin in begins]
        self._random = random
        self._one_way = one_way
        self._bucket = TokenBucket(rate)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        for moment, changed in changes:
            self._at(moment, partial(self._change, changed))
        for sender in self.senders:
            self._await_departure(sender, sender.begin)
        if naive:
            self._at(0.0, self._pester)

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

    def _pester(self, now: float) -> None:
        self._bucket.take(now)
        self._at(now + self._random.uniform(*_NAIVE_CALL), self._pester)

    def _await_departure(self, sender: Sender, now: float) -> None:
        moment = max(sender.throttle.ready_at, now)
        self._at(moment + self._random.uniform(0, LATENESS), partial(self._send, sender))

    def _send(self, sender: Sender, now: float) -> None:
        if sender.throttle.ready_at > now:
            # The rate was cut meanwhile.
            self._await_departure(sender, now)
            return
        number = next(sender.numbers)
        # There is always work, so every call would have gone as soon as there was a connection.
        sender.throttle.sent(number, now, sender.freed_at)
        sender.in_flight += 1
        self._at(now + self._random.uniform(*self._one_way), partial(self._arrive, sender, number))
        if sender.in_flight < IN_FLIGHT:
            self._await_departure(sender, now)

    def _arrive(self, sender: Sender, number: int, now: float) -> None:
        passes = self._bucket.take(now)
        (sender.answered if passes else sender.throttled).append(now)
        self._at(now + self._random.uniform(*self._one_way), partial(self._end, sender, number, passes))

    def _end(self, sender: Sender, number: int, passes: bool, now: float) -> None:  # noqa: FBT001
        if passes:
            sender.throttle.answered(number)
        else:
            sender.throttle.congested(number)
        sender.in_flight -= 1
        if sender.in_flight == IN_FLIGHT - 1:
            sender.freed_at = now
            self._await_departure(sender, now)


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
