"""What is drawn and printed for literal progress and figures."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from awaitbatch.cli._display import LiveDisplay, PlainDisplay, Progress
from awaitbatch.cli._summary import Summary

PROGRESS = Progress(
    seconds=12.0,
    jobs=1000,
    statuses={"SUBMITTED": 100, "RUNNING": 700, "SUCCEEDED": 80, "FAILED": 20, "HIBERNATING": 1},
    calls=24,
    ids_per_call=99.5,
    checks=2388,
)
SUMMARY = Summary(
    succeeded=920,
    failed=80,
    seconds=39.0,
    calls=59,
    ids_per_call=96.6,
    checks=5702,
    median_delay=1.7,
    longest_usual_delay=4.0,
    longest_stall=0.05,
    peak_memory=78_000_000,
    memory_before=65_000_000,
    disagreements=(),
)


def console_and_output(*, is_terminal: bool) -> tuple[Console, io.StringIO]:
    """A console of 80 columns that writes to memory."""
    output = io.StringIO()
    return Console(file=output, width=80, height=40, force_terminal=is_terminal, color_system=None), output


def test_a_plain_line_is_one_line() -> None:
    """Progress without a terminal is one line, however long, of the states that there are, unknown ones last."""
    console, output = console_and_output(is_terminal=False)
    with PlainDisplay(console) as display:
        display.show(PROGRESS)
    assert output.getvalue() == (
        " 12.0 s: 100 SUBMITTED, 700 RUNNING, 80 SUCCEEDED, 20 FAILED, 1 HIBERNATING; "
        "24 DescribeJobs calls of 100 ids\n"
    )


def test_a_picture_has_a_bar_for_each_state() -> None:
    """In a terminal each state has its line, and below stand the calls beside those of a loop per job."""
    console, output = console_and_output(is_terminal=True)
    with LiveDisplay(console) as display:
        display.prepare("Starting")
        display.show(PROGRESS)
        display.say("AWS throttles DescribeJobs")
    lines = {line.split()[0]: line for line in output.getvalue().splitlines() if line.strip()}
    for status in (
        "SUBMITTED",
        "PENDING",
        "RUNNABLE",
        "STARTING",
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
        "HIBERNATING",
    ):
        assert status in lines
    lengths = [len(lines[status].rstrip()) for status in ("PENDING", "SUCCEEDED", "RUNNING")]
    assert lengths == sorted(set(lengths))
    assert (
        lines["DescribeJobs"].split(maxsplit=2)[2].rstrip() == "24, with 99.5 job ids in each, 2.0 a second"
    )
    assert "2,388 calls by now" in lines["A"]
    assert "AWS throttles DescribeJobs" in output.getvalue()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_summary_and_errors(is_terminal: bool) -> None:
    """The summary has every figure, and of many disagreements the first ten."""
    console, output = console_and_output(is_terminal=is_terminal)
    summary = dataclasses.replace(SUMMARY, disagreements=tuple(f"job {n}" for n in range(12)))
    with (LiveDisplay if is_terminal else PlainDisplay)(console) as display:
        display.introduce("a title", "a text")
        display.conclude(summary)
    text = output.getvalue()
    for part in ("a title", "a text", "59 DescribeJobs calls", "A loop per job makes 97 times as many"):
        assert part in " ".join(text.split())
    for label, _ in summary.rows():
        assert label in text
    assert text.count("error: job ") == 10
    assert "error: and 2 more" in text
