"""What the errors of aiobotocore mean to those who wait, and to those who submit."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import botocore.exceptions as botocore_errors
import msgspec
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import http_exceptions
from botocore.awsrequest import AWSRequest
from botocore.parsers import ResponseParserError, create_parser

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import (
    CredentialsError,
    NotSentError,
    UnreadableResponseError,
    classify,
    drop_tracebacks,
)

THROTTLED, TRANSIENT, REFUSED, PERMANENT = (
    FailureKind.THROTTLED,
    FailureKind.TRANSIENT,
    FailureKind.REFUSED,
    FailureKind.PERMANENT,
)


def http_error(
    status: int,
    code: str | None,
    message: str = "text",
    *,
    body: bytes | None = None,
    operation: str = "DescribeJobs",
) -> botocore_errors.ClientError:
    """The error that botocore makes of an HTTP answer, AWS's own or that of something on the way."""
    headers = {} if code is None else {"x-amzn-errortype": code}
    if body is None:
        body = msgspec.json.encode({"message": message})
    parser: Any = create_parser("rest-json")
    answer = parser.parse({"status_code": status, "headers": headers, "body": body}, None)
    return botocore_errors.ClientError(answer, operation)


HTML: Final = b"<html><body><h1>Service Unavailable</h1></body></html>"

ANSWERS = [
    (429, "TooManyRequestsException", "Too Many Requests", THROTTLED),
    (429, None, "", THROTTLED),
    (429, "SomethingNew", "", THROTTLED),
    (429, "ClientException", "", THROTTLED),
    (400, "ThrottlingException", "Rate exceeded", THROTTLED),
    (400, "Throttling", "Rate exceeded", THROTTLED),
    (400, "ThrottledException", "", THROTTLED),
    (400, "RequestLimitExceeded", "", THROTTLED),
    (400, "RequestThrottled", "", THROTTLED),
    (400, "RequestThrottledException", "", THROTTLED),
    (400, "TooManyRequestsException", "", THROTTLED),
    (503, "SlowDown", "", THROTTLED),
    (503, "ThrottlingException", "", THROTTLED),
    (500, "ServerException", "Internal failure", TRANSIENT),
    (500, "InternalFailure", "", TRANSIENT),
    (500, None, "", TRANSIENT),
    (500, "ClientException", "", TRANSIENT),
    (500, "AuthorizerConfigurationException", "", TRANSIENT),
    (502, None, "", TRANSIENT),
    (503, "ServiceUnavailable", "", TRANSIENT),
    (504, None, "", TRANSIENT),
    (400, "ServerException", "", TRANSIENT),
    (400, "InternalFailure", "", TRANSIENT),
    (400, "InternalServerError", "", TRANSIENT),
    (400, "ServiceUnavailable", "", TRANSIENT),
    (400, "RequestTimeout", "", TRANSIENT),
    (400, "LimitExceededException", "", THROTTLED),
    (509, "BandwidthLimitExceeded", "", THROTTLED),
    (304, None, "", TRANSIENT),
    (600, None, "", TRANSIENT),
    (999, None, "", TRANSIENT),
    (408, "RequestTimeout", "", TRANSIENT),
    (408, None, "", TRANSIENT),
    (403, "RequestTimeTooSkewed", "", TRANSIENT),
    (400, "RequestExpired", "", TRANSIENT),
    (
        403,
        "InvalidSignatureException",
        "Signature expired: 20261123T000000Z is now earlier than …",
        TRANSIENT,
    ),
    (
        403,
        "InvalidSignatureException",
        "Signature not yet current: 20261123T000000Z is still later",
        TRANSIENT,
    ),
    (400, "ClientException", "jobs must have length less than or equal to 100", REFUSED),
    (400, "ValidationException", "", REFUSED),
    (403, "InvalidSignatureException", "The request signature we calculated does not match", PERMANENT),
    (403, "AccessDeniedException", "User is not authorized to perform: batch:DescribeJobs", PERMANENT),
    (403, "UnrecognizedClientException", "The security token included in the request is invalid.", PERMANENT),
    (403, "MissingAuthenticationTokenException", "", PERMANENT),
    (403, "ExpiredTokenException", "The security token included in the request is expired", PERMANENT),
    (403, "ExpiredToken", "", PERMANENT),
    (403, None, "", TRANSIENT),
    (404, None, "", PERMANENT),
    (404, "UnknownOperationException", "", PERMANENT),
    (400, "SerializationException", "", PERMANENT),
    (400, None, "", TRANSIENT),
    (407, None, "", TRANSIENT),
    (413, "RequestEntityTooLarge", "", PERMANENT),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    ANSWERS,
    ids=[f"{status}-{code}-{message[:20]}" for status, code, message, _ in ANSWERS],
)
def test_answers(status: int, code: str | None, message: str, kind: FailureKind) -> None:
    """Each answer of AWS means what the table says, and keeps its code, its status and its text."""
    error = http_error(status, code, message)
    failure = classify(error)
    assert failure.kind is kind
    assert failure.http_status == status
    assert failure.code == (code or str(status))
    assert failure.error is error
    assert failure.message == str(error).strip()
    assert failure.advice
    assert failure.costs_attempt is not failure.outdated


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, THROTTLED),
        (500, TRANSIENT),
        (502, TRANSIENT),
        (503, TRANSIENT),
        (403, TRANSIENT),
        (404, PERMANENT),
    ],
)
def test_answers_in_html(status: int, kind: FailureKind) -> None:
    """An answer of a proxy or a load balancer, in HTML, means what its status says."""
    failure = classify(http_error(status, None, body=HTML))
    assert (failure.kind, failure.http_status) == (kind, status)


@pytest.mark.parametrize("status", [429, 500, 503, 403])
def test_answers_without_a_body(status: int) -> None:
    """An empty answer means what its status says."""
    assert classify(http_error(status, None, body=b"")).http_status == status


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException"])
@pytest.mark.parametrize(
    ("refreshes", "kind"), [(True, TRANSIENT), (False, PERMANENT)], ids=["refreshable", "static"]
)
def test_expired_credentials(code: str, refreshes: bool, kind: FailureKind) -> None:
    """Expired credentials are a transient failure if they will be replaced, else the end of all waits."""
    error = http_error(403, code)
    assert classify(error, refreshes_credentials=refreshes).kind is kind


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException"])
def test_fresh_credentials_do_not_heal_everything(code: str) -> None:
    """What fresh credentials would not change stays the end."""
    assert classify(http_error(403, code), refreshes_credentials=True).kind is PERMANENT


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"ResponseMetadata": {}}], ids=str)
def test_an_answer_that_says_nothing(response: Any) -> None:
    """An error of a test double, without code and status, does not break the classifier."""
    failure = classify(botocore_errors.ClientError(response, "DescribeJobs"))
    assert (failure.kind, failure.code, failure.http_status) == (PERMANENT, "Unknown", None)


URL: Final = "https://batch.us-east-1.amazonaws.com/v1/describejobs"

ERRORS: list[tuple[Exception, FailureKind]] = [
    (botocore_errors.ReadTimeoutError(endpoint_url=URL), TRANSIENT),
    (botocore_errors.ConnectTimeoutError(endpoint_url=URL), TRANSIENT),
    (botocore_errors.EndpointConnectionError(endpoint_url=URL), TRANSIENT),
    (botocore_errors.ConnectionClosedError(endpoint_url=URL), TRANSIENT),
    (botocore_errors.ConnectionError(error=OSError("lost")), TRANSIENT),
    (botocore_errors.ProxyConnectionError(proxy_url="http://proxy"), TRANSIENT),
    (botocore_errors.SSLError(endpoint_url=URL, error=ssl.SSLError("handshake")), TRANSIENT),
    (botocore_errors.HTTPClientError(error="reset in the middle of a body"), TRANSIENT),
    (NotSentError(error=FileNotFoundError("the CA bundle")), PERMANENT),
    (NotSentError(error=IsADirectoryError("the CA bundle")), PERMANENT),
    (NotSentError(error=PermissionError("the CA bundle")), PERMANENT),
    (NotSentError(error=ssl.SSLError("no certificate in it")), PERMANENT),
    (NotSentError(error=ValueError("the proxy is one for socks5")), PERMANENT),
    (NotSentError(error=botocore_errors.InvalidProxiesConfigError()), PERMANENT),
    (NotSentError(error=OSError("too many open files")), TRANSIENT),
    (NotSentError(error=RuntimeError("can't start new thread")), TRANSIENT),
    (botocore_errors.ResponseStreamingError(error="cut"), TRANSIENT),
    (botocore_errors.CredentialRetrievalError(provider="sso", error_msg="down"), TRANSIENT),
    (botocore_errors.MetadataRetrievalError(error_msg="slow"), TRANSIENT),
    (ResponseParserError("Unable to parse response"), TRANSIENT),
    (aiohttp.ClientPayloadError("cut"), TRANSIENT),
    (aiohttp.ServerDisconnectedError(), TRANSIENT),
    (TimeoutError(), TRANSIENT),
    (ConnectionResetError("reset"), TRANSIENT),
    (OSError("no route"), TRANSIENT),
    (botocore_errors.NoCredentialsError(), PERMANENT),
    (botocore_errors.PartialCredentialsError(provider="env", cred_var="secret"), PERMANENT),
    (botocore_errors.NoRegionError(), PERMANENT),
    (botocore_errors.ParamValidationError(report="jobs"), PERMANENT),
    (botocore_errors.UnauthorizedSSOTokenError(), PERMANENT),
    (RuntimeError("Session is closed"), PERMANENT),
    (TypeError("a bug"), PERMANENT),
    (KeyError("body"), PERMANENT),
]


def class_name(value: Any) -> str | None:
    """What a test is called for this error."""
    return type(value).__name__ if isinstance(value, Exception) else None


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=class_name)
def test_errors_without_an_answer(error: Exception, kind: FailureKind) -> None:
    """Lost calls may go away, missing credentials and bugs do not; the code is the error's class."""
    failure = classify(error)
    assert failure.kind is kind
    assert (failure.code, failure.http_status) == (type(error).__name__, None)
    assert failure.message
    assert failure.error is error


def test_the_traceback_is_dropped() -> None:
    """A failure that is kept for hours does not keep the frames of the call alive."""
    with pytest.raises(OSError, match="No such file") as caught:
        Path("/no/such/file").read_bytes()
    error = caught.value
    assert error.__traceback__ is not None
    drop_tracebacks(error)
    assert error.__traceback__ is None


def test_the_tracebacks_of_causes_are_dropped() -> None:
    """The causes of a failure keep no frames alive either, be they as tangled as they may."""
    cause, error = OSError("lost first"), OSError("lost then")
    for one in (cause, error):
        with pytest.raises(OSError, match="lost"):
            raise one
    error.__cause__, cause.__cause__ = cause, error
    drop_tracebacks(error)
    assert error.__traceback__ is cause.__traceback__ is None


def test_a_stray_cancellation_is_a_lost_call() -> None:
    """A CancelledError out of aiobotocore that nobody asked for is a transient failure."""
    assert classify(asyncio.CancelledError()).kind is TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Session is closed"),
        AttributeError("'NoneType' object has no attribute 'get'"),
        RuntimeError("Cannot send a request, as the client has been closed."),
    ],
    ids=class_name,
)
def test_a_defect_is_no_network_failure(error: Exception) -> None:
    """A closed client, which aiobotocore wraps like a lost connection, ends the waits, and leaves nothing open."""
    raised = as_aiobotocore_raises(error)
    assert isinstance(raised, botocore_errors.HTTPClientError)
    assert classify(raised).kind is PERMANENT
    assert "closed" in classify(raised).advice
    assert not classify(raised).may_be_done


async def test_what_a_closed_session_of_aiobotocore_raises() -> None:
    """The installed aiobotocore says what the table knows, whether its session was closed or aiohttp's own."""
    request = AWSRequest(method="POST", url="http://127.0.0.1:1", data=b"{}").prepare()
    http: Any = AIOHTTPSession(verify=False)
    raised = []
    async with http:
        session = await http._get_session(None)
        await session.close()
        with pytest.raises(botocore_errors.HTTPClientError) as caught:
            await http.send(request)
        raised.append(caught.value)
    with pytest.raises(botocore_errors.HTTPClientError) as caught:
        await http.send(request)
    raised.append(caught.value)
    for error in raised:
        failure = classify(error)
        assert (failure.kind, failure.may_be_done) == (PERMANENT, False)
        assert failure.advice.startswith("somebody has closed the aiobotocore client")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
        AttributeError("'NoneType' object has no attribute 'get_extra_info'"),
        TypeError("'NoneType' object is not callable"),
        AssertionError(),
    ],
    ids=str,
)
def test_a_defect_of_a_broken_connection_passes(error: Exception) -> None:
    """Broken connections can look like programming errors; nobody can tell then whether the request was sent."""
    failure = classify(as_aiobotocore_raises(error))
    assert failure.kind is TRANSIENT
    assert failure.may_be_done
    assert "closed" not in failure.advice


def test_throttles() -> None:
    """A throttle is distinguished from every other failure."""
    assert classify(http_error(429, None)).kind is THROTTLED
    assert classify(http_error(400, "ThrottlingException")).kind is THROTTLED
    assert classify(http_error(500, "ServerException")).kind is not THROTTLED
    assert classify(TimeoutError()).kind is not THROTTLED


# What aiohttp raises, and what is known then of the request: it was not sent, or nobody knows.
_HOST: Any = SimpleNamespace(host="batch.us-east-1.amazonaws.com", port=443, ssl=True, is_ssl=True)
_INFO: Any = SimpleNamespace(real_url=URL)

NEVER_CONNECTED: list[Exception] = [
    aiohttp.ClientConnectorError(_HOST, ConnectionRefusedError(111, "refused")),
    aiohttp.ClientConnectorError(_HOST, OSError(101, "Network is unreachable")),
    aiohttp.ClientConnectorDNSError(_HOST, socket.gaierror(-2, "Name or service not known")),
    aiohttp.ConnectionTimeoutError(f"Connection timeout to host {URL}"),
    aiohttp.ClientProxyConnectionError(_HOST, ConnectionRefusedError(111, "refused")),
    aiohttp.ClientHttpProxyError(_INFO, (), status=407, message="Proxy Authentication Required"),
]

BROKEN_ON_THE_WAY: list[Exception] = [
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError("Response payload is not completed"),
    http_exceptions.BadStatusLine("HTP/1.1"),
    aiohttp.SocketTimeoutError("Timeout on reading data from socket"),
    aiohttp.ClientOSError(104, "Connection reset by peer"),
    aiohttp.ClientOSError(32, "Broken pipe"),
    aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
    TimeoutError(),
    ConnectionResetError(104, "Connection reset by peer"),
]


def as_aiobotocore_raises(error: Exception) -> Exception:
    """What aiobotocore's own HTTP session makes of an error of aiohttp."""

    class Broken:
        async def request(self, *_: Any, **__: Any) -> None:
            raise error

    async def session(_: Any) -> Broken:
        return Broken()

    async def send() -> None:
        http: Any = AIOHTTPSession(verify=False)
        http._get_session = session
        await http.send(AWSRequest(method="POST", url=URL, data=b"{}").prepare())

    with pytest.raises(botocore_errors.BotoCoreError) as caught:
        asyncio.run(send())
    raised: Exception = caught.value
    return raised


@pytest.mark.parametrize("error", NEVER_CONNECTED, ids=class_name)
def test_never_connected(error: Exception) -> None:
    """A call whose connection was never made cannot have been done, so it may be sent again."""
    raised = as_aiobotocore_raises(error)
    assert not classify(raised).can_be_taken
    assert not classify(raised).may_be_done
    assert classify(raised).kind is TRANSIENT


@pytest.mark.parametrize("error", BROKEN_ON_THE_WAY, ids=class_name)
def test_broken_on_the_way(error: Exception) -> None:
    """A call whose connection broke may have been done, so it is not sent again."""
    raised = as_aiobotocore_raises(error)
    assert classify(raised).may_be_done
    assert classify(raised).can_be_taken
    assert classify(raised).kind is TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ClientConnectorSSLError(_HOST, ssl.SSLError(1, "handshake failure")),
        aiohttp.ClientConnectorCertificateError(_HOST, ssl.SSLCertVerificationError("self-signed")),
    ],
    ids=class_name,
)
def test_no_trust(error: Exception) -> None:
    """A TLS handshake that failed leaves nothing open: no request was sent."""
    assert not classify(as_aiobotocore_raises(error)).may_be_done


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_answers_that_leave_it_open(status: int) -> None:
    """After a 5xx nobody knows what was done."""
    error = http_error(status, None)
    assert classify(error).may_be_done
    assert classify(error).can_be_taken


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429])
def test_answers_that_leave_nothing_open(status: int) -> None:
    """After a refusal or a throttle it is clear that nothing was done, and that the call arrived."""
    error = http_error(status, None)
    assert not classify(error).may_be_done
    assert classify(error).can_be_taken


def test_an_unreadable_answer_leaves_it_open() -> None:
    """An answer that came but cannot be read may be about something that was done."""
    assert classify(ResponseParserError("Unable to parse response")).may_be_done


@pytest.mark.parametrize(
    "error",
    [
        botocore_errors.ParamValidationError(report="jobName"),
        botocore_errors.NoRegionError(),
        RuntimeError("a bug"),
    ],
    ids=class_name,
)
def test_failures_before_sending_leave_nothing_open(error: Exception) -> None:
    """What goes wrong before there is a request leaves nothing open, and trying again is not for us to decide."""
    assert not classify(error).may_be_done
    assert classify(error).can_be_taken


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("the CA bundle"),
        OSError("too many open files"),
        RuntimeError("can't start new thread"),
    ],
    ids=class_name,
)
def test_what_cannot_be_sent_may_be_sent_again(error: Exception) -> None:
    """Whatever kept a call from being sent, it was not done."""
    failure = classify(NotSentError(error=error))
    assert not failure.can_be_taken
    assert not failure.may_be_done


def test_other_calls_keep_their_tracebacks() -> None:
    """An error that is only asked about, and raised to the caller, keeps the way that it came."""
    with pytest.raises(OSError, match="No such file") as caught:
        Path("/no/such/file").read_bytes()
    classify(caught.value)
    assert caught.value.__traceback__ is not None


def test_an_unreadable_answer_has_a_status() -> None:
    """The body of a good answer could not be read, so there was an answer, and its status was good."""
    failure = classify(UnreadableResponseError("not an answer"))
    assert (failure.kind, failure.http_status) == (TRANSIENT, 200)


def test_texts_are_one_line() -> None:
    """What AWS, or who pretends to be, wrote is made fit for a line where it enters."""
    failure = classify(http_error(403, "no\x1b[31m", "no\r2026-01-01 CRITICAL forged\u2028" + "x" * 10_000))
    assert (failure.code, failure.message.isprintable()) == (r"'no\x1b[31m'", True)
    assert len(failure.message) < 500


@pytest.mark.parametrize(
    ("error", "needs_them"),
    [
        (http_error(403, "ExpiredTokenException"), True),
        (http_error(403, "UnrecognizedClientException"), True),
        (http_error(403, "InvalidClientTokenId"), True),
        (http_error(403, "SignatureDoesNotMatch"), True),
        (http_error(403, "InvalidClientTokenId", operation="AssumeRole"), True),
        (http_error(403, "AccessDenied", operation="AssumeRole"), True),
        (botocore_errors.NoCredentialsError(), True),
        (botocore_errors.UnauthorizedSSOTokenError(), True),
        (CredentialsError("a refresh function failed"), True),
        (http_error(403, "AccessDeniedException"), False),
        (http_error(403, "SignatureDoesNotMatch", "Signature expired: it is late"), False),
        (http_error(403, None, body=HTML), False),
        (http_error(429, "ThrottlingException", operation="AssumeRole"), False),
        (http_error(500, "InternalFailure", operation="AssumeRole"), False),
        (botocore_errors.CredentialRetrievalError(provider="custom", error_msg="slow"), False),
        (http_error(400, "ClientException"), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else str(value)[:60],
)
def test_which_failures_need_new_credentials(error: Exception, needs_them: bool) -> None:
    """Those whose credentials are bad or missing; not those that a policy, a clock, a proxy or an outage explains."""
    assert classify(error).needs_new_credentials is needs_them


def test_expired_credentials_need_new_ones_even_if_they_renew_themselves() -> None:
    """They should have done so, and have not."""
    expired = http_error(403, "ExpiredTokenException")
    assert [
        classify(expired, refreshes_credentials=each).needs_new_credentials for each in (True, False)
    ] == [
        True,
        True,
    ]
