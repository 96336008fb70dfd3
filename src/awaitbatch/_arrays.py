"""Children of array jobs and nodes of multi-node parallel jobs: their ids, and what their parent says of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.members import text_in
from awaitbatch._core.text import one_line
from awaitbatch._jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHILDREN: Final = 10_000
"""Children of an array, which has 2 at least.

https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
"""

_NO_CHILDREN_YET: Final = frozenset({JobStatus.SUBMITTED})
_NO_NODES_YET: Final = frozenset({JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE})


class Children:
    """The children of an array, or the nodes of a multi-node job.

    Attributes:
        is_there: Whether they can be described by now, as far as their parent's status tells.
    """

    __slots__ = ("_job_id", "_separator", "_size", "is_there")

    def __init__(self, job_id: str, separator: str, size: int, *, is_there: bool) -> None:
        self._job_id = job_id
        self._separator = separator
        self._size = size
        self.is_there = is_there

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Children | None:
        """Those of a job, from its description; None if it is no parent."""
        job_id, status = job.get("jobId"), text_in(job.get("status"))
        if not isinstance(job_id, str) or is_child(job_id):
            return None
        if size := _size(job, "arrayProperties", "size"):
            return cls(job_id, ":", size, is_there=status not in _NO_CHILDREN_YET)
        if size := _size(job, "nodeProperties", "numNodes"):
            return cls(job_id, "#", size, is_there=status not in _NO_NODES_YET)
        return None

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return (f"{self._job_id}{self._separator}{index}" for index in range(self._size))


def is_child(job_id: str) -> bool:
    """Whether it is the id of an array's child or of a node."""
    return ":" in job_id or "#" in job_id


def _size(job: Mapping[str, Any], holder: str, member: str) -> int:
    properties = job.get(holder)
    size = properties.get(member) if isinstance(properties, Mapping) else None
    # More there cannot be, and who knows what an answer may hold.
    return size if type(size) is int and 0 < size <= MOST_CHILDREN else 0


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far an array job has come, as its parent shows it; any other job counts as an array of one.

    Attributes:
        job_id: The job.
        status: The status of the job itself.
        size: How many children it has; 1 if it is not an array.
        counts: How many of them are in which state; states with none are left out. AWS Batch updates them from time to
            time, so they may be some seconds old, and need not add up to ``size``.
        updated_at: When they were updated, in epoch milliseconds.
    """

    job_id: str
    status: str
    size: int
    counts: dict[str, int] = field(default_factory=dict)
    updated_at: int = 0

    @classmethod
    def of(cls, job: Mapping[str, Any], seen_at: int | None = None) -> JobProgress:
        """The progress of a job that was described at that moment, in epoch milliseconds, or just now."""
        now = int(time.time() * 1000) if seen_at is None else seen_at
        job_id, status = text_in(job.get("jobId")), text_in(job.get("status"))
        size = _size(job, "arrayProperties", "size")
        if not size:
            return cls(job_id, status, 1, {status: 1} if status else {}, now)
        properties = job["arrayProperties"]
        summary = properties.get("statusSummary")
        counts = {
            status if status in JobStatus.__members__ else one_line(status): count
            for status, count in (summary.items() if isinstance(summary, Mapping) else ())
            if type(count) is int and count > 0
        }
        updated_at = properties.get("statusSummaryLastUpdatedAt")
        return cls(job_id, status, size, counts, updated_at if type(updated_at) is int else now)

    @property
    def ended(self) -> int:
        """How many have ended."""
        return sum(self.counts.get(status, 0) for status in (JobStatus.SUCCEEDED, JobStatus.FAILED))
