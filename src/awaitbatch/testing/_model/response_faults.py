"""What can be wrong with the body of a response: pure functions from a good body to a bad one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

import msgspec

from awaitbatch._jobs import JobStatus
from awaitbatch.testing._model.faults import JOB_FAULTS, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from random import Random

    from awaitbatch.testing._model.faults import FaultRule

    JobDetail: TypeAlias = dict[str, Any]
    Change: TypeAlias = Callable[[list[JobDetail], Collection[str], Random], list[JobDetail]]

UNKNOWN_STATUS: Final = "HIBERNATING"


def corrupt(rule: FaultRule, body: bytes, random: Random, older: Callable[[str], bytes]) -> bytes:
    """Apply a fault to the body of a response; what does not concern the body leaves it as it is.

    Args:
        rule: What is to be wrong, and with which jobs; if it names none, with some, at least one, drawn at random.
        body: The good body.
        random: Draws them.
        older: Gives an older description of a job.
    """
    match rule.fault:
        case Fault.TRUNCATED_JSON:
            return body[: len(body) // 2]
        case Fault.HTML:
            return b"<html><body>Please sign in to use this network.</body></html>"
        case Fault.EMPTY_BODY:
            return b""
        case Fault.NULL_JOBS:
            return b'{"jobs":null}'
    return _corrupt_jobs(rule, body, random, older) if rule.fault in JOB_FAULTS else body


def _corrupt_jobs(rule: FaultRule, body: bytes, random: Random, older: Callable[[str], bytes]) -> bytes:
    job_ids: Collection[str] | None = rule.job_ids
    jobs: list[JobDetail] = msgspec.json.decode(body)["jobs"]
    if job_ids is None and jobs:
        drawn = random.sample(jobs, random.randint(1, len(jobs)))
        job_ids = {job["jobId"] for job in drawn}
    if rule.fault is Fault.STALE_JOBS:
        chosen = job_ids or ()
        jobs = [msgspec.json.decode(older(job["jobId"])) if job["jobId"] in chosen else job for job in jobs]
    else:
        jobs = _CHANGES[rule.fault](jobs, job_ids or (), random)
    return msgspec.json.encode({"jobs": jobs})


def _change_each(change: Callable[[JobDetail], JobDetail]) -> Change:
    def change_chosen(jobs: list[JobDetail], chosen: Collection[str], _: Random) -> list[JobDetail]:
        return [change(job) if job["jobId"] in chosen else job for job in jobs]

    return change_chosen


def _without_status(job: JobDetail) -> JobDetail:
    return {name: value for name, value in job.items() if name != "status"}


def _with_unknown_status(job: JobDetail) -> JobDetail:
    return job | {"status": UNKNOWN_STATUS}


def _with_null_lists(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {name: _with_null_lists(member) for name, member in value.items()}
    return None if isinstance(value, list) else value


def _leave_out(jobs: list[JobDetail], chosen: Collection[str], _: Random) -> list[JobDetail]:
    return [job for job in jobs if job["jobId"] not in chosen]


def _repeat(jobs: list[JobDetail], chosen: Collection[str], random: Random) -> list[JobDetail]:
    repeated = [*jobs, *(job for job in jobs if job["jobId"] in chosen)]
    return random.sample(repeated, len(repeated))


def _shuffle(jobs: list[JobDetail], _: Collection[str], random: Random) -> list[JobDetail]:
    return random.sample(jobs, len(jobs))


def _add_foreign(jobs: list[JobDetail], chosen: Collection[str], random: Random) -> list[JobDetail]:
    foreign = [
        job | {"jobId": str(UUID(int=random.getrandbits(128), version=4)), "status": JobStatus.SUCCEEDED}
        for job in jobs
        if job["jobId"] in chosen
    ]
    return random.sample([*jobs, *foreign], len(jobs) + len(foreign))


_CHANGES: Final[dict[Fault, Change]] = {
    Fault.NULL_LISTS: _change_each(_with_null_lists),
    Fault.NO_STATUS: _change_each(_without_status),
    Fault.UNKNOWN_STATUS: _change_each(_with_unknown_status),
    Fault.MISSING_JOBS: _leave_out,
    Fault.REPEATED_JOBS: _repeat,
    Fault.SHUFFLED_JOBS: _shuffle,
    Fault.FOREIGN_JOBS: _add_foreign,
}
