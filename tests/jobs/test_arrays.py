"""What the parent of an array job counts as, by what its children do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from awaitbatch._responses import DescribeJobsResponse

from .descriptions import body_of, describe_jobs


def counts_as_running(array_properties: Any) -> bool:
    """Whether a parent with these properties counts as RUNNING, and as nothing else."""
    parent = {"jobId": "a", "status": "PENDING", "arrayProperties": array_properties}
    head = DescribeJobsResponse(body_of(parent, {"jobId": "b", "status": "RUNNING"})).heads["a"]
    assert head.status == "PENDING"
    assert not head.counts_as_any_of({"SUCCEEDED", "FAILED", "PENDING", "STARTING"})
    return head.counts_as_any_of({"RUNNING", "FAILED"})


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_a_child_that_runs_or_has_ended(status: str) -> None:
    """One of ten thousand is enough."""
    assert counts_as_running({"size": 10_000, "statusSummary": {"PENDING": 9_999, status: 1}})


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "HIBERNATING"])
def test_children_that_have_not_run(status: str) -> None:
    """Any other state of children leaves the parent what AWS says it is."""
    summary = {"RUNNING": 0, "SUCCEEDED": 0, "FAILED": 0, status: 10_000}
    assert not counts_as_running({"size": 10_000, "statusSummary": summary})


ODD: list[Any] = [
    None,
    {},
    {"index": 3},
    {"statusSummary": None},
    {"statusSummary": {}},
    {"statusSummary": []},
    {"statusSummary": [{"RUNNING": 1}]},
    {"statusSummary": "RUNNING"},
    *({"statusSummary": {"RUNNING": odd}} for odd in (None, "1", 0, -1, 1.5, True, [1], {"RUNNING": 1})),
    [],
    "RUNNING",
    7,
    True,
]


@pytest.mark.parametrize("array_properties", ODD, ids=repr)
def test_properties_of_any_kind(array_properties: Any) -> None:
    """What nobody foresaw counts for nothing, and hides neither the job nor its neighbours."""
    assert not counts_as_running(array_properties)


def test_properties_that_cannot_be_decoded() -> None:
    """Nor does what is no text, or nested without end."""
    for odd in (b'{"statusSummary": {"\\ud83d": 1}}', b'{"statusSummary": {"RUNNING": 1e999}}'):
        body = b'{"jobs": [{"jobId": "a", "status": "PENDING", "arrayProperties": %s}]}' % odd
        head = DescribeJobsResponse(body).heads["a"]
        assert (head.status, head.counts_as_any_of({"RUNNING"})) == ("PENDING", False)


def test_the_modelled_service() -> None:
    """The parent in a realistic answer counts as RUNNING; the child and the others are what they are."""
    heads = DescribeJobsResponse(describe_jobs()).heads
    assert [job_id for job_id, head in heads.items() if head.counts_as_any_of({"RUNNING"})] == ["array"]
    assert msgspec.json.decode(describe_jobs())["jobs"][-1]["arrayProperties"]["index"] == 1
