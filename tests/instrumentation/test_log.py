"""The log as an observer: what is written, what is left out, and what records carry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch.instrumentation import (
    CallEnded,
    JobChanged,
    SubmissionUnclaimed,
    TerminationUnclaimed,
    Throttled,
)
from awaitbatch.instrumentation._log import LogObserver, shared_log, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("awaitbatch")


class OwnError(BaseException):
    """Not even an Exception."""


def change(
    number: int = 0, previous: str | None = None, status: str = "RUNNING", reason: str | None = None
) -> JobChanged:
    """A job that was seen running, or in another state."""
    return JobChanged(
        job_id=f"job-{number}",
        previous=previous,
        status=status,
        attempt=2,
        created_at=None,
        started_at=None,
        stopped_at=None,
        seen_at=0,
        reason=reason,
    )


def call(kind: FailureKind | None = None, operation: str = "DescribeJobs") -> CallEnded:
    """A call that failed like this, or was answered."""
    failure = None if kind is None else Failure(kind, "Code", 418, "the text", None, advice="the advice")
    return CallEnded.of(operation, failure or "answered", ids=3, seconds=1.0, rate=2.5, pending=7, ended=5)


THROTTLED = Throttled(operation="DescribeJobs", previous_rate=5.0, rate=4.0)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The moment that it shows."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of `observer`."""
    return Clock()


@pytest.fixture
def observer(clock: Clock, caplog: pytest.LogCaptureFixture) -> Iterator[LogObserver]:
    """The log, which writes everything."""
    with caplog.at_level(logging.DEBUG, "awaitbatch"):
        yield LogObserver(clock)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was written, without the levels."""
    return [record.getMessage() for record in caplog.records]


def test_lines_are_written_in_the_order_of_events(
    observer: LogObserver, caplog: pytest.LogCaptureFixture
) -> None:
    """Each event has its line at once, whatever its level."""
    observer(change(1))
    observer(call(FailureKind.TRANSIENT))
    observer(call(FailureKind.REFUSED))
    observer(THROTTLED)
    observer(change(2))
    observer(call(FailureKind.REFUSED, "SubmitJob"))
    assert [record.levelname for record in caplog.records] == [
        *("INFO", "WARNING", "DEBUG", "WARNING", "INFO", "DEBUG")
    ]


def test_what_nobody_would_read_is_not_counted(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A line below the level of the log is not left out, since it would not have come."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    observer = LogObserver(clock)
    for _ in range(100):
        observer(change())
        observer(call(FailureKind.REFUSED))
    caplog.set_level(logging.INFO, "awaitbatch")
    observer.close()
    assert caplog.records == []


def test_answered_calls_have_no_line(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """A call that went well is worth nothing, and nor is one whose Throttled is still to come."""
    for operation in ("DescribeJobs", "SubmitJob"):
        observer(call(operation=operation))
    observer(call(FailureKind.THROTTLED))
    assert caplog.records == []


def test_the_record_of_a_change(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """The record of a change carries the job, the state, the one before, the attempt, and the reason."""
    observer(change(5, previous="STARTING", reason="why"))
    members = vars(caplog.records[0])
    assert {name: members[name] for name in ("job_id", "status", "previous", "attempt", "reason")} == {
        "job_id": "job-5",
        "status": "RUNNING",
        "previous": "STARTING",
        "attempt": 2,
        "reason": "why",
    }
    assert caplog.records[0].getMessage() == "AWS Batch job (job-5) is RUNNING, was STARTING: why"


def test_the_line_of_a_reason(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """A line says why, if AWS does, and that the state is the same if only the reason is new; a success needs none."""
    reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    observer(change(previous="SUBMITTED", status="RUNNABLE"))
    observer(change(previous="RUNNABLE", status="RUNNABLE", reason=reason))
    observer(change(status="RUNNABLE", reason=reason))
    observer(change(previous="RUNNING", status="SUCCEEDED", reason="Essential container in task exited"))
    observer(change(previous="RUNNING", status="FAILED", reason="Essential container in task exited"))
    assert messages(caplog) == [
        "AWS Batch job (job-0) is RUNNABLE, was SUBMITTED",
        f"AWS Batch job (job-0) is still RUNNABLE: {reason}",
        f"AWS Batch job (job-0) is RUNNABLE: {reason}",
        "AWS Batch job (job-0) is SUCCEEDED, was RUNNING",
        "AWS Batch job (job-0) is FAILED, was RUNNING: Essential container in task exited",
    ]


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.THROTTLED])
def test_the_record_of_a_failed_call(
    observer: LogObserver, caplog: pytest.LogCaptureFixture, kind: FailureKind
) -> None:
    """The record of a failed call carries the operation, the outcome, AWS's code and status, and the rate."""
    observer(call(kind))
    members = vars(caplog.records[0])
    assert {
        name: members[name] for name in ("operation", "outcome", "error_code", "http_status", "rate")
    } == {
        "operation": "DescribeJobs",
        "outcome": kind.value,
        "error_code": "Code",
        "http_status": 418,
        "rate": 2.5,
    }


def test_the_record_of_a_throttle(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """The record of a throttled call carries the operation and the rate that holds from now on."""
    observer(THROTTLED)
    members = vars(caplog.records[0])
    assert (members["operation"], members["rate"]) == ("DescribeJobs", 4.0)


def test_the_line_that_an_outage_is_over_has_a_record(
    observer: LogObserver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The line that says that it is over carries the operation and the outcome of the good call."""
    observer(call(FailureKind.TRANSIENT))
    clock.now = 10
    observer(call())
    members = vars(caplog.records[-1])
    assert "works again" in members["message"]
    assert (members["operation"], members["outcome"], members["http_status"]) == (
        "DescribeJobs",
        "answered",
        200,
    )


Moments = Callable[[], list[tuple[float, str]]]


@pytest.fixture
def moments(caplog: pytest.LogCaptureFixture) -> Iterator[Moments]:
    """The lines of the log with the moments at which they came, on the clock of the loop."""
    noted: list[tuple[float, str]] = []

    class Noting(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            noted.append((asyncio.get_running_loop().time(), record.getMessage()))
            return True

    caplog.set_level(logging.INFO, "awaitbatch")
    noting = Noting()
    caplog.handler.addFilter(noting)
    yield lambda: noted
    caplog.handler.removeFilter(noting)


def loop_time() -> float:
    """The time of the running loop."""
    return asyncio.get_running_loop().time()


def most_a_second(lines: list[tuple[float, str]]) -> int:
    """The most lines in any second."""
    return max(
        sum(begin <= moment < begin + 1 for moment, _ in lines[first:])
        for first, (begin, _) in enumerate(lines)
    )


@pytest.mark.virtual_time
async def test_a_little_herd_has_all_its_lines(moments: Moments) -> None:
    """Twenty jobs that change at once have a line each, at once, again and again; nothing is left to say."""
    observer = LogObserver(loop_time)
    for round_ in range(3):
        for number in range(20):
            observer(change(number))
        assert moments()[20 * round_ :] == [
            (round_, f"AWS Batch job (job-{number}) is RUNNING") for number in range(20)
        ]
        await asyncio.sleep(1)
    observer.close()
    await asyncio.sleep(100)
    assert len(moments()) == 60


@pytest.mark.virtual_time
async def test_a_great_herd_has_a_summary(moments: Moments) -> None:
    """Of 832 jobs that change at once, twenty have a line, and one more counts the others by their states."""
    observer = LogObserver(loop_time)
    for number in range(520):
        observer(change(number))
    for number in range(312):
        observer(change(number, previous="RUNNING", status="SUCCEEDED"))
    assert len(moments()) == 20
    await asyncio.sleep(100)
    assert moments()[20:] == [(5, "and 812 more changes of AWS Batch jobs: 500 RUNNING, 312 SUCCEEDED")]


@pytest.mark.virtual_time
async def test_changes_without_end_keep_the_pace(moments: Moments, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand changes a second for a minute are 20 lines a second and a summary every five, which count them all."""
    observer = LogObserver(loop_time)
    for tick in range(6000):
        for number in range(10):
            observer(change(number, status="RUNNING" if tick % 2 else "FAILED"))
        await asyncio.sleep(0.01)
    observer.close()
    lines = moments()
    assert most_a_second(lines) <= 21
    summaries = [(moment, line) for moment, line in lines if line.startswith("and ")]
    assert 12 <= len(summaries) <= 13
    counted = sum(
        count for record in caplog.records for count in getattr(record, "changes", {"this": 1}).values()
    )
    assert counted == 60_000


@pytest.mark.virtual_time
async def test_closing_writes_one_line_at_most(moments: Moments) -> None:
    """What is left out when a client closes is one line, at once, and none comes later."""
    observer = LogObserver(loop_time)
    for number in range(5000):
        observer(change(number))
    observer.close()
    observer.close()
    assert moments()[20:] == [(0, "and 4980 more changes of AWS Batch jobs: 4980 RUNNING")]
    await asyncio.sleep(100)
    assert len(moments()) == 21


@pytest.mark.virtual_time
async def test_a_summary_orders_and_bounds_the_states(moments: Moments) -> None:
    """States are in the order of a job's life, and those that AWS has invented are one."""
    observer = LogObserver(loop_time)
    for number in range(20):
        observer(change(number))
    for status in ("FAILED", "'x'", "SUBMITTED", "'y'", "SUBMITTED"):
        observer(change(status=status))
    observer.close()
    for number in range(21):
        observer(change(number))
        await asyncio.sleep(0.001)
    await asyncio.sleep(10)
    assert [line for _, line in moments() if line.startswith("and ")] == [
        "and 5 more changes of AWS Batch jobs: 2 SUBMITTED, 1 FAILED, 2 another state",
        "and 21 more changes of AWS Batch jobs: 21 RUNNING",
    ]


@pytest.mark.virtual_time
async def test_jobs_that_nobody_claims_are_all_named(moments: Moments) -> None:
    """Of 2,000 cancelled submitters twenty have a line, and the jobs of the others are named, fifty in a line."""
    observer = LogObserver(loop_time)
    for number in range(2000):
        observer(SubmissionUnclaimed(job_name="name", job_id=f"job-{number:04}", error=None))
    for number in range(30):
        observer(SubmissionUnclaimed(job_name=f"name-{number}", job_id=None, error="no answer"))
    assert len(moments()) == 40
    await asyncio.sleep(10)
    lines = [line for _, line in moments()]
    assert len(lines) == 40 + 40 + 1
    for number in range(2000):
        assert sum(f"job-{number:04}" in line for line in lines) == 1
    assert lines[40].startswith("and 50 AWS Batch jobs were submitted, whose submitter left before")
    for number in range(21):
        event = TerminationUnclaimed(operation="TerminateJob", job_id=f"left-{number}", error="denied")
        observer(event)
    observer.close()
    assert moments()[-1][1] == (
        "and 1 AWS Batch job may go on, since calls to end them failed after their callers were cancelled: left-20"
    )
    names = ", ".join(f"name-{number}" for number in range(20, 30))
    assert lines[-1] == (
        "and 10 AWS Batch jobs may or may not have been submitted, whose submitter left; "
        f"look for them by name: {names}"
    )


@pytest.mark.virtual_time
async def test_warnings_of_one_kind_keep_the_pace(moments: Moments, caplog: pytest.LogCaptureFixture) -> None:
    """Of a thousand warnings of one text twenty are written, and a line counts the others; another text is written."""
    observer = LogObserver(loop_time)
    for number in range(1000):
        observer.write(logging.WARNING, "job (%s) has %d logs", f"j{number}", 0, extra={"job_id": number})
    observer.write(logging.WARNING, "something else")
    assert len(moments()) == 21
    await asyncio.sleep(10)
    assert moments()[21:] == [(5, "and 980 lines like this: job (…) has … logs")]
    assert [vars(record).get("job_id") for record in caplog.records][:3] == [0, 1, 2]


@pytest.mark.virtual_time
async def test_a_summary_is_in_nobodys_context(moments: Moments) -> None:
    """A summary is written outside the context of whoever caused it, which may be the log of another task."""
    variable = ContextVar("variable", default="none")
    seen: list[str] = []
    noting = logging.Filter()
    noting.filter = lambda record: bool(seen.append(variable.get())) or bool(record)  # type: ignore[method-assign,func-returns-value]
    logger.addFilter(noting)
    try:
        variable.set("mine")
        observer = LogObserver(loop_time)
        for number in range(21):
            observer(change(number))
        await asyncio.sleep(10)
    finally:
        logger.removeFilter(noting)
    assert len(moments()) == 21
    assert seen == ["mine"] * 20 + ["none"]


@pytest.mark.virtual_time
async def test_the_log_of_shared_clients_has_a_level_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Below WARNING it writes only what its own level admits, whatever that of its parents is."""
    caplog.set_level(logging.DEBUG, "awaitbatch")
    observer = LogObserver(loop_time, shared_log)
    assert not observer.wants(JobChanged)
    observer(change())
    observer(call(FailureKind.REFUSED))
    observer(THROTTLED)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    caplog.clear()
    caplog.set_level(logging.INFO, "awaitbatch.shared")
    assert observer.wants(JobChanged)
    observer(change())
    observer(call(FailureKind.REFUSED))
    assert [(record.name, record.levelname) for record in caplog.records] == [("awaitbatch.shared", "INFO")]


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, OwnError, GeneratorExit])
async def test_a_handler_that_raises_costs_no_line(moments: Moments, error: type[BaseException]) -> None:
    """Whatever a handler raises, those before it get every line once."""

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error(record)

    bad = Raising()
    logging.getLogger().addHandler(bad)
    try:
        observer = LogObserver(loop_time)
        observer(THROTTLED)
        for number in range(30):
            observer(change(number))
        await asyncio.sleep(10)
    finally:
        logging.getLogger().removeHandler(bad)
    assert len(moments()) == 22


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_wants_to_leave_may(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """KeyboardInterrupt and SystemExit pass through the log."""

    class Leaving(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise error(record)

    leaving = Leaving()
    logger.addFilter(leaving)
    try:
        with caplog.at_level(logging.INFO, "awaitbatch"), pytest.raises(error):
            write_log(logging.INFO, "a line")
    finally:
        logger.removeFilter(leaving)


def test_a_line_may_have_a_record_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Texts are filled in as `logging` does, and what is extra goes into the record."""
    extra: dict[str, Any] = {"job_id": "j"}
    write_log(logging.WARNING, "%d of %s", 1, "two", extra=extra)
    (record,) = caplog.records
    assert record.getMessage() == "1 of two"
    assert vars(record)["job_id"] == "j"
