"""Secrets that a client and its calls have, and answers without them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from awaitbatch._core.redaction import Redactor
from awaitbatch._core.text import first_line
from awaitbatch._jobs import UNDECODABLE
from awaitbatch._own_call import current_request

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from botocore.awsrequest import AWSPreparedRequest

_SECRETS_IN_HEADER: Final = re.compile(r"(?:Credential|Signature)=([^,/\s]+)")
"""The secrets in an ``Authorization`` header."""


def redactor_of(client: object, settings: Mapping[str, Any], http_session: object) -> Redactor:
    """What masks the secrets that a client has now, and those of the call under way.

    Args:
        client: The client; None before it is created.
        settings: What it is created with.
        http_session: What it sends with.
    """
    keys = [value for name, value in settings.items() if name.startswith("aws_")]
    signer = getattr(client, "_request_signer", None)
    credentials = getattr(signer, "_credentials", None)
    for name in ("access_key", "secret_key", "token"):
        # The properties of credentials that renew themselves raise.
        keys += [getattr(credentials, f"_{name}", None) or _attribute(credentials, name)]
    meta = getattr(client, "meta", None)
    urls: list[object] = [settings.get("endpoint_url"), getattr(meta, "endpoint_url", None)]
    all_proxies = (
        getattr(settings.get("config"), "proxies", None),
        getattr(getattr(meta, "config", None), "proxies", None),
        # Those of the environment, too.
        getattr(getattr(http_session, "_proxy_config", None), "_proxies", None),
    )
    for proxies in all_proxies:
        urls += (proxies or {}).values()
    return Redactor((*keys, *_secrets_in(current_request.get())), urls)


def redact_headers(headers: MutableMapping[str, str], redact: Redactor) -> None:
    """Mask what it knows in the headers of an answer."""
    for name, value in list(headers.items()):
        redacted = redact(value)
        if redacted != value:
            del headers[name]
            headers[name] = redacted


def _secrets_in(request: AWSPreparedRequest | None) -> tuple[str, ...]:
    """The access key, the signature and the session token of a request."""
    if request is None:
        return ()
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    secrets = _SECRETS_IN_HEADER.findall(headers.get("authorization", ""))
    return (*secrets, headers.get("x-amz-security-token", ""))


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _attribute(thing: object, name: str) -> object:
    try:
        return getattr(thing, name, None)
    except NotImplementedError:
        return None


def tidy_body(body: bytes, *, is_error: bool, redact: Redactor) -> bytes:
    """A body that botocore can parse, and of an error only what is wanted: its code, and the first line of its text.

    More would do harm. AWS answers a wrong signature with the request that it expected, session token included; what
    is in the first line even so is masked.
    And botocore takes a body that is no JSON for the text, and fails over JSON that is no object.
    """
    try:
        answer = msgspec.json.decode(body)
    except UNDECODABLE:
        answer = None
    if not isinstance(answer, dict):
        answer = {"message": "the answer does not come from AWS Batch"}
    elif not is_error:
        return body
    texts = {name: answer.get(name) for name in ("__type", "code", "message", "Message")}
    return msgspec.json.encode(
        {name: redact(first_line(text)) for name, text in texts.items() if isinstance(text, str)}
    )
