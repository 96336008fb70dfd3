"""Tells observers of the calls, the waits and the jobs of a `DescribeCoalescer`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from awaitbatch._changes import job_changed
from awaitbatch._core.text import error_line, one_line
from awaitbatch._late_checks import LateChecks
from awaitbatch.instrumentation._events import CallEnded, JobChanged, JobMissing, WaitBegan, WaitEnded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from awaitbatch._core.outcomes import Failure, Reason
    from awaitbatch._core.requests import Call, Delivery, StatusChange
    from awaitbatch._core.throttle import AdaptiveThrottle
    from awaitbatch._core.watch import Watch
    from awaitbatch._core.windows import Windows
    from awaitbatch._first_answer import FirstAnswer
    from awaitbatch._responses import DescribeJobsResponse
    from awaitbatch.instrumentation._observers import Observers


class DescribeEvents:
    """Makes the events, those that somebody wants.

    Args:
        windows: What waits.
        throttle: How fast calls begin.
        observers: Who hears of it.
        first_answer: Hears of the ends of calls first.
    """

    def __init__(
        self,
        windows: Windows[Watch],
        throttle: AdaptiveThrottle,
        observers: Observers,
        first_answer: FirstAnswer,
    ) -> None:
        self._windows = windows
        self._throttle = throttle
        self._observers = observers
        self._first_answer = first_answer
        self._late = LateChecks(windows, observers)
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Tell of late checks no more."""
        self._late.close()

    def call_ended(
        self,
        call: Call[Watch],
        how: Failure | str,
        sent_at: float,
        deliveries: Sequence[Delivery[Watch]] = (),
    ) -> None:
        """Tell how a call has ended: in a failure, or as ``"answered"`` or ``"cancelled"``."""
        self._first_answer.note(how, is_logged=True)
        observers = self._observers
        # The log has no use for these.
        for_others: dict[str, Any] = {}
        if observers.others:
            # Some may have come after the waits had begun.
            self._late.watch()
            for_others = {
                "describes": self._windows.describes,
                "overdue": self._late.seconds(),
                "pending_by_status": self._windows.by_status(),
            }
        event = CallEnded.of(
            "DescribeJobs",
            how,
            ids=len(call.job_ids),
            seconds=self._loop.time() - sent_at,
            rate=self._throttle.rate,
            pending=len(self._windows),
            ended=sum(outcome is not None for _, outcome in deliveries),
            region_name=observers.region_name,
            client=observers.client,
            **for_others,
        )
        observers.notify(event)

    def jobs_changed(
        self, response: DescribeJobsResponse, changes: Iterable[StatusChange], seen_at: int
    ) -> None:
        """Tell what a call has shown of jobs; what cannot be told is logged, and keeps nothing else from being told."""
        if not self._observers.want(JobChanged):
            return
        # The log has no use for descriptions.
        has_readers = bool(self._observers.others)
        for job_id, previous, status, reason, seconds in changes:
            try:
                item = response.description(job_id) if has_readers else None
                event = job_changed(
                    response.heads[job_id], previous, status, reason, seen_at, item=item, seconds=seconds
                )
                self._observers.notify(event)
            except Exception as error:  # noqa: BLE001
                text = "AWS Batch job (%s) has changed, but observers cannot be notified: %s"
                self._observers.write_log(logging.ERROR, text, one_line(job_id), error_line(error))

    def jobs_missing(self, job_ids: Iterable[str]) -> None:
        """Tell which jobs an answer lacks."""
        if self._observers.want(JobMissing):
            for job_id in job_ids:
                self._observers.notify(JobMissing(job_id=job_id))

    def wait_began(self, watch: Watch) -> None:
        """Tell of a wait; to be called only if ``hear_of_waits`` holds of the observers, like the next."""
        self._late.watch()
        event = WaitBegan(
            job_id=watch.job_id,
            kind="describe" if watch.one_shot else "poll",
            wait=id(watch),
            client=self._observers.client,
        )
        self._observers.notify(event)

    def wait_ended(
        self, watch: Watch, reason: Reason, lag: float | None = None, item: bytes | None = None
    ) -> None:
        """Tell how a wait has ended: with this description, seen ``lag`` seconds after the end of the job."""
        event = WaitEnded.of(
            item,
            job_id=watch.job_id,
            kind="describe" if watch.one_shot else "poll",
            outcome=reason.value,
            seconds=self._loop.time() - watch.began,
            checks=watch.checks,
            status=watch.last_status,
            lag=lag,
            pending=len(self._windows),
            wait=id(watch),
            client=self._observers.client,
        )
        self._observers.notify(event)
