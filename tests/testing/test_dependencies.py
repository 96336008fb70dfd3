"""Jobs that depend on others, on literal times."""

from __future__ import annotations

import time
from typing import Any

import pytest

from awaitbatch.testing import LifeCycle
from tests.testing.service import Service

FAILS = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=10, outcome="FAILED")
NEVER_ENDS = LifeCycle(running=float("inf"))


def test_a_dependant_is_pending_until_all_have_succeeded() -> None:
    """It leaves PENDING when the last job that it needs has succeeded, and then lives its own life."""
    service = Service()
    first, second = service.add(), service.add(now=5)
    dependant = service.submit(5, dependsOn=[{"jobId": first}, {"jobId": second}])
    seen = {now: service.see(dependant, now)["status"] for now in (10, 15, 50, 54, 55, 65, 75, 85)}
    assert seen == {
        10: "SUBMITTED",
        15: "PENDING",
        50: "PENDING",
        54: "PENDING",
        55: "RUNNABLE",
        65: "STARTING",
        75: "RUNNING",
        85: "SUCCEEDED",
    }
    assert service.see(dependant, 0)["dependsOn"] == [{"jobId": first}, {"jobId": second}]


def test_a_dependant_on_what_has_succeeded_waits_for_nothing() -> None:
    """A job that has succeeded already holds up nobody."""
    service = Service()
    first = service.add()
    dependant = service.submit(1000, dependsOn=[{"jobId": first}])
    assert service.statuses(1020, dependant) == ["RUNNABLE"]


def test_a_dependant_fails_with_the_first_that_fails() -> None:
    """It never runs when one of its jobs fails, and neither does a job that depends on it."""
    service = Service()
    good, bad = service.add(life_cycle=NEVER_ENDS), service.add(life_cycle=FAILS)
    dependant = service.submit(dependsOn=[{"jobId": good}, {"jobId": bad}])
    last = service.submit(dependsOn=[{"jobId": dependant}])
    assert service.statuses(49, dependant, last) == ["PENDING", "PENDING"]
    for job_id in (dependant, last):
        job = service.see(job_id, 50)
        assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")
        assert (job["attempts"], "startedAt" in job, job["isTerminated"]) == ([], False, False)
        assert job["stoppedAt"] == 50_000


def test_a_dependant_on_what_has_failed_fails_too() -> None:
    """It fails when it would have left PENDING."""
    service = Service()
    bad = service.add(life_cycle=FAILS)
    dependant = service.submit(1000, dependsOn=[{"jobId": bad}])
    assert [service.see(dependant, now)["status"] for now in (1005, 1015, 1020)] == [
        "SUBMITTED",
        "PENDING",
        "FAILED",
    ]


@pytest.mark.parametrize("operation", ["CancelJob", "TerminateJob"])
def test_what_a_user_ended_counts_as_failed(operation: str) -> None:
    """Who depends on a job that a user ends fails at that moment, down the whole chain."""
    service = Service()
    chain = [service.add()]
    for _ in range(3):
        chain.append(service.submit(dependsOn=[{"jobId": chain[-1]}]))
    assert service.statuses(20, *chain[1:]) == ["PENDING"] * 3
    service.ask(operation, 25, jobId=chain[0], reason="enough")
    assert [service.see(job_id, 25)["statusReason"] for job_id in chain] == [
        "enough",
        *["Dependent Job failed"] * 3,
    ]
    assert [service.ended_at(job_id) for job_id in chain] == [25] * 4


@pytest.mark.parametrize("operation", ["CancelJob", "TerminateJob"])
def test_a_pending_job_ends_after_what_it_depends_on(operation: str) -> None:
    """As AWS Batch has it, a PENDING job is cancelled once the jobs that it depends on have completed."""
    service = Service()
    first = service.add()
    dependant = service.submit(dependsOn=[{"jobId": first}])
    service.ask(operation, 30, jobId=dependant, reason="enough")
    waiting, ended = service.see(dependant, 49), service.see(dependant, 50)
    assert (waiting["status"], ended["status"], ended["statusReason"]) == ("PENDING", "FAILED", "enough")
    assert ended["isCancelled"] is (operation == "CancelJob")
    assert waiting["isCancelled"] is (operation == "CancelJob")
    service.ask("TerminateJob", 45, jobId=first, reason="both")
    assert service.see(dependant, 45)["statusReason"] == "enough"


def test_the_past_stays_as_it_was() -> None:
    """A job that has started is not stopped by what becomes of the jobs that it needed."""
    service = Service()
    first = service.add()
    dependant = service.submit(dependsOn=[{"jobId": first}])
    service.ask("TerminateJob", 55, jobId=first, reason="too late")
    assert service.statuses(80, first, dependant) == ["SUCCEEDED", "SUCCEEDED"]


def test_a_whole_array_is_waited_for() -> None:
    """Who depends on an array needs all of its children."""
    service = Service()
    array = service.add(size=3)
    dependant = service.submit(dependsOn=[{"jobId": array}])
    assert service.statuses(49, dependant) == ["PENDING"]
    assert service.statuses(50, dependant) == ["RUNNABLE"]
    service.ask("TerminateJob", 45, jobId=f"{array}:1", reason="enough")
    assert service.see(dependant, 50)["statusReason"] == "Dependent Job failed"


def test_an_array_waits_as_a_whole() -> None:
    """All children of an array wait for what it depends on, and fail with it."""
    service = Service()
    first = service.add()
    array = service.submit(dependsOn=[{"jobId": first}], arrayProperties={"size": 2})
    assert service.see(array, 45)["arrayProperties"]["statusSummary"]["PENDING"] == 2
    assert service.statuses(50, f"{array}:0", f"{array}:1", array) == ["RUNNABLE", "RUNNABLE", "PENDING"]
    service.ask("TerminateJob", 45, jobId=first, reason="enough")
    for job_id in (array, f"{array}:0", f"{array}:1"):
        job = service.see(job_id, 45)
        assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")


def test_sequential_children_run_one_after_another() -> None:
    """With SEQUENTIAL each child waits for the one before it, and the rest fail when one does."""
    service = Service()
    array = service.submit(dependsOn=[{"type": "SEQUENTIAL"}], arrayProperties={"size": 4})
    children = [f"{array}:{index}" for index in range(4)]
    assert service.statuses(45, *children) == ["RUNNING", "PENDING", "PENDING", "PENDING"]
    assert service.statuses(75, *children) == ["SUCCEEDED", "RUNNING", "PENDING", "PENDING"]
    service.ask("TerminateJob", 75, jobId=children[1], reason="enough")
    assert service.statuses(75, *children, array) == ["SUCCEEDED", "FAILED", "FAILED", "FAILED", "FAILED"]
    assert service.see(children[3], 75)["statusReason"] == "Dependent Job failed"
    assert service.see(array, 75)["statusReason"] == "Array Child Job failed"


def test_n_to_n_children_wait_for_their_counterparts() -> None:
    """With N_TO_N each child needs the child of its index alone."""
    service = Service()
    slow = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=100)
    service.now = 0
    array = service.add_job(array_size=3, children={1: slow, 2: FAILS})
    other = service.submit(dependsOn=[{"jobId": array, "type": "N_TO_N"}], arrayProperties={"size": 3})
    children = [f"{other}:{index}" for index in range(3)]
    assert service.statuses(49, *children) == ["PENDING", "PENDING", "PENDING"]
    assert service.statuses(50, *children) == ["RUNNABLE", "PENDING", "FAILED"]
    assert service.statuses(140, *children, other) == ["SUCCEEDED", "RUNNABLE", "FAILED", "PENDING"]
    assert service.see(other, 170)["statusReason"] == "Array Child Job failed"


def test_twenty_dependencies_are_allowed() -> None:
    """A job may depend on 20 jobs, not on 21."""
    service = Service()
    jobs = [{"jobId": service.add()} for _ in range(21)]
    service.submit(dependsOn=jobs[:20])
    request: dict[str, Any] = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition"}
    assert service.refusal("SubmitJob", **request, dependsOn=jobs) == (400, "ClientException")


@pytest.mark.parametrize(
    "change",
    [
        {"dependsOn": [{"jobId": "nobody"}]},
        {"dependsOn": [{"jobId": "nobody", "type": "N_TO_N"}], "arrayProperties": {"size": 3}},
        {"dependsOn": [{}]},
        {"dependsOn": [{"type": "N_TO_N"}], "arrayProperties": {"size": 3}},
        {"dependsOn": [{"type": "SEQUENTIAL"}]},
        {"dependsOn": [{"jobId": "array", "type": "SEQUENTIAL"}], "arrayProperties": {"size": 3}},
        {"dependsOn": [{"jobId": "array", "type": "N_TO_N"}]},
        {"dependsOn": [{"jobId": "array", "type": "N_TO_N"}], "arrayProperties": {"size": 4}},
        {"dependsOn": [{"jobId": "single", "type": "N_TO_N"}], "arrayProperties": {"size": 3}},
        {"dependsOn": [{"jobId": "array", "type": "ALL"}]},
    ],
    ids=str,
)
def test_dependencies_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    """An unknown job, a type without what it needs, and arrays of different sizes are refused."""
    service = Service()
    service.add_job("array", array_size=3)
    service.add_job("single")
    request = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition", **change}
    assert service.refusal("SubmitJob", **request) == (400, "ClientException")
    assert len(service._model.jobs) == 5


def test_added_jobs_may_depend_on_others() -> None:
    """`add_job` takes ids, or dependencies as SubmitJob has them, and refuses what SubmitJob refuses."""
    service = Service()
    first = service.add_job(array_size=2)
    second = service.add_job(depends_on=[first])
    third = service.add_job(
        array_size=2, depends_on=[{"jobId": first, "type": "N_TO_N"}, {"type": "SEQUENTIAL"}]
    )
    assert service.statuses(45, second, f"{third}:0", f"{third}:1") == ["PENDING"] * 3
    assert service.statuses(75, second, f"{third}:0", f"{third}:1") == ["RUNNING", "RUNNING", "PENDING"]
    with pytest.raises(ValueError, match="does not exist: 'nobody'"):
        service.add_job(depends_on=["nobody"])
    with pytest.raises(ValueError, match="not a dependency"):
        service.add_job(depends_on=[{"id": first}])


def test_ending_the_first_of_ten_thousand_takes_no_time() -> None:
    """A change costs as much as it concerns jobs: here a SEQUENTIAL array of 10,000, and a chain behind it."""
    service = Service()
    array = service.add_job(array_size=10_000, depends_on=[{"type": "SEQUENTIAL"}])
    dependant = service.add_job(depends_on=[array])
    begun = time.process_time()
    service.ask("TerminateJob", 45, jobId=f"{array}:0", reason="enough")
    service.ask("TerminateJob", 45, jobId=array, reason="enough")
    assert service.statuses(45, array, dependant) == ["FAILED", "FAILED"]
    assert time.process_time() - begun < 5
