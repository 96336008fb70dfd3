"""A model of AWS Batch to test against: in virtual time without a network, or over HTTP."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Self, TypeAlias

from awaitbatch.testing._http.client_arguments import ClientArguments, client_arguments
from awaitbatch.testing._http.listener import Doorkeeper
from awaitbatch.testing._in_process import InProcessTransport
from awaitbatch.testing._model.batch import BatchModel
from awaitbatch.testing._model.description import Account
from awaitbatch.testing._model.faults import Fault, FaultRule
from awaitbatch.testing._model.life_cycle import LifeCycle
from awaitbatch.testing._model.requests import ArrayProperties, SubmitJob
from awaitbatch.testing._model.statistics import ServerStatistics
from awaitbatch.testing._model.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from types import TracebackType

    from awaitbatch.jobs import JobStatus
    from awaitbatch.testing._model.batch import Answer, LifeCycleSource

Latency: TypeAlias = float | Callable[[], float]

_DEFAULT_LIFE_CYCLE = LifeCycle()


class BatchServer:
    """A model of the AWS Batch service: SubmitJob, DescribeJobs, ListJobs, CancelJob and TerminateJob.

    Over HTTP, on the loopback address, for any AWS client:

        async with BatchServer() as server:
            job_id = server.add_job(life_cycle=LifeCycle(running=2, outcome="FAILED"))
            async with BatchClient(**server.client_arguments) as client: ...

    Or in process, in place of the network and on the event loop's own clock, with `transport`.

    Jobs pass through their states by themselves, as their `LifeCycle` says; `SubmitJob` may choose one by its
    ``parameters`` (`LifeCycle.to_parameters`). Any job queue and job definition exists. Dependencies between
    jobs, multi-node jobs, EKS and the filters of ListJobs are not modelled.

    Args:
        clock: Gives the time in seconds; epoch seconds make the times in descriptions real ones.
        default_life_cycle: What becomes of jobs for which nothing is said; a callable gets a `random.Random`.
        bucket: Throttles the account, all operations together; or a mapping throttles single operations, each by its
            own bucket. Calls beyond it get HTTP 429, ``TooManyRequestsException``.
        description_bytes: The least size of a job's description; real ones have 2,400 to 3,500 bytes.
        latency: Seconds that HTTP calls take at least, or a callable that gives them.
        region_name: The region of all ARNs.
        account_id: The account of all ARNs.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        seed: Makes ids and random life cycles repeat; None makes them different in each server.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        default_life_cycle: LifeCycleSource = _DEFAULT_LIFE_CYCLE,
        bucket: TokenBucket | Mapping[str, TokenBucket] | None = None,
        description_bytes: int = 2500,
        latency: Latency = 0.0,
        region_name: str = "us-east-1",
        account_id: str = "123456789012",
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int | None = None,
    ) -> None:
        self.latency = latency
        self._clock = clock
        self._door = Doorkeeper(self, host, port)
        self._model = BatchModel(
            account=Account(region_name, account_id),
            default_life_cycle=default_life_cycle,
            bucket=bucket,
            description_bytes=description_bytes,
            random=Random(seed),
        )

    @property
    def region_name(self) -> str:
        """The region of all ARNs."""
        return self._model.account.region_name

    @property
    def operations(self) -> Iterable[str]:
        """The names of the operations that are modelled."""
        return self._model.operations

    @property
    def statistics(self) -> ServerStatistics:
        """Counts of all that the server has seen since the start or the last reset."""
        return self._model.statistics

    @property
    def bucket(self) -> TokenBucket | None:
        """The throttle of all operations that have none of their own, if there is one."""
        return self._model.buckets.get(None)

    def reset_statistics(self) -> None:
        """Set all counts to zero."""
        self._model.statistics = ServerStatistics()

    def throttle(self, rate: float | None, burst: float | None = None, operation: str | None = None) -> None:
        """Allow so many calls a second from now on; None lifts the throttle.

        Args:
            rate: Calls a second.
            burst: Calls at once after a pause; by default those of a second.
            operation: The operation that is throttled on its own; None for the account's one throttle of all others.

        Raises:
            ValueError: The rate is negative, the burst is below one call, or there is no such operation.
        """
        buckets = self._model.buckets
        self._check_operations(() if operation is None else (operation,))
        if rate is None:
            buckets.pop(operation, None)
        elif operation in buckets:
            buckets[operation].change(rate, burst, now=self._clock())
        else:
            buckets[operation] = TokenBucket(rate, burst)

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
        """Let a fault befall calls from now on: at random, for a while, or the next few; `heal` ends it.

        What narrows the calls down must hold together. Of several rules the first that befalls a call is the only one.

        Args:
            fault: What befalls them.
            probability: The chance of each call, 0 to 1.
            calls: How many calls it befalls.
            begin: Seconds from now at which it begins.
            end: Seconds from now at which it ends.
            operations: The operations that it befalls; None for all that it can.
            job_ids: Only calls that name one of these jobs and, if the fault is about jobs in an answer, only these
                jobs; None for all calls, and jobs drawn at random.
            seconds: How long a `Fault.HANG` (for ever if None) or a `Fault.TRICKLE` (30 if None) takes; no other fault
                takes time.

        Returns:
            The rule, whose ``hits`` count the calls that it has befallen.

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
        self._model.faults.rules.append(rule)
        return rule

    def heal(self, rule: FaultRule | None = None) -> None:
        """Inject no more of a rule, or of any; it is no error if the rule has ended."""
        rules = self._model.faults.rules
        rules[:] = [] if rule is None else [other for other in rules if other is not rule]

    @property
    def faults(self) -> tuple[FaultRule, ...]:
        """The rules in the order in which they are asked, those included whose time or calls are over."""
        return tuple(self._model.faults.rules)

    @property
    def is_down(self) -> bool:
        """Whether `Fault.CONNECTION_REFUSED` is in force."""
        return self._model.faults.is_down(self._clock())

    def note_refusals(self, calls: int) -> None:
        """Count calls whose connections were refused or reset because the server is down."""
        self._model.note_refusals(calls, self._clock())

    def _check_operations(self, operations: Collection[str]) -> None:
        unknown = set(operations) - {*self.operations}
        if unknown:
            message = (
                f"no such operation: {', '.join(sorted(unknown))}; there are {', '.join(self.operations)}"
            )
            raise ValueError(message)

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
    ) -> str:
        """Add a job as if it had been submitted now, and return its id.

        Args:
            job_id: The id to give it; by default one is drawn.
            life_cycle: What becomes of it; by default what its parameters or else the server says.
            job_name: Its name.
            job_queue: The name or ARN of its queue.
            job_definition: The name or ARN of its definition.
            parameters: The parameters of its submission.
            tags: The tags of its submission.
            array_size: The number of children, if it is an array job.

        Raises:
            ValueError: The id is malformed or taken, or the parameters are no life cycle.
        """
        submission = SubmitJob(
            job_name=job_name,
            job_queue=job_queue,
            job_definition=job_definition,
            parameters=dict(parameters or {}),
            tags=dict(tags or {}),
            array_properties=None if array_size is None else ArrayProperties(size=array_size),
        )
        job = self._model.add_job(submission, self._clock(), job_id=job_id, life_cycle=life_cycle)
        return job.job_id

    def forget_job(self, job_id: str) -> None:
        """Let a job vanish from all answers, as AWS does some days after its end; unknown ids are ignored."""
        self._model.forget_job(job_id)

    def status_of(self, job_id: str) -> JobStatus:
        """The state in which a job is now.

        Raises:
            KeyError: There is no such job.
        """
        return self._model.job(job_id).status(self._clock())

    def ended_at(self, job_id: str) -> float | None:
        """The moment on the server's clock at which a job ended, or None if it has not.

        Raises:
            KeyError: There is no such job.
        """
        return self._model.job(job_id).ended_at(self._clock())

    def ended(self) -> dict[str, float]:
        """The ids of all jobs that have ended, with the moments at which they did."""
        return self._model.ended(self._clock())

    def transport(
        self, latency: Latency = 0.02, *, max_in_flight: int = 8, refreshes_credentials: bool = False
    ) -> InProcessTransport:
        """Make a transport that calls this server without a network.

        Args:
            latency: Seconds from a call to its answer, or a callable that gives them.
            max_in_flight: How many calls a client should have in flight at most.
            refreshes_credentials: Whether a client should take its credentials for such as renew themselves.
        """
        return InProcessTransport(
            self, latency=latency, max_in_flight=max_in_flight, refreshes_credentials=refreshes_credentials
        )

    async def call(self, operation: str, body: bytes, *, latency: Latency) -> Answer:
        """Carry a call to the model and its answer back; each way takes half of `latency`.

        Raises:
            ServiceError: The call was throttled, refused, is unknown, or a fault made it fail.
        """
        one_way = (latency() if callable(latency) else latency) / 2
        await asyncio.sleep(one_way)
        try:
            return self._model.answer(operation, body, self._clock())
        finally:
            await asyncio.sleep(one_way)

    @property
    def endpoint_url(self) -> str:
        """The URL at which the server listens.

        Raises:
            RuntimeError: It does not listen.
        """
        if self._door.url is None:
            message = "the server listens only inside `async with BatchServer() as server:`"
            raise RuntimeError(message)
        return self._door.url

    @property
    def client_arguments(self) -> ClientArguments:
        """What an AWS client has to be made with: the endpoint, the region, and credentials that are none.

        Raises:
            RuntimeError: It does not listen.
        """
        return client_arguments(self.endpoint_url, self.region_name)

    async def __aenter__(self) -> Self:
        await self._door.begin()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._door.end()

    def __repr__(self) -> str:
        address = f" at {self._door.url}" if self._door.url is not None else ""
        calls = self.statistics.calls.total()
        return f"<BatchServer{address}: {self._model.job_count} jobs, {calls} calls>"
