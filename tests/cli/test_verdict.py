"""When a wait is over, and how it ends, from literal states of jobs."""

from __future__ import annotations

import itertools

import pytest

from awaitbatch.cli._exit_codes import ExitCode, worst
from awaitbatch.cli._verdict import Goal, Verdict


@pytest.mark.parametrize(
    ("goal", "settings", "seen", "expected"),
    [
        ("ended", {}, ["a RUNNING", "a SUCCEEDED"], None),
        ("ended", {}, ["a SUCCEEDED", "b SUCCEEDED"], 0),
        ("ended", {}, ["a FAILED"], None),
        ("ended", {}, ["a FAILED", "b SUCCEEDED"], 1),
        ("running", {}, ["a RUNNING", "b SUCCEEDED"], 0),
        ("running", {}, ["a RUNNING", "b FAILED"], 1),
        ("succeeded", {}, ["a SUCCEEDED", "b RUNNING"], None),
        ("succeeded", {}, ["a FAILED"], 1),
        ("ended", {"fail_fast": True}, ["a FAILED"], 1),
        ("ended", {"fail_fast": True}, ["a SUCCEEDED"], None),
        ("ended", {"first": True}, ["a RUNNING"], None),
        ("ended", {"first": True}, ["a SUCCEEDED"], 0),
        ("ended", {"first": True}, ["a FAILED"], 1),
        ("succeeded", {"first": True}, ["a FAILED"], None),
        ("succeeded", {"first": True}, ["a FAILED", "b SUCCEEDED"], 0),
        ("succeeded", {"first": True}, ["a FAILED", "b FAILED"], 1),
        ("running", {"first": True}, ["a FAILED", "b RUNNING"], 0),
    ],
)
def test_verdicts(goal: Goal, settings: dict[str, bool], seen: list[str], expected: int | None) -> None:
    """None where the wait goes on."""
    verdict = Verdict("ab", goal, **settings)
    for each in seen:
        verdict.note(*each.split())
    assert (verdict.code if verdict.is_over else None) == expected


def test_a_job_that_was_not_found() -> None:
    """It ends a wait that is to fail fast; otherwise the others are waited for, and it outranks a failure."""
    verdict = Verdict("ab", "ended")
    verdict.note_trouble("a", ExitCode.NOT_FOUND)
    assert not verdict.is_over
    verdict.note("b", "FAILED")
    assert (verdict.is_over, verdict.code) == (True, ExitCode.NOT_FOUND)
    hasty = Verdict("ab", "ended", fail_fast=True)
    hasty.note_trouble("a", ExitCode.NOT_FOUND)
    assert (hasty.is_over, hasty.code, [*hasty.pending]) == (True, ExitCode.NOT_FOUND, ["b"])


def test_a_time_out_after_a_failure() -> None:
    """That a job has FAILED says more than that the time was up."""
    verdict = Verdict("ab", "ended")
    verdict.time_out()
    assert (verdict.is_over, verdict.code) == (True, ExitCode.TIMED_OUT)
    verdict.note("a", "FAILED")
    assert verdict.code == ExitCode.JOB_FAILED


def test_what_has_started() -> None:
    """A job that runs, has ended or cannot be followed is no more to start."""
    verdict = Verdict("abcd", "ended")
    verdict.note("a", "RUNNABLE")
    assert verdict.not_started == {*"abcd"}
    verdict.note("a", "RUNNING")
    verdict.note("b", "FAILED")
    verdict.note_trouble("c", ExitCode.NOT_FOUND)
    assert verdict.not_started == {"d"}


def test_precedence() -> None:
    """Of several exit codes, whatever their order, the drawn one counts."""
    codes = [130, 143, 4, 3, 1, 124]
    for more, less in itertools.combinations(codes, 2):
        expected = more if more != 130 or less != 143 else 130
        assert worst([less, more]) == expected
    assert worst([]) == 0
    assert worst([0, 124]) == 124
