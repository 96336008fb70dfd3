"""The two kinds of stream: one tells how jobs end, the other what changes about them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from awaitbatch._arrays import Children, is_child
from awaitbatch._core.following import Following
from awaitbatch._core.outcomes import MATCHED
from awaitbatch._job_ids import parse_job_id
from awaitbatch._job_results import JobChange, JobOutcome, JobTrouble, WatchItem
from awaitbatch._jobs import TERMINAL
from awaitbatch._responses import decode_head
from awaitbatch._results import WaitResult
from awaitbatch._streams import Stream
from awaitbatch._stuck_jobs import StuckJobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from awaitbatch._core.outcomes import Outcome
    from awaitbatch._core.watch import Watch
    from awaitbatch._streams import JobIds, Settings, Waiting
    from awaitbatch.instrumentation._events import JobStuck


class OutcomeStream(Stream[JobOutcome]):
    """Tells how each job has ended."""

    def _note(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        if outcome is None:
            return
        told = (
            JobOutcome(watch.job_id, watch.last_status, error=_error_of(watch, outcome))
            if item is None
            else JobOutcome(watch.job_id, watch.last_status, item)
        )
        self._tell(watch.job_id, told)

    def _item_of_error(self, job_id: str, error: Exception) -> JobOutcome:
        return JobOutcome(job_id, error=error)


class ChangeStream(Stream[WatchItem]):
    """Tells what changes.

    However slow its user is, at most one change of a job waits for him: another one takes its place, with the status
    that he was told last.

    Args:
        settings: See `Stream`, as for all but the next.
        job_ids: See `Stream`.
        children: Whether to follow children of arrays and nodes, too.
        stuck_after: Seconds after which a job that is RUNNABLE is told of; None for never.
        keep_open: See `Stream`.
        terminate_on_exit: See `Stream`.
    """

    watch_class = Following

    def __init__(
        self,
        settings: Settings,
        job_ids: JobIds,
        *,
        children: bool = False,
        stuck_after: float | None = None,
        keep_open: bool = False,
        terminate_on_exit: str | None = None,
    ) -> None:
        self._stuck = None if stuck_after is None else StuckJobs(stuck_after, self._note_stuck, settings.host)
        # Parents to their children, as soon as those can be described.
        self._children: dict[str, Children] | None = {} if children else None
        super().__init__(settings, job_ids, keep_open=keep_open, terminate_on_exit=terminate_on_exit)

    def discard(self, job_ids: Iterable[str]) -> None:
        """As any stream, with the children of those jobs that are parents."""
        job_ids = [parse_job_id(job_id) for job_id in job_ids]
        super().discard(job_ids)
        families = self._children or {}
        for job_id in job_ids:
            super().discard(families.pop(job_id, ()))

    def _forget(self, job_id: str) -> Watch | Waiting | None:
        if self._stuck is not None:
            self._stuck.forget(job_id)
        return super()._forget(job_id)

    def _note(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        job_id = watch.job_id
        if item is not None and isinstance(watch, Following):
            self._note_change(watch, item)
        if outcome is not None and self._stuck is not None:
            self._stuck.forget(job_id)
        if outcome is not None and self._children is not None and self._keep_open:
            # As the job itself is: a stream that stays open may see any number of parents.
            self._children.pop(job_id, None)
        if outcome is not None and outcome is not MATCHED:
            self._tell(job_id, JobTrouble(job_id, _error_of(watch, outcome)))

    def _note_change(self, watch: Following, item: bytes) -> None:
        job_id, head = watch.job_id, decode_head(item)
        order, status = head.order, head.status
        # Many deliveries take several turns of the event loop, in which a later one may pass it.
        if status is None or order <= watch.told:
            return
        waiting = self.ready.get(job_id, [])
        previous = next((told.previous for told in waiting if isinstance(told, JobChange)), watch.told_status)
        watch.told, watch.told_status = order, status
        attempt = head.attempts_ended + (status not in TERMINAL)
        if self._stuck is not None:
            self._stuck.note(watch, head, item)
        # It keeps the place in the queue of what it makes outdated.
        waiting.clear()
        change = JobChange(
            job_id, previous, status, attempt=attempt, seen_at=int(time.time() * 1000), job=item
        )
        self._tell(job_id, change)
        if self._children is not None and job_id not in self._children and not is_child(job_id):
            self._add_children(change, self._children)

    def _note_stuck(self, stuck: JobStuck) -> None:
        self._tell(stuck.job_id, stuck)

    def _stop(self, *, is_trusted: bool = True) -> None:
        super()._stop(is_trusted=is_trusted)
        if self._stuck is not None:
            self._stuck.close()

    def _add_children(self, change: JobChange, families: dict[str, Children]) -> None:
        family = Children.of(change.job)
        if family is not None and family.is_there:
            families[change.job_id] = family
            self._take_in(family)

    def _item_of_error(self, job_id: str, error: Exception) -> JobTrouble:
        return JobTrouble(job_id, error)


def _error_of(watch: Watch, outcome: Outcome) -> Exception:
    error = WaitResult(watch, outcome, None).error()
    if isinstance(error, Exception):
        return error
    # Whoever raises it would seem to be cancelled himself.
    wrapped = RuntimeError(f"AWS Batch job ({watch.job_id}): its backoff raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped
