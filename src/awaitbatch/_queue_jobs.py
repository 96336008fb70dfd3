"""The ids of a queue's jobs as they come, found by listing it again and again; a watch follows them."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import datetime
from typing import TYPE_CHECKING, Final

from awaitbatch._config import number
from awaitbatch._core.backoff import shared_random
from awaitbatch._core.members import number_in, text_in
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.suspicion import Patience
from awaitbatch._core.text import shown
from awaitbatch._jobs import TERMINAL, JobStatus
from awaitbatch._listing import PAGE_WITH_FILTER, JobSummaries, ListRequest, failure_of
from awaitbatch.errors import CallError
from awaitbatch.instrumentation._incidents import Incident

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from types_aiobotocore_batch.type_defs import JobSummaryTypeDef

    from awaitbatch._listing import Host

_LOOK_BACK: Final = 60_000
"""Milliseconds by which a job may be listed later than jobs that were created after it."""
_RECOVERY: Final = 5.0
"""Seconds after a list that failed from which on a good one means that the trouble is over."""
_NOT_ENDED: Final = [status for status in JobStatus if status not in TERMINAL]


class QueueJobs:
    """An asynchronous iterable of the ids of a queue's jobs, each once. It never ends by itself.

    What is new is asked for by AFTER_CREATED_AT, from a minute before the newest job that was seen: a list may show a
    job late. Only jobs of that minute are remembered, so that they are not given again. All times are AWS Batch's, and
    this machine's clock does not matter.

    Args:
        host: The client.
        queue: The name or ARN of the job queue.
        since: Give all jobs that were created from then on, ended ones included; see `parse_since`. None for those that
            have not ended when it begins, and all that come then.
        every: Seconds between two lists, at most; the pause is drawn from the upper half, as that of `FixedInterval`.
        pause: Gives the seconds to wait after so many tries to get a page.

    Raises:
        ValueError: An argument makes no sense.
        TypeError: One is of a wrong type.
    """

    def __init__(
        self,
        host: Host,
        queue: str,
        since: datetime | int | None,
        every: float,
        pause: Callable[[int], float],
    ) -> None:
        self._host = host
        self._queue = queue
        self._pause = pause
        self._every = number(_is_interval, "every", every, "a positive number of seconds")
        # Jobs created after this moment, in AWS Batch's milliseconds, are asked for; None while nobody knows it.
        self._after = None if since is None else max(0, parse_since(since) - 1)
        # What had been created by then and has ended when it is first listed does not count.
        self._began = -1
        # Whether the jobs that were there in the beginning, however old, are still to be given.
        self._lacks_old = since is None
        # Ids of the jobs that were given, or passed over, to when they were created.
        self._seen: dict[str, int] = {}
        self._patience = Patience()
        self._trouble = Incident(_RECOVERY)
        # An invalid queue is refused here.
        self._list()

    def __repr__(self) -> str:
        return f"<QueueJobs of {self._queue!r}, {len(self._seen)} remembered>"

    async def __aiter__(self) -> AsyncIterator[str]:
        """Give ids for ever.

        A generator will do, since `Stream` iterates over it in one task, and closes it there.

        Raises:
            CallError: ListJobs failed in a way that would come again: the first time, or for five minutes.
            ClientClosedError: The client is not open, or was closed meanwhile.
        """
        while True:
            try:
                after = await self._find_beginning() if self._after is None else self._after
                newest = 0
                async for summary in self._list(after):
                    self._patience.on_answer()
                    created = _created_at(summary)
                    newest = max(newest, created)
                    # A server that does not know the filter gives all.
                    if created > after and self._is_new(summary):
                        yield summary["jobId"]
                if self._lacks_old:
                    async for summary in self._list():
                        if self._is_new(summary):
                            yield summary["jobId"]
                    self._lacks_old = False
                self._patience.on_answer()
                self._trouble.went_well(asyncio.get_running_loop().time())
                # Not before all of it was listed: what was not would never be.
                self._after = after = max(after, newest - _LOOK_BACK)
                self._seen = {job_id: created for job_id, created in self._seen.items() if created > after}
            except CallError as error:
                if not self._may_pass(error):
                    raise
                self._note_trouble(error)
            await asyncio.sleep(shared_random.uniform(self._every / 2, self._every))

    def _list(self, after: int | None = None) -> JobSummaries:
        """The jobs that were created after a moment, the newest first; or those that have not ended."""
        if after is None:
            request = ListRequest.of(self._queue, None, None, _NOT_ENDED, None)
        else:
            filters = [{"name": "AFTER_CREATED_AT", "values": [str(after)]}]
            request = ListRequest.of(self._queue, None, None, None, filters)
        return JobSummaries(self._host, request, self._pause)

    async def _find_beginning(self) -> int:
        """When the newest job was created that is there in the beginning; ask for those after a minute before."""
        newest, count = 0, 0
        async for summary in self._list(0):
            newest = max(newest, _created_at(summary))
            count += 1
            if count == PAGE_WITH_FILTER:
                # The newest come first. Another page might fail, and this one's answer would be lost.
                break
        self._patience.on_answer()
        self._began = newest
        # It is kept even if the first list fails.
        self._after = max(0, newest - _LOOK_BACK)
        return self._after

    def _is_new(self, summary: JobSummaryTypeDef) -> bool:
        job_id, created = summary["jobId"], _created_at(summary)
        if job_id in self._seen:
            return False
        self._seen[job_id] = created
        return created > self._began or text_in(summary.get("status")) not in TERMINAL

    def _may_pass(self, error: CallError) -> bool:
        """Whether to go on after a failure."""
        failure = failure_of(self._host, error.__cause__ or error)
        return failure.kind is FailureKind.TRANSIENT or self._patience.bears_another(
            asyncio.get_running_loop().time()
        )

    def _note_trouble(self, error: CallError) -> None:
        """Say that no new jobs come, and from time to time that it goes on; nobody else would."""
        if self._trouble.occurred(asyncio.get_running_loop().time()) is not None:
            self._host.write_log(logging.WARNING, "%s; new jobs are looked for again and again", error)


def parse_since(since: datetime | int) -> int:
    """A moment in milliseconds since 1970.

    Raises:
        ValueError: It has no time zone, or lies before 1970.
        TypeError: It is neither a datetime nor an int.
    """
    if isinstance(since, datetime):
        if since.tzinfo is None:
            message = f"since must have a time zone, such as datetime.now(UTC) has: {shown(since)}"
            raise ValueError(message)
        since = int(since.timestamp() * 1000)
    elif not isinstance(since, int) or isinstance(since, bool):
        message = f"since must be a datetime with a time zone, or milliseconds since 1970 as an int, not {shown(since)}"
        raise TypeError(message)
    if since < 0:
        message = f"since must not lie before 1970: {since} ms"
        raise ValueError(message)
    return since


def _is_interval(seconds: float) -> bool:
    return 0 < seconds < math.inf


def _created_at(summary: JobSummaryTypeDef) -> int:
    return number_in(summary.get("createdAt")) or 0
