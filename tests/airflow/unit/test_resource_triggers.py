"""Triggers that wait for compute environments and job queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import pytest
from botocore.exceptions import ClientError

from awaitbatch.integrations.airflow import (
    BatchComputeEnvironmentTrigger,
    BatchCreateComputeEnvironmentTrigger,
    BatchJobQueueTrigger,
    triggers,
)

from .support import fired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

pytestmark = pytest.mark.virtual_time


class FakeClient:
    """A shared client whose aiobotocore client answers as it is told, the last answer for ever."""

    def __init__(self, answers: Sequence[str | Exception | None]) -> None:
        self.client = self
        self.calls: list[tuple[float, dict[str, Any]]] = []
        self._answers = list(answers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def describe_compute_environments(self, **arguments: Any) -> dict[str, Any]:
        """Answer the next call."""
        return self._answer("computeEnvironments", arguments)

    async def describe_job_queues(self, **arguments: Any) -> dict[str, Any]:
        """Answer the next call."""
        return self._answer("jobQueues", arguments)

    def _answer(self, member: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((asyncio.get_running_loop().time(), arguments))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {member: [] if answer is None else [{"status": answer, "statusReason": "because"}]}


def failed(code: str, status: int) -> ClientError:
    """An error of AWS."""
    response: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "DescribeJobQueues")


THROTTLED = failed("TooManyRequestsException", 429)
BROKEN = failed("ServerException", 500)
DENIED = failed("AccessDeniedException", 403)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the client answers."""

    def use(*answers: str | Exception | None) -> FakeClient:
        client = FakeClient(answers)

        async def client_of(_: object) -> FakeClient:
            return client

        monkeypatch.setattr(triggers, "_client_of", client_of)
        return client

    return use


async def ended(kind: str, **arguments: Any) -> dict[str, Any]:
    """The event of a trigger of a kind."""
    makers: dict[str, tuple[Any, str]] = {
        "create": (BatchCreateComputeEnvironmentTrigger, "compute_env_arn"),
        "environment": (BatchComputeEnvironmentTrigger, "compute_environment"),
        "queue": (BatchJobQueueTrigger, "job_queue"),
    }
    maker, argument = makers[kind]
    made = maker(**{argument: "name"}, **arguments)
    path, serialized = made.serialize()
    assert path.startswith("awaitbatch.integrations.airflow.triggers.")
    return await fired(type(made)(**serialized))


@pytest.mark.parametrize("kind", ["create", "environment", "queue"])
async def test_it_becomes_valid(kind: str, answers: Any) -> None:
    """The event is that of the provider's triggers."""
    client = answers("CREATING", "UPDATING", "VALID")
    assert await ended(kind, waiter_delay=10) == {"status": "success", "value": "name"}
    moments = [moment for moment, _ in client.calls]
    assert len(moments) == 3
    assert 16 <= moments[-1] - moments[0] <= 20
    assert client.calls[0][1] in ({"computeEnvironments": ["name"]}, {"jobQueues": ["name"]})


@pytest.mark.parametrize(
    ("kind", "answer", "is_good"),
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
async def test_it_ends_otherwise(kind: str, answer: str | None, answers: Any, *, is_good: bool) -> None:
    """As the provider's waiter and sensors have it."""
    answers(answer)
    event = await ended(kind)
    assert event["status"] == ("success" if is_good else "error")
    assert event["value"] == "name"
    if not is_good:
        assert ("not found" if answer is None else f"is {answer} (because)") in event["message"]


async def test_a_queue_that_is_gone(answers: Any) -> None:
    """It may count as deleted."""
    answers(None)
    assert (await ended("queue", treat_non_existing_as_deleted=True))["status"] == "success"


async def test_a_new_environment_may_not_be_known_yet(answers: Any) -> None:
    """The provider's waiter asks again, too."""
    client = answers(None, None, "VALID")
    assert (await ended("create"))["status"] == "success"
    assert len(client.calls) == 3


async def test_the_attempts_are_good_answers(answers: Any) -> None:
    """Throttled calls, and those that fail by AWS's fault, do not count."""
    client = answers("CREATING", THROTTLED, BROKEN, BROKEN, OSError(), "CREATING")
    event = await ended("create", waiter_delay=30, waiter_max_attempts=3)
    assert "still CREATING (because) after 3 checks" in event["message"]
    assert len(client.calls) == 7


async def test_a_refusal_at_first(answers: Any) -> None:
    """Whoever has never had an answer is told at once."""
    client = answers(DENIED)
    event = await ended("queue")
    assert "cannot be described" in event["message"]
    assert "batch:DescribeJobQueues" in event["message"]
    assert len(client.calls) == 1


async def test_a_refusal_that_passes(answers: Any) -> None:
    """Minutes without the permission are sat out, as of a policy that is being replaced."""
    answers("CREATING", *[DENIED] * 20, "VALID")
    assert (await ended("environment"))["status"] == "success"
    answers("CREATING", DENIED)
    began = asyncio.get_running_loop().time()
    assert (await ended("environment"))["status"] == "error"
    assert 300 < asyncio.get_running_loop().time() - began < 400


async def test_no_limit(answers: Any) -> None:
    """A sensor's trigger waits until its time-out, which is Airflow's to keep."""
    answers(*["CREATING"] * 5000, "VALID")
    assert (await ended("environment", waiter_delay=60))["status"] == "success"
