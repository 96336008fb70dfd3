"""The throttle: never above the limit, quick to find a free rate, one cut an event, and always alive."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from heapq import heappop, heappush
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._core.throttle import AdaptiveThrottle, ThrottleParameters

DEFAULT = ThrottleParameters()
NO_DEMAND = math.inf
"""Due at infinity: a call that did not have to wait for the throttle."""
OVERDUE = 0.0
ANY = 100.0
"""When a call was answered or rejected, where it makes no difference."""


class _Lowest(Random):
    """Draws the lowest of what could be drawn, so that times are literal."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        """Draw the lower bound."""
        return a


STEADY = _Lowest()


def send_one(throttle: AdaptiveThrottle, number: int, due: float = OVERDUE) -> float:
    """Send a call as early as the throttle lets it; when that was."""
    now = max(throttle.ready_at, 1.0)
    throttle.on_sent(number, now, due)
    return now


def cut_once(throttle: AdaptiveThrottle) -> None:
    """Leave the phase of fast growth."""
    send_one(throttle, 1)
    assert throttle.on_throttled(1, ANY)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["send", "wait", "answer", "throttled"]), st.floats(0, 3)), max_size=200
)


PARAMETERS = st.just(DEFAULT) | st.builds(
    ThrottleParameters,
    start_rate=st.floats(0.2, 50),
    min_rate=st.floats(0.01, 0.2),
    rest=st.floats(0, 5),
    fast_growth=st.floats(1.1, 4),
    recent=st.floats(0.01, 5),
    approach=st.floats(0, 1),
    evidence=st.floats(0.01, 5),
    settle=st.floats(0, 20),
    kept=st.floats(0.01, 0.99),
    increase=st.floats(0.1, 10),
    cut=st.floats(0.1, 0.8),
    most_growth=st.floats(1.05, 1.25),
    drift=st.floats(0, 2),
    calm=st.floats(0, 5),
    search=st.floats(0, 1),
    low_rate=st.floats(0, 10),
    low_increase=st.floats(0, 0.04),
    low_cut=st.floats(0.8, 0.9),
    low_answers=st.integers(0, 5),
    retry=st.floats(0.01, 2),
    retry_growth=st.floats(0, 1),
    retries=st.integers(0, 5),
    retries_regained=st.integers(0, 5),
    patience=st.floats(0, 5),
    early=st.floats(0.5, 0.99),
    shared_increase=st.floats(0, 1),
    shared_cuts=st.integers(0, 5),
)
NO_RETRIES = ThrottleParameters(retries=0)
"""Each rejection is taken for one of a storm if no call was answered since the one before."""


@settings(max_examples=200, deadline=None)
@given(max_rate=st.floats(0.01, 500), events=EVENTS, parameters=PARAMETERS)
def test_never_above_the_limit(
    max_rate: float, events: list[tuple[str, float]], parameters: ThrottleParameters
) -> None:
    """In any t seconds at most 1 + max_rate · t calls go, and the rate stays within its bounds."""
    throttle = AdaptiveThrottle(max_rate, Random(1), parameters)
    now, number = 0.0, 0
    sent: list[float] = []
    for event, seconds in events:
        if event == "send":
            now = max(now, throttle.ready_at)
            number += 1
            throttle.on_sent(number, now, OVERDUE)
            sent.append(now)
        elif event == "wait":
            now += seconds
        elif event == "answer":
            throttle.on_answer(number, now)
        else:
            throttle.on_throttled(number, now)
        assert min(parameters.min_rate, max_rate) <= throttle.rate <= max_rate
    for first, begin in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= 1 + max_rate * (sent[last] - begin) + 1e-6


def test_the_first_call_goes_at_once() -> None:
    """Nothing holds up the first call, whatever the clock says."""
    assert AdaptiveThrottle(10, STEADY).ready_at == -math.inf


def test_the_next_call_waits() -> None:
    """The next call goes 1/rate seconds after the last."""
    throttle = AdaptiveThrottle(10, STEADY)
    throttle.on_sent(1, 100.0, OVERDUE)
    assert throttle.ready_at == pytest.approx(100 + 1 / DEFAULT.start_rate)


@pytest.mark.parametrize("max_rate", [0.05, 1.0, 500.0])
def test_the_start_respects_the_limit(max_rate: float) -> None:
    """The first rate is a careful one, and never above the limit."""
    assert AdaptiveThrottle(max_rate, STEADY).rate == min(DEFAULT.start_rate, max_rate)


@pytest.mark.parametrize("latency", [0.02, 0.1])
def test_a_high_rate_is_reached_within_two_seconds(latency: float) -> None:
    """Under steady demand 50 calls a second are reached within two seconds."""
    throttle = AdaptiveThrottle(50, STEADY)
    now, number = 0.0, 0
    answers: list[tuple[float, int]] = []
    while throttle.rate < 50:
        now = max(now, min(throttle.ready_at, answers[0][0] if answers else math.inf))
        if answers and answers[0][0] <= now:
            throttle.on_answer(heappop(answers)[1], now)
        elif throttle.ready_at <= now:
            number += 1
            throttle.on_sent(number, now, OVERDUE)
            heappush(answers, (now + latency, number))
        assert now < 2.0


def test_growth_is_multiplicative_until_the_first_congestion() -> None:
    """Each good answer multiplies the rate until AWS has objected for the first time."""
    throttle = AdaptiveThrottle(1000, STEADY)
    send_one(throttle, 1)
    for number in range(2, 6):
        send_one(throttle, number)
        before = throttle.rate
        throttle.on_answer(number, ANY)
        assert throttle.rate == pytest.approx(before * DEFAULT.fast_growth)


def answer_until(
    throttle: AdaptiveThrottle, end: float, *, calls: int, first: int, seconds: float = 1.0
) -> None:
    """Have calls sent and answered at equal distances, the last of them at the end."""
    rate = throttle.rate
    for number in range(first, first + calls):
        now = end - seconds * (first + calls - 1 - number) / calls
        throttle.on_sent(number, now, OVERDUE)
        throttle.on_answer(number, now)
    throttle.rate = rate


def overshot(rate: float = 100.0) -> AdaptiveThrottle:
    """A throttle at a rate whose first rejection came at the moment 10, after a second of 20 answers."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = rate
    answer_until(throttle, 10.0, calls=20, first=1)
    throttle.on_sent(21, 10.0, OVERDUE)
    assert throttle.on_throttled(21, 10.0)
    return throttle


def test_the_first_congestion_leads_to_what_was_answered() -> None:
    """The calls answered in the last second say more of the limit than a rate that fast growth has reached."""
    assert overshot().rate == pytest.approx(20)
    assert DEFAULT.recent == 1


def test_what_was_answered_long_ago_says_nothing() -> None:
    """At the end of fast growth only the last second counts."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    answer_until(throttle, 8.9, calls=80, first=1)
    answer_until(throttle, 10.0, calls=8, first=81)
    throttle.on_sent(89, 10.0, OVERDUE)
    throttle.on_throttled(89, 10.0)
    assert throttle.rate == pytest.approx(8)


def test_the_first_congestion_leads_down_by_a_cut_at_least() -> None:
    """A burst may have let more calls pass than the rate."""
    assert overshot(rate=22.0).rate == pytest.approx(22 * DEFAULT.cut)


def test_few_answers_say_nothing_of_the_limit() -> None:
    """The limit is low, or the rate was not used; cuts and growth are then the usual."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    answer_until(throttle, 10.0, calls=4, first=1)
    throttle.on_sent(5, 10.0, OVERDUE)
    throttle.on_throttled(5, 10.0)
    assert throttle.rate == pytest.approx(100 * DEFAULT.cut)
    assert gain(throttle) == pytest.approx(usual_gain(100 * DEFAULT.cut))
    throttle.rate = 50.0
    throttle.on_sent(1001, 13.0, OVERDUE)
    throttle.on_throttled(1001, 13.0)
    assert throttle.rate == pytest.approx(50 * DEFAULT.cut)


def test_the_rate_approaches_a_limit_that_is_not_yet_measured() -> None:
    """It gains 15 % a second, since a short phase of fast growth has few answers to show."""
    throttle = overshot()
    assert gain(throttle) == pytest.approx(usual_gain(20) + DEFAULT.approach * 20)
    assert DEFAULT.approach == 0.15


@pytest.mark.parametrize(
    ("seconds", "calls", "rate"),
    [(1.9, 38, 23 * DEFAULT.cut), (2.1, 42, 20 * DEFAULT.kept), (9.5, 190, 20 * DEFAULT.kept)],
    ids=["too soon", "measured", "measured later"],
)
def test_the_next_congestion_leads_to_what_was_answered_since_the_first(
    seconds: float, calls: int, rate: float
) -> None:
    """Once two seconds are over: a bucket that is empty at both ends has let pass what it gained."""
    throttle = overshot()
    throttle.rate = 23.0
    answer_until(throttle, 10 + seconds, calls=calls, first=22, seconds=seconds)
    throttle.on_sent(1000, 10 + seconds, OVERDUE)
    assert throttle.on_throttled(1000, 10 + seconds)
    assert throttle.rate == pytest.approx(rate)
    assert (DEFAULT.evidence, DEFAULT.kept) == (2, 0.98)


def test_the_approach_ends_with_the_first_cut_that_is_measured() -> None:
    """From then on growth is the usual."""
    throttle = overshot()
    for number, now in ((22, 11.0), (23, 12.5)):
        assert gain_at(throttle, 20) > usual_gain(20)
        throttle.on_sent(1000 + number, now, OVERDUE)
        assert throttle.on_throttled(1000 + number, now)
    assert gain_at(throttle, 20) == pytest.approx(usual_gain(20))


def gain_at(throttle: AdaptiveThrottle, rate: float) -> float:
    """What the next good answer would add at a rate, as calls a second gained each second."""
    twin = copy.deepcopy(throttle)
    twin.rate = rate
    twin.on_sent(10_000, ANY, OVERDUE)
    twin.on_answer(10_000, ANY)
    return (twin.rate - rate) * rate


def test_calls_that_were_under_way_at_the_first_congestion_are_counted() -> None:
    """They took tokens after it, whatever the rate was when they were sent."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    answer_until(throttle, 10.0, calls=20, first=1)
    for number in range(21, 62):
        throttle.on_sent(number, 10.0, OVERDUE)
    throttle.on_throttled(21, 10.0)
    for number in range(22, 62):
        throttle.on_answer(number, 11.0)
    throttle.rate = 21.0
    throttle.on_sent(62, 12.0, OVERDUE)
    throttle.on_throttled(62, 12.0)
    assert throttle.rate == pytest.approx(40 / 2 * DEFAULT.kept)


def test_no_congestion_is_without_a_cut() -> None:
    """Or a limit that falls right after it was found would be met with rejections for seconds."""
    throttle = overshot()
    answer_until(throttle, 12.0, calls=50, first=22)
    before = throttle.rate
    for number in range(72, 82):
        throttle.on_sent(number, 12.0 + number / 100, OVERDUE)
        assert throttle.on_throttled(number, 12.0 + number / 100)
        assert before * DEFAULT.cut <= throttle.rate <= before * DEFAULT.kept
        before = throttle.rate


def test_a_measured_cut_is_no_deeper_than_the_usual() -> None:
    """What was answered says less if the rate was not used."""
    throttle = overshot()
    throttle.on_sent(22, 12.0, OVERDUE)
    assert throttle.on_throttled(22, 12.0)
    assert throttle.rate == pytest.approx(20 * DEFAULT.cut)


def test_ten_seconds_after_the_first_congestion_cuts_are_the_usual() -> None:
    """Cuts that are small for ever would leave a newcomer with more than its share."""
    throttle = overshot()
    answer_until(throttle, 20.0, calls=200, first=22, seconds=10.0)
    for number, rate in ((222, 20 * DEFAULT.kept), (223, 20 * DEFAULT.kept * DEFAULT.cut)):
        throttle.on_sent(number, 20.0, OVERDUE)
        throttle.on_throttled(number, 20.0)
        assert throttle.rate == pytest.approx(rate)
    assert DEFAULT.settle == 10


def test_a_limit_that_is_first_met_after_hours_is_measured_too() -> None:
    """Of all that was answered before it, no more is kept than the last second's."""
    throttle = AdaptiveThrottle(50, STEADY)
    throttle.rate = 50.0
    answer_until(throttle, 1000.0, calls=50_000, first=1, seconds=1000.0)
    assert len(throttle._answered_at) <= 51
    throttle.on_sent(50_001, 1000.0, OVERDUE)
    throttle.on_throttled(50_001, 1000.0)
    assert throttle.rate == pytest.approx(50 * DEFAULT.cut)
    assert not throttle._answered_at


@pytest.mark.parametrize("latency", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("limit", [5.0, 20.0, 50.0])
def test_an_unknown_limit_is_found_within_ten_seconds(limit: float, latency: float) -> None:
    """However long answers take, 92 % of the limit are used from then on, and few calls are rejected."""
    throttle = AdaptiveThrottle(200, STEADY)
    answers: list[tuple[float, int, bool]] = []
    now, number, tokens, seen = 0.0, 0, limit, 0.0
    passed: list[float] = []
    while now < 22:
        now = max(now, min(throttle.ready_at, answers[0][0] if answers else math.inf))
        if answers and answers[0][0] <= now:
            _, ended, passes = heappop(answers)
            (throttle.on_answer if passes else throttle.on_throttled)(ended, now)
            continue
        number += 1
        throttle.on_sent(number, now, OVERDUE)
        tokens, seen = min(limit, tokens + (now - seen) * limit), now
        passes = tokens >= 1
        tokens -= passes
        passed += [now] * passes
        heappush(answers, (now + latency, number, passes))
    assert len([moment for moment in passed if moment >= 10]) >= 0.92 * 12 * limit
    # What is sent while the first rejection is on its way cannot be helped.
    assert number - len(passed) <= 10 + 250 * latency


@pytest.mark.parametrize("start", [2.0, 7.0, 20.0])
def test_growth_is_inverse_after(start: float) -> None:
    """After the first congestion a rate in use gains 0.7/rate calls a second each second: its square grows evenly."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    throttle.rate = start
    begin = send_one(throttle, 2)
    number, now = 2, begin
    while now < begin + 20:
        number += 1
        now = send_one(throttle, number)
        throttle.on_answer(number, now)
    gained = (throttle.rate**2 - start**2) / (now - begin)
    assert gained == pytest.approx(2 * DEFAULT.increase, rel=0.15)
    assert DEFAULT.increase == 0.7


def use_for(throttle: AdaptiveThrottle, seconds: float, rate: float) -> None:
    """Let calls be answered for a time, at a rate that is put back after each."""
    for number in range(2, 2 + math.ceil(seconds * rate)):
        throttle.rate = rate
        send_one(throttle, number)
        throttle.on_answer(number, ANY)
    throttle.rate = rate


def gain(throttle: AdaptiveThrottle) -> float:
    """What the next good answer adds to the rate, as calls a second gained each second."""
    send_one(throttle, 1000)
    before = throttle.rate
    throttle.on_answer(1000, ANY)
    return (throttle.rate - before) * before


def usual_gain(rate: float) -> float:
    """What it adds where no special case applies."""
    return min(DEFAULT.increase / rate, (DEFAULT.most_growth - 1) * rate**2)


@pytest.mark.parametrize("rate", [DEFAULT.start_rate, 8.0], ids=["below the last congestion", "above it"])
def test_a_calm_rate_grows_faster(rate: float) -> None:
    """After 20 s of use without congestion any rate gains 6 % a second more.

    Or a limit that was raised, and the way back from a stray rejection at a high rate, would be felt for minutes.
    """
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    use_for(throttle, DEFAULT.calm + 1, rate)
    assert gain(throttle) == pytest.approx(usual_gain(rate) + DEFAULT.search * rate)
    assert (DEFAULT.calm, DEFAULT.search) == (20, 0.06)


@pytest.mark.parametrize("rate", [DEFAULT.start_rate, 8.0], ids=["below the last congestion", "above it"])
def test_calm_takes_its_time(rate: float) -> None:
    """Before 20 s of use are over growth is the usual."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    use_for(throttle, DEFAULT.calm - 1, rate)
    assert gain(throttle) == pytest.approx(usual_gain(rate))


def test_congestion_ends_the_calm() -> None:
    """Calm is counted from the last cut."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    use_for(throttle, DEFAULT.calm + 1, 8.0)
    send_one(throttle, 1000)
    throttle.on_throttled(1000, ANY)
    throttle.rate = 9.0
    send_one(throttle, 1001)
    throttle.on_answer(1001, ANY)
    assert throttle.rate == pytest.approx(9 + DEFAULT.increase / 9**2)


def cut_at(throttle: AdaptiveThrottle, rate: float, first: int = 10) -> None:
    """Have a call answered and the next one rejected at a rate."""
    throttle.rate = rate
    send_one(throttle, first)
    throttle.on_answer(first, ANY)
    throttle.rate = rate
    send_one(throttle, first + 1)
    assert throttle.on_throttled(first + 1, ANY)


def test_steps_are_small_at_a_low_limit() -> None:
    """At a limit below two calls a second the rate is cut to 0.85, and a good answer adds 0.75 %."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    assert throttle.rate == pytest.approx(DEFAULT.low_cut)
    send_one(throttle, 12)
    throttle.on_answer(12, ANY)
    assert throttle.rate == pytest.approx(DEFAULT.low_cut * (1 + DEFAULT.low_increase))
    assert (DEFAULT.low_rate, DEFAULT.low_cut, DEFAULT.low_increase) == (2, 0.85, 0.0075)


def test_a_cut_that_does_not_lead_below_two_calls_a_second_is_the_usual() -> None:
    """And so are the steps after it."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, DEFAULT.low_rate / DEFAULT.cut)
    assert throttle.rate == pytest.approx(DEFAULT.low_rate)
    assert gain(throttle) == pytest.approx(usual_gain(DEFAULT.low_rate))


def test_a_cut_that_leads_below_two_calls_a_second_is_small() -> None:
    """The limit is then as low as that."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 0.99 * DEFAULT.low_rate / DEFAULT.cut)
    assert throttle.rate == pytest.approx(0.99 * DEFAULT.low_rate / DEFAULT.cut * DEFAULT.low_cut)


def test_a_cycle_of_storms_leads_downwards() -> None:
    """One answer, one small cut and one deep one, again and again, must not hold the rate above the limit."""
    assert DEFAULT.most_growth * DEFAULT.low_cut * DEFAULT.cut < 1


def test_small_steps_end() -> None:
    """After 32 good answers at a low limit growth is what it is elsewhere, so that no rate is held down for long."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    for number in range(12, 12 + DEFAULT.low_answers):
        send_one(throttle, number)
        throttle.on_answer(number, ANY)
    reached = DEFAULT.low_cut * (1 + DEFAULT.low_increase) ** DEFAULT.low_answers
    assert throttle.rate == pytest.approx(reached)
    assert gain(throttle) == pytest.approx(usual_gain(reached))
    assert DEFAULT.low_answers == 32


def test_a_storm_is_no_low_limit() -> None:
    """A cut without a good answer since the one before is a deep one, and the way back from it is not slow."""
    throttle = AdaptiveThrottle(1000, STEADY, NO_RETRIES)
    cut_once(throttle)
    cut_at(throttle, 1.9)
    throttle.rate = 1.5
    send_one(throttle, 12)
    assert throttle.on_throttled(12, ANY)
    assert throttle.rate == pytest.approx(1.5 * DEFAULT.cut)
    assert gain(throttle) == pytest.approx(usual_gain(1.5 * DEFAULT.cut))


def test_the_first_congestion_is_no_low_limit() -> None:
    """A first congestion says that fast growth went too far, not where the limit is."""
    throttle = AdaptiveThrottle(1.5, STEADY)
    send_one(throttle, 1)
    throttle.on_answer(1, ANY)
    send_one(throttle, 2)
    assert throttle.on_throttled(2, ANY)
    assert throttle.rate == pytest.approx(1.5 * DEFAULT.cut)


def test_rest_ends_small_steps() -> None:
    """With what a storm has taught, a low limit is forgotten."""
    throttle = AdaptiveThrottle(50, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    throttle.on_sent(12, 1e6, NO_DEMAND)
    assert throttle.rate == DEFAULT.start_rate
    assert gain(throttle) == pytest.approx(usual_gain(DEFAULT.start_rate))


@pytest.mark.parametrize("limit", [0.2, 0.3, 0.5, 0.7, 1.0, 1.25, 1.5, 2.0])
def test_a_low_limit_is_used(limit: float) -> None:
    """Where each call that comes too soon after the last is rejected, 90 % are used, with few rejections."""
    throttle = AdaptiveThrottle(100, STEADY)
    now, passed, token_at = 0.0, 0, 0.0
    # It takes up to a hundred rejections to find it.
    found, begin = 200, 0.0
    for number in range(1, 1000):
        now = max(now, throttle.ready_at)
        if number == found:
            begin, passed = now, 0
        throttle.on_sent(number, now, OVERDUE)
        if now < token_at:
            throttle.on_throttled(number, now)
            continue
        token_at = now + 1 / limit
        passed += 1
        throttle.on_answer(number, now)
    assert passed / (limit * (now - begin)) >= 0.9
    assert passed / (1000 - found) > 0.95


def test_growth_from_the_floor_is_careful() -> None:
    """At the floor one good answer, thin evidence, does not multiply the rate."""
    throttle = AdaptiveThrottle(100, STEADY)
    cut_once(throttle)
    throttle.rate = DEFAULT.min_rate
    send_one(throttle, 2)
    throttle.on_answer(2, ANY)
    assert DEFAULT.min_rate < throttle.rate <= DEFAULT.min_rate * DEFAULT.most_growth


@pytest.mark.parametrize("cut_before", [False, True], ids=["fast growth", "additive growth"])
def test_a_rate_that_is_not_used_does_not_grow(cut_before: bool) -> None:
    """While calls do not wait for the throttle its rate is not tried, so good answers say nothing about it."""
    throttle = AdaptiveThrottle(1000, STEADY)
    if cut_before:
        cut_once(throttle)
    before = throttle.rate
    for number in range(2, 100):
        send_one(throttle, number, due=NO_DEMAND)
        throttle.on_answer(number, ANY)
    assert throttle.rate == before


def test_growth_begins_with_demand() -> None:
    """A call that had to wait for the throttle makes good answers count."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.on_sent(1, 10, 10)
    throttle.on_answer(1, ANY)
    assert throttle.rate == DEFAULT.start_rate
    throttle.on_sent(2, throttle.ready_at, 10.001)
    throttle.on_answer(2, ANY)
    assert throttle.rate > DEFAULT.start_rate


def test_one_cut_an_event() -> None:
    """However many calls under way a congestion hits, the rate is cut once."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    for number in range(1, 21):
        send_one(throttle, number)
    cuts = [throttle.on_throttled(number, ANY) for number in range(1, 21)]
    assert cuts == [True] + [False] * 19
    assert throttle.rate == pytest.approx(100 * DEFAULT.cut)


def test_out_of_order_rejections_are_one_event() -> None:
    """The order in which the rejections of one event arrive makes no difference."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    for number in range(1, 6):
        send_one(throttle, number)
    assert [throttle.on_throttled(number, ANY) for number in (4, 1, 5, 2, 3)] == [True] + [False] * 4


def test_only_a_call_sent_after_the_cut_cuts_again() -> None:
    """A rejected call that was sent at the new rate is a new event."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    for number in range(1, 4):
        send_one(throttle, number)
    throttle.on_throttled(1, ANY)
    send_one(throttle, 4)
    assert not throttle.on_throttled(3, ANY)
    assert throttle.on_throttled(4, ANY)
    assert throttle.rate == pytest.approx(100 * DEFAULT.cut * DEFAULT.cut)


@pytest.mark.parametrize(("max_rate", "floor"), [(1000.0, 0.1), (0.05, 0.05)])
def test_the_floor(max_rate: float, floor: float) -> None:
    """Congestion without end leaves one call in ten seconds, or the limit if that is lower."""
    throttle = AdaptiveThrottle(max_rate, STEADY)
    assert throttle.at_floor is (max_rate < 0.1)
    for number in range(1, 100):
        send_one(throttle, number)
        throttle.on_throttled(number, ANY)
    assert throttle.rate == floor
    assert throttle.at_floor
    now = send_one(throttle, 100)
    assert throttle.ready_at - now == pytest.approx(1 / floor)


def test_it_recovers_from_the_floor() -> None:
    """Good answers lead away from the floor."""
    throttle = AdaptiveThrottle(10, STEADY)
    for number in range(1, 100):
        send_one(throttle, number)
        throttle.on_throttled(number, ANY)
    now = begin = throttle.ready_at
    for number in range(100, 400):
        now = send_one(throttle, number)
        throttle.on_answer(number, now)
        if throttle.rate >= 5:
            break
    assert throttle.rate >= 5
    assert now - begin < 90


def throttled_to_the_floor() -> AdaptiveThrottle:
    """A throttle after a long storm, whose last call was sent at the moment 1000."""
    throttle = AdaptiveThrottle(50, STEADY)
    for number in range(1, 100):
        throttle.on_sent(number, 1000, OVERDUE)
        throttle.on_throttled(number, ANY)
    assert throttle.at_floor
    return throttle


def test_a_storm_that_is_over_is_forgotten() -> None:
    """A minute after the last congestion a call that nothing held up makes the rate a fresh one."""
    throttle = throttled_to_the_floor()
    throttle.on_sent(100, 1000 + DEFAULT.rest - 1, 1000 + DEFAULT.rest - 1)
    assert throttle.at_floor
    throttle.on_sent(101, 1000 + DEFAULT.rest + 20, 1000 + DEFAULT.rest + 20)
    assert throttle.rate == DEFAULT.start_rate


def test_a_storm_is_not_forgotten_while_calls_wait() -> None:
    """While calls wait for the throttle the rate comes back by good answers only."""
    throttle = throttled_to_the_floor()
    for number in range(100, 120):
        now = throttle.ready_at
        throttle.on_sent(number, now, now - 1)
    assert now > 1000 + DEFAULT.rest
    assert throttle.at_floor


def test_rest_lowers_no_rate() -> None:
    """A rate above the first one is kept through any rest."""
    throttle = AdaptiveThrottle(50, STEADY)
    cut_once(throttle)
    throttle.rate = 30
    throttle.on_sent(2, 1e6, NO_DEMAND)
    assert throttle.rate == 30


def test_rest_respects_the_limit() -> None:
    """A fresh rate is never above the limit."""
    throttle = AdaptiveThrottle(1, STEADY)
    cut_once(throttle)
    throttle.on_sent(2, 1e6, NO_DEMAND)
    assert throttle.rate == 1


def test_repr() -> None:
    """The representation shows the rate, the limit and the phase."""
    throttle = AdaptiveThrottle(50, STEADY)
    throttle.rate = 12.345
    assert repr(throttle).endswith("12.35 of at most 50 calls/s, until first congestion>")
    cut_once(throttle)
    assert repr(throttle).endswith(f"{12.345 * DEFAULT.cut:.2f} of at most 50 calls/s, after congestion>")


def test_rejections_in_a_row_put_off_the_next_call_by_a_little() -> None:
    """The next call goes up to half an interval later, each time by another part of it; the one after it does not."""
    throttle = AdaptiveThrottle(0.1, Random(1))
    delays = []
    for number in range(1, 200):
        now = send_one(throttle, number)
        throttle.on_throttled(number, now)
        delays.append(throttle.ready_at - now)
    assert 10 <= min(delays) < 10.5
    assert 10 * (1 + DEFAULT.drift) - 0.5 < max(delays) <= 10 * (1 + DEFAULT.drift)
    now = send_one(throttle, 200)
    throttle.on_answer(200, now)
    assert throttle.ready_at == pytest.approx(now + 10)


@pytest.mark.parametrize("rate", [1.0, 10.0])
def test_answers_to_calls_sent_before_a_cut_say_nothing(rate: float) -> None:
    """They neither raise the new rate, nor show that a call can be answered at it."""
    throttle = AdaptiveThrottle(100, Random(1), NO_RETRIES)
    cut_once(throttle)
    throttle.rate = rate
    for number in range(2, 6):
        send_one(throttle, number)
    assert throttle.on_throttled(2, ANY)
    cut = throttle.rate
    for number in range(3, 6):
        throttle.on_answer(number, ANY)
    assert throttle.rate == cut
    now = send_one(throttle, 6)
    assert throttle.on_throttled(6, ANY)
    assert throttle.rate == pytest.approx(cut * DEFAULT.cut)
    assert throttle.ready_at > now + 1 / throttle.rate


def test_a_rejection_among_answers_puts_off_nothing() -> None:
    """Where calls are answered as well, the rate alone says when the next one goes."""
    throttle = AdaptiveThrottle(10, Random(1))
    send_one(throttle, 1)
    throttle.on_answer(1, 1.0)
    now = send_one(throttle, 2)
    assert throttle.on_throttled(2, now)
    assert throttle.ready_at == now + 1 / throttle.rate


def reject(throttle: AdaptiveThrottle, number: int) -> tuple[bool, float]:
    """Have the next call rejected at once: whether that cut the rate, and the seconds to the next one."""
    now = send_one(throttle, number)
    has_cut = throttle.on_throttled(number, now)
    return has_cut, throttle.ready_at - now


def throttled_at_a_low_limit(
    random: Random = STEADY, parameters: ThrottleParameters = DEFAULT
) -> AdaptiveThrottle:
    """A throttle whose rate was just cut from one call a second, by the rejection of call 11."""
    throttle = AdaptiveThrottle(1000, random, parameters)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    return throttle


def test_at_a_low_rate_a_rejected_call_is_soon_followed_by_another() -> None:
    """The token that it lacked will be there soon, and whoever waits a whole period meets the neighbour again."""
    throttle = throttled_at_a_low_limit()
    assert throttle.ready_at == pytest.approx(throttle.sent_at + DEFAULT.retry)
    now = send_one(throttle, 12)
    assert throttle.ready_at == pytest.approx(now + 1 / throttle.rate)
    assert DEFAULT.retry == 0.3


def test_at_other_rates_it_is_not() -> None:
    """A bucket with room for several calls leaves tokens to everybody."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, DEFAULT.low_rate / DEFAULT.cut)
    assert throttle.ready_at == pytest.approx(throttle.sent_at + 1 / throttle.rate)


def test_the_first_rejection_of_all_cuts_the_rate() -> None:
    """Nothing is known yet, and a client that may send one call a second has to slow down, too."""
    throttle = AdaptiveThrottle(1.0, STEADY)
    has_cut, _ = reject(throttle, 1)
    assert has_cut
    assert throttle.rate == DEFAULT.cut


def test_calls_that_follow_soon_do_not_keep_to_a_rhythm() -> None:
    """Or they could miss the moment between two calls of a neighbour for ever."""
    first = [throttled_at_a_low_limit(Random(seed)) for seed in range(8)]
    assert len({round(throttle.ready_at - throttle.sent_at, 3) for throttle in first}) == 8
    throttle = throttled_at_a_low_limit(Random(1))
    pauses = {round(reject(throttle, number)[1] / DEFAULT.retry, 3) for number in range(12, 20)}
    assert len(pauses) == 8
    assert all(1 <= pause <= (1 + 10 * DEFAULT.retry_growth) * (1 + DEFAULT.drift) for pause in pauses)


def test_what_follows_a_rejected_call_cuts_no_rate_for_four_periods() -> None:
    """That no token is left yet says nothing of the rate; that none comes for so long does."""
    throttle = throttled_at_a_low_limit()
    rate, begin = throttle.rate, throttle.sent_at
    number = 12
    while throttle.ready_at < begin + DEFAULT.patience / rate:
        has_cut, _ = reject(throttle, number)
        assert not has_cut
        assert throttle.rate == rate
        number += 1
    has_cut, _ = reject(throttle, number)
    assert has_cut
    assert throttle.rate == pytest.approx(rate * DEFAULT.low_cut)
    assert number > 15


def test_so_many_rejections_are_a_storm() -> None:
    """The pauses grow, and after eighty of them each rejection cuts the rate as elsewhere."""
    throttle = throttled_at_a_low_limit()
    for number in range(12, 11 + DEFAULT.retries):
        _, pause = reject(throttle, number)
        assert pause == pytest.approx(DEFAULT.retry * (1 + DEFAULT.retry_growth * (number - 11)))
    for number in range(100, 110):
        rate = throttle.rate
        has_cut, pause = reject(throttle, number)
        assert has_cut
        assert throttle.rate == max(DEFAULT.min_rate, rate * DEFAULT.cut)
        assert pause == pytest.approx(1 / throttle.rate)
    assert DEFAULT.retries == 80


def test_an_answer_makes_up_for_eight_rejections() -> None:
    """Whoever is answered now and then may go on to look for tokens; whoever is not, calls at the floor."""
    throttle = throttled_at_a_low_limit(parameters=ThrottleParameters(retries=10))
    for number in range(12, 21):
        reject(throttle, number)
    _, pause = reject(throttle, 21)
    assert pause == pytest.approx(1 / throttle.rate)
    send_one(throttle, 22)
    throttle.on_answer(22, ANY)
    pauses = [reject(throttle, number)[1] for number in range(23, 32)]
    followed = [pause < 1 / throttle.rate - 0.01 for pause in pauses]
    assert followed == [True] * DEFAULT.retries_regained + [False]


def test_no_call_follows_sooner_than_the_client_may_send() -> None:
    """The limit that the user gave holds here, too; also if he lowers it in between."""
    throttle = AdaptiveThrottle(1.5, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    assert throttle.ready_at == pytest.approx(throttle.sent_at + 1 / 1.5)
    throttle.limit(0.5)
    assert throttle.ready_at == pytest.approx(throttle.sent_at + 1 / 0.5)


def grows_beside_neighbours(throttle: AdaptiveThrottle, number: int) -> bool:
    """Whether the next good answer adds more than a lone client would add."""
    twin = copy.deepcopy(throttle)
    twin.rate = 0.5
    send_one(twin, number)
    twin.on_answer(number, ANY)
    is_shared = twin.rate == pytest.approx(0.5 + DEFAULT.shared_increase)
    assert is_shared or twin.rate == pytest.approx(0.5 * (1 + DEFAULT.low_increase))
    return is_shared


@pytest.mark.parametrize(("rate", "shared"), [(0.95, False), (0.93, True)])
def test_a_rejection_sooner_than_expected_reveals_a_neighbour(rate: float, shared: bool) -> None:
    """A client that was faster before without a rejection has not caused this one."""
    throttle = throttled_at_a_low_limit()
    assert not grows_beside_neighbours(throttle, 12)
    cut_at(throttle, rate, 12)
    assert grows_beside_neighbours(throttle, 14) is shared
    assert DEFAULT.early == 0.94


def test_neighbours_are_believed_in_for_six_cuts() -> None:
    """They may have left, and steps as large as beside them cost a lone client rejections."""
    throttle = throttled_at_a_low_limit()
    for place, rate in enumerate([0.9, 0.89, 0.88, 0.87, 0.86, 0.85, 0.84]):
        assert grows_beside_neighbours(throttle, 12 + 2 * place) is (place > 0)
        cut_at(throttle, rate, 12 + 2 * place)
    assert not grows_beside_neighbours(throttle, 26)
    assert DEFAULT.shared_cuts == 6


def test_large_steps_do_not_look_like_neighbours() -> None:
    """A lone client that takes itself for one of several is rejected up to a step above its limit, and a step below."""
    throttle = throttled_at_a_low_limit()
    cut_at(throttle, 0.8, 12)
    for place, rate in enumerate([0.33, 0.3, 0.32, 0.29, 0.3, 0.28, 0.3]):
        cut_at(throttle, rate, 14 + 2 * place)
    assert not grows_beside_neighbours(throttle, 28)


def test_growth_beside_neighbours_is_careful_too() -> None:
    """One good answer multiplies no rate by more than 1.25, whatever is added."""
    throttle = throttled_at_a_low_limit(parameters=ThrottleParameters(shared_increase=1.0))
    cut_at(throttle, 0.8, 12)
    send_one(throttle, 14)
    throttle.on_answer(14, ANY)
    assert throttle.rate == pytest.approx(0.8 * DEFAULT.low_cut * DEFAULT.most_growth)


def test_growth_beside_neighbours_ends_too() -> None:
    """After 32 good answers it is what it is elsewhere, or an unlucky client of a high limit would stay behind."""
    throttle = throttled_at_a_low_limit()
    cut_at(throttle, 0.5, 12)
    for number in range(14, 14 + DEFAULT.low_answers):
        send_one(throttle, number)
        throttle.on_answer(number, ANY)
    reached = 0.5 * DEFAULT.low_cut + DEFAULT.low_answers * DEFAULT.shared_increase
    assert throttle.rate == pytest.approx(reached)
    assert gain(throttle) == pytest.approx(usual_gain(reached))


def test_rest_forgets_neighbours_and_rejections() -> None:
    """A minute later nothing of it need be true."""
    throttle = throttled_at_a_low_limit()
    cut_at(throttle, 0.5, 12)
    for number in range(14, 30):
        reject(throttle, number)
    throttle.on_sent(30, 1e6, NO_DEMAND)
    cut_at(throttle, 1.0, 31)
    assert throttle.ready_at == pytest.approx(throttle.sent_at + DEFAULT.retry)
    send_one(throttle, 33)
    throttle.on_answer(33, ANY)
    assert throttle.rate == pytest.approx(DEFAULT.low_cut * (1 + DEFAULT.low_increase))


@pytest.mark.parametrize("clients", [2, 4])
def test_all_clients_of_one_call_a_second_are_served(clients: int) -> None:
    """The bucket holds one call, and none for whoever comes just after another; nobody goes without one for long."""
    for seed in range(5):
        random = Random(seed)
        throttles = [AdaptiveThrottle(10, random) for _ in range(clients)]
        answered: list[list[float]] = [[60.0] for _ in throttles]
        due = [(random.uniform(0, 1), place, 1) for place in range(clients)]
        tokens, filled_at = 1.0, 0.0
        while due[0][0] < 180:
            now, place, number = heappop(due)
            throttle = throttles[place]
            throttle.on_sent(number, now, OVERDUE)
            tokens, filled_at = min(1.0, tokens + now - filled_at), now
            if tokens >= 1:
                tokens -= 1
                throttle.on_answer(number, now)
                if now > 60:
                    answered[place].append(now)
            else:
                throttle.on_throttled(number, now)
            heappush(due, (throttle.ready_at + random.uniform(0, 0.03), place, number + 1))
        for moments in answered:
            assert len(moments) > 0.5 * 120 / clients * 0.7
            assert max(after - before for before, after in pairwise([*moments, 180.0])) < 30


def test_no_moment_is_the_wrong_one_for_ever() -> None:
    """Beside a neighbour who takes each token of a bucket as soon as it is there, calls at the floor get through."""
    throttle = AdaptiveThrottle(0.1, Random(1))
    answered = 0
    for number in range(1, 301):
        now = send_one(throttle, number)
        # A token comes every 50 ms, and is taken within 5.
        if now % 0.05 < 0.005:
            throttle.on_answer(number, now)
            answered += 1
        else:
            throttle.on_throttled(number, now)
    assert answered >= 10


def test_each_parameter_does_what_it_says() -> None:
    """Another operation may begin, grow, cut and rest in its own way."""
    parameters = ThrottleParameters(
        start_rate=2.0,
        min_rate=0.5,
        rest=10.0,
        fast_growth=3.0,
        increase=2.0,
        cut=0.5,
        most_growth=1.6,
        calm=0.0,
        search=0.25,
        low_rate=4.0,
        low_increase=0.1,
        low_cut=0.75,
        low_answers=1,
    )
    throttle = AdaptiveThrottle(1000, STEADY, parameters)
    assert throttle.rate == 2
    for number in (0, 1):
        send_one(throttle, number)
    throttle.on_answer(1, ANY)
    assert throttle.rate == 2 * 3
    send_one(throttle, 2)
    throttle.on_throttled(2, ANY)
    assert throttle.rate == 6 * 0.5
    send_one(throttle, 3)
    throttle.on_answer(3, ANY)
    assert throttle.rate == pytest.approx(3 + (2 / 3 + 0.25 * 3) / 3)
    throttle.rate = 1.0
    send_one(throttle, 4)
    throttle.on_answer(4, ANY)
    assert throttle.rate == 1.6
    send_one(throttle, 5)
    throttle.on_throttled(5, ANY)
    assert throttle.rate == pytest.approx(1.6 * 0.75)
    for number, reached in ((6, 1.2 * 1.1), (7, 1.2 * 1.1 * 1.6)):
        send_one(throttle, number)
        throttle.on_answer(number, ANY)
        assert throttle.rate == pytest.approx(reached)
    for number in range(8, 20):
        now = send_one(throttle, number)
        throttle.on_throttled(number, ANY)
    assert throttle.rate == 0.5
    assert throttle.at_floor
    throttle.on_sent(20, now + 11, NO_DEMAND)
    assert throttle.rate == 2


def test_each_parameter_of_leaving_fast_growth_does_what_it_says() -> None:
    """Another operation may find its limit in its own way."""
    parameters = ThrottleParameters(
        start_rate=2.0, recent=2.0, approach=0.3, evidence=4.0, settle=6.0, kept=0.9, increase=0.001
    )
    throttle = AdaptiveThrottle(1000, STEADY, parameters)
    throttle.rate = 100.0
    answer_until(throttle, 10.0, calls=20, first=1, seconds=2.0)
    throttle.on_sent(21, 10.0, OVERDUE)
    throttle.on_throttled(21, 10.0)
    assert throttle.rate == 20 / 2
    throttle.on_sent(22, 10.1, OVERDUE)
    throttle.on_answer(22, 10.1)
    assert throttle.rate == pytest.approx(10 + 0.3, rel=1e-3)
    throttle.rate = 10.5
    answer_until(throttle, 14.0, calls=39, first=23, seconds=3.9)
    throttle.on_sent(62, 14.0, OVERDUE)
    throttle.on_throttled(62, 14.0)
    assert throttle.rate == pytest.approx(40 / 4 * 0.9)
    answer_until(throttle, 16.0, calls=20, first=63, seconds=2.0)
    for number, factor in ((83, 0.9), (84, parameters.cut)):
        before = throttle.rate
        throttle.on_sent(number, 16.0, OVERDUE)
        throttle.on_throttled(number, 16.0)
        assert throttle.rate == pytest.approx(before * factor)


def test_no_drift_if_none_is_wanted() -> None:
    """Rejections in a row then put off nothing."""
    throttle = AdaptiveThrottle(0.1, Random(1), ThrottleParameters(drift=0.0))
    now = send_one(throttle, 1)
    throttle.on_throttled(1, now)
    assert throttle.ready_at == pytest.approx(now + 10)


def test_no_small_steps_if_none_are_wanted() -> None:
    """At a low limit the rate is then cut as elsewhere."""
    throttle = AdaptiveThrottle(1000, STEADY, ThrottleParameters(low_rate=0.0))
    cut_once(throttle)
    cut_at(throttle, 1.0)
    assert throttle.rate == pytest.approx(DEFAULT.cut)
    assert gain(throttle) == pytest.approx(usual_gain(DEFAULT.cut))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"start_rate": 0.0}, "0 < min_rate <= start_rate < inf"),
        ({"start_rate": 0.09}, "0 < min_rate <= start_rate < inf"),
        ({"start_rate": math.inf}, "0 < min_rate <= start_rate < inf"),
        ({"min_rate": 0.0}, "0 < min_rate <= start_rate < inf"),
        ({"rest": -1.0}, "0 <= rest < inf"),
        ({"fast_growth": 1.0}, "1 < fast_growth < inf"),
        ({"recent": 0.0}, "0 < recent < inf"),
        ({"approach": -0.1}, "0 <= approach < inf"),
        ({"evidence": 0.0}, "0 < evidence < inf"),
        ({"settle": -1.0}, "0 <= settle < inf"),
        ({"kept": 1.0}, "0 < kept < 1"),
        ({"kept": 0.0}, "0 < kept < 1"),
        ({"increase": 0.0}, "0 < increase < inf"),
        ({"cut": 0.0}, "0 < cut <= low_cut < 1"),
        ({"cut": 0.9}, "0 < cut <= low_cut < 1"),
        ({"cut": 1.0, "low_cut": 1.0}, "0 < cut <= low_cut < 1"),
        ({"drift": -0.1}, "0 <= drift < inf"),
        ({"drift": math.inf}, "0 <= drift < inf"),
        ({"calm": -1.0}, "0 <= calm < inf"),
        ({"search": -0.01}, "0 <= search < inf"),
        ({"low_rate": -1.0}, "0 <= low_rate < inf"),
        ({"most_growth": 1.0}, "1 < most_growth"),
        ({"most_growth": 1.5}, "most_growth * cut * low_cut < 1"),
        ({"low_increase": -0.01}, "1 <= 1 + low_increase <= most_growth"),
        ({"low_increase": 0.3}, "1 <= 1 + low_increase <= most_growth"),
        ({"low_answers": -1}, "a whole number of low_answers"),
        ({"low_answers": 2.5}, "a whole number of low_answers"),
        ({"low_answers": math.inf}, "a whole number of low_answers"),
        ({"retry": 0.0}, "0 < retry < inf"),
        ({"retry_growth": -0.1}, "0 <= retry_growth < inf"),
        ({"retries": math.inf}, "a whole number of retries"),
        ({"retries_regained": -1}, "a whole number of retries_regained"),
        ({"patience": -1.0}, "0 <= patience < inf"),
        ({"early": 1.0}, "0 < early < 1"),
        ({"shared_increase": -0.1}, "0 <= shared_increase < inf"),
        ({"shared_cuts": 0.5}, "a whole number of shared_cuts"),
    ],
    ids=str,
)
def test_what_would_not_work_is_refused(values: dict[str, Any], rule: str) -> None:
    """A throttle that never grows, or never comes down in a storm, would be noticed in production only."""
    with pytest.raises(ValueError, match=f"a throttle needs {re.escape(rule)}, not ThrottleParameters"):
        ThrottleParameters(**values)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ThrottleParameters)])
def test_no_parameter_may_be_no_number(name: str) -> None:
    """Comparisons with NaN do not hold, so it would silently switch something off."""
    values: dict[str, Any] = {name: math.nan}
    with pytest.raises(ValueError, match="a throttle needs"):
        ThrottleParameters(**values)


def test_a_limit_that_is_lowered_holds_at_once_and_for_good() -> None:
    """From then on no call leaves sooner and the rate never grows beyond it; one that is higher changes nothing."""
    throttle = AdaptiveThrottle(10, STEADY)
    sent_at = send_one(throttle, 1)
    throttle.limit(0.05)
    throttle.limit(20)
    assert throttle.max_rate == throttle.rate == 0.05
    assert throttle.at_floor
    assert throttle.ready_at == sent_at + 20
    for number in range(2, 10):
        send_one(throttle, number)
        throttle.on_answer(number, ANY)
        assert throttle.rate == 0.05
    send_one(throttle, 10)
    assert send_one(throttle, 11, NO_DEMAND) == pytest.approx(sent_at + 200)
    assert throttle.rate == 0.05
