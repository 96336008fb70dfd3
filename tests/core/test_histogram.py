"""Quantiles of durations, in bounded memory."""

from __future__ import annotations

import math
import sys
from random import Random

import pytest

from awaitbatch._core.histogram import Histogram


def test_of_nothing() -> None:
    """Without a duration there is nothing to tell."""
    assert Histogram().quantile(0.5) == Histogram().quantile(0.99) == 0.0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_right_to_four_per_cent(share: float) -> None:
    """Whatever the durations are, from moments to days."""
    random = Random(1)
    given = sorted(math.exp(random.uniform(math.log(0.02), math.log(86400))) for _ in range(3000))
    histogram = Histogram()
    for seconds in given:
        histogram.add(int(seconds * 1000))
    exact = given[math.ceil(share * len(given)) - 1]
    assert histogram.quantile(share) == pytest.approx(exact, rel=0.04)


def test_one_in_a_hundred_is_no_part_of_the_others() -> None:
    """Of 99 short ones and a long one, 99 % took a short time."""
    histogram = Histogram()
    for seconds in [*[2.0] * 99, 500.0]:
        histogram.add(int(seconds * 1000))
    assert histogram.quantile(0.5) == histogram.quantile(0.99) == pytest.approx(2, rel=0.04)
    assert histogram.quantile(1) == pytest.approx(500, rel=0.04)


def test_what_is_no_time() -> None:
    """Clocks may differ, so an end may lie in the future; nothing is longer than some weeks."""
    histogram = Histogram()
    for seconds in (-5.0, 0.0, 0.0005):
        histogram.add(int(seconds * 1000))
    assert histogram.quantile(1) == 0.0
    histogram.add(10**15)
    assert histogram.quantile(1) == pytest.approx(2**31 / 1000, rel=0.04)


def test_a_million_take_no_more_memory_than_one() -> None:
    """It only counts."""
    histogram = Histogram()
    before = sys.getsizeof(histogram._counts)
    for number in range(10_000):
        histogram.add(number * 7)
    assert sys.getsizeof(histogram._counts) == before
    assert max(histogram._counts) < 10_000
