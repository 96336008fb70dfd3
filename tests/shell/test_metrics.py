"""Metrics and spans of clients at work, by OpenTelemetry and by Prometheus, in virtual time."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from awaitbatch import BatchClient, DescribeError, FixedInterval
from awaitbatch.instrumentation import OpenTelemetryObserver, PrometheusObserver
from awaitbatch.instrumentation._measurements import INSTRUMENTS, Kind
from awaitbatch.testing import Fault, LifeCycle
from tests.support import LONG, make_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from awaitbatch.instrumentation import Observer
    from awaitbatch.testing import BatchServer

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""By the name of Prometheus, with the labels."""

LAST: Final = LifeCycle(submitted=0, pending=0, runnable=40, starting=10, running=100)


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock on the wall show the time of the loop, as the server's does."""
    clock = SimpleNamespace(time=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr("awaitbatch._coalescer.time", clock)


class Recorded:
    """Both observers, and what they have recorded.

    Args:
        queue: Whether they tell queues apart.
    """

    def __init__(self, *, queue: bool = False) -> None:
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self._registry = CollectorRegistry()
        self._traces = TracerProvider()
        self._traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = self._traces.get_tracer("tests")
        self.observers: list[Observer] = [
            OpenTelemetryObserver(
                meter_provider=MeterProvider([self._reader]), tracer_provider=self._traces, queue=queue
            ),
            PrometheusObserver(self._registry, queue=queue),
        ]

    def spans(self) -> list[ReadableSpan]:
        """Those of waits, in the order in which they ended."""
        return [span for span in self._spans.get_finished_spans() if span.name.startswith("awaitbatch.")]

    def series(self) -> Series:
        """All time series, in which both observers agree."""
        by_prometheus = dict(self._by_prometheus())
        by_opentelemetry = dict(self._by_opentelemetry())
        # Prometheus has metrics without labels from the start.
        shown = {key: value for key, value in by_prometheus.items() if value or key in by_opentelemetry}
        assert shown == pytest.approx(by_opentelemetry)
        return by_opentelemetry

    def value(self, name: str, **labels: str) -> float:
        """The sum of the time series that have these labels, and perhaps others."""
        wanted = set(labels.items())
        found = [value for (one, has), value in self.series().items() if one == name and wanted <= has]
        assert found, f"no {name} with {labels}"
        return math.fsum(found)

    def labels(self, name: str) -> set[str]:
        """The names of the labels of a metric."""
        return {label for (one, has) in self.series() if one == name for label, _ in has}

    def _by_prometheus(self) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
        for metric in self._registry.collect():
            for sample in metric.samples:
                if not sample.name.endswith(("_created", "_bucket")):
                    labels = frozenset((label, value) for label, value in sample.labels.items() if value)
                    yield (sample.name, labels), sample.value

    def _by_opentelemetry(self) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
        names = {one.name: one for one in INSTRUMENTS}
        data = self._reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        for metric in metrics:
            instrument = names[metric.name]
            assert (metric.unit, metric.description) == (instrument.unit, instrument.meaning)
            for point in metric.data.data_points:
                attributes: Mapping[str, Any] = point.attributes or {}
                labels = frozenset((label.replace(".", "_"), value) for label, value in attributes.items())
                if isinstance(point, HistogramDataPoint):
                    assert instrument.kind is Kind.HISTOGRAM
                    assert tuple(point.explicit_bounds) == instrument.buckets
                    yield (f"{instrument.prometheus_name}_count", labels), point.count
                    yield (f"{instrument.prometheus_name}_sum", labels), point.sum
                elif isinstance(point, NumberDataPoint):
                    yield (instrument.prometheus_name, labels), point.value


@pytest.fixture
def recorded() -> Recorded:
    """Both observers."""
    return Recorded()


async def test_a_herd_with_failures(server: BatchServer, recorded: Recorded) -> None:
    """Whatever happens shows in both, with the numbers that the server has seen."""
    killed = LifeCycle(running=60, outcome="FAILED", exit_code=137, reason="OutOfMemoryError: killed")
    job_ids = [server.add_job(life_cycle=killed if number % 5 == 0 else LAST) for number in range(150)]
    async with make_client(server, backoff=FixedInterval(10), observers=recorded.observers) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for job_id in job_ids]
        await asyncio.sleep(30)
        assert recorded.value("awaitbatch_waits", kind="poll") == 150
        assert recorded.value("awaitbatch_jobs", aws_batch_job_status="RUNNABLE") == 120
        assert recorded.value("awaitbatch_call_limit_per_second", rpc_method="DescribeJobs") > 1
        server.inject(Fault.TOO_MANY_REQUESTS, calls=3)
        await asyncio.gather(*waits)
        await client.describe_jobs(job_ids[:2])
        assert recorded.value("awaitbatch_waits") == recorded.value("awaitbatch_jobs") == 0
        assert recorded.value("awaitbatch_overdue_seconds") == 0
        calls = client.statistics()
    duration = "awaitbatch_call_duration_seconds_count"
    throttled = {"outcome": "throttled", "error_type": "TooManyRequestsException"}
    assert recorded.value(duration, **throttled, cloud_region="us-east-1") == 3
    assert recorded.value(duration) == calls.calls == server.statistics.calls["DescribeJobs"]
    assert recorded.value("awaitbatch_call_jobs_sum") == calls.ids
    ends = "awaitbatch_wait_ends_total"
    failed = {"aws_batch_job_status": "FAILED", "reason": "out_of_memory"}
    assert recorded.value(ends, kind="poll", outcome="matched", aws_batch_job_status="SUCCEEDED") == 120
    assert recorded.value(ends, kind="poll", outcome="matched", **failed) == 30
    assert recorded.value(ends, kind="describe", outcome="matched") == 2
    assert recorded.value("awaitbatch_detection_lag_seconds_count") == 150
    assert 0 < recorded.value("awaitbatch_detection_lag_seconds_sum") < 150 * 15
    for status, seconds in {"RUNNABLE": 40.0, "RUNNING": 100.0}.items():
        labels = {"aws_batch_job_status": status}
        count = recorded.value("awaitbatch_job_state_seconds_count", **labels)
        mean = recorded.value("awaitbatch_job_state_seconds_sum", **labels) / count
        assert mean == pytest.approx(seconds, rel=0.3)
    assert recorded.value("awaitbatch_call_limit_per_second") == 0
    # Nothing may make a time series for each job.
    assert not any(job_id in repr(recorded.series()) for job_id in job_ids)


async def test_labels(server: BatchServer, recorded: Recorded) -> None:
    """They are those of the table, and the queue is one only on request."""
    with_queue = Recorded(queue=True)
    observers = [*recorded.observers, *with_queue.observers]
    async with make_client(server, backoff=FixedInterval(10), observers=observers) as client:
        await client.poll_for_job_complete(server.add_job(life_cycle=LAST, job_queue="reads"))
    for one in INSTRUMENTS:
        suffix = "_count" if one.kind is Kind.HISTOGRAM else ""
        name = f"{one.prometheus_name}{suffix}"
        table = {attribute.replace(".", "_") for attribute in one.attributes}
        assert recorded.labels(name) <= table
        assert with_queue.labels(name) - recorded.labels(name) == (
            {"aws_batch_job_queue"} if one.has_queue else set()
        )
    assert with_queue.value("awaitbatch_wait_ends_total", aws_batch_job_queue="reads") == 1


async def test_late_checks_show_while_no_call_ends(server: BatchServer, recorded: Recorded) -> None:
    """Calls that wait for a connection end none; the gauge grows all the same, and falls when they go on."""
    transport = server.transport()
    transport.max_connections = 1
    hang = server.inject(Fault.HANG, seconds=1000)
    async with make_client(
        transport, backoff=FixedInterval(1), call_timeout=300, observers=recorded.observers
    ) as client:
        job_id = server.add_job(life_cycle=LONG)
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for _ in range(2)]
        await asyncio.sleep(1)
        server.heal(hang)
        waits.append(asyncio.create_task(client.poll_for_job_complete(server.add_job(life_cycle=LONG))))
        assert recorded.value("awaitbatch_overdue_seconds") == 0
        await asyncio.sleep(100)
        assert recorded.value("awaitbatch_overdue_seconds") == pytest.approx(97, abs=5)
        await asyncio.sleep(250)
        assert recorded.value("awaitbatch_overdue_seconds") == 0
        for wait in waits:
            wait.cancel()


async def test_several_clients_have_one_observer(server: BatchServer, recorded: Recorded) -> None:
    """What they have adds up, and what one leaves goes with it."""
    transport = server.transport()
    async with make_client(server, backoff=FixedInterval(1), observers=recorded.observers) as one:
        wait = asyncio.create_task(one.poll_for_job_complete(server.add_job(life_cycle=LONG)))
        async with (
            BatchClient.shared(transport=transport, backoff=FixedInterval(1), linger=0) as other,
            BatchClient.shared(transport=transport, linger=0, observers=recorded.observers),
        ):
            others = asyncio.create_task(other.poll_for_job_complete(server.add_job(life_cycle=LONG)))
            await asyncio.sleep(10)
            assert recorded.value("awaitbatch_jobs", aws_batch_job_status="RUNNING") == 2
        await asyncio.sleep(10)
        assert recorded.value("awaitbatch_jobs", aws_batch_job_status="RUNNING") == 1
        wait.cancel()
    await asyncio.gather(others, return_exceptions=True)
    assert recorded.value("awaitbatch_jobs") == recorded.value("awaitbatch_waits") == 0


async def test_a_span_for_each_wait(server: BatchServer, recorded: Recorded) -> None:
    """It lasts as long as the wait, within the span of whoever waits, and says what came of it."""
    job_id = server.add_job(life_cycle=LifeCycle(running=60, outcome="FAILED", exit_code=1))
    async with make_client(server, backoff=FixedInterval(10), observers=recorded.observers) as client:
        with recorded.tracer.start_as_current_span("request") as request:
            await client.wait_for_job(job_id)
        await client.describe(job_id)
        server.inject(Fault.ACCESS_DENIED)
        with pytest.raises(DescribeError):
            await client.describe("other")
    first, second, describe, failed = recorded.spans()
    assert [span.name for span in (first, second, describe)] == [
        *["awaitbatch.poll"] * 2,
        "awaitbatch.describe",
    ]
    for span in (first, second):
        assert span.parent is not None
        assert span.parent.span_id == request.get_span_context().span_id
    assert describe.parent is None
    seconds = [((span.end_time or 0) - (span.start_time or 0)) / 1e9 for span in (first, second)]
    assert seconds == pytest.approx([13, 55], abs=13)
    assert dict(second.attributes or {}) == {
        "aws.batch.job.id": job_id,
        "aws.batch.job.status": "FAILED",
        "awaitbatch.wait.outcome": "matched",
        "awaitbatch.wait.checks": pytest.approx(6, abs=2),
        "awaitbatch.job.failure": "exit_code",
    }
    assert second.status.status_code is StatusCode.UNSET
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "failed")


async def test_a_span_of_a_wait_that_another_cancels(server: BatchServer, recorded: Recorded) -> None:
    """It belongs to whoever waited, not to whoever cancels."""
    async with make_client(server, backoff=FixedInterval(10), observers=recorded.observers) as client:
        stack = AsyncExitStack()
        changes = await stack.enter_async_context(client.watch([server.add_job(life_cycle=LONG)]))
        await anext(changes)
        with recorded.tracer.start_as_current_span("unrelated"):
            await stack.aclose()
    (span,) = recorded.spans()
    assert span.parent is None
    assert (span.attributes or {})["awaitbatch.wait.outcome"] == "cancelled"


async def test_spans_can_be_left_out(server: BatchServer) -> None:
    """A hundred thousand of them may be too many."""
    exporter = InMemorySpanExporter()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    observer = OpenTelemetryObserver(tracer_provider=traces, spans=False)
    async with make_client(server, observers=[observer]) as client:
        await client.describe(server.add_job())
    assert exporter.get_finished_spans() == ()


async def test_without_an_sdk_nothing_is_kept(server: BatchServer) -> None:
    """The API alone records nothing, and the observer keeps nothing of waits that have ended."""
    observer = OpenTelemetryObserver()
    async with make_client(server, backoff=FixedInterval(1), observers=[observer]) as client:
        await client.poll_for_job_complete(server.add_job())
    assert not observer._parents
    assert not observer._measurements._levels


def test_one_registry_for_one_observer() -> None:
    """A second one is told what to do instead."""
    registry = CollectorRegistry()
    PrometheusObserver(registry)
    with pytest.raises(ValueError, match="give one PrometheusObserver to all clients"):
        PrometheusObserver(registry)
