"""Describe requests with time windows, and the calls that keep all their promises.

A request asks to check one job once, at some moment between `earliest` and `latest`. A call leaves when the first
request must (its `latest` has come) and gives its other places to the requests whose windows are open, soonest `latest`
first. So calls are full when there are many jobs, and nobody waits longer than promised. When calls are held up, the
same order, earliest deadline first, starves nobody. With a hundred and more in open windows a call may leave sooner, so
that calls leave evenly; see `Pace`.
"""

from __future__ import annotations

import math
from collections import Counter
from heapq import heapify, heappop, heappush
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Final, Generic

from awaitbatch._core.bisection import Bisection
from awaitbatch._core.outcomes import Failure, FailureKind, Outcome
from awaitbatch._core.pace import Pace
from awaitbatch._core.queue import WindowQueue
from awaitbatch._core.requests import (
    MAX_IDS_PER_CALL,
    Call,
    Decision,
    Deliver,
    Delivery,
    Effects,
    Observation,
    R,
    RequestsForJob,
    StatusChange,
)
from awaitbatch._core.suspicion import Fate, Suspicion
from awaitbatch._core.text import shared_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from awaitbatch._core.backoff import Window

MAX_ONE_SHOTS_FIRST: Final = 10
"""Places of each call that due one-shot requests get before polls; or they would queue behind all overdue polls."""
TICKS: Final = 1024
"""Moments a second at which windows open; one opens up to a millisecond early, together with all others of its tick.

Tasks that begin to wait one after the other would each have a window of their own, and the queue much more work.
"""
MOST_AT_ONCE: Final = 1000
"""Requests for one job that are decided on in one go, which takes two milliseconds at most."""
REMEMBERED: Final = 20_000
"""Jobs whose state is remembered when nobody waits for them any more, so that the next wait brings no old news; they
take about four megabytes."""
NOT_SEEN: Final = "NOT_SEEN"
"""Stands for the state of a job that no poll has seen."""


class Windows(Generic[R]):
    """The requests that wait, and the calls in which they travel.

    The shell sleeps until `next_deadline`, then `take`s the call that leaves then. Each call ends in exactly one of
    `answer`, `fail` and `refuse`. A request is answered only by calls that were taken after it was added. If more than
    `MOST_AT_ONCE` requests are for one job, what the end of a call means to them is decided as the shell goes through
    `Call.rest`.

    Args:
        call_timeout: Seconds that a call may take; see `Suspicion`.

    Attributes:
        describes: How many of the requests are one-shots.
    """

    def __init__(self, call_timeout: float = math.inf) -> None:
        self._suspicion = Suspicion(call_timeout)
        self._jobs: dict[str, RequestsForJob[R]] = {}
        # Jobs that nobody waits for any more, with the state in which they were seen; the one left longest ago first.
        self._last_seen: dict[str, RequestsForJob[R]] = {}
        self._size = 0
        self.describes = 0
        # How many of the jobs are in which state, once somebody wants to know it all the time.
        self._by_status: Counter[str] | None = None
        self._calls = 0
        self._queue = WindowQueue[R]()
        self._pace = Pace(self._queue)
        # One-shots once more, as a heap of (latest, a number to tell equals apart, request, what held it then).
        self._one_shots: list[tuple[float, int, R, object]] = []
        self._one_shot_numbers = count()
        # Parts of refused calls that are still to be tried. Their requests are held by the refused call until then.
        self._parts: list[Call[R]] = []
        self._took_part = False

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[R]:
        """All requests, those in calls under way included."""
        for job in self._jobs.values():
            yield from job

    def __repr__(self) -> str:
        return f"<Windows {self._size} requests for {len(self._jobs)} jobs>"

    def by_status(self) -> dict[str, int]:
        """How many jobs are in which state, as polls have seen them last, or `NOT_SEEN`.

        From the first time on it is kept up to date, so that to ask again takes no longer the more jobs there are.
        """
        if self._by_status is None:
            self._by_status = Counter(job.status or NOT_SEEN for job in self._jobs.values())
        return {status: count for status, count in self._by_status.items() if count}

    def soonest(self) -> float:
        """The soonest `latest` of all that wait for a call; inf if none does."""
        return self._queue.next_deadline()

    def count(self) -> tuple[dict[str, int], float]:
        """What `by_status` and `soonest` say, found by a look at every request; any thread may ask."""
        # Neither is changed by the loop's thread before the list is made.
        jobs = list(self._jobs.values())
        requests = [request for job in jobs for request in list(job)]
        soonest = min((one.latest for one in requests if type(one.held_by) is not int), default=math.inf)
        return dict(Counter(job.status or NOT_SEEN for job in jobs)), soonest

    def add(self, request: R, window: Window, now: float, *, continues: bool = False) -> None:
        """Let a request wait for its first check, in ``window`` seconds from ``now``.

        If it ``continues`` with what another request has seen of the job, an earlier state of it is no news.
        """
        job = self._jobs.get(request.job_id)
        if job is None:
            job = self._last_seen.pop(request.job_id, None)
            if job is None:
                job = RequestsForJob()
            else:
                job.clear()
                if not continues:
                    job.order = RequestsForJob.order_of_none
            self._jobs[request.job_id] = job
            if self._by_status is not None:
                self._by_status[job.status or NOT_SEEN] += 1
        job[request] = None
        request.job = job
        self._size += 1
        if request.one_shot:
            self.describes += 1
        request.added_after = self._calls
        request.earliest, request.latest = _moments(window, now)
        self._enqueue(request)

    def discard(self, request: R) -> None:
        """Forget a request wherever it is; it is no error if it has left already."""
        if request.held_by is not None:
            self._remove(request)
            self._tidy()

    def next_deadline(self, not_before: float = -math.inf) -> float:
        """When the next call leaves: inf if there is nothing to send, -inf for parts of a refused call.

        Args:
            not_before: No call can leave before that moment, so that one before it is as good as any other.
        """
        if self._parts:
            return -math.inf
        return self._next_due(not_before)

    def _next_due(self, not_before: float) -> float:
        """When the next call leaves that is no part of a refused one."""
        soonest = self._queue.next_deadline()
        if soonest <= not_before:
            return soonest
        pace = self._pace
        if soonest > pace.known or self._queue.changes > pace.slack:
            if len(self._jobs) < MAX_IDS_PER_CALL or self._suspicion.is_outage:
                pace.wait()
            else:
                pace.plan(soonest, len(self._jobs) / self._size)
        return min(soonest, pace.departure)

    def take(self, now: float) -> Call[R] | None:
        """The call that must leave now, or None if none must."""
        due = self._next_due(now)
        # Parts take turns with what is due, or a long search for bad ids would hold up everybody else.
        if not (self._took_part and due <= now):
            part = self._take_part()
            if part is not None:
                self._took_part = True
                return part
        self._took_part = False
        if due > now:
            return None
        self._tidy()
        self._calls += 1
        requests, most = self._collect(self._calls, now)
        if not requests:
            # It was to leave early, and there is nobody whom it could carry.
            self._pace.wait()
            return None
        self._pace.on_sent(now)
        call = Call(self._calls, requests, due=due, sent_at=now, most=most)
        call.job_ids = self._suspicion.sent_ids(call.job_ids)
        return call

    def _collect(self, number: int, now: float) -> tuple[dict[str, R], int]:
        """The requests that go with a call, and the most ids that it may carry because of failures of its jobs."""
        requests: dict[str, R] = {}
        others: list[R] = []
        most = room = MAX_IDS_PER_CALL
        # Whoever may share a place comes along with the first for its job, so none that goes is met twice. Those that
        # may not go are met one by one, or very many for a job with failures would take long here at each call.
        for request in chain(
            islice(self._pop_due_one_shots(now), MAX_ONE_SHOTS_FIRST), self._queue.pop_open(now)
        ):
            job = request.job
            if not requests:
                most = MAX_IDS_PER_CALL if self._suspicion.is_outage else job.most
                room = self._suspicion.most_ids(most, now)
            elif job.most != most and not self._suspicion.is_outage:
                # After failures jobs travel only with those that are as suspicious as they are.
                request.held_by = number
                others.append(request)
                if len(others) == MAX_IDS_PER_CALL:
                    break
                continue
            requests[request.job_id] = request
            request.held_by = number
            if len(job) > 1:
                for companion in job:
                    if type(companion.held_by) is not int and companion.earliest <= now:
                        self._queue.outdate(companion)
                        companion.held_by = number
            if len(requests) == room:
                break
        for request in others:
            self._enqueue(request)
        return requests, most

    def answer(self, call: Call[R], observations: Mapping[str, Observation], now: float) -> Effects[R]:
        """A call brought a good answer. Jobs in it that nobody asked for are ignored."""
        effects = Effects[R]([], [], [])
        self._suspicion.on_answer(call, now)
        if call.bisection is not None:
            call.bisection.parts_in_flight -= 1
            call.bisection.has_answer = True
        number = call.number
        decisions: dict[R, Decision] = {}
        crowds: list[tuple[Sequence[R], Observation | None]] = []
        for job_id in call.job_ids:
            first = call.requests[job_id]
            # If all who asked have left, others may have come; they get no answer, but the news.
            job = first.job or self._jobs.get(job_id)
            if job is None:
                continue
            if job.failures:
                job.clear()
            observation = observations.get(job_id)
            if observation is None:
                effects.absent.append(job_id)
            elif observation.status != job.status or (
                observation.status_reason and observation.status_reason != job.reason
            ):
                effects.changes.extend(self._changes_of(job_id, job, observation, number, now))
            if len(job) == 1 and first.held_by == number:
                # As most are.
                decisions[first] = first.on_absent() if observation is None else first.on_seen(observation)
                continue
            # A schedule, which is the user's own code, may make others leave.
            requests = tuple(job)
            if len(requests) <= MOST_AT_ONCE:
                self._ask_each(requests, number, observation, decisions, effects.deliveries)
            else:
                crowds.append((requests, observation))
        call.rest = self._ask_crowds(number, crowds, now)
        if len(call.job_ids) < len(call.requests):
            # Nobody asked for the others: they go at once, in calls of their own.
            asked = set(call.job_ids)
            decisions.update((one, None) for one in self._requests_in(call) if one.job_id not in asked)
        effects.deliveries.extend(self._apply(decisions, now))
        return effects

    def fail(self, call: Call[R], failure: Failure, now: float) -> list[Delivery[R]]:
        """A call failed as a whole, and was not refused for what it asked for."""
        if call.bisection is not None:
            call.bisection.parts_in_flight -= 1
        requests = self._requests_in(call)
        if failure.kind is FailureKind.THROTTLED or failure.awaits_credentials:
            if call.bisection is None:
                return self._fail_each(call, requests, failure, now)
            # The part stays together, to be tried again; only those whose tries are used up leave it.
            self._parts.append(call)
            tried = {request: request.on_failure(failure) for request in requests}
            return self._apply(
                {one: decision for one, decision in tried.items() if decision is not None}, now
            )
        fate = Fate.TRIED if failure.lasts else self._suspicion.on_failure(call, failure, now)
        # It may be an outage from now on.
        self._pace.forget()
        if fate is Fate.GENERAL:
            waiting = [
                one
                for one in self
                if one.job.denials and one.added_after < call.number and type(one.held_by) is not int
            ]
            for request in waiting:
                self._queue.outdate(request)
                request.held_by = call.number
            requests += waiting
        elif fate is Fate.SMALLER:
            # A call that left early must not make them wait.
            early = max(0.0, min((one.latest for one in requests), default=now) - now)
            for request in requests:
                request.latest -= early

        # In an outage calls carry jobs whatever their size, and nothing is split.
        may_be_split = not self._suspicion.is_outage

        def decide(request: R) -> Decision:
            if fate is Fate.SMALLER or (may_be_split and request.one_shot and request.job.most < call.most):
                return None
            return request.on_failure(self._suspicion.judge(failure, request.job, now))

        return self._decide(call, requests, decide, now)

    def refuse(self, call: Call[R], failure: Failure, now: float) -> list[Delivery[R]]:
        """AWS refused a call because of its content: split it until the bad id is alone."""
        if call.bisection is None:
            bisection = Bisection()
        else:
            bisection = call.bisection
            bisection.parts_in_flight -= 1
        bisection.refused(call.job_ids, failure.message)
        if len(call.job_ids) < len(call.requests):
            # Nobody asked for the others, on whose behalf it went in an outage: they go at once, in calls of their own.
            asked = set(call.job_ids)
            self._apply({one: None for one in self._requests_in(call) if one.job_id not in asked}, now)
        ended: list[R] = []
        if len(call.job_ids) == 1 or bisection.is_general:
            ended = self._requests_in(call)
        else:
            # The bad id may have left meanwhile, so even a single one that stays is tried again.
            stay = list({request.job_id: request for request in self._requests_in(call)}.items())
            middle = len(stay) // 2
            for half in (stay[:middle], stay[middle:]):
                self._parts.append(Call(call.number, dict(half), due=now, bisection=bisection))
        if bisection.is_general:
            for part in self._parts:
                if part.bisection is bisection:
                    ended += self._requests_in(part)
            self._parts = [part for part in self._parts if part.bisection is not bisection]
        return self._fail_each(call, ended, failure, now)

    def _take_part(self) -> Call[R] | None:
        while self._parts:
            part = min(self._parts, key=lambda part: part.bisection.preference(len(part.job_ids)))  # type: ignore[union-attr]
            self._parts.remove(part)
            requests = self._requests_in(part)
            if requests and part.bisection is not None:
                self._calls += 1
                for request in requests:
                    request.held_by = self._calls
                part.bisection.sent()
                by_id = {request.job_id: request for request in requests}
                return Call(self._calls, by_id, due=part.due, bisection=part.bisection)
        return None

    def _pop_due_one_shots(self, now: float) -> Iterator[R]:
        while self._one_shots and self._one_shots[0][0] <= now:
            _, _, request, holder = heappop(self._one_shots)
            if request.held_by is holder:
                self._queue.outdate(request)
                yield request

    def _requests_in(self, call: Call[R]) -> list[R]:
        return [
            request
            for first in call.requests.values()
            for request in first.job
            if request.held_by == call.number
        ]

    def _fail_each(
        self, call: Call[R], requests: Sequence[R], failure: Failure, now: float
    ) -> list[Delivery[R]]:
        return self._decide(call, requests, lambda request: request.on_failure(failure), now)

    def _decide(
        self, call: Call[R], requests: Sequence[R], decide: Callable[[R], Decision], now: float
    ) -> list[Delivery[R]]:
        """Decide on requests: on the first of them now, on the others as `Call.rest` is gone through."""

        def slices() -> Iterator[list[Delivery[R]]]:
            for begin in range(0, len(requests), MOST_AT_ONCE):
                some = requests[begin : begin + MOST_AT_ONCE]
                yield self._apply({request: decide(request) for request in some}, now)

        call.rest = slices()
        return next(call.rest, [])

    def _ask_crowds(
        self, number: int, crowds: Sequence[tuple[Sequence[R], Observation | None]], now: float
    ) -> Iterator[list[Delivery[R]]]:
        """Ask those who are very many for one job what they make of the answer to a call, in slices."""
        for requests, observation in crowds:
            for begin in range(0, len(requests), MOST_AT_ONCE):
                decisions: dict[R, Decision] = {}
                deliveries: list[Delivery[R]] = []
                some = requests[begin : begin + MOST_AT_ONCE]
                self._ask_each(some, number, observation, decisions, deliveries)
                yield deliveries + self._apply(decisions, now)

    def _ask_each(
        self,
        requests: Sequence[R],
        number: int,
        observation: Observation | None,
        decisions: dict[R, Decision],
        deliveries: list[Delivery[R]],
    ) -> None:
        """Ask requests for a job what they make of the answer to a call, those included that were not in it."""
        for request in requests:
            if request.held_by == number:
                decisions[request] = (
                    request.on_absent() if observation is None else request.on_seen(observation)
                )
            elif request.held_by is None:
                # It has left since: between two slices, or because of another's schedule.
                pass
            elif observation is not None and request.added_after < number:
                decision = request.on_seen_early(observation)
                if isinstance(decision, Deliver) and decision.window is None:
                    # It keeps its window, and its place if it is in a call under way.
                    deliveries.append(Delivery(request, None))
                elif decision is not None:
                    if type(request.held_by) is not int:
                        self._queue.outdate(request)
                        request.held_by = number
                    decisions[request] = decision

    def _apply(self, decisions: Mapping[R, Decision], now: float) -> list[Delivery[R]]:
        """Let each request go on or leave, as it decided."""
        deliveries: list[Delivery[R]] = []
        given: object = self
        for request, decision in decisions.items():
            if request.held_by is None:
                # Another's schedule made it leave.
                continue
            if decision is not given:
                if isinstance(decision, Deliver):
                    deliveries.append(Delivery(request, None))
                    decision = decision.window  # noqa: PLW2901
                if isinstance(decision, Outcome):
                    self._remove(request)
                    deliveries.append(Delivery(request, decision))
                    continue
                if decision is None:
                    self._enqueue(request)
                    continue
                given = decision
                opens, closes = _moments(decision, now)
                cohort = self._queue.arrivals(opens)
                join = cohort.members.append
            # With a fixed interval all jobs of a call get the same window; times of their own would take memory, and
            # time to forget.
            request.earliest, request.latest = opens, closes
            # It joins the cohort, without a call for each.
            request.held_by = cohort
            join(request)
            if request.one_shot:
                self._push_one_shot(request)
        return deliveries

    def _enqueue(self, request: R) -> None:
        self._queue.arrivals(request.earliest).join(request)
        if request.one_shot:
            self._push_one_shot(request)

    def _push_one_shot(self, request: R) -> None:
        heappush(self._one_shots, (request.latest, next(self._one_shot_numbers), request, request.held_by))

    def _remove(self, request: R) -> None:
        self._queue.outdate(request)
        request.held_by = None
        self._size -= 1
        if request.one_shot:
            self.describes -= 1
        job = request.job
        del job[request]
        if not job:
            del self._jobs[request.job_id]
            if self._by_status is not None:
                self._by_status[job.status or NOT_SEEN] -= 1
            if job.status is not None:
                self._last_seen[request.job_id] = job
                if len(self._last_seen) > REMEMBERED:
                    del self._last_seen[next(iter(self._last_seen))]

    def _changes_of(
        self, job_id: str, job: RequestsForJob[R], observation: Observation, number: int, now: float
    ) -> Sequence[StatusChange]:
        """What is news in an observation of a job, which is recorded."""
        status, order = observation.status, observation.order
        if status is None or order < job.order:
            return ()
        reason = shared_line(observation.status_reason)
        # That AWS Batch no longer says why is no news, or answers that differ in this alone would be one after another.
        if status == job.status and (reason is None or reason == job.reason):
            return ()
        for request in job:
            # Who describes a job sees it himself; news is for those who wait. To those who came after the call had left
            # it may be the past, if an earlier wait has seen the job.
            if not request.one_shot and (job.status is None or request.added_after < number):
                seconds = None if job.status is None else now - job.since
                change = StatusChange(job_id, job.status, status, reason, seconds)
                if status != job.status:
                    job.since = now
                    if self._by_status is not None:
                        self._by_status[job.status or NOT_SEEN] -= 1
                        self._by_status[status] += 1
                job.status, job.order, job.reason = status, order, reason
                return (change,)
        return ()

    def _tidy(self) -> None:
        self._queue.tidy(self._size)
        if len(self._one_shots) > 2 * self._size + MAX_IDS_PER_CALL:
            self._one_shots = [entry for entry in self._one_shots if entry[2].held_by is entry[3]]
            heapify(self._one_shots)


def _moments(window: Window, now: float) -> tuple[float, float]:
    """When a window that is given now opens and closes."""
    opens = now + window.earliest
    return opens - opens % (1 / TICKS), now + window.latest
