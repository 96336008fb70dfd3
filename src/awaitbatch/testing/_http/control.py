"""What a program may ask of a server in another process beside the AWS Batch API, under ``/_awaitbatch/``.

| call | body | does |
|---|---|---|
| POST jobs | ``[{"job_id": …, "life_cycle": {…}}, …]`` | adds these jobs; each has any arguments of \
`BatchServer.add_job` |
| POST jobs | ``{"count": …, "ranges": {…}, "seed": …}`` | adds jobs at random, as `LifeCycleRanges` has it |
| GET ended | | job id to the moment at which it ended, in seconds of the server's clock |
| GET statistics | | the counts of `ServerStatistics` |
| DELETE statistics | | sets all counts to zero |
| PUT throttle | ``{"rate": …, "burst": …, "operation": …}`` | changes the account's throttle, or that of one \
operation; a rate of null lifts it |
| POST faults | ``{"fault": "reset-in-body", "probability": …, …}`` | `BatchServer.inject` with these arguments |
| GET faults | | the rules, with the ``hits`` of each |
| DELETE faults | | `BatchServer.heal` |
| PUT latency | ``{"seconds": …}`` | delays every response |
| PUT compute-environment | ``{"name": …, "status": …, "status_reason": …, "after": …}`` | \
`BatchServer.set_compute_environment`; only the name is required |
| PUT job-queue | the same | `BatchServer.set_job_queue` |
| PUT block | ``{"job_queue": …, "reason": …}`` | `BatchServer.block_queue`; a reason of null is `unblock_queue` |

The response holds the ids of added jobs; what cannot be understood gets 400 and ``{"message": …}``. Only programs may
ask: a web page that a browser sends here, under whatever name, gets 403.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from awaitbatch.testing._model.faults import Fault
from awaitbatch.testing._model.life_cycle import LifeCycle, LifeCycleRanges
from awaitbatch.testing._model.resources import ResourceStatus  # noqa: TC001 - msgspec evaluates it

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from awaitbatch.testing._service import BatchService

PREFIX: Final = "/_awaitbatch/"


class OneJob(msgspec.Struct, forbid_unknown_fields=True):
    """A job to add, with the arguments of `BatchServer.add_job`; what is left out has its default."""

    job_id: str | None = None
    life_cycle: LifeCycle | None = None
    job_name: str | msgspec.UnsetType = msgspec.UNSET
    job_queue: str | msgspec.UnsetType = msgspec.UNSET
    job_definition: str | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, str] | None = None
    tags: dict[str, str] | None = None
    array_size: int | None = None
    nodes: int | None = None
    children: dict[int, LifeCycle] | None = None
    depends_on: list[str | dict[str, str]] = []
    share_identifier: str | None = None


class ManyJobs(msgspec.Struct, forbid_unknown_fields=True):
    """Jobs to add at random."""

    count: int
    ranges: LifeCycleRanges = LifeCycleRanges()
    seed: int | None = None


class Throttle(msgspec.Struct, forbid_unknown_fields=True):
    """Calls a second for the whole account, or for one operation."""

    rate: float | None
    burst: float | None = None
    operation: str | None = None


class Injection(msgspec.Struct, forbid_unknown_fields=True):
    """A fault to inject, with the arguments of `BatchServer.inject`; what is left out has its default."""

    fault: Fault
    probability: float | msgspec.UnsetType = msgspec.UNSET
    calls: float | msgspec.UnsetType = msgspec.UNSET
    begin: float | msgspec.UnsetType = msgspec.UNSET
    end: float | msgspec.UnsetType = msgspec.UNSET
    operations: list[str] | msgspec.UnsetType = msgspec.UNSET
    job_ids: list[str] | msgspec.UnsetType = msgspec.UNSET
    seconds: float | msgspec.UnsetType = msgspec.UNSET


class Resource(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of a compute environment or a job queue."""

    name: str
    status: ResourceStatus | None = "VALID"
    status_reason: str | None = None
    after: float = 0.0


class Block(msgspec.Struct, forbid_unknown_fields=True):
    """Why no job of a queue can start, if so."""

    job_queue: str
    reason: str | None


class Delay(msgspec.Struct, forbid_unknown_fields=True):
    """Seconds before every response."""

    seconds: float


def control_routes(service: BatchService) -> Iterable[web.RouteDef]:
    """The routes of the control surface."""
    control = _Control(service)
    return (
        web.post(f"{PREFIX}jobs", _checked(control.add_jobs)),
        web.get(f"{PREFIX}ended", _checked(control.ended)),
        web.get(f"{PREFIX}statistics", _checked(control.statistics)),
        web.delete(f"{PREFIX}statistics", _checked(control.reset_statistics)),
        web.put(f"{PREFIX}throttle", _checked(control.throttle)),
        web.post(f"{PREFIX}faults", _checked(control.inject)),
        web.get(f"{PREFIX}faults", _checked(control.faults)),
        web.delete(f"{PREFIX}faults", _checked(control.heal)),
        web.put(f"{PREFIX}latency", _checked(control.delay)),
        web.put(f"{PREFIX}compute-environment", _checked(control.set_compute_environment)),
        web.put(f"{PREFIX}job-queue", _checked(control.set_job_queue)),
        web.put(f"{PREFIX}block", _checked(control.block)),
    )


def _checked(perform: Callable[[bytes], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if (refusal := _refusal(request)) is not None:
            body = msgspec.json.encode({"message": refusal})
            return web.Response(status=403, body=body, content_type="application/json")
        try:
            status, result = 200, perform(await request.read())
        # A msgspec.ValidationError is a ValueError only from msgspec 0.21 on.
        except (ValueError, msgspec.MsgspecError) as error:
            status, result = 400, {"message": str(error)}
        return web.Response(status=status, body=msgspec.json.encode(result), content_type="application/json")

    return handle


def _refusal(request: web.Request) -> str | None:
    """Why a request may be a web page's; a name that leads here by the page's own doing is a foreign one."""
    if "Origin" in request.headers:
        return "requests of web pages, which have an Origin, are refused"
    host = request.headers.get("Host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    address = request.transport.get_extra_info("sockname")[0] if request.transport is not None else None
    if name not in {"localhost", address}:
        return f"the Host must be localhost or the address of the server, not {host!r}"
    return None


def _arguments(order: msgspec.Struct) -> dict[str, Any]:
    """The members of an order that were given."""
    members = ((name, getattr(order, name)) for name in order.__struct_fields__)
    return {name: value for name, value in members if value is not msgspec.UNSET}


class _Control:
    """Takes the body of each request, and returns what the response says."""

    def __init__(self, service: BatchService) -> None:
        self._service = service

    def add_jobs(self, body: bytes) -> list[str]:
        order = msgspec.json.decode(body, type=list[OneJob] | ManyJobs)
        if isinstance(order, ManyJobs):
            if order.count < 0:
                message = f"count cannot be negative: {order.count}"
                raise ValueError(message)
            random = Random(order.seed)
            jobs = [OneJob(life_cycle=order.ranges(random)) for _ in range(order.count)]
        else:
            jobs = order
        return [self._service.add_job(**_arguments(job)) for job in jobs]

    def ended(self, _: bytes) -> dict[str, float]:
        return self._service.ended()

    def statistics(self, _: bytes) -> dict[str, object]:
        return self._service.statistics.to_dict()

    def reset_statistics(self, _: bytes) -> None:
        self._service.reset_statistics()

    def throttle(self, body: bytes) -> None:
        throttle = msgspec.json.decode(body, type=Throttle)
        self._service.throttle(throttle.rate, throttle.burst, throttle.operation)

    def inject(self, body: bytes) -> None:
        injection = msgspec.json.decode(body, type=Injection)
        if injection.fault is Fault.CONNECTION_REFUSED and injection.end is msgspec.UNSET:
            message = f"{injection.fault} needs an end: nobody could reach the server to lift it"
            raise ValueError(message)
        self._service.inject(**_arguments(injection))

    def faults(self, _: bytes) -> list[dict[str, object]]:
        return [
            {"fault": rule.fault, "probability": rule.probability, "hits": rule.hits}
            for rule in self._service.faults
        ]

    def heal(self, _: bytes) -> None:
        self._service.heal()

    def delay(self, body: bytes) -> None:
        seconds = msgspec.json.decode(body, type=Delay).seconds
        if seconds < 0:
            message = f"seconds cannot be negative: {seconds}"
            raise ValueError(message)
        self._service.latency = seconds

    def block(self, body: bytes) -> None:
        block = msgspec.json.decode(body, type=Block)
        if block.reason is None:
            self._service.unblock_queue(block.job_queue)
        else:
            self._service.block_queue(block.job_queue, block.reason)

    def set_compute_environment(self, body: bytes) -> None:
        one = msgspec.json.decode(body, type=Resource)
        self._service.set_compute_environment(one.name, one.status, one.status_reason, after=one.after)

    def set_job_queue(self, body: bytes) -> None:
        one = msgspec.json.decode(body, type=Resource)
        self._service.set_job_queue(one.name, one.status, one.status_reason, after=one.after)
