"""AwaitBatchHook: which client it gives, and what it does while its connection fails."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, BaseSessionFactory
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException
from asgiref.sync import async_to_sync
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, NoRegionError

from awaitbatch._shared import _clients, close_shared_clients
from awaitbatch.instrumentation._log import shared_log
from awaitbatch.integrations.airflow import AwaitBatchHook, BatchJobQueueTrigger, BatchJobTrigger, hooks
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from tests.support import LONG

from .support import fired, make_trigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def define(monkeypatch: pytest.MonkeyPatch, server: BatchServer, conn_id: str = "aws", **extra: Any) -> None:
    """Define a connection that leads to a server."""
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"endpoint_url": server.endpoint_url, "region_name": "us-east-1", **extra},
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


@pytest.fixture
async def real(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BatchServer]:
    """A server behind a socket, to which the connection ``aws`` leads; the shared clients are closed in the end."""
    async with BatchServer() as server:
        define(monkeypatch, server)
        yield server
        await close_shared_clients()


def key_of(**arguments: Any) -> Any:
    """By which a hook's client is shared."""
    return AwaitBatchHook(**arguments)._key


def test_what_makes_clients_one() -> None:
    """Equal arguments do, by value."""
    assert key_of() == key_of(aws_conn_id="aws_default", region_name="")
    assert key_of(aws_conn_id=None) == key_of(aws_conn_id="")
    config = {"read_timeout": 7, "retries": {"mode": "standard"}}
    assert key_of(config=config) == key_of(config=dict(config)) == key_of(config=Config(**config))
    different: list[dict[str, Any]] = [
        {},
        {"aws_conn_id": None},
        {"aws_conn_id": "other"},
        {"region_name": "eu-west-1"},
        {"verify": False},
        {"verify": "/bundle.pem"},
        {"config": {"read_timeout": 7}},
        {"config": {"read_timeout": 8}},
    ]
    assert len({key_of(**arguments) for arguments in different}) == len(different)


async def test_triggers_and_hooks_share_a_client(real: BatchServer) -> None:
    """The client of a connection is one for all on the loop, over one pool of sockets."""
    job_ids = [real.add_job(life_cycle=LifeCycle(running=1)) for _ in range(200)]
    async with AwaitBatchHook("aws").client() as client:
        mine = asyncio.create_task(client.wait_for_job(job_ids[0]))
        events = await asyncio.gather(*(fired(make_trigger(job_id)) for job_id in job_ids))
        assert "shared by 1," in repr(client)
        await mine
    assert {event["status"] for event in events} == {"success"}
    assert real.statistics.calls["DescribeJobs"] < 30
    assert len(_clients[asyncio.get_running_loop()]) == 1


async def test_a_limit_of_airflows_configuration(real: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option ``max_calls_per_second`` of the section ``awaitbatch`` holds for each client."""
    monkeypatch.setenv("AIRFLOW__AWAITBATCH__MAX_CALLS_PER_SECOND", "0.5")
    async with AwaitBatchHook("aws").client() as client:
        assert client.statistics().rate <= 0.5
    assert real.statistics.calls.total() == 0


@pytest.mark.parametrize(
    ("option", "level"),
    [
        ("awaitbatch.shared=INFO", logging.INFO),
        ("sqlalchemy=ERROR, awaitbatch.shared=debug", logging.DEBUG),
        ("sqlalchemy=ERROR\nawaitbatch.shared=NOTHING", logging.NOTSET),
        ("myawaitbatch.shared=INFO", logging.NOTSET),
        ("", logging.NOTSET),
    ],
)
def test_the_level_of_the_log(option: str, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own option turns on the lines of shared clients."""
    monkeypatch.setattr(shared_log, "level", logging.NOTSET)
    monkeypatch.setenv("AIRFLOW__LOGGING__NAMESPACE_LEVELS", option)
    AwaitBatchHook().client()
    assert shared_log.level == level


async def test_credentials_of_the_machine(real: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection they are boto3's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", real.endpoint_url)
    job_id = real.add_job(life_cycle=LifeCycle(running=0))
    event = await fired(make_trigger(job_id, aws_conn_id=None, region_name="us-east-1"))
    assert event["status"] == "success"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "_PAUSES", (0.01,))
    monkeypatch.setattr(hooks, "_PATIENCE_WITH_LOOKUPS", 0.1)


@pytest.mark.usefixtures("_quick")
async def test_a_connection_that_does_not_exist(real: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, for all who ask; once it exists, the next ones have a client of it."""
    job_id = real.add_job(life_cycle=LifeCycle(running=0))
    triggers = [make_trigger(job_id, aws_conn_id="late") for _ in range(3)]
    for event in await asyncio.gather(*map(fired, triggers)):
        assert (event["status"], event["job_id"]) == ("error", job_id)
        assert "connection 'late' is not defined" in event["message"]
        # By this the worker knows that the job may go on, and ends it.
        assert event["job_status"] is None
    assert real.statistics.calls.total() == 0
    define(monkeypatch, real, "late")
    assert (await fired(make_trigger(job_id, aws_conn_id="late")))["status"] == "success"


@pytest.mark.usefixtures("_quick")
async def test_the_default_connection_is_no_exception(real: BatchServer) -> None:
    """Without it the provider would take whatever credentials the machine has."""
    event = await fired(BatchJobTrigger(job_id=real.add_job(life_cycle=LONG)))
    assert "connection 'aws_default' is not defined" in event["message"]


async def test_a_lookup_that_fails_at_first(real: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's API may be down for a moment, which looks as if there were no such connection."""
    monkeypatch.setattr(hooks, "_PAUSES", (0.01,))
    look_up = hooks.require_connection
    missing = iter([True, True])

    def require(conn_id: str | None) -> None:
        if next(missing, False):
            raise AirflowNotFoundException
        look_up(conn_id)

    monkeypatch.setattr(hooks, "require_connection", require)
    job_id = real.add_job(life_cycle=LifeCycle(running=0))
    assert (await fired(make_trigger(job_id)))["status"] == "success"


@pytest.mark.usefixtures("real")
async def test_a_lookup_that_fails_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider looks once more, and would go on with an empty connection if that fails."""
    monkeypatch.setattr(hooks, "_PAUSES", (0.01,))
    look_up = AwaitBatchHook.get_connection
    fails = iter([False, True])

    def get_connection(conn_id: str) -> Any:
        if next(fails, False):
            raise AirflowNotFoundException
        return look_up(conn_id)

    monkeypatch.setattr(AwsBaseHook, "get_connection", staticmethod(get_connection))
    async with AwaitBatchHook("aws")._open() as client:
        assert client._request_signer._credentials.access_key == "testing"


@pytest.mark.usefixtures("real")
async def test_a_lookup_that_needs_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggerer of Airflow 3.0 and 3.1 has the event loop itself ask for a connection."""
    look_up = AwaitBatchHook.get_connection
    triggerers = asyncio.get_running_loop()

    async def ask(conn_id: str) -> Any:
        assert asyncio.get_running_loop() is triggerers
        return look_up(conn_id)

    monkeypatch.setattr(AwsBaseHook, "get_connection", staticmethod(async_to_sync(ask)))
    async with AwaitBatchHook("aws")._open() as client:
        assert client._request_signer._credentials.access_key == "testing"


def refused(operation: str) -> ClientError:
    """What STS says."""
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "not now"}}, operation)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (refused("AssumeRole"), 300),
        (ConnectTimeoutError(endpoint_url="https://sts"), 3600),
        (TimeoutError(), 3600),
        (AirflowException("the API server does not answer"), 3600),
        (AirflowNotFoundException(), 20),
        (NoRegionError(), 0),
        (ValueError("a bug"), 0),
    ],
)
async def test_how_long_a_connection_may_fail(
    error: Exception, seconds: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What may pass is sat out, with one line; what would come again is raised at once."""
    tries = 0

    async def fail(_: AwaitBatchHook) -> None:
        nonlocal tries
        tries += 1
        raise error

    monkeypatch.setattr(AwaitBatchHook, "get_async_conn", fail)
    # Threads have no part in virtual time.
    monkeypatch.setattr(hooks, "look_up", lambda *_: asyncio.sleep(0))
    caplog.set_level(logging.WARNING, "awaitbatch")
    began = asyncio.get_running_loop().time()
    hook = AwaitBatchHook(None)
    with pytest.raises(type(error)):
        await hook._connect()
    assert asyncio.get_running_loop().time() - began == pytest.approx(seconds, abs=1)
    assert len(caplog.records) == bool(seconds)
    assert (tries > 2) is bool(seconds)


async def test_an_assumed_role_is_refreshed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider does it by calls that block, on the loop."""
    threads: list[int] = []

    def refresh(_: object) -> dict[str, str]:
        threads.append(threading.get_ident())
        return {
            "access_key": "x",
            "secret_key": "y",
            "token": "z",
            "expiry_time": "2000-01-01T00:00:00+00:00",
        }

    monkeypatch.setattr(BaseSessionFactory, "_refresh_credentials", refresh)
    extra = {"role_arn": "arn:aws:iam::123456789012:role/role", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ROLE", json.dumps(connection))
    session = await asyncio.to_thread(AwaitBatchHook("role").get_session, deferrable=True)
    threads.clear()
    with pytest.raises(RuntimeError, match="still expired"):
        await session._credentials.get_frozen_credentials()
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.usefixtures("real")
async def test_a_connection_that_was_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read anew when a client of it is opened."""
    hook = AwaitBatchHook("aws")
    async with hook._open() as client:
        assert client._request_signer._credentials.access_key == "testing"
    monkeypatch.setenv("AIRFLOW_CONN_AWS", "aws://fresh:secret@/?region_name=us-east-1")
    async with hook._open() as client:
        assert client._request_signer._credentials.access_key == "fresh"


async def test_a_sensor_alone_has_a_rotated_connection_read(
    real: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if no wait for a job notices that the credentials have gone bad."""
    opened: list[str | None] = []
    connect = AwaitBatchHook._connect

    async def count(hook: AwaitBatchHook) -> Any:
        opened.append(hook.aws_conn_id)
        return await connect(hook)

    monkeypatch.setattr(AwaitBatchHook, "_connect", count)
    real.set_job_queue("queue", "VALID", after=2)
    real.inject(Fault.EXPIRED_TOKEN, begin=0.5, end=1)
    event = await fired(BatchJobQueueTrigger(job_queue="queue", aws_conn_id="aws", waiter_delay=0.2))
    assert event["status"] == "success"
    assert len(opened) > 1


async def test_an_outage_of_the_network(real: BatchServer) -> None:
    """Triggers over sockets sit it out, too."""
    job_id = real.add_job(life_cycle=LifeCycle(running=1))
    real.inject(Fault.CONNECTION_REFUSED, begin=0.3, end=1.5)
    events = await asyncio.gather(*(fired(make_trigger(job_id)) for _ in range(50)))
    assert {event["status"] for event in events} == {"success"}
