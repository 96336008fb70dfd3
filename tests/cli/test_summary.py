"""The figures of the demo, from literal waits and records."""

from __future__ import annotations

import dataclasses
import math

import pytest

from awaitbatch import Statistics
from awaitbatch.cli._summary import ServerRecord, Summary, Wait, percentile, summarize

WAITS = (Wait("a", "SUCCEEDED", 11.0), Wait("b", "FAILED", 22.0), Wait("c", "SUCCEEDED", 34.0))
RECORD = ServerRecord(
    statuses={"a": "SUCCEEDED", "b": "FAILED", "c": "SUCCEEDED"}, ended={"a": 10.0, "b": 20.0, "c": 30.0}
)


def summary_of(waits: tuple[Wait, ...] = WAITS, record: ServerRecord = RECORD) -> Summary:
    """A summary whose other figures are made up."""
    statistics = Statistics(
        pending=0,
        in_flight=0,
        calls=4,
        jobs_described=360,
        ids_per_call=97.5,
        throttled=0,
        failed=0,
        rate=10.0,
    )
    return summarize(
        waits,
        record,
        statistics,
        seconds=25.0,
        longest_stall=0.0123,
        peak_memory=80_000_000,
        memory_before=65_000_000,
    )


def test_figures() -> None:
    """Jobs are counted by their outcome, and each check would have been a call of a loop per job."""
    summary = summary_of()
    assert (summary.jobs, summary.succeeded, summary.failed) == (3, 2, 1)
    assert (summary.calls, summary.checks, summary.factor) == (4, 360, 90.0)
    assert (summary.median_delay, summary.longest_usual_delay) == (2.0, 4.0)
    assert summary.disagreements == ()


def test_words() -> None:
    """The headline makes the point, and each figure has its unit."""
    summary = summary_of()
    assert summary.headline() == (
        "3 jobs awaited from one event loop with 4 DescribeJobs calls. A loop per job makes 90 times as many."
    )
    rows = dict(summary.rows())
    assert rows["DescribeJobs calls"] == "4, with 97.5 job ids in each"
    assert rows["A loop per job"] == "360 calls, one for each of the same checks of a job"
    assert rows["Longest loop stall"] == "12 ms in which no task could run"
    assert rows["Memory"] == "80 MB at its peak, 15 MB more than before the first job"
    assert rows["Server's record"] == "agrees with the outcome of every wait"


def test_memory_that_nobody_counts() -> None:
    """A system that does not count memory is said not to, and no figure is made up."""
    summary = dataclasses.replace(summary_of(), peak_memory=None, memory_before=None)
    assert dict(summary.rows())["Memory"] == "not counted on this system"


def test_few_checks() -> None:
    """A small factor keeps a digit, and one call is no plural."""
    summary = dataclasses.replace(summary_of(), calls=1, checks=3)
    assert "with 1 DescribeJobs call. A loop per job makes 3.0 times as many." in summary.headline()
    assert dataclasses.replace(summary, calls=0, checks=0).factor == 1.0


@pytest.mark.parametrize(
    ("statuses", "ended", "disagreement"),
    [
        ({"a": "FAILED"}, {}, "job a: its wait returned SUCCEEDED, the server lists it as FAILED"),
        ({}, {"a": 11.5}, "job a: its wait returned 0.500 s before the job ended"),
        ({"d": "FAILED"}, {}, "job d: the server ran it, but nobody awaited it"),
    ],
)
def test_disagreements(statuses: dict[str, str], ended: dict[str, float], disagreement: str) -> None:
    """Whatever the server has on record that the waits do not say is shown, with the job."""
    record = ServerRecord({**RECORD.statuses, **statuses}, {**RECORD.ended, **ended})
    summary = summary_of(record=record)
    assert summary.disagreements == (disagreement,)
    assert dict(summary.rows())["Server's record"] == "DISAGREES in 1 point"


def test_a_job_without_a_record() -> None:
    """A wait for a job that never ended is a disagreement, and has no delay."""
    summary = summary_of((Wait("x", "FAILED", 1.0),), ServerRecord({}, {}))
    assert summary.disagreements == (
        "job x: its wait returned FAILED, the server lists it as not ended",
        "job x: its wait returned, but the server has no record of its end",
    )
    assert math.isnan(summary.median_delay)


def test_a_job_that_forges_lines() -> None:
    """What a server wrote stays in its line."""
    summary = summary_of((Wait("x\nerror", "FAILED", 1.0),), ServerRecord({"x\x1b": "FAI\nLED"}, {}))
    assert len(summary.disagreements) == 3
    assert all(line.isprintable() for line in summary.disagreements)


def test_percentiles() -> None:
    """A percentile is one of the values: the smallest that so many do not exceed."""
    values = [float(value) for value in range(200, 0, -1)]
    assert percentile(values, 50) == 100
    assert percentile(values, 99) == 198
    assert percentile([7.0], 99) == 7
