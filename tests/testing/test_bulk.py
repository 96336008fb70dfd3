"""CancelJobs and TerminateJobs: on literal times, over HTTP and without a network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from awaitbatch.testing import BatchServer, Fault, TokenBucket
from tests.support import LONG
from tests.testing.service import Service

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

BULK = ["CancelJobs", "TerminateJobs"]


@pytest.mark.parametrize("operation", BULK)
def test_fifty_jobs_are_ended_at_once(operation: str) -> None:
    """All are ended as by the single calls, in the order of the call, and unknown ones count as successful."""
    service = Service()
    ids = [*service.add_many(49), "nobody"]
    assert service.ask(operation, 25, jobs=ids, reason="x") == {"successful": ids, "errors": []}
    job = service.see(ids[48], 25)
    assert (job["status"], job["statusReason"]) == ("FAILED", "x")
    assert (job["isCancelled"], job["isTerminated"]) == (
        operation == "CancelJobs",
        operation == "TerminateJobs",
    )


def test_cancelling_leaves_started_jobs_alone() -> None:
    """CancelJobs counts them as successful all the same; TerminateJobs ends them."""
    service = Service()
    job_id = service.add()
    done = {"successful": [job_id], "errors": []}
    assert service.ask("CancelJobs", 45, jobs=[job_id], reason="x") == done
    assert service.statuses(45, job_id) == ["RUNNING"]
    assert service.ask("TerminateJobs", 45, jobs=[job_id], reason="x") == done
    assert service.statuses(45, job_id) == ["FAILED"]


@pytest.mark.parametrize("operation", BULK)
def test_bulk_calls_refuse_what_aws_refuses(operation: str) -> None:
    """No job, 51 jobs, no reason and one of 1,025 characters refuse the whole call; a malformed id is its own error."""
    service = Service()
    job_id = service.add()
    for request in (
        {"jobs": [], "reason": "x"},
        {"jobs": [f"job-{number}" for number in range(51)], "reason": "x"},
        {"jobs": [job_id]},
        {"jobs": [job_id], "reason": "x" * 1025},
    ):
        call: dict[str, Any] = request
        assert service.refusal(operation, **call) == (400, "ClientException")
    assert service.statuses(5, job_id) == ["SUBMITTED"]
    response = service.ask(operation, 5, jobs=["not an id", job_id], reason="x" * 1024)
    assert response["successful"] == [job_id]
    assert response["errors"] == [
        {"job": "not an id", "code": "ValidationException", "message": "not a job id: 'not an id'"}
    ]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.THROTTLED_JOBS, "ThrottlingException"),
        (Fault.DENIED_JOBS, "AccessDenied"),
        (Fault.UNSTOPPED_JOBS, "ServerException"),
    ],
)
def test_single_jobs_may_fail(fault: Fault, code: str) -> None:
    """A fault puts the jobs that it names into the errors and leaves them alone; the others are ended."""
    service = Service()
    ids = service.add_many(3)
    rule = service.inject(fault, job_ids=[ids[1], "another"], calls=1)
    response = service.ask("TerminateJobs", 45, jobs=ids, reason="x")
    assert response["successful"] == [ids[0], ids[2]]
    ((error,), hits) = response["errors"], rule.hits
    assert (error["job"], error["code"], hits) == (ids[1], code, 1)
    assert service.statuses(45, *ids) == ["FAILED", "RUNNING", "FAILED"]
    assert service.ask("TerminateJobs", 45, jobs=ids, reason="x")["errors"] == []


def test_some_jobs_fail_if_none_were_named() -> None:
    """Without names at least one job of each call is hit, and no other operation is."""
    service = Service()
    ids = service.add_many(5)
    rule = service.inject(Fault.THROTTLED_JOBS)
    service.ask("TerminateJob", 45, jobId=ids[0], reason="x")
    assert rule.hits == 0
    response = service.ask("CancelJobs", 5, jobs=ids, reason="x")
    assert 1 <= len(response["errors"]) <= 5
    assert sorted(response["successful"] + [error["job"] for error in response["errors"]]) == sorted(ids)
    with pytest.raises(ValueError, match="CancelJobs and TerminateJobs only"):
        service.inject(Fault.DENIED_JOBS, operations=["TerminateJob"])


def test_a_large_array_is_ended_in_bulk() -> None:
    """Sixty calls end its children, and the array is looked through once a call, not once a child."""
    service = Service()
    array = service.add_job(array_size=3_000)
    begun = time.process_time()
    for first in range(0, 3_000, 50):
        jobs = [f"{array}:{index}" for index in range(first, first + 50)]
        assert len(service.ask("TerminateJobs", 45, jobs=jobs, reason="x")["successful"]) == 50
    assert service.statuses(45, array) == ["FAILED"]
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("operation", BULK)
async def test_both_faces_have_the_bulk_operations(operation: str) -> None:
    """The raw HTTP call and the transport give the same; botocore may be too old to know the operation."""
    server = BatchServer(default_life_cycle=LONG, clock=lambda: 0.0)
    server.add_job("one")
    request = {"jobs": ["one", "nobody"], "reason": "x"}
    over_transport = await server.transport(latency=0).call(operation, **request)
    async with server, aiohttp.ClientSession(server.endpoint_url) as session:
        async with session.post(f"/v1/{operation.lower()}", json=request) as response:
            over_http = await response.json()
        server.throttle(0, 1, operation=operation)
        statuses = []
        for _ in range(2):
            async with session.post(f"/v1/{operation.lower()}", json=request) as response:
                statuses.append(response.status)
    assert over_http == {"successful": ["one", "nobody"], "errors": []}
    assert over_http.items() <= over_transport.items()
    assert statuses == [200, 429]


async def test_a_real_client_ends_jobs_in_bulk(session: AioSession) -> None:
    """The operations work with an aiobotocore that knows them."""
    async with (
        BatchServer(default_life_cycle=LONG) as server,
        session.create_client("batch", **server.client_arguments) as client,
    ):
        if not hasattr(client, "terminate_jobs"):
            pytest.skip("this botocore has no bulk operations")
        ids = [server.add_job() for _ in range(2)]
        server.inject(Fault.DENIED_JOBS, job_ids=[ids[1]])
        response = await client.terminate_jobs(jobs=ids, reason="x")
        assert response["successful"] == [ids[0]]
        assert [error["code"] for error in response["errors"]] == ["AccessDenied"]
        response = await client.cancel_jobs(jobs=ids[:1], reason="x")
        assert response["successful"] == ids[:1]


async def test_a_server_may_lack_them() -> None:
    """Both faces then answer 404 with a page of HTML, and the calls are counted."""
    server = BatchServer(lacking=BULK, bucket=TokenBucket(100))
    async with server, aiohttp.ClientSession(server.endpoint_url) as session:
        for _ in range(2):
            async with session.post("/v1/terminatejobs", json={"jobs": ["a"], "reason": "x"}) as response:
                assert (response.status, response.content_type) == (404, "text/html")
        with pytest.raises(ClientError) as caught:
            await server.transport(latency=0).call("TerminateJobs", jobs=["a"], reason="x")
        error: Any = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert server.statistics.calls == server.statistics.failed == {"TerminateJobs": 3}
        server.lacking.clear()
        assert (await server.transport(latency=0).call("TerminateJobs", jobs=["a"], reason="x"))[
            "errors"
        ] == []
    with pytest.raises(ValueError, match="no such operation: StopJobs"):
        BatchServer(lacking=["StopJobs"])
