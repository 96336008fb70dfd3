"""Airflow's arithmetic, and fixed intervals."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._core.backoff import (
    Backoff,
    ExponentialBackoff,
    FixedInterval,
    Window,
    add_jitter,
    exponential_delay,
    jitter_bounds,
)


class Extreme(Random):
    """A source of chance that gives the lowest or the highest value, and keeps the bounds it was asked for."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def uniform(self, a: float, b: float) -> float:
        """The value that lies this share of the way from a to b."""
        return a + self.share * (b - a)


LOWEST, HIGHEST = Extreme(0), Extreme(1)

# From the docstring of Airflow's BatchClientHook.exponential_delay; it rounds to whole or half seconds.
AIRFLOW = [
    (0, 0.33, 1.00),
    (1, 0.45, 1.36),
    (2, 0.81, 2.44),
    (3, 1.41, 4.24),
    (4, 2.25, 6.76),
    (5, 3.33, 10.00),
    (6, 4.65, 13.96),
    (7, 6.21, 18.64),
    (8, 8.01, 24.04),
    (9, 10.05, 30.16),
]


@pytest.mark.parametrize(("tries", "low", "high"), AIRFLOW, ids=str)
def test_exponential_delay_is_airflows(tries: int, low: float, high: float) -> None:
    """The pause after each try has the bounds that Airflow documents."""
    assert exponential_delay(LOWEST, tries) == pytest.approx(low, abs=0.006)
    assert exponential_delay(HIGHEST, tries) == pytest.approx(high, abs=0.006)


@settings(deadline=None)
@given(tries=st.integers(0, 10_000), seed=st.integers())
def test_exponential_delay_draws_as_airflow_does(tries: int, seed: int) -> None:
    """With the same chance it gives the same pause as Airflow's own formula."""
    max_interval = 600.0
    delay = min(max_interval, 1 + pow(tries * 0.6, 2))
    assert exponential_delay(Random(seed), tries) == Random(seed).uniform(delay / 3, delay)


@pytest.mark.parametrize("tries", [41, 42, 100, 10**9])
def test_exponential_delay_is_capped(tries: int) -> None:
    """Pauses stay between 200 and 600 seconds from the 41st try on."""
    assert exponential_delay(LOWEST, tries) == 200
    assert exponential_delay(HIGHEST, tries) == 600


def test_the_cap_is_reached_late() -> None:
    """The 40th pause is still below the cap, and pauses are drawn below it and not all cut to it."""
    assert exponential_delay(HIGHEST, 40) == 577
    assert len({exponential_delay(Random(seed), 50) for seed in range(20)}) == 20


@settings(deadline=None)
@given(tries=st.integers(1, 10_000), seed=st.integers())
def test_exponential_window(tries: int, seed: int) -> None:
    """The window opens at a sixth of the longest pause and closes at the moment that Airflow would draw."""
    window = ExponentialBackoff(600, random=Random(seed)).window(tries)
    assert window.earliest == pytest.approx(exponential_delay(HIGHEST, tries) / 6)
    assert window.latest == exponential_delay(Random(seed), tries)
    assert 0 < window.earliest <= window.latest <= 600


@pytest.mark.parametrize(
    ("backoff", "tries", "longest"),
    [
        (ExponentialBackoff(random=HIGHEST), 8, pytest.approx(24.04)),
        (ExponentialBackoff(random=HIGHEST), 9, 30),
        (ExponentialBackoff(random=HIGHEST), 10_000, 30),
        (ExponentialBackoff(max_interval=2, random=HIGHEST), 3, 2),
        (ExponentialBackoff(0.5, random=HIGHEST), 1, 0.5),
        (ExponentialBackoff(600, random=HIGHEST), 41, 600),
    ],
)
def test_the_ceiling_of_the_curve(backoff: ExponentialBackoff, tries: int, longest: float) -> None:
    """It is Airflow's curve up to the longest pause that was asked for, half a minute by default."""
    assert backoff.window(tries).latest == longest
    assert backoff.window(tries).earliest == pytest.approx(backoff.window(tries).latest / 6)


@pytest.mark.parametrize("interval", [0, -1, math.inf, math.nan, 10**400, Decimal("NaN")], ids=repr)
def test_a_ceiling_that_is_none(interval: float) -> None:
    """It is refused at once, and not at the first check."""
    with pytest.raises(
        ValueError, match="ExponentialBackoff needs a max_interval of a positive number of seconds"
    ):
        ExponentialBackoff(interval)


def test_copies_draw_pauses_of_their_own() -> None:
    """A schedule that is sent to other processes takes no chance along that all of them would have."""
    backoff = ExponentialBackoff()
    copies = [pickle.loads(pickle.dumps(backoff)) for _ in range(2)]  # noqa: S301
    first, second = ([copy.window(9) for _ in range(3)] for copy in copies)
    assert first != second


def test_exponential_backoffs_are_equal() -> None:
    """Two schedules of one curve are equal, and their chance is not shown."""
    assert ExponentialBackoff() == ExponentialBackoff(random=Random(1))
    assert ExponentialBackoff() != ExponentialBackoff(600)
    assert repr(ExponentialBackoff()) == "ExponentialBackoff(max_interval=30.0)"


@pytest.mark.parametrize(
    ("delay", "width", "minima", "bounds"),
    [
        pytest.param(5, 1, 0, (4, 6), id="plain"),
        pytest.param(0.5, 1, 0, (0, 1.5), id="never below zero"),
        pytest.param(5, 10, 3, (3, 15), id="never below minima"),
        pytest.param(0, 0, 0, (0, 0), id="no pause"),
        pytest.param(-5, -1, -2, (4, 6), id="signs are ignored"),
        pytest.param(1, 1, 7, (7, 2), id="minima above all"),
    ],
)
def test_jitter_is_airflows(delay: float, width: float, minima: float, bounds: tuple[float, float]) -> None:
    """Jitter has the bounds that Airflow's add_jitter gives."""
    assert jitter_bounds(delay, width, minima) == bounds
    assert add_jitter(LOWEST, delay, width, minima) == bounds[0]
    assert add_jitter(HIGHEST, delay, width, minima) == bounds[1]


FINITE = st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(delay=FINITE, width=FINITE, minima=FINITE, seed=st.integers())
def test_jitter_draws_as_airflow_does(delay: float, width: float, minima: float, seed: int) -> None:
    """With the same chance it gives the same pause as Airflow's own formula."""
    lower = max(abs(minima), abs(delay) - abs(width))
    upper = abs(delay) + abs(width)
    assert add_jitter(Random(seed), delay, width, minima) == Random(seed).uniform(lower, upper)


def test_jitter_defaults() -> None:
    """Jitter is one second either way, and never below zero, unless asked otherwise."""
    assert jitter_bounds(3) == (2, 4)
    assert jitter_bounds(0.25) == (0, 1.25)
    assert add_jitter(HIGHEST, 3) == 4


NO_WINDOWS: list[tuple[Any, Any]] = [
    (2, 1),
    (-1, 1),
    (0, math.inf),
    (math.inf, math.inf),
    (math.nan, 1),
    (0, math.nan),
    (0, 10**400),
    (0, Decimal("NaN")),
    (Decimal(0), Decimal("1e400")),
]


@pytest.mark.parametrize(("earliest", "latest"), NO_WINDOWS, ids=str)
def test_a_window_that_makes_no_sense_cannot_be_made(earliest: Any, latest: Any) -> None:
    """Not even out of one that does."""
    with pytest.raises(ValueError, match="0 <= earliest <= latest"):
        Window(earliest, latest)
    with pytest.raises(ValueError, match="0 <= earliest <= latest"):
        Window(1, 1)._replace(earliest=earliest, latest=latest)


def test_a_window_is_a_tuple_of_floats() -> None:
    """It is equal to the pair that it is, and can be copied."""
    window = Window(1, Decimal("2.5"))  # type: ignore[arg-type]
    assert window == (1.0, 2.5)
    assert repr(window) == "Window(earliest=1.0, latest=2.5)"
    for twin in (copy.copy(window), copy.deepcopy(window), window._replace(), Window(*window)):
        assert type(twin) is Window
        assert twin == window
        assert {type(moment) for moment in twin} == {float}


@pytest.mark.parametrize("seconds", [0.1, 1, 5.0, 86400])
def test_fixed_interval(seconds: float) -> None:
    """Every try has the same window, the later half of the interval."""
    schedule = FixedInterval(seconds)
    assert {schedule.window(tries) for tries in (1, 2, 1000)} == {Window(seconds / 2, seconds)}


def test_an_interval_may_be_any_number() -> None:
    """Its window is made of floats, as clocks are."""
    window = FixedInterval(Decimal("2.5")).window(1)  # type: ignore[arg-type]
    assert window == Window(1.25, 2.5)
    assert {type(moment) for moment in window} == {float}


@pytest.mark.parametrize("seconds", [0, -1, math.inf, -math.inf, math.nan])
def test_fixed_interval_must_be_positive_and_finite(seconds: float) -> None:
    """An interval that is none is refused with an error that shows it."""
    with pytest.raises(ValueError, match=repr(seconds)):
        FixedInterval(seconds)


def test_fixed_intervals_are_values() -> None:
    """Intervals compare by their seconds, can be keys, and show how they were made."""
    assert FixedInterval(5) == FixedInterval(5) != FixedInterval(6)
    assert len({FixedInterval(5), FixedInterval(5)}) == 1
    assert repr(FixedInterval(5)) == "FixedInterval(seconds=5)"


@pytest.mark.parametrize("schedule", [ExponentialBackoff(), FixedInterval(1)], ids=["exponential", "fixed"])
def test_they_are_backoffs(schedule: object) -> None:
    """What comes with the package is what a user's own schedule has to be."""
    assert isinstance(schedule, Backoff)
    assert not isinstance(object(), Backoff)
