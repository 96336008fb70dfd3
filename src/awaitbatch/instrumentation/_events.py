"""What can happen, one class for each kind, and who may hear of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import msgspec

from awaitbatch._failure_causes import explain_failure
from awaitbatch._jobs import UNDECODABLE, JobStatus, decode_description, progress_in, queue_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

    from awaitbatch._core.outcomes import Failure
    from awaitbatch._failure_causes import FailureCause


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that a client did or saw.

    More kinds may come, and kinds may gain members, so observers ignore what they do not know. All texts fit into
    one line. Do not use job ids or free texts as labels of metrics.

    A member ``client`` is a number that tells the clients of a process apart, for who observes several of them.
    """


class Observer(Protocol):
    """Whatever can be called with an event: a function, or an object with ``__call__``.

    It is called on the event loop, in the middle of the client's work and in the order of events. So it must return
    soon, and it cannot be a coroutine function; to do more, let it put the event into a queue. If it raises, each kind
    of error is logged once, and nothing else happens.
    """

    def __call__(self, event: Event, /) -> None:
        """Take notice of an event."""


class ClientOpened(Event, frozen=True, kw_only=True, gc=False):
    """A client is ready to send.

    Attributes:
        region_name: The region of its jobs.
        endpoint_url: Where it sends calls, without secrets.
        client: See `Event`.
    """

    region_name: str | None
    endpoint_url: str | None = None
    client: int = 0


class ClientClosed(Event, frozen=True, kw_only=True, gc=False):
    """A client has closed; it is the last event of a client.

    Attributes:
        region_name: The region of its jobs.
        error: Why it closed or failed to open, if nobody asked it to close; the error's class and what it says.
        client: See `Event`.
    """

    region_name: str | None
    error: str | None
    client: int = 0


class ObserverRemoved(Event, frozen=True, kw_only=True, gc=False):
    """An observer hears no more of a shared client, since the last user who had named it has left.

    Only that observer is told. The client goes on, so what the observer has counted as waiting is no longer known.

    Attributes:
        region_name: The region of the client's jobs.
        client: See `Event`.
    """

    region_name: str | None
    client: int = 0


class CallEnded(Event, frozen=True, kw_only=True, gc=False):
    """A call of the AWS Batch API has ended.

    Attributes:
        operation: AWS's name for it, such as ``"DescribeJobs"``.
        ids: The number of job ids that it carried; 0 for SubmitJob and ListJobs.
        seconds: How long it took, from when it had a connection.
        outcome: ``"answered"``; ``"cancelled"`` (nobody wanted the answer any more); or how it failed:
            ``"throttled"``, ``"transient"`` (it may go away), ``"refused"`` (for what it asked for) or
            ``"permanent"`` (it would come again).
        error_code: AWS's code, such as ``"AccessDeniedException"``, or the name of the error's class; None if it
            did not fail.
        error_message: What the error says, likewise.
        advice: What to do about it, likewise.
        http_status: The HTTP status of the answer; None if there was none.
        rate: Calls a second that the operation may be sent from now on; None for operations that are not paced.
        pending: What waits for such a call when this one has ended: describes and polls, submissions, or jobs to end.
        ended: Describes and polls that the call has ended, whatever the reason.
        awaits_credentials: Whether its credentials have gone bad, and it is made again once a factory has given others.
        describes: How many of ``pending`` are describes; like all that follows but the last two, for DescribeJobs only.
        overdue: Seconds since the oldest check that still waits for its call should have been made; 0.0 if none is
            late.
        by_status: How many of the jobs that wait are in which state, as polls have seen them last, or
            ``"NOT_SEEN"``.
        region_name: The region of the client's jobs.
        client: See `Event`.
    """

    operation: str
    ids: int
    seconds: float
    outcome: str
    error_code: str | None = None
    error_message: str | None = None
    advice: str | None = None
    http_status: int | None = None
    rate: float | None = None
    pending: int = 0
    ended: int = 0
    awaits_credentials: bool = False
    describes: int = 0
    overdue: float = 0.0
    by_status: Mapping[str, int] = {}
    region_name: str | None = None
    client: int = 0

    @classmethod
    def of(cls, operation: str, how: Failure | str, **members: Any) -> Self:  # noqa: ANN401
        """The event of a call that failed like this, or that had another outcome."""
        if isinstance(how, str):
            http_status = 200 if how == "answered" else None
            return cls(operation=operation, outcome=how, http_status=http_status, **members)
        return cls(
            operation=operation,
            outcome=how.kind.value,
            error_code=how.code,
            error_message=how.message,
            advice=how.advice,
            http_status=how.http_status,
            awaits_credentials=how.awaits_credentials,
            **members,
        )


class NoAnswer(Event, frozen=True, kw_only=True, gc=False):
    """A call is under way, and AWS Batch has never answered any: the address may be wrong, or the network down.

    It comes eight seconds after the first call, and about a minute after the last one or the last failure. None follows
    the first answer, not even if that says that the call came too fast or was refused for what it asked for.

    Attributes:
        seconds: Seconds since the client's first call.
        endpoint_url: Where calls are sent, without secrets; None if the transport cannot say.
        fetching: The role or the provider whose credentials are being fetched, so that no call could be sent yet; None
            if none are.
    """

    seconds: float
    endpoint_url: str | None
    fetching: str | None = None


class ChecksOverdue(Event, frozen=True, kw_only=True, gc=False):
    """Checks are late, and no call has ended meanwhile that would say so.

    Calls may wait for connections or for credentials, or AWS Batch throttles them hard. It comes once a check is five
    seconds late, and every five seconds from then on. `CallEnded` has the same number.

    Attributes:
        seconds: Seconds since the oldest check that still waits for its call should have been made.
        pending: Describes and polls that wait.
        client: See `Event`.
    """

    seconds: float
    pending: int
    client: int = 0


class CredentialsRenewed(Event, frozen=True, kw_only=True, gc=False):
    """The factory of a shared client was asked for another aiobotocore client, since credentials had gone bad.

    Attributes:
        reason: What calls failed with, the last one.
        tries: How often it was asked since all was well.
        seconds: Since when calls have failed like this.
        error: Why it gave no client, the error's class and what it says; None if it gave one. Whether that one's
            credentials are good is seen when a call is answered.
    """

    reason: str
    tries: int
    seconds: float
    error: str | None


class Throttled(Event, frozen=True, kw_only=True, gc=False):
    """AWS has rejected a call for coming too fast. It follows the call's `CallEnded`.

    Attributes:
        operation: AWS's name for it.
        rate_before: Calls a second that were allowed before.
        rate_after: Calls a second that are allowed now; the same if the rate had been cut since the call was sent.
    """

    operation: str
    rate_before: float
    rate_after: float


class SignatureOutdated(Event, frozen=True, kw_only=True, gc=False):
    """AWS has refused a call for the time of its signature, so it is signed and sent again. It follows its `CallEnded`.

    Not for DescribeJobs. Once, it only means that the call has waited for long on its way. If it goes on, the clock of
    this machine is wrong, and until it is corrected every call ends so.

    Attributes:
        operation: AWS's name for it.
        in_a_row: So many times, without any other answer between them.
        message: What AWS says.
        next_in: Seconds until the next call of this kind is sent.
    """

    operation: str
    in_a_row: int
    message: str
    next_in: float


class SubmissionUnclaimed(Event, frozen=True, kw_only=True, gc=False):
    """A job was submitted, or may have been, whose submitter was cancelled, or left his loop, before it was told.

    Attributes:
        job_name: The job's name.
        job_id: The job's id; None if nobody can tell whether it was submitted.
        error: Why not, in that case.
    """

    job_name: str
    job_id: str | None
    error: str | None


class TerminationUnclaimed(Event, frozen=True, kw_only=True, gc=False):
    """A job may go on that was to be terminated or cancelled, and whoever asked for it was cancelled before he heard.

    Attributes:
        operation: ``"TerminateJob"`` or ``"CancelJob"``, also if many jobs were to be ended at once.
        job_id: The job.
        error: Why the call failed.
    """

    operation: str
    job_id: str
    error: str


class _WithDescription(Event, frozen=True, kw_only=True, gc=True, dict=True):
    """An event that may keep the description of its job, as JSON.

    Attributes:
        job_id: The job.
    """

    job_id: str

    # No member, so that representations, comparisons and what is made of an event for another system leave it out.
    _item: ClassVar[bytes | None] = None

    @classmethod
    def of(cls, item: bytes | None, **members: Any) -> Self:  # noqa: ANN401
        """The event with these members that keeps a description, given as JSON."""
        event = cls(**members)
        if item is not None:
            vars(event)["_item"] = item
        return event

    @property
    def queue(self) -> str | None:
        """The name of the job's queue; None if the event has no description that tells."""
        return None if self._item is None else queue_in(self._item)

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_with_description, (type(self), self._item, msgspec.structs.asdict(self)))


def _with_description(
    kind: type[_WithDescription], item: bytes | None, members: dict[str, Any]
) -> _WithDescription:
    return kind.of(item, **members)


class JobChanged(_WithDescription, frozen=True, kw_only=True):
    """A poll has seen a job in another state than before, or in the same one for another reason.

    Observers hear of it once for each job, state and reason, however many waits there are, one after the other too (as
    long as the job is one of the last 20,000 that were awaited). What only a describe has seen makes no event. The
    ``on_change`` of a wait hears of what that wait sees, and also of the progress of an array job.

    The event keeps the description of the job, 2 to 4 KB of JSON, for `job` and `progress`. If you keep many events,
    keep what you need of them instead.

    Attributes:
        job_id: The job.
        before: The state before; None if the job had not been seen. It equals ``after`` if only the reason is new.
        after: The state now.
        attempt: The number of the attempt that the job is in or ended with, from 1; 0 if it ended before the first.
        created_at: When it was submitted, as AWS gives it, in epoch milliseconds.
        started_at: When its attempt began to run, likewise; None if it has not.
        stopped_at: When it ended, likewise; None if it has not.
        seen_at: When the answer came, by this machine's clock, in epoch milliseconds.
        reason: What AWS Batch says of the state now (its ``statusReason``), such as ``"MISCONFIGURATION:…"`` of a
            RUNNABLE job that cannot be placed; None if it says nothing. That it falls silent is no event.
        seconds: For how long it was seen in the state before, the time included in which nobody waited for it. None if
            it had not been seen, and for the ``on_change`` of a wait.
    """

    before: str | None
    after: str
    attempt: int
    created_at: int | None
    started_at: int | None
    stopped_at: int | None
    seen_at: int
    reason: str | None = None
    seconds: float | None = None

    @property
    def job(self) -> JobDetailTypeDef:
        """The job's description when the change was seen, as botocore gives it; decoded anew each time.

        Raises:
            ValueError: It cannot be read, or the event was made by somebody else, without one.
        """
        if self._item is not None:
            with suppress(*UNDECODABLE):
                return decode_description(self._item)
        message = f"AWS Batch job ({self.job_id}): this JobChanged has no description that can be read"
        raise ValueError(message)

    @property
    def progress(self) -> dict[str, int] | None:
        """How many children of an array job are in which state; None for any other job."""
        return None if self._item is None else progress_in(self._item)


class JobStuck(Event, frozen=True, gc=False):
    """A job has been RUNNABLE for as long as ``stuck_after`` says; it is told once of each job.

    A watch gives it to its user; a wait that has `stuck_after` gives it to observers, and the log has a WARNING. Both
    only report.

    Attributes:
        job_id: The job.
        seconds: How long it has been so, from when the watch or the wait first saw it so.
        reason: What AWS Batch last said of it, such as ``"MISCONFIGURATION:…"``, in one line. It says that only of the
            first job of a queue, so for another job it is what it says of that one. None if nothing is known.
        position: Its place in its queue, from 1; None if it is not among the first hundred, or if that is not known.
    """

    job_id: str
    seconds: float
    reason: str | None = None
    position: int | None = None

    def __repr__(self) -> str:
        place = "" if self.position is None else f" at position {self.position} of its queue"
        why = self.reason or "no reason given"
        return f"<JobStuck {self.job_id}: RUNNABLE for {self.seconds:.0f} s{place}, {why}>"


class JobMissing(Event, frozen=True, kw_only=True, gc=False):
    """A good answer came without a job that was asked for: AWS does not know it yet, or no longer, or never did.

    It comes with each such answer.

    Attributes:
        job_id: The job.
    """

    job_id: str


class WaitBegan(Event, frozen=True, kw_only=True, gc=False):
    """A describe or a poll of one job begins; observers hear of it in the context of whoever waits.

    Attributes:
        job_id: The job.
        kind: ``"describe"`` or ``"poll"``.
        wait: A number that no other wait has which goes on at the same time; its `WaitEnded` has the same.
        client: See `Event`.
    """

    job_id: str
    kind: str
    wait: int
    client: int = 0


class WaitEnded(_WithDescription, frozen=True, kw_only=True):
    """A describe or a poll of one job has ended. `BatchClient.wait_for_job` is two polls, one after the other.

    If the job was seen ended, the event keeps its description, 2 to 4 KB of JSON, for `cause` and `queue`. If you keep
    many events, keep what you need of them instead.

    Attributes:
        job_id: The job.
        kind: ``"describe"`` or ``"poll"``.
        reason: ``"matched"`` (the job was seen as awaited), ``"absent"`` (AWS does not know it), ``"unreachable"``
            (it has ended, and not as awaited), ``"exhausted"`` (no check is left), ``"failed"`` (calls failed),
            ``"broken"`` (the schedule raised), ``"closed"`` (the client was closed) or ``"cancelled"``.
        seconds: How long it lasted.
        checks: Checks of a poll that did not see the job as awaited, those that failed included.
        status: The last status seen; None if there was none.
        lag: Seconds from the end of the job, by AWS's clock, to the answer that showed it, by this machine's; it may be
            negative if they differ. If the wait began later it is longer than the wait. None if the job was not seen
            ended.
        pending: Describes and polls that go on.
        wait: See `WaitBegan`.
        client: See `Event`.
    """

    kind: str
    reason: str
    seconds: float
    checks: int
    status: str | None
    lag: float | None
    pending: int = 0
    wait: int = 0
    client: int = 0

    @property
    def cause(self) -> FailureCause | None:
        """Why the job failed; None if it was not seen FAILED. It is read from the description anew each time."""
        if self.status == JobStatus.FAILED and self._item is not None:
            with suppress(*UNDECODABLE):
                return explain_failure(decode_description(self._item)).cause
        return None
