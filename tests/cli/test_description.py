"""A job as ``awaitbatch describe`` shows it, of literal descriptions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch.cli._description import description

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11"


def at(clock: str, day: int = 26) -> int:
    """Epoch milliseconds of a time of day."""
    hour, minute, second = map(int, clock.split(":"))
    return int(datetime(2026, 11, day, hour, minute, second, tzinfo=UTC).timestamp() * 1000)


NOW = at("12:00:00") / 1000
JOB = {
    "jobName": "align-0412",
    "jobId": ID,
    "jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/reads",
    "jobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/align:7",
    "createdAt": at("11:02:11"),
}
HEAD = f"align-0412  {ID}  {{}}  queue reads  definition align:7"


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def lines(width: int | None = None, **members: Any) -> list[str]:
    """What is shown of a job, without colours."""
    job = {**JOB, **members}
    return [*description(job, lambda text, _: text, width=width, region_name="us-east-1", now=NOW)]


def attempt(clock: str, end: str, stream: str, code: int = 137, **members: Any) -> dict[str, Any]:
    """An attempt that ran out of memory."""
    container = {
        "exitCode": code,
        "reason": "OutOfMemoryError: Container killed",
        "logStreamName": f"align/default/{stream}",
    }
    return {"startedAt": at(clock), "stoppedAt": at(end), "container": container, **members}


def test_a_job_that_failed() -> None:
    """Its times, how long it waited and ran, and why it failed, with the log."""
    shown = lines(
        status="FAILED",
        startedAt=at("11:10:40"),
        stoppedAt=at("11:14:52"),
        attempts=[attempt("11:10:40", "11:14:52", "ab12")],
    )
    assert shown == [
        HEAD.format("FAILED"),
        "  created 11:02:11  started 11:10:40  stopped 11:14:52  waited 8:29  ran 4:12",
        "  attempt 1  exit 137  OutOfMemoryError: Container killed  ran 4:12  log align/default/ab12",
    ]


def test_attempts() -> None:
    """With several attempts, the job has waited for the first one, and each says how long it ran."""
    shown = lines(
        status="FAILED",
        startedAt=at("11:20:00"),
        stoppedAt=at("11:22:11"),
        attempts=[attempt("11:10:40", "11:14:52", "ab12"), attempt("11:20:00", "11:22:11", "cd34")],
    )
    assert shown[1:] == [
        "  created 11:02:11  started 11:10:40  stopped 11:22:11  waited 8:29  took 20:00",
        "  attempt 1  exit 137  OutOfMemoryError: Container killed  ran 4:12  log align/default/ab12",
        "  attempt 2  exit 137  OutOfMemoryError: Container killed  ran 2:11  log align/default/cd34",
    ]


def test_narrow() -> None:
    """In few columns lines go on below, and nothing is lost."""
    members: dict[str, Any] = {
        "status": "FAILED",
        "startedAt": at("11:10:40"),
        "stoppedAt": at("11:14:52"),
        "attempts": [attempt("11:10:40", "11:14:52", "ab12")],
    }
    assert lines(80, **members)[-2:] == [
        "  attempt 1  exit 137  OutOfMemoryError: Container killed  ran 4:12",
        "             log align/default/ab12",
    ]
    assert lines(40, **members) == [
        "align-0412",
        f"  {ID}",
        "  FAILED  queue reads",
        "  definition align:7",
        "  created 11:02:11  started 11:10:40",
        "    stopped 11:14:52  waited 8:29",
        "    ran 4:12",
        "  attempt 1  exit 137",
        "    OutOfMemoryError: Container killed",
        "    ran 4:12  log align/default/ab12",
    ]


def test_days() -> None:
    """A day is named where it is another one."""
    shown = lines(createdAt=at("23:50:00", 24), startedAt=at("00:10:00", 25), status="RUNNING", attempts=[])
    assert shown[1] == (
        "  created 2026-11-24 23:50:00  started 2026-11-25 00:10:00  waited 20:00  running for 1d 11h"
    )
    assert (
        "started 00:10:00"
        in lines(createdAt=at("00:05:00", 25), startedAt=at("00:10:00", 25), status="RUNNING")[1]
    )


def test_a_job_that_runs() -> None:
    """An attempt that goes on is shown with its log, behind those that have failed."""
    container = {"logStreamName": "align/default/cd34"}
    members: dict[str, Any] = {"status": "RUNNING", "container": container, "retryStrategy": {"attempts": 3}}
    assert lines(startedAt=at("11:59:50"), **members)[1:] == [
        "  created 11:02:11  started 11:59:50  waited 57:39  running for 0:10",
        "  attempt 1 of 3  runs  log align/default/cd34",
    ]
    assert lines(startedAt=at("11:59:50"), attempts=[attempt("11:10:40", "11:14:52", "ab12")], **members)[
        2:
    ] == [
        "  attempt 1  exit 137  OutOfMemoryError: Container killed  ran 4:12  log align/default/ab12",
        "  attempt 2 of 3  runs  log align/default/cd34",
    ]


def test_a_job_that_waits() -> None:
    """What AWS says of it is shown, or which jobs it waits for."""
    assert lines(status="RUNNABLE", statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT") == [
        HEAD.format("RUNNABLE"),
        "  created 11:02:11  waiting for 57:49",
        "  MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    ]
    assert lines(status="PENDING", dependsOn=[{"jobId": name} for name in "abcde"])[2:] == [
        "  waits for  a  b  c  2 more"
    ]


def test_a_job_that_was_terminated() -> None:
    """Who has ended it said why, which no attempt tells."""
    shown = lines(
        status="FAILED",
        stoppedAt=at("11:14:52"),
        startedAt=at("11:10:40"),
        isTerminated=True,
        statusReason="wrong input",
        attempts=[attempt("11:10:40", "11:14:52", "ab12")],
    )
    assert shown[-1] == ("  failed after 1 attempt: somebody terminated it, exit code 137 (wrong input)")
    assert lines(status="FAILED", stoppedAt=at("11:14:52"), isTerminated=True, statusReason="wrong input")[
        1:
    ] == [
        "  created 11:02:11  stopped 11:14:52  waited 12:41",
        "  failed before its first attempt: somebody terminated it (wrong input)",
    ]


def test_an_array() -> None:
    """An array has counts, and a command that tells which of its children failed."""
    properties = {
        "size": 10_000,
        "statusSummary": {"FAILED": 20, "RUNNING": 480, "SUCCEEDED": 9500, "PENDING": 0},
    }
    assert lines(status="PENDING", arrayProperties=properties)[1:] == [
        "  created 11:02:11  under way for 57:49",
        "  10,000 children  480 RUNNING, 9,500 SUCCEEDED, 20 FAILED",
        f"  which failed:  awaitbatch list --children {ID} --status FAILED",
    ]
    ended = {"size": 2, "statusSummary": {"FAILED": 1, "SUCCEEDED": 1}}
    shown = lines(
        status="FAILED",
        statusReason="Array Child Job failed",
        stoppedAt=at("11:14:52"),
        arrayProperties=ended,
    )
    assert shown[1] == "  created 11:02:11  stopped 11:14:52  took 12:41"
    assert len(shown) == 4


def test_nodes() -> None:
    """A multi-node job has its nodes, and a node says which it is."""
    nodes = {"numNodes": 4, "mainNode": 0, "nodeRangeProperties": []}
    assert lines(status="RUNNING", startedAt=at("11:10:40"), nodeProperties=nodes)[2:] == [
        f"  4 nodes  main node 0  awaitbatch list --children {ID}"
    ]
    node = lines(status="RUNNABLE", jobId=f"{ID}#2", nodeDetails={"nodeIndex": 2, "isMainNode": False})
    assert node[0].endswith("definition align:7  node 2")
    node = lines(status="RUNNABLE", jobId=f"{ID}#0", nodeDetails={"nodeIndex": 0, "isMainNode": True})
    assert node[0].endswith("definition align:7  main node 0")


def test_several_containers() -> None:
    """Each of several containers has its name, its exit code and its log; a group or region of its own is named."""
    containers = [
        {"name": "main", "exitCode": 1, "reason": "boom", "logStreamName": "main/1"},
        {"name": "proxy", "exitCode": 0, "logStreamName": "proxy/1"},
    ]
    options = {"awslogs-group": "/proxies", "awslogs-region": "eu-west-1"}
    configured = [
        {"name": "main"},
        {"name": "proxy", "logConfiguration": {"logDriver": "awslogs", "options": options}},
    ]
    shown = lines(
        status="FAILED",
        ecsProperties={"taskProperties": [{"containers": configured}]},
        attempts=[{"taskProperties": [{"containers": containers}]}],
    )
    assert shown[2] == (
        "  attempt 1  main: exit 1  boom  proxy: exit 0  log main/1  log proxy/1 in /proxies in eu-west-1"
    )


def test_on_kubernetes() -> None:
    """Attempts on Amazon EKS are shown, too, and have no log that AWS Batch knows of."""
    attempts = [{"containers": [{"name": "main", "exitCode": 3, "reason": "Error"}], "podName": "p"}]
    assert lines(status="FAILED", eksAttempts=attempts, eksProperties={"podProperties": {}})[2] == (
        "  attempt 1  exit 3  Error"
    )


def test_what_others_wrote() -> None:
    """No text breaks out of its line."""
    evil = "\x1b[31mred\x1b]0;title\x07\nnext"
    container = {"exitCode": 1, "reason": evil, "logStreamName": evil}
    shown = lines(
        jobName=evil,
        jobQueue=evil,
        jobDefinition=evil,
        status="FAILED",
        statusReason=evil,
        isTerminated=True,
        attempts=[{"container": container, "statusReason": evil}],
        dependsOn=[{"jobId": evil}],
    )
    assert len(shown) == 4
    assert all(line.isprintable() for line in shown)
    assert len([line for line in shown if r"\x1b[31m" in line]) == 3


def test_times_that_cannot_be() -> None:
    """A moment that no calendar has breaks nothing."""
    assert lines(status="RUNNABLE", createdAt=10**20)[1].startswith("  created 1970-01-01")
