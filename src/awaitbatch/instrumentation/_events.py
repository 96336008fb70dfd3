"""What can happen, one class for each kind, and who may hear of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import msgspec

from awaitbatch._arrays import JobProgress
from awaitbatch._failure_causes import explain_failure
from awaitbatch._jobs import UNDECODABLE, JobStatus, decode_description, progress_in, queue_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

    from awaitbatch._core.outcomes import Failure
    from awaitbatch._failure_causes import FailureCause


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that a client did or saw.

    Later versions may add events and members, so observers should ignore what they do not know. All texts are single
    lines. Do not use job ids or free texts as labels of metrics.

    Where there is a member ``client``, it is a number that differs for each client of the process, for observers of
    several clients.
    """


class Observer(Protocol):
    """Whatever can be called with an event: a function, or an object with ``__call__``.

    It is called on the event loop, in the middle of the client's work and in the order of events. So it must return
    soon, and it cannot be a coroutine function. For longer work, let it put the event into a queue. If it raises an
    error, that is logged, once for each class, and nothing else happens.
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
    """An observer is called no more by a shared client, since the last user that passed it has left.

    Only that observer gets this event. The client goes on, so the observer should forget which waits it has counted as
    pending.

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
        pending: How many requests still wait for such a call: describes and polls, submissions, or jobs to end.
        ended: Describes and polls that the call has ended, whatever the reason.
        awaits_credentials: Whether its credentials have expired or were refused, and it is made again once a factory
            has given others.
        describes: How many of ``pending`` are describes; like all that follows but the last two, for DescribeJobs only.
        overdue: Seconds since the oldest check that still waits for its call should have been made; 0.0 if none is
            late.
        pending_by_status: How many of the jobs that wait are in which state, as polls have seen them last, or
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
    pending_by_status: Mapping[str, int] = {}
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

    It comes eight seconds after the first call, and then about a minute after the last such event or the last failure.
    After the first answer there are none, even if that answer was a throttled or refused call.

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
    """The factory of a shared client was called again, since credentials had expired or were refused.

    Attributes:
        reason: The last error of calls.
        tries: How often it was called since the last good answer.
        seconds: For how long calls have failed like this.
        error: Why it gave no client, the error's class and what it says; None if it gave one. Whether its credentials
            are good shows when a call is answered.
    """

    reason: str
    tries: int
    seconds: float
    error: str | None


class Throttled(Event, frozen=True, kw_only=True, gc=False):
    """AWS has rejected a call for coming too fast. It follows the call's `CallEnded`.

    Attributes:
        operation: AWS's name for it.
        previous_rate: Calls a second that were allowed before.
        rate: Calls a second that are allowed now; the same if the rate had been cut since the call was sent.
    """

    operation: str
    previous_rate: float
    rate: float


class SignatureOutdated(Event, frozen=True, kw_only=True, gc=False):
    """AWS has refused a call for the time of its signature, so it is signed and sent again. It follows its `CallEnded`.

    Not for DescribeJobs. If it comes once, the call only took long on its way. If it goes on, the clock of this machine
    is wrong, and until it is corrected every call ends like this.

    Attributes:
        operation: AWS's name for it.
        in_a_row: How many times this has happened without any other answer in between.
        error_message: What AWS says.
        next_in: Seconds until the next call of this kind is sent.
    """

    operation: str
    in_a_row: int
    error_message: str
    next_in: float


class SubmissionUnclaimed(Event, frozen=True, kw_only=True, gc=False):
    """A job was, or may have been, submitted, but its submitter was cancelled, or left its loop, before it was told.

    Attributes:
        job_name: The job's name.
        job_id: The job's id; None if it cannot be known whether it was submitted.
        error: Why not, in that case.
    """

    job_name: str
    job_id: str | None
    error: str | None


class TerminationUnclaimed(Event, frozen=True, kw_only=True, gc=False):
    """A job could not be terminated or cancelled, and the task that asked for it was cancelled before it was told.

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

    Observers get it once for each job, state and reason, however many waits there are for the job, also one after the
    other (as long as the job is one of the last 20,000 that were awaited). What only a describe has seen makes no
    event. The ``on_change`` of a wait gets the changes that this wait sees, and also the progress of an array job.

    The event keeps the description of the job, 2 to 4 KB of JSON, for `job` and `progress`. So instead of many events,
    keep only what you need of them.

    Attributes:
        job_id: The job.
        previous: The state before; None if the job had not been seen. It equals ``status`` if only the reason is new.
        status: The state now.
        attempt: The number of the attempt that the job is in or ended with, from 1; 0 if it ended before the first.
        created_at: When it was submitted, as AWS gives it, in epoch milliseconds.
        started_at: When its attempt began to run, likewise; None if it has not.
        stopped_at: When it ended, likewise; None if it has not.
        seen_at: When the answer came, by this machine's clock, in epoch milliseconds.
        reason: What AWS Batch says of the state now (its ``statusReason``), such as ``"MISCONFIGURATION:…"`` of a
            RUNNABLE job that cannot be placed; None if it says nothing. If a reason only disappears, there is no event.
        seconds: How long it was in the state before, as far as was seen, including times without a wait for it. None if
            it had not been seen, and for the ``on_change`` of a wait.
    """

    previous: str | None
    status: str
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
    def progress(self) -> JobProgress | None:
        """How far an array job has come, as `BatchClient.job_progress` gives it; None for any other job."""
        # Most jobs are no arrays, and need not be decoded whole for that.
        if self._item is not None and progress_in(self._item) is not None:
            with suppress(*UNDECODABLE):
                progress = JobProgress.of(decode_description(self._item), self.seen_at)
                return progress if progress.size > 1 else None
        return None


class JobStuck(Event, frozen=True, gc=False):
    """A job has been RUNNABLE for as long as ``stuck_after`` says; it comes once for each job.

    A watch yields it. A wait that has ``stuck_after`` passes it to observers, and logs a WARNING. Nothing happens to
    the job.

    Attributes:
        job_id: The job.
        seconds: How long it has been RUNNABLE, from when the watch or the wait first saw it so.
        reason: The reason that AWS Batch gave last, such as ``"MISCONFIGURATION:…"``, in one line. AWS Batch gives one
            only for the first job of a queue, so for another job it is that of the first. None if nothing is known.
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
    """A good answer lacks a job that was asked for: AWS does not know it yet, or no longer, or never did.

    It comes with each such answer.

    Attributes:
        job_id: The job.
    """

    job_id: str


class WaitBegan(Event, frozen=True, kw_only=True, gc=False):
    """A describe or a poll of one job begins; observers are called in the context of the task that waits.

    Attributes:
        job_id: The job.
        kind: ``"describe"`` or ``"poll"``.
        wait: A number that no other wait has at the same time; its `WaitEnded` has the same.
        client: See `Event`.
    """

    job_id: str
    kind: str
    wait: int
    client: int = 0


class WaitEnded(_WithDescription, frozen=True, kw_only=True):
    """A describe or a poll of one job has ended. `BatchClient.wait_for_job` is two polls, one after the other.

    If the end of the job was seen, the event keeps its description, 2 to 4 KB of JSON, for `cause` and `queue`. So
    instead of many events, keep only what you need of them.

    Attributes:
        job_id: The job.
        kind: ``"describe"`` or ``"poll"``.
        outcome: ``"matched"`` (the job was seen in an awaited state), ``"absent"`` (AWS does not know it),
            ``"unreachable"`` (it has ended in another state), ``"exhausted"`` (no check is left), ``"failed"`` (calls
            failed), ``"broken"`` (the schedule raised), ``"closed"`` (the client was closed) or ``"cancelled"``.
        seconds: How long it lasted.
        checks: Checks of a poll that did not see the job in an awaited state, including those that failed.
        status: The last status seen; None if there was none.
        lag: Seconds from the end of the job, by AWS's clock, to the answer that showed it, by this machine's. It may be
            negative if the clocks differ, and longer than the wait if that began later. None if the end of the job was
            not seen.
        pending: Describes and polls that go on.
        wait: See `WaitBegan`.
        client: See `Event`.
    """

    kind: str
    outcome: str
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
