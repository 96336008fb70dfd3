"""Ids of jobs: from arguments, from standard input, and from what other commands print."""

from __future__ import annotations

import io
import json

import pytest

from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._job_ids import read_job_ids

ARN = "arn:aws:batch:us-east-1:123456789012:job/"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\tb  c:7\r\n", ["a", "b", "c:7"]),
        (f"{ARN}a a", ["a"]),
        ('{"jobArn": "x", "jobName": "n", "jobId": "a"}', ["a"]),
        ('{\n  "jobId": "a"\n}\n{\n  "jobId": "b"\n}\n', ["a", "b"]),
        ('{"jobSummaryList": [{"jobId": "a"}, {"jobId": "b"}], "nextToken": "t"}', ["a", "b"]),
        ('{"jobSummaryList": []}', []),
        ('{"jobs": [{"jobId": "a", "status": "FAILED"}]}', ["a"]),
        ('["a", "b#1"]', ["a", "b#1"]),
        ('"a"', ["a"]),
        ('a {"jobId": "b"} c', ["a", "b", "c"]),
    ],
)
def test_standard_input(text: str, expected: list[str]) -> None:
    """Words, and what `aws batch` prints with and without --query, one document after the other."""
    assert read_job_ids(["-"], io.StringIO(text)) == expected


def test_our_own_lines() -> None:
    """What one of our commands prints with --json, another takes."""
    lines = "".join(json.dumps({"jobId": job_id, "status": "RUNNING", "log": None}) + "\n" for job_id in "ab")
    assert read_job_ids(["-"], io.StringIO(lines)) == ["a", "b"]


def test_arguments_and_standard_input() -> None:
    """An id counts once, wherever it comes from, and stays where it was met first."""
    assert read_job_ids(["z", "-", "y"], io.StringIO("y x z")) == ["z", "y", "x"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("good b@d also/b@d", "not an AWS Batch job id: 'b@d' (expected"),
        ("good b@d also/b@d", "; 1 more are none either"),
        ("", "standard input has no job id; did the command before it fail?"),
        (" \n", "standard input has no job id"),
        ('{"jobId": ', "standard input is neither job ids nor JSON: '{\"jobId\":'"),
        ('{"jobName": "n"}', "the JSON on standard input has no jobId: {'jobName': 'n'}"),
        ('[{"jobId": 7}]', "the JSON on standard input has no jobId: {'jobId': 7}"),
        ("[" * 100_000, "standard input is neither job ids nor JSON"),
        ('["\\u001b[31m"]', "not an AWS Batch job id: '\\x1b[31m'"),
    ],
)
def test_refuses(text: str, complaint: str) -> None:
    """What is no id is named, and nothing of it can reach a terminal as it is."""
    with pytest.raises(CommandError) as refusal:
        read_job_ids(["-"], io.StringIO(text))
    assert complaint in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert refusal.value.code == ExitCode.USAGE
