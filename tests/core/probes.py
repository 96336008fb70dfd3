"""Requests and observations that tests of the core are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from awaitbatch._core.backoff import Window
from awaitbatch._core.outcomes import MATCHED, Failure, FailureKind, Outcome, Reason
from awaitbatch._core.requests import Observation, Request
from awaitbatch._jobs import JobHead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from awaitbatch._core.requests import Call, Decision, Delivery
    from awaitbatch._core.windows import Windows

AT_ONCE = Window(0, 0)
LATER = Window(1000, 2000)


def failure(kind: FailureKind, message: str = "no", *, costs_attempt: bool = True) -> Failure:
    """A failure of this kind."""
    return Failure(kind, "Code", 400, message, None, costs_attempt)


THROTTLED = failure(FailureKind.THROTTLED)
TRANSIENT = failure(FailureKind.TRANSIENT)
REFUSED = failure(FailureKind.REFUSED)
PERMANENT = failure(FailureKind.PERMANENT)


def seen(status: str | None, attempts: int = 0, reason: object = None) -> JobHead:
    """A job as a call saw it, after so many attempts have ended."""
    return JobHead(status=status, status_reason=reason, attempts=[msgspec.Raw(b"{}")] * attempts)


def array(**children: int) -> JobHead:
    """An array's parent as a call saw it while so many children were in these states."""
    properties = msgspec.json.encode({"statusSummary": children})
    return JobHead(status="PENDING", array_properties=msgspec.Raw(properties))


class Probe(Request):
    """A request that writes down what it hears, and answers as it is made to.

    Args:
        job_id: The job.
        one_shot: As of `Request`.
        reply: What it says to each good answer.
        otherwise: What it says to answers that do not count.
        on_failure: What it says to each failure.
    """

    def __init__(
        self,
        job_id: str = "a",
        *,
        one_shot: bool = False,
        reply: Decision = LATER,
        otherwise: Decision = None,
        on_failure: Decision = LATER,
    ) -> None:
        super().__init__(job_id, one_shot=one_shot)
        self.heard: list[str] = []
        self._reply = reply
        self._otherwise = otherwise
        self._on_failure = on_failure

    def on_seen(self, observation: Observation) -> Decision:
        """Write down the status."""
        self.heard.append(f"{observation.status}")
        return self._reply

    def on_seen_early(self, observation: Observation) -> Decision:
        """Write down the status in brackets."""
        self.heard.append(f"({observation.status})")
        return self._otherwise

    def on_absent(self) -> Decision:
        """Write down that the job was absent."""
        self.heard.append("absent")
        return self._reply

    def on_failure(self, failure: Failure) -> Decision:
        """Write down the failure."""
        self.heard.append(failure.kind.value)
        if failure.kind in {FailureKind.REFUSED, FailureKind.PERMANENT} and not failure.may_pass:
            return Outcome(Reason.FAILED, failure)
        return None if failure.kind is FailureKind.THROTTLED else self._on_failure


def one_shot(job_id: str = "a") -> Probe:
    """A request that has its answer at the first check."""
    return Probe(job_id, one_shot=True, reply=MATCHED)


def added(windows: Windows[Probe], probe: Probe, window: Window = AT_ONCE, now: float = 0) -> Probe:
    """The request, after it was added."""
    windows.add(probe, window, now)
    return probe


def departs(windows: Windows[Probe], now: float) -> Call[Probe]:
    """The call that leaves now, for tests that know that one does."""
    call = windows.take(now)
    assert call is not None
    return call


def everybody(call: Call[Probe], status: str = "RUNNING") -> dict[str, JobHead]:
    """A good answer that holds every job of the call."""
    return dict.fromkeys(call.job_ids, seen(status))


def names(count: int, prefix: str = "job") -> list[str]:
    """So many job ids."""
    return [f"{prefix}-{number}" for number in range(count)]


def ended_ids(ended: Iterable[Delivery[Probe]]) -> list[str]:
    """The jobs of the requests that have ended."""
    return [request.job_id for request, _ in ended]
