"""What the demo came to: figures, and whether they agree with the server's record. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awaitbatch import JobStatus
from awaitbatch._core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from awaitbatch import Statistics


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that has ended.

    Attributes:
        job_id: The job.
        status: The state that the wait returned.
        returned_at: The moment at which it did, in epoch seconds.
    """

    job_id: str
    status: str
    returned_at: float


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """What the server says of the same jobs when asked in other ways than by DescribeJobs.

    Attributes:
        statuses: Job id to final state.
        ended: Job id to the moment of its end, in epoch seconds.
    """

    statuses: Mapping[str, str]
    ended: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a run.

    Attributes:
        succeeded: Jobs that succeeded.
        failed: Jobs that failed.
        seconds: From the first submission to the end of the last wait.
        calls: DescribeJobs calls.
        ids_per_call: Mean number of job ids in a call.
        checks: Checks of single jobs; a loop per job would have made a call for each.
        median_delay: Seconds from a job's end to that of its wait, for the median job.
        longest_usual_delay: The same for the 99th percentile.
        longest_stall: The longest that something held the event loop, in seconds.
        peak_memory: Of the process that awaits, in bytes; None if it is not known.
        memory_before: The same before the first submission.
        disagreements: Where the waits and the server's record differ; hopefully nowhere.
    """

    succeeded: int
    failed: int
    seconds: float
    calls: int
    ids_per_call: float
    checks: int
    median_delay: float
    longest_usual_delay: float
    longest_stall: float
    peak_memory: int | None
    memory_before: int | None
    disagreements: tuple[str, ...]

    @property
    def jobs(self) -> int:
        """All jobs that were awaited."""
        return self.succeeded + self.failed

    @property
    def factor(self) -> float:
        """How many times as many calls a loop per job would have made."""
        return self.checks / self.calls if self.calls else 1.0

    def headline(self) -> str:
        """The point of it all in one sentence."""
        return (
            f"{plural(self.jobs, 'job')} awaited from one event loop with {plural(self.calls, 'DescribeJobs call')}. "
            f"A loop per job makes {self.factor:.{0 if self.factor >= 10 else 1}f} times as many."  # noqa: PLR2004
        )

    def rows(self) -> Sequence[tuple[str, str]]:
        """The figures with their labels, in words for somebody who has seen none of this before."""
        return (
            ("Jobs", f"{self.succeeded:,} succeeded, {self.failed:,} failed (on purpose)"),
            ("Time", f"{self.seconds:.1f} s from the first submission to the end of the last wait"),
            ("DescribeJobs calls", f"{self.calls:,}, with {self.ids_per_call:.1f} job ids in each"),
            ("A loop per job", f"{self.checks:,} calls, one for each of the same checks of a job"),
            (
                "End of a job noticed",
                f"after {self.median_delay:.1f} s (median), {self.longest_usual_delay:.1f} s (99th percentile)",
            ),
            ("Longest loop stall", f"{self.longest_stall * 1000:.0f} ms in which no task could run"),
            ("Memory", self._memory()),
            ("Server's record", self._agreement()),
        )

    def _memory(self) -> str:
        if self.peak_memory is None or self.memory_before is None:
            return "not counted on this system"
        growth = _megabytes(self.peak_memory - self.memory_before)
        return f"{_megabytes(self.peak_memory)} at its peak, {growth} more than before the first job"

    def _agreement(self) -> str:
        if self.disagreements:
            return f"DISAGREES in {plural(len(self.disagreements), 'point')}"
        return "agrees with the outcome of every wait"


def summarize(
    waits: Sequence[Wait],
    record: ServerRecord,
    statistics: Statistics,
    *,
    seconds: float,
    longest_stall: float,
    peak_memory: int | None,
    memory_before: int | None,
) -> Summary:
    """Work out the figures of a run, and compare its waits with the server's record.

    Args:
        waits: All waits, in any order.
        record: The server's record of the same jobs.
        statistics: The client's own counts.
        seconds: See `Summary`, as for the arguments that follow.
        longest_stall: See `Summary`.
        peak_memory: See `Summary`.
        memory_before: See `Summary`.
    """
    delays = [wait.returned_at - record.ended[wait.job_id] for wait in waits if wait.job_id in record.ended]
    statuses = Counter(wait.status for wait in waits)
    return Summary(
        succeeded=statuses[JobStatus.SUCCEEDED],
        failed=statuses[JobStatus.FAILED],
        seconds=seconds,
        calls=statistics.calls,
        ids_per_call=statistics.ids_per_call,
        checks=statistics.jobs_described,
        median_delay=percentile(delays, 50),
        longest_usual_delay=percentile(delays, 99),
        longest_stall=longest_stall,
        peak_memory=peak_memory,
        memory_before=memory_before,
        disagreements=tuple(map(one_line, _disagreements(waits, record))),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` % of all values do not exceed; NaN if there are none."""
    if not values:
        return math.nan
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def plural(number: int, noun: str) -> str:
    """A number and what it counts, such as ``1,000 jobs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _disagreements(waits: Sequence[Wait], record: ServerRecord) -> Iterator[str]:
    for wait in waits:
        status, ended = record.statuses.get(wait.job_id), record.ended.get(wait.job_id)
        if status != wait.status:
            yield f"job {wait.job_id}: its wait returned {wait.status}, the server lists it as {status or 'not ended'}"
        if ended is None:
            yield f"job {wait.job_id}: its wait returned, but the server has no record of its end"
        elif wait.returned_at < ended:
            yield f"job {wait.job_id}: its wait returned {ended - wait.returned_at:.3f} s before the job ended"
    awaited = Counter(wait.job_id for wait in waits)
    for job_id in record.statuses.keys() - awaited.keys():
        yield f"job {job_id}: the server ran it, but nobody awaited it"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.0f} MB"
