"""Faults to order, and the rules that say which calls they hit: by chance, by the clock, or the next few."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

from awaitbatch.testing._model.service_error import JobError, ServiceError, too_many_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random


class Fault(StrEnum):
    """What can go wrong with a call.

    AWS responds with an error, and does not do what was asked; or it does it, and the connection breaks or stalls; or
    the response arrives, but is not what it should be.
    """

    TOO_MANY_REQUESTS = "too-many-requests"
    """429 with the code ``TooManyRequestsException``, as AWS Batch throttles."""
    BARE_429 = "bare-429"
    """429 without a code or a body."""
    THROTTLING_EXCEPTION = "throttling-exception"
    """400 with the code ``ThrottlingException``, as other services throttle."""
    SERVER_EXCEPTION = "server-exception"
    """500 with the code ``ServerException``."""
    BARE_503 = "bare-503"
    """503 with a page of HTML, as from a load balancer."""
    EXPIRED_TOKEN = "expired-token"  # noqa: S105
    """403: the credentials have expired."""
    ACCESS_DENIED = "access-denied"
    """403: the credentials may not do this."""
    CLOCK_SKEW = "clock-skew"
    """403: the request was signed at a time too far from that of AWS."""
    CLIENT_EXCEPTION = "client-exception"
    """400 with the code ``ClientException``: AWS refuses the content of the call."""

    CONNECTION_REFUSED = "connection-refused"
    """Nobody listens, and open connections are reset. It goes by the clock alone, and hits all operations."""
    RESET_BEFORE_BODY = "reset-before-body"
    """The connection is reset before a byte of the response has arrived."""
    RESET_IN_BODY = "reset-in-body"
    """The connection is reset when half of the response has arrived."""
    HANG = "hang"
    """No response comes for this many ``seconds``, then the connection is reset."""
    TRICKLE = "trickle"
    """The response trickles in, over this many ``seconds``."""

    TRUNCATED_JSON = "truncated-json"
    """200 with half of the JSON."""
    HTML = "html"
    """200 with a page of HTML, as from a captive portal."""
    EMPTY_BODY = "empty-body"
    """200 with nothing."""
    NULL_JOBS = "null-jobs"
    """200 with null instead of the list of jobs."""
    NULL_LISTS = "null-lists"
    """Jobs with null in place of every list."""
    NO_STATUS = "no-status"
    """Jobs without a status."""
    UNKNOWN_STATUS = "unknown-status"
    """Jobs with an unknown status."""
    MISSING_JOBS = "missing-jobs"
    """Jobs are left out of the response."""
    REPEATED_JOBS = "repeated-jobs"
    """Jobs are in the response twice."""
    SHUFFLED_JOBS = "shuffled-jobs"
    """Jobs come in a different order."""
    FOREIGN_JOBS = "foreign-jobs"
    """Jobs that nobody asked for are in the response too, all of them SUCCEEDED."""
    STALE_JOBS = "stale-jobs"
    """Jobs as they were before the newest state that a response has shown."""

    THROTTLED_JOBS = "throttled-jobs"
    """Jobs of CancelJobs or TerminateJobs are in its errors with ``ThrottlingException``, and are not ended."""
    DENIED_JOBS = "denied-jobs"
    """The same with ``AccessDenied``."""
    UNSTOPPED_JOBS = "unstopped-jobs"
    """The same with ``ServerException``."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        message = f"there is no fault {value!r}, but {', '.join(cls)}"
        raise ValueError(message)


_ERRORS: Final[dict[Fault, Callable[[], ServiceError]]] = {
    Fault.TOO_MANY_REQUESTS: too_many_requests,
    Fault.BARE_429: lambda: ServiceError(429, None, body=b""),
    Fault.THROTTLING_EXCEPTION: lambda: ServiceError(400, "ThrottlingException", "Rate exceeded"),
    Fault.SERVER_EXCEPTION: lambda: ServiceError(500, "ServerException", "An internal error has occurred"),
    Fault.BARE_503: lambda: ServiceError(
        503, None, body=b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
    ),
    Fault.EXPIRED_TOKEN: lambda: ServiceError(
        403, "ExpiredTokenException", "The security token included in the request is expired"
    ),
    Fault.ACCESS_DENIED: lambda: ServiceError(
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/somebody is not authorized to perform this action",
    ),
    Fault.CLOCK_SKEW: lambda: ServiceError(
        403,
        "InvalidSignatureException",
        "Signature expired: 20260101T000000Z is now earlier than 20260101T005500Z (20260101T010000Z - 5 min.)",
    ),
    Fault.CLIENT_EXCEPTION: lambda: ServiceError(
        400, "ClientException", "An error occurred when calling AWS Batch"
    ),
}

THROTTLES: Final = frozenset({Fault.TOO_MANY_REQUESTS, Fault.BARE_429, Fault.THROTTLING_EXCEPTION})

TRANSIT_FAULTS: Final = frozenset({Fault.RESET_BEFORE_BODY, Fault.RESET_IN_BODY, Fault.HANG, Fault.TRICKLE})
"""What can go wrong with a good response in transit."""

JOB_FAULTS: Final = frozenset(
    {
        Fault.NULL_JOBS,
        Fault.NULL_LISTS,
        Fault.NO_STATUS,
        Fault.UNKNOWN_STATUS,
        Fault.MISSING_JOBS,
        Fault.REPEATED_JOBS,
        Fault.SHUFFLED_JOBS,
        Fault.FOREIGN_JOBS,
        Fault.STALE_JOBS,
    }
)
"""What can be wrong with the jobs in a response of DescribeJobs."""

BULK_ERRORS: Final = {
    Fault.THROTTLED_JOBS: JobError("ThrottlingException", "Rate exceeded"),
    Fault.DENIED_JOBS: JobError("AccessDenied", "not authorized to perform this action on the job"),
    Fault.UNSTOPPED_JOBS: JobError("ServerException", "An internal error has occurred"),
}
"""What can befall single jobs of CancelJobs and TerminateJobs, and what is said of them."""

ONLY_OPERATIONS: Final = {
    **dict.fromkeys(JOB_FAULTS, frozenset({"DescribeJobs"})),
    **dict.fromkeys(BULK_ERRORS, frozenset({"CancelJobs", "TerminateJobs"})),
}
"""The operations that a fault can hit, if it is not all of them."""

DEFAULT_SECONDS: Final = {Fault.HANG: math.inf, Fault.TRICKLE: 30.0}
"""The faults that take time, and how much by default."""


def error_of(fault: Fault) -> ServiceError | None:
    """The error that AWS responds with, if the fault is one."""
    make = _ERRORS.get(fault)
    return make() if make is not None else None


@dataclass(slots=True, kw_only=True, eq=False)
class FaultRule:
    """Which calls a fault hits; `BatchServer.inject` makes one.

    Attributes:
        fault: What goes wrong with them.
        probability: The chance of each call that the rest of the rule lets through, 0 to 1.
        calls: How many more calls it hits; ``math.inf`` for any number.
        begin: From when on, in seconds of the server's clock.
        end: Until when.
        operations: The operations that it hits; None for all.
        job_ids: Only calls that name one of these jobs, and only these jobs in their responses; None for all calls,
            and jobs at random.
        seconds: How long a `Fault.HANG` (for ever if None) or a `Fault.TRICKLE` (30 if None) takes; no other takes
            time.
        hits: The calls that it has hit.
    """

    fault: Fault
    probability: float = 1.0
    calls: float = math.inf
    begin: float = -math.inf
    end: float = math.inf
    operations: frozenset[str] | None = None
    job_ids: frozenset[str] | None = None
    seconds: float | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            message = f"probability must be 0 to 1, not {self.probability!r}"
            raise ValueError(message)
        if not self.calls > 0:
            message = f"calls must be more than 0, not {self.calls!r}"
            raise ValueError(message)
        if not self.begin < self.end:
            message = f"begin must be before end, not {self.begin!r} and {self.end!r}"
            raise ValueError(message)
        if self.seconds is not None and self.fault not in DEFAULT_SECONDS:
            message = f"{self.fault} takes no time, so it cannot take {self.seconds!r} seconds"
            raise ValueError(message)
        if not self.duration >= 0:
            message = f"seconds must be at least 0, not {self.seconds!r}"
            raise ValueError(message)
        only = ONLY_OPERATIONS.get(self.fault)
        if only is not None and self.operations is not None and not self.operations <= only:
            message = f"{self.fault} can hit {' and '.join(sorted(only))} only"
            raise ValueError(message)
        by_the_clock = self.probability == 1 and self.calls == math.inf
        if self.fault is Fault.CONNECTION_REFUSED and not (
            by_the_clock and self.operations is None and self.job_ids is None
        ):
            message = f"{self.fault} goes by begin and end alone: a server listens or it does not"
            raise ValueError(message)

    @property
    def duration(self) -> float:
        """How many seconds it takes; 0 for faults that take no time."""
        return DEFAULT_SECONDS.get(self.fault, 0.0) if self.seconds is None else self.seconds

    def is_in_force(self, now: float) -> bool:
        """Whether its time has come and is not over."""
        return self.begin <= now < self.end

    def applies_to(self, operation: str, body: bytes, now: float, random: Random) -> bool:
        """Whether it hits this call; `record_hits` counts it if the call gets that far."""
        return (
            self.calls > 0
            and self.is_in_force(now)
            and (self.operations is None or operation in self.operations)
            and operation in ONLY_OPERATIONS.get(self.fault, {operation})
            and (self.job_ids is None or any(f'"{job_id}"'.encode() in body for job_id in self.job_ids))
            and (self.probability == 1 or random.random() < self.probability)
        )

    def record_hits(self, calls: int) -> None:
        """It has hit so many calls."""
        self.hits += calls
        self.calls -= calls


@dataclass(slots=True)
class FaultPlan:
    """All rules, in the order in which they were made; the first that applies to a call is the only one.

    Args:
        random: Where chance comes from.
    """

    random: Random
    rules: list[FaultRule] = field(default_factory=list)

    def draw(self, operation: str, body: bytes, now: float) -> FaultRule | None:
        """The rule that applies to a call, or None."""
        for rule in self.rules:
            if rule.fault is not Fault.CONNECTION_REFUSED and rule.applies_to(
                operation, body, now, self.random
            ):
                return rule
        return None

    def errors_of_jobs(self, rule: FaultRule | None, job_ids: Sequence[str]) -> dict[str, JobError]:
        """The jobs of a bulk call that the rule for it keeps from being ended, and what is said of them."""
        if rule is None or rule.fault not in BULK_ERRORS or not job_ids:
            return {}
        chosen = rule.job_ids
        if chosen is None:
            chosen = frozenset(self.random.sample(job_ids, self.random.randint(1, len(job_ids))))
        return dict.fromkeys(chosen & {*job_ids}, BULK_ERRORS[rule.fault])

    def outage(self, now: float) -> FaultRule | None:
        """The rule by which connections are refused now, or None."""
        for rule in self.rules:
            if rule.fault is Fault.CONNECTION_REFUSED and rule.is_in_force(now):
                return rule
        return None

    def has_outages(self, now: float) -> bool:
        """Whether connections are refused now, or will be."""
        return any(rule.fault is Fault.CONNECTION_REFUSED and now < rule.end for rule in self.rules)
