"""Windows, watches and the throttle together, against a simulated AWS Batch that does as Hypothesis pleases."""

from __future__ import annotations

import dataclasses
import math
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from awaitbatch._core.backoff import Backoff, ExponentialBackoff, FixedInterval, Window
from awaitbatch._core.outcomes import MATCHED, FailureKind, Reason
from awaitbatch._core.requests import MAX_IDS_PER_CALL, Call, Delivery, StatusChange
from awaitbatch._core.throttle import AdaptiveThrottle
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import MAX_ONE_SHOTS_FIRST, Windows
from awaitbatch._jobs import JobStatus

from .probes import PERMANENT, THROTTLED, TRANSIENT, failure, names, seen

if TYPE_CHECKING:
    from collections.abc import Iterable

STATES: Final = [*JobStatus][:-1]
"""What a simulated job passes through, one after the other."""
ENDED: Final = frozenset({"SUCCEEDED", "FAILED"})
MAX_RATE: Final = 20.0
FAMOUS_JOBS: Final = names(8, "famous")
"""Jobs that several requests want."""


class Flight(NamedTuple):
    """A call under way.

    Attributes:
        call: The call.
        sent: When it was taken, in events.
        states: How far each of its jobs had come when it was sent.
    """

    call: Call[Watch]
    sent: int
    states: dict[str, int]


@dataclasses.dataclass
class Ticket:
    """What the model knows of a request.

    Attributes:
        added: When it was added, in events.
        state: How far its job had come then.
        call: The number of the call that carries it, or None while it waits.
        passed_over: Calls that left without it after its `latest`.
    """

    added: int
    state: int
    call: int | None = None
    passed_over: int = 0


class Herd(RuleBasedStateMachine):
    """Many who wait for jobs, and a server that answers, throttles, fails and refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = Windows[Watch]()
        self.throttle = AdaptiveThrottle(MAX_RATE, Random(1))
        self.now = 0.0
        self.events = 0
        self.states: dict[str, int] = {}
        self.tickets: dict[Watch, Ticket] = {}
        self.flights: list[Flight] = []
        self.departures: list[float] = []
        self.newcomers = 0
        self.refusals = 0
        self.losses = 0
        self.has_answer = False
        self.most_requests = 0
        self.random = Random(1)

    # What the model knows.

    def waiting(self) -> dict[Watch, Ticket]:
        """The requests that no call carries."""
        return {watch: ticket for watch, ticket in self.tickets.items() if ticket.call is None}

    def carried(self, call: Call[Watch]) -> list[Watch]:
        """The requests that a call carries."""
        return [watch for watch, ticket in self.tickets.items() if ticket.call == call.number]

    def between_parts(self) -> list[Watch]:
        """The requests whose call was refused and whose part has not left yet."""
        under_way = {flight.call.number for flight in self.flights} | {None}
        return [watch for watch, ticket in self.tickets.items() if ticket.call not in under_way]

    # What users do.

    def watch(self, job_id: str, window: Window, *, one_shot: bool, backoff: Backoff) -> None:
        """Begin to wait for a job."""
        watch = Watch(
            job_id,
            lambda *_: pytest.fail("the core called deliver"),
            match_status=None if one_shot else ENDED,
            status_retries=3,
            backoff=backoff,
        )
        self.events += 1
        state = self.states.setdefault(job_id, 0)
        self.windows.add(watch, window, self.now)
        self.tickets[watch] = Ticket(self.events, state)
        self.most_requests = max(self.most_requests, len(self.tickets))

    @rule(
        job_id=st.sampled_from(FAMOUS_JOBS),
        begin=st.floats(0, 3),
        length=st.floats(0, 3),
        seconds=st.sampled_from([0.5, 4]),
    )
    def poll_one(self, job_id: str, begin: float, length: float, seconds: float) -> None:
        """Wait for the end of a job that others wait for too."""
        window = Window(begin, begin + length)
        self.watch(job_id, window, one_shot=False, backoff=FixedInterval(seconds))

    @rule(job_id=st.sampled_from(FAMOUS_JOBS), length=st.sampled_from([0, 0.005]))
    def describe_one(self, job_id: str, length: float) -> None:
        """Describe a job at once."""
        self.watch(job_id, Window(0, length), one_shot=True, backoff=FixedInterval(1))

    @rule(
        size=st.integers(20, 120),
        one_shot=st.booleans(),
        begin=st.floats(0, 2),
        spread=st.sampled_from([0, 3]),
    )
    def crowd(self, *, size: int, one_shot: bool, begin: float, spread: float) -> None:
        """Many wait for a job each."""
        backoff = ExponentialBackoff(random=self.random)
        for _ in range(size):
            self.newcomers += 1
            latest = begin + spread * self.random.random()
            window = Window(0 if one_shot else begin, latest)
            self.watch(f"new-{self.newcomers}", window, one_shot=one_shot, backoff=backoff)

    @precondition(lambda self: self.tickets)
    @rule(seed=st.integers(0, 1000), share=st.sampled_from([0.001, 0.3]))
    def cancel(self, seed: int, share: float) -> None:
        """Some lose patience, wherever their requests are."""
        watches = list(self.tickets)
        for watch in Random(seed).sample(watches, math.ceil(len(watches) * share)):
            self.windows.discard(watch)
            self.windows.discard(watch)
            del self.tickets[watch]

    # What AWS and the clock do.

    @rule(seconds=st.sampled_from([0.001, 0.3, 2, 20]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @precondition(lambda self: self.states)
    @rule(seed=st.integers(0, 1000), share=st.sampled_from([0.2, 1]))
    def progress(self, seed: int, share: float) -> None:
        """Some jobs come to their next state."""
        for job_id in Random(seed).sample(list(self.states), math.ceil(len(self.states) * share)):
            self.states[job_id] = min(self.states[job_id] + 1, len(STATES) - 1)

    @precondition(lambda self: self.flights)
    @rule(place=st.integers(0, 100), missing=st.sampled_from([0, 0, 0, 7]))
    def answer(self, place: int, missing: int) -> None:
        """A call is answered, perhaps without some jobs, in any order of the calls."""
        flight = self.flights.pop(place % len(self.flights))
        self.has_answer = True
        self.throttle.on_answer(flight.call.number, self.now)
        jobs = {
            job_id: seen(STATES[state])
            for number, (job_id, state) in enumerate(flight.states.items())
            if not missing or number % missing
        }
        carried = self.carried(flight.call)
        untouched = {watch: (watch.earliest, watch.latest) for watch in self.tickets if watch not in carried}
        ended, changes, _ = self.windows.answer(flight.call, jobs, self.now)
        self.check_ends(flight, ended)
        self.check_changes(changes)
        self.leave(carried, ended)
        for watch, window in untouched.items():
            assert (watch.earliest, watch.latest) == window

    @precondition(lambda self: self.flights)
    @rule(place=st.integers(0, 100))
    def reject(self, place: int) -> None:
        """A call came too fast."""
        flight = self.flights.pop(place % len(self.flights))
        carried = self.carried(flight.call)
        deadlines = {watch: watch.latest for watch in carried}
        self.throttle.on_throttled(flight.call.number, self.now)
        throttled = dataclasses.replace(THROTTLED, costs_attempt=self.throttle.at_floor)
        ended = self.windows.fail(flight.call, throttled, self.now)
        assert all(watch.one_shot and self.throttle.at_floor for watch, _ in ended)
        assert deadlines == {watch: watch.latest for watch in carried}
        # A part of a refused call stays together, but for those who have no try left.
        self.leave(carried if flight.call.bisection is None else [], ended)
        for ticket in self.waiting().values():
            ticket.passed_over = max(0, ticket.passed_over - 1)

    @precondition(lambda self: self.flights)
    @rule(place=st.integers(0, 100), fatal=st.sampled_from([False, False, True]))
    def lose(self, *, place: int, fatal: bool) -> None:
        """A call fails."""
        flight = self.flights.pop(place % len(self.flights))
        self.losses += 1
        carried = self.carried(flight.call)
        # A job's failure concerns all who had asked for it when the call left, be they in it or not.
        number, job_ids = flight.call.number, set(flight.call.requests)
        concerned = {
            watch
            for watch in self.waiting()
            if watch.job.denials or (watch.job_id in job_ids and watch.added_after < number)
        }
        # Others have found out meanwhile that their calls must be smaller.
        go_again = {watch for watch in carried if watch.one_shot and watch.job.most < flight.call.most}
        ended = self.windows.fail(flight.call, PERMANENT if fatal else TRANSIENT, self.now)
        is_first_impression = fatal and not self.has_answer
        assert {watch for watch, _ in ended} <= {
            *carried,
            *(concerned if is_first_impression else ()),
        }
        if is_first_impression and len(flight.call.requests) == 1:
            assert {watch for watch, _ in ended} >= set(carried) - go_again
        self.leave(carried, ended)

    @precondition(lambda self: self.flights)
    @rule(place=st.integers(0, 100), text=st.sampled_from(["always the same", None]))
    def refuse(self, place: int, text: str | None) -> None:
        """AWS does not like the content of a call."""
        flight = self.flights.pop(place % len(self.flights))
        self.refusals += 1
        # In an outage a call asks for one job on behalf of all in it; the others are not refused, and wait again.
        carried = self.carried(flight.call)
        unasked = [watch for watch in carried if watch.job_id not in flight.call.job_ids]
        involved = {*carried, *self.between_parts()} - {*unasked}
        refused = failure(FailureKind.REFUSED, text or f"call {flight.call.number}")
        ended = self.windows.refuse(flight.call, refused, self.now)
        assert {watch for watch, _ in ended} <= involved
        assert all(outcome and outcome.reason is Reason.FAILED for _, outcome in ended)
        self.leave(unasked, ended)

    @precondition(lambda self: self.windows.next_deadline() < math.inf)
    @rule()
    def send(self) -> None:
        """Send a call as soon as it may go, and see that it carries whom it should."""
        deadline = self.windows.next_deadline(self.throttle.ready_at)
        self.now = max(self.now, deadline, self.throttle.ready_at)
        call = self.windows.take(self.now)
        if call is None:
            assert deadline == -math.inf, "the shell would ask again and again"
            return
        assert 0 < len(call.job_ids) == len(set(call.job_ids)) <= MAX_IDS_PER_CALL
        self.throttle.on_sent(call.number, self.now, call.due)
        self.departures.append(self.now)
        self.events += 1
        if call.bisection is None:
            self.check_ids(call)
        else:
            self.check_part(call)
        states = {job_id: self.states[job_id] for job_id in call.job_ids}
        self.flights.append(Flight(call, self.events, states))

    @rule(seconds=st.sampled_from([0.2, 3]), place=st.integers(0, 5), most=st.integers(2, 12))
    def everyday(self, seconds: float, place: int, most: int) -> None:
        """For some seconds all goes well, with several calls under way."""
        until = self.now + seconds
        for _ in range(most):
            if max(self.windows.next_deadline(), self.throttle.ready_at) < until:
                self.send()
            if len(self.flights) > place:
                self.answer(place, 0)

    # What must hold.

    def check_ids(self, call: Call[Watch]) -> None:
        """All who may share an id are carried; the ids were chosen by deadline, but for one-shots that go first."""
        waiting = {watch: ticket for watch, ticket in self.waiting().items() if watch.earliest <= self.now}
        # A call that leaves early is full.
        has_to_leave = any(watch.latest <= self.now for watch in waiting)
        assert has_to_leave or len({watch.job_id for watch in waiting}) >= MAX_IDS_PER_CALL
        soonest: dict[str, float] = {}
        one_shots: dict[str, float] = {}
        for watch in waiting:
            job_id, latest = watch.job_id, watch.latest
            soonest[job_id] = min(latest, soonest.get(job_id, math.inf))
            if watch.one_shot and latest <= self.now:
                one_shots[job_id] = min(latest, one_shots.get(job_id, math.inf))
        carried = set(call.requests)
        assert set(call.job_ids) <= carried
        is_outage = self.windows._suspicion.is_outage
        # After failures there are jobs of several kinds, and a call has those of one; but in an outage of all.
        kinds = {watch.job_id: MAX_IDS_PER_CALL if is_outage else watch.job.most for watch in waiting}
        assert {kinds[job_id] for job_id in carried} == {call.most}
        left = {job_id for job_id in soonest.keys() - carried if kinds[job_id] == call.most}
        if left:
            # A call gives up looking for those of its kind when it has met a hundred others, be they for one job.
            others = [watch for watch in waiting if kinds[watch.job_id] != call.most]
            assert len(carried) == call.most or len(others) >= MAX_IDS_PER_CALL, "places stayed empty"
            jumped = {job_id for job_id in carried if soonest[job_id] > min(soonest[other] for other in left)}
            assert len(jumped) <= MAX_ONE_SHOTS_FIRST
            assert jumped <= one_shots.keys()
        if overdue := [one_shots[job_id] for job_id in left & one_shots.keys()]:
            of_other_kinds = [watch for watch in others if watch.one_shot and watch.latest <= self.now]
            places = min(MAX_ONE_SHOTS_FIRST, call.most) - len(of_other_kinds)
            assert len(carried & one_shots.keys()) >= places
            if places > 0:
                first = sorted(one_shots[job_id] for job_id in carried & one_shots.keys())
                assert first[places - 1] <= min(overdue)
        for watch, ticket in waiting.items():
            if watch.job_id in carried:
                ticket.call, ticket.passed_over = call.number, 0
            elif watch.latest <= self.now:
                ticket.passed_over += 1
                calls = self.most_requests // (MAX_IDS_PER_CALL - MAX_ONE_SHOTS_FIRST) + 1
                # After failures some have calls of their own.
                assert ticket.passed_over <= (self.most_requests if self.losses else calls), "starved"

    def check_part(self, call: Call[Watch]) -> None:
        """A part of a refused call carries only requests of that call."""
        between = self.between_parts()
        carried = [watch for watch in between if watch.held_by == call.number]
        assert {watch.job_id for watch in carried} == set(call.job_ids)
        for watch in carried:
            self.tickets[watch].call = call.number

    def check_ends(self, flight: Flight, ended: Iterable[Delivery[Watch]]) -> None:
        """Nobody is answered by a call that was sent before the request was made, or with what it did not await."""
        for watch, outcome in ended:
            ticket = self.tickets[watch]
            assert ticket.added < flight.sent
            if outcome is MATCHED:
                state = flight.states[watch.job_id]
                assert state >= ticket.state, "a describe showed the past"
                assert watch.one_shot or STATES[state] in ENDED
            else:
                assert ticket.call == flight.call.number

    def check_changes(self, changes: list[StatusChange]) -> None:
        """News goes forward, once a job."""
        assert len({change.job_id for change in changes}) == len(changes)
        for _, before, after, *_ in changes:
            assert before is None or STATES.index(JobStatus(before)) < STATES.index(JobStatus(after))

    def leave(self, carried: Iterable[Watch], ended: Iterable[Delivery[Watch]]) -> None:
        """The requests of a call that has ended wait again; those that are done are gone."""
        for watch in carried:
            self.tickets[watch].call = None
        for watch, _ in ended:
            del self.tickets[watch]

    @invariant()
    def nobody_is_lost(self) -> None:
        """All are there who should be, and the deadline is that of the first who waits."""
        assert len(self.windows) == len(self.tickets)
        assert set(self.windows) == self.tickets.keys()
        assert self.windows.describes == sum(watch.one_shot for watch in self.tickets)
        by_status, soonest = self.windows.count()
        assert self.windows.by_status() == by_status
        assert sum(by_status.values()) == len({watch.job_id for watch in self.tickets})
        assert self.windows.soonest() == soonest
        under_way = {flight.call.number for flight in self.flights}
        first, split = math.inf, False
        for watch, ticket in self.tickets.items():
            if ticket.call is None:
                first = min(first, watch.latest)
            else:
                split = split or ticket.call not in under_way
        deadline = self.windows.next_deadline()
        if deadline == -math.inf:
            assert self.refusals, "nothing was refused"
        else:
            assert not split, "a part is lost"
            assert deadline <= first
            if len({watch.job_id for watch in self.waiting()}) < MAX_IDS_PER_CALL:
                assert deadline == first

    def teardown(self) -> None:
        """Once AWS is well again and all jobs have ended, everybody gets an answer, never above the limit."""
        self.states = dict.fromkeys(self.states, len(STATES) - 1)
        most_calls = 2 * len(self.tickets)
        while self.flights or self.tickets:
            if self.flights:
                self.answer(0, 0)
            else:
                self.send()
                most_calls -= 1
                assert most_calls >= 0
        for first, begin in enumerate(self.departures):
            for last in range(first, len(self.departures)):
                assert last - first <= MAX_RATE * (self.departures[last] - begin) + 1e-6


TestHerd = Herd.TestCase
TestHerd.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# What the machine has found once, by hand.


@pytest.fixture
def herd() -> Herd:
    """A herd that goes where the test drives it."""
    return Herd()


def finish(herd: Herd) -> None:
    """See that nobody is lost, and that everybody gets an answer."""
    herd.nobody_is_lost()
    herd.teardown()


def test_who_was_not_asked_for_in_an_outage_is_not_refused(herd: Herd) -> None:
    """Two calls with an id each have failed, the next asks for one of the two and is refused: the other waits again."""
    for job_id in FAMOUS_JOBS[:2]:
        herd.describe_one(job_id, 0)
        herd.send()
    herd.lose(place=0, fatal=False)
    herd.lose(place=0, fatal=False)
    herd.send()
    (call,) = [flight.call for flight in herd.flights]
    assert (len(call.requests), len(call.job_ids)) == (2, 1)
    herd.refuse(0, "always the same")
    (left,) = herd.windows
    assert left.job_id not in call.job_ids
    assert herd.windows.next_deadline() == left.latest
    finish(herd)


def test_a_part_without_tries_left(herd: Herd) -> None:
    """At its floor the throttle takes tries from the describes in a part of a refused call, until they end."""
    for job_id in FAMOUS_JOBS[:3]:
        herd.describe_one(job_id, 0)
    herd.send()
    herd.poll_one("famous-7", 0, 0, 0.5)
    while not herd.throttle.at_floor:
        herd.send()
        herd.reject(1)
    herd.refuse(0, "always the same")
    while len(herd.tickets) > 1:
        herd.send()
        herd.reject(0)
        herd.nobody_is_lost()
    finish(herd)


def test_a_hundred_requests_of_other_kinds_are_met(herd: Herd) -> None:
    """Once a hundred that may not come along are set aside, a call leaves as it is, even if some are for one job."""
    for job_id in FAMOUS_JOBS[:2]:
        herd.describe_one(job_id, 0)
    herd.send()
    herd.describe_one("famous-2", 0)
    for _ in range(98):
        herd.poll_one("famous-0", 0, 0, 4)
    herd.lose(place=0, fatal=False)
    herd.poll_one("famous-3", 0, 0, 4)
    herd.send()
    assert [flight.call.job_ids for flight in herd.flights] == [("famous-2",)]
    finish(herd)


def test_places_of_describes_that_may_not_come_along(herd: Herd) -> None:
    """Each of ten describes of a job that may be at fault takes one of the places of those that go first."""
    for job_id in FAMOUS_JOBS[:2]:
        herd.describe_one(job_id, 0)
    herd.send()
    herd.describe_one("famous-2", 0)
    herd.crowd(size=110, one_shot=False, begin=0, spread=0)
    herd.lose(place=0, fatal=False)
    for _ in range(10):
        herd.describe_one("famous-0", 0)
    herd.describe_one("famous-3", 0)
    herd.send()
    (call,) = [flight.call for flight in herd.flights]
    assert "famous-2" in call.requests
    assert "famous-3" not in call.requests
    finish(herd)
