"""The table of ``awaitbatch list``, of literal summaries."""

from __future__ import annotations

from typing import Any

from awaitbatch.cli._listing import counts_lines, listing

NOW = 1_800_000_000.0


def summary(name: str, status: str, seconds: float, **members: Any) -> dict[str, Any]:
    """A job that was created so many seconds ago."""
    return {
        "jobName": name,
        "jobId": f"{name[-4:]}fe45-0c1f-4d2e-9a6b-2f1f0f7d7a11",
        "status": status,
        "createdAt": (NOW - seconds) * 1000,
        **members,
    }


JOBS = [
    summary(
        "align-0412",
        "FAILED",
        1000,
        startedAt=(NOW - 900) * 1000,
        stoppedAt=(NOW - 648) * 1000,
        container={"exitCode": 137, "reason": "OutOfMemoryError: Container killed"},
    ),
    summary("align-0413", "RUNNING", 900, startedAt=(NOW - 843) * 1000),
    summary("align-0420", "RUNNABLE", 183_600, statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
    summary("merge-9999", "SUBMITTED", 3),
]


def lines(width: int | None, **settings: Any) -> list[str]:
    """The table without colours."""
    return [*listing(JOBS, lambda text, _: text, width=width, now=NOW, **settings)]


def test_elsewhere() -> None:
    """Without a terminal nothing is cut, and the newest job comes first."""
    *_, failed, stuck = shown = lines(None)
    assert shown[:3] == [
        "JOB         ID                                    STATUS       AGE    RAN  NOTE",
        "merge-9999  9999fe45-0c1f-4d2e-9a6b-2f1f0f7d7a11  SUBMITTED   0:03",
        "align-0413  0413fe45-0c1f-4d2e-9a6b-2f1f0f7d7a11  RUNNING    15:00  14:03",
    ]
    named = "align-0412  0412fe45-0c1f-4d2e-9a6b-2f1f0f7d7a11"
    assert failed == f"{named}  FAILED     16:40   4:12  exit 137, OutOfMemoryError: Container killed"
    named = "align-0420  0420fe45-0c1f-4d2e-9a6b-2f1f0f7d7a11"
    assert stuck == f"{named}  RUNNABLE   2d 3h         MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"


def test_wide() -> None:
    """In a wide terminal there are whole ids, which can be copied."""
    named = "align-0412  0412fe45-0c1f-4d2e-9a6b-2f1f0f7d7a11"
    assert lines(110)[3] == f"{named}  FAILED     16:40   4:12  exit 137, OutOfMemoryError: Contai…"


def test_as_terminals_are() -> None:
    """In 80 columns ids are short, and the note has the room."""
    assert lines(80)[3:] == [
        "align-0412  0412fe45  FAILED     16:40   4:12  exit 137, OutOfMemoryError: Cont…",
        "align-0420  0420fe45  RUNNABLE   2d 3h         MISCONFIGURATION:JOB_RESOURCE_RE…",
    ]


def test_narrow() -> None:
    """In 60 and 40 columns the note is worth more than how long a job ran, and than the beginning of its id."""
    assert lines(60)[2:4] == [
        "align-0413  0413fe45  RUNNING    15:00",
        "align-0412  0412fe45  FAILED     16:40  exit 137, OutOfMemo…",
    ]
    assert lines(42)[2:4] == ["align-0413  RUNNING    15:00", "align-0412  FAILED     16:40  exit 137, O…"]
    assert lines(40, is_ascii=True)[3] == "align-0412  FAILED     16:40  exit 13..."


def test_no_jobs() -> None:
    """Of no jobs there is no table."""
    assert [*listing([], lambda text, _: text, width=80)] == []


def test_counts() -> None:
    """States are counted in the order of a job's life."""
    assert [*counts_lines(JOBS, 80)] == ["4 jobs: 1 SUBMITTED, 1 RUNNABLE, 1 RUNNING, 1 FAILED"]
    assert [*counts_lines(JOBS, 40)] == ["4 jobs: 1 SUBMITTED, 1 RUNNABLE, 1", "RUNNING, 1 FAILED"]
    assert [*counts_lines([summary("a", "HIBERNATING", 0)], 40)] == ["1 job: 1 HIBERNATING"]


def test_what_is_odd() -> None:
    """A job of which AWS says little is listed all the same, and none breaks out of its line."""
    odd = {"jobId": "a\x1b[31m", "jobName": None, "status": "NEW\n", "createdAt": None}
    head, line = listing(
        [
            odd,
        ],
        lambda text, _: text,
        width=None,
        now=NOW,
    )
    assert head.split() == ["ID", "STATUS"]
    assert line.split() == [r"'a\x1b[31m'", r"'NEW\n'"]
