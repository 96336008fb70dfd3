"""Life cycles drawn at random."""

from __future__ import annotations

import math
from random import Random

import pytest

from awaitbatch.testing import LifeCycleRanges


def test_jobs_that_never_end_can_be_drawn() -> None:
    """A range from infinity to infinity is infinity."""
    assert LifeCycleRanges(running=(math.inf, math.inf))(Random(1)).running == math.inf


def test_no_job_without_an_attempt_can_be_drawn() -> None:
    """A range of attempts that begins below one is refused when it is made, not when a job is."""
    for given in (5, (1, 2, 3), "12"):
        with pytest.raises(TypeError, match=r"^running must be a range \(low, high\), not "):
            LifeCycleRanges(running=given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1 attempt"):
        LifeCycleRanges(attempts=(0, 3))
