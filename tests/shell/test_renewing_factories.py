"""Factories of shared clients that are asked once more when the credentials of their client have gone bad."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import HeadersDict

from awaitbatch import BatchClient, ClientClosedError, DescribeError, FixedInterval
from awaitbatch.instrumentation import CredentialsRenewed, Event
from awaitbatch.testing._model.service_error import ServiceError
from tests.support import LONG, make_server, of_kind, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiobotocore.session import AioSession
    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

    from awaitbatch.testing import BatchServer

JOB: SubmitJobRequestTypeDef = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}


class Rotating:
    """A factory of aiobotocore clients in which a server answers that takes only the keys that are good.

    Attributes:
        good: The access keys that are good.
        log: What happened: clients entered and left.
        entering: Seconds that it takes to enter one.
        latency: Seconds from a call to its answer.
        region_name: Where the next one is.
        leaving: What is raised when the next one is left.
        tasks: Who entered and left each.
    """

    def __init__(self, server: BatchServer, session: AioSession) -> None:
        self.server = server
        self.session = session
        self.good = {"KEY1"}
        self.log: list[str] = []
        self.entering = 0.5
        self.latency = 0.02
        self.region_name = "us-east-1"
        self.leaving: Exception | float | None = None
        self.tasks: list[tuple[object, object]] = []
        self._made = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Any]:
        """Give a client within a task group, which has to be left where it was entered."""
        await asyncio.sleep(self.entering)
        self._made += 1
        key, entered = f"KEY{self._made}", asyncio.current_task()
        keys = {"aws_access_key_id": key, "aws_secret_access_key": "s"}
        async with (
            anyio.create_task_group(),
            self.session.create_client("batch", region_name=self.region_name, **keys) as client,
        ):
            client.meta.events.register("before-send.batch", self._answer)
            self.log.append(f"+{key}")
            try:
                yield client
            finally:
                self.log.append(f"-{key}")
                self.tasks.append((entered, asyncio.current_task()))
        if isinstance(self.leaving, Exception):
            raise self.leaving
        if self.leaving is not None:
            await asyncio.sleep(self.leaving)

    async def _body(self, key: str, operation: str, body: bytes) -> bytes:
        if key not in self.good:
            await asyncio.sleep(self.latency)
            raise ServiceError(403, "UnrecognizedClientException", f"Who is {key}?")
        service = self.server.transport()._service
        return (await service.call(operation, body, latency=self.latency)).body

    async def _answer(self, request: Any, event_name: str, **_: object) -> AioAWSResponse:
        operation = event_name.rpartition(".")[2]
        (key,) = re.findall(r"Credential=(\w+)/", str(request.headers["Authorization"]))
        headers, status = HeadersDict({"content-type": "application/json"}), 200
        try:
            body = await self._body(key, operation, request.body)
        except ServiceError as error:
            headers.update(error.headers)
            body, status = error.body, error.http_status
        response = AioAWSResponse(request.url, status, headers, None)
        response._content = body
        return response


@pytest.fixture
async def server() -> BatchServer:
    """A server on the test's clock."""
    return make_server(default_life_cycle=LONG)


@pytest.fixture
async def factory(server: BatchServer, session: AioSession) -> AsyncIterator[Rotating]:
    """A factory, not called yet, whose clients are all left at the end, and in the tasks that have entered them."""
    factory = Rotating(server, session)
    yield factory
    await asyncio.sleep(10)
    entered, left = ({line[1:] for line in factory.log if line[0] == sign} for sign in "+-")
    assert entered == left
    assert all(entered is left for entered, left in factory.tasks)


def shared(factory: Any, **settings: Any) -> BatchClient:
    """A user's client."""
    return BatchClient.shared(
        key="k", factory=factory, **{"linger": 0, "backoff": FixedInterval(2), **settings}
    )


async def test_a_rotation(server: BatchServer, factory: Rotating) -> None:
    """One more client is entered before the first is left, in tasks of their own, and everything goes on over it."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(150)]
    events: list[Event] = []
    async with shared(factory, observers=[events.append]) as client, shared(factory) as other:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for job_id in job_ids]
        waits += [asyncio.create_task(other.poll_for_job_complete(job_id)) for job_id in job_ids]
        await asyncio.sleep(5)
        factory.good = {"KEY2"}
        await asyncio.sleep(5)
        assert factory.log == ["+KEY1", "+KEY2", "-KEY1"]
        assert client.client is other.client
        submitted = await client.submit_job(**JOB)
        assert (await other.describe(submitted["jobId"]))["jobName"] == "n"
        await asyncio.gather(*(other.terminate_job(job_id, "enough") for job_id in job_ids))
        assert {job["status"] for job in await asyncio.gather(*waits)} == {"FAILED"}
    (event,) = of_kind(CredentialsRenewed, events)
    assert "Who is KEY1?" in event.reason


async def test_calls_under_way_on_the_old_client_may_end(server: BatchServer, factory: Rotating) -> None:
    """A submission that the old credentials were good for has its answer, and only then is the old client left."""
    factory.latency = 20
    async with shared(factory) as client:
        submission = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(5)
        factory.latency, factory.good = 0.02, {"KEY2"}
        await client.describe(server.add_job())
        assert factory.log == ["+KEY1", "+KEY2"]
        assert (await submission)["jobName"] == "n"
        await asyncio.sleep(0.1)
        assert factory.log == ["+KEY1", "+KEY2", "-KEY1"]
    assert server.statistics.calls["SubmitJob"] == 1


async def test_a_factory_that_hangs_is_given_up_and_asked_again(
    server: BatchServer, factory: Rotating
) -> None:
    """After half a minute; what it was doing is cancelled."""
    events: list[Event] = []
    async with shared(factory, observers=[events.append]) as client:
        await client.describe(server.add_job())
        factory.good, factory.entering = {"KEY2"}, 1e6
        wait = asyncio.create_task(client.poll_for_job_complete(server.add_job()))
        await asyncio.sleep(20)
        factory.entering = 0.5
        assert factory.log == ["+KEY1"]
        await asyncio.sleep(18)
        assert factory.log == ["+KEY1", "+KEY2", "-KEY1"]
        assert not wait.done()
        wait.cancel()
    errors = [event.error for event in of_kind(CredentialsRenewed, events)]
    assert errors == ["TimeoutError: the factory gave no aiobotocore client within 30 s", None]


async def test_a_client_of_another_region_is_refused(server: BatchServer, factory: Rotating) -> None:
    """There the jobs would be unknown, and waits would end for nothing; with the next one they go on."""
    events: list[Event] = []
    async with shared(factory, observers=[events.append]) as client:
        await client.describe(server.add_job())
        factory.good, factory.region_name = {"KEY2", "KEY3"}, "eu-west-1"
        wait = asyncio.create_task(client.describe(server.add_job()))
        await asyncio.sleep(1)
        factory.region_name = "us-east-1"
        assert (await wait)["jobName"]
        assert client.client.meta.region_name == "us-east-1"
    (first, second) = of_kind(CredentialsRenewed, events)
    assert "for eu-west-1, and before for us-east-1: use another key=" in str(first.error)
    assert second.error is None
    assert factory.log == ["+KEY1", "+KEY2", "-KEY2", "+KEY3", "-KEY1"]


async def test_an_old_client_that_cannot_be_left(
    server: BatchServer, factory: Rotating, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and nothing else happens."""
    caplog.set_level(logging.INFO, "awaitbatch")
    async with shared(factory) as client:
        await client.describe(server.add_job())
        factory.good, factory.leaving = {"KEY2"}, OSError("cannot leave")
        await client.describe(server.add_job())
        await until(lambda: factory.log[-1] == "-KEY1")
        await asyncio.sleep(1)
        assert "the connections could not be closed: OSError: cannot leave" in caplog.messages
        factory.leaving = None
        await client.describe(server.add_job())


@pytest.mark.parametrize("closes", [False, True])
async def test_an_old_client_that_is_never_left(server: BatchServer, factory: Rotating, closes: bool) -> None:
    """It is cut off after two minutes, or within `close_timeout` when all is closed."""
    async with shared(factory) as client:
        await client.describe(server.add_job())
        factory.good, factory.leaving = {"KEY2"}, 1e6
        await client.describe(server.add_job())
        await until(lambda: factory.log[-1] == "-KEY1")
        factory.leaving = None
        task_names = [task.get_name() for task in asyncio.all_tasks()]
        assert task_names.count("awaitbatch factory") == 2
        if not closes:
            await asyncio.sleep(121)
            task_names = [task.get_name() for task in asyncio.all_tasks()]
            assert task_names.count("awaitbatch factory") == 1


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.3, *(0.5 + turn / 200 for turn in range(12)), 0.8])
async def test_closing_meanwhile(server: BatchServer, factory: Rotating, seconds: float) -> None:
    """Whatever was entered by then is left."""
    async with shared(factory) as client:
        await client.describe(server.add_job())
        factory.good = {"KEY2"}
        describing = asyncio.create_task(client.describe(server.add_job()))
        await asyncio.sleep(seconds)
    (end,) = await asyncio.gather(describing, return_exceptions=True)
    assert type(end) is (dict if seconds > 0.6 else ClientClosedError)


# Coroutine functions.


async def test_a_coroutine_function_is_a_factory_too(server: BatchServer, factory: Rotating) -> None:
    """As Airflow's `hook.get_async_conn` is: what it returns is entered."""

    async def coroutine_function() -> Any:
        await asyncio.sleep(1)
        return factory()

    async with shared(coroutine_function) as client:
        assert (await client.describe(server.add_job()))["jobName"]


async def test_what_is_no_context_manager_is_refused() -> None:
    """The error says what to return."""

    async def forgotten() -> AsyncIterator[Any]:
        yield json

    async def nothing() -> None:
        pass

    for wrong, name in ((forgotten, "async_generator"), (nothing, "NoneType"), (lambda: "client", "str")):
        with pytest.raises(TypeError, match=rf"session\.create_client\(\) does or .* not {name}$"):
            async with shared(wrong):
                pass


async def test_bad_from_the_beginning(server: BatchServer, factory: Rotating) -> None:
    """Two clients, both refused, are enough to say so."""
    factory.good = set()
    async with shared(factory) as client:
        with pytest.raises(DescribeError, match="Who is KEY2") as caught:
            await client.describe(server.add_job())
        assert caught.value.needs_new_credentials
        assert "asked 1 time for new credentials" in str(caught.value)
