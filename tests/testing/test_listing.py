"""ListJobs: filters, pages and summaries, on literal times."""

from __future__ import annotations

import time
from typing import Any

import pytest

from awaitbatch.testing import LifeCycle
from tests.testing.service import Service


def listed(service: Service, now: float, **request: Any) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    token: dict[str, str] = {}
    while True:
        response = service.ask("ListJobs", now, **request, **token)
        ids += [job["jobId"] for job in response["jobSummaryList"]]
        if "nextToken" not in response:
            return ids
        token = {"nextToken": response["nextToken"]}


def filtered(service: Service, now: float, name: str, *values: str, **request: Any) -> list[str]:
    """The ids of all pages with one filter."""
    return listed(service, now, jobQueue="queue", filters=[{"name": name, "values": values}], **request)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["test1"], ["TEST1", "test1"]),
        (["TEST1*"], ["test10", "TEST1", "test1"]),
        (["*"], ["other", "test10", "TEST1", "test1"]),
        (["test10", "other"], ["other", "test10"]),
        (["est"], []),
    ],
)
def test_names_match_in_any_case_and_by_prefix(values: list[str], found: list[str]) -> None:
    """JOB_NAME matches whole names or, with an asterisk, beginnings; the newest come first, in every state."""
    service = Service()
    names = {service.add_job(job_name=name): name for name in ("test1", "TEST1", "test10", "other")}
    service.ask("TerminateJob", 0, jobId=next(iter(names)), reason="enough")
    assert [names[job_id] for job_id in filtered(service, 5, "JOB_NAME", *values)] == found
    assert [
        names[job_id] for job_id in filtered(service, 5, "JOB_NAME", *values, jobStatus="RUNNING")
    ] == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("one", ["one:2", "one"]),
        ("one*", ["one-more:1", "one:2", "one"]),
        ("ONE", []),
        ("arn:aws:batch:eu-west-1:111122223333:job-definition/one:1", ["one"]),
        ("arn:aws:batch:eu-west-1:111122223333:job-definition/one:2", ["one:2"]),
    ],
)
def test_definitions_match_by_name_or_by_arn(value: str, found: list[str]) -> None:
    """JOB_DEFINITION takes a name, for all revisions, the beginning of one, or the ARN of one revision."""
    service = Service()
    jobs = {service.add_job(job_definition=name): name for name in ("one", "one:2", "one-more:1")}
    assert [jobs[job_id] for job_id in filtered(service, 5, "JOB_DEFINITION", value)] == found


def test_the_time_of_creation_finds_jobs_of_every_state() -> None:
    """AFTER_CREATED_AT and BEFORE_CREATED_AT leave out the moment itself."""
    service = Service()
    ids = [service.add(now) for now in (1, 2, 3)]
    assert filtered(service, 52, "AFTER_CREATED_AT", "1000") == [ids[2], ids[1]]
    assert filtered(service, 52, "AFTER_CREATED_AT", "1999") == [ids[2], ids[1]]
    assert filtered(service, 52, "BEFORE_CREATED_AT", "2000") == [ids[0]]


def test_a_share_identifier_goes_with_a_status() -> None:
    """SHARE_IDENTIFIER is the one filter beside which jobStatus counts."""
    service = Service()
    ids = [service.add_job(share_identifier=share) for share in ("A", "B", "A")]
    service.ask("TerminateJob", 45, jobId=ids[0], reason="enough")
    assert filtered(service, 45, "SHARE_IDENTIFIER", "A") == [ids[2], ids[0]]
    assert filtered(service, 45, "SHARE_IDENTIFIER", "A", jobStatus="RUNNING") == [ids[2]]
    (summary,) = service.ask("ListJobs", 45, jobQueue="queue", jobStatus="FAILED")["jobSummaryList"]
    assert (summary["shareIdentifier"], summary["isTerminated"], "isCancelled" in summary) == (
        "A",
        True,
        False,
    )


def test_pages_with_a_filter_have_a_hundred() -> None:
    """A filter allows 100 jobs a page, whatever maxResults says; without one there are 1,000."""
    service = Service()
    ids = service.add_many(250)
    response = service.ask(
        "ListJobs", 5, jobQueue="queue", maxResults=1000, filters=[{"name": "JOB_NAME", "values": ["job"]}]
    )
    assert len(response["jobSummaryList"]) == 100
    assert filtered(service, 5, "JOB_NAME", "job") == ids[::-1]
    assert filtered(service, 5, "JOB_NAME", "job", maxResults=7) == ids[::-1]
    assert listed(service, 5, jobQueue="queue", jobStatus="SUBMITTED", maxResults=99) == ids


def test_pages_go_on_where_the_last_one_ended() -> None:
    """Jobs that come, change or vanish between two pages move no other job from one page to the next."""
    service = Service()
    ids = service.add_many(6)
    first = service.ask("ListJobs", 5, jobQueue="queue", jobStatus="SUBMITTED", maxResults=3)
    service.forget_job(ids[2])
    service.ask("CancelJob", 5, jobId=ids[0], reason="enough")
    new = service.add(now=5)
    second = service.ask("ListJobs", 5, jobQueue="queue", jobStatus="SUBMITTED", nextToken=first["nextToken"])
    assert [job["jobId"] for job in second["jobSummaryList"]] == [*ids[3:], new]


def test_nodes_are_listed_by_their_job() -> None:
    """The key multiNodeJobId gives nodes, arrayJobId children, and neither those of the other."""
    service = Service()
    nodes, array = service.add_job(nodes=2), service.add_job(array_size=2)
    listed_nodes = service.ask("ListJobs", 45, multiNodeJobId=nodes)["jobSummaryList"]
    assert [(job["jobId"], job["nodeProperties"]) for job in listed_nodes] == [
        (f"{nodes}#0", {"numNodes": 2, "nodeIndex": 0, "isMainNode": True}),
        (f"{nodes}#1", {"numNodes": 2, "nodeIndex": 1, "isMainNode": False}),
    ]
    assert listed(service, 45, arrayJobId=array, maxResults=1) == [f"{array}:0", f"{array}:1"]
    assert listed(service, 45, arrayJobId=nodes) == listed(service, 45, multiNodeJobId=array) == []
    (parent,) = service.ask("ListJobs", 45, jobQueue="queue")["jobSummaryList"]
    assert (parent["jobId"], parent["nodeProperties"]) == (nodes, {"numNodes": 2})


def test_failed_children_are_found_without_the_others() -> None:
    """Which children failed is found by one call for the parent and that status."""
    service = Service()
    fails = LifeCycle(
        submitted=0, pending=0, runnable=0, starting=0, running=1, outcome="FAILED", exit_code=3
    )
    array = service.add_job(array_size=500, children={7: fails, 400: fails})
    (first, second) = service.ask("ListJobs", 5, arrayJobId=array, jobStatus="FAILED")["jobSummaryList"]
    assert (first["arrayProperties"], second["arrayProperties"]) == ({"index": 7}, {"index": 400})
    assert first["container"] == {"exitCode": 3}


def test_a_page_begins_without_a_look_at_earlier_ones() -> None:
    """To read 10,000 jobs page by page takes as many looks at jobs as there are jobs, not that many for each page."""
    service = Service()
    ids = service.add_many(10_000)
    begun = time.process_time()
    assert listed(service, 5, jobQueue="queue", jobStatus="SUBMITTED", maxResults=100) == ids
    assert time.process_time() - begun < 3
