"""What an AWS client needs to call a server of this package."""

from __future__ import annotations

from typing import TypedDict


class ClientArguments(TypedDict):
    """Keyword arguments of ``create_client("batch", …)`` and of `BatchClient`."""

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


def client_arguments(endpoint_url: str, region_name: str) -> ClientArguments:
    """Arguments for ``create_client("batch", …)`` or `BatchClient`.

    A client signs its requests and refuses to make any without credentials; the servers check none.
    """
    return {
        "endpoint_url": endpoint_url,
        "region_name": region_name,
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
