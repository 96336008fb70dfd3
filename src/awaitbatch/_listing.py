"""ListJobs: the jobs of a queue or the children of a parent, page after page, in whatever state they are."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import anyio.lowlevel

from awaitbatch._arrays import is_child
from awaitbatch._core.members import text_in
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import one_line, shown
from awaitbatch._failures import CutOffError, UnreadableResponseError, classify
from awaitbatch._job_ids import parse_job_id
from awaitbatch._jobs import JobStatus, parse_statuses
from awaitbatch.errors import CallError, ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from types_aiobotocore_batch.type_defs import JobSummaryTypeDef

    from awaitbatch._call_queue import CallQueue
    from awaitbatch._core.outcomes import Failure
    from awaitbatch._transport import BatchTransport

_OPERATION: Final = "ListJobs"
_TRIES: Final = 5
"""How often to ask for a page if calls fail in ways that may pass; it takes up to a quarter of a minute."""
_MOST_IN_A_ROW: Final = 250
"""Jobs to give in one turn of the event loop; then others have their turns."""

_PAGE: Final = 1000
PAGE_WITH_FILTER: Final = 100
"""The most jobs of a page.

https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html
"""

FILTERS: Final = (
    "JOB_NAME",
    "JOB_DEFINITION",
    "SHARE_IDENTIFIER",
    "BEFORE_CREATED_AT",
    "AFTER_CREATED_AT",
)
_BESIDES_STATUS: Final = "SHARE_IDENTIFIER"
"""The one filter beside which AWS Batch heeds a status."""


class Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def lists(self) -> CallQueue:
        """Makes ListJobs calls."""

    @property
    def transport(self) -> BatchTransport:
        """How calls reach AWS Batch."""

    @property
    def write_log(self) -> Callable[..., None]:
        """See `LogObserver.write`."""

    def check_open(self, job_id: object = None) -> None:
        """Raise unless it is open."""

    def closed_error(self, job_id: object = None) -> ClientClosedError:
        """Why it cannot be used."""


class ListRequest(NamedTuple):
    """What is to be listed.

    Attributes:
        what: Whose jobs they are, for the text of an error.
        calls: The parameters of the first page of each call; one call for each state, unless AWS Batch gives all.
        statuses: The states to pick out of the answers; None for all that come.
    """

    what: str
    calls: list[dict[str, Any]]
    statuses: frozenset[str] | None

    @classmethod
    def of(
        cls,
        queue: str | None,
        array_job_id: str | None,
        multi_node_job_id: str | None,
        statuses: object,
        filters: object,
    ) -> Self:
        """The request for the arguments of `BatchClient.list_jobs`.

        Raises:
            ValueError: They make no sense.
            TypeError: One is of a wrong type.
        """
        what, whose = _whose(queue, array_job_id, multi_node_job_id)
        wanted = None if statuses is None else parse_statuses(statuses, "statuses")
        if filters is not None:
            one = _parse_filter(filters)
            if queue is None:
                message = (
                    "filters are for the jobs of a queue: AWS Batch does not apply them to children and nodes"
                )
                raise ValueError(message)
            whose |= {"filters": [one], "maxResults": PAGE_WITH_FILTER}
            if one["name"] != _BESIDES_STATUS:
                # AWS Batch gives jobs of all states whatever status is asked for.
                return cls(what, [whose], wanted)
        else:
            whose["maxResults"] = _PAGE
        # In the order of the life cycle: who moves on between two calls is met again, and not missed.
        in_order = [status.value for status in JobStatus if wanted is None or status in wanted]
        return cls(what, [{**whose, "jobStatus": status} for status in in_order], None)


def _whose(
    queue: str | None, array_job_id: str | None, multi_node_job_id: str | None
) -> tuple[str, dict[str, Any]]:
    """Whose jobs are listed, in words and as a parameter."""
    given = {"queue": queue, "array_job_id": array_job_id, "multi_node_job_id": multi_node_job_id}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        message = f"give exactly one of {', '.join(given)}, not {' and '.join(names) or 'none of them'}"
        raise ValueError(message)
    if queue is not None:
        if not isinstance(queue, str):
            message = f"queue must be the name or ARN of a job queue, not {shown(queue)}"
            raise TypeError(message)
        if not queue:
            message = "queue must be the name or ARN of a job queue, not an empty str"
            raise ValueError(message)
        return f"AWS Batch job queue ({one_line(queue)})", {"jobQueue": str.__str__(queue)}
    job_id = parse_job_id(given[names[0]])
    if is_child(job_id):
        message = f"{names[0]} must be the id of a parent, not of one of its children: {shown(job_id)}"
        raise ValueError(message)
    member = "arrayJobId" if array_job_id is not None else "multiNodeJobId"
    return f"AWS Batch job ({job_id})", {member: job_id}


def _parse_filter(filters: object) -> dict[str, Any]:
    """The one filter of a call, in boto3's form.

    Raises:
        ValueError: There is not exactly one, or AWS Batch has no such filter.
        TypeError: It is of another form.
    """
    example = "such as [{'name': 'JOB_NAME', 'values': ['nightly-*']}]"
    if not isinstance(filters, Sequence) or not all(isinstance(one, Mapping) for one in filters):
        message = f"filters must be a list of one filter, {example}, not {shown(filters)}"
        raise TypeError(message)
    if len(filters) != 1:
        message = f"AWS Batch takes one filter at a time, not {len(filters)}: {example}"
        raise ValueError(message)
    one = filters[0]
    name, values = one.get("name"), one.get("values")
    if name not in FILTERS or set(one) != {"name", "values"}:
        message = f"a filter has a name, one of {', '.join(FILTERS)}, and values, {example}, not {shown(one)}"
        raise ValueError(message)
    is_list = isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)
    if not is_list or not values:
        message = f"the values of filter {name} must be a list of one str or more, not {shown(values)}"
        raise ValueError(message)
    return {"name": name, "values": list(values)}


def _readable(answer: Mapping[str, Any], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    summaries = answer.get("jobSummaryList")
    if not isinstance(summaries, list):
        # No jobs would be an empty list.
        message = f"the answer to {_OPERATION} has no jobSummaryList"
        raise UnreadableResponseError(message)
    if not all(isinstance(one, Mapping) and isinstance(one.get("jobId"), str) for one in summaries):
        message = f"the answer to {_OPERATION} has a job without an id"
        raise UnreadableResponseError(message)
    if (token := answer.get("nextToken")) and token == parameters.get("nextToken"):
        # There would be no end of it.
        message = f"the answer to {_OPERATION} has the nextToken that it was asked with"
        raise UnreadableResponseError(message)
    return answer


class JobSummaries:
    """Jobs as ListJobs shows them, as `BatchClient.list_jobs` gives them: ``async for summary in …``.

    A page is fetched only when the loop needs it, by the task that asks for the next job. So nothing runs between two
    jobs, and nothing is left behind however the loop is left. ``async with`` is optional.

    Args:
        host: The client's inside.
        request: What is to be listed.
        pause: Gives the seconds to wait after so many tries.
        client: The client, which stays for as long as this: a use of a shared client ends once nobody has it any more.
    """

    def __init__(
        self, host: Host, request: ListRequest, pause: Callable[[int], float], client: object = None
    ) -> None:
        self._host = host
        self._client: object = client
        self._what = request.what
        self._statuses = request.statuses
        self._pause = pause
        self._calls = deque(request.calls)
        self._page: deque[JobSummaryTypeDef] = deque()
        # Ids of the jobs that were given: who moves on to a state that is listed later is there again.
        self._seen: set[str] = set()
        self._in_a_row = 0
        # Of two tasks that want the next job, one asks for the page.
        self._asking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<JobSummaries of {self._what}, {len(self._seen)} seen>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobSummaryTypeDef:
        """The next job.

        Raises:
            CallError: ListJobs failed for good. To ask once more goes on where it failed.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        self._in_a_row += 1
        if self._in_a_row > _MOST_IN_A_ROW:
            self._in_a_row = 0
            await anyio.lowlevel.checkpoint()
        while not self._page:
            async with self._asking:
                if not self._page:
                    await self._next_page()
        return self._page.popleft()

    async def __aenter__(self) -> Self:
        self._host.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it: no job comes any more."""
        self._calls.clear()
        self._page.clear()
        self._client = None

    async def _next_page(self) -> None:
        if not self._calls:
            self._client = None
            raise StopAsyncIteration
        parameters = self._calls[0]
        answer = await self._ask(parameters)
        if not self._calls:
            # It was closed meanwhile.
            return
        if token := answer.get("nextToken"):
            self._calls[0] = {**parameters, "nextToken": token}
        else:
            self._calls.popleft()
        for summary in answer["jobSummaryList"]:
            job_id = summary["jobId"]
            is_wanted = self._statuses is None or text_in(summary.get("status")) in self._statuses
            if is_wanted and job_id not in self._seen:
                self._seen.add(job_id)
                self._page.append(summary)

    async def _ask(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        for number in itertools.count(1):
            self._host.check_open()
            lists = self._host.lists
            try:
                return _readable(await lists.call(_OPERATION, parameters), parameters)
            except (ClientClosedError, CutOffError):
                raise self._host.closed_error() from None
            except Exception as error:
                # No failure is kept: it would refer to the error, and the error to this frame.
                if number >= _TRIES or failure_of(self._host, error).kind is not FailureKind.TRANSIENT:
                    raise self._error(error) from error
            await lists.pause(self._pause(number))
        raise AssertionError

    def _error(self, error: Exception) -> CallError:
        what_failed = f"{self._what}: its jobs could not be listed"
        advice = "check its name, the region and the account"
        return CallError.of(what_failed, _OPERATION, failure_of(self._host, error), advice)


def failure_of(host: Host, error: BaseException) -> Failure:
    """What it means that ListJobs raised an error."""
    renewed = host.transport.refreshes_credentials
    return classify(error, operation=_OPERATION, refreshes_credentials=renewed)
