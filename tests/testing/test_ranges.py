"""Life cycles drawn at random."""

from __future__ import annotations

import math
from random import Random

from awaitbatch.testing import LifeCycleRanges


def test_jobs_that_never_end_can_be_drawn() -> None:
    """A range from infinity to infinity is infinity."""
    assert LifeCycleRanges(running=(math.inf, math.inf))(Random(1)).running == math.inf
