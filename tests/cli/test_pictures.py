"""What is drawn of literal jobs, in terminals wide and narrow."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from awaitbatch import JobChange, JobNotFoundError, JobStuck, JobTrouble, Statistics
from awaitbatch.cli._job_book import JobBook
from awaitbatch.cli._pictures import View, wait_picture, watch_picture

DONE = Statistics(
    pending=0, in_flight=0, calls=16, jobs_described=1504, ids_per_call=94.0, throttled=0, failed=0, rate=10.0
)


def drawn(picture: RenderableType, width: int) -> list[str]:
    """The lines of a picture without colours."""
    output = io.StringIO()
    Console(file=output, width=width, color_system=None, no_color=True, force_terminal=True).print(picture)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def change(book: JobBook, job_id: str, status: str, **members: object) -> None:
    """Let the book take notice of a job."""
    job = {"jobName": f"align-{job_id}", "status": status, "retryStrategy": {"attempts": 2}, **members}
    book.note_change(JobChange(job_id, None, status, attempt=2, seen_at=0), job)


def failed(book: JobBook, job_id: str) -> None:
    """The same for one that has failed."""
    container = {"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}
    change(book, job_id, "FAILED", container=container, startedAt=1000, stoppedAt=253_000)


def many() -> JobBook:
    """A book of 400 jobs."""
    book = JobBook(f"{number:04}-x" for number in range(400))
    for number in range(400):
        if number < 252:
            change(book, f"{number:04}-x", "RUNNING")
        elif number < 389:
            change(book, f"{number:04}-x", "SUCCEEDED")
        else:
            failed(book, f"{number:04}-x")
    return book


def wait_lines(book: JobBook, width: int, **view: bool) -> list[str]:
    """A wait's picture."""
    where = View(width=width, height=24, **view)
    return drawn(wait_picture(book, where, seconds=5, region_name="us-east-1", done=DONE), width)


def test_a_wide_wait() -> None:
    """The jobs by state, what it took, and who failed last with the reason."""
    lines = wait_lines(many(), 120)
    assert lines[0] == "400 jobs, 148 ended · us-east-1 · 0:05"
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["RUNNING", "252"],
        ["SUCCEEDED", "137"],
        ["FAILED", "11"],
    ]
    lengths = [line.count("━") for line in lines[1:4]]
    assert lengths == sorted(lengths, reverse=True)
    assert lines[4] == "  16 calls of 94 ids, 10.0/s allowed by AWS so far, 0 throttled"
    assert lines[5] == (
        "  ✗ align-0399-x 0399-x  exit 137, OutOfMemoryError: Container killed (attempt 2 of 2, ran 4:12)"
    )
    assert len(lines) == 10


@pytest.mark.parametrize("width", [120, 60, 48, 40, 20])
def test_every_line_fits(width: int) -> None:
    """No line is broken, however narrow the terminal is."""
    book = many()
    book.note_stuck(JobStuck("0000-x", 900.0))
    assert len(wait_lines(book, width)) in {9, 10}
    where = View(width=width, height=24)
    assert len(drawn(watch_picture(book, where, can_quit=True), width)) == 23


def test_a_narrow_wait() -> None:
    """In few columns there are no ids, and no calls."""
    lines = wait_lines(many(), 48)
    assert lines[0] == "400 jobs, 148 ended · 0:05"
    assert lines[4] == "  ✗ align-0399-x  exit 137, OutOfMemoryError: C…"


def test_few_jobs_are_shown_each() -> None:
    """Who failed or was not found comes first, and who has never been seen has his whole id."""
    book = JobBook(["a", "b", "c", "nobody-with-this-id"])
    change(book, "a", "SUCCEEDED")
    change(book, "b", "RUNNABLE", statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    failed(book, "c")
    book.note_trouble(JobTrouble("nobody-with-this-id", JobNotFoundError("", job_id="x")))
    lines = wait_lines(book, 100)
    assert [line.split()[0] for line in lines[1:5]] == [
        "align-c",
        "nobody-with-this-id",
        "align-b",
        "align-a",
    ]
    assert "NOT FOUND" in lines[2]
    assert lines[3].endswith("2/2  MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


def test_jobs_that_are_stuck() -> None:
    """How many, and the first reason."""
    book = many()
    change(book, "0000-x", "RUNNABLE")
    book.note_stuck(JobStuck("0000-x", 900.0, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"))
    last = wait_lines(book, 120)[-1]
    assert last == "  ⚠ 1 job RUNNABLE for more than 15 min: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    change(book, "0000-x", "RUNNING")
    assert "RUNNABLE" not in wait_lines(book, 120)[-1]


def test_a_watch() -> None:
    """As many jobs as there is room for, and how many there are in each state."""
    lines = drawn(watch_picture(many(), View(width=100, height=10), can_quit=True), 100)
    assert lines[0].split() == ["JOB", "ID", "STATUS", "SINCE", "TRY", "NOTE"]
    assert lines[1].split()[:3] == ["align-0399-x", "0399-x", "FAILED"]
    assert lines[-1] == "… 393 more · 252 RUNNING, 137 SUCCEEDED, 11 FAILED · q quits"
    assert len(lines) == 9


def test_in_ascii() -> None:
    """A terminal that knows nothing but ASCII gets nothing else."""
    where = View(width=70, height=10, ascii_only=True)
    lines = drawn(watch_picture(many(), where, can_quit=True), 70)
    assert "\n".join(lines).isascii()
    assert lines[-1] == "... 393 more - 252 RUNNING, 137 SUCCEEDED, 11 FAILED - q quits"
    failure = wait_lines(many(), 60, ascii_only=True)[5]
    assert failure.isascii()
    assert failure.startswith("  x align-0399-x 0399-x  exit 137")


def test_a_name_with_markup() -> None:
    """What looks like markup of the library that draws is text."""
    book = JobBook()
    book.note_change(JobChange("a", None, "RUNNING"), {"jobName": "[red]x[/red]:smile:"})
    assert "[red]x[/red]:smile:" in "\n".join(wait_lines(book, 100))
