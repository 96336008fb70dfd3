"""What each event adds to which metric."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from awaitbatch import FailureCause
from awaitbatch.instrumentation import (
    CallEnded,
    ChecksOverdue,
    ClientClosed,
    ClientOpened,
    Event,
    JobChanged,
    JobMissing,
    ObserverRemoved,
    WaitBegan,
    WaitEnded,
)
from awaitbatch.instrumentation._measurements import (
    INSTRUMENTS,
    JOB_STATE_DURATION,
    Instrument,
    Kind,
    Measurements,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Key = tuple[str, tuple[str | None, ...]]

QUEUE: Final = "arn:aws:batch:us-east-1:123456789012:job-queue/reads"


def recorded(
    events: Iterable[Event], measurements: Measurements | None = None
) -> dict[Key, float | list[float]]:
    """What metrics show after these events: sums, last values of gauges, and all values of histograms."""
    shown: dict[Key, Any] = {}
    measurements = Measurements(queue=False) if measurements is None else measurements
    for event in events:
        for instrument, value, attributes in measurements.of(event):
            assert len(attributes) in {len(instrument.attributes), len(instrument.attributes) + 1}
            key = (instrument.name.removeprefix("awaitbatch."), attributes)
            match instrument.kind:
                case Kind.HISTOGRAM:
                    shown.setdefault(key, []).append(value)
                case Kind.GAUGE:
                    shown[key] = value
                case _:
                    shown[key] = shown.get(key, 0) + value
    return shown


def describe_jobs(**members: Any) -> CallEnded:
    """A call that was answered."""
    given = {"outcome": "answered", "ids": 3, "seconds": 0.2, "region_name": "r", "client": 1, **members}
    return CallEnded(operation="DescribeJobs", **given)


def wait_ended(item: dict[str, Any] | None = None, **members: Any) -> WaitEnded:
    """A poll of one job that has ended."""
    given = {
        "job_id": "j",
        "kind": "poll",
        "outcome": "matched",
        "seconds": 100.0,
        "checks": 2,
        "status": "SUCCEEDED",
        "lag": None,
        "pending": 1,
        "client": 1,
    }
    description = None if item is None else msgspec.json.encode(item)
    return WaitEnded.of(description, **{**given, **members})


def job_changed(previous: str | None, status: str, **members: Any) -> JobChanged:
    """A change of a job."""
    times = {"created_at": 0, "started_at": None, "stopped_at": None, "seen_at": 0, "seconds": 7.0}
    return JobChanged(job_id="j", previous=previous, status=status, attempt=1, **{**times, **members})


def test_a_call_that_was_answered() -> None:
    """It has its duration, its ids, the limit of its operation, and what waits."""
    event = describe_jobs(
        rate=5.0,
        pending=7,
        describes=2,
        overdue=1.5,
        pending_by_status={"RUNNING": 4, "NOT_SEEN": 1, "what\never": 1},
    )
    assert recorded([event]) == {
        ("call.duration", ("answered", None, "r", "DescribeJobs")): [0.2],
        ("call.jobs", ()): [3],
        ("call.limit", ("DescribeJobs",)): 5.0,
        ("waits", ("poll",)): 5,
        ("waits", ("describe",)): 2,
        ("jobs", ("RUNNING",)): 4,
        ("jobs", ("NOT_SEEN",)): 1,
        ("jobs", ("_OTHER",)): 1,
        ("overdue", ()): 1.5,
    }


def test_a_call_of_another_operation() -> None:
    """It says nothing of what DescribeJobs calls carry, or of what waits for them."""
    event = CallEnded(
        operation="SubmitJob",
        ids=0,
        seconds=0.3,
        outcome="throttled",
        error_code="TooMany",
        rate=4.0,
        pending=9,
    )
    assert recorded([event]) == {
        ("call.duration", ("throttled", "TooMany", None, "SubmitJob")): [0.3],
        ("call.limit", ("SubmitJob",)): 4.0,
    }


def test_levels_follow_the_last_call() -> None:
    """What is gone is taken away."""
    events = [
        describe_jobs(pending=5, pending_by_status={"RUNNABLE": 5}, overdue=9.0),
        describe_jobs(pending=4, pending_by_status={"RUNNABLE": 1, "RUNNING": 3}),
    ]
    shown = recorded(events)
    assert shown["jobs", ("RUNNABLE",)] == 1
    assert shown["jobs", ("RUNNING",)] == 3
    assert shown["waits", ("poll",)] == 4
    assert shown["overdue", ()] == 0


def test_waits_come_and_go_between_calls() -> None:
    """A wait counts from its beginning to its end; of one whose beginning nobody heard, the end takes nothing away."""
    measurements = Measurements(queue=False)
    waits = [WaitBegan(job_id="j", kind=kind, wait=1, client=1) for kind in ("poll", "describe", "poll")]
    shown = recorded(waits, measurements)
    assert (shown["waits", ("poll",)], shown["waits", ("describe",)]) == (2, 1)
    shown = recorded([wait_ended(kind="describe"), wait_ended(kind="describe"), wait_ended()], measurements)
    assert (shown["waits", ("poll",)], shown["waits", ("describe",)]) == (-1, -1)


def test_the_end_of_the_last_wait_leaves_nothing() -> None:
    """No call follows that would say so."""
    events = [describe_jobs(pending=2, overdue=70.0, pending_by_status={"RUNNING": 2}), wait_ended(pending=0)]
    shown = recorded(events)
    assert shown["waits", ("poll",)] == shown["jobs", ("RUNNING",)] == shown["overdue", ()] == 0


@pytest.mark.parametrize("last", [ClientClosed(region_name=None, error=None, client=1), None])
def test_a_client_that_is_gone_leaves_nothing(last: Event | None) -> None:
    """Whether it has closed, or goes on without this observer; other clients' levels stay."""
    events = [
        describe_jobs(pending=2, overdue=70.0, rate=5.0, pending_by_status={"RUNNING": 2}),
        describe_jobs(client=2, pending=1, overdue=30.0, rate=4.0, pending_by_status={"RUNNING": 1}),
    ]
    shown = recorded(events)
    assert (shown["waits", ("poll",)], shown["jobs", ("RUNNING",)]) == (3, 3)
    assert (shown["overdue", ()], shown["call.limit", ("DescribeJobs",)]) == (70.0, 9.0)
    shown = recorded([*events, last or ObserverRemoved(region_name=None, client=1)])
    assert (shown["waits", ("poll",)], shown["jobs", ("RUNNING",)]) == (1, 1)
    assert (shown["overdue", ()], shown["call.limit", ("DescribeJobs",)]) == (30.0, 4.0)


def test_overdue_is_there_from_the_start() -> None:
    """An alert can tell 0 from nothing, and hears of late checks while no call ends."""
    measurements = Measurements(queue=False)
    assert recorded([ClientOpened(region_name="r", client=1)], measurements) == {("overdue", ()): 0}
    assert recorded([ChecksOverdue(seconds=65, pending=1, client=1)], measurements) == {("overdue", ()): 65}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"lag": 3.0}, [3.0]),
        # The clocks differ.
        ({"lag": -3.0}, [0.0]),
        # The job had ended before somebody waited for it.
        ({"lag": 100.5}, None),
        ({"lag": 3.0, "kind": "describe"}, None),
        ({"lag": None}, None),
    ],
)
def test_detection_lag(members: dict[str, Any], expected: list[float] | None) -> None:
    """It is that of polls which waited when the job ended."""
    assert recorded([wait_ended(**members)]).get(("detection.lag", ())) == expected


def test_why_waits_ended() -> None:
    """The outcome is the wait's, and the reason is that of the job's failure."""
    killed = {"status": "FAILED", "container": {"exitCode": 137, "reason": "OutOfMemoryError: killed"}}
    events = [
        wait_ended({"jobQueue": QUEUE}),
        wait_ended(killed, status="FAILED"),
        wait_ended(status="FAILED"),
        wait_ended(status=None, outcome="absent", kind="describe"),
        wait_ended(status="HIBERNATING", outcome="cancelled"),
    ]
    assert {key: value for key, value in recorded(events).items() if key[0] == "wait.ends"} == {
        ("wait.ends", ("matched", None, "SUCCEEDED", "poll")): 1,
        ("wait.ends", ("matched", "out_of_memory", "FAILED", "poll")): 1,
        ("wait.ends", ("matched", None, "FAILED", "poll")): 1,
        ("wait.ends", ("absent", None, None, "describe")): 1,
        ("wait.ends", ("cancelled", None, "_OTHER", "poll")): 1,
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (job_changed("RUNNABLE", "STARTING"), {"RUNNABLE": [7.0]}),
        (job_changed(None, "RUNNING"), {}),
        (job_changed("RUNNABLE", "RUNNABLE", reason="x"), {}),
        (job_changed("RUNNING", "RUNNABLE", started_at=1000), {"RUNNING": [7.0]}),
        (job_changed("RUNNING", "SUCCEEDED", started_at=1000, stopped_at=6500), {"RUNNING": [5.5]}),
        (
            job_changed("RUNNABLE", "FAILED", started_at=1000, stopped_at=6500),
            {"RUNNING": [5.5], "RUNNABLE": [7.0]},
        ),
        (job_changed("RUNNABLE", "FAILED", stopped_at=6500), {"RUNNABLE": [7.0]}),
        (job_changed("RUNNING", "SUCCEEDED", started_at=9000, stopped_at=6500), {"RUNNING": [0.0]}),
        (job_changed("hot\n", "RUNNING"), {"_OTHER": [7.0]}),
    ],
)
def test_how_long_jobs_were_in_states(event: Event, expected: dict[str, list[float]]) -> None:
    """The state that was left counts, for as long as it was seen; AWS's own times count for RUNNING."""
    assert recorded([event]) == {("job.state.duration", (status,)): took for status, took in expected.items()}


def test_queues_on_request() -> None:
    """Metrics about single jobs have the name of the queue as an attribute more."""
    item = {"jobQueue": QUEUE}
    events = [
        wait_ended(item, lag=1.0),
        wait_ended({"jobQueue": "reads"}),
        JobChanged.of(
            msgspec.json.encode(item), **msgspec.structs.asdict(job_changed("RUNNABLE", "RUNNING"))
        ),
        describe_jobs(pending=1),
    ]
    shown = recorded(events, Measurements(queue=True))
    assert shown["wait.ends", ("matched", None, "SUCCEEDED", "poll", "reads")] == 1
    assert shown["wait.ends", ("matched", None, "SUCCEEDED", "poll", None)] == 1
    assert shown["detection.lag", ("reads",)] == [1.0]
    assert shown["job.state.duration", ("RUNNABLE", "reads")] == [7.0]
    assert shown["waits", ("poll",)] == 1


def test_error_types_are_few() -> None:
    """Whoever answers in AWS's place cannot make a time series of each answer."""
    codes = ["AccessDenied", "a text of\nlines", "", "x" * 65, *(f"Code{number}" for number in range(200))]
    events = [describe_jobs(outcome="permanent", error_code=code) for code in codes]
    types = {attributes[1] for name, attributes in recorded(events) if name == "call.duration"}
    assert len(types) == 101
    assert {"AccessDenied", "Code0", "_OTHER"} < types


def test_what_is_no_measurement() -> None:
    """Other events add nothing."""
    assert recorded([JobMissing(job_id="j")]) == {}


def test_the_table_is_sound() -> None:
    """Names and attributes are as OpenTelemetry and Prometheus want them, and the bounds of buckets ascend."""
    names = [*itertools.chain(*((one.name, one.prometheus_name) for one in INSTRUMENTS))]
    assert len(names) == len(set(names))
    for one in INSTRUMENTS:
        assert bool(one.buckets) == (one.kind is Kind.HISTOGRAM)
        assert list(one.buckets) == sorted(set(one.buckets))
        assert one.prometheus_name.endswith("_total") == (one.kind is Kind.COUNTER)
        assert one.meaning[0].isupper()
        assert not one.meaning.endswith(".")
        assert _named_by_prometheus(one) == one.prometheus_name


def _named_by_prometheus(instrument: Instrument) -> str:
    """What OpenTelemetry's rules make of the name; our own is shorter in one case, as it was drawn."""
    units = {"s": "_seconds", "{call}/s": "_per_second"}
    name = instrument.name.replace(".", "_") + units.get(instrument.unit, "")
    if instrument is JOB_STATE_DURATION:
        name = name.replace("_duration", "")
    return name + "_total" * (instrument.kind is Kind.COUNTER)


def test_every_cause_is_a_value() -> None:
    """Causes of failures are short words, fit for a label."""
    assert all(cause.value.isidentifier() for cause in FailureCause)
