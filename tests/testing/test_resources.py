"""Compute environments and job queues: on literal times, and for a real client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from awaitbatch.testing import BatchServer
from tests.testing.service import Service

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

KINDS = [
    ("DescribeComputeEnvironments", "computeEnvironments", "computeEnvironmentName"),
    ("DescribeJobQueues", "jobQueues", "jobQueueName"),
]


class Kind:
    """One of the two kinds of resources in a service."""

    def __init__(self, operation: str, members: str, name: str) -> None:
        self.service = Service()
        self.operation, self.members, self.name = operation, members, name
        is_queue = operation == "DescribeJobQueues"
        self.set = self.service.set_job_queue if is_queue else self.service.set_compute_environment

    def page(self, now: float, *names: str, **request: Any) -> dict[str, Any]:
        """A response."""
        asked: dict[str, Any] = {self.members: names} if names else {}
        return self.service.ask(self.operation, now, **asked, **request)

    def names(self, now: float, *names: str) -> list[str]:
        """The names of those in a response."""
        return [one[self.name] for one in self.page(now, *names)[self.members]]

    def status(self, name: str, now: float) -> tuple[str, str | None] | None:
        """Its status and the reason, or None if it is absent."""
        found = self.page(now, name)[self.members]
        return (found[0]["status"], found[0].get("statusReason")) if found else None


@pytest.fixture(params=KINDS, ids=[members for _, members, _ in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of the two kinds."""
    return Kind(*request.param)


def test_a_resource_becomes_what_it_is_told(kind: Kind) -> None:
    """It is on the way until its time has come, and says why it is as it is."""
    assert kind.status("one", 0) is None
    kind.set("one", after=5)
    assert kind.status("one", 4) == ("CREATING", None)
    status = kind.status("one", 5)
    assert status is not None
    assert status[0] == "VALID"
    assert "Healthy" in str(status[1])
    kind.service.now = 10
    kind.set("one", "INVALID", "CLIENT_ERROR - no role", after=2)
    assert [kind.status("one", now) for now in (11, 12)] == [
        ("UPDATING", None),
        ("INVALID", "CLIENT_ERROR - no role"),
    ]
    kind.service.now = 20
    kind.set("one", "DELETED", after=3)
    assert [kind.status("one", now) for now in (22, 23)] == [("DELETING", None), ("DELETED", None)]
    kind.service.now = 30
    kind.set("one", None)
    assert kind.status("one", 30) is None


def test_a_new_order_replaces_one_that_is_to_come(kind: Kind) -> None:
    """What was to come later does not come when something else was ordered meanwhile."""
    kind.set("one", after=50)
    kind.service.now = 10
    kind.set("one", "INVALID", after=10)
    assert kind.status("one", 15) == ("CREATING", None)
    assert kind.status("one", 25) == kind.status("one", 100) == ("INVALID", None)
    kind.set("one", "UPDATING", after=5)
    assert [kind.status("one", now) for now in (103, 105)] == [("INVALID", None), ("UPDATING", None)]


def test_names_and_arns_are_asked_for(kind: Kind) -> None:
    """A response has those that were named, by name or by ARN, and all if none was."""
    for name in ("one", "two", "three"):
        kind.set(name)
    assert kind.names(0) == ["one", "two", "three"]
    arn = kind.page(0, "two")[kind.members][0][f"{kind.members[:-1]}Arn"]
    assert arn.startswith("arn:aws:batch:eu-west-1:111122223333:")
    assert kind.names(0, "three", "nobody", arn) == ["two", "three"]
    kind.set(arn, "INVALID")
    assert kind.status("two", 0) == ("INVALID", None)


def test_pages_of_resources(kind: Kind) -> None:
    """A page has as many as were asked for, at most 100, and a token for the next."""
    for number in range(130):
        kind.set(f"name-{number}")
    kind.set("name-7", None)
    first = kind.page(0)
    second = kind.page(0, nextToken=first["nextToken"])
    assert (len(first[kind.members]), len(second[kind.members]), "nextToken" in second) == (100, 29, False)
    assert len(kind.page(0, maxResults=3)[kind.members]) == 3
    for request in ({"maxResults": 101}, {"maxResults": 0}, {"nextToken": "x"}, {kind.members: ["x"] * 101}):
        call: dict[str, Any] = request
        assert kind.service.refusal(kind.operation, **call) == (400, "ClientException")


def test_orders_that_make_no_sense_are_refused(kind: Kind) -> None:
    """There is no such status, and nothing happens in the past."""
    status: Any = "READY"
    for settings in ({"status": status}, {"after": -1}):
        with pytest.raises(ValueError, match=r"must be at least 0|a status is one of"):
            kind.set("one", **settings)


def test_queues_of_jobs_are_there() -> None:
    """A queue to which a job was submitted is VALID, and one that is gone or about to go takes none."""
    service = Service()
    job_id = service.submit()
    (queue,) = service.ask("DescribeJobQueues", 0)["jobQueues"]
    assert (queue["status"], queue["jobQueueArn"]) == ("VALID", service.see(job_id, 0)["jobQueue"])
    request = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition"}
    service.set_job_queue("queue", None, after=5)
    for now in (0, 5):
        assert service.refusal("SubmitJob", now, **request) == (400, "ClientException")
    assert service.ask("DescribeJobQueues", 5) == {"jobQueues": []}
    service.set_job_queue("queue")
    service.submit(6)


async def test_a_real_client_describes_resources(session: AioSession) -> None:
    """Both operations work on both faces, with paginators, and another process may set statuses."""
    async with (
        BatchServer() as server,
        session.create_client("batch", **server.client_arguments) as client,
        aiohttp.ClientSession(server.endpoint_url) as http,
    ):
        for resource in ("compute-environment", "job-queue"):
            order = {"name": "one", "status": "INVALID", "status_reason": "no role"}
            await http.put(f"/_awaitbatch/{resource}", json=order)
            await http.put(f"/_awaitbatch/{resource}", json={"name": "two"})
        async with http.put("/_awaitbatch/job-queue", json={"name": "one", "status": "GONE"}) as response:
            assert response.status == 400
        for operation, members, _ in KINDS:
            method = "describe_job_queues" if members == "jobQueues" else "describe_compute_environments"
            pages = client.get_paginator(method).paginate(PaginationConfig={"PageSize": 1})
            found = [one async for page in pages for one in page[members]]
            assert (found[0]["status"], found[0]["statusReason"]) == ("INVALID", "no role")
            over_transport = await server.transport(latency=0).call(operation)
            assert over_transport[members] == found
