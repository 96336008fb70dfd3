"""The token bucket lets pass what AWS would, with literal times."""

from __future__ import annotations

import pytest

from awaitbatch.testing import TokenBucket


def test_a_burst_passes_and_then_the_rate() -> None:
    """A full bucket gives its burst at once, and after that one token each 1/rate seconds."""
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(0.25)
    assert bucket.take(0.5)
    assert not bucket.take(0.5)


def test_a_long_pause_fills_no_more_than_the_burst() -> None:
    """Tokens beyond the burst are lost."""
    bucket = TokenBucket(rate=10, burst=2)
    assert [bucket.take(0.0) for _ in range(2)] == [True, True]
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_a_change_counts_from_its_moment() -> None:
    """Time before a change is paid at the old rate, time after it at the new one."""
    bucket = TokenBucket(rate=1, burst=10)
    assert all(bucket.take(0.0) for _ in range(10))
    bucket.change(4, 10, now=2.0)
    assert [bucket.take(2.5) for _ in range(5)] == [True] * 4 + [False]


def test_a_smaller_burst_spills_tokens() -> None:
    """A bucket that shrinks keeps what fits."""
    bucket = TokenBucket(rate=1, burst=10)
    bucket.change(1, 2, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_is_set_back_costs_nothing() -> None:
    """Time that goes back neither fills nor empties the bucket."""
    bucket = TokenBucket(rate=1, burst=2)
    assert bucket.take(100.0)
    assert bucket.take(50.0)
    assert not bucket.take(50.5)
    assert bucket.take(51.0)


def test_the_burst_is_one_second_unless_said() -> None:
    """The default burst is the gain of a second, and never less than a call."""
    assert TokenBucket(20).burst == 20
    assert TokenBucket(0.5).burst == 1
    assert repr(TokenBucket(20)) == "TokenBucket(rate=20, burst=20, tokens=20.00)"


@pytest.mark.parametrize(("rate", "burst"), [(-1.0, None), (float("nan"), None), (1.0, 0.5)])
def test_impossible_buckets_are_refused(rate: float, burst: float | None) -> None:
    """A rate is not negative, and a burst lets at least one call pass."""
    with pytest.raises(ValueError, match="bucket"):
        TokenBucket(rate, burst)
