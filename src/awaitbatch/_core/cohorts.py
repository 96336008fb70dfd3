"""A queue of windows: who may go by now, soonest closing first, and when must the next one go."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLACK: Final = 100
"""So much that is outdated is not worth tidying up."""


class Ticketed(Protocol):
    """Something with a window, in monotonic seconds, and a ticket that changes whenever its place in the queue ends."""

    earliest: float
    latest: float
    ticket: int


Q = TypeVar("Q", bound=Ticketed)


class _Cohort(Generic[Q]):
    """Those whose windows open at the same moment; `entries` has the soonest `latest` at its end."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[float, int, Q]]) -> None:
        entries.sort(reverse=True)
        self.entries = entries


_Heap = list[tuple[float, int, _Cohort[Q]]]


class Cohorts(Generic[Q]):
    """The queue, made for many windows that open at the same moment.

    A call's answer sends up to 100 jobs back into the queue together, and most of their windows open together. Heaps of
    such cohorts take a tenth of the work that heaps of single jobs would. An entry ends when its owner's ticket
    changes; it is dropped when it comes up.
    """

    __slots__ = ("_arrivals", "_by_latest", "_closed", "_entries", "_open")

    def __init__(self) -> None:
        self._arrivals: dict[float, list[tuple[float, int, Q]]] = {}
        # Cohorts with (moment, a ticket to tell equal moments apart): those whose windows are not open yet by
        # `earliest`; all, and those whose windows are open, by the soonest `latest` they had when they were put there.
        self._closed: _Heap[Q] = []
        self._by_latest: _Heap[Q] = []
        self._open: _Heap[Q] = []
        self._entries = 0

    def __len__(self) -> int:
        """The number of entries, outdated ones included."""
        return self._entries

    def push(self, one: Q) -> None:
        """Queue somebody up, under the ticket that it holds now."""
        entry = (one.latest, one.ticket, one)
        arrivals = self._arrivals.get(one.earliest)
        if arrivals is None:
            self._arrivals[one.earliest] = [entry]
        else:
            arrivals.append(entry)
        self._entries += 1

    def next_deadline(self) -> float:
        """The soonest `latest` of all, or inf."""
        if self._arrivals:
            self._form_cohorts()
        return self._soonest(self._by_latest)

    def pop_open(self, now: float) -> Iterator[Q]:
        """Take out those whose windows are open, soonest `latest` first, for as long as the caller goes on."""
        self._form_cohorts()
        while self._closed and self._closed[0][0] <= now:
            _, number, cohort = heappop(self._closed)
            if cohort.entries:
                heappush(self._open, (cohort.entries[-1][0], number, cohort))
        queue = self._open
        while self._soonest(queue) < math.inf:
            entries = queue[0][2].entries
            others = min((entry[0] for entry in queue[1:3]), default=math.inf)
            while entries and entries[-1][0] <= others:
                _, ticket, one = entries.pop()
                self._entries -= 1
                if one.ticket == ticket:
                    yield one

    def tidy(self, live: int) -> None:
        """Drop what is outdated if it outnumbers the ``live`` ones; storms of cancellations leave much."""
        if max(self._entries, len(self._closed), len(self._by_latest)) <= 2 * live + _SLACK:
            return
        self._form_cohorts()
        self._entries = 0
        for _, _, cohort in self._by_latest:
            cohort.entries = [entry for entry in cohort.entries if entry[2].ticket == entry[1]]
            self._entries += len(cohort.entries)
        for queue in (self._closed, self._by_latest, self._open):
            queue[:] = [entry for entry in queue if entry[2].entries]
            heapify(queue)

    def _form_cohorts(self) -> None:
        for earliest, entries in self._arrivals.items():
            cohort = _Cohort(entries)
            latest, number, _ = entries[-1]
            heappush(self._closed, (earliest, number, cohort))
            heappush(self._by_latest, (latest, number, cohort))
        self._arrivals.clear()

    def _soonest(self, queue: _Heap[Q]) -> float:
        """The soonest `latest` in a heap of cohorts, brought to its top; inf if nobody is left in it."""
        while queue:
            latest, number, cohort = queue[0]
            entries = cohort.entries
            while entries and entries[-1][2].ticket != entries[-1][1]:
                entries.pop()
                self._entries -= 1
            if not entries:
                heappop(queue)
            elif entries[-1][0] == latest:
                return latest
            else:
                heapreplace(queue, (entries[-1][0], number, cohort))
        return math.inf
