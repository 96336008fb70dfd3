"""The children of arrays and the nodes of multi-node jobs, on literal times."""

from __future__ import annotations

import time

import pytest

from awaitbatch.testing import LifeCycle
from awaitbatch.testing._model.job import Census, Job
from tests.testing.service import TEN_SECONDS_EACH, Service

FAILS = LifeCycle(
    submitted=10, pending=10, runnable=10, starting=10, running=10, outcome="FAILED", exit_code=3
)


def test_single_children_may_have_lives_of_their_own() -> None:
    """Three of 200 children fail, which fails the array and is counted."""
    service = Service()
    array = service.add_job(array_size=200, children=dict.fromkeys((3, 70, 199), FAILS))
    assert service.statuses(50, f"{array}:3", f"{array}:4", f"{array}:199") == [
        "FAILED",
        "SUCCEEDED",
        "FAILED",
    ]
    assert service.see(f"{array}:70", 50)["container"]["exitCode"] == 3
    parent = service.see(array, 50)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert parent["arrayProperties"]["statusSummary"] == {
        "SUBMITTED": 0,
        "PENDING": 0,
        "RUNNABLE": 0,
        "STARTING": 0,
        "RUNNING": 0,
        "SUCCEEDED": 197,
        "FAILED": 3,
    }


def test_parameters_name_single_children() -> None:
    """A submission says by its parameters what becomes of all children, and of single ones."""
    service = Service()
    slow = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=100)
    parameters = {"awaitbatch.running": "20", "awaitbatch.1.outcome": "FAILED", **slow.to_parameters(index=2)}
    array = service.submit(parameters=parameters, arrayProperties={"size": 3})
    children = [f"{array}:{index}" for index in range(3)]
    assert service.statuses(59, *children) == ["RUNNING"] * 3
    assert service.statuses(60, *children) == ["SUCCEEDED", "FAILED", "RUNNING"]
    assert service.statuses(140, array) == ["FAILED"]


@pytest.mark.parametrize("parameter", ["awaitbatch.2.outcome", "awaitbatch.x.outcome", "awaitbatch.1.color"])
def test_parameters_of_children_that_do_not_exist_are_refused(parameter: str) -> None:
    """An index beyond the array, or a name that a life cycle does not have, is refused."""
    request = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition"}
    array = {"arrayProperties": {"size": 2}, "parameters": {parameter: "FAILED"}}
    assert Service().refusal("SubmitJob", 0, **request, **array) == (400, "ClientException")


def test_lives_of_children_that_do_not_exist_are_refused() -> None:
    """`add_job` refuses them, too."""
    for settings in (
        {"array_size": 2, "children": {2: FAILS}},
        {"children": {0: FAILS}},
        {"nodes": 1, "children": {-1: FAILS}},
    ):
        with pytest.raises(ValueError, match="children, whose life cycles are given"):
            Service().add_job(**settings)


def test_the_main_node_decides() -> None:
    """A multi-node job is in the state of its first node, and no node outlives that one."""
    service = Service()
    short = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=5)
    endless = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=float("inf"))
    job_id = service.add_job(nodes=3, children={0: FAILS, 1: short, 2: endless})
    nodes = [f"{job_id}#{index}" for index in range(3)]
    assert service.statuses(45, job_id, *nodes) == ["RUNNING", "RUNNING", "SUCCEEDED", "RUNNING"]
    assert service.statuses(50, job_id, *nodes) == ["FAILED", "FAILED", "SUCCEEDED", "FAILED"]
    parent, main, other = (service.see(one, 50) for one in (job_id, nodes[0], nodes[1]))
    assert parent["nodeProperties"]["numNodes"] == 3
    assert parent["attempts"][0]["container"]["exitCode"] == 3
    assert main["nodeDetails"] == {"nodeIndex": 0, "isMainNode": True}
    assert other["nodeDetails"] == {"nodeIndex": 1, "isMainNode": False}
    assert "arrayProperties" not in parent | main | other


def test_a_multi_node_job_is_submitted_with_its_nodes() -> None:
    """``nodeOverrides.numNodes`` makes one, which waits for its dependencies, and is ended with its nodes."""
    service = Service()
    first = service.add()
    job_id = service.submit(nodeOverrides={"numNodes": 2}, dependsOn=[{"jobId": first}])
    last = service.submit(dependsOn=[{"jobId": job_id}])
    assert service.statuses(49, job_id, f"{job_id}#1", last) == ["PENDING", "PENDING", "PENDING"]
    assert service.statuses(75, job_id, f"{job_id}#1", last) == ["RUNNING", "RUNNING", "PENDING"]
    service.ask("TerminateJob", 75, jobId=job_id, reason="enough")
    assert service.statuses(75, job_id, f"{job_id}#0", f"{job_id}#1", last) == ["FAILED"] * 4
    assert service.see(job_id, 75)["statusReason"] == "enough"
    assert service.see(job_id, 75)["isTerminated"]
    for size, nodes in ((2, 2), (None, 0)):
        array = {} if size is None else {"arrayProperties": {"size": size}}
        overrides = {"nodeOverrides": {"numNodes": nodes}}
        request = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition"}
        assert service.refusal("SubmitJob", 0, **request, **array, **overrides) == (400, "ClientException")


def test_ending_the_main_node_ends_all() -> None:
    """The other nodes end with it, and so does the job."""
    service = Service()
    job_id = service.add_job(nodes=2)
    service.ask("TerminateJob", 45, jobId=f"{job_id}#0", reason="enough")
    assert service.statuses(45, job_id, f"{job_id}#1") == ["FAILED", "FAILED"]


def test_cancelling_an_array_marks_it() -> None:
    """An array whose children were cancelled shows that, and the reason."""
    service = Service()
    array = service.add_job(
        array_size=2, children={1: LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=40)}
    )
    service.ask("CancelJob", 25, jobId=array, reason="enough")
    assert service.statuses(25, array, f"{array}:0", f"{array}:1") == ["PENDING", "FAILED", "RUNNING"]
    parent = service.see(array, 40)
    assert (parent["status"], parent["statusReason"], parent["isCancelled"]) == ("FAILED", "enough", True)


def test_a_census_counts_as_the_jobs_themselves_show() -> None:
    """Its counts are those of a look at each job, at every moment, before the first one and with retries too."""
    service = Service()
    array = service.add_job(array_size=30, children={3: FAILS, 4: LifeCycle(attempts=3, running=7)})
    assert service.see(array, 33)["arrayProperties"]["statusSummary"]["FAILED"] == 0
    service.ask("TerminateJob", 33, jobId=f"{array}:7", reason="enough")
    assert service.see(array, 33)["arrayProperties"]["statusSummary"]["FAILED"] == 1
    children: list[Job] = service._model.jobs[array].children
    census = Census(children)
    for now in (-1, 0, *range(1, 60)):
        shown = [child.status(now) for child in children]
        assert dict(census.count(now)) == {status: shown.count(status) for status in census.count(now)}


def test_describing_a_large_array_looks_at_no_child() -> None:
    """The parent of 10,000 children is described again and again without counting them each time."""
    service = Service()
    array = service.add_job(array_size=10_000, life_cycle=TEN_SECONDS_EACH)
    service.see(array, 0)
    begun = time.process_time()
    for now in range(1, 50):
        service.see(array, now)
    assert time.process_time() - begun < 0.5
