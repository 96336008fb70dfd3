"""The queue of windows against a plain list that is searched anew each time."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._core.queue import WindowQueue

NUMBERS = itertools.count(1)


@dataclass(eq=False)
class Waiting:
    """Somebody in the queue."""

    earliest: float
    latest: float
    number: int
    held_by: object = None


def queued(queue: WindowQueue[Waiting], earliest: float, latest: float) -> Waiting:
    """Somebody who has just queued up."""
    one = Waiting(earliest, latest, next(NUMBERS))
    queue.arrivals(one.earliest).join(one)
    return one


def popped(queue: WindowQueue[Waiting], now: float, count: int = 10**9) -> list[Waiting]:
    """Up to so many whose windows are open, as the queue gives them."""
    given_out = []
    for one in itertools.islice(queue.pop_open(now), count):
        one.held_by = None
        given_out.append(one)
    return given_out


MOMENT = st.integers(0, 6)
STEPS = st.one_of(
    st.tuples(st.just("push"), MOMENT, MOMENT),
    st.tuples(st.just("cancel"), st.integers(0, 50), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, 50), MOMENT),
    st.tuples(st.just("pop"), MOMENT, st.integers(1, 5)),
    st.tuples(st.just("ask"), st.just(0), st.just(0)),
    st.tuples(st.just("tidy"), st.just(0), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEPS, max_size=60), slack=st.sampled_from([0, 100]))
def test_does_as_a_plain_list(steps: list[tuple[str, int, int]], slack: int) -> None:
    """Whoever comes, leaves or moves, the queue gives the same ones in the same order as a sorted list."""
    queue = WindowQueue[Waiting]()
    waiting: list[Waiting] = []
    now = 0
    for step, first, second in steps:
        if step == "push":
            waiting.append(queued(queue, now + first, now + first + second))
        elif step == "cancel" and waiting:
            waiting.pop(first % len(waiting)).held_by = None
        elif step == "move" and waiting:
            mover = waiting[first % len(waiting)]
            mover.earliest, mover.latest, mover.number = now + second, now + second + 2, next(NUMBERS)
            queue.arrivals(mover.earliest).join(mover)
        elif step == "pop":
            now += first
            is_open = [one for one in waiting if one.earliest <= now]
            expected = sorted(is_open, key=lambda one: (one.latest, one.number))[:second]
            given_out = popped(queue, now, second)
            # Among equals of different cohorts any order is fair.
            assert [one.latest for one in given_out] == [one.latest for one in expected]
            assert len(set(given_out)) == len(given_out)
            assert all(one in is_open for one in given_out)
            waiting = [one for one in waiting if one not in given_out]
        elif step == "ask":
            assert queue.next_deadline() == min((one.latest for one in waiting), default=math.inf)
        else:
            queue.tidy(len(waiting) - slack)
        assert len(queue) >= len(waiting)
    assert set(popped(queue, math.inf)) == set(waiting)
    assert queue.next_deadline() == math.inf
    assert len(queue) == 0


def test_equals_go_in_the_order_in_which_they_came() -> None:
    """Of those whose windows are the same the first to come is the first to go."""
    queue = WindowQueue[Waiting]()
    crowd = [queued(queue, 0, 5) for _ in range(20)]
    assert popped(queue, 0) == crowd


def test_closed_windows_stay() -> None:
    """Whose window is not open yet is not given out, and has a deadline all the same."""
    queue = WindowQueue[Waiting]()
    early, late = queued(queue, 1, 9), queued(queue, 2, 3)
    assert queue.next_deadline() == 3
    assert popped(queue, 1) == [early]
    assert popped(queue, 1.9) == []
    assert popped(queue, 2) == [late]


def test_whoever_is_not_taken_stays() -> None:
    """Who was not given out is given out next time, across cohorts."""
    queue = WindowQueue[Waiting]()
    crowd = [queued(queue, number % 3, 10 - number) for number in range(10)]
    given_out = [one for _ in range(5) for one in popped(queue, 5, 2)]
    assert given_out == crowd[::-1]


def test_who_has_moved_on_decides_nothing() -> None:
    """The place of a cohort among others is that of those who are in it still."""
    queue = WindowQueue[Waiting]()
    mover, other = queued(queue, 5, 7), queued(queue, 5, 10)
    between, first = queued(queue, 4, 20), queued(queue, 0, 6)
    assert queue.next_deadline() == 6
    mover.latest = 30
    queue.arrivals(mover.earliest).join(mover)
    assert popped(queue, 6) == [first, other, between, mover]


def test_who_queues_up_twice_goes_once() -> None:
    """Even before the queue has checked those who have arrived."""
    queue = WindowQueue[Waiting]()
    one = queued(queue, 0, 5)
    queue.arrivals(one.earliest).join(one)
    assert popped(queue, 0) == [one]
    assert len(queue) == 0


def test_cohorts_take_turns() -> None:
    """Whoever closes soonest is next, whichever of several cohorts that is in."""
    queue = WindowQueue[Waiting]()
    for earliest, latest in [(0, 10), (0, 40), (1, 50), (2, 30), (2, 60)]:
        queued(queue, earliest, latest)
    assert [one.latest for one in popped(queue, 5)] == [10, 30, 40, 50, 60]


@pytest.mark.parametrize("is_open", [False, True])
def test_tidying_keeps_the_order(is_open: bool) -> None:
    """Those who stay when what is outdated goes keep their deadlines, and are given out in the same order."""
    queue = WindowQueue[Waiting]()
    first = queued(queue, 0, 0)
    latests = Random(1).sample(range(2000, 3000), 1000)
    crowd = [queued(queue, number, latest) for number, latest in enumerate(latests)]
    if is_open:
        assert popped(queue, 1000, 1) == [first]
    first.held_by = None
    for one in crowd:
        if one.latest % 5:
            one.held_by = None
    queue.tidy(200)
    assert len(queue) == 200
    for latest in range(2000, 3000, 5):
        assert queue.next_deadline() == latest
        assert [one.latest for one in popped(queue, 1000, 1)] == [latest]


def test_long_windows_leave_nothing_behind() -> None:
    """Who goes often and long before its window closes leaves no trail of empty cohorts."""
    queue = WindowQueue[Waiting]()
    queued(queue, 500, 900)
    for number in range(3000):
        one = queued(queue, 0, 1000 + number)
        assert popped(queue, 0, 1) == [one]
        queue.tidy(1)
        assert max(len(queue), len(queue._closed), len(queue._by_latest), len(queue._open)) <= 104
    assert queue.next_deadline() == 900


def test_storms_are_tidied_up() -> None:
    """What is outdated goes, wherever it is: among arrivals, closed and open windows."""
    queue = WindowQueue[Waiting]()
    staying = queued(queue, 0, 1000)
    for number in range(3000):
        one = queued(queue, number % 700, 900)
        if number % 3 == 0:
            queue.next_deadline()
        if number % 1000 == 0:
            popped(queue, 300, 0)
        one.held_by = None
        queue.tidy(1)
        assert max(len(queue), len(queue._closed), len(queue._by_latest), len(queue._open)) <= 103
    assert popped(queue, math.inf) == [staying]


def test_what_may_stay_is_not_counted_again_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """When as many are outdated as are not, the queue need not find that out each time that somebody comes."""
    queue = WindowQueue[Waiting]()
    crowd = [queued(queue, number // 2, 5000) for number in range(2090)]
    for one in crowd[1000:]:
        one.held_by = None
    counts = 0
    count = queue._count

    def quantity() -> int:
        nonlocal counts
        counts += 1
        return count()

    monkeypatch.setattr(WindowQueue, "_count", lambda _: quantity())
    for number in range(200):
        queue.tidy(1000)
        popped(queue, 0, 1)
        queued(queue, 0, number)
    assert counts <= 3
