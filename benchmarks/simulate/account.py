"""Clients, what they ask for, and the bucket of calls that they share, from event to event.

The throttle of each is the real `AdaptiveThrottle`, wired as the coalescer wires it. Up to eight calls of a client are
under way.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, Protocol

from awaitbatch._core.requests import Call
from awaitbatch._core.throttle import AdaptiveThrottle, ThrottleParameters
from awaitbatch.testing import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

PARAMETERS: Final = ThrottleParameters()
"""Of the throttle that a client has for DescribeJobs."""
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


class Demand(Protocol):
    """What a client asks for."""

    def next_deadline(self, not_before: float) -> float:
        """When the next call leaves, in seconds; inf if there is nothing to send. All before a moment are the same."""

    def take(self, now: float) -> Call[Any] | None:
        """The call that must leave now."""

    def answered(self, call: Call[Any], now: float) -> None:
        """A call was answered."""

    def rejected(self, call: Call[Any], now: float) -> None:
        """A call was throttled."""


class Endless:
    """So much to ask that each call would have left long ago."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next_deadline(self, not_before: float) -> float:  # noqa: ARG002
        """It is always overdue."""
        return -math.inf

    def take(self, now: float) -> Call[Any]:  # noqa: ARG002
        """A call for nothing in particular."""
        return Call(next(self._numbers), {}, due=-math.inf)

    def answered(self, call: Call[Any], now: float) -> None:
        """There is as much to ask as before."""

    def rejected(self, call: Call[Any], now: float) -> None:
        """There is as much to ask as before."""


@dataclass(slots=True)
class Sender:
    """A client.

    Attributes:
        demand: What it asks for.
        throttle: Its throttle.
        in_flight: Its calls under way.
        freed_at: When it could send another one after all its connections had been taken.
        departure: When it will see whether a call may leave; inf if the end of a call comes first.
        answered: The moments at which calls that the bucket let pass arrived.
        throttled: The same for the others.
    """

    demand: Demand
    throttle: AdaptiveThrottle
    in_flight: int = 0
    freed_at: float = -math.inf
    departure: float = math.inf
    answered: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)


class Account:
    """A bucket of calls, and the clients that take from it.

    Args:
        random: Where latencies and the lateness of timers come from.
        rate: Calls a second that the bucket gains.
        burst: The most calls that it holds; those of one second if it is not given.
        one_way: Least and most seconds that a call travels, and its answer.
        changes: Moments, and the calls a second that the bucket gains from then on.
        naive: Whether a neighbour calls from the beginning as fast as it can, one call after the other.
        parameters: Those of the clients' throttles.
        client_limit: Calls a second that no client exceeds.

    Attributes:
        senders: The clients, in the order in which they joined.
    """

    def __init__(
        self,
        random: Random,
        *,
        rate: float,
        burst: float | None = None,
        one_way: tuple[float, float] = NEAR,
        changes: Sequence[tuple[float, float]] = (),
        naive: bool = False,
        parameters: ThrottleParameters = PARAMETERS,
        client_limit: float = CLIENT_LIMIT,
    ) -> None:
        self.senders: list[Sender] = []
        self._random = random
        self._one_way = one_way
        self._parameters = parameters
        self._client_limit = client_limit
        self._bucket = TokenBucket(rate, burst)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        for moment, changed in changes:
            self.at(moment, partial(self._change, changed))
        if naive:
            self.at(0.0, self._pester)

    def join(self, demand: Demand, begin: float = 0.0) -> Sender:
        """Let a client with that demand start at a moment."""
        sender = Sender(demand, AdaptiveThrottle(self._client_limit, self._random, self._parameters))
        self.senders.append(sender)
        self.at(begin, partial(self._await_departure, sender))
        return sender

    def at(self, moment: float, event: Callable[[float], None]) -> None:
        """Let something happen at a moment, which it is told."""
        heappush(self._events, (moment, next(self._order), event))

    def wake(self, sender: Sender, now: float) -> None:
        """A client has more to ask than when its timer was set."""
        self._await_departure(sender, now)

    def run(self, until: float) -> None:
        """Let things happen up to a moment; it can go on from there."""
        while self._events and self._events[0][0] < until:
            now, _, event = heappop(self._events)
            event(now)

    def _travel(self, now: float, event: Callable[[float], None]) -> None:
        self.at(now + self._random.uniform(*self._one_way), event)

    def _change(self, rate: float, now: float) -> None:
        self._bucket.change(rate, now=now)

    def _pester(self, now: float) -> None:
        self._bucket.take(now)
        self.at(now + self._random.uniform(*_NAIVE_CALL), self._pester)

    def _await_departure(self, sender: Sender, now: float) -> None:
        """Set the timer anew, as the coalescer does after every call that it sends and every one that ends."""
        sender.departure = math.inf
        ready_at = sender.throttle.ready_at
        moment = max(sender.demand.next_deadline(ready_at), ready_at, now)
        if moment < math.inf and sender.in_flight < IN_FLIGHT:
            sender.departure = moment + self._random.uniform(0, LATENESS)
            self.at(sender.departure, partial(self._send, sender))

    def _send(self, sender: Sender, now: float) -> None:
        if now != sender.departure:
            # The timer was set anew meanwhile.
            return
        call = sender.demand.take(now)
        if call is not None:
            sender.throttle.on_sent(call.number, now, max(call.due, sender.freed_at))
            sender.in_flight += 1
            self._travel(now, partial(self._arrive, sender, call))
        self._await_departure(sender, now)

    def _arrive(self, sender: Sender, call: Call[Any], now: float) -> None:
        passes = self._bucket.take(now)
        (sender.answered if passes else sender.throttled).append(now)
        self._travel(now, partial(self._end, sender, call, passes))

    def _end(self, sender: Sender, call: Call[Any], passes: bool, now: float) -> None:  # noqa: FBT001
        if sender.in_flight == IN_FLIGHT:
            sender.freed_at = now
        sender.in_flight -= 1
        if passes:
            sender.throttle.on_answer(call.number, now)
            sender.demand.answered(call, now)
        else:
            sender.throttle.on_throttled(call.number, now)
            sender.demand.rejected(call, now)
        self._await_departure(sender, now)
