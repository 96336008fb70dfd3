"""What waits in the windows: a request to check one job, and the call in which requests travel together."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Generic,
    NamedTuple,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
)

from awaitbatch._core.backoff import Window
from awaitbatch._core.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from awaitbatch._core.bisection import Bisection
    from awaitbatch._core.outcomes import Failure

MAX_IDS_PER_CALL: Final = 100
"""The most ids that DescribeJobs takes in one call.

https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html
"""


class Observation(Protocol):
    """What a call saw of a job."""

    @property
    def status(self) -> str | None:
        """The job's status; None if the answer lacks it."""

    @property
    def status_reason(self) -> object:
        """What AWS Batch says of the status, if it is a text."""

    @property
    def has_ended(self) -> bool:
        """Whether the job will never have another status."""

    @property
    def array_properties(self) -> object:
        """What the answer says of the job as an array; empty or None for most jobs."""

    def counts_as_any_of(self, states: Collection[str]) -> bool:
        """Whether an array job may be taken for a job in one of these states, whatever its status."""

    @property
    def progress(self) -> object:
        """How many children of an array job are in which state; None for any other job."""

    @property
    def order(self) -> tuple[int, int]:
        """Orders observations of one job by how far it had come."""


class Deliver(NamedTuple):
    """The request goes on in this window (None: the one it had); its owner wants the job's description as it is now."""

    window: Window | None


Decision: TypeAlias = Window | Deliver | Outcome | None
"""What a request makes of an answer: another check in this window, perhaps with a delivery; the end; or no change, and
the window that it had."""


class Request(ABC):
    """A request to check one job, which decides on each answer what comes next.

    The methods below are called for every answer that concerns the request, and give its `Decision`.

    Attributes:
        job_id: The job to check.
        one_shot: Whether somebody waits for just this check, so that it may go before polls.
        earliest: When the window opens, in monotonic seconds, rounded down to a tick.
        latest: When the window closes, in monotonic seconds.
        job: All requests for the same job, while it is one of them.
        added_after: The number of the last call that was taken before it was added; later ones answer it.
        held_by: What holds it at present: a cohort of the queue, or the number of a call (of a call that was refused,
            until the part with it is sent). None if nothing does, as before it is added and once it has left. An entry
            for it elsewhere is outdated.
    """

    __slots__ = ("added_after", "earliest", "held_by", "job", "job_id", "latest", "one_shot")

    job: RequestsForJob[Self]

    def __init__(self, job_id: str, *, one_shot: bool) -> None:
        self.job_id = job_id
        self.one_shot = one_shot
        self.earliest = self.latest = math.nan
        self.added_after = 0
        self.held_by: object = None

    @abstractmethod
    def on_seen(self, observation: Observation) -> Decision:
        """The job was in a good answer."""

    @abstractmethod
    def on_seen_early(self, observation: Observation) -> Decision:
        """The same, for another's sake, before the request's own window was open."""

    @abstractmethod
    def on_absent(self) -> Decision:
        """A good answer came without the job."""

    @abstractmethod
    def on_failure(self, failure: Failure) -> Decision:
        """The call that carried the request failed."""


R = TypeVar("R", bound=Request)


class RequestsForJob(dict[R, None]):
    """The requests for one job, a set that keeps the order in which they came, and what is known of the job.

    Attributes:
        status: The state in which it was last seen; None if it was not.
        reason: What AWS Batch last said of this state, fit for a line of text; None if it said nothing.
        order: How far it had come then.
        since: When it was first seen in this state, in monotonic seconds.
        most: The most ids that a call with this job may carry; fewer after failures.
        failures: Failed calls in a row that were about it.
        is_bad: Whether one of them was about no other job.
        denials: How many of them would come again.
        denied_since: When the first of those was, in monotonic seconds.
    """

    order_of_none: ClassVar[tuple[int, int]] = (-1, -1)

    __slots__ = (
        "denials",
        "denied_since",
        "failures",
        "is_bad",
        "most",
        "order",
        "reason",
        "since",
        "status",
    )

    def __init__(self) -> None:
        super().__init__()
        self.status: str | None = None
        self.reason: str | None = None
        self.order = self.order_of_none
        self.since = math.inf
        self.clear()

    def clear(self) -> None:
        """Forget all failures, as a good answer demands."""
        self.most = MAX_IDS_PER_CALL
        self.failures = self.denials = 0
        self.is_bad = False
        self.denied_since = math.inf


class Delivery(NamedTuple, Generic[R]):
    """What the owner of a request has to get: how it has ended; None if it goes on and wants the job's description."""

    request: R
    outcome: Outcome | None


class StatusChange(NamedTuple):
    """A job was seen in another state than before, or in the same one for another reason.

    Attributes:
        job_id: The job.
        previous: Its state before; None if it had not been seen.
        status: Its state now.
        reason: What AWS Batch says of it now, fit for a line of text.
        seconds: For how long it was seen in the state before; None if it had not been seen.
    """

    job_id: str
    previous: str | None
    status: str
    reason: str | None = None
    seconds: float | None = None


class Effects(NamedTuple, Generic[R]):
    """What a good answer has brought.

    Attributes:
        deliveries: What the owners of requests have to get.
        changes: The jobs that were seen in new states, or for new reasons, by those who poll them.
        absent: The jobs that were asked for and are not in the answer.
    """

    deliveries: list[Delivery[R]]
    changes: list[StatusChange]
    absent: list[str]


_NOTHING: Final[Iterator[list[Any]]] = iter(())


class Call(Generic[R]):
    """Jobs to describe together.

    Attributes:
        number: Grows from call to call.
        requests: By job id, the request that takes the place; at least one, at most `MAX_IDS_PER_CALL`. Other requests
            for the job may share the place.
        job_ids: The ids to send: the keys of ``requests``, but in an outage a single one on behalf of all.
        due: When the call would have left had it been free to, in monotonic seconds.
        sent_at: When it was taken, in monotonic seconds.
        most: The most ids that it might have carried because of earlier failures of its jobs.
        rest: Deliveries of a call that has ended, beyond those that were given at once: what is decided while one goes
            through it, in slices.
    """

    __slots__ = ("bisection", "due", "job_ids", "most", "number", "requests", "rest", "sent_at")

    def __init__(
        self,
        number: int,
        requests: Mapping[str, R],
        *,
        due: float,
        sent_at: float = math.nan,
        most: int = MAX_IDS_PER_CALL,
        bisection: Bisection | None = None,
    ) -> None:
        self.number = number
        self.requests = requests
        self.job_ids = tuple(requests)
        self.due = due
        self.sent_at = sent_at
        self.most = most
        self.bisection = bisection
        self.rest: Iterator[list[Delivery[R]]] = _NOTHING

    def __repr__(self) -> str:
        return f"<Call {self.number} of {len(self.job_ids)} jobs>"
