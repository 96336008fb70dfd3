"""A queue of windows: which are open by now, soonest closing first, and when the next one closes."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush, heapreplace
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, TypeVar

from awaitbatch._core.requests import MAX_IDS_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Iterator

Group: TypeAlias = tuple[float, float, int]
"""Requests with much the same window: when it closes, when it opens, and how many they are."""

_SLACK: Final = 100
"""So much that is outdated is not worth tidying up."""


class Queued(Protocol):
    """Something with a window in monotonic seconds; `held_by` changes whenever its time in the queue ends."""

    earliest: float
    latest: float
    held_by: object


Q = TypeVar("Q", bound=Queued)

_latest_of = attrgetter("latest")


class Cohort(Generic[Q]):
    """Entries whose windows open at the same moment; once `form`ed, `members` has the soonest `latest` at its end.

    An entry that is held by something else by now is outdated.

    Attributes:
        opens: When the windows open.
        members: The entries.
        outdated: How many of the members are outdated, as far as the queue was told.
        latest: The last `latest`, once formed.
        is_uniform: Whether all have that one.
    """

    __slots__ = ("is_uniform", "latest", "members", "opens", "outdated")

    def __init__(self, opens: float) -> None:
        self.opens = opens
        self.members: list[Q] = []
        self.outdated = 0
        self.latest = math.inf
        self.is_uniform = False

    def join(self, entry: Q) -> None:
        """Take an entry in."""
        entry.held_by = self
        self.members.append(entry)

    def form(self) -> None:
        """Sort the members; of equal deadlines the first to come is the first to go."""
        self.members.reverse()
        self.members.sort(key=_latest_of, reverse=True)
        self.latest = self.members[0].latest
        self.is_uniform = self.latest == self.members[-1].latest


_Heap = list[tuple[float, int, Cohort[Q]]]


class WindowQueue(Generic[Q]):
    """The queue, made for many windows that open at the same moment.

    A call's answer sends up to 100 jobs back into the queue together, and most of their windows open together. Heaps of
    such cohorts take a tenth of the work of heaps of single jobs. An outdated entry is dropped when it comes up.

    Attributes:
        horizon: Windows that open before it concern whoever plans the next departure.
        changes: How many of those have come, and how many of any have become outdated, since he set it to 0.
    """

    def __init__(self) -> None:
        self._arrivals: dict[float, Cohort[Q]] = {}
        # Cohorts with (moment, a number to tell equal moments apart): those whose windows are not open yet by
        # `earliest`; all, and those whose windows are open, by the soonest `latest` they had when they were put there.
        self._closed: _Heap[Q] = []
        self._by_latest: _Heap[Q] = []
        self._open: _Heap[Q] = []
        self._formed = 0
        # At most so many entries are in the cohorts that were formed, outdated ones included.
        self._bound = 0
        self.horizon = -math.inf
        self.changes = 0

    def __len__(self) -> int:
        """How many are in the queue, outdated ones included."""
        return self._count() + sum(len(cohort.members) for cohort in self._arrivals.values())

    def arrivals(self, earliest: float) -> Cohort[Q]:
        """The cohort to join for a window that opens at ``earliest``, until the queue is asked for anything else."""
        cohort = self._arrivals.get(earliest)
        if cohort is None:
            cohort = self._arrivals[earliest] = Cohort(earliest)
        return cohort

    def outdate(self, entry: Q) -> None:
        """Note that an entry is about to be held by something else, without having been popped."""
        cohort = entry.held_by
        if isinstance(cohort, Cohort):
            cohort.outdated += 1
            self.changes += 1

    def groups(self, before: float) -> list[Group]:
        """What waits and has a window that opens before a moment, soonest `latest` first."""
        groups: list[Group] = []
        cohorts = [cohort for _, _, cohort in self._open]
        closed = self._closed
        if closed and closed[0][0] < before:
            # A heap's items are no sooner than the one above them.
            places = [0]
            for place in places:
                if place < len(closed) and closed[place][0] < before:
                    cohorts.append(closed[place][2])
                    places += (2 * place + 1, 2 * place + 2)
        for cohort in cohorts:
            count = len(cohort.members) - cohort.outdated
            if count <= 0:
                continue
            if cohort.is_uniform:
                groups.append((cohort.latest, cohort.opens, count))
                continue
            # A hundred with different deadlines count as if all had one of them, of each cohort another one.
            members = cohort.members
            parts = -(-count // MAX_IDS_PER_CALL)
            share = (1 + 2 * len(groups) % 8) / 8
            for part in range(parts):
                latest = members[-1 - int((part + share) * len(members) / parts)].latest
                groups.append((latest, cohort.opens, count * (part + 1) // parts - count * part // parts))
        groups.sort()
        return groups

    def next_deadline(self) -> float:
        """The soonest `latest` of all, or inf."""
        if self._arrivals:
            self._form_cohorts()
        return self._soonest(self._by_latest)

    def pop_open(self, now: float) -> Iterator[Q]:
        """Take out those whose windows are open, soonest `latest` first, for as long as the caller goes on.

        The caller has to set `held_by` of each.
        """
        self._form_cohorts()
        while self._closed and self._closed[0][0] <= now:
            _, number, cohort = heappop(self._closed)
            if self._has_members(cohort):
                heappush(self._open, (cohort.members[-1].latest, number, cohort))
        queue = self._open
        while self._soonest(queue) < math.inf:
            cohort = queue[0][2]
            members = cohort.members
            others = min(queue[1:3])[0] if len(queue) > 1 else math.inf
            while members:
                entry = members.pop()
                if entry.held_by is cohort:
                    if entry.latest > others:
                        members.append(entry)
                        break
                    yield entry
                else:
                    cohort.outdated -= 1

    def tidy(self, live: int) -> None:
        """Drop what is outdated if it outnumbers the ``live`` ones; storms of cancellations leave much."""
        self._form_cohorts()
        enough = 2 * live + _SLACK
        is_crowded = False
        if self._bound > enough:
            self._bound = self._count()
            # Or it might have to be counted again for each call.
            is_crowded = self._bound > enough * 3 / 4
        if not is_crowded and max(len(self._closed), len(self._by_latest)) <= enough:
            return
        for _, _, cohort in self._by_latest:
            cohort.members = [entry for entry in cohort.members if entry.held_by is cohort]
            cohort.outdated = 0
        self._bound = self._count()
        for queue in (self._closed, self._by_latest, self._open):
            queue[:] = [item for item in queue if item[2].members]
            heapify(queue)

    def _count(self) -> int:
        return sum(len(cohort.members) for _, _, cohort in self._by_latest)

    def _form_cohorts(self) -> None:
        for earliest, cohort in self._arrivals.items():
            cohort.form()
            self._bound += len(cohort.members)
            self._formed += 1
            if earliest < self.horizon:
                self.changes += len(cohort.members)
            heappush(self._closed, (earliest, self._formed, cohort))
            heappush(self._by_latest, (cohort.members[-1].latest, self._formed, cohort))
        self._arrivals.clear()

    def _soonest(self, queue: _Heap[Q]) -> float:
        """The soonest `latest` in a heap of cohorts, brought to its top; inf if all are empty."""
        while queue:
            latest, number, cohort = queue[0]
            if not self._has_members(cohort):
                heappop(queue)
            elif cohort.members[-1].latest == latest:
                return latest
            else:
                heapreplace(queue, (cohort.members[-1].latest, number, cohort))
        return math.inf

    def _has_members(self, cohort: Cohort[Q]) -> bool:
        """Whether a cohort still has members; outdated ones are taken from its end, so that the last one is not."""
        members = cohort.members
        while members and members[-1].held_by is not cohort:
            members.pop()
            cohort.outdated -= 1
        return bool(members)
