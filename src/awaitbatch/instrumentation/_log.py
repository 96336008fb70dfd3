"""The log, as an observer: enough to know what is going on, never a flood, and never more than a host can take."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.text import quantity
from awaitbatch._jobs import JobStatus
from awaitbatch.instrumentation._events import (
    CallEnded,
    ClientOpened,
    CredentialsRenewed,
    JobChanged,
    JobStuck,
    NoAnswer,
    SignatureOutdated,
    SubmissionUnclaimed,
    TerminationUnclaimed,
    Throttled,
)
from awaitbatch.instrumentation._incidents import Incident, Line
from awaitbatch.instrumentation._pace import LinePace

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from awaitbatch.instrumentation._events import Event

log = logging.getLogger("awaitbatch")
shared_log = logging.getLogger("awaitbatch.shared")
"""Where a client that several users share writes its lines."""

_RECOVERY: Final = 5.0
"""Seconds after a failed call from which on a good one means that the outage is over."""
_THROTTLE_RECOVERY: Final = 60.0
"""The same of throttled calls. It is longer, since feeling for the limit meets it again every half a minute or so."""
_SUCCEEDED: Final = "SUCCEEDED"
_NAMES_A_LINE: Final = 50
"""Jobs that nobody claims to be named in one line of a summary; an id has 36 characters."""


_ANSWERS: Final = frozenset({"answered", "throttled", "refused"})
"""Outcomes of calls that nobody but AWS Batch can have answered."""


def write_log(
    level: int, text: str, *args: object, extra: dict[str, Any] | None = None, logger: logging.Logger = log
) -> None:
    """Write a line at once. A filter or handler that raises is the user's, and must not stop the calls of all."""
    try:
        logger.log(level, text, *args, extra=extra)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001, S110
        pass


class LogObserver:
    """Writes events to a logger; records carry the members of the event as attributes, too.

    INFO has one line for each job, state and reason. WARNING has the first throttled call and the first failed one, or
    that there is no answer, then at most a summary a minute of each; one line at INFO says that it is over. The rest is
    DEBUG. Until a call was answered, lines about failures name the endpoint.

    Of lines that may come once a job, whatever their level, at most twenty a second are written, and one more every few
    seconds says how many were left out. Who reads them may be slow, and a log that is full may block.

    Args:
        clock: Gives monotonic seconds.
        logger: Where to write. What goes to `shared_log` at INFO and below is written only if that logger itself has a
            level which admits it.
    """

    def __init__(self, clock: Callable[[], float], logger: logging.Logger = log) -> None:
        self._clock = clock
        self._logger = logger
        self._changes = LinePace(clock, self._summarise_changes)
        self._unclaimed, self._uncertain, self._unended = (
            LinePace(clock, partial(self._name, *texts))
            for texts in (
                (
                    "and %s, whose submitter left before it was told: %s",
                    "AWS Batch job was submitted",
                    "AWS Batch jobs were submitted",
                ),
                (
                    "and %s, whose submitter left; look for them by name: %s",
                    "AWS Batch job may or may not have been submitted",
                    "AWS Batch jobs may or may not have been submitted",
                ),
                (
                    "and %s, since calls to end them failed after their callers were cancelled: %s",
                    "AWS Batch job may go on",
                    "AWS Batch jobs may go on",
                ),
            )
        )
        # By the text of the line.
        self._others: defaultdict[tuple[int, str], LinePace] = defaultdict(
            lambda: LinePace(clock, self._summarise_others)
        )
        # By operation.
        self._throttling: defaultdict[str, Incident] = defaultdict(lambda: Incident(_THROTTLE_RECOVERY))
        self._outdated: defaultdict[str, Incident] = defaultdict(lambda: Incident(_RECOVERY))
        self._outage = Incident(_RECOVERY)
        self._bad_credentials = Incident(_RECOVERY)
        self._no_credentials = Incident(_RECOVERY)
        # Until it has answered a call; and failures of calls other than DescribeJobs up to then.
        self._endpoint_url: str | None = None
        self._unheard = 0

    def wants(self, kind: type[Event]) -> bool:
        """Whether events of a kind that comes once a job lead to a line."""
        return kind is JobChanged and self._is_enabled(logging.INFO)

    def _is_enabled(self, level: int) -> bool:
        # A level that is set when this is imported would not last: `dictConfig` resets it.
        is_quiet = self._logger is shared_log and not self._logger.level and level < logging.WARNING
        return not is_quiet and self._logger.isEnabledFor(level)

    def __call__(self, event: Event, /) -> None:  # noqa: C901
        """Write what the event is worth."""
        match event:
            case JobChanged():
                self._on_job_changed(event)
            case CallEnded():
                self._on_call_ended(event)
            case ClientOpened():
                self._endpoint_url = event.endpoint_url
            case JobStuck():
                self._on_stuck(event)
            case NoAnswer():
                self._on_no_answer(event)
            case CredentialsRenewed():
                self._on_renewed(event)
            case Throttled():
                self._on_throttled(event)
            case SubmissionUnclaimed():
                self._on_unclaimed(event)
            case SignatureOutdated():
                self._on_outdated(event)
            case TerminationUnclaimed():
                self._on_unended(event)

    def close(self) -> None:
        """Write how many lines were left out."""
        named = (self._unclaimed, self._uncertain, self._unended)
        for pace in (self._changes, *named, *self._others.values()):
            pace.summarise()

    def write(self, level: int, text: str, *args: object, extra: dict[str, Any] | None = None) -> None:
        """Write a line at WARNING or above that is no event, unless there were too many of the same text just now."""
        if self._others[level, text].admits(text):
            write_log(level, text, *args, extra=extra, logger=self._logger)

    def _write(self, level: int, extra: dict[str, Any], text: str, *args: object) -> None:
        if self._is_enabled(level):
            write_log(level, text, *args, extra=extra, logger=self._logger)

    def _on_job_changed(self, event: JobChanged) -> None:
        if not (self._is_enabled(logging.INFO) and self._changes.admits(event.status)):
            return
        extra = {
            "job_id": event.job_id,
            "status": event.status,
            "previous": event.previous,
            "attempt": event.attempt,
            "reason": event.reason,
        }
        still = "still " if event.previous == event.status else ""
        came_from = f", was {event.previous}" if event.previous and not still else ""
        # Of a success, too, AWS Batch says that an essential container exited.
        why = f": {event.reason}" if event.reason and event.status != _SUCCEEDED else ""
        text = "AWS Batch job (%s) is %s%s%s%s"
        self._write(logging.INFO, extra, text, event.job_id, still, event.status, came_from, why)

    def _summarise_changes(self, left_out: Counter[str]) -> None:
        known = {status: left_out.pop(status) for status in JobStatus if status in left_out}
        counts = known | ({"another state": left_out.total()} if left_out else {})
        changes = quantity(sum(counts.values()), "more change", "more changes")
        by_status = ", ".join(f"{count} {status}" for status, count in counts.items())
        text = "and %s of AWS Batch jobs: %s"
        self._write(logging.INFO, {"changes": counts}, text, changes, by_status)

    def _on_call_ended(self, event: CallEnded) -> None:
        if event.outcome in _ANSWERS:
            self._endpoint_url = None
        if event.outcome == "answered" and self._bad_credentials.went_well(self._clock()):
            text = "calls are answered with the new credentials, after %d that were refused"
            self._write_call(logging.INFO, event, text, self._bad_credentials.count)
        if event.awaits_credentials:
            self._on_bad_credentials(event)
        elif event.operation == "DescribeJobs":
            self._on_describe_ended(event)
        elif event.outcome == "answered":
            self._on_not_throttled(event, self._clock())
            if self._outdated[event.operation].went_well(self._clock()):
                self._write_call(
                    logging.INFO, event, "AWS accepts the signatures of %s again", event.operation
                )
        elif event.error_message is not None and event.outcome != "throttled":
            self._on_other_failed(event)

    def _on_other_failed(self, event: CallEnded) -> None:
        """Whoever asked for it hears of the failure, but not while it is tried again: so before the first answer."""
        line = None
        if self._endpoint_url and event.outcome == "transient" and event.http_status is None:
            self._unheard += 1
            # The first may be the last, of which its caller hears.
            line = self._outage.occurred(self._clock(), counts=False) if self._unheard > 1 else None
        if line is None:
            self._write_call(logging.DEBUG, event, "%s failed: %s", event.operation, event.error_message)
        else:
            text = "%s failed, and is tried again if it may be: %s"
            self._write_call(logging.WARNING, event, text, event.operation, self._with_endpoint(event))

    def _with_endpoint(self, event: CallEnded) -> str:
        """What the error says, and until a call was answered the endpoint."""
        text = event.error_message or ""
        if not self._endpoint_url or self._endpoint_url in text:
            return text
        # An error with an HTTP status is an answer, if not a good one, perhaps of the wrong server.
        if event.http_status is not None:
            return f"{text}; the endpoint is {self._endpoint_url}"
        return f"{text}; no answer from {self._endpoint_url} so far"

    def _on_describe_ended(self, event: CallEnded) -> None:
        now = self._clock()
        match event.outcome:
            case "answered":
                self._on_answered(event, now)
            case "throttled" | "cancelled":
                # `Throttled` says more, and what nobody wanted any more is no news.
                pass
            case "refused":
                text = "AWS Batch refused to describe %d jobs: %s"
                self._write_call(logging.DEBUG, event, text, event.ids, event.error_message)
            case _:
                self._on_failed(event, now)

    def _on_answered(self, event: CallEnded, now: float) -> None:
        self._on_not_throttled(event, now)
        if self._outage.went_well(now):
            if self._outage.count:
                text = "DescribeJobs works again, after %d failed calls"
                self._write_call(logging.INFO, event, text, self._outage.count)
            else:
                self._write_call(logging.INFO, event, "AWS Batch has answered")

    def _on_not_throttled(self, event: CallEnded, now: float) -> None:
        throttling = self._throttling[event.operation]
        if throttling.went_well(now):
            text = "AWS no longer throttles %s, after %d rejected calls; now %.2f calls/s"
            self._write_call(logging.INFO, event, text, event.operation, throttling.count, event.rate)

    def _on_stuck(self, event: JobStuck) -> None:
        extra = {
            "job_id": event.job_id,
            "seconds": event.seconds,
            "reason": event.reason,
            "position": event.position,
        }
        place = "" if event.position is None else f", at position {event.position} of its queue"
        why = event.reason or "AWS Batch says nothing of the reason"
        text = "AWS Batch job (%s) has been RUNNABLE for %.0f s%s: %s"
        self.write(logging.WARNING, text, event.job_id, event.seconds, place, why, extra=extra)

    def _on_unclaimed(self, event: SubmissionUnclaimed) -> None:
        extra = {"job_name": event.job_name, "job_id": event.job_id}
        pace = self._uncertain if event.job_id is None else self._unclaimed
        if not pace.admits(event.job_id or event.job_name):
            return
        if event.job_id is not None:
            text = "AWS Batch job (%s) named %s was submitted, but its submitter left before it was told"
            self._write(logging.WARNING, extra, text, event.job_id, event.job_name)
        else:
            text = (
                "AWS Batch job named %s may or may not have been submitted, and its submitter left: %s; "
                "look for it by its name"
            )
            self._write(logging.WARNING, extra, text, event.job_name, event.error)

    def _on_unended(self, event: TerminationUnclaimed) -> None:
        if self._unended.admits(event.job_id):
            extra = {"operation": event.operation, "job_id": event.job_id}
            text = "AWS Batch job (%s): %s failed after its caller was cancelled, so the job may go on: %s"
            self._write(logging.WARNING, extra, text, event.job_id, event.operation, event.error)

    def _name(self, text: str, one: str, several: str, left_out: Counter[str]) -> None:
        """Name all of them, in a few lines: nobody else knows of these jobs."""
        names = left_out.elements()
        while some := list(islice(names, _NAMES_A_LINE)):
            self._write(logging.WARNING, {}, text, quantity(len(some), one, several), ", ".join(some))

    def _summarise_others(self, left_out: Counter[str]) -> None:
        ((text, count),) = left_out.items()
        shown = re.sub(r"%[a-z]", "…", text)
        self._write(logging.WARNING, {}, "and %s like this: %s", quantity(count, "line", "lines"), shown)

    def _on_failed(self, event: CallEnded, now: float) -> None:
        line = self._outage.occurred(now)
        text_of_error = self._with_endpoint(event)
        if line is Line.BEGIN:
            is_over = event.outcome == "permanent" and event.ended
            fate = "so the waits for its jobs end" if is_over else "polls go on"
            text = "DescribeJobs failed, %s: %s"
            self._write_call(logging.WARNING, event, text, fate, text_of_error)
        elif line is Line.SUMMARY:
            text = "DescribeJobs keeps failing: %d calls in %.0f s, %d waits pending; the last: %s"
            lasted = now - self._outage.began
            self._write_call(
                logging.WARNING, event, text, self._outage.count, lasted, event.pending, text_of_error
            )
        else:
            self._write_call(logging.DEBUG, event, "DescribeJobs failed: %s", event.error_message)

    def _on_bad_credentials(self, event: CallEnded) -> None:
        now, incident = self._clock(), self._bad_credentials
        line = incident.occurred(now)
        if line is Line.BEGIN:
            text = "%s failed, and all calls wait until the factory has given new credentials: %s"
            self._write_call(logging.WARNING, event, text, event.operation, event.error_message)
        elif line is Line.SUMMARY:
            text = "the credentials that the factory gives are still bad: %d calls failed in %.0f s; the last: %s"
            lasted = now - incident.began
            self._write_call(logging.WARNING, event, text, incident.count, lasted, event.error_message)
        else:
            self._write_call(logging.DEBUG, event, "%s failed: %s", event.operation, event.error_message)

    def _on_renewed(self, event: CredentialsRenewed) -> None:
        extra = {"tries": event.tries, "error": event.error}
        if event.error is None:
            text = "the factory has given new credentials, since calls failed for %.0f s: %s"
            self._write(logging.INFO, extra, text, event.seconds, event.reason)
            return
        is_news = self._no_credentials.occurred(self._clock()) is not None
        self._write(
            logging.WARNING if is_news else logging.DEBUG,
            extra,
            "the factory gives no new credentials, asked %s in %.0f s: %s",
            quantity(event.tries, "time", "times"),
            event.seconds,
            event.error,
        )

    def _on_no_answer(self, event: NoAnswer) -> None:
        extra = {"endpoint_url": event.endpoint_url, "fetching": event.fetching}
        # A call that hangs has not failed yet.
        line = self._outage.occurred(self._clock(), counts=False)
        if event.fetching is None:
            cause = "a call is still under way; check the network, the region and endpoint_url"
        else:
            cause = f"credentials are still being fetched: {event.fetching}; check that their provider can be reached"
        text = "no answer from %s in the %.0f s since the first call: %s"
        self._write(
            logging.DEBUG if line is None else logging.WARNING,
            extra,
            text,
            event.endpoint_url or "AWS Batch",
            event.seconds,
            cause,
        )

    def _on_outdated(self, event: SignatureOutdated) -> None:
        if event.in_a_row == 1:
            # It has waited for long, as far as is known.
            return
        line = self._outdated[event.operation].occurred(self._clock())
        text = (
            "AWS refuses %s for the time of its signature: correct the clock of this machine; nothing is lost, it is "
            "sent again until it is accepted, next in %.0f s: %s"
        )
        self._write(
            logging.DEBUG if line is None else logging.WARNING,
            {"operation": event.operation},
            text,
            event.operation,
            event.next_in,
            event.error_message,
        )

    def _on_throttled(self, event: Throttled) -> None:
        now, operation = self._clock(), event.operation
        extra = {"operation": operation, "rate": event.rate}
        throttling = self._throttling[operation]
        line = throttling.occurred(now)
        if line is Line.BEGIN:
            text = (
                "AWS throttles %s: slowing from %.2f to %.2f calls/s; nothing is lost, it only takes longer"
            )
            self._write(logging.WARNING, extra, text, operation, event.previous_rate, event.rate)
        elif line is Line.SUMMARY:
            text = "AWS still throttles %s at times: %d calls in %.0f s, now %.2f calls/s"
            lasted = now - throttling.began
            self._write(logging.WARNING, extra, text, operation, throttling.count, lasted, event.rate)
        else:
            text = "AWS throttled a call of %s, now %.2f calls/s"
            self._write(logging.DEBUG, extra, text, operation, event.rate)

    def _write_call(self, level: int, event: CallEnded, text: str, *args: object) -> None:
        extra = {
            "operation": event.operation,
            "outcome": event.outcome,
            "error_code": event.error_code,
            "http_status": event.http_status,
            "rate": event.rate,
        }
        self._write(level, extra, text, *args)
