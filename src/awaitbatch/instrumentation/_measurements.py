"""What events mean as metrics: the table of instruments, and what each event adds to them. Pure, so no extra is needed.

Attributes never hold a job's id, a job's name or a free text, or there would be a time series for each.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from awaitbatch._jobs import TERMINAL, JobStatus
from awaitbatch.instrumentation._events import (
    CallEnded,
    ChecksOverdue,
    ClientClosed,
    ClientOpened,
    JobChanged,
    ObserverRemoved,
    WaitBegan,
    WaitEnded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from awaitbatch.instrumentation._events import Event


class Kind(Enum):
    """What an instrument does with a value."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    UP_DOWN_COUNTER = "up-down counter"
    """The value is the difference to what was before."""
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """A metric.

    Attributes:
        name: Its name in OpenTelemetry.
        prometheus_name: Its name in Prometheus.
        unit: Its unit, as UCUM and OpenTelemetry write it.
        kind: What it does with values.
        meaning: What it measures, in one line.
        attributes: The names of its attributes, in the order of the values of a `Measurement`.
        buckets: The upper bounds of a histogram's buckets.
        values: The values of its only attribute, if they are known.
        has_queue: Whether it has the job's queue as an attribute more, for who asks for that.
    """

    name: str
    prometheus_name: str
    unit: str
    kind: Kind
    meaning: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    has_queue: bool = False

    def names_of_attributes(self, *, queue: bool) -> tuple[str, ...]:
        """The names of its attributes, with or without that of the job's queue."""
        return (*self.attributes, QUEUE) if queue and self.has_queue else self.attributes


STATUS: Final = "aws.batch.job.status"
QUEUE: Final = "aws.batch.job.queue"
OPERATION: Final = "rpc.method"
_PASSING: Final = tuple(status.value for status in JobStatus if status not in TERMINAL)

CALL_DURATION: Final = Instrument(
    "awaitbatch.call.duration",
    "awaitbatch_call_duration_seconds",
    "s",
    Kind.HISTOGRAM,
    "How long calls of the AWS Batch API took, from when they had a connection",
    ("outcome", "error.type", "cloud.region", OPERATION),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
CALL_JOBS: Final = Instrument(
    "awaitbatch.call.jobs",
    "awaitbatch_call_jobs",
    "{job}",
    Kind.HISTOGRAM,
    "How many job ids a DescribeJobs call carried",
    buckets=(1, 2, 5, 10, 25, 50, 75, 90, 100),
)
CALL_LIMIT: Final = Instrument(
    "awaitbatch.call.limit",
    "awaitbatch_call_limit_per_second",
    "{call}/s",
    Kind.GAUGE,
    "Calls a second that may be sent at present; of several clients, the sum",
    (OPERATION,),
)
WAITS: Final = Instrument(
    "awaitbatch.waits",
    "awaitbatch_waits",
    "{wait}",
    Kind.UP_DOWN_COUNTER,
    "Describes and polls that wait",
    ("kind",),
    values=("poll", "describe"),
)
JOBS: Final = Instrument(
    "awaitbatch.jobs",
    "awaitbatch_jobs",
    "{job}",
    Kind.UP_DOWN_COUNTER,
    "Jobs that somebody waits for, by the state in which polls have seen them last",
    (STATUS,),
    values=_PASSING,
)
OVERDUE: Final = Instrument(
    "awaitbatch.overdue",
    "awaitbatch_overdue_seconds",
    "s",
    Kind.GAUGE,
    "Time since the oldest check that waits for its call should have been made; 0 if none is late",
)
DETECTION_LAG: Final = Instrument(
    "awaitbatch.detection.lag",
    "awaitbatch_detection_lag_seconds",
    "s",
    Kind.HISTOGRAM,
    "From the end of a job by AWS's clock to the answer, by this machine's, that woke who waited for it",
    buckets=(0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600),
    has_queue=True,
)
JOB_STATE_DURATION: Final = Instrument(
    "awaitbatch.job.state.duration",
    "awaitbatch_job_state_seconds",
    "s",
    Kind.HISTOGRAM,
    "How long a job was in a state that it has left, as polls have seen it; RUNNING by AWS's clock",
    (STATUS,),
    buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 259200, 604800),
    values=_PASSING,
    has_queue=True,
)
WAIT_ENDS: Final = Instrument(
    "awaitbatch.wait.ends",
    "awaitbatch_wait_ends_total",
    "{wait}",
    Kind.COUNTER,
    "Describes and polls that have ended",
    ("outcome", "reason", STATUS, "kind"),
    has_queue=True,
)

INSTRUMENTS: Final = (
    CALL_DURATION,
    CALL_JOBS,
    CALL_LIMIT,
    WAITS,
    JOBS,
    OVERDUE,
    DETECTION_LAG,
    JOB_STATE_DURATION,
    WAIT_ENDS,
)

_OTHER: Final = "_OTHER"
"""What OpenTelemetry calls a type of error, or another value, that is none of the known ones."""
_MOST_ERROR_TYPES: Final = 100
_ERROR_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}", re.ASCII)
_STATUSES: Final = frozenset({*JobStatus, "NOT_SEEN"})


class Measurement(NamedTuple):
    """A value for an instrument.

    Attributes:
        instrument: The instrument.
        value: The value.
        attributes: Those that the instrument names, in their order; None stands for one that is left out.
    """

    instrument: Instrument
    value: float
    attributes: tuple[str | None, ...] = ()


class Measurements:
    """Turns the events of any number of clients into measurements, one after the other.

    Args:
        queue: Whether to tell the queues of jobs apart.
    """

    def __init__(self, *, queue: bool) -> None:
        self._queue = queue
        # What the up-down counters and gauges say of each client.
        self._levels: dict[int, dict[Instrument, Mapping[str, float]]] = {}
        self._error_types: set[str] = set()

    def of(self, event: Event) -> Iterator[Measurement]:
        """What an event adds; go through it at once, and to its end."""
        match event:
            case CallEnded():
                yield from self._of_call(event)
            case WaitBegan():
                waits = self._level(event.client, WAITS)
                yield from self._set(event.client, WAITS, {**waits, event.kind: waits.get(event.kind, 0) + 1})
            case WaitEnded():
                yield from self._of_end(event)
            case JobChanged():
                yield from self._of_change(event)
            case ChecksOverdue():
                yield from self._set(event.client, OVERDUE, {"": event.seconds})
            case ClientOpened():
                yield from self._set(event.client, OVERDUE, {"": 0.0})
            case ClientClosed() | ObserverRemoved():
                for instrument in self._levels.get(event.client, {}):
                    yield from self._set(event.client, instrument, {})
                self._levels.pop(event.client, None)

    def _of_call(self, event: CallEnded) -> Iterator[Measurement]:
        error_type = self._error_type(event.error_code)
        attributes = (event.outcome, error_type, event.region_name, event.operation)
        yield Measurement(CALL_DURATION, max(0.0, event.seconds), attributes)
        if event.rate is not None:
            limits = self._level(event.client, CALL_LIMIT)
            yield from self._set(event.client, CALL_LIMIT, {**limits, event.operation: event.rate})
        if event.operation == "DescribeJobs":
            yield Measurement(CALL_JOBS, event.ids)
            jobs: Counter[str] = Counter()
            for status, count in event.pending_by_status.items():
                jobs[_known(status)] += count
            waits = {"poll": event.pending - event.describes, "describe": event.describes}
            yield from self._set_load(event.client, waits, jobs, event.overdue)

    def _of_end(self, event: WaitEnded) -> Iterator[Measurement]:
        queue = self._queue_of(event)
        cause = None if event.cause is None else event.cause.value
        status = None if event.status is None else _known(event.status)
        yield Measurement(WAIT_ENDS, 1, (event.outcome, cause, status, event.kind, *queue))
        # If the job had ended before somebody waited, nobody was late. Clocks may differ.
        if event.kind == "poll" and event.lag is not None and event.lag <= event.seconds:
            yield Measurement(DETECTION_LAG, max(0.0, event.lag), queue)
        if not event.pending:
            # No call will say so.
            yield from self._set_load(event.client, {}, {}, 0.0)
        else:
            waits = self._level(event.client, WAITS)
            left = max(0, waits.get(event.kind, 0) - 1)
            yield from self._set(event.client, WAITS, {**waits, event.kind: left})

    def _of_change(self, event: JobChanged) -> Iterator[Measurement]:
        if event.previous in {None, event.status}:
            return
        queue = self._queue_of(event)
        previous = _known(event.previous or "")
        if event.status in TERMINAL and event.started_at is not None and event.stopped_at is not None:
            # AWS gives no other state's times.
            seconds = max(0.0, (event.stopped_at - event.started_at) / 1000)
            yield Measurement(JOB_STATE_DURATION, seconds, (JobStatus.RUNNING.value, *queue))
            if previous == JobStatus.RUNNING:
                return
        if event.seconds is not None:
            yield Measurement(JOB_STATE_DURATION, event.seconds, (previous, *queue))

    def _set_load(
        self, client: int, waits: Mapping[str, float], jobs: Mapping[str, float], overdue: float
    ) -> Iterator[Measurement]:
        yield from self._set(client, WAITS, waits)
        yield from self._set(client, JOBS, jobs)
        yield from self._set(client, OVERDUE, {"": overdue})

    def _level(self, client: int, instrument: Instrument) -> Mapping[str, float]:
        return self._levels.get(client, {}).get(instrument, {})

    def _set(self, client: int, instrument: Instrument, now: Mapping[str, float]) -> Iterator[Measurement]:
        """Take this for what an instrument says of a client from now on."""
        before = self._level(client, instrument)
        self._levels.setdefault(client, {})[instrument] = now
        for value in {**before, **now}:
            attributes = (value,) if instrument.attributes else ()
            if instrument.kind is Kind.GAUGE:
                # A client of another thread may come and go meanwhile.
                each = [levels.get(instrument, {}).get(value, 0.0) for levels in list(self._levels.values())]
                total = max(each) if instrument is OVERDUE else sum(each)
                yield Measurement(instrument, total, attributes)
            elif difference := now.get(value, 0) - before.get(value, 0):
                yield Measurement(instrument, difference, attributes)

    def _queue_of(self, event: JobChanged | WaitEnded) -> tuple[str | None, ...]:
        return (event.queue,) if self._queue else ()

    def _error_type(self, code: str | None) -> str | None:
        """The code of an error, as far as it is one: who is not AWS may answer anything."""
        if code is None or code in self._error_types:
            return code
        if len(self._error_types) >= _MOST_ERROR_TYPES or not _ERROR_TYPE.fullmatch(code):
            return _OTHER
        self._error_types.add(code)
        return code


def _known(status: str) -> str:
    return status if status in _STATUSES else _OTHER
