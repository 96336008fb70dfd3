"""Triggers that wait for compute environments and job queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch.integrations.airflow import (
    BatchComputeEnvironmentTrigger,
    BatchCreateComputeEnvironmentTrigger,
    BatchJobQueueTrigger,
)
from awaitbatch.testing import Fault

from .support import fired

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.testing import BatchServer

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def is_to_be(server: BatchServer) -> Callable[..., None]:
    """Lets the resource of a kind have a status, now or later."""

    def set_status(kind: str, status: Any, **arguments: Any) -> None:
        set_resource = server.set_job_queue if kind == "queue" else server.set_compute_environment
        set_resource("name", status, "because", **arguments)

    return set_status


async def ended(kind: str, **arguments: Any) -> dict[str, Any]:
    """The event of a trigger of a kind."""
    makers: dict[str, tuple[Any, str]] = {
        "create": (BatchCreateComputeEnvironmentTrigger, "compute_env_arn"),
        "environment": (BatchComputeEnvironmentTrigger, "compute_environment"),
        "queue": (BatchJobQueueTrigger, "job_queue"),
    }
    maker, argument = makers[kind]
    made = maker(**{argument: "name", "aws_conn_id": "aws"}, **arguments)
    path, serialized = made.serialize()
    assert path.startswith("awaitbatch.integrations.airflow.triggers.")
    return await fired(type(made)(**serialized))


@pytest.mark.parametrize("kind", ["create", "environment", "queue"])
async def test_it_becomes_valid(server: BatchServer, kind: str, is_to_be: Callable[..., None]) -> None:
    """The event is that of the provider's triggers; checks come as often as ``waiter_delay`` says."""
    is_to_be(kind, "VALID", after=100)
    assert await ended(kind, waiter_delay=10, waiter_max_attempts=30) == {
        "status": "success",
        "value": "name",
    }
    assert 10 <= server.statistics.calls.total() <= 24


@pytest.mark.parametrize(
    ("kind", "status", "is_good"),
    [
        ("create", "INVALID", False),
        ("create", "DELETED", False),
        ("environment", "DELETED", True),
        ("environment", "INVALID", False),
        ("environment", None, False),
        ("queue", "DELETED", True),
        ("queue", "INVALID", False),
        ("queue", None, False),
    ],
)
async def test_it_ends_otherwise(
    kind: str, status: str | None, is_to_be: Callable[..., None], *, is_good: bool
) -> None:
    """As the provider's waiter and sensors have it."""
    is_to_be(kind, status)
    event = await ended(kind)
    assert event["status"] == ("success" if is_good else "error")
    assert event["value"] == "name"
    if status == "INVALID":
        assert "is INVALID (because)" in event["message"]
    elif not is_good:
        assert "not found" in event["message"]


@pytest.mark.parametrize("kind", ["environment", "queue"])
async def test_one_that_goes_while_it_is_waited_for(kind: str, is_to_be: Callable[..., None]) -> None:
    """It has been DELETED, whether or not a check came while AWS Batch still said so."""
    is_to_be(kind, "VALID")
    is_to_be(kind, None, after=100)
    await asyncio.sleep(50)
    assert (await ended(kind, waiter_delay=10))["status"] == "success"


@pytest.mark.usefixtures("server")
async def test_a_queue_that_is_gone() -> None:
    """It may count as deleted."""
    assert (await ended("queue", treat_non_existing_as_deleted=True))["status"] == "success"


async def test_a_new_environment_may_not_be_known_yet(
    server: BatchServer, is_to_be: Callable[..., None]
) -> None:
    """The provider's waiter asks again, too, but not for ever."""
    is_to_be("create", "VALID")
    server.inject(Fault.MISSING_JOBS, end=100)
    assert (await ended("create"))["status"] == "success"


async def test_one_that_is_never_known(server: BatchServer) -> None:
    """It is given up after as many answers as there are attempts."""
    event = await ended("create", waiter_delay=30, waiter_max_attempts=4)
    assert "not found" in event["message"]
    assert server.statistics.calls.total() == 4


@pytest.mark.parametrize(
    "fault", [Fault.TOO_MANY_REQUESTS, Fault.SERVER_EXCEPTION, Fault.CONNECTION_REFUSED, Fault.HTML]
)
async def test_the_attempts_are_good_answers(
    server: BatchServer, fault: Fault, is_to_be: Callable[..., None]
) -> None:
    """Throttled calls, and those that fail by AWS's fault, do not count."""
    is_to_be("create", "CREATING")
    server.inject(fault, end=600)
    event = await ended("create", waiter_delay=30, waiter_max_attempts=3)
    assert event["status"] == "error"
    assert "last seen as CREATING (because)" in event["message"]
    assert asyncio.get_running_loop().time() > 600
    assert server.statistics.faults[fault] > 3


@pytest.mark.parametrize("fault", [Fault.EXPIRED_TOKEN, Fault.ACCESS_DENIED])
async def test_minutes_without_good_credentials(
    server: BatchServer, fault: Fault, is_to_be: Callable[..., None]
) -> None:
    """They are sat out; without a permission for good it is an error that names it."""
    is_to_be("queue", "VALID", after=900)
    server.inject(fault, end=240)
    assert (await ended("queue", waiter_delay=10))["status"] == "success"
    server.inject(Fault.ACCESS_DENIED)
    began = asyncio.get_running_loop().time()
    event = await ended("queue", waiter_delay=10)
    assert "batch:DescribeJobQueues" in event["message"]
    assert 300 < asyncio.get_running_loop().time() - began < 700


async def test_many_share_calls(server: BatchServer, is_to_be: Callable[..., None]) -> None:
    """A hundred sensors make the calls of one."""
    is_to_be("queue", "VALID", after=95)
    events = await asyncio.gather(*(ended("queue", waiter_delay=10) for _ in range(100)))
    assert {event["status"] for event in events} == {"success"}
    assert server.statistics.calls.total() <= 30


async def test_no_limit(is_to_be: Callable[..., None]) -> None:
    """A sensor's trigger waits until its time-out, which is Airflow's to keep."""
    is_to_be("environment", "VALID", after=7 * 24 * 3600)
    assert (await ended("environment", waiter_delay=600))["status"] == "success"
