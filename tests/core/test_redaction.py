"""Secrets in texts that somebody else wrote."""

from __future__ import annotations

import pickle
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from awaitbatch._core.redaction import Redactor, mask, passwords_in


@pytest.mark.parametrize(
    "text",
    [
        "the key AKIAIOSFODNN7SECRET is not known",
        "ASIAIOSFODNN7SECRET",
        "Authorization header: 'AWS4-HMAC-SHA256 Credential=SECRET/20260101/us-east-1/batch/aws4_request, Signature=x'",
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=SECRET",
        "?X-Amz-Credential=SECRET%2F20260101&X-Amz-Signature=SECRET&X-Amz-Security-Token=SECRET",
        "x-amz-security-token:SECRET",
        'X-Amz-Security-Token": "SECRET"',
        "Proxy-Authorization: Basic SECRET==",
        "{'Authorization': 'Bearer SECRET'}",
        "http://me:pa/SECRET@host",
        '{"SecretAccessKey": "SECRET", "SessionToken": "SECRET"}',
        "export AWS_secret_ACCESS_KEY=SECRET AWS_SESSION_TOKEN=SECRET",
        "aws_secret_access_key = SECRET",
        "secretAccessKey: 'SECRET'",
        "{'secret_key': 'SECRET', 'token': 'SECRET-SECRET-SECRET', 'id_token': 'SECRET'}",
        '{"refreshToken":"SECRET","clientSecret":"SECRET","password":"SECRET"}',
        "the token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJTRUNSRVQiSECRET.c2lnbmF0dXJlSECRET is expired",
    ],
)
def test_what_looks_like_a_secret(text: str) -> None:
    """Keys, signatures, tokens and passwords are masked where they are named, or known by their looks."""
    assert "SECRET" not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "Signature expired: 20261123T000000Z is now earlier than 20261123T000500Z",
        "The security token included in the request is invalid.",
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: batch:DescribeJobs",
        "Check your AWS Secret Access Key and signing method.",
        "Error when retrieving token from sso: Token has expired and refresh failed",
        "invalid token: the service account token has expired",
        "Unable to refresh SSO token: missing keys: ['refreshToken']",
        "Basic authentication is required; see https://host:8080/a@b",
    ],
)
def test_what_does_not(text: str) -> None:
    """The usual texts of AWS stay as they are."""
    assert mask(text) == Redactor(["test", "planted-secret"], ["http://host/a@b"])(text) == text


def test_known_secrets() -> None:
    """What is known to be secret is masked whatever is around it, whole, and if it is encoded."""
    redact = Redactor(
        ["planted/key", "planted/key+more", None, "short"], ["http://me:p%40ss/word@host", None]
    )
    shown = redact("planted/key planted/key+more planted%2Fkey p%40ss/word p@ss/word short")
    assert shown == "*** *** *** *** *** short"


def test_passwords() -> None:
    """A password ends at the last @, and an address need not have one."""
    assert passwords_in("http://me:p@/ss@host") == {"p@/ss"}
    assert passwords_in("http://host:80") == passwords_in("http://me@host") == passwords_in(None) == set()


@pytest.mark.parametrize(
    "text",
    [
        "//a:" * 500_000,
        "//" * 1_000_000,
        "authorization" * 100_000,
        "Credential=" * 100_000,
        "x" * 1_000_000,
        "eyJ" * 300_000,
        "eyJ.eyJ-" * 100_000,
        "secret_key" * 100_000,
        "token: " * 100_000,
        "password=" * 100_000,
    ],
)
def test_hostile_texts_take_no_time(text: str) -> None:
    """A text made to be slow to search is not."""
    begin = time.perf_counter()
    Redactor(["planted-secret"])(text)
    assert time.perf_counter() - begin < 1


def test_errors() -> None:
    """An error and all that is behind it are masked; what keeps a secret where it cannot be masked is cut off."""

    class OddError(Exception):
        def __str__(self) -> str:
            return "planted-secret"

    redact = Redactor(["planted-secret"])
    error = EndpointConnectionError(endpoint_url="http://planted-secret/", error=OSError("x"))
    error.__cause__ = ClientError(
        {"Error": {"Code": "planted-secret", "Message": "planted-secret"}, "ResponseMetadata": {}},
        "DescribeJobs",
    )
    error.__cause__.__context__ = OddError()
    redact.clean(error)
    texts = (str(error), repr(error), str(pickle.loads(pickle.dumps(error))), repr(error.__cause__))  # noqa: S301
    assert "planted" not in " ".join((*texts, repr(error.__cause__.response)))
    assert error.__cause__.__context__ is None


def test_errors_without_secrets_stay() -> None:
    """What tells no secret is left as it is, however long it is, and a circle of errors is no trap."""
    one, other = ValueError("x" * 20_000), OSError(2, "no")
    one.__context__, other.__context__ = other, one
    Redactor(["planted-secret"]).clean(one)
    assert one.args == ("x" * 20_000,)
    assert other.args == (2, "no")
    assert one.__context__ is other
