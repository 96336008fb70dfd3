"""Whose fault is a failed call: that of one job in it, of the call's size, or of nobody in it?"""

from __future__ import annotations

import dataclasses
import math
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch._core.requests import MAX_IDS_PER_CALL

if TYPE_CHECKING:
    from awaitbatch._core.requests import Call, RequestsForJob

SMALL_CALL: Final = 25
"""Two calls of at most so many ids that fail in a row, without an id in common, are a sign of an outage."""
LASTING_TRIES: Final = 5
LASTING_SECONDS: Final = 300.0
"""A failure that would come again is taken for one that stays after so many tries in a row that took so long."""
GROWS_AFTER: Final = 600.0
"""Seconds after which calls that had to shrink are tried at twice the size, even if answers are slow."""


class Fate(Enum):
    """What becomes of the requests of a failed call."""

    TRIED = auto()
    """Each has been tried without a result."""
    SMALLER = auto()
    """Nobody knows yet whose fault it was: they go again at once, in smaller calls."""
    GENERAL = auto()
    """It is no job's fault: all requests end that have met such a failure."""


class Patience:
    """Says how long to go on although calls fail in ways that would come again, by the rule for checks of jobs.

    It is for calls that are no checks of `Suspicion`'s: such a failure passes if there was ever an answer, until it has
    lasted.
    """

    def __init__(self) -> None:
        # Failures in a row, and when they began; None while nothing was ever answered.
        self._failures: int | None = None
        self._since = 0.0

    def on_answer(self) -> None:
        """There was a good answer."""
        self._failures = 0

    def bears_another(self, now: float) -> bool:
        """Whether to go on after one more failure."""
        if self._failures is None:
            return False
        if not self._failures:
            self._since = now
        self._failures += 1
        return self._failures < LASTING_TRIES or now - self._since < LASTING_SECONDS


class Suspicion:
    """Finds the job that makes calls fail; its neighbours do not suffer, and an outage does not become a storm.

    Whatever happens to a call may come from a single job in it: an answer that is an error, that never comes, that
    cannot be read or that is too large for the call's time. So the second failure in a row of the same ids halves the
    size of the calls that may carry them, and every further failure does so at once, until the bad id is alone. A good
    answer brings everybody in it back to full size.

    When two small calls in a row without a common id have failed, it is an outage. Then nothing is split any more, and
    a call carries a single id, on behalf of all that it would have carried: another one each time, since a bad id would
    pose as an outage. The first good answer ends it. Before that is known, the ids of only one call are split, so that
    an outage costs a handful of calls.

    A failure that would come again ends waits at once if no call was ever answered, and it is not one job's fault: when
    a second call with other ids, or one with a single id, has failed likewise. After good answers it is trouble that
    passes, until it has lasted.

    Args:
        call_timeout: Seconds that a call may take. Split calls that take more than half of that, one after the other,
            show that full ones are too large.
    """

    def __init__(self, call_timeout: float) -> None:
        self._call_timeout = call_timeout
        # Whether a call was ever answered.
        self.has_answer = False
        self.is_outage = False
        # Whether ids were split and no call was answered since, so that it may be an outage.
        self._is_unproven = False
        self._last_small: frozenset[str] = frozenset()
        self._probes = 0
        # The most ids of a call, when that was last changed, and the ids of the last split call that took long.
        self._most = MAX_IDS_PER_CALL
        self._shrunk_at = -math.inf
        self._slow_ids: frozenset[str] = frozenset()
        # Of failures in a row that would come again: how many calls, since when, and the ids of the last one.
        self._denied_calls = 0
        self._denied_since = math.inf
        self._denied_ids: frozenset[str] = frozenset()

    def most_ids(self, most: int, now: float) -> int:
        """How many ids a call may carry whose jobs may be in calls of at most so many."""
        if self._most < MAX_IDS_PER_CALL and now >= self._shrunk_at + GROWS_AFTER:
            self._grow(now)
        return min(most, self._most)

    def sent_ids(self, job_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Which ids to send of those that a call is about: all, but in an outage a single one."""
        if not self.is_outage or len(job_ids) == 1:
            return job_ids
        self._probes += 1
        return (job_ids[self._probes % len(job_ids)],)

    def on_answer(self, call: Call[Any], now: float) -> None:
        """A call brought a good answer."""
        self.has_answer = True
        self.is_outage = self._is_unproven = False
        self._last_small = self._denied_ids = frozenset()
        self._denied_calls, self._denied_since = 0, math.inf
        size = len(call.job_ids)
        if now - call.sent_at <= self._call_timeout / 2:
            self._slow_ids = frozenset()
            if self._most <= size < MAX_IDS_PER_CALL:
                self._grow(now)
        elif call.most < MAX_IDS_PER_CALL:
            # One may be slow because of a job in it.
            ids = frozenset(call.job_ids)
            if _have_none_in_common(self._slow_ids, ids):
                self._most, self._shrunk_at = min(self._most, size), now
            self._slow_ids = ids

    def on_failure(self, call: Call[Any], failure: Failure, now: float) -> Fate:
        """A call failed as a whole, and was neither throttled nor refused for what it asked for."""
        jobs = [job for request in call.requests.values() if (job := request.job)]
        ids = frozenset(call.job_ids)
        for job in jobs:
            job.failures += 1
        if failure.kind is FailureKind.PERMANENT:
            is_general = self._note_denial(jobs, ids, now)
            if not self.has_answer and is_general:
                return Fate.GENERAL
        # What a job that is known to be bad meets says nothing about others.
        if len(ids) <= SMALL_CALL and not all(job.is_bad for job in jobs):
            self.is_outage = self.is_outage or _have_none_in_common(self._last_small, ids)
            self._last_small = ids
        if len(call.requests) == 1:
            for job in jobs:
                job.is_bad = True
        elif not self.is_outage:
            is_first_impression = failure.kind is FailureKind.PERMANENT and not self.has_answer
            if call.most < MAX_IDS_PER_CALL or is_first_impression:
                self._split(jobs)
                return Fate.SMALLER
            if not self._is_unproven:
                # One-shots do not wait for a second failure: somebody waits for just this check.
                one_shots = {id(job) for job in jobs if any(request.one_shot for request in job)}
                self._split([job for job in jobs if id(job) in one_shots])
                self._split([job for job in jobs if id(job) not in one_shots and job.failures > 1])
        return Fate.TRIED

    def judge(self, failure: Failure, job: RequestsForJob[Any], now: float) -> Failure:
        """The failure as the requests for a job have to take it: one that would come again may pass at first."""
        if failure.kind is not FailureKind.PERMANENT or not self.has_answer or failure.lasts:
            return failure
        lasts = any(
            tries >= LASTING_TRIES and now >= since + LASTING_SECONDS
            for tries, since in ((job.denials, job.denied_since), (self._denied_calls, self._denied_since))
        )
        return failure if lasts else dataclasses.replace(failure, may_pass=True)

    def _note_denial(self, jobs: list[RequestsForJob[Any]], ids: frozenset[str], now: float) -> bool:
        """Count a failure that would come again, and tell whether one with other ids has come before."""
        for job in jobs:
            if not job.denials:
                job.denied_since = now
            job.denials += 1
        is_general = _have_none_in_common(self._denied_ids, ids)
        self._denied_ids = ids
        self._denied_calls += 1
        self._denied_since = min(self._denied_since, now)
        return is_general

    def _split(self, jobs: list[RequestsForJob[Any]]) -> None:
        for job in jobs:
            job.most = (len(jobs) + 1) // 2
            self._is_unproven = True

    def _grow(self, now: float) -> None:
        self._most, self._shrunk_at = min(2 * self._most, MAX_IDS_PER_CALL), now


def _have_none_in_common(before: frozenset[str], ids: frozenset[str]) -> bool:
    """Whether there were ids before, and others than these."""
    return bool(before) and before.isdisjoint(ids)
