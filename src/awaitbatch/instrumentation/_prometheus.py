"""Metrics for Prometheus, by prometheus_client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from awaitbatch.instrumentation._measurements import (
    INSTRUMENTS,
    OVERDUE,
    Instrument,
    Kind,
    Measurement,
    Measurements,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from awaitbatch.instrumentation._events import Event

_TOTAL: Final = "_total"

M = TypeVar("M", Counter, Gauge, Histogram)


class PrometheusObserver:
    """Gives prometheus_client metrics of clients.

    Give one observer to all clients of a process, as in ``BatchClient(observers=[observer])``. It needs the extra
    ``prometheus``. The metrics are listed in docs/reference/metrics.md; a label that does not apply is empty.

    It works in prometheus_client's multiprocess mode, too, where counters and histograms are added up, and gauges of
    the processes that live: ``prometheus_client.multiprocess.mark_process_dead`` has to be told of those that end.

    Args:
        registry: Where the metrics are registered.
        queue: Whether metrics about single jobs tell queues apart, by the label ``aws_batch_job_queue``.

    Raises:
        ValueError: The registry has the metrics of another observer already.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, *, queue: bool = False) -> None:
        self._measurements = Measurements(queue=queue)
        try:
            self._records = {
                instrument: _recorder(registry, instrument, queue=queue) for instrument in INSTRUMENTS
            }
        except ValueError as error:
            message = (
                f"the registry has such metrics already ({error}): give one PrometheusObserver to all clients, "
                "or each its own registry"
            )
            raise ValueError(message) from None

    def __call__(self, event: Event, /) -> None:
        """Record what the event is worth."""
        for measurement in self._measurements.of(event):
            self._records[measurement.instrument](measurement)


def _recorder(
    registry: CollectorRegistry, instrument: Instrument, *, queue: bool
) -> Callable[[Measurement], None]:
    name, meaning = instrument.prometheus_name, instrument.meaning
    names = instrument.names_of_attributes(queue=queue)
    labels = [label.replace(".", "_") for label in names]

    # Which queues there are, nobody knows.
    known = () if queue and instrument.has_queue else instrument.values
    match instrument.kind:
        case Kind.COUNTER:
            counter = Counter(name.removesuffix(_TOTAL), meaning, labels, registry=registry)
            return lambda measured: _labelled(counter, measured.attributes).inc(measured.value)
        case Kind.HISTOGRAM:
            histogram = Histogram(name, meaning, labels, registry=registry, buckets=instrument.buckets)
            _begin_at_zero(histogram, known)
            return lambda measured: _labelled(histogram, measured.attributes).observe(measured.value)
        case Kind.UP_DOWN_COUNTER:
            level = Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livesum")
            _begin_at_zero(level, known)
            return lambda measured: _labelled(level, measured.attributes).inc(measured.value)
        case Kind.GAUGE:
            mode: Final = "livemax" if instrument is OVERDUE else "livesum"
            gauge = Gauge(name, meaning, labels, registry=registry, multiprocess_mode=mode)
            return lambda measured: _labelled(gauge, measured.attributes).set(measured.value)


def _begin_at_zero(metric: Gauge | Histogram, values: Iterable[str]) -> None:
    """Have time series at 0 that will come: of one that begins with its first value, Prometheus sees no increase."""
    for value in values:
        metric.labels(value)


def _labelled(metric: M, values: Sequence[str | None]) -> M:
    """The time series of a metric that has these values of its labels."""
    return metric.labels(*[value or "" for value in values]) if values else metric
