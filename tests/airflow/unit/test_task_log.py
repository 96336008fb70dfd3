"""Lines in the logs of triggers: which, where, and how fast."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from contextvars import ContextVar
from typing import Any

import pytest

from awaitbatch import JobProgress
from awaitbatch.instrumentation import JobChanged
from awaitbatch.instrumentation._pace import MOST_A_SECOND
from awaitbatch.integrations.airflow._task_log import TaskLog, _line_of

pytestmark = pytest.mark.virtual_time

owner: ContextVar[str] = ContextVar("owner", default="nobody")


def change(status: str, *, previous: str | None = None, reason: str | None = None, **more: Any) -> JobChanged:
    """A change of a job."""
    return JobChanged(
        job_id="job",
        previous=previous,
        status=status,
        attempt=0,
        created_at=None,
        started_at=None,
        stopped_at=None,
        seen_at=0,
        reason=reason,
        **more,
    )


class Logs:
    """Logs of triggers that have a context each, as Airflow gives them."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str, str]] = []

    def write(self, line: str) -> None:
        """Note when, whose and what."""
        self.lines.append((asyncio.get_running_loop().time(), owner.get(), line))

    async def make(self, name: str) -> TaskLog:
        """A log in a context of its own."""

        async def begin() -> TaskLog:
            owner.set(name)
            return TaskLog(self.write)

        return await asyncio.create_task(begin())


async def test_a_line_lands_where_it_belongs() -> None:
    """Whoever notices a change has another context."""
    logs = Logs()
    first, second = await logs.make("first"), await logs.make("second")
    first.on_change(change("RUNNING"))
    second.on_change(change("FAILED", previous="RUNNING", reason="Host EC2 (instance i-1) terminated."))
    await asyncio.sleep(1)
    assert [line[1:] for line in logs.lines] == [
        ("first", "AWS Batch job (job) is RUNNING"),
        ("second", "AWS Batch job (job) is FAILED, was RUNNING: Host EC2 (instance i-1) terminated."),
    ]


async def test_a_thousand_changes_at_once() -> None:
    """Twenty lines a second go out, and each log has its latest state in the end."""
    logs = Logs()
    all_logs = [await logs.make(str(number)) for number in range(1000)]
    began = asyncio.get_running_loop().time()
    for state in ("RUNNABLE", "STARTING", "RUNNING"):
        for log in all_logs:
            log.on_change(change(state))
    await asyncio.sleep(100)
    times = [moment - began for moment, _, _ in logs.lines]
    assert len(times) <= 1000 + MOST_A_SECOND
    assert max(sum(begin <= moment < begin + 1 for moment in times) for begin in times) <= 20
    assert times[-1] <= 51
    latest = {name: line for _, name, line in logs.lines}
    assert Counter(latest.values()) == {
        "AWS Batch job (job) is RUNNING (2 changes before it not shown)": 1000 - MOST_A_SECOND,
        "AWS Batch job (job) is RUNNING (1 change before it not shown)": MOST_A_SECOND,
    }


async def test_nothing_is_written_after_the_end() -> None:
    """A log is closed when its trigger has ended, and a line would land nowhere."""
    logs = Logs()
    first, second = await logs.make("first"), await logs.make("second")
    for number in range(MOST_A_SECOND):
        first.add(f"{number}")
    second.on_change(change("RUNNING"))
    second.close()
    second.on_change(change("SUCCEEDED"))
    await asyncio.sleep(10)
    assert {name for _, name, _ in logs.lines} == {"first"}


async def test_a_line_is_not_repeated() -> None:
    """As when a wait begins again."""
    logs = Logs()
    log = await logs.make("log")
    for previous in ("RUNNABLE", None, None):
        log.on_change(change("RUNNING", previous=previous))
        await asyncio.sleep(1)
    assert [line for _, _, line in logs.lines] == ["AWS Batch job (job) is RUNNING, was RUNNABLE"]


def test_the_progress_of_an_array_job() -> None:
    """A line has how many children are in which state."""
    event = change("PENDING")
    progress = JobProgress("job", "PENDING", 43, {"RUNNING": 3, "SUCCEEDED": 40})

    class WithProgress:
        job_id, previous, status, reason = event.job_id, event.previous, event.status, event.reason

        def __init__(self) -> None:
            self.progress = progress

    line = _line_of(WithProgress(), None)  # type: ignore[arg-type]
    assert line == "AWS Batch job (job) is PENDING; children: 3 RUNNING, 40 SUCCEEDED"


def test_a_loop_that_ends_while_lines_wait() -> None:
    """Nothing keeps it."""

    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        for _ in range(MOST_A_SECOND + 1):
            TaskLog(lambda _: None).add("line")
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    gc.collect()
    assert loop() is None
