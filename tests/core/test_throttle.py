"""The throttle: never above the limit, quick to find a free rate, one cut an event, and always alive."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._core.throttle import (
    CALM,
    CUT,
    DRIFT,
    FAST_GROWTH,
    INCREASE,
    LOW_ANSWERS,
    LOW_CUT,
    LOW_INCREASE,
    LOW_RATE,
    MIN_RATE,
    MOST_GROWTH,
    REST,
    SEARCH,
    START_RATE,
    AdaptiveThrottle,
)

NO_DEMAND = math.inf
"""Due at infinity: a call that did not have to wait for the throttle."""
OVERDUE = 0.0


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
    assert throttle.on_throttled(1)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["send", "wait", "answer", "throttled"]), st.floats(0, 3)), max_size=200
)


@settings(max_examples=200, deadline=None)
@given(max_rate=st.floats(0.01, 500), events=EVENTS)
def test_never_above_the_limit(max_rate: float, events: list[tuple[str, float]]) -> None:
    """In any t seconds at most 1 + max_rate · t calls go, and the rate stays within its bounds."""
    throttle = AdaptiveThrottle(max_rate, Random(1))
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
            throttle.on_answer(number)
        else:
            throttle.on_throttled(number)
        assert min(MIN_RATE, max_rate) <= throttle.rate <= max_rate
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
    assert throttle.ready_at == pytest.approx(100 + 1 / START_RATE)


@pytest.mark.parametrize("max_rate", [0.05, 1.0, 500.0])
def test_the_start_respects_the_limit(max_rate: float) -> None:
    """The first rate is a careful one, and never above the limit."""
    assert AdaptiveThrottle(max_rate, STEADY).rate == min(START_RATE, max_rate)


@pytest.mark.parametrize("latency", [0.02, 0.1])
def test_a_high_rate_is_reached_within_two_seconds(latency: float) -> None:
    """Under steady demand 50 calls a second are reached within two seconds."""
    throttle = AdaptiveThrottle(50, STEADY)
    now, number = 0.0, 0
    answers: list[tuple[float, int]] = []
    while throttle.rate < 50:
        now = max(now, min(throttle.ready_at, answers[0][0] if answers else math.inf))
        if answers and answers[0][0] <= now:
            throttle.on_answer(heappop(answers)[1])
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
        throttle.on_answer(number)
        assert throttle.rate == pytest.approx(before * FAST_GROWTH)


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
        throttle.on_answer(number)
    gained = (throttle.rate**2 - start**2) / (now - begin)
    assert gained == pytest.approx(2 * INCREASE, rel=0.15)
    assert INCREASE == 0.7


def use_for(throttle: AdaptiveThrottle, seconds: float, rate: float) -> None:
    """Let calls be answered for a time, at a rate that is put back after each."""
    for number in range(2, 2 + math.ceil(seconds * rate)):
        throttle.rate = rate
        send_one(throttle, number)
        throttle.on_answer(number)
    throttle.rate = rate


def gain(throttle: AdaptiveThrottle) -> float:
    """What the next good answer adds to the rate, as calls a second gained each second."""
    send_one(throttle, 1000)
    before = throttle.rate
    throttle.on_answer(1000)
    return (throttle.rate - before) * before


def usual_gain(rate: float) -> float:
    """What it adds where no special case applies."""
    return min(INCREASE / rate, (MOST_GROWTH - 1) * rate**2)


@pytest.mark.parametrize("rate", [START_RATE, 8.0], ids=["below the last congestion", "above it"])
def test_a_calm_rate_grows_faster(rate: float) -> None:
    """After 20 s of use without congestion any rate gains 6 % a second more.

    Or a limit that was raised, and the way back from a stray rejection at a high rate, would be felt for minutes.
    """
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    use_for(throttle, CALM + 1, rate)
    assert gain(throttle) == pytest.approx(usual_gain(rate) + SEARCH * rate)
    assert (CALM, SEARCH) == (20, 0.06)


@pytest.mark.parametrize("rate", [START_RATE, 8.0], ids=["below the last congestion", "above it"])
def test_calm_takes_its_time(rate: float) -> None:
    """Before 20 s of use are over growth is the usual."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    use_for(throttle, CALM - 1, rate)
    assert gain(throttle) == pytest.approx(usual_gain(rate))


def test_congestion_ends_the_calm() -> None:
    """Calm is counted from the last cut."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    use_for(throttle, CALM + 1, 8.0)
    send_one(throttle, 1000)
    throttle.on_throttled(1000)
    throttle.rate = 9.0
    send_one(throttle, 1001)
    throttle.on_answer(1001)
    assert throttle.rate == pytest.approx(9 + INCREASE / 9**2)


def cut_at(throttle: AdaptiveThrottle, rate: float) -> None:
    """Have a call answered and the next one rejected at a rate."""
    throttle.rate = rate
    send_one(throttle, 10)
    throttle.on_answer(10)
    throttle.rate = rate
    send_one(throttle, 11)
    assert throttle.on_throttled(11)


def test_steps_are_small_at_a_low_limit() -> None:
    """At a limit below two calls a second the rate is cut to 0.85, and a good answer adds 0.75 %."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    assert throttle.rate == pytest.approx(LOW_CUT)
    send_one(throttle, 12)
    throttle.on_answer(12)
    assert throttle.rate == pytest.approx(LOW_CUT * (1 + LOW_INCREASE))
    assert (LOW_RATE, LOW_CUT, LOW_INCREASE) == (2, 0.85, 0.0075)


def test_a_cut_that_does_not_lead_below_two_calls_a_second_is_the_usual() -> None:
    """And so are the steps after it."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, LOW_RATE / CUT)
    assert throttle.rate == pytest.approx(LOW_RATE)
    assert gain(throttle) == pytest.approx(usual_gain(LOW_RATE))


def test_a_cut_that_leads_below_two_calls_a_second_is_small() -> None:
    """The limit is then as low as that."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 0.99 * LOW_RATE / CUT)
    assert throttle.rate == pytest.approx(0.99 * LOW_RATE / CUT * LOW_CUT)


def test_a_cycle_of_storms_leads_downwards() -> None:
    """One answer, one small cut and one deep one, again and again, must not hold the rate above the limit."""
    assert MOST_GROWTH * LOW_CUT * CUT < 1


def test_small_steps_end() -> None:
    """After 32 good answers at a low limit growth is what it is elsewhere, so that no rate is held down for long."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    for number in range(12, 12 + LOW_ANSWERS):
        send_one(throttle, number)
        throttle.on_answer(number)
    reached = LOW_CUT * (1 + LOW_INCREASE) ** LOW_ANSWERS
    assert throttle.rate == pytest.approx(reached)
    assert gain(throttle) == pytest.approx(usual_gain(reached))
    assert LOW_ANSWERS == 32


def test_a_storm_is_no_low_limit() -> None:
    """A cut without a good answer since the one before is a deep one, and the way back from it is not slow."""
    throttle = AdaptiveThrottle(1000, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.9)
    throttle.rate = 1.5
    send_one(throttle, 12)
    assert throttle.on_throttled(12)
    assert throttle.rate == pytest.approx(1.5 * CUT)
    assert gain(throttle) == pytest.approx(usual_gain(1.5 * CUT))


def test_the_first_congestion_is_no_low_limit() -> None:
    """A first congestion says that fast growth went too far, not where the limit is."""
    throttle = AdaptiveThrottle(1.5, STEADY)
    send_one(throttle, 1)
    throttle.on_answer(1)
    send_one(throttle, 2)
    assert throttle.on_throttled(2)
    assert throttle.rate == pytest.approx(1.5 * CUT)


def test_rest_ends_small_steps() -> None:
    """With what a storm has taught, a low limit is forgotten."""
    throttle = AdaptiveThrottle(50, STEADY)
    cut_once(throttle)
    cut_at(throttle, 1.0)
    throttle.on_sent(12, 1e6, NO_DEMAND)
    assert throttle.rate == START_RATE
    assert gain(throttle) == pytest.approx(usual_gain(START_RATE))


@pytest.mark.parametrize("limit", [0.2, 0.3, 0.5, 0.7, 1.0, 1.25, 1.5, 2.0])
def test_a_low_limit_is_used(limit: float) -> None:
    """Where each call that comes too soon after the last is rejected, 84 % are used, with few rejections."""
    throttle = AdaptiveThrottle(100, STEADY)
    now, passed, token_at = 0.0, 0, 0.0
    for number in range(1, 1000):
        now = max(now, throttle.ready_at)
        throttle.on_sent(number, now, OVERDUE)
        if now < token_at:
            throttle.on_throttled(number)
            continue
        token_at = now + 1 / limit
        passed += 1
        throttle.on_answer(number)
    assert passed / (limit * now) >= 0.84
    assert passed / 999 > 0.9


def test_growth_from_the_floor_is_careful() -> None:
    """At the floor one good answer, thin evidence, does not multiply the rate."""
    throttle = AdaptiveThrottle(100, STEADY)
    cut_once(throttle)
    throttle.rate = MIN_RATE
    send_one(throttle, 2)
    throttle.on_answer(2)
    assert MIN_RATE < throttle.rate <= MIN_RATE * MOST_GROWTH


@pytest.mark.parametrize("cut_before", [False, True], ids=["fast growth", "additive growth"])
def test_a_rate_that_is_not_used_does_not_grow(cut_before: bool) -> None:
    """While calls do not wait for the throttle its rate is not tried, so good answers say nothing about it."""
    throttle = AdaptiveThrottle(1000, STEADY)
    if cut_before:
        cut_once(throttle)
    before = throttle.rate
    for number in range(2, 100):
        send_one(throttle, number, due=NO_DEMAND)
        throttle.on_answer(number)
    assert throttle.rate == before


def test_growth_begins_with_demand() -> None:
    """A call that had to wait for the throttle makes good answers count."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.on_sent(1, 10, 10)
    throttle.on_answer(1)
    assert throttle.rate == START_RATE
    throttle.on_sent(2, throttle.ready_at, 10.001)
    throttle.on_answer(2)
    assert throttle.rate > START_RATE


def test_one_cut_an_event() -> None:
    """However many calls under way a congestion hits, the rate is cut once."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    for number in range(1, 21):
        send_one(throttle, number)
    cuts = [throttle.on_throttled(number) for number in range(1, 21)]
    assert cuts == [True] + [False] * 19
    assert throttle.rate == pytest.approx(100 * CUT)


def test_out_of_order_rejections_are_one_event() -> None:
    """The order in which the rejections of one event arrive makes no difference."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    for number in range(1, 6):
        send_one(throttle, number)
    assert [throttle.on_throttled(number) for number in (4, 1, 5, 2, 3)] == [True] + [False] * 4


def test_only_a_call_sent_after_the_cut_cuts_again() -> None:
    """A rejected call that was sent at the new rate is a new event."""
    throttle = AdaptiveThrottle(1000, STEADY)
    throttle.rate = 100.0
    for number in range(1, 4):
        send_one(throttle, number)
    throttle.on_throttled(1)
    send_one(throttle, 4)
    assert not throttle.on_throttled(3)
    assert throttle.on_throttled(4)
    assert throttle.rate == pytest.approx(100 * CUT * CUT)


@pytest.mark.parametrize(("max_rate", "floor"), [(1000.0, 0.1), (0.05, 0.05)])
def test_the_floor(max_rate: float, floor: float) -> None:
    """Congestion without end leaves one call in ten seconds, or the limit if that is lower."""
    throttle = AdaptiveThrottle(max_rate, STEADY)
    assert throttle.at_floor is (max_rate < 0.1)
    for number in range(1, 100):
        send_one(throttle, number)
        throttle.on_throttled(number)
    assert throttle.rate == floor
    assert throttle.at_floor
    now = send_one(throttle, 100)
    assert throttle.ready_at - now == pytest.approx(1 / floor)


def test_it_recovers_from_the_floor() -> None:
    """Good answers lead away from the floor."""
    throttle = AdaptiveThrottle(10, STEADY)
    for number in range(1, 100):
        send_one(throttle, number)
        throttle.on_throttled(number)
    now = begin = throttle.ready_at
    for number in range(100, 400):
        now = send_one(throttle, number)
        throttle.on_answer(number)
        if throttle.rate >= 5:
            break
    assert throttle.rate >= 5
    assert now - begin < 90


def throttled_to_the_floor() -> AdaptiveThrottle:
    """A throttle after a long storm, whose last call was sent at the moment 1000."""
    throttle = AdaptiveThrottle(50, STEADY)
    for number in range(1, 100):
        throttle.on_sent(number, 1000, OVERDUE)
        throttle.on_throttled(number)
    assert throttle.at_floor
    return throttle


def test_a_storm_that_is_over_is_forgotten() -> None:
    """A minute after the last congestion a call that nothing held up makes the rate a fresh one."""
    throttle = throttled_to_the_floor()
    throttle.on_sent(100, 1000 + REST - 1, 1000 + REST - 1)
    assert throttle.at_floor
    throttle.on_sent(101, 1000 + REST + 20, 1000 + REST + 20)
    assert throttle.rate == START_RATE


def test_a_storm_is_not_forgotten_while_calls_wait() -> None:
    """While calls wait for the throttle the rate comes back by good answers only."""
    throttle = throttled_to_the_floor()
    for number in range(100, 120):
        now = throttle.ready_at
        throttle.on_sent(number, now, now - 1)
    assert now > 1000 + REST
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
    """The representation tells the rate, the limit and the phase."""
    throttle = AdaptiveThrottle(50, STEADY)
    throttle.rate = 12.345
    assert repr(throttle).endswith("12.35 of at most 50 calls/s, until first congestion>")
    cut_once(throttle)
    assert repr(throttle).endswith(f"{12.345 * CUT:.2f} of at most 50 calls/s, after congestion>")


def test_rejections_in_a_row_put_off_the_next_call_by_a_little() -> None:
    """The next call goes up to half an interval later, each time by another part of it; the one after it does not."""
    throttle = AdaptiveThrottle(0.1, Random(1))
    delays = []
    for number in range(1, 200):
        now = send_one(throttle, number)
        throttle.on_throttled(number)
        delays.append(throttle.ready_at - now)
    assert 10 <= min(delays) < 10.5
    assert 10 * (1 + DRIFT) - 0.5 < max(delays) <= 10 * (1 + DRIFT)
    now = send_one(throttle, 200)
    throttle.on_answer(200)
    assert throttle.ready_at == pytest.approx(now + 10)


@pytest.mark.parametrize("rate", [1.0, 10.0])
def test_answers_to_calls_sent_before_a_cut_say_nothing(rate: float) -> None:
    """They neither raise the new rate, nor show that a call can be answered at it."""
    throttle = AdaptiveThrottle(100, Random(1))
    cut_once(throttle)
    throttle.rate = rate
    for number in range(2, 6):
        send_one(throttle, number)
    assert throttle.on_throttled(2)
    cut = throttle.rate
    for number in range(3, 6):
        throttle.on_answer(number)
    assert throttle.rate == cut
    now = send_one(throttle, 6)
    assert throttle.on_throttled(6)
    assert throttle.rate == pytest.approx(cut * CUT)
    assert throttle.ready_at > now + 1 / throttle.rate


def test_a_rejection_among_answers_puts_off_nothing() -> None:
    """Where calls are answered as well, the rate alone says when the next one goes."""
    throttle = AdaptiveThrottle(10, Random(1))
    send_one(throttle, 1)
    throttle.on_answer(1)
    now = send_one(throttle, 2)
    assert throttle.on_throttled(2)
    assert throttle.ready_at == now + 1 / throttle.rate


def test_no_moment_is_the_wrong_one_for_ever() -> None:
    """Beside a neighbour who takes each token of a bucket as soon as it is there, calls at the floor get through."""
    throttle = AdaptiveThrottle(0.1, Random(1))
    answered = 0
    for number in range(1, 301):
        now = send_one(throttle, number)
        # A token comes every 50 ms, and is taken within 5.
        if now % 0.05 < 0.005:
            throttle.on_answer(number)
            answered += 1
        else:
            throttle.on_throttled(number)
    assert answered >= 10
