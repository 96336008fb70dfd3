"""The schedule of a race: its runs, how long they take, and which can be skipped. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.peers.rows import key_of
from benchmarks.peers.scenarios import EVERY_FEW_SECONDS, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.peers.registry import Contestant
    from benchmarks.peers.rows import Row
    from benchmarks.peers.scenarios import Pace, Scenario

_SECONDS_AROUND: Final = 5.0
"""What it takes to start a server and a contestant, and to end them, roughly."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant in one scenario at one pace, still to be run."""

    contestant: Contestant
    scenario: Scenario
    pace: Pace

    def __str__(self) -> str:
        return f"{self.contestant.name}, {self.scenario.name}, {self.pace.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What its row is about, as `rows.key_of` has it."""
        return self.scenario.name, self.pace.name, self.contestant.name


def plan(
    contestants: Iterable[Contestant], scenarios: Iterable[Scenario], paces: Iterable[Pace]
) -> Iterator[Run]:
    """All runs that these make, the contestants of one scenario and pace after each other."""
    contestants, paces = list(contestants), list(paces)
    for scenario in scenarios:
        for pace in paces:
            for contestant in contestants:
                is_told = pace.interval is not None or contestant.has_defaults
                if is_told and (contestant.scenarios is None or scenario.name in contestant.scenarios):
                    yield Run(contestant, scenario, pace)


def seconds_for(planned: Sequence[Run], rows: Iterable[Row]) -> float:
    """About how long some runs will take, going by rows of earlier ones where there are any."""
    took: dict[tuple[str, str, str], float] = {
        key_of(row): row["seconds"] for row in rows if "error" not in row
    }
    return sum(
        _SECONDS_AROUND
        + min(
            run.pace.deadline(run.scenario),
            took.get(run.key, run.scenario.longest_job + run.pace.patience / 2),
        )
        for run in planned
    )


def reason_to_skip(run: Run, rows: Iterable[Row]) -> str | None:
    """Why a run can be skipped, going by the rows of this race; None if it cannot.

    A contestant that could not cope with so many jobs without a limit will not cope with them behind one, nor with its
    own defaults. One that is slow by default may be fast when told to.
    """
    for row in rows:
        scenario = SCENARIOS.get(row["scenario"])
        if (
            row["contestant"] == run.contestant.name
            and scenario is not None
            and scenario.jobs == run.scenario.jobs
            and scenario.rate is None
            and not scenario.missing
            and row["pace"] in (EVERY_FEW_SECONDS.name, run.pace.name)
            and row.get("left", 0) > scenario.jobs / 2
            and key_of(row) != run.key
        ):
            return (
                f"not run: in {scenario.name}, {row['pace']} it was cut off "
                f"with {row['left']:,} of {scenario.jobs:,} waits left"
            )
    return None
