"""What the log tells of calls and jobs: enough to know what is going on, never a flood."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Final

from awaitbatch._core.incidents import Incident, Line
from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch._core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awaitbatch._core.requests import StatusChange

log = logging.getLogger("awaitbatch")

_RECOVERY: Final = 5.0
"""Seconds after a failed call from which on a good one means that the outage is over."""
_CONGESTION_RECOVERY: Final = 60.0
"""The same of throttled calls. It is longer, since feeling for the limit meets it again every half a minute or so."""
_REMEMBERED: Final = 20_000
"""Jobs whose last line is remembered, three megabytes of them, so that no other wait says it again."""
_LINES_AT_ONCE: Final = 20
"""Lines about jobs after which others on the event loop get their turn; so many take about a millisecond."""


class Reporter:
    """Writes to the logger ``awaitbatch``.

    INFO has one line for each job and state, also if one wait follows another. WARNING has the first throttled call
    and the first failed one, then at most a summary a minute of each; one line at INFO says that it is over. ERROR has
    it when credentials have expired for good, as often. The rest is DEBUG.
    """

    def __init__(self) -> None:
        self._congestion = Incident(_CONGESTION_RECOVERY)
        self._outage = Incident(_RECOVERY)
        self._expiry = Incident(_RECOVERY)
        # The states that the log has, least recently told first.
        self._told: dict[str, str] = {}

    def changed(self, changes: list[StatusChange]) -> Iterator[None]:
        """Jobs were seen in new states. Where it yields, others on the event loop may have their turn."""
        if changes and log.isEnabledFor(logging.INFO):
            for number, (job_id, before, after) in enumerate(changes, start=1):
                self._tell_once(job_id, before, after)
                if number % _LINES_AT_ONCE == 0:
                    yield

    def _tell_once(self, job_id: str, before: str | None, after: str) -> None:
        told = self._told.pop(job_id, None)
        self._told[job_id] = sys.intern(after)
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        if after != told:
            was = before or told
            came_from = f", was {one_line(was)}" if was else ""
            write_log(logging.INFO, "AWS Batch job (%s) is %s%s", job_id, one_line(after), came_from)

    def answered(self, now: float, rate: float) -> None:
        """A call brought a good answer."""
        if self._congestion.quiet(now):
            text = "AWS throttles DescribeJobs no more, after %d calls; now %.2f calls/s"
            write_log(logging.INFO, text, self._congestion.count, rate)
        if self._outage.quiet(now):
            write_log(logging.INFO, "DescribeJobs works again, after %d failed calls", self._outage.count)
        self._expiry.quiet(now)

    def throttled(self, now: float, before: float, rate: float) -> None:
        """A call was throttled; the rate is now ``rate`` calls a second."""
        line = self._congestion.event(now)
        if line is Line.BEGIN:
            text = "AWS throttles DescribeJobs: from %.2f down to %.2f calls/s; no wait is lost, answers come later"
            write_log(logging.WARNING, text, before, rate)
        elif line is Line.SUMMARY:
            text = "AWS still throttles DescribeJobs at times: %d calls in %.0f s, now %.2f calls/s"
            write_log(logging.WARNING, text, self._congestion.count, now - self._congestion.began, rate)
        else:
            write_log(logging.DEBUG, "AWS throttled a DescribeJobs call, now %.2f calls/s", rate)

    def failed(self, now: float, failure: Failure, pending: int) -> None:
        """A call failed while ``pending`` waits were under way."""
        line = self._outage.event(now)
        reason = one_line(failure.message)
        if line is Line.BEGIN:
            fate = "polls go on" if failure.kind is FailureKind.TRANSIENT else "the waits for its jobs end"
            write_log(logging.WARNING, "DescribeJobs failed, %s: %s", fate, reason)
        elif line is Line.SUMMARY:
            text = "DescribeJobs keeps failing: %d calls in %.0f s, %d waits pending; the last: %s"
            write_log(logging.WARNING, text, self._outage.count, now - self._outage.began, pending, reason)
        else:
            write_log(logging.DEBUG, "DescribeJobs failed: %s", reason)

    def expired(self, now: float, failure: Failure, ended: int) -> None:
        """No call can succeed any more, so ``ended`` waits have ended."""
        level = logging.ERROR if self._expiry.event(now) else logging.DEBUG
        text = "DescribeJobs failed, all waits end (%d): %s; %s"
        write_log(level, text, ended, one_line(failure.message), failure.advice)

    def refused(self, failure: Failure, jobs: int) -> None:
        """AWS refused a call because of its content."""
        write_log(logging.DEBUG, "AWS Batch refused to describe %d jobs: %s", jobs, one_line(failure.message))


def write_log(level: int, text: str, *args: object) -> None:
    """Log a line. A filter or handler that raises is the user's, and must not stop the calls of all."""
    with contextlib.suppress(Exception):
        log.log(level, text, *args)
