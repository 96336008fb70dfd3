"""How full calls are: ids a call once many waiting tasks have become one herd.

Every job is awaited in a task of its own, as a program that knows nothing of calls would. The jobs outlast the
measurement, and the warm-up is left out: the pauses before the first checks, which are drawn apart on purpose,
and the throttle's start.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from awaitbatch import BatchClient, ExponentialBackoff, FixedInterval
from awaitbatch.testing import ServerProcess
from benchmarks.report import Figure, Result
from benchmarks.servers import add_running_jobs, arguments_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch import Backoff, Statistics

MANY: Final = 2000
FEW: Final = 50
INTERVAL: Final = 5.0
_STEP: Final = 5.0
"""Seconds between two samples."""
_BACKOFFS: Final[dict[str, Callable[[], Backoff]]] = {
    "default backoff": ExponentialBackoff,
    f"FixedInterval({INTERVAL:g})": lambda: FixedInterval(INTERVAL),
}


@dataclass(frozen=True, slots=True)
class Herd:
    """What one client did while it was measured.

    Attributes:
        jobs: How many it awaited.
        backoff: How it spaced the checks of a job.
        seconds: How long it was measured.
        calls: The calls that it sent.
        ids: The ids in them.
        seen: Jobs in good answers.
        ids_per_call_over_time: Ids per call in each five seconds from the first wait on; 0.0 if there was no call.
    """

    jobs: int
    backoff: str
    seconds: float
    calls: int
    ids: int
    seen: int
    ids_per_call_over_time: list[float]

    @property
    def ids_per_call(self) -> float:
        """The mean number of ids in a call."""
        return self.ids / self.calls

    def figures(self) -> list[Figure]:
        """Its figures, with their targets."""
        title = f"{self.jobs:,} jobs, {self.backoff}"
        full = 97 if self.jobs >= 100 else self.jobs  # noqa: PLR2004
        found = [
            Figure(name=title, value=self.ids_per_call, unit="ids a call", at_least=full),
            Figure(
                name=title,
                value=self.calls / self.seen,
                unit="calls per job seen",
                # One call may be under way at the end, which has seen nothing yet.
                at_most=1 / full + 1 / self.seen,
            ),
        ]
        if "Fixed" in self.backoff:
            checks = self.seen / self.jobs / (self.seconds / INTERVAL)
            # No target: a period is the interval and the time to the answer, and the span has edges.
            found.append(Figure(name=title, value=checks, unit="checks per job and interval"))
        return found


async def measure(*, quick: bool) -> Result:
    """Run all herds at once against one server.

    They share nothing but the machine, which has little to do, and ids per call do not depend on it.

    Args:
        quick: Measure for a shorter time.
    """
    warm_up, seconds = (10.0, 10.0) if quick else (15.0, 45.0)
    async with ServerProcess() as server:
        herds = await asyncio.gather(
            *(
                _measure_one(server, jobs, name, warm_up, seconds)
                for jobs in (MANY, FEW)
                for name in _BACKOFFS
            )
        )
    return Result(
        name="herd",
        about=f"each job awaited in its own task, measured for {seconds:g} s after the first {warm_up:g} s",
        figures=[figure for herd in herds for figure in herd.figures()],
        quick=quick,
        details={"herds": [asdict(herd) for herd in herds]},
    )


async def _measure_one(
    server: ServerProcess, jobs: int, backoff: str, warm_up: float, seconds: float
) -> Herd:
    job_ids = await add_running_jobs(server, jobs)
    async with (
        BatchClient(**arguments_for(server), backoff=_BACKOFFS[backoff]()) as client,
        asyncio.TaskGroup() as group,
    ):
        waits = [group.create_task(client.wait_for_job(job_id)) for job_id in job_ids]
        samples = [client.statistics()]
        for _ in range(round((warm_up + seconds) / _STEP)):
            await asyncio.sleep(_STEP)
            samples.append(client.statistics())
        for wait in waits:
            wait.cancel()
    before, after = samples[round(warm_up / _STEP)], samples[-1]
    return Herd(
        jobs=jobs,
        backoff=backoff,
        seconds=seconds,
        calls=after.calls - before.calls,
        ids=_ids(after) - _ids(before),
        seen=after.jobs_described - before.jobs_described,
        ids_per_call_over_time=[
            round((_ids(later) - _ids(earlier)) / max(1, later.calls - earlier.calls), 1)
            for earlier, later in itertools.pairwise(samples)
        ],
    )


def _ids(statistics: Statistics) -> int:
    return round(statistics.ids_per_call * statistics.calls)
