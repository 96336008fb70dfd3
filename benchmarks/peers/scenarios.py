"""What is run: the scenarios, and how often contestants check each job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INTERVAL: Final = 5.0
"""Seconds in which each job is checked once, if a contestant can be told to."""
LIMIT: Final = 20.0
"""Calls a second, and calls at once after a pause, in the scenarios with a limit."""
RUNNING: Final = (15.0, 25.0)
"""Least and most seconds in RUNNING; the states before take 0.3 to 1.2 s."""
DESCRIPTION_BYTES: Final = 3000
SEED: Final = 1
MISSING: Final = "00000000-0000-4000-8000-000000000000"
"""The id of a job that AWS Batch does not know."""
MISSING_DEADLINE: Final = 60.0
"""Seconds after which a contestant is cut off that waits for that one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The jobs, and the account that they are in.

    Attributes:
        name: What the command line calls it.
        about: What the table calls it.
        jobs: How many jobs there are.
        rate: Calls a second that the account allows; None for any number.
        missing: Whether one more id is awaited that AWS Batch does not know.
        running: Least and most seconds that a job runs.
    """

    name: str
    about: str
    jobs: int
    rate: float | None = None
    missing: bool = False
    running: tuple[float, float] = RUNNING

    @property
    def longest_job(self) -> float:
        """Seconds after which all jobs have ended."""
        return self.running[1] + 1.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How often contestants check each job.

    Attributes:
        name: What the results call it.
        interval: Seconds; None for what each contestant does by default.
        patience: Seconds from the last end of a job until a contestant is cut off.
    """

    name: str
    interval: float | None
    patience: float

    def deadline(self, scenario: Scenario) -> float:
        """Seconds from the beginning of the wait after which a contestant is cut off."""
        return scenario.longest_job + self.patience


EVERY_FEW_SECONDS: Final = Pace(f"{INTERVAL:g}s", INTERVAL, 60.0)
BY_DEFAULT: Final = Pace("defaults", None, 60.0)
PACES: Final = (EVERY_FEW_SECONDS, BY_DEFAULT)

SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="1000", about="1,000 jobs, no limit", jobs=1000),
        Scenario(name="5000", about="5,000 jobs, no limit", jobs=5000),
        Scenario(name="1000-limited", about=f"1,000 jobs, {LIMIT:g} calls/s", jobs=1000, rate=LIMIT),
        Scenario(name="5000-limited", about=f"5,000 jobs, {LIMIT:g} calls/s", jobs=5000, rate=LIMIT),
        Scenario(
            name="1000-missing", about="1,000 jobs and an id that does not exist", jobs=1000, missing=True
        ),
    )
}

QUICK: Final = Scenario(name="200-quick", about="200 jobs, no limit", jobs=200, running=(2.0, 4.0))
QUICK_PACE: Final = Pace("1s", 1.0, 30.0)
