"""How a call can fail, and how a request can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class FailureKind(StrEnum):
    """What a failure means to the requests of the call; docs/reference/failures.md has the whole table."""

    THROTTLED = "throttled"
    """Too many calls: the request goes back into the queue with its deadline."""
    TRANSIENT = "transient"
    """It may go away: counts as a check without a result."""
    REFUSED = "refused"
    """The content of the call is at fault: the call is split until the bad id is alone."""
    PERMANENT = "permanent"
    """It would come again: it ends requests at once if no call was ever answered, else if it has lasted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed.

    Attributes:
        kind: What it means.
        code: The error code of AWS, or the name of the error's class, fit for a line of text.
        http_status: The HTTP status of the answer, or None if there was none.
        message: What the error says, fit for a line of text.
        error: The error itself.
        costs_attempt: Whether it uses up one of the attempts of a one-shot request.
        outdated: Whether AWS refused it for the time of its signature: it waited for too long, or a clock is wrong.
        advice: What the user should do, to be read after the message.
        may_pass: Whether it is taken for trouble that passes although it would come again.
        can_be_taken: False if AWS has certainly not accepted the call: there was no connection, nothing to sign it
            with, or a signature too old.
        may_be_done: Whether AWS may have done what the call asked for.
        needs_new_credentials: Whether the credentials are at fault, so that others may succeed.
        awaits_credentials: Whether the call is made again with others: its requests stay where they are.
        lasts: Whether it is known to be no trouble that passes.
    """

    kind: FailureKind
    code: str
    http_status: int | None
    message: str
    error: BaseException | None
    costs_attempt: bool = True
    advice: str = ""
    may_pass: bool = False
    outdated: bool = False
    can_be_taken: bool = True
    may_be_done: bool = False
    needs_new_credentials: bool = False
    awaits_credentials: bool = False
    lasts: bool = False


class Reason(StrEnum):
    """Why a request has ended."""

    MATCHED = "matched"
    """The job was seen as awaited."""
    ABSENT = "absent"
    """Good answers lack the job."""
    UNREACHABLE = "unreachable"
    """The job has ended, and not as awaited."""
    EXHAUSTED = "exhausted"
    """No check is left."""
    FAILED = "failed"
    """Calls failed."""
    BROKEN = "broken"
    """The request's own code raised."""
    CLOSED = "closed"
    """Nobody sends calls any more."""
    CANCELLED = "cancelled"
    """Its owner took it back."""


class Outcome(NamedTuple):
    """How a request has ended, with the failure behind it if there was one."""

    reason: Reason
    failure: Failure | None = None


MATCHED = Outcome(Reason.MATCHED)
UNREACHABLE = Outcome(Reason.UNREACHABLE)
