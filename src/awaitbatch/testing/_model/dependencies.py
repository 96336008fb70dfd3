"""``dependsOn`` of SubmitJob: whom a job, or each child of an array, waits for.

https://docs.aws.amazon.com/batch/latest/userguide/job_dependencies.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awaitbatch.testing._model.job import Job
    from awaitbatch.testing._model.requests import JobDependency, SubmitJob

_MOST_DEPENDENCIES = 20


class Dependencies(NamedTuple):
    """Whom the job of a submission waits for.

    Attributes:
        whole: Jobs on which it depends as a whole, be they single jobs or arrays.
        pairwise: Arrays of which each child is needed by the child with its index: N_TO_N.
        sequential: Whether each child needs the one before it: SEQUENTIAL.
    """

    whole: tuple[Job, ...]
    pairwise: tuple[Job, ...]
    sequential: bool

    def of_child(self, earlier: list[Job]) -> tuple[Job, ...]:
        """Whom the next child of an array, or the next node, needs; `earlier` are those before it."""
        index = len(earlier)
        previous = earlier[-1:] if self.sequential else []
        return (*self.whole, *(array.children[index] for array in self.pairwise), *previous)


def resolve(submission: SubmitJob, jobs: Mapping[str, Job]) -> Dependencies:
    """Find the jobs that a submission depends on.

    Raises:
        ValueError: One is unknown, there are too many, or a type does not fit.
    """
    found = [_resolve(dependency, submission, jobs) for dependency in submission.depends_on]
    if len(found) > _MOST_DEPENDENCIES:
        message = f"a job can depend on at most {_MOST_DEPENDENCIES} jobs, not on {len(found)}"
        raise ValueError(message)
    return Dependencies(
        whole=tuple(job for kind, job in found if kind is None and job is not None),
        pairwise=tuple(job for kind, job in found if kind == "N_TO_N" and job is not None),
        sequential=any(kind == "SEQUENTIAL" for kind, _ in found),
    )


def _resolve(
    dependency: JobDependency, submission: SubmitJob, jobs: Mapping[str, Job]
) -> tuple[str | None, Job | None]:
    kind, job_id = dependency.type, dependency.job_id
    size = submission.array_properties.size
    job = None if job_id is None else jobs.get(job_id)
    message = None
    if job_id is not None and job is None:
        message = f"dependsOn names a job that does not exist: {job_id!r}"
    elif kind == "SEQUENTIAL":
        if size is None or job_id is not None:
            message = "a SEQUENTIAL dependency is among the children of an array, and names no jobId"
    elif job is None:
        message = "a dependency needs a jobId unless it is SEQUENTIAL"
    elif kind == "N_TO_N":
        if size is None or not job.is_array or len(job.children) != size:
            message = f"an N_TO_N dependency is between arrays of one size: {job_id}"
    elif kind is not None:
        message = f"the type of a dependency is N_TO_N or SEQUENTIAL, not {kind!r}"
    if message is not None:
        raise ValueError(message)
    return kind, job
