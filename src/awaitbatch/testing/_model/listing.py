"""ListJobs: which jobs, in which order, in which pages.

https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from awaitbatch._jobs import JobStatus
from awaitbatch.testing._model.description import milliseconds
from awaitbatch.testing._model.service_error import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from awaitbatch.testing._model.account import Account
    from awaitbatch.testing._model.job import Job
    from awaitbatch.testing._model.requests import Filter, ListJobs

_MOST: Final = 1000
_MOST_WITH_FILTER: Final = 100


class Page(NamedTuple):
    """One page of a list.

    Attributes:
        jobs: The jobs on it.
        next_token: What asks for the next page; None on the last.
    """

    jobs: list[Job]
    next_token: str | None


def list_jobs(request: ListJobs, jobs: Sequence[Job], now: float, account: Account) -> Page:
    """One page of a list.

    Args:
        request: The call.
        jobs: The jobs of the queue or the parent, in the order of their submission.
        now: The time.
        account: Where they lie.

    Raises:
        ServiceError: The call is refused.
    """
    limit = _MOST if request.max_results is None else request.max_results
    require(0 < limit <= _MOST, f"maxResults must be 1 to {_MOST}, not {limit}")
    status = request.job_status
    require(status is None or status in JobStatus.__members__, f"not a jobStatus: {status!r}")
    token = request.next_token
    require(token is None or token.isdecimal(), "not a nextToken of ours")
    number = None if token is None else int(token)
    matches = None
    if request.filters:
        require(request.job_queue is not None, "filters are for the jobs of a queue, not for children")
        require(len(request.filters) == 1, "only one filter can be used at a time")
        matches = _match(request.filters[0], account)
        if request.filters[0].name != "SHARE_IDENTIFIER":
            status = None
        limit = min(limit, _MOST_WITH_FILTER)
    elif status is None:
        status = "RUNNING"
    found: list[Job] = []
    for job in _after(number, jobs, newest_first=matches is not None):
        if (status is None or job.status(now) == status) and (matches is None or matches(job)):
            if len(found) == limit:
                return Page(found, str(found[-1].number))
            found.append(job)
    return Page(found, None)


def _after(number: int | None, jobs: Sequence[Job], *, newest_first: bool) -> Iterator[Job]:
    """The jobs that come after that with the number, which may be gone."""

    def place(find: Callable[..., int]) -> int:
        return find(jobs, number, key=lambda job: job.number)

    if newest_first:
        last = len(jobs) if number is None else place(bisect_left)
        return (jobs[index] for index in range(last - 1, -1, -1))
    first = 0 if number is None else place(bisect_right)
    return (jobs[index] for index in range(first, len(jobs)))


def _match(one: Filter, account: Account) -> Callable[[Job], bool]:
    values = one.values
    require(values, "a filter needs values")
    match one.name:
        case "JOB_NAME":
            return _patterns([value.lower() for value in values], lambda job: job.submission.job_name.lower())
        case "JOB_DEFINITION":
            return _match_definition(values, account)
        case "SHARE_IDENTIFIER":
            return lambda job: job.submission.share_identifier in values
        case "BEFORE_CREATED_AT" | "AFTER_CREATED_AT":
            moment = values[0]
            require(
                len(values) == 1 and moment.isdecimal(),
                f"{one.name} needs one value: milliseconds since 1970",
            )
            if one.name == "BEFORE_CREATED_AT":
                return lambda job: milliseconds(job.begin) < int(moment)
            return lambda job: milliseconds(job.begin) > int(moment)
    require(condition=False, message=f"not a filter: {one.name!r}")
    raise AssertionError


def _patterns(values: list[str], text: Callable[[Job], str]) -> Callable[[Job], bool]:
    """Match one of several values, of which those that end with an asterisk are prefixes."""
    exact = {value for value in values if not value.endswith("*")}
    prefixes = tuple(value[:-1] for value in values if value.endswith("*"))
    return lambda job: text(job) in exact or text(job).startswith(prefixes)


def _match_definition(values: list[str], account: Account) -> Callable[[Job], bool]:
    """Match names of any revision, or ARNs of one."""
    arns = {value for value in values if value.startswith("arn:")}

    def arn(job: Job) -> str:
        return account.job_definition_arn(job.submission.job_definition)

    by_name = _patterns(
        [value for value in values if value not in arns],
        lambda job: arn(job).rpartition("/")[2].partition(":")[0],
    )
    return lambda job: arn(job) in arns or by_name(job)
