"""How a call fails and what that means, in one table: calls are judged by it, and docs/failures.md is drawn from it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import botocore.exceptions as botocore_errors
import botocore.parsers

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch._core.text import message_of, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnreadableResponseError(Exception):
    """The HTTP status is good, but the body is not the answer that it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way in which a call fails.

    It is recognised by any of ``statuses``, ``codes``, ``texts`` and ``errors``, within what the members after
    those demand.

    Attributes:
        what: What has happened, in plain words.
        kind: What it means to those who wait.
        advice: What the user should do, to be read after the error's own text; ``{operation}`` is the call's.
        statuses: HTTP statuses.
        codes: Error codes of AWS.
        texts: How ``"code: text"`` of AWS's error begins.
        errors: Classes of the error.
        around: Only if aiobotocore wrapped an error of one of these classes.
        bare: Only if the answer has no error code, so that it is not one of AWS.
        renewed: Only if expired credentials are replaced by fresh ones (True), or only if not (False).
        leaves_open: Whether AWS may have done what the call asked for.
    """

    what: str
    kind: FailureKind
    advice: str
    statuses: Sequence[int] = ()
    codes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    errors: tuple[type[BaseException], ...] = ()
    around: tuple[type[BaseException], ...] = ()
    bare: bool = False
    renewed: bool | None = None
    leaves_open: bool = False

    def fits(self, call: _FailedCall) -> bool:
        """Whether this is how the call failed."""
        if self.renewed is not None and self.renewed is not call.renewed:
            return False
        # botocore puts the status where there is no code.
        if self.bare and call.code != str(call.http_status):
            return False
        if self.around and not isinstance(_wrapped(call.error), self.around):
            return False
        return (
            call.http_status in self.statuses
            or call.code in self.codes
            or f"{call.code}: {call.text}".startswith(self.texts)
            or isinstance(call.error, self.errors)
        )


_EXPIRY_CODES: Final = ("ExpiredToken", "ExpiredTokenException")

TABLE: Final = (
    Row(
        what="The account makes too many calls, so AWS rejects this one",
        kind=FailureKind.THROTTLED,
        advice="have other programs on this account make fewer calls, or try again later",
        statuses=(429,),
        codes=(
            "TooManyRequestsException",
            "ThrottlingException",
            "ThrottledException",
            "Throttling",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "SlowDown",
        ),
    ),
    Row(
        what="A server error, from AWS Batch or from something between here and AWS",
        kind=FailureKind.TRANSIENT,
        advice="try again later",
        statuses=(408, *range(500, 600)),
        leaves_open=True,
    ),
    Row(
        what="The time at which the call was signed is too far from AWS's clock",
        kind=FailureKind.TRANSIENT,
        advice="correct the clock of this machine",
        codes=("RequestTimeTooSkewed", "RequestExpired"),
        texts=(
            "InvalidSignatureException: Signature expired",
            "InvalidSignatureException: Signature not yet current",
        ),
    ),
    Row(
        what="The credentials have expired, but they renew themselves",
        kind=FailureKind.TRANSIENT,
        advice="find out why these credentials were not renewed",
        codes=_EXPIRY_CODES,
        renewed=True,
    ),
    Row(
        what="The credentials have expired and cannot renew themselves",
        kind=FailureKind.EXPIRED,
        advice="the credentials have expired and cannot renew themselves, so no further call can succeed: "
        "create a new BatchClient with fresh ones, or with a profile or role that renews them",
        codes=_EXPIRY_CODES,
        renewed=False,
    ),
    Row(
        what="AWS Batch refuses the content of the call, such as a malformed id",
        kind=FailureKind.REFUSED,
        advice="check the job's id",
        codes=("ClientException", "ValidationException"),
    ),
    Row(
        what="AWS does not know the access key, or the secret key or session token does not match it",
        kind=FailureKind.PERMANENT,
        advice="check the access key, the secret key, the session token and the region",
        codes=(
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignatureException",
            "MissingAuthenticationTokenException",
        ),
    ),
    Row(
        what="The server that answers is not AWS Batch",
        kind=FailureKind.PERMANENT,
        advice="check endpoint_url",
        statuses=(404,),
        codes=("UnknownOperationException",),
    ),
    Row(
        what="Something between here and AWS refuses the call, such as a proxy or a network's login page",
        kind=FailureKind.TRANSIENT,
        advice="check what is between here and AWS, such as a proxy",
        statuses=range(400, 500),
        bare=True,
    ),
    Row(
        what="The credentials do not allow the call",
        kind=FailureKind.PERMANENT,
        advice="allow batch:{operation} in the IAM policy of these credentials",
        statuses=(401, 403),
        codes=("AccessDeniedException", "AccessDenied"),
    ),
    Row(
        what="There are no credentials, or they need a new login",
        kind=FailureKind.PERMANENT,
        advice="configure credentials as for boto3, or log in again",
        errors=(
            botocore_errors.NoCredentialsError,
            botocore_errors.PartialCredentialsError,
            botocore_errors.SSOError,
        ),
    ),
    Row(
        what="The provider of the credentials does not answer",
        kind=FailureKind.TRANSIENT,
        advice="check that this machine can reach the provider of its credentials",
        errors=(botocore_errors.CredentialRetrievalError, botocore_errors.MetadataRetrievalError),
    ),
    Row(
        what="aiobotocore itself fails, as it does after it has been closed",
        kind=FailureKind.PERMANENT,
        advice="if nobody closed the aiobotocore client, this is a bug: please report it",
        errors=(botocore_errors.HTTPClientError,),
        around=(AttributeError, RuntimeError, TypeError),
    ),
    Row(
        what="TLS fails: the certificate is not trusted, or the two sides share no protocol version or cipher",
        kind=FailureKind.TRANSIENT,
        advice="check verify=, the CA bundle and the proxy",
        errors=(botocore_errors.SSLError, ssl.SSLError),
    ),
    Row(
        what="No answer arrives in time",
        kind=FailureKind.TRANSIENT,
        advice="check the network, or raise call_timeout",
        errors=(TimeoutError, botocore_errors.ConnectTimeoutError, botocore_errors.ReadTimeoutError),
        leaves_open=True,
    ),
    Row(
        what="The connection cannot be made, or is lost",
        kind=FailureKind.TRANSIENT,
        advice="check the network, the region and endpoint_url",
        errors=(
            OSError,
            aiohttp.ClientError,
            botocore_errors.ConnectionError,
            botocore_errors.HTTPClientError,
            asyncio.CancelledError,
        ),
        leaves_open=True,
    ),
    Row(
        what="The body of the answer cannot be read",
        kind=FailureKind.TRANSIENT,
        advice="check what is between here and AWS, such as a proxy",
        errors=(UnreadableResponseError, botocore.parsers.ResponseParserError),
        leaves_open=True,
    ),
    Row(
        what="Anything else",
        kind=FailureKind.PERMANENT,
        advice="if this does not tell you what to do, it may be a bug: please report it",
        errors=(BaseException,),
    ),
)
"""The first row that fits decides."""


@dataclass(frozen=True, slots=True)
class _FailedCall:
    """What rows are compared with."""

    error: BaseException
    http_status: int | None
    code: str
    text: str
    renewed: bool


def _parse(error: BaseException, *, renewed: bool) -> _FailedCall:
    if not isinstance(error, botocore_errors.ClientError):
        # An answer that cannot be read is one all the same, and its status was good.
        status = 200 if isinstance(error, UnreadableResponseError) else None
        return _FailedCall(error, status, type(error).__name__, "", renewed)
    answer: dict[str, Any] = dict(error.response)
    details = answer.get("Error", {})
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return _FailedCall(
        error, status or None, str(details.get("Code", "Unknown")), str(details.get("Message", "")), renewed
    )


def classify(error: BaseException, *, refreshes_credentials: bool = False) -> Failure:
    """What an error of a call means, with texts that are fit for a line.

    Args:
        error: What aiobotocore raised.
        refreshes_credentials: Whether expired credentials will be replaced by fresh ones.
    """
    call = _parse(error, renewed=refreshes_credentials)
    row = next(row for row in TABLE if row.fits(call))
    was_sent = not _is_connection_never_made(error)
    return Failure(
        row.kind,
        one_line(call.code),
        call.http_status,
        message_of(error),
        error,
        advice=row.advice.format(operation=getattr(error, "operation_name", "DescribeJobs")),
        was_sent=was_sent,
        may_be_done=row.leaves_open and was_sent,
    )


def drop_tracebacks(error: BaseException | None) -> None:
    """Free the frames of an error that will be kept for a while, and of those behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.with_traceback(None)
        error = error.__cause__ or error.__context__


def _is_connection_never_made(error: BaseException) -> bool:
    if isinstance(error, botocore_errors.EndpointConnectionError):
        # aiobotocore raises the same for connections that broke with the request on its way.
        return isinstance(_wrapped(error), aiohttp.ClientConnectorError)
    return isinstance(error, botocore_errors.ConnectTimeoutError | botocore_errors.ProxyConnectionError)


def _wrapped(error: BaseException) -> object:
    """The error of aiohttp's that aiobotocore wrapped."""
    return error.kwargs.get("error") if isinstance(error, botocore_errors.BotoCoreError) else None
