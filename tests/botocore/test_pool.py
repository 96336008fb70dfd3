"""How many connections a client of our own has."""

from __future__ import annotations

from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.config import Config

from awaitbatch._aiobotocore_transport import MAX_POOL_CONNECTIONS, AiobotocoreTransport

KEYS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "y"}


async def config_of(session: AioSession, config: Any) -> Any:
    """The config of the client that is made with this one."""
    settings = {} if config is None else {"config": config}
    transport = AiobotocoreTransport(session=session, **KEYS, **settings)
    await transport.open()
    try:
        return transport.client.meta.config
    finally:
        await transport.aclose()


@pytest.mark.parametrize(
    ("default", "config", "size"),
    [
        (None, None, MAX_POOL_CONNECTIONS),
        (None, AioConfig(read_timeout=7), MAX_POOL_CONNECTIONS),
        (None, Config(read_timeout=7), MAX_POOL_CONNECTIONS),
        (None, AioConfig(max_pool_connections=10), 10),
        (AioConfig(max_pool_connections=20), None, 20),
        (AioConfig(max_pool_connections=20), AioConfig(read_timeout=7), 20),
        (AioConfig(read_timeout=7), None, MAX_POOL_CONNECTIONS),
    ],
)
async def test_the_size_of_the_pool(default: AioConfig | None, config: Config | None, size: int) -> None:
    """It is large, unless the user or the session asks for a number, be it botocore's own."""
    session = AioSession()
    if default is not None:
        session.set_default_client_config(default)
    made = await config_of(session, config)
    assert made.max_pool_connections == size
    assert made.read_timeout == (
        60 if default is None is config or 7 not in _timeouts(default, config) else 7
    )


def _timeouts(*configs: Config | None) -> list[float]:
    return [config.read_timeout for config in configs if config is not None]


async def test_what_only_an_aioconfig_has_is_kept() -> None:
    """Its arguments for the connector, and the config itself stays as it was."""
    config = AioConfig(connector_args={"force_close": True})
    made = await config_of(AioSession(), config)
    assert made.connector_args["force_close"] is True
    assert made.max_pool_connections == MAX_POOL_CONNECTIONS
    assert config.max_pool_connections == 10
