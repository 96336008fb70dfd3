"""Ids of jobs: from arguments, from standard input, and from what other commands print."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._job_ids import read_job_ids

if TYPE_CHECKING:
    from pathlib import Path

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
        ("\ufeffa\r\nb", ["a", "b"]),
        ("a,b, c\n,d,", ["a", "b", "c", "d"]),
        (f"{ARN}a\ta\tmy-name\n{ARN}b:0\tb:0\tother\n", ["a", "b:0"]),
        (f"{ARN}a\tb\n", ["a", "b"]),
        (
            f"JOBSUMMARYLIST\t170\t{ARN}a\td:1\ta\tname\t\tRUNNING\nCONTAINER\t0\nJOBSUMMARYLIST\t171\t{ARN}b\r\n",
            ["a", "b"],
        ),
        (f"JOBS\t{ARN}a\ta\tname\nDEPENDSON\tb\n", ["a"]),
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
    assert read_job_ids(["z", "-", "y,w"], io.StringIO("y x z")) == ["z", "y", "x", "w"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("good b@d also/b@d", "not an AWS Batch job id: 'b@d' (expected"),
        ("good b@d also/b@d", "; 1 more is none either"),
        ("", "standard input has no job id; did the command before it fail?"),
        (" \n", "standard input has no job id"),
        ("null\n", "standard input has null in the place of a job id; did the command before it find none?"),
        ("good\tNone\n", "standard input has None in the place of a job id"),
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


class Unreadable(io.StringIO):
    """Raises whatever it was made with."""

    encoding = "utf-8"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, _: int | None = -1) -> str:
        """Fail."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (IsADirectoryError(21, "Is a directory"), "standard input cannot be read: Is a directory"),
        (UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "bad"), "standard input is no text in utf-8"),
    ],
)
def test_standard_input_that_cannot_be_read(error: Exception, complaint: str) -> None:
    """Who redirects a directory, or what is no text, is told so."""
    with pytest.raises(CommandError, match=f"^{complaint}"):
        read_job_ids(["-"], Unreadable(error))


@pytest.mark.parametrize("content", [b"\x7fELF\x02\0", b"good \xff", "good".encode("utf-16")])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_standard_input_of_another_kind(content: bytes, errors: str) -> None:
    """In no locale are the bytes of another kind of file taken for malformed ids."""
    stdin = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors=errors)
    with pytest.raises(CommandError, match=r"^standard input is no text in utf-8") as refusal:
        read_job_ids(["-"], stdin)
    assert refusal.value.code == ExitCode.USAGE


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes it is told so."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandError, match=r"^standard input is closed"):
        read_job_ids(["-"])


def test_a_file_in_place_of_ids(tmp_path: Path) -> None:
    """Who gives the name of a file is told how to read it."""
    path = tmp_path / "my ids.txt"
    path.write_text("a\n", encoding="utf-8")
    with pytest.raises(CommandError) as refusal:
        read_job_ids([str(path)])
    assert str(refusal.value).endswith(f"; to read ids from a file, write: - < '{path}'")
