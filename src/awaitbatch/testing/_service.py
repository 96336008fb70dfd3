"""The modelled service as its callers meet it: on a clock, throttled, with faults to order, and counted."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Concatenate, Final, NamedTuple, ParamSpec, TypeAlias, TypeVar

import msgspec

from awaitbatch.testing._model.faults import (
    THROTTLES,
    TRANSIT_FAULTS,
    Fault,
    FaultPlan,
    FaultRule,
    error_of,
)
from awaitbatch.testing._model.requests import (
    OPERATIONS,
    ArrayProperties,
    DescribeJobs,
    JobDependency,
    NodeOverrides,
    StopJobs,
    SubmitJob,
    decode,
)
from awaitbatch.testing._model.response_faults import corrupt
from awaitbatch.testing._model.service_error import (
    ServiceError,
    lacks_operation,
    too_many_requests,
    unknown_operation,
)
from awaitbatch.testing._model.statistics import ServerStatistics
from awaitbatch.testing._model.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from random import Random

    from awaitbatch._jobs import JobStatus
    from awaitbatch.testing._model.batch import BatchModel
    from awaitbatch.testing._model.life_cycle import LifeCycle
    from awaitbatch.testing._model.resources import ResourceStatus

P = ParamSpec("P")
T = TypeVar("T")

_CLOCK_OF_THE_MACHINE: Final = time.time
"""Kept, since a test may put another one in its place."""

Latency: TypeAlias = float | Callable[[], float]


def _do_nothing() -> None:
    pass


def _one_thread_at_a_time(
    method: Callable[Concatenate[BatchService, P], T],
) -> Callable[Concatenate[BatchService, P], T]:
    """Let a test add jobs and look at them while calls are answered in another thread."""

    @wraps(method)
    def call(self: BatchService, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


class Response(NamedTuple):
    """A good response.

    Attributes:
        body: Its JSON, or what a fault has made of it.
        transit_fault: What goes wrong with it in transit, or None.
    """

    body: bytes
    transit_fault: FaultRule | None = None


class BatchService:
    """What the in-process transport and the HTTP face call; `BatchServer` adds both faces.

    Its methods that are no coroutines may be called from any thread.

    Args:
        model: The jobs.
        clock: Gives the time in seconds.
        bucket: Throttles all operations together; or a mapping throttles single operations, by their names.
        latency: Seconds that HTTP calls take at least, or a callable that gives them.
        lacking: Operations that the server is to lack.
        random: Draws the calls that faults hit; not the model's, or ordering a fault would change the ids of jobs.

    Attributes:
        operations: The names of the operations that are modelled.
        region_name: The region of all ARNs.
        latency: Seconds that HTTP calls take at least, or a callable that gives them.
        lacking: The names of operations that the server lacks: it answers 404, as moto does.
        statistics: Counts of all that the server has seen since the start or the last reset.
    """

    operations = OPERATIONS

    def __init__(
        self,
        model: BatchModel,
        *,
        clock: Callable[[], float],
        bucket: TokenBucket | Mapping[str, TokenBucket] | None,
        latency: Latency,
        random: Random,
        lacking: Collection[str] = (),
    ) -> None:
        self.region_name = model.account.region_name
        self.latency = latency
        self._check_operations(lacking)
        self.lacking = {*lacking}
        self.statistics = ServerStatistics()
        self._lock = threading.RLock()
        self._model = model
        self._clock = clock
        # By operation; None for all that have none of their own.
        self._buckets: dict[str | None, TokenBucket] = {}
        if isinstance(bucket, TokenBucket):
            self._buckets[None] = bucket
        elif bucket is not None:
            self._buckets.update(bucket)
        self._faults = FaultPlan(random)
        # Called, in whatever thread, when an outage is ordered.
        self.on_outage: Callable[[], None] = _do_nothing

    async def call(self, operation: str, body: bytes, *, latency: Latency) -> Response:
        """Answer one call of the AWS Batch API as it would arrive over HTTP; each way takes half of `latency`.

        Raises:
            ServiceError: The call was throttled, refused, is unknown, or hit by a fault that is an error.
        """
        one_way = (latency() if callable(latency) else latency) / 2
        await asyncio.sleep(one_way)
        try:
            return self._respond(operation, body)
        finally:
            await asyncio.sleep(one_way)

    @_one_thread_at_a_time
    def _respond(self, operation: str, body: bytes) -> Response:
        if operation not in self.operations:
            raise unknown_operation(operation)
        now = self._clock()
        self.statistics.record_call(operation, now)
        bucket = self._buckets.get(operation) or self._buckets.get(None)
        if operation in self.lacking:
            self.statistics.failed[operation] += 1
            raise lacks_operation()
        if bucket is not None and not bucket.take(now):
            self.statistics.record_throttle(operation, now)
            raise too_many_requests()
        rule = self._faults.draw(operation, body, now)
        error = error_of(rule.fault) if rule is not None else None
        if rule is not None and error is not None:
            self._record_hits(rule)
            if rule.fault in THROTTLES:
                self.statistics.record_throttle(operation, now)
            else:
                self.statistics.failed[operation] += 1
            raise error
        try:
            request = decode(operation, body)
            jobs = request.jobs if isinstance(request, StopJobs) else ()
            good = self._model.perform(request, now, self._faults.errors_of_jobs(rule, jobs))
        except ServiceError:
            self.statistics.failed[operation] += 1
            raise
        self.statistics.answered[operation] += 1
        if isinstance(request, DescribeJobs):
            self.statistics.ids_described += len(request.jobs)
        if rule is None:
            return Response(good)
        self._record_hits(rule)
        if rule.fault in TRANSIT_FAULTS:
            return Response(good, rule)
        older = partial(self._model.older_description, now=now)
        return Response(corrupt(rule, good, self._faults.random, older))

    def _record_hits(self, rule: FaultRule, calls: int = 1) -> None:
        rule.record_hits(calls)
        self.statistics.faults[rule.fault] += calls

    def reset_statistics(self) -> None:
        """Set all counts to zero."""
        self.statistics = ServerStatistics()

    @property
    def bucket(self) -> TokenBucket | None:
        """The throttle of all operations that have none of their own, if there is one."""
        return self._buckets.get(None)

    @_one_thread_at_a_time
    def throttle(self, rate: float | None, burst: float | None = None, operation: str | None = None) -> None:
        """Allow so many calls a second from now on; None lifts the throttle.

        Args:
            rate: Calls a second.
            burst: Calls at once after a pause; by default those of a second.
            operation: The operation that is throttled on its own; None for the account's one throttle of all others.

        Raises:
            ValueError: The rate is negative, the burst is below one call, or there is no such operation.
        """
        self._check_operations(() if operation is None else (operation,))
        if rate is None:
            self._buckets.pop(operation, None)
        elif operation in self._buckets:
            self._buckets[operation].change(rate, burst, now=self._clock())
        else:
            self._buckets[operation] = TokenBucket(rate, burst)

    def inject(
        self,
        fault: Fault,
        *,
        probability: float = 1.0,
        calls: float = math.inf,
        begin: float = 0.0,
        end: float = math.inf,
        operations: Collection[str] | None = None,
        job_ids: Collection[str] | None = None,
        seconds: float | None = None,
    ) -> FaultRule:
        """Let a fault hit calls from now on: at random, for a while, or the next few; `heal` ends it.

        All that narrows the calls down must hold. Of several rules the first that applies to a call is the only one.

        Args:
            fault: What goes wrong with them.
            probability: The chance of each call, 0 to 1.
            calls: How many calls it hits.
            begin: Seconds from now at which it begins.
            end: Seconds from now at which it ends.
            operations: The operations that it hits; None for all that it can.
            job_ids: Only calls that name one of these jobs and, if the fault is about jobs in a response, only these
                jobs; None for all calls, and jobs drawn at random.
            seconds: How long a `Fault.HANG` (for ever if None) or a `Fault.TRICKLE` (30 if None) takes; no other fault
                takes time.

        Returns:
            The rule, whose ``hits`` count the calls that it has hit.

        Raises:
            ValueError: An argument makes no sense, or does not fit the fault.
        """
        now = self._clock()
        for name, names in (("operations", operations), ("job_ids", job_ids)):
            if names is not None and (isinstance(names, str) or not names):
                message = f"{name} must be a collection of at least one name, not {names!r}"
                raise ValueError(message)
        self._check_operations(operations or ())
        rule = FaultRule(
            fault=Fault(fault),
            probability=probability,
            calls=calls,
            begin=now + begin,
            end=now + end,
            operations=None if operations is None else frozenset(operations),
            job_ids=None if job_ids is None else frozenset(job_ids),
            seconds=seconds,
        )
        self._faults.rules.append(rule)
        if rule.fault is Fault.CONNECTION_REFUSED:
            self.on_outage()
        return rule

    def heal(self, rule: FaultRule | None = None) -> None:
        """Inject no more of a rule, or of any; it is no error if the rule has ended."""
        rules = self._faults.rules
        rules[:] = [] if rule is None else [other for other in rules if other is not rule]

    @property
    def faults(self) -> tuple[FaultRule, ...]:
        """The rules in the order in which they are asked, those included whose time or calls are over."""
        return tuple(self._faults.rules)

    def is_in_real_time(self) -> bool:
        """Whether it tells the time by the clock of the machine."""
        return self._clock is _CLOCK_OF_THE_MACHINE

    @property
    def is_down(self) -> bool:
        """Whether `Fault.CONNECTION_REFUSED` is in force."""
        return self._faults.outage(self._clock()) is not None

    def expects_outage(self) -> bool:
        """Whether `Fault.CONNECTION_REFUSED` is in force, or will be."""
        return self._faults.has_outages(self._clock())

    def note_refusals(self, calls: int) -> None:
        """Count calls whose connections were refused or reset because the server is down."""
        rule = self._faults.outage(self._clock())
        if rule is not None:
            self._record_hits(rule, calls)

    def _check_operations(self, operations: Collection[str]) -> None:
        unknown = set(operations) - {*self.operations}
        if unknown:
            message = (
                f"no such operation: {', '.join(sorted(unknown))}; there are {', '.join(self.operations)}"
            )
            raise ValueError(message)

    @_one_thread_at_a_time
    def add_job(
        self,
        job_id: str | None = None,
        *,
        life_cycle: LifeCycle | None = None,
        job_name: str = "job",
        job_queue: str = "queue",
        job_definition: str = "definition",
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        array_size: int | None = None,
        nodes: int | None = None,
        children: Mapping[int, LifeCycle] | None = None,
        depends_on: Sequence[str | Mapping[str, str]] = (),
        share_identifier: str | None = None,
    ) -> str:
        """Add a job as if it had been submitted now, and return its id.

        Args:
            job_id: The id to give it; by default one is drawn.
            life_cycle: What becomes of it, and of its children; by default what its parameters or else the server says.
            job_name: Its name.
            job_queue: The name or ARN of its queue.
            job_definition: The name or ARN of its definition.
            parameters: The parameters of its submission.
            tags: The tags of its submission.
            array_size: The number of children, if it is an array job.
            nodes: The number of nodes, if it is a multi-node job; the first is the main node.
            children: What becomes of single children or nodes, by their index, if it is something else.
            depends_on: The ids of jobs that have to succeed first, or dependencies as SubmitJob has them, such as
                ``{"type": "SEQUENTIAL"}`` and ``{"jobId": …, "type": "N_TO_N"}``.
            share_identifier: Its share identifier.

        Raises:
            ValueError: The id is malformed or taken, the parameters are no life cycle, there are not so many children,
                or it depends on what does not exist.
        """
        needs = [{"jobId": one} if isinstance(one, str) else one for one in depends_on]
        try:
            dependencies = msgspec.convert(needs, list[JobDependency])
        except msgspec.ValidationError as error:
            message = f"not a dependency: {error}"
            raise ValueError(message) from None
        submission = SubmitJob(
            job_name=job_name,
            job_queue=job_queue,
            job_definition=job_definition,
            parameters=dict(parameters or {}),
            tags=dict(tags or {}),
            array_properties=ArrayProperties(size=array_size),
            node_overrides=NodeOverrides(num_nodes=nodes),
            depends_on=dependencies,
            share_identifier=share_identifier,
        )
        return self._model.add_job(
            submission, self._clock(), job_id=job_id, life_cycle=life_cycle, children=children
        ).job_id

    @_one_thread_at_a_time
    def forget_job(self, job_id: str) -> None:
        """Let a job vanish from all responses, as AWS does some days after its end; unknown ids are ignored."""
        self._model.forget_job(job_id)

    @_one_thread_at_a_time
    def block_queue(self, job_queue: str, reason: str) -> None:
        """Let no job of a queue start any more; what has started goes on.

        Args:
            job_queue: The name or ARN of the queue.
            reason: The ``statusReason`` of the first RUNNABLE job, such as ``CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY -
                …`` or ``MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - …``.
        """
        self._model.block_queue(job_queue, reason, self._clock())

    @_one_thread_at_a_time
    def unblock_queue(self, job_queue: str) -> None:
        """Let the jobs of a queue start again, those at once that would have started meanwhile."""
        self._model.block_queue(job_queue, None, self._clock())

    @_one_thread_at_a_time
    def set_compute_environment(
        self,
        name: str,
        status: ResourceStatus | None = "VALID",
        status_reason: str | None = None,
        *,
        after: float = 0.0,
    ) -> None:
        """Let a compute environment be there, or change what is said of it, now or later.

        Until then a new one is CREATING, one that is to be VALID or INVALID is UPDATING, and one that is to be DELETED
        or gone is DELETING.

        Args:
            name: Its name or ARN.
            status: Its status; None if it is to be gone, and absent from responses.
            status_reason: What it says about its status; one that is VALID is healthy.
            after: Seconds from now at which it is so.

        Raises:
            ValueError: There is no such status, or the time lies in the past.
        """
        self._model.compute_environments.set(name, status, status_reason, self._clock(), after)

    @_one_thread_at_a_time
    def set_job_queue(
        self,
        name: str,
        status: ResourceStatus | None = "VALID",
        status_reason: str | None = None,
        *,
        after: float = 0.0,
    ) -> None:
        """Let a job queue be there, or change what is said of it, as `set_compute_environment` does.

        Queues to which jobs were submitted are there without it, and VALID. No job can be submitted to one that is
        gone, or about to go.

        Args:
            name: Its name or ARN.
            status: Its status; None if it is to be gone, and absent from responses.
            status_reason: What it says about its status; one that is VALID is healthy.
            after: Seconds from now at which it is so.

        Raises:
            ValueError: There is no such status, or the time lies in the past.
        """
        self._model.job_queues.set(name, status, status_reason, self._clock(), after)

    @_one_thread_at_a_time
    def status_of(self, job_id: str) -> JobStatus:
        """The state in which a job is now.

        Raises:
            KeyError: There is no such job.
        """
        return self._model.jobs[job_id].status(self._clock())

    @_one_thread_at_a_time
    def ended_at(self, job_id: str) -> float | None:
        """The moment on the server's clock at which a job ended, or None if it has not.

        Raises:
            KeyError: There is no such job.
        """
        return self._model.jobs[job_id].ended_at(self._clock())

    @_one_thread_at_a_time
    def ended(self) -> dict[str, float]:
        """The ids of all jobs that have ended, with the moments at which they did."""
        now = self._clock()
        ends = ((job_id, job.ended_at(now)) for job_id, job in self._model.jobs.items())
        return {job_id: end for job_id, end in ends if end is not None}
