"""What becomes of jobs that have not ended when their stream is left: they are terminated, if its user wants that."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from awaitbatch._core.outcomes import FailureKind, Reason
from awaitbatch._core.text import quantity
from awaitbatch._job_results import named, not_terminated_text
from awaitbatch._termination import parse_reason
from awaitbatch.errors import CallError, ClientClosedError, DescribeError
from awaitbatch.instrumentation._log import write_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from awaitbatch._core.outcomes import Outcome
    from awaitbatch._open_streams import OpenStreams
    from awaitbatch._termination import Terminations


class ExitTerminations:
    """Terminates the jobs of a stream that have not ended when it is left.

    A job is left alone if nobody knows whether it runs: if it was not found, or if its last checks failed.

    Args:
        reason: For the jobs' records; None leaves all jobs alone.
        pause: Gives the seconds to wait after so many tries.
        patience: Seconds in which at least one job has to be terminated, or it is given up.

    Attributes:
        left: The jobs that were to be terminated and are not, with the errors.
    """

    def __init__(self, reason: str | None, pause: Callable[[int], float], patience: float) -> None:
        self._reason = reason
        self._pause = pause
        self._patience = patience
        self.left: dict[str, Exception | None] = {}
        # Those that are followed no more, though they have not ended, and those of which nobody knows.
        self._given_up: dict[str, None] = {}
        self._unknown: dict[str, None] = {}
        # Whether a failure that would come again has ended one of them.
        self._has_failed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether jobs are to be terminated at all."""
        return self._reason is not None

    def note(self, job_id: str, outcome: Outcome) -> None:
        """Remember what the end of a job's watch means for it."""
        if self._reason is None or outcome.reason in {Reason.MATCHED, Reason.ABSENT}:
            return
        is_known = outcome.reason is Reason.BROKEN or outcome.failure is None
        (self._given_up if is_known else self._unknown)[job_id] = None
        failure = None if is_known else outcome.failure
        self._has_failed |= failure is not None and failure.kind is FailureKind.PERMANENT

    def doubt(self, job_ids: Iterable[str]) -> None:
        """Leave these alone if such a failure as their last check had has ended others: theirs is only a call later."""
        if self._has_failed:
            self._unknown.update(dict.fromkeys(job_ids))

    def forget(self, job_id: str) -> None:
        """Leave a job alone."""
        self._given_up.pop(job_id, None)
        self._unknown.pop(job_id, None)

    def begin(
        self,
        job_ids: Iterable[str],
        open_streams: OpenStreams,
        terminations: Terminations,
        *,
        is_trusted: bool,
        source: asyncio.Task[None] | None,
    ) -> None:
        """Begin to terminate jobs, in a task of the client's.

        Args:
            job_ids: Those that were followed to the last.
            open_streams: Where the task runs.
            terminations: Makes the calls.
            is_trusted: Whether what is known of the jobs is to be relied on; if not, all are left alone.
            source: A task that may still `add` one or the other.
        """
        if self._reason is None:
            return
        self.left = dict.fromkeys(
            job_id for job_id in [*job_ids, *self._given_up] if job_id not in self._unknown
        )
        if not is_trusted:
            self._unknown.update(dict.fromkeys(self.left))
            self.left = {}
        if self._unknown:
            jobs = quantity(len(self._unknown), "AWS Batch job was", "AWS Batch jobs were")
            text = "%s not terminated, since it is not known what became of them: %s"
            write_log(logging.WARNING, text, jobs, named(self._unknown))
        if is_trusted and (self.left or source is not None):
            ending = self._end(self._reason, terminations, source)
            self._task = open_streams.run(ending, "awaitbatch terminations on exit")

    def add(self, job_ids: Iterable[str]) -> None:
        """Terminate these, too, which came late."""
        if self._task is None:
            return
        late = dict.fromkeys(job_ids)
        self.left.update(late)
        if self._task.done():
            write_log(logging.WARNING, "%s", not_terminated_text(late))

    async def see_through(self) -> None:
        """Wait until all jobs are terminated, or until none was for as long as the patience lasts."""
        task, left = self._task, -1
        while task is not None and not task.done():
            if left == len(self.left):
                task.cancel()
            left = len(self.left)
            await asyncio.wait({task}, timeout=self._patience)

    async def _end(self, reason: str, terminations: Terminations, source: asyncio.Task[None] | None) -> None:
        try:
            if source is not None:
                await asyncio.wait({source}, timeout=self._patience)
            await terminations.end_many("TerminateJob", self.left, reason, pause=self._pause)
            if source is not None:
                # It may have taken its time to end, or still do so, and give what it has submitted last.
                await asyncio.wait({source})
                await terminations.end_many("TerminateJob", self.left, reason, pause=self._pause)
        finally:
            if self.left:
                write_log(logging.WARNING, "%s", not_terminated_text(self.left))


def is_untrustworthy(error: BaseException | None) -> bool:
    """Whether it says that the client is ill, and nothing about the jobs: they shall not die of that."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_untrustworthy, error.exceptions))
    return isinstance(error, CallError | DescribeError) or (
        isinstance(error, ClientClosedError) and error.__cause__ is not None
    )


def parse_reason_on_exit(reason: object) -> str | None:
    """``terminate_on_exit``: a reason as `parse_reason` takes it, or None."""
    return None if reason is None else parse_reason(reason, "terminate_on_exit")
