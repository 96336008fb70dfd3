"""Connections and AwaitBatchHook: which client they give, and what they do while a connection fails."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, BaseSessionFactory
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook
from airflow.version import version as airflow_version
from asgiref.sync import async_to_sync
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, NoRegionError

from awaitbatch._shared import _clients, close_shared_clients
from awaitbatch.instrumentation._log import shared_log
from awaitbatch.integrations.airflow import (
    AwaitBatchHook,
    BatchJobQueueTrigger,
    BatchJobTrigger,
    BatchOperator,
    _connection,
)
from awaitbatch.integrations.airflow._async_hook import AsyncHook
from awaitbatch.integrations.airflow._connection import Connection
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from tests.support import LONG

from .support import fired, make_trigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


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
    return AwaitBatchHook(**arguments)._connection.key


def connection(conn_id: str | None = "aws") -> Connection:
    """A connection of which nothing is changed."""
    return Connection(conn_id, None, None, None)


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


@pytest.mark.parametrize("more", [{}, {"something": "that needs the provider's hook"}])
async def test_a_config_is_the_same_after_its_first_use(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """The retries of a config, which botocore fills in, stay as they were: tasks may have them in common."""
    values = {"conn_type": "aws", "extra": {"region_name": "us-east-1", **more}}
    monkeypatch.setenv("AIRFLOW_CONN_SPECIAL", json.dumps(values))
    config = {"retries": {"max_attempts": 3}}
    hook = AwaitBatchHook("special", config=config)
    key = hook._connection.key
    async with hook._connection._open() as client:
        assert client.meta.config.retries["total_max_attempts"] == 4
    assert hook._connection.key == key == key_of(aws_conn_id="special", config=config)
    assert config == {"retries": {"max_attempts": 3}}


OPTION = "AIRFLOW__AWAITBATCH__MAX_CALLS_PER_SECOND"


async def test_a_limit_of_airflows_configuration(real: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option ``max_calls_per_second`` of the section ``awaitbatch`` holds for each client."""
    monkeypatch.setenv(OPTION, "0.5")
    async with AwaitBatchHook("aws").client() as client:
        assert client.statistics().rate <= 0.5
    assert real.statistics.calls.total() == 0


@pytest.mark.parametrize("slip", ["ten", "0", "-1", "nan", "inf", "5,5"])
async def test_a_limit_that_is_none(
    real: BatchServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, slip: str
) -> None:
    """A worker submits nothing with it; in a triggerer, where it would fail all tasks, there is one WARNING."""
    monkeypatch.setenv(OPTION, slip)
    arguments: dict[str, Any] = dict.fromkeys(("task_id", "job_name", "job_queue", "job_definition"), "x")
    operator = BatchOperator(**arguments, aws_conn_id="aws", deferrable=True)
    with pytest.raises(AirflowException, match=rf"max_calls_per_second .* not '{slip}'"):
        operator.execute({})
    assert real.statistics.calls.total() == 0
    caplog.set_level(logging.WARNING, "awaitbatch")
    job_ids = [real.add_job(life_cycle=LifeCycle(running=0)) for _ in range(3)]
    events = await asyncio.gather(*(fired(make_trigger(job_id)) for job_id in job_ids))
    assert {event["status"] for event in events} == {"success"}
    (line,) = (record.getMessage() for record in caplog.records if record.name.startswith("awaitbatch"))
    assert f"not {slip!r}" in line
    assert "10 holds" in line


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


CONNECTIONS: dict[str, dict[str, Any]] = {
    "login": {"login": "key", "password": "secret", "extra": {"region_name": "eu-west-1"}},
    "keys": {
        "extra": {
            "aws_access_key_id": "key",
            "aws_secret_access_key": "secret",
            "aws_session_token": "token",
            "region_name": "us-gov-west-1",
        }
    },
    "service": {
        "login": "key",
        "password": "secret",
        "extra": {
            "region_name": "us-east-1",
            "endpoint_url": "http://all:1",
            "service_config": {"batch": {"endpoint_url": "http://batch:1"}},
            "verify": False,
            "config_kwargs": {"read_timeout": 7, "user_agent_extra": "mine", "retries": {"mode": "standard"}},
        },
    },
    "profile": {"extra": {"profile_name": "other", "region_name": "us-east-1"}},
    "region_of_profile": {"extra": {"profile_name": "other"}},
    "unsigned": {"extra": {"region_name": "us-east-1", "config_kwargs": {"signature_version": "unsigned"}}},
    "empty": {},
}
"""Connections of which we make sessions ourselves."""


@pytest.mark.parametrize("conn_id", [None, *CONNECTIONS])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "region_name": "ap-south-1",
            "verify": "/bundle.pem",
            "config": {"read_timeout": 8, "connect_timeout": 3},
        },
    ],
)
async def test_a_client_is_what_the_provider_makes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, conn_id: str | None, changes: dict[str, Any]
) -> None:
    """Credentials, region, address, TLS and config: all are as its hook has them, though we do not ask it."""
    for name, values in CONNECTIONS.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "aws", **values}))
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = o\naws_secret_access_key = p\n")
    (tmp_path / "config").write_text("[profile other]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "machines")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    given = {"region_name": None, "verify": None, "config": None, **changes}
    theirs = await AwsBaseHook(conn_id, client_type="batch", **given).get_async_conn()
    with monkeypatch.context() as context:
        context.setattr(AsyncHook, "__init__", refuse)
        ours = await asyncio.to_thread(Connection(conn_id, **given)._make_client)
    # A path of certificates that is none is found out when the first connection is made.
    async with theirs as expected, ours as client:
        assert traits(client) == traits(expected)
        agents = [str(each.meta.config.user_agent_extra).split() for each in (client, expected)]
        assert {agent[0] for agent in agents} == {f"Airflow/{airflow_version}"}
        assert {agent[1].partition("/")[0] for agent in agents} == {"AmPP"}
        assert ("mine" in agents[0]) is ("mine" in agents[1])


def traits(client: Any) -> dict[str, Any]:
    """What makes a client of a connection."""
    credentials, config = client._request_signer._credentials, client.meta.config
    options = {name: value for name, value in vars(config).items() if not name.startswith("_")}
    return {
        "credentials": credentials
        and (type(credentials), credentials.access_key, credentials.secret_key, credentials.token),
        "region": client.meta.region_name,
        "endpoint": client.meta.endpoint_url,
        "verify": client._endpoint.http_session._verify,
        "options": {**options, "user_agent": None, "user_agent_extra": None},
    }


@pytest.mark.parametrize(
    "more",
    [
        {"role_arn": "arn:aws:iam::123456789012:role/role"},
        {"assume_role_kwargs": {}},
        {"something": "that a later provider knows"},
    ],
)
async def test_connections_that_need_the_providers_hook(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """It makes a session of whatever we do not know ourselves; the connection is read once."""
    until = "2099-01-01T00:00:00+00:00"
    role = {"access_key": "role", "secret_key": "s", "token": "t", "expiry_time": until}
    monkeypatch.setattr(BaseSessionFactory, "_refresh_credentials", lambda _: role)
    extra = {"region_name": "us-east-1", **more}
    values = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SPECIAL", json.dumps(values))
    look_up, reads, hooks = BaseHook.get_connection, [], []

    def get_connection(conn_id: str) -> Any:
        reads.append(conn_id)
        return look_up(conn_id)

    def get_session(hook: AsyncHook, **arguments: Any) -> Any:
        hooks.append(hook)
        return sessions(hook, **arguments)

    sessions = AsyncHook.get_session
    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(get_connection))
    monkeypatch.setattr(AsyncHook, "get_session", get_session)
    async with connection("special")._open() as client:
        keys = await client._request_signer._credentials.get_frozen_credentials()
        assert keys.access_key == ("role" if "role_arn" in more else "key")
    assert reads == ["special"]
    assert len(hooks) == 1


async def test_a_session_factory_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow has an option for one, which the provider's hook asks."""
    factory = f"{BaseSessionFactory.__module__}.{BaseSessionFactory.__name__}"
    monkeypatch.setenv("AIRFLOW__AWS__SESSION_FACTORY", factory)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made: list[object] = []
    sessions = AsyncHook.get_session

    def get_session(hook: AsyncHook, **arguments: Any) -> Any:
        made.append(hook)
        return sessions(hook, **arguments)

    monkeypatch.setattr(AsyncHook, "get_session", get_session)
    async with connection(None)._open():
        assert made


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connection, "_PAUSES", (0.01,))
    monkeypatch.setattr(_connection, "_PATIENCE_WITH_LOOKUPS", 0.1)


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
    monkeypatch.setattr(_connection, "_PAUSES", (0.01,))
    look_up = BaseHook.get_connection
    missing = iter([True, True])

    def get_connection(conn_id: str) -> Any:
        if next(missing, False):
            raise AirflowNotFoundException
        return look_up(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(get_connection))
    job_id = real.add_job(life_cycle=LifeCycle(running=0))
    assert (await fired(make_trigger(job_id)))["status"] == "success"


@pytest.mark.usefixtures("real")
async def test_a_lookup_that_needs_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggerer of Airflow 3.0 and 3.1 has the event loop itself ask for a connection."""
    look_up = BaseHook.get_connection
    triggerers = asyncio.get_running_loop()

    async def ask(conn_id: str) -> Any:
        assert asyncio.get_running_loop() is triggerers
        return look_up(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(async_to_sync(ask)))
    async with connection()._open() as client:
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
        (AirflowNotFoundException(), 60),
        (NoRegionError(), 0),
        (ValueError("a bug"), 0),
    ],
)
async def test_how_long_a_connection_may_fail(
    error: Exception, seconds: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What may pass is sat out, with one line; what would come again is raised at once."""
    tries = 0

    async def fail(_: object) -> None:
        nonlocal tries
        tries += 1
        raise error

    # Threads have no part in virtual time.
    monkeypatch.setattr(_connection, "look_up", fail)
    caplog.set_level(logging.WARNING, "awaitbatch")
    began = asyncio.get_running_loop().time()
    with pytest.raises(type(error)):
        await connection()._connect()
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
    async with connection()._open() as client:
        assert client._request_signer._credentials.access_key == "testing"
    monkeypatch.setenv("AIRFLOW_CONN_AWS", "aws://fresh:secret@/?region_name=us-east-1")
    async with connection()._open() as client:
        assert client._request_signer._credentials.access_key == "fresh"


async def test_a_sensor_alone_has_a_rotated_connection_read(
    real: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if no wait for a job notices that the credentials have gone bad."""
    opened: list[Connection] = []
    connect = Connection._connect

    async def count(connection: Connection) -> Any:
        opened.append(connection)
        return await connect(connection)

    monkeypatch.setattr(Connection, "_connect", count)
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
