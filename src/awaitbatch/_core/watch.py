"""What an answer does to somebody who waits for a job: the rules for one-shot describes and for polls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final, Required, TypedDict

from awaitbatch._core.backoff import Backoff, Window
from awaitbatch._core.outcomes import MATCHED, UNREACHABLE, Failure, FailureKind, Outcome, Reason
from awaitbatch._core.requests import Decision, Deliver, Observation, Request
from awaitbatch._core.text import one_line, quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

LACKS_STATUS: Final = Failure(
    FailureKind.TRANSIENT,
    "UnreadableJob",
    200,
    "the answer has the job without a status",
    None,
    advice="check what is between here and AWS, such as a proxy",
)
"""What an answer without the status of the job counts as."""


_FINAL: Final = frozenset({FailureKind.REFUSED, FailureKind.PERMANENT})
"""What ends a request whatever retries it has left."""
_TRIES: Final = 4
"""How often a one-shot describe is tried when it meets a failure that would come again, but may pass."""
_SOON: Final = Window(0.3, 0.5)
"""When it is tried again, so that it takes less than two seconds."""


class Rules(TypedDict, total=False):
    """What a watch waits for, and how long.

    Attributes:
        match_status: The awaited states; None takes any, which makes it a one-shot describe.
        max_retries: Checks after the first that a poll may make.
        status_retries: Good answers in a row that may lack the job, and tries that a one-shot describe may take.
        backoff: When to check again.
        absent_windows: When to check again after good answers that lack the job, in place of ``status_retries`` and
            ``backoff``: once for each window, so at the first such answer it is absent for good if there is none. None
            leaves it to those two.
        last_status: The status that the same wait has seen before; none of those that it awaits.
    """

    match_status: Required[Collection[str] | None]
    max_retries: float
    status_retries: Required[float]
    backoff: Required[Backoff]
    absent_windows: Sequence[Window] | None
    last_status: str | None


class Watch(Request):
    """Waits until a job is seen as awaited.

    Args:
        job_id: The job.
        deliver: What the shell calls with each `Delivery`: the outcome, or None if the watch goes on, and the job's
            description as JSON if the job was seen as awaited. The core only keeps it.
        match_status: See `Rules`, as for all that follow.

    Attributes:
        wants_changes: Whether it wants the description at each change too, whatever else the answer means to it.
        match_status: The awaited states; None takes any.
        checks: Checks by a poll that did not see the job as awaited.
        failures: Calls that failed a one-shot describe, or checks of a poll that failed.
        absences: Good answers in a row that lacked the job.
        last_status: The last status seen, or None.
        began: When the wait began, in monotonic seconds; the shell sets it.
    """

    __slots__ = (
        "_absent_windows",
        "_backoff",
        "_failure",
        "_max_retries",
        "_status_retries",
        "absences",
        "began",
        "checks",
        "deliver",
        "failures",
        "last_status",
        "match_status",
    )

    wants_changes: ClassVar[bool] = False

    def __init__(
        self,
        job_id: str,
        deliver: Callable[[Watch, Outcome | None, bytes | None], None],
        *,
        match_status: Collection[str] | None,
        max_retries: float = math.inf,
        status_retries: float,
        backoff: Backoff,
        absent_windows: Sequence[Window] | None = None,
        last_status: str | None = None,
    ) -> None:
        super().__init__(job_id, one_shot=match_status is None)
        self.deliver = deliver
        self.checks = 0
        self.last_status = last_status
        self.began = math.nan
        self.match_status = match_status
        self._max_retries = max_retries
        self._status_retries = status_retries
        self._backoff = backoff
        self._absent_windows = absent_windows
        self.absences = 0
        self.failures = 0
        self._failure: Failure | None = None

    def __repr__(self) -> str:
        return f"<Watch {self.job_id} {self.last_status or 'not seen yet'}, {quantity(self.checks, 'check', 'checks')}>"

    @property
    def would_fail_again(self) -> bool:
        """Whether the last check failed in a way that would come again, though the watch goes on for now."""
        return self._failure is not None and self._failure.kind is FailureKind.PERMANENT

    @property
    def last_reason(self) -> str | None:
        """What AWS Batch last said of the job's status to those who poll it, fit for a line of text, or None."""
        # All waits for the job share it. A watch that was never added has no job.
        job = getattr(self, "job", None)
        return job.reason if job is not None else None

    def on_seen(self, observation: Observation) -> Decision:
        """Ends if the status is the awaited one, or can never be; else it was a check."""
        status = observation.status
        if status is None:
            return self.on_failure(LACKS_STATUS)
        if status == self.last_status and not observation.array_properties:
            # As at most checks: had it been awaited, the wait would have ended when it was seen first.
            self.absences = 0
            self._failure = None
            return self._checked()
        return self.on_seen_early(observation) or self._checked()

    def on_seen_early(self, observation: Observation) -> Decision:
        """Ends if the status is the awaited one, or can never be."""
        status, awaited = observation.status, self.match_status
        if status is None:
            return None
        is_news = status != self.last_status
        if is_news:
            self.last_status = status
        self.absences = 0
        self._failure = None
        if (
            awaited is None
            or status in awaited
            or (observation.array_properties and observation.counts_as_any_of(awaited))
        ):
            return MATCHED
        return UNREACHABLE if is_news and observation.has_ended else None

    def on_absent(self) -> Decision:
        """Ends when good answers, as many as allowed, lacked the job one after the other."""
        self.absences += 1
        windows = self._absent_windows
        allowed = self._status_retries if windows is None else len(windows) + 1
        if self.absences >= allowed:
            return Outcome(Reason.ABSENT)
        return self._retry(self.absences) if windows is None else windows[self.absences - 1]

    def on_failure(self, failure: Failure) -> Decision:
        """Ends for good, counts as a check without a result, or costs nothing, as the failure's kind demands."""
        throttled = failure.kind is FailureKind.THROTTLED
        stays = throttled or failure.awaits_credentials
        if stays and not (self.one_shot and failure.costs_attempt):
            return None
        self._failure = failure
        if failure.kind in _FINAL and not failure.may_pass:
            if self.one_shot:
                self.failures += 1
            else:
                self.checks += 1
            return Outcome(Reason.FAILED, failure)
        if not failure.costs_attempt:
            # It only has to be sent again.
            return self._window(max(1, self.checks))
        if not self.one_shot:
            self.failures += 1
            return self._checked()
        self.failures += 1
        if failure.may_pass:
            return Outcome(Reason.FAILED, failure) if self.failures >= _TRIES else _SOON
        again = self._retry(self.failures)
        return None if throttled and isinstance(again, Window) else again

    def scheduled(self) -> Window | Outcome:
        """When to check again after the check that somebody else has made, or the end if the schedule raises."""
        return self._window(1)

    def _checked(self) -> Window | Outcome:
        self.checks += 1
        if self.checks > self._max_retries:
            return Outcome(Reason.EXHAUSTED, self._failure)
        return self._window(self.checks)

    def _retry(self, tries: int) -> Window | Outcome:
        """Another try of a one-shot describe, or another check of a job that was absent."""
        if self.one_shot and self.failures + self.absences >= self._status_retries:
            return Outcome(Reason.FAILED, self._failure)
        return self._window(tries)

    def _window(self, tries: int) -> Window | Outcome:
        # The schedule may be the user's own; what it does must hurt no other job.
        try:
            window = self._backoff.window(tries)
            if type(window) is Window:
                return window
            earliest, latest = window
            try:
                return Window(earliest, latest)
            except ValueError as error:
                message = one_line(f"{self._backoff!r}.window({tries}) gave {window!r}: {error}")
                raise ValueError(message) from None
        except BaseException as error:
            # Not even a CancelledError is ours: nothing is awaited here.
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            failure = Failure(
                FailureKind.PERMANENT,
                type(error).__name__,
                None,
                f"window({tries}) raised {type(error).__name__}",
                error,
            )
        return Outcome(Reason.BROKEN, failure)


class AttentiveWatch(Watch):
    """A watch that has the description delivered whenever the job may have changed, until it ends."""

    __slots__ = ("_seen",)

    wants_changes: ClassVar[bool] = True

    def __init__(self, *arguments: Any, **rules: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **rules)
        self._seen: tuple[object, ...] = ()

    def on_seen(self, observation: Observation) -> Decision:
        """As any watch, and a delivery if there is something new."""
        if observation.status is None:
            return super().on_seen(observation)
        decision = super().on_seen_early(observation) or self._checked()
        is_news = self._is_news(observation)
        return Deliver(decision) if is_news and isinstance(decision, Window) else decision

    def on_seen_early(self, observation: Observation) -> Decision:
        """The same, keeping the window."""
        decision = super().on_seen_early(observation)
        is_news = observation.status is not None and self._is_news(observation)
        return Deliver(None) if is_news and decision is None else decision

    def _is_news(self, observation: Observation) -> bool:
        """Whether something is as it was not before; the owner knows whether that is a change."""
        seen = (observation.status, observation.status_reason, observation.progress)
        is_news, self._seen = seen != self._seen, seen
        return is_news
