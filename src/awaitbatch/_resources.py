"""Waits for compute environments and job queues: they share calls as waits for jobs do, by the rules of the core."""

from __future__ import annotations

import asyncio
import contextvars
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, Protocol, get_args

from awaitbatch._core.outcomes import FailureKind, Outcome, Reason
from awaitbatch._core.text import quantity, shared_line, shown
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Windows
from awaitbatch._failures import CutOffError, UnreadableResponseError, classify, drop_tracebacks
from awaitbatch._tasks import create_task
from awaitbatch.errors import (
    CallError,
    ClientClosedError,
    MaxRetriesExceededError,
    ResourceInvalidError,
    ResourceNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Unpack

    from awaitbatch._call_queue import CallQueue
    from awaitbatch._core.backoff import Window
    from awaitbatch._core.requests import Call, Decision, Observation
    from awaitbatch._core.watch import Rules
    from awaitbatch._open_streams import OpenStreams
    from awaitbatch._transport import BatchTransport

ResourceStatus = Literal["VALID", "DELETED"]
"""The states of a compute environment or job queue that can be awaited; the others are CREATING, UPDATING, DELETING and
INVALID.

https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeEnvironmentDetail.html
"""

_ENDS: Final = frozenset({"INVALID", "DELETED"})
"""States that are left only if somebody does something."""
_CLOSED: Final = Outcome(Reason.CLOSED)


class Kind(NamedTuple):
    """What there is besides jobs.

    Attributes:
        noun: What it is called.
        operation: The operation that describes it.
        members: The parameter that names some of them, and the member of the answer.
        name: The member that has the name of one.
        arn: The member that has its ARN.
        arn_type: What an ARN calls it.
    """

    noun: str
    operation: str
    members: str
    name: str
    arn: str
    arn_type: str


COMPUTE_ENVIRONMENT: Final = Kind(
    "compute environment",
    "DescribeComputeEnvironments",
    "computeEnvironments",
    "computeEnvironmentName",
    "computeEnvironmentArn",
    "compute-environment",
)
JOB_QUEUE: Final = Kind(
    "job queue", "DescribeJobQueues", "jobQueues", "jobQueueName", "jobQueueArn", "job-queue"
)

_NAME: Final = r"[A-Za-z0-9_-]{1,128}"


def parse_resource(kind: Kind, name: object) -> str:
    """The name or ARN of a resource.

    Raises:
        TypeError: It is no str.
        ValueError: It cannot be one, and would make AWS refuse the names of others in the same call.
    """
    if not isinstance(name, str):
        message = f"the name of a {kind.noun} must be a str, not {shown(name)}"
        raise TypeError(message)
    pattern = rf"(?:arn:[a-z0-9-]+:batch:[a-z0-9-]+:[0-9]{{12}}:{kind.arn_type}/)?{_NAME}"
    if not re.fullmatch(pattern, name, re.ASCII):
        message = f"not a {kind.noun}: {shown(name)} (expected at most 128 letters, digits, '-' and '_', or its ARN)"
        raise ValueError(message)
    return str.__str__(name)


def require_until(until: object) -> None:
    """Refuse what is no `ResourceStatus`.

    Raises:
        ValueError: It is another.
    """
    if until not in get_args(ResourceStatus):
        message = f"until must be one of {', '.join(get_args(ResourceStatus))}, not {shown(until)}"
        raise ValueError(message)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a call saw of a resource, in the form in which the core takes what it saw of a job."""

    status: str | None
    status_reason: object
    detail: Mapping[str, Any]

    array_properties: ClassVar[None] = None
    progress: ClassVar[None] = None
    order: ClassVar[tuple[int, int]] = (0, 0)

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDS

    def counts_as_any_of(self, states: Collection[str]) -> bool:  # noqa: ARG002
        return False


class ResourceWatch(Watch):
    """Waits until a resource is seen as awaited; its name takes the place of a job's id.

    Attributes:
        detail: Its description when it was first seen in its present status; empty before that.
    """

    __slots__ = ("detail",)

    def __init__(self, *arguments: Any, **rules: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **rules)
        self.detail: Mapping[str, Any] = {}

    def on_seen_early(self, observation: Observation) -> Decision:
        """As any watch."""
        if isinstance(observation, _Seen):
            self.detail = observation.detail
        return super().on_seen_early(observation)


class ResourceWaits:
    """The waits for resources of one kind. All of a client share calls, of up to 100 names.

    A task sends one call after the other, for as long as there is a wait.

    Args:
        kind: What is waited for.
        queue: Where the calls wait for their turn; those that AWS throttles stay there.
        transport: How they reach AWS Batch.
        call_timeout: Seconds that a call may take.
    """

    def __init__(self, kind: Kind, queue: CallQueue, transport: BatchTransport, call_timeout: float) -> None:
        self._kind = kind
        self._queue = queue
        self._transport = transport
        self._windows = Windows[ResourceWatch](call_timeout)
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, watch: ResourceWatch, window: Window) -> None:
        """Check a resource for the first time in ``window``, in seconds from now."""
        self._windows.add(watch, window, self._loop.time())
        self._news.set()
        if self._task is None:
            # In a context of its own, since the first who waits is anybody, and the task works for all.
            name = f"awaitbatch {self._kind.operation}"
            self._task = create_task(self._run(), name=name, context=contextvars.Context())

    def discard(self, watch: ResourceWatch) -> None:
        """Take back a watch; it is no error if it has ended."""
        self._windows.discard(watch)
        self._news.set()

    async def aclose(self) -> None:
        """End all waits that are left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            with suppress(ClientClosedError, CutOffError):
                while len(self._windows):
                    self._news.clear()
                    call = self._windows.take(self._loop.time())
                    if call is not None:
                        await self._describe(call)
                        continue
                    deadline = self._windows.next_deadline()
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(deadline if deadline < math.inf else None):
                            await self._news.wait()
        finally:
            self._task = None
            # There are some if it is cancelled, or if the client has closed.
            for watch in list(self._windows):
                self._windows.discard(watch)
                watch.deliver(watch, _CLOSED, None)

    async def _describe(self, call: Call[ResourceWatch]) -> None:
        try:
            seen = await self._ask(call.job_ids)
        except (ClientClosedError, CutOffError):
            raise
        except Exception as error:  # noqa: BLE001
            drop_tracebacks(error)
            renewed = self._transport.refreshes_credentials
            failure = classify(error, operation=self._kind.operation, refreshes_credentials=renewed)
            is_refused = failure.kind is FailureKind.REFUSED
            end = self._windows.refuse if is_refused else self._windows.fail
            deliveries = end(call, failure, self._loop.time())
        else:
            deliveries = self._windows.answer(call, seen, self._loop.time()).deliveries
        for more in call.rest:
            deliveries += more
        for watch, outcome in deliveries:
            watch.deliver(watch, outcome, None)

    async def _ask(self, names: Sequence[str]) -> dict[str, _Seen]:
        """Describe resources; each is there by its name and by its ARN."""
        kind = self._kind
        parameters: dict[str, Any] = {kind.members: list(names)}
        seen: dict[str, _Seen] = {}
        while True:
            answer = await self._queue.call(kind.operation, parameters)
            details = answer.get(kind.members)
            if not isinstance(details, list) or not all(isinstance(one, Mapping) for one in details):
                message = f"the answer to {kind.operation} has no {kind.members} that can be read"
                raise UnreadableResponseError(message)
            for detail in details:
                one = _Seen(shared_line(detail.get("status")), detail.get("statusReason"), detail)
                names = (detail.get(kind.name), detail.get(kind.arn))
                seen.update((name, one) for name in names if isinstance(name, str))
            if not (token := answer.get("nextToken")):
                return seen
            if token == parameters.get("nextToken"):
                # There would be no end of it.
                message = f"the answer to {kind.operation} has the nextToken that it was asked with"
                raise UnreadableResponseError(message)
            parameters = {**parameters, "nextToken": token}


class Resources:
    """The waits for resources of all kinds.

    Args:
        queue: Where the calls wait for their turn.
        transport: How they reach AWS Batch.
        call_timeout: Seconds that a call may take.
    """

    def __init__(self, queue: CallQueue, transport: BatchTransport, call_timeout: float) -> None:
        self._queue = queue
        self._waits = {
            kind: ResourceWaits(kind, queue, transport, call_timeout)
            for kind in (COMPUTE_ENVIRONMENT, JOB_QUEUE)
        }

    def __getitem__(self, kind: Kind) -> ResourceWaits:
        return self._waits[kind]

    def limit(self, max_rate: float) -> None:
        """See `AdaptiveThrottle.limit`."""
        self._queue.limit(max_rate)

    async def aclose(self) -> None:
        """End all waits that are left, and give up what is on its way."""
        try:
            for waits in self._waits.values():
                await waits.aclose()
        finally:
            await self._queue.aclose(0)


class Host(Protocol):
    """The inside of a client, or of one user of a shared one."""

    @property
    def resources(self) -> Resources:
        """Describes compute environments and job queues."""

    @property
    def streams(self) -> OpenStreams:
        """Who is to be told when the client closes."""


class _Wait:
    """One wait, as a client that closes knows it."""

    def __init__(self, ended: asyncio.Future[Outcome]) -> None:
        self._ended = ended

    def end(self, failure: BaseException | None = None) -> None:  # noqa: ARG002
        if not self._ended.done():
            self._ended.set_result(_CLOSED)


async def wait_for_resource(
    host: Host, kind: Kind, name: str, until: ResourceStatus, window: Window, **rules: Unpack[Rules]
) -> dict[str, Any]:
    """Wait until a resource is as awaited.

    Args:
        host: The client.
        kind: What it is.
        name: Its name or ARN.
        until: The state that is awaited.
        window: When to check first, in seconds from now.
        rules: See `Rules`.

    Returns:
        Its description; nothing in it if it is gone.

    Raises:
        ResourceInvalidError: It is INVALID.
        ResourceNotFoundError: It is not there, and should be.
        MaxRetriesExceededError: It was checked so often.
        CallError: It cannot be described.
        ClientClosedError: The client was closed first.
    """
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def deliver(_: Watch, outcome: Outcome | None, __: bytes | None) -> None:
        if outcome is not None and not ended.done():
            ended.set_result(outcome)

    watch = ResourceWatch(name, deliver, **rules)
    waits, wait = host.resources[kind], _Wait(ended)
    host.streams.add(wait)
    waits.add(watch, window)
    try:
        outcome = await ended
    finally:
        host.streams.discard(wait)
        waits.discard(watch)
    if outcome.reason is Reason.ABSENT and until == "DELETED":
        return {}
    if outcome.reason is not Reason.MATCHED:
        raise _error_of(kind, watch, outcome)
    return dict(watch.detail)


def _error_of(kind: Kind, watch: ResourceWatch, outcome: Outcome) -> BaseException:
    name, failure = watch.job_id, outcome.failure
    what = f"AWS Batch {kind.noun} ({name})"
    status, reason = watch.last_status, shared_line(watch.detail.get("statusReason"))
    why = f" ({reason.rstrip('. ')})" if reason else ""
    checks = quantity(watch.checks, "check", "checks")
    match outcome.reason:
        case Reason.UNREACHABLE if status == "INVALID":
            advice = "correct what it says, or delete it and create it again"
            return ResourceInvalidError(f"{what} is INVALID{why}; {advice}", name=name, reason=reason)
        case Reason.UNREACHABLE | Reason.ABSENT:
            history = (
                f"it was last seen as {status}; somebody has deleted it"
                if status
                else "check its name, the region and the account"
            )
            return ResourceNotFoundError(f"{what} not found: {history}", name=name, seen=status is not None)
        case Reason.EXHAUSTED:
            seen = f"last seen as {status}{why}" if status else "never seen"
            message = (
                f"{what} status checks exceed max_retries: {checks}, {seen}; raise max_retries to wait longer"
            )
            error = MaxRetriesExceededError(
                message,
                checks=watch.checks,
                failed_checks=watch.failures,
                last_status=status,
                last_reason=reason,
            )
            error.__cause__ = failure.error if failure else None
            return error
        case Reason.BROKEN if failure is not None and failure.error is not None:
            # It is the user's own, and so is its text.
            failure.error.add_note(f"raised by the backoff of a wait for {what}")
            return failure.error
    if failure is None:
        message = f"{what}: the client was closed before the wait ended; wait for it with another BatchClient"
        return ClientClosedError(message)
    tries = f" after {checks}" if watch.checks else ""
    return CallError.of(f"{what} could not be described{tries}", kind.operation, failure, "check its name")
