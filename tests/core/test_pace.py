"""Calls leave evenly: literal times, the definition as a reference, and what must hold whatever happens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._core.backoff import ExponentialBackoff, Window
from awaitbatch._core.pace import LEAST_PACE, Pace, plan
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from awaitbatch._core.windows import Windows

from .probes import PERMANENT, THROTTLED, TRANSIENT, Probe, added, departs, everybody, names, one_shot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch._core.queue import Group
    from awaitbatch._core.requests import Call


@pytest.fixture
def windows() -> Windows[Probe]:
    """No requests yet."""
    return Windows[Probe]()


def waiting(
    windows: Windows[Probe], count: int, window: Window, *, now: float = 0, reply: Window | None = None
) -> list[Probe]:
    """So many requests for a job each, all with that window, and then with that of the reply."""
    names_of = names(count, f"job-{len(windows)}-")
    reply = reply or Window(1000, 2000)
    return [added(windows, Probe(name, reply=reply), window, now) for name in names_of]


def departures(windows: Windows[Probe], until: float, delay: float = 0.01) -> list[float]:
    """When calls leave up to a moment, if each is answered a while later."""
    moments: list[float] = []
    flights: list[tuple[float, Call[Probe]]] = []
    while True:
        departure = max(windows.next_deadline(), moments[-1] if moments else 0.0)
        if flights and flights[0][0] <= departure:
            now, call = flights.pop(0)
            windows.answer(call, everybody(call), now)
        elif departure > until:
            return moments
        else:
            moments.append(departure)
            flights.append((departure + delay, departs(windows, departure)))


def most_in_a_second(moments: Sequence[float]) -> int:
    """The most of them within a second."""
    return max(sum(begin <= moment < begin + 1 for moment in moments) for begin in moments)


class TestEvenness:
    """A thousand jobs in step do not make ten calls at one moment."""

    def test_evenly_until_the_windows_close(self, windows: Windows[Probe]) -> None:
        """The first call leaves as soon as windows are open, as ten at that pace would be late by then."""
        waiting(windows, 1000, Window(2.5, 5))
        assert windows.next_deadline() == 2.5
        assert departures(windows, 6) == pytest.approx([2.5 + number * 2.5 / 9 for number in range(10)])

    def test_no_sooner_than_the_least_pace_demands(self, windows: Windows[Probe]) -> None:
        """With time enough calls leave 0.4 s from each other, the last one when it must."""
        waiting(windows, 500, Window(0, 60))
        assert departures(windows, 61) == pytest.approx([58.4, 58.8, 59.2, 59.6, 60])
        assert LEAST_PACE == 2.5

    def test_they_stay_spread(self, windows: Windows[Probe]) -> None:
        """After two intervals a thousand jobs are at most three calls in a second, and never more calls than needed."""
        waiting(windows, 1000, Window(0, 0), reply=Window(2.5, 5))
        moments = departures(windows, 120)
        assert most_in_a_second([moment for moment in moments if moment > 10]) <= 3
        assert len(moments) <= 240 * 1.04

    def test_different_deadlines(self, windows: Windows[Probe]) -> None:
        """Each hundred is in time: the second one, at the least pace, decides on the first."""
        waiting(windows, 100, Window(0, 10))
        waiting(windows, 200, Window(0, 10.2))
        waiting(windows, 100, Window(0, 30))
        assert departures(windows, 40) == pytest.approx([9.4, 9.8, 10.2, 30])

    def test_a_pace_above_the_least_counts_from_the_last_departure(self, windows: Windows[Probe]) -> None:
        """Six hundred within two seconds of it are three a second."""
        waiting(windows, 1, Window(0, 1))
        departs(windows, 1)
        waiting(windows, 600, Window(0, 2), now=1)
        assert windows.next_deadline() == pytest.approx(1 + 1 / 3)
        assert departs(windows, 1 + 1 / 3).due == pytest.approx(1 + 1 / 3)
        assert windows.next_deadline() == pytest.approx(1 + 2 / 3)

    @pytest.mark.parametrize("count", [1, 99, 100])
    def test_up_to_a_call_nothing_changes(self, windows: Windows[Probe], count: int) -> None:
        """A call that can carry all leaves as late as it may."""
        waiting(windows, count, Window(0, 10))
        assert windows.next_deadline() == 10
        assert windows.take(9.999) is None

    def test_one_more_than_a_call(self, windows: Windows[Probe]) -> None:
        """Two calls are 0.4 s apart, and the second one carries whoever is left, in time."""
        waiting(windows, 101, Window(0, 10))
        assert windows.take(9.599) is None
        assert len(departs(windows, 9.6).job_ids) == 100
        assert windows.next_deadline() == 10

    def test_jobs_count_and_not_requests(self, windows: Windows[Probe]) -> None:
        """A thousand requests for fifty jobs are one call."""
        for number in range(1000):
            added(windows, Probe(f"{number % 50}"), Window(0, 10))
        assert windows.next_deadline() == 10
        for number in range(1000):
            added(windows, Probe(f"more-{number % 150}"), Window(0, 10))
        assert windows.next_deadline() == 9.6

    def test_different_deadlines_in_a_cohort(self, windows: Windows[Probe]) -> None:
        """What opens together and closes at different moments is spread as well, and nobody is late."""
        for number in range(1000):
            added(windows, Probe(f"{number}"), Window(1, 1 + number / 500))
        moments = departures(windows, 4)
        assert len(moments) == 10
        assert most_in_a_second(moments) <= 6

    def test_one_shots_are_in_time(self, windows: Windows[Probe]) -> None:
        """Hundreds of describes leave within their milliseconds."""
        for name in names(300):
            added(windows, one_shot(name), Window(0, 0.005))
        moments = departures(windows, 1)
        assert len(moments) == 3
        assert moments[-1] <= 0.005


class TestOpenings:
    """Windows that open later change when the next call leaves."""

    def test_too_late_to_matter(self, windows: Windows[Probe]) -> None:
        """What opens after the departure is for the next one."""
        waiting(windows, 101, Window(0, 10))
        waiting(windows, 500, Window(9.7, 10))
        assert windows.next_deadline() == 9.6

    def test_in_time(self, windows: Windows[Probe]) -> None:
        """What opens before it brings it forward."""
        waiting(windows, 100, Window(0, 10))
        waiting(windows, 100, Window(9, 10))
        assert windows.next_deadline() == 9.6

    def test_a_departure_at_an_opening(self, windows: Windows[Probe]) -> None:
        """If it would have had to be before they were open, it is as they open."""
        waiting(windows, 100, Window(0, 10))
        waiting(windows, 300, Window(9.75, 10))
        assert windows.take(9.7) is None
        assert windows.next_deadline() == 9.75
        departs(windows, 9.75)

    def test_many_open_one_after_the_other(self, windows: Windows[Probe]) -> None:
        """Of many openings the first is found that brings a call."""
        for number in range(64):
            waiting(windows, 10, Window(number / 8, 10))
        # At 7.5 s there are 610, which are seven calls: the first of them leaves at 10 - 6 / 2.5.
        assert windows.next_deadline() == 7.6

    def test_who_comes_meanwhile(self, windows: Windows[Probe]) -> None:
        """Requests that are added bring it forward, too, as soon as they are a hundred more."""
        waiting(windows, 100, Window(0, 10))
        assert windows.next_deadline() == 10
        waiting(windows, 100, Window(0, 12), now=1)
        assert windows.next_deadline() == 10
        waiting(windows, 100, Window(0, 8), now=2)
        assert windows.next_deadline() == 9.6


class TestStorms:
    """Cancellations, throttled accounts and outages."""

    def test_cancellations_do_not_lead_to_early_calls(self, windows: Windows[Probe]) -> None:
        """When nearly all have left, the others' call leaves as late as it may."""
        crowd = waiting(windows, 1000, Window(2.5, 5))
        assert windows.next_deadline() == 2.5
        for probe in crowd[1::10] + crowd[2::10] + crowd[3:950]:
            windows.discard(probe)
        assert len(windows) < 100
        assert windows.take(2.5) is None
        assert windows.next_deadline() == 5

    def test_cancellations_leave_the_pace_of_the_others(self, windows: Windows[Probe]) -> None:
        """Whoever stays decides."""
        crowd = waiting(windows, 1000, Window(0, 10))
        assert windows.next_deadline() == 6.4
        for probe in crowd[150:]:
            windows.discard(probe)
        assert windows.next_deadline() == 9.6

    def test_cancellations_while_a_plan_is_followed(self, windows: Windows[Probe]) -> None:
        """The call after a planned one does not leave early for those who have gone."""
        crowd = waiting(windows, 1000, Window(0, 10))
        carried = set(departs(windows, windows.next_deadline()).requests.values())
        left = [probe for probe in crowd if probe not in carried]
        for probe in left[50:]:
            windows.discard(probe)
        assert windows.next_deadline() == 10

    def test_where_the_throttle_decides_nothing_is_planned(
        self, windows: Windows[Probe], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If a window closes before a call can leave, it does not matter how long before."""
        waiting(windows, 1000, Window(2.5, 5))
        monkeypatch.delattr(Pace, "plan")
        assert windows.next_deadline(6) == 5
        assert departs(windows, 6).due == 5
        assert departs(windows, 6.2).due == 5

    def test_a_plan_that_was_given_up_stays_so(self, windows: Windows[Probe]) -> None:
        """A describe leaves before the planned call, and that one late: what came after it then is not followed."""
        waiting(windows, 199, Window(0, 10))
        waiting(windows, 50, Window(1, 30))
        assert windows.next_deadline() == 9.6
        added(windows, one_shot("describe"), now=5)
        assert len(departs(windows, 5).job_ids) == 100
        assert windows.next_deadline(10.25) == 10
        assert len(departs(windows, 10.25).job_ids) == 100
        assert windows.next_deadline() == 30

    def test_throttled_requests_keep_their_deadlines(self, windows: Windows[Probe]) -> None:
        """A call that left early and was throttled leaves again at the pace of all, and in time."""
        waiting(windows, 600, Window(0, 6))
        first = departs(windows, windows.next_deadline())
        assert first.due == 4
        windows.fail(first, THROTTLED, 4.1)
        assert windows.next_deadline() == pytest.approx(4 + 2 / 6)
        assert {probe.latest for probe in windows} == {6}

    def test_who_has_to_go_in_smaller_calls_goes_at_once(self, windows: Windows[Probe]) -> None:
        """Although the call left early, its ids are split right after the failure."""
        waiting(windows, 150, Window(0, 10))
        call = departs(windows, 9.6)
        windows.fail(call, PERMANENT, 9.7)
        assert windows.next_deadline() == 9.7
        assert len(departs(windows, 9.7).job_ids) == 50

    def test_no_call_leaves_early_in_an_outage(self, windows: Windows[Probe]) -> None:
        """They are probes then, of a single id."""
        for number in range(2):
            added(windows, Probe(f"{number}", on_failure=Window(500, 500)))
            windows.fail(departs(windows, number), TRANSIENT, number)
        waiting(windows, 1000, Window(0, 10), now=2)
        assert windows.next_deadline() == 12

    def test_nobody_is_there_for_a_planned_call(self, windows: Windows[Probe]) -> None:
        """Should the numbers ever be wrong, no call leaves without ids, and nobody asks in vain again and again."""
        for probe in waiting(windows, 200, Window(0, 10)):
            probe.held_by = None
        waiting(windows, 1, Window(9.75, 9.875))
        assert windows.next_deadline() == 9.6
        assert windows.take(9.6) is None
        assert windows.next_deadline() == 9.875
        assert len(departs(windows, 9.875).job_ids) == 1


def test_many_jobs_are_not_planned_anew_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """With twenty thousand jobs in step with a constant pace one plan lasts for ten calls and more."""
    windows = Windows[Probe]()
    for number in range(200):
        waiting(windows, 100, Window(0, number / 4), reply=Window(25, 50))
    plans = 0
    groups = windows._queue.groups

    def counted(before: float) -> list[Group]:
        nonlocal plans
        plans += 1
        return groups(before)

    monkeypatch.setattr(type(windows._queue), "groups", lambda _, before: counted(before))
    moments = departures(windows, 200)
    assert len(moments) >= 750
    assert plans <= len(moments) / 10


# The definition, word for word, for single requests.


def defined(requests: Sequence[tuple[float, float]], last: float) -> float:
    """When the next call leaves if all of these are open."""
    deadlines = sorted(latest for _, latest in requests)[::MAX_IDS_PER_CALL]
    if len(requests) < MAX_IDS_PER_CALL:
        return math.inf
    needed = max(number / max(latest - last, 1e-300) for number, latest in enumerate(deadlines, start=1))
    pace = max(LEAST_PACE, needed)
    return min(latest - number / pace for number, latest in enumerate(deadlines))


def first_moment(requests: Sequence[tuple[float, float]], last: float) -> float:
    """The first moment at which that has come for those who are open by then, or at which the first window closes."""
    found = min(latest for _, latest in requests)
    for moment in sorted({opens for opens, _ in requests}):
        if moment <= found:
            departure = defined([request for request in requests if request[0] <= moment], last)
            found = min(found, max(departure, moment))
    return found


GROUPS = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(1, 250)), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(
    parts=GROUPS, last=st.one_of(st.just(-math.inf), st.integers(-20, 80).map(lambda eighths: eighths / 8))
)
def test_does_as_defined(parts: list[tuple[int, int, int]], last: float) -> None:
    """Where a cohort's windows close together, a new plan is what the definition demands."""
    groups = sorted(((opens + length) / 8, opens / 8, count) for opens, length, count in parts)
    soonest = groups[0][0]
    requests = [(opens, latest) for latest, opens, count in groups for _ in range(count)]
    found = plan([group for group in groups if group[1] < soonest], last)
    if soonest > last:
        assert min(soonest, found.departure) == pytest.approx(first_moment(requests, last))
    assert found.calls >= 1


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("come"),
            st.integers(1, 300),
            st.sampled_from([(0, 0.005), (0, 3), (1, 2), (2.5, 5), (4, 30)]),
        ),
        st.tuples(st.just("scattered"), st.integers(1, 300), st.sampled_from([(1, 9), (0.5, 2)])),
        st.tuples(st.just("send"), st.integers(1, 12), st.just((0, 0))),
        st.tuples(st.just("answer"), st.integers(1, 12), st.just((0, 0))),
        st.tuples(st.just("cancel"), st.integers(2, 10), st.just((0, 0))),
    ),
    max_size=25,
)


class Crowd:
    """Who waits, and the calls under way."""

    def __init__(self, reply: tuple[float, float] | None) -> None:
        self.windows = Windows[Probe]()
        self.now = 0.0
        self.waits: set[Probe] = set()
        self.under_way: list[Call[Probe]] = []
        self._reply = reply
        self._backoff = ExponentialBackoff()
        self._came = 0

    def come(self, number: int, earliest: float, latest: float, *, scattered: bool) -> None:
        """Many begin to wait."""
        for _ in range(number):
            self._came += 1
            length = (latest - earliest) * (self._came * 0.618 % 1 if scattered else 1)
            again = Window(*self._reply) if self._reply else self._backoff.window(self._came % 9)
            probe = Probe(f"{self._came}", reply=again)
            self.waits.add(added(self.windows, probe, Window(earliest, earliest + length), self.now))

    def cancel(self, every: int) -> None:
        """Some of those who wait lose patience."""
        for probe in list(self.waits)[::every]:
            self.windows.discard(probe)
            self.waits.discard(probe)

    def answer(self, number: int) -> None:
        """Some calls are answered."""
        for call in self.under_way[:number]:
            self.windows.answer(call, everybody(call), self.now)
            self.waits.update(call.requests.values())
        del self.under_way[:number]

    def send(self) -> None:
        """A call leaves when it is to, and carries whom it should."""
        departure = self.windows.next_deadline()
        first = min((probe.latest for probe in self.waits), default=math.inf)
        assert departure <= first
        if departure == math.inf:
            return
        if departure > self.now:
            assert self.windows.take(math.nextafter(departure, -math.inf)) is None
            self.now = departure
        is_open = {probe for probe in self.waits if probe.earliest <= self.now}
        assert first <= self.now or len(is_open) >= MAX_IDS_PER_CALL
        call = departs(self.windows, self.now)
        carried = set(call.requests.values())
        assert len(carried) == min(MAX_IDS_PER_CALL, len(is_open))
        soonest_left = min((probe.latest for probe in is_open - carried), default=math.inf)
        assert max(probe.latest for probe in carried) <= soonest_left
        self.waits -= carried
        self.under_way.append(call)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, reply=st.sampled_from([(0.5, 1), (2.5, 5), None]))
def test_promises_are_kept(
    steps: list[tuple[str, int, tuple[float, float]]], reply: tuple[float, float] | None
) -> None:
    """No call leaves later than the first window closes, none without need; and the soonest to close go first."""
    crowd = Crowd(reply)
    for step, number, (earliest, latest) in steps:
        if step in {"come", "scattered"}:
            crowd.come(number, earliest, latest, scattered=step == "scattered")
        elif step == "cancel":
            crowd.cancel(number)
        elif step == "answer":
            crowd.answer(number)
        else:
            for _ in range(number):
                crowd.send()
