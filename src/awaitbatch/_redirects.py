"""Redirects, which no call of ours follows: it would take its session token and its body along."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import botocore.exceptions as botocore_errors

from awaitbatch._own_call import current_sender

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""HTTP statuses that tell where to send the call instead."""


def guard_against_redirects(connections: aiohttp.ClientSession) -> None:
    """Let calls of ours stop before aiohttp sends them elsewhere, with session token and body.

    A trace of aiohttp's could do it, too, but takes a tenth of a call's time. The guard stays: it concerns no call of
    others, and another transport may need it.
    """
    response_class = connections._response_class  # noqa: SLF001
    if not issubclass(response_class, _GuardedResponse):
        guarded = type("GuardedResponse", (_GuardedResponse, response_class), {})
        connections._response_class = guarded  # noqa: SLF001


class _GuardedResponse(aiohttp.ClientResponse):
    """A response that does not let a call of ours be redirected."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401
        """Read the head."""
        await super().start(connection)
        if self.status in REDIRECTS and current_sender.get() is not None:
            self.close()
            raise Redirect(target_of(str(self.url), self.headers.get("Location") or self.headers.get("URI")))
        return self


class Redirect(Exception):  # noqa: N818
    """What stops aiohttp, which knows no operations."""

    def __init__(self, target: str) -> None:
        super().__init__(f"a redirect to {target}, which is not followed")
        self.target = target


def wrapped_in(error: Exception | None) -> object:
    """What an error of botocore's was made of, such as a `Redirect`."""
    return error.kwargs.get("error") if isinstance(error, botocore_errors.HTTPClientError) else None


def target_of(url: str, location: str | None) -> str:
    """Where a redirect leads: scheme, host and port, without whatever else is in the address."""
    if not location:
        return "an address that it does not name"
    try:
        address = urlsplit(urljoin(url, location))
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if not host:
        return "an address that is not valid"
    host = f"[{host}]" if ":" in host else host
    return f"{address.scheme}://{host}" + (f":{port}" if port else "")
