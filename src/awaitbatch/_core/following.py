"""What an answer does to somebody who follows a job through its states: he hears of each that is new to him."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from awaitbatch._core.outcomes import MATCHED, Outcome, Reason
from awaitbatch._core.requests import Deliver, RequestsForJob
from awaitbatch._core.watch import LACKS_STATUS, Rules, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from awaitbatch._core.backoff import Window
    from awaitbatch._core.requests import Decision, Observation


class Following(Watch):
    """Wants the job's description whenever the job has come further, until it is seen as awaited.

    Further is what `Observation.order` says: another status, or another attempt. An observation of an earlier state,
    which an answer may bring late, is no news. With each news the schedule begins anew, since more may follow soon.

    Args:
        job_id: The job.
        deliver: See `Watch`.
        rules: See `Rules`; ``match_status`` are the states that end it.

    Attributes:
        order: How far the job had come when it was last seen.
        told: How far it had come when its owner was told last; like the next, for the shell, which sets it.
        told_status: The status that he was told then.
    """

    __slots__ = ("_checks_before", "order", "told", "told_status")

    wants_changes: ClassVar[bool] = True

    def __init__(
        self,
        job_id: str,
        deliver: Callable[[Watch, Outcome | None, bytes | None], None],
        **rules: Unpack[Rules],
    ) -> None:
        super().__init__(job_id, deliver, **rules)
        self.order = self.told = RequestsForJob.order_of_none
        self.told_status: str | None = None
        self._checks_before = 0

    def on_seen(self, observation: Observation) -> Decision:
        """Ends if the status is the awaited one; else it was a check, and perhaps there are news."""
        if observation.status is None:
            return self.on_failure(LACKS_STATUS)
        if observation.order <= self.order:
            # As at most checks.
            self.absences = 0
            self._failure = None
            return self._checked()
        news = self.on_seen_early(observation)
        if isinstance(news, Outcome):
            return news
        self._checks_before = self.checks
        again = self._checked()
        return again if isinstance(again, Outcome) else Deliver(again)

    def on_seen_early(self, observation: Observation) -> Decision:
        """Ends if the status is the awaited one; if there are news, they are delivered, and the window stays."""
        status = observation.status
        if status is None:
            return None
        self.absences = 0
        self._failure = None
        order = observation.order
        if order <= self.order:
            return None
        self.order = order
        self.last_status = status
        return MATCHED if self.match_status is None or status in self.match_status else Deliver(None)

    def _checked(self) -> Window | Outcome:
        self.checks += 1
        if self.checks > self._max_retries:
            return Outcome(Reason.EXHAUSTED, self._failure)
        return self._window(self.checks - self._checks_before)
