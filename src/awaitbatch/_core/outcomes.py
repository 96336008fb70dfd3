"""How a call can fail, and how a request can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, NamedTuple


class FailureKind(StrEnum):
    """What a failure means to the requests of the call; docs/failures.md has the whole table."""

    THROTTLED = "throttled"
    """Too many calls: the request goes back into the queue with its deadline."""
    TRANSIENT = "transient"
    """It may go away: counts as a check without a result."""
    REFUSED = "refused"
    """The content of the call is at fault: the call is split until the bad id is alone."""
    PERMANENT = "permanent"
    """It would come again: every request of the call ends."""
    EXPIRED = "expired"
    """No call can succeed any more: every request ends, of this call or not."""


FINAL: Final = frozenset({FailureKind.REFUSED, FailureKind.PERMANENT, FailureKind.EXPIRED})
"""What ends the requests that it concerns, whatever retries they have left."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed.

    Attributes:
        kind: What it means.
        code: The error code of AWS, or the name of the error's class.
        http_status: The HTTP status of the answer, or None if there was none.
        message: What the error says.
        error: The error itself.
        costs_attempt: Whether it uses up one of the attempts of a one-shot request.
        advice: What the user should do, to be read after the message.
    """

    kind: FailureKind
    code: str
    http_status: int | None
    message: str
    error: BaseException | None
    costs_attempt: bool = True
    advice: str = ""


class Reason(Enum):
    """Why a request has ended."""

    MATCHED = "the job was seen as awaited"
    ABSENT = "good answers lack the job"
    EXHAUSTED = "no check is left"
    FAILED = "calls failed"
    BROKEN = "the request's own code raised"
    CLOSED = "nobody sends calls any more"


class Outcome(NamedTuple):
    """How a request has ended, with the failure behind it if there was one."""

    reason: Reason
    failure: Failure | None = None


MATCHED = Outcome(Reason.MATCHED)
