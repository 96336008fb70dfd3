"""What the transport over aiobotocore tells of where calls go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awaitbatch._aiobotocore_transport import AiobotocoreTransport

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

KEYS: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}


async def test_the_address_that_botocore_has_found(session: AioSession) -> None:
    """The region decides on it, and it is known once the client is there."""
    transport = AiobotocoreTransport(session=session, region_name="eu-west-1", **KEYS)
    assert (transport.endpoint_url, transport.fetching) == (None, None)
    await transport.open()
    assert transport.endpoint_url == "https://batch.eu-west-1.amazonaws.com"
    assert transport.fetching is None
    await transport.aclose()


async def test_a_password_is_masked(session: AioSession) -> None:
    """What is shown of an address of the user's own has no secret."""
    url = "http://user:hunter2@127.0.0.1:4567"
    transport = AiobotocoreTransport(session=session, region_name="eu-west-1", endpoint_url=url, **KEYS)
    await transport.open()
    assert transport.endpoint_url == "http://***@127.0.0.1:4567"
    await transport.aclose()
