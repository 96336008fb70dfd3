"""When calls leave so that they leave evenly, and not all at the moment at which the first one must."""

from __future__ import annotations

import math
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awaitbatch._core.requests import MAX_IDS_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch._core.queue import Group, WindowQueue

LEAST_PACE: Final = 2.5
"""Calls a second up to which calls leave as late as they may: one that leaves early takes jobs with short intervals
along again, and that costs calls."""
SMALL_SHARE: Final = 16
"""A plan is followed for a sixteenth of the calls that it is about, and until as many of its requests have changed."""
LARGE_SHARE: Final = 4
"""It is followed for up to a fourth if one pace is right for so many; so many jobs do not make planning dear."""

_opens_of = itemgetter(1)


class Plan(NamedTuple):
    """When the next calls leave, unless a window closes before.

    Attributes:
        departure: When the next one leaves; inf if not before a window closes.
        distance: Seconds to the one after it; inf likewise.
        calls: For how many calls that is right if nothing changes.
        requests: How many requests it is about.
    """

    departure: float
    distance: float
    calls: int
    requests: int


class Pace:
    """Spreads calls over the time that windows leave them.

    With t0 the last departure and L_k the soonest `latest` in the k-th hundred of the requests whose windows are open,
    soonest `latest` first, the least constant pace that keeps all promises is p = max over k of k / (L_k - t0). This is
    "Optimal Available", the online form of the speed scaling of Yao, Demers and Shenker (1995), which keeps the peak
    low. With r = max(`LEAST_PACE`, p) and while at least a hundred wait, the next call leaves at
    min over k of L_k - (k - 1) / r. If r is p that is t0 + 1/p.

    As time passes more windows open, and that can only bring this moment forward. So there is a first moment at which
    it has come. It is known beforehand: `departure`.

    What is approximate: a cohort with different deadlines counts with one of them for each hundred; and a plan is
    followed for some calls, unless something important changes. No call is later than a window demands.

    Attributes:
        departure: When the next call leaves, unless a window closes before.
        known: A new plan is needed if the first window closes later than that;
        slack: or if more than so much changes in the queue.

    Args:
        queue: What waits.
    """

    def __init__(self, queue: WindowQueue[Any]) -> None:
        self._queue = queue
        self._last = -math.inf
        self.departure = self._distance = math.inf
        self._calls = 0
        self.known = -math.inf
        self.slack = 0

    def plan(self, soonest: float, jobs_per_request: float) -> None:
        """Plan the next departures.

        Args:
            soonest: The soonest `latest` of all.
            jobs_per_request: Less than 1 if requests share jobs, and with them places in calls.
        """
        per_call = MAX_IDS_PER_CALL if jobs_per_request == 1 else MAX_IDS_PER_CALL / jobs_per_request
        self._follow(plan(self._queue.groups(soonest), self._last, per_call), soonest)

    def wait(self) -> None:
        """Let calls leave when a window closes, until somebody comes."""
        self._follow(Plan(math.inf, math.inf, 1, MAX_IDS_PER_CALL), math.inf)

    def on_sent(self, now: float) -> None:
        """A call leaves."""
        self._last = now
        if self._calls > 1 and (now >= self.departure or self.departure == math.inf):
            self._calls -= 1
            self.known = math.inf
            if self.departure < math.inf:
                self.departure = now + self._distance
        else:
            self.forget()

    def forget(self) -> None:
        """Have the next departure planned anew, and follow what was planned no further, should a call leave before."""
        self.known = -math.inf
        self._calls = 1

    def _follow(self, found: Plan, soonest: float) -> None:
        self.departure, self._distance, self._calls, requests = found
        self.known = soonest
        # While there are fewer than a hundred, nothing changes until as many have come as are missing.
        missing = MAX_IDS_PER_CALL - 1 - requests
        self.slack = missing if missing >= 0 else (-1 - missing) // SMALL_SHARE
        self._queue.changes = 0
        # What opens after the last of these calls is for the next plan.
        self._queue.horizon = min(soonest, self.departure) + (self._calls - 1) * min(
            self._distance, 1 / LEAST_PACE
        )


def plan(groups: Sequence[Group], last: float, per_call: float = MAX_IDS_PER_CALL) -> Plan:
    """Plan the next departures.

    Args:
        groups: What waits and has a window that opens before the first one closes, soonest `latest` first.
        last: When the last call left.
        per_call: How many requests fill a call; more than it has ids if they share jobs.
    """
    found = _plan_open(groups, last, per_call)
    if found.departure < max(map(_opens_of, groups), default=-math.inf):
        found = _plan_openings(groups, last, per_call, found.departure)
    return found if found.distance < math.inf else found._replace(departure=math.inf)


def _plan_openings(groups: Sequence[Group], last: float, per_call: float, begin: float) -> Plan:
    """The same if not all are open by then: not before ``begin``, at which they would leave if they were."""

    def of_open(moment: float) -> Plan:
        return _plan_open([group for group in groups if group[1] <= moment], last, per_call)

    # Nor after the moment for those who are open. In between, look for the first opening after which the departure is
    # before the next opening.
    found = of_open(begin)
    moments = sorted({opens for _, opens, _ in groups if begin < opens <= found.departure})
    low, high = 0, len(moments) - 1
    while low <= high:
        middle = (low + high) // 2
        moment = moments[middle]
        some = of_open(moment)
        if middle + 1 == len(moments) or some.departure < moments[middle + 1]:
            found = some
            if moment > some.departure:
                # It is later than it should be, so the pace will have to be another one.
                found = some._replace(departure=moment, calls=1)
            high = middle - 1
        else:
            low = middle + 1
    return found


def _plan_open(groups: Sequence[Group], last: float, per_call: float) -> Plan:
    """Plan the next departures as if all windows were open."""
    distance = 1 / LEAST_PACE
    departure = math.inf
    calls = number = 0.0
    requests = 0
    for latest, _, count in groups:
        requests += count
        # Of the hundreds that begin in this group the last one matters.
        number = -(-requests // per_call)
        moment = latest - (number - 1) * distance
        if moment <= departure:
            departure, calls = moment, number
    if requests < per_call:
        return Plan(math.inf, math.inf, 1, requests)
    if departure < last + distance:
        # The least pace does not do.
        distance = math.inf
        total = 0
        for latest, _, count in groups:
            total += count
            number = -(-total // per_call)
            if latest - last <= number * distance:
                distance, calls = (latest - last) / number, number
        departure = last + distance
    most = int(requests // per_call)
    if calls > 1:
        followed = max(2, most // SMALL_SHARE, min(int(calls), most // LARGE_SHARE))
        return Plan(departure, distance, min(most, followed), requests)
    # As late as it may: the first window that closes decides, and so it will for a while.
    return Plan(departure, math.inf, max(1, most // LARGE_SHARE), requests)
