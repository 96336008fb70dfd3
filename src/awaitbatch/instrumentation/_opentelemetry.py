"""Metrics and spans by OpenTelemetry's API; what becomes of them is for the application's SDK to decide."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from opentelemetry import context, metrics, trace

import awaitbatch
from awaitbatch.instrumentation._events import ClientClosed, ObserverRemoved, WaitBegan, WaitEnded
from awaitbatch.instrumentation._measurements import (
    INSTRUMENTS,
    STATUS,
    Instrument,
    Kind,
    Measurement,
    Measurements,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from awaitbatch.instrumentation._events import Event

_ERRORS: Final = frozenset({"absent", "unreachable", "exhausted", "failed", "broken"})
"""How a wait ends that raises."""


class OpenTelemetryObserver:
    """Gives OpenTelemetry metrics of clients, and a span for each wait.

    Give one observer to all clients of a process, as in ``BatchClient(observers=[observer])``. It needs the extra
    ``otel``, which is OpenTelemetry's API; without an SDK in the application nothing is recorded. The metrics are
    listed in docs/reference/metrics.md.

    The span of a describe or a poll, ``awaitbatch.describe`` or ``awaitbatch.poll``, is a child of the span in which
    somebody began to wait. Its attributes are ``aws.batch.job.id``, ``aws.batch.job.status`` (the status last seen),
    ``awaitbatch.wait.outcome`` (that of `WaitEnded`), ``awaitbatch.wait.checks`` (checks that did not see the job
    as awaited) and ``awaitbatch.job.failure`` (the cause, if the job was seen FAILED). The status is an error if the
    wait ended in one.

    Args:
        meter_provider: Where metrics go; the global one unless given.
        tracer_provider: Where spans go, likewise.
        queue: Whether metrics about single jobs tell queues apart, by the attribute ``aws.batch.job.queue``.
        spans: Whether there are spans; a hundred thousand waits make as many.
    """

    def __init__(
        self,
        *,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        queue: bool = False,
        spans: bool = True,
    ) -> None:
        version = awaitbatch.__version__
        meter = metrics.get_meter("awaitbatch", version, meter_provider)
        self._tracer = trace.get_tracer("awaitbatch", version, tracer_provider) if spans else None
        self._measurements = Measurements(queue=queue)
        self._records = {instrument: _recorder(meter, instrument) for instrument in INSTRUMENTS}
        self._names = {instrument: instrument.names_of_attributes(queue=queue) for instrument in INSTRUMENTS}
        # By client and wait.
        self._parents: dict[int, dict[int, context.Context]] = {}

    def __call__(self, event: Event, /) -> None:
        """Record what the event is worth."""
        for measurement in self._measurements.of(event):
            self._record(measurement)
        if self._tracer is not None:
            match event:
                case WaitBegan():
                    if trace.get_current_span().get_span_context().is_valid:
                        self._parents.setdefault(event.client, {})[event.wait] = context.get_current()
                case WaitEnded():
                    self._trace(self._tracer, event)
                case ClientClosed() | ObserverRemoved():
                    self._parents.pop(event.client, None)

    def _record(self, measurement: Measurement) -> None:
        instrument, value, values = measurement
        named = zip(self._names[instrument], values, strict=True)
        self._records[instrument](value, {name: value for name, value in named if value is not None})

    def _trace(self, tracer: trace.Tracer, event: WaitEnded) -> None:
        parent = self._parents.get(event.client, {}).pop(event.wait, None)
        end = time.time_ns()
        cause = event.cause
        given = {
            "aws.batch.job.id": event.job_id,
            STATUS: event.status,
            "awaitbatch.wait.outcome": event.outcome,
            "awaitbatch.wait.checks": event.checks,
            "awaitbatch.job.failure": None if cause is None else cause.value,
        }
        span = tracer.start_span(
            f"awaitbatch.{event.kind}",
            # Whoever cancels a wait may be in a span of another's.
            context=context.Context() if parent is None else parent,
            attributes={name: value for name, value in given.items() if value is not None},
            start_time=end - int(event.seconds * 1e9),
        )
        if event.outcome in _ERRORS:
            span.set_status(trace.StatusCode.ERROR, event.outcome)
        span.end(end)


def _recorder(meter: metrics.Meter, instrument: Instrument) -> Callable[[float, Mapping[str, str]], object]:
    name, unit, meaning = instrument.name, instrument.unit, instrument.meaning
    match instrument.kind:
        case Kind.COUNTER:
            return meter.create_counter(name, unit, meaning).add
        case Kind.UP_DOWN_COUNTER:
            return meter.create_up_down_counter(name, unit, meaning).add
        case Kind.GAUGE:
            return meter.create_gauge(name, unit, meaning).set
        case Kind.HISTOGRAM:
            bounds = instrument.buckets
            return meter.create_histogram(
                name, unit, meaning, explicit_bucket_boundaries_advisory=bounds
            ).record
