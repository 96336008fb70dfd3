"""Descriptions that AWS Batch does not give: what cannot be read counts as absent, and nothing raises."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from awaitbatch._arrays import Children, JobProgress
from awaitbatch._failure_causes import explain_failure
from awaitbatch._log_locations import DEFAULT_GROUP, find_log_locations
from awaitbatch.cli._description import description
from awaitbatch.cli._job_records import json_line, record_of
from awaitbatch.cli._listing import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTAINER: Final[dict[str, Any]] = {
    "name": "main",
    "exitCode": 1,
    "reason": "no luck",
    "logStreamName": "job/default/1",
    "essential": True,
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r"}},
}
TASKS: Final = {"taskProperties": [{"containers": [CONTAINER]}]}
COMMON: Final[dict[str, Any]] = {
    "jobId": "a-job",
    "jobName": "align",
    "jobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/reads",
    "jobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/align:7",
    "statusReason": "Essential container in task exited",
    "createdAt": 1,
    "startedAt": 2,
    "stoppedAt": 3,
    "retryStrategy": {"attempts": 2},
    "timeout": {"attemptDurationSeconds": 60},
    "isTerminated": False,
    "dependsOn": [{"jobId": "another"}],
}
ATTEMPT: Final = {"startedAt": 2, "stoppedAt": 3, "statusReason": "no luck"}
JOBS: Final[list[dict[str, Any]]] = [
    {"container": CONTAINER, "attempts": [{"container": CONTAINER, **ATTEMPT}], "status": "FAILED"},
    {"ecsProperties": TASKS, "attempts": [{**TASKS, **ATTEMPT}], "status": "RUNNING"},
    {
        "eksProperties": {"podProperties": {"containers": [CONTAINER], "initContainers": [CONTAINER]}},
        "eksAttempts": [{"containers": [CONTAINER], **ATTEMPT}],
        "status": "FAILED",
    },
    {
        "nodeProperties": {
            "numNodes": 2,
            "mainNode": 0,
            "nodeRangeProperties": [{"targetNodes": "0:1", "container": CONTAINER, "ecsProperties": TASKS}],
        },
        "nodeDetails": {"nodeIndex": 0, "isMainNode": True},
        "attempts": [{"container": CONTAINER, **ATTEMPT}],
        "status": "SUCCEEDED",
    },
    {
        "arrayProperties": {"size": 3, "statusSummary": {"FAILED": 1}, "statusSummaryLastUpdatedAt": 3},
        "status": "PENDING",
    },
]
"""A job of every shape, with all members that anybody reads."""

ODD: Final[list[Any]] = [
    *(None, True, -1, float("inf"), 10**400, "", "a\0\ud83d", "9" * 5000),
    *([], {}, [None, 7, "x", [], {}], {"a": 1}, {"a": []}),
]

READERS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "logs": lambda job: find_log_locations(job, "us-east-1"),
    "failure": explain_failure,
    "progress": JobProgress.of,
    "children": Children.of,
    "text": lambda job: list(description(job, lambda text, _: text, width=80, region_name="us-east-1")),
    "table": lambda job: list(listing([job], lambda text, _: text, width=None)),
    "record": lambda job: json.loads(json_line(record_of(job)), parse_constant=pytest.fail),
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each member of a value at any depth, as what holds it, and its key in there."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("shape", range(len(JOBS)))
def test_any_member_is_odd(shape: int, reader: str) -> None:
    """Whatever is in the place of one member, or nothing, the job is read."""
    job = copy.deepcopy(COMMON | JOBS[shape])
    # The same container must not be changed in two places.
    job = json.loads(json.dumps(job))
    for holder, key in [*places(job)]:
        kept = holder[key]
        for odd in ODD:
            holder[key] = odd
            READERS[reader](job)
        if isinstance(holder, dict):
            del holder[key]
            READERS[reader](job)
        holder[key] = kept


def test_logs_beside_what_is_odd() -> None:
    """What can be read of the logs is, whatever is beside it."""
    good = {"logStreamName": "good"}
    job = {
        "container": 7,
        "attempts": [None, {"container": []}, {"container": good}, "x"],
        "nodeProperties": [],
    }
    infos, obstacle = find_log_locations(job, "us-east-1")
    assert obstacle is None
    (info,) = infos
    assert (info["awslogs_stream_name"], info["awslogs_group"]) == ("good", DEFAULT_GROUP)
