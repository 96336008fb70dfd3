"""A life cycle says when a job is in which state, and travels in the parameters of a submission."""

from __future__ import annotations

import math
from random import Random

import pytest

from awaitbatch.testing import LifeCycle, LifeCycleRanges


def test_each_state_lasts_as_long_as_it_should() -> None:
    """A job passes through the states in their order, and stays in the last for ever."""
    life_cycle = LifeCycle(submitted=1, pending=2, runnable=3, starting=4, running=5)
    assert list(life_cycle.stages()) == [
        ("SUBMITTED", 1),
        ("PENDING", 2),
        ("RUNNABLE", 3),
        ("STARTING", 4),
        ("RUNNING", 5),
        ("SUCCEEDED", math.inf),
    ]


def test_a_retry_goes_back_to_runnable() -> None:
    """Each attempt but the last is followed by RUNNABLE, and only the last by the outcome."""
    states = [state for state, _ in LifeCycle(attempts=2, outcome="FAILED").stages()]
    assert states[2:] == ["RUNNABLE", "STARTING", "RUNNING"] * 2 + ["FAILED"]


@pytest.mark.parametrize(
    "life_cycle",
    [
        LifeCycle(),
        LifeCycle(running=12.5, outcome="FAILED", exit_code=3, reason="OutOfMemoryError", attempts=4),
        LifeCycle(running=math.inf),
    ],
)
def test_parameters_carry_the_whole_life_cycle(life_cycle: LifeCycle) -> None:
    """What to_parameters writes is what from_parameters reads."""
    assert LifeCycle.from_parameters(life_cycle.to_parameters()) == life_cycle


def test_parameters_leave_the_rest_to_the_default() -> None:
    """A parameter changes one thing, and foreign parameters change nothing."""
    default = LifeCycle(pending=7)
    read = LifeCycle.from_parameters({"awaitbatch.running": "2", "input": "s3://bucket"}, default)
    assert read == LifeCycle(pending=7, running=2)
    assert LifeCycle.from_parameters({"input": "s3://bucket"}, default) is default


@pytest.mark.parametrize(
    ("name", "value"),
    [("runing", "1"), ("running", "soon"), ("running", "-1"), ("outcome", "DONE"), ("attempts", "0")],
)
def test_unusable_parameters_are_refused(name: str, value: str) -> None:
    """A typing error in a parameter does not pass for a life cycle."""
    with pytest.raises(ValueError, match="life cycle"):
        LifeCycle.from_parameters({f"awaitbatch.{name}": value})


@pytest.mark.parametrize("seconds", [-0.1, math.nan])
def test_impossible_durations_are_refused(seconds: float) -> None:
    """A state lasts zero seconds or more."""
    with pytest.raises(ValueError, match="in RUNNING"):
        LifeCycle(running=seconds)


def test_ranges_bound_what_they_draw() -> None:
    """Life cycles drawn from ranges stay inside them, and fail as often as they should."""
    random = Random(1)
    drawn = [LifeCycleRanges(running=(5, 30), failing=0.1, attempts=(1, 3))(random) for _ in range(1000)]
    assert all(5 <= life_cycle.running <= 30 for life_cycle in drawn)
    assert {life_cycle.attempts for life_cycle in drawn} == {1, 2, 3}
    assert 60 < sum(life_cycle.outcome == "FAILED" for life_cycle in drawn) < 140


def test_impossible_ranges_are_refused() -> None:
    """A range goes from low to high, and a share from 0 to 1."""
    with pytest.raises(ValueError, match="low to high"):
        LifeCycleRanges(running=(2, 1))
    with pytest.raises(ValueError, match="share"):
        LifeCycleRanges(failing=1.5)
