"""Jobs that never end and the real windows and watches for them: how long does a job go unseen?"""

from __future__ import annotations

import gc
import math
from array import array
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from awaitbatch._core.backoff import Backoff, Window
    from awaitbatch._core.requests import Call

THROTTLED: Final = Failure(FailureKind.THROTTLED, "TooManyRequestsException", 429, "too many calls", None)
"""What becomes of a call that the account does not let through."""


@dataclass(frozen=True, slots=True)
class _Running:
    status: str = "RUNNING"
    status_reason: None = None
    order: tuple[int, int] = (1, 4)
    has_ended: bool = False
    array_properties: None = None
    progress: None = None

    @staticmethod
    def counts_as_any_of(states: Collection[str]) -> bool:  # noqa: ARG004
        """Whether it may be taken for a job in one of these states."""
        return False


_RUNNING: Final = _Running()


class _InWaves(Windows[Watch]):
    """Windows whose calls leave as late as they may, all at one moment if need be."""

    __slots__ = ()

    def _next_due(self, not_before: float) -> float:  # noqa: ARG002
        return self._queue.next_deadline()


class Herd:
    """Jobs that never end, all waited for from the moment 0 on.

    Args:
        jobs: How many.
        backoff: When to check them again.
        first: Draws the window of a job's first check.
        checks: How often each was checked before.
        evenly: Whether calls leave evenly, as they do.

    Attributes:
        first_round: When each job had been checked once, in seconds; inf before.
        calls: Calls that were answered.
        ids: Ids in them.
        unseen: Seconds between two checks of a job in a row, of all jobs.
    """

    def __init__(
        self,
        jobs: int,
        backoff: Backoff,
        *,
        first: Callable[[], Window],
        checks: int = 0,
        evenly: bool = True,
    ) -> None:
        self.first_round = math.inf
        self.forget()
        self._jobs = 0
        self._windows: Windows[Watch] = Windows() if evenly else _InWaves()
        self._seen: dict[str, float] = {}
        self.add(jobs, backoff, first=first, checks=checks)
        self.next_deadline = self._windows.next_deadline
        self.take = self._windows.take

    def add(self, jobs: int, backoff: Backoff, *, first: Callable[[], Window], checks: int = 0) -> None:
        """Wait for more jobs, from the moment 0 on too."""
        for number in range(self._jobs, self._jobs + jobs):
            watch = Watch(f"job-{number}", _never, match_status=(), status_retries=1, backoff=backoff)
            watch.checks = checks
            self._windows.add(watch, first(), 0.0)
        self._jobs += jobs

    def forget(self) -> None:
        """Count anew from now on."""
        self.calls = 0
        self.ids = 0
        self.unseen = array("d")

    def longest_unseen(self, now: float) -> float:
        """The longest time in seconds between two checks of one job, or from its last check to the present.

        It counts from the first check of each job on, and is infinite if some job was never seen.
        """
        if math.isinf(self.first_round):
            return math.inf
        return max(max(self.unseen, default=0.0), now - min(self._seen.values()))

    def answered(self, call: Call[Watch], now: float) -> None:
        """The jobs of a call were seen."""
        self.calls += 1
        self.ids += len(call.job_ids)
        self._windows.answer(call, dict.fromkeys(call.job_ids, _RUNNING), now)
        seen = self._seen
        self.unseen.extend(now - before for before in map(seen.get, call.job_ids) if before is not None)
        seen.update(dict.fromkeys(call.job_ids, now))
        if len(seen) == self._jobs and math.isinf(self.first_round):
            self.first_round = now

    def rejected(self, call: Call[Watch], now: float) -> None:
        """The jobs of a call have to wait for another one."""
        self._windows.fail(call, THROTTLED, now)


def _never(*_: object) -> None:
    raise AssertionError


@contextmanager
def no_collection() -> Iterator[None]:
    """Without it: millions of objects that stay would be traversed again and again, for twice the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
