"""The log as an observer: what is written at once, what waits its turn, and what records carry."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch.instrumentation import CallEnded, JobChanged, Throttled
from awaitbatch.instrumentation._log import LogObserver, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awaitbatch.instrumentation import Event

logger = logging.getLogger("awaitbatch")


class OwnError(BaseException):
    """Not even an Exception."""


def change(
    number: int = 0, before: str | None = None, after: str = "RUNNING", reason: str | None = None
) -> JobChanged:
    """A job that was seen running, or in another state."""
    return JobChanged(
        job_id=f"job-{number}",
        before=before,
        after=after,
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


THROTTLED = Throttled(operation="DescribeJobs", rate_before=5.0, rate_after=4.0)


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


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (call(FailureKind.TRANSIENT), logging.WARNING),
        (call(FailureKind.PERMANENT), logging.WARNING),
        (THROTTLED, logging.WARNING),
    ],
    ids=lambda value: type(value).__name__,
)
def test_warnings_are_written_at_once(
    observer: LogObserver, caplog: pytest.LogCaptureFixture, event: Event, level: int
) -> None:
    """What somebody should know now does not wait for its turn, nor for what came before it."""
    observer(change())
    observer(event)
    assert [record.levelno for record in caplog.records] == [level]


@pytest.mark.virtual_time
async def test_other_lines_are_written_in_their_order(
    observer: LogObserver, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines of INFO and DEBUG wait for their turn, and keep the order of the events whatever their levels."""
    observer(call(FailureKind.TRANSIENT))
    caplog.clear()
    observer(change(1))
    observer(call(FailureKind.REFUSED))
    observer(change(2))
    observer(call(FailureKind.REFUSED, "SubmitJob"))
    assert caplog.records == []
    await observer.flush()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "AWS Batch job (job-1) is RUNNING"),
        ("DEBUG", "AWS Batch refused to describe 3 jobs: the text"),
        ("INFO", "AWS Batch job (job-2) is RUNNING"),
        ("DEBUG", "SubmitJob failed: the text"),
    ]


def test_what_nobody_would_read_is_not_kept(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A line below the level of the log is not even queued."""
    caplog.set_level(logging.WARNING, "awaitbatch")
    observer = LogObserver(clock)
    observer(change())
    observer(call(FailureKind.REFUSED))
    assert not observer._lines


def test_answered_calls_have_no_line(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """A call that went well is worth nothing, and nor is one whose Throttled is still to come."""
    for operation in ("DescribeJobs", "SubmitJob"):
        observer(call(operation=operation))
    observer(call(FailureKind.THROTTLED))
    assert caplog.records == []
    assert not observer._lines


@pytest.mark.virtual_time
async def test_the_record_of_a_change(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """The record of a change carries the job, the state, the one before, the attempt, and the reason."""
    observer(change(5, before="STARTING", reason="why"))
    await observer.flush()
    members = vars(caplog.records[0])
    assert {name: members[name] for name in ("job_id", "status", "before", "attempt", "reason")} == {
        "job_id": "job-5",
        "status": "RUNNING",
        "before": "STARTING",
        "attempt": 2,
        "reason": "why",
    }
    assert caplog.records[0].getMessage() == "AWS Batch job (job-5) is RUNNING, was STARTING: why"


@pytest.mark.virtual_time
async def test_the_line_of_a_reason(observer: LogObserver, caplog: pytest.LogCaptureFixture) -> None:
    """A line says why, if AWS does, and that the state is the same if only the reason is new; a success needs none."""
    reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    observer(change(before="SUBMITTED", after="RUNNABLE"))
    observer(change(before="RUNNABLE", after="RUNNABLE", reason=reason))
    observer(change(after="RUNNABLE", reason=reason))
    observer(change(before="RUNNING", after="SUCCEEDED", reason="Essential container in task exited"))
    observer(change(before="RUNNING", after="FAILED", reason="Essential container in task exited"))
    await observer.flush()
    assert messages(caplog) == [
        "AWS Batch job (job-0) is RUNNABLE, was SUBMITTED",
        f"AWS Batch job (job-0) is still RUNNABLE: {reason}",
        f"AWS Batch job (job-0) is RUNNABLE: {reason}",
        "AWS Batch job (job-0) is SUCCEEDED, was RUNNING",
        "AWS Batch job (job-0) is FAILED, was RUNNING: Essential container in task exited",
    ]


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.THROTTLED])
async def test_the_record_of_a_failed_call(
    observer: LogObserver, caplog: pytest.LogCaptureFixture, kind: FailureKind
) -> None:
    """The record of a failed call carries the operation, the outcome, AWS's code and status, and the rate."""
    observer(call(kind))
    await observer.flush()
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


@pytest.mark.virtual_time
async def test_the_line_that_an_outage_is_over_has_a_record(
    observer: LogObserver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The line that says that it is over carries the operation and the outcome of the good call."""
    observer(call(FailureKind.TRANSIENT))
    clock.now = 10
    observer(call())
    await observer.flush()
    members = vars(caplog.records[-1])
    assert "works again" in members["message"]
    assert (members["operation"], members["outcome"], members["http_status"]) == (
        "DescribeJobs",
        "answered",
        200,
    )


class Noting(logging.Handler):
    """Notes the lines of a logger, and the turns of the event loop between them."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note the line, and in the next turn of the loop that it has come."""
        self.notes.append(record.getMessage())
        asyncio.get_running_loop().call_soon(self.notes.append, "turn")

    @property
    def most_at_once(self) -> int:
        """The most lines in one turn."""
        runs = itertools.groupby(self.notes, lambda note: note != "turn")
        return max(len(list(run)) for are_lines, run in runs if are_lines)

    @property
    def lines(self) -> list[str]:
        """The lines alone."""
        return [note for note in self.notes if note != "turn"]


@pytest.fixture
def noting(caplog: pytest.LogCaptureFixture) -> Iterator[Noting]:
    """A handler of the log, which writes INFO."""
    handler = Noting()
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, "awaitbatch"):
        yield handler
    logger.removeHandler(handler)


EXPECTED = [f"AWS Batch job (job-{number}) is RUNNING" for number in range(5000)]


@pytest.mark.virtual_time
async def test_twenty_lines_a_turn(clock: Clock, noting: Noting) -> None:
    """However many lines come at once, at most twenty are written before others have their turn."""
    observer = LogObserver(clock)
    draining = asyncio.create_task(observer.drain())
    for number in range(5000):
        observer(change(number))
    assert noting.notes == []
    await asyncio.sleep(1)
    assert noting.lines == EXPECTED
    assert noting.most_at_once == 20
    draining.cancel()
    await asyncio.wait({draining})


@pytest.mark.virtual_time
async def test_flushing_goes_by_twenties_too(clock: Clock, noting: Noting) -> None:
    """At the end lines do not come all at once either."""
    observer = LogObserver(clock)
    for number in range(5000):
        observer(change(number))
    await observer.flush()
    assert noting.lines == EXPECTED
    assert noting.most_at_once == 20


@pytest.mark.virtual_time
async def test_draining_goes_on_when_lines_come_again(clock: Clock, noting: Noting) -> None:
    """After a pause the next line is written as soon as it has come."""
    observer = LogObserver(clock)
    draining = asyncio.create_task(observer.drain())
    for number in range(3):
        observer(change(number))
        await asyncio.sleep(1)
        assert noting.lines == EXPECTED[: number + 1]
    draining.cancel()
    await asyncio.wait({draining})


@pytest.mark.virtual_time
@pytest.mark.parametrize("turns", [0, 1, 2, 50])
async def test_no_line_is_lost_when_draining_ends(clock: Clock, noting: Noting, turns: int) -> None:
    """Draining may be cancelled at any time: flushing writes exactly what is left."""
    observer = LogObserver(clock)
    draining = asyncio.create_task(observer.drain())
    for number in range(5000):
        observer(change(number))
    for _ in range(turns):
        await asyncio.sleep(0)
    draining.cancel()
    await asyncio.wait({draining})
    await observer.flush()
    assert noting.lines == EXPECTED


@pytest.mark.virtual_time
@pytest.mark.parametrize("turns", [0, 1, 2, 50])
async def test_flushing_that_is_cancelled_writes_the_rest(clock: Clock, noting: Noting, turns: int) -> None:
    """A cancellation hastens the flush, but costs no line."""
    observer = LogObserver(clock)
    for number in range(5000):
        observer(change(number))
    flushing = asyncio.create_task(observer.flush())
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.wait({flushing})
    assert flushing.cancelled()
    assert noting.lines == EXPECTED


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, OwnError, GeneratorExit])
async def test_a_handler_that_raises_costs_no_line(
    clock: Clock, noting: Noting, error: type[BaseException]
) -> None:
    """Whatever a handler raises, draining goes on, and those before it get every line once."""

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error(record)

    bad = Raising()
    logger.addHandler(bad)
    try:
        observer = LogObserver(clock)
        draining = asyncio.create_task(observer.drain())
        observer(THROTTLED)
        for number in range(100):
            observer(change(number))
        await asyncio.sleep(1)
        assert not draining.done()
        draining.cancel()
        await asyncio.wait({draining})
    finally:
        logger.removeHandler(bad)
    assert noting.lines[1:] == EXPECTED[:100]


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
