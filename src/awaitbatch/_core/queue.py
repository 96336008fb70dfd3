"""A queue of windows: which are open by now, soonest closing first, and when the next one closes."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush, heapreplace
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: list[Q] = []

    def join(self, entry: Q) -> None:
        """Take an entry in."""
        entry.held_by = self
        self.members.append(entry)

    def form(self) -> None:
        """Sort the members; of equal deadlines the first to come is the first to go."""
        self.members.reverse()
        self.members.sort(key=_latest_of, reverse=True)


_Heap = list[tuple[float, int, Cohort[Q]]]


class WindowQueue(Generic[Q]):
    """The queue, made for many windows that open at the same moment.

    A call's answer sends up to 100 jobs back into the queue together, and most of their windows open together. Heaps of
    such cohorts take a tenth of the work of heaps of single jobs. An outdated entry is dropped when it comes up.
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

    def __len__(self) -> int:
        """How many are in the queue, outdated ones included."""
        return self._count() + sum(len(cohort.members) for cohort in self._arrivals.values())

    def arrivals(self, earliest: float) -> Cohort[Q]:
        """The cohort to join for a window that opens at ``earliest``, until the queue is asked for anything else."""
        cohort = self._arrivals.get(earliest)
        if cohort is None:
            cohort = self._arrivals[earliest] = Cohort()
        return cohort

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
            others = min((other[0] for other in queue[1:3]), default=math.inf)
            while members:
                entry = members.pop()
                if entry.held_by is cohort:
                    if entry.latest > others:
                        members.append(entry)
                        break
                    yield entry

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
        return bool(members)
