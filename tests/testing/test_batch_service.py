"""The service responds as AWS Batch does: bodies in, bodies out, literal times."""

from __future__ import annotations

import json
from typing import Any

import pytest

from awaitbatch.testing import LifeCycle, TokenBucket
from awaitbatch.testing._model.service_error import ServiceError
from tests.testing.service import Service


def test_the_clock_alone_moves_a_job() -> None:
    """A job shows the state that its life cycle has at the time of the call, in whatever order one asks."""
    service = Service()
    job_id = service.add(now=100)
    seen = {now: service.see(job_id, now)["status"] for now in (155, 100, 110, 109, 125, 135, 145, 150)}
    assert seen == {
        100: "SUBMITTED",
        109: "SUBMITTED",
        110: "PENDING",
        125: "RUNNABLE",
        135: "STARTING",
        145: "RUNNING",
        150: "SUCCEEDED",
        155: "SUCCEEDED",
    }


def test_a_clock_set_back_shows_the_beginning() -> None:
    """Before its submission a job can only be SUBMITTED."""
    service = Service()
    assert service.see(service.add(now=100), 50)["status"] == "SUBMITTED"


def test_times_appear_with_their_states() -> None:
    """There is no startedAt before RUNNING and no stoppedAt before the end, and all are milliseconds."""
    service = Service()
    job_id = service.add(now=1)
    starting, running, ended = (service.see(job_id, now) for now in (35, 45, 60))
    assert (starting["createdAt"], "startedAt" in starting) == (1000, False)
    assert (running["startedAt"], "stoppedAt" in running) == (41_000, False)
    assert (ended["startedAt"], ended["stoppedAt"]) == (41_000, 51_000)


def test_the_log_stream_appears_with_running() -> None:
    """The container names its log stream from RUNNING on, and its attempt names the same."""
    service = Service()
    job_id = service.add()
    assert "logStreamName" not in service.see(job_id, 35)["container"]
    stream = service.see(job_id, 45)["container"]["logStreamName"]
    ended = service.see(job_id, 55)
    assert stream.startswith("definition/default/")
    assert ended["container"]["logStreamName"] == ended["attempts"][0]["container"]["logStreamName"] == stream


def test_retries_leave_attempts_behind() -> None:
    """A retry takes the job from RUNNING to RUNNABLE with one more attempt, and the last attempt decides."""
    service = Service()
    job_id = service.add(
        life_cycle=LifeCycle(
            submitted=0,
            pending=0,
            runnable=1,
            starting=1,
            running=1,
            attempts=2,
            outcome="FAILED",
            exit_code=9,
            reason="OutOfMemoryError: Container killed due to memory usage",
            status_reason="Host EC2 (instance i-0123) terminated.",
        )
    )
    seen = [service.see(job_id, now) for now in (2.5, 3.5, 5.5, 6.5)]
    assert [(job["status"], len(job["attempts"])) for job in seen] == [
        ("RUNNING", 0),
        ("RUNNABLE", 1),
        ("RUNNING", 1),
        ("FAILED", 2),
    ]
    first, last = seen[-1]["attempts"]
    assert (first["container"]["exitCode"], first["startedAt"], first["stoppedAt"]) == (1, 2000, 3000)
    assert last["container"]["exitCode"] == seen[-1]["container"]["exitCode"] == 9
    assert last["container"]["reason"].startswith("OutOfMemoryError")
    assert last["statusReason"] == seen[-1]["statusReason"] == "Host EC2 (instance i-0123) terminated."
    assert first["container"]["logStreamName"] != last["container"]["logStreamName"]
    assert "startedAt" not in seen[1]


def test_descriptions_are_as_large_as_ordered() -> None:
    """A description has at least the bytes that were asked for, in every state."""
    service = Service()
    job_id = service.add()
    for now in (5, 15, 25, 35, 45, 55):
        service.now = now
        body = service._respond("DescribeJobs", json.dumps({"jobs": [job_id]}).encode()).body
        assert len(body) >= 2500


def test_unknown_jobs_are_absent_and_repeated_ones_answered_once() -> None:
    """DescribeJobs answers for each job that exists, once."""
    service = Service()
    one, other = service.add(), service.add()
    response = service.ask("DescribeJobs", 0, jobs=[one, "no-such-job", other, one, "no-such-array:7"])
    assert [job["jobId"] for job in response["jobs"]] == [one, other]
    assert service.ask("DescribeJobs", 0, jobs=["no-such-job"]) == {"jobs": []}


@pytest.mark.parametrize(
    "jobs",
    [[], [f"job-{number}" for number in range(101)], ["good", "not good"], [""], ["a:b"], ["a" * 129]],
    ids=["empty", "101", "blank inside", "empty id", "child that is no number", "too long"],
)
def test_describe_refuses_the_whole_call(jobs: list[str]) -> None:
    """More than 100 ids, none, or a malformed one fail the whole call with ClientException."""
    service = Service()
    assert service.refusal("DescribeJobs", jobs=jobs) == (400, "ClientException")
    assert service.statistics.failed == {"DescribeJobs": 1}


def test_a_forgotten_job_vanishes() -> None:
    """A job that is forgotten is absent from later responses, and forgetting it twice is no error."""
    service = Service()
    job_id = service.add()
    service.forget_job(job_id)
    service.forget_job(job_id)
    assert service.ask("DescribeJobs", 0, jobs=[job_id]) == {"jobs": []}


def test_submitted_parameters_choose_the_life_cycle() -> None:
    """A submission's parameters say how long the job runs and how it ends."""
    service = Service()
    life_cycle = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=3, outcome="FAILED")
    response = service.ask(
        "SubmitJob",
        0,
        jobName="mine",
        jobQueue="queue",
        jobDefinition="definition:3",
        parameters=life_cycle.to_parameters(),
        tags={"Team": "one"},
        containerOverrides={"command": ["true"], "environment": [{"name": "A", "value": "b"}]},
    )
    assert response["jobName"] == "mine"
    assert response["jobArn"] == f"arn:aws:batch:eu-west-1:111122223333:job/{response['jobId']}"
    job = service.see(response["jobId"], 3)
    assert (job["status"], job["tags"]["Team"], job["container"]["command"]) == ("FAILED", "one", ["true"])
    assert {"name": "A", "value": "b"} in job["container"]["environment"]
    assert job["jobDefinition"].endswith(":job-definition/definition:3")


@pytest.mark.parametrize(
    "change",
    [
        {"jobName": ""},
        {"jobName": "not a name"},
        {"jobQueue": ""},
        {"jobDefinition": ""},
        {"arrayProperties": {"size": 1}},
        {"parameters": {"awaitbatch.running": "soon"}},
    ],
    ids=str,
)
def test_submit_refuses_what_aws_would(change: dict[str, Any]) -> None:
    """SubmitJob needs a name, a queue and a definition, and a life cycle that can be read."""
    request = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition", **change}
    service = Service()
    assert service.refusal("SubmitJob", **request) == (400, "ClientException")
    assert not service._model.jobs


def test_jobs_cannot_take_the_id_of_another() -> None:
    """An id that is given must be well formed and free."""
    service = Service()
    service.add_job("mine")
    for job_id in ("mine", "not mine"):
        with pytest.raises(ValueError, match="not an id for a new job"):
            service.add_job(job_id)


@pytest.mark.parametrize("now", [5, 15, 25])
def test_cancel_ends_a_job_that_has_not_started(now: float) -> None:
    """CancelJob ends SUBMITTED, PENDING and RUNNABLE jobs as FAILED, with its reason."""
    service = Service()
    job_id = service.add()
    assert service.ask("CancelJob", now, jobId=job_id, reason="not needed") == {}
    job = service.see(job_id, now)
    assert (job["status"], job["statusReason"], job["stoppedAt"]) == ("FAILED", "not needed", now * 1000)
    assert job["isCancelled"]
    assert not job["attempts"]
    assert "exitCode" not in job["container"]
    service.now = 1000
    assert service.ended_at(job_id) == now


@pytest.mark.parametrize("now", [35, 45, 55])
def test_cancel_leaves_a_started_job_alone(now: float) -> None:
    """CancelJob succeeds without effect from STARTING on."""
    service = Service()
    job_id = service.add()
    assert service.ask("CancelJob", now, jobId=job_id, reason="not needed") == {}
    assert service.see(job_id, 55)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("now", [5, 15, 25, 35, 45])
def test_terminate_ends_a_job_in_any_state(now: float) -> None:
    """TerminateJob ends a job as FAILED at once, with its reason, also if it was described just before."""
    service = Service()
    job_id = service.add()
    service.see(job_id, now)
    assert service.ask("TerminateJob", now, jobId=job_id, reason="enough") == {}
    job = service.see(job_id, now)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "enough", True)
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == ([137] if now == 45 else [])


def test_terminate_does_not_rewrite_history() -> None:
    """A job that has ended keeps its end."""
    service = Service()
    job_id = service.add()
    service.ask("TerminateJob", 60, jobId=job_id, reason="too late")
    job = service.see(job_id, 60)
    assert (job["status"], job["stoppedAt"], job["isTerminated"]) == ("SUCCEEDED", 50_000, False)


@pytest.mark.parametrize("operation", ["CancelJob", "TerminateJob"])
def test_stopping_needs_an_id_and_a_reason(operation: str) -> None:
    """Cancel and terminate refuse bad ids and reasons, and accept ids that nobody knows."""
    service = Service()
    assert service.refusal(operation, jobId="job") == (400, "ClientException")
    assert service.refusal(operation, jobId="job", reason="x" * 1025) == (400, "ClientException")
    assert service.refusal(operation, jobId="a job", reason="x") == (400, "ClientException")
    assert service.ask(operation, 0, jobId="nobody", reason="x" * 1024) == {}


def test_an_array_waits_for_its_children() -> None:
    """An array's parent is PENDING while children run, counts them by status, and fails if one does."""
    service = Service()
    array = service.add(size=3)
    service.ask("TerminateJob", 5, jobId=f"{array}:1", reason="enough")
    parent = service.see(array, 45)
    assert parent["status"] == "PENDING"
    assert parent["arrayProperties"]["size"] == 3
    assert parent["arrayProperties"]["statusSummary"]["RUNNING"] == 2
    assert parent["arrayProperties"]["statusSummary"]["FAILED"] == 1
    assert service.see(f"{array}:2", 45)["arrayProperties"]["index"] == 2
    ended = service.see(array, 50)
    assert (ended["status"], ended["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert ended["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
    assert service.see(service.add(now=50, size=2), 50)["status"] == "SUBMITTED"


def test_an_array_without_failures_succeeds() -> None:
    """When all children have succeeded, so has the parent."""
    service = Service()
    array = service.add(size=2)
    assert service.see(array, 50)["status"] == "SUCCEEDED"
    assert service.ended() == {array: 50.0, f"{array}:0": 50.0, f"{array}:1": 50.0}
    service.now = 49
    assert service.ended() == {}


def test_stopping_an_array_stops_its_children() -> None:
    """Terminate ends an array with all its children, cancel those that have not started."""
    service = Service()
    terminated, cancelled = service.add(size=2), service.add(size=2)
    service.ask("TerminateJob", 45, jobId=terminated, reason="enough")
    service.ask("CancelJob", 25, jobId=cancelled, reason="not needed")
    for array in (terminated, cancelled):
        assert {service.see(job_id, 45)["status"] for job_id in (array, f"{array}:0", f"{array}:1")} == {
            "FAILED"
        }


def test_list_shows_one_status_of_one_queue_in_pages() -> None:
    """ListJobs gives the jobs of a queue in one status, in pages that follow each other."""
    service = Service()
    ids = [service.add() for _ in range(5)]
    service.add(size=2)
    service.add(now=35)
    first = service.ask("ListJobs", 45, jobQueue="queue", maxResults=3)
    second = service.ask("ListJobs", 45, jobQueue="queue", maxResults=3, nextToken=first["nextToken"])
    assert [job["jobId"] for job in first["jobSummaryList"] + second["jobSummaryList"]] == ids
    assert "nextToken" not in second
    (summary, *_) = service.ask("ListJobs", 55, jobQueue="queue", jobStatus="SUCCEEDED")["jobSummaryList"]
    assert summary["container"] == {"exitCode": 0}
    assert summary["stoppedAt"] == 50_000
    assert service.ask("ListJobs", 45, jobQueue="another") == {"jobSummaryList": []}


def test_list_shows_the_children_of_an_array() -> None:
    """ListJobs with arrayJobId gives the children, and with jobQueue the parent alone."""
    service = Service()
    array = service.add(size=2)
    children = service.ask("ListJobs", 45, arrayJobId=array)["jobSummaryList"]
    assert [job["arrayProperties"] for job in children] == [{"index": 0}, {"index": 1}]
    (parent,) = service.ask("ListJobs", 45, jobQueue="queue", jobStatus="PENDING")["jobSummaryList"]
    assert (parent["arrayProperties"]["size"], parent["arrayProperties"]["statusSummary"]["RUNNING"]) == (
        2,
        2,
    )
    assert parent["arrayProperties"]["statusSummaryLastUpdatedAt"] == 45_000
    assert service.ask("ListJobs", 45, arrayJobId="nobody") == {"jobSummaryList": []}
    assert service.ask("ListJobs", 45, multiNodeJobId="nobody") == {"jobSummaryList": []}


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"jobQueue": "queue", "arrayJobId": "array"},
        {"jobQueue": "queue", "jobStatus": "DONE"},
        {"jobQueue": "queue", "maxResults": 1001},
        {"jobQueue": "queue", "maxResults": 0},
        {"jobQueue": "queue", "nextToken": "x"},
        {"jobQueue": "queue", "arrayJobId": "array", "multiNodeJobId": "nodes"},
        {"jobQueue": "queue", "filters": [{"name": "JOB_NAME", "values": ["a"]}] * 2},
        {"jobQueue": "queue", "filters": [{"name": "JOB_NAME", "values": []}]},
        {"jobQueue": "queue", "filters": [{"name": "JOB_COLOR", "values": ["a"]}]},
        {"jobQueue": "queue", "filters": [{"name": "AFTER_CREATED_AT", "values": ["soon"]}]},
        {"jobQueue": "queue", "filters": [{"name": "BEFORE_CREATED_AT", "values": ["1", "2"]}]},
        {"arrayJobId": "array", "filters": [{"name": "JOB_NAME", "values": ["a"]}]},
    ],
    ids=str,
)
def test_list_refuses_what_aws_would(request_: dict[str, Any]) -> None:
    """ListJobs needs exactly one of its three keys, a known status and a page of 1 to 1000."""
    assert Service().refusal("ListJobs", **request_) == (400, "ClientException")


def test_unreadable_bodies_and_unknown_operations_are_refused() -> None:
    """A body that is no request gives 400, an operation that is not modelled 404."""
    service = Service()
    with pytest.raises(ServiceError, match="SerializationException"):
        service._respond("DescribeJobs", b"not json")
    assert service.refusal("DescribeJobs", jobs="job") == (400, "SerializationException")
    assert service.refusal("ListServiceJobs", jobQueue="queue") == (404, "UnknownOperationException")


def test_the_throttle_answers_429_before_anything_else() -> None:
    """Beyond its bucket even a bad DescribeJobs call is only throttled; operations without one pass."""
    service = Service({"DescribeJobs": TokenBucket(rate=1, burst=1)})
    job_id = service.add()
    service.see(job_id, 0)
    assert service.refusal("DescribeJobs", 0.5, jobs=[]) == (429, "TooManyRequestsException")
    service.ask("ListJobs", 0.5, jobQueue="queue")
    service.see(job_id, 1.0)


def test_the_throttle_may_hold_for_all_operations() -> None:
    """One bucket is for all operations together."""
    service = Service(TokenBucket(rate=1, burst=1))
    service.ask("ListJobs", 0, jobQueue="queue")
    assert service.refusal("DescribeJobs", 0, jobs=["job"]) == (429, "TooManyRequestsException")


def test_all_calls_are_counted() -> None:
    """The statistics know calls and throttles by operation and second, and the ids of answered calls."""
    service = Service(TokenBucket(rate=2, burst=2))
    for now in (0.0, 0.1, 0.2, 1.5):
        try:
            service.ask("DescribeJobs", now, jobs=["a", "b", "c"])
        except ServiceError:
            assert now == 0.2
    service.refusal("DescribeJobs", 1.6, jobs=[])
    statistics = service.statistics
    assert statistics.calls == {"DescribeJobs": 5}
    assert statistics.calls_by_second == {"DescribeJobs": {0: 3, 1: 2}}
    assert statistics.throttled == {"DescribeJobs": 1}
    assert statistics.throttled_by_second == {"DescribeJobs": {0: 1}}
    assert statistics.ids_described == 9
    assert statistics.ids_per_call == 3.0
    assert (statistics.peak(), statistics.peak("ListJobs")) == (3, 0)
    assert json.loads(json.dumps(statistics.to_dict()))["calls_by_second"]["DescribeJobs"] == {"0": 3, "1": 2}
