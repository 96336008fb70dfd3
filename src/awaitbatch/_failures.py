"""How a call fails and what that means, in one table that calls are judged by. docs/reference/failures.md shows it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
import botocore.exceptions as botocore_errors
import botocore.parsers
from aiohttp.http_exceptions import HttpProcessingError

from awaitbatch._core.outcomes import Failure, FailureKind
from awaitbatch._core.text import error_line, message_of, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnreadableResponseError(Exception):
    """The HTTP status is good, but the body is not the answer that it should be."""


class CutOffError(Exception):
    """The client was closed while the call was on its way, and nobody can tell what became of it."""

    def __init__(self, text: str = "the BatchClient was closed before the answer came") -> None:
        super().__init__(text)


class CredentialsError(Exception):
    """The user's own code for fetching credentials raised the error that is the cause of this one."""


class RedirectedError(botocore_errors.HTTPClientError):  # type: ignore[misc]
    """Whoever answered wants the call to be sent elsewhere; it was not, since it carries the session token."""

    fmt = "{operation} was redirected to {target}, and redirects are not followed"


class NotSentError(botocore_errors.HTTPClientError):  # type: ignore[misc]
    """There is nothing to send the call with, such as a TLS context."""

    fmt = "the call could not be sent: {error}"


class MockedByMotoError(Exception):
    """The mock of moto has answered in place of AWS, in a way that aiobotocore cannot read."""

    def __init__(self) -> None:
        super().__init__("moto's mock_aws is active in this process, and aiobotocore cannot read its answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way in which a call fails.

    It is recognised by any of ``statuses``, ``codes``, ``texts`` and ``errors``, within what the members after
    those demand.

    Attributes:
        what: What has happened, in plain words.
        kind: What it means to those who wait.
        advice: What the user should do, to be read after the error's own text; ``{operation}`` is what failed, and
            ``{service}`` the service that it belongs to.
        statuses: HTTP statuses.
        codes: Error codes of AWS.
        texts: How ``"code: text"`` of AWS's error begins, or ``"class: text"`` of any other error or of one that
            aiobotocore wrapped.
        errors: Classes of the error.
        around: Only if aiobotocore wrapped an error of one of these classes.
        bare: Only if the answer has no error code, so that it is not one of AWS.
        renewed: Only if expired credentials are replaced by fresh ones (True), or only if not (False).
        for_credentials: Only if what failed was a call for credentials, to another service than AWS Batch.
        service: Only if it was a call to this service of those that give credentials.
        leaves_open: Whether AWS may have done what the call asked for.
        not_taken: Whether AWS Batch has certainly not accepted the call: it was not signed, or too long ago.
        outdated: Whether it was signed too long ago, so that it only has to be signed and sent again.
        needs_new_credentials: Whether the credentials are at fault, and not what they are allowed to do.
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
    for_credentials: bool = False
    service: str = ""
    leaves_open: bool = False
    not_taken: bool = False
    outdated: bool = False
    needs_new_credentials: bool = False

    def fits(self, call: _FailedCall) -> bool:
        """Whether this is how the call failed."""
        return (
            (self.renewed is None or self.renewed is call.renewed)
            and (not self.for_credentials or call.is_for_credentials)
            and self.service in {"", call.service}
            # botocore puts the status where there is no code.
            and (not self.bare or call.code == str(call.http_status))
            and (not self.around or isinstance(_wrapped(call.error), self.around))
        ) and (
            call.http_status in self.statuses
            or call.code in self.codes
            or any(text.startswith(self.texts) for text in call.texts)
            or isinstance(call.error, self.errors)
        )


STS: Final = "AWS STS"
SSO: Final = "AWS SSO"

_SERVICES: Final = {
    **dict.fromkeys(("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot"), STS),
    **dict.fromkeys(("GetCallerIdentity", "GetFederationToken", "GetSessionToken"), STS),
    **dict.fromkeys(("CreateToken", "GetRoleCredentials"), SSO),
}
"""Which of the services that give credentials an operation belongs to."""

_PERMISSIONS: Final = {"CancelJobs": "CancelJob", "TerminateJobs": "TerminateJob"}
"""Operations whose permission has another name."""

_BATCH_OPERATIONS: Final = (
    *("DescribeJobs", "SubmitJob", "CancelJob", "TerminateJob", *_PERMISSIONS),
    *("ListJobs", "DescribeComputeEnvironments", "DescribeJobQueues", "GetJobQueueSnapshot"),
)
"""What we call ourselves: none of it is a call for credentials, even if a test double confuses them."""

_THROTTLING_CODES: Final = (
    *("TooManyRequestsException", "ThrottlingException", "ThrottledException", "Throttling"),
    *("RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "SlowDown"),
    *("BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete"),
    *("ProvisionedThroughputExceededException", "TransactionInProgressException"),
)

FETCHING: Final = "while fetching credentials: "
"""How a note begins that tells of a failure whose credentials were being fetched."""

EXPIRY_CODES: Final = ("ExpiredToken", "ExpiredTokenException")
"""What AWS says of credentials that have expired."""

UNKNOWN_KEY_CODES: Final = (
    *("UnrecognizedClientException", "InvalidClientTokenId"),
    *("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignatureException"),
    "MissingAuthenticationTokenException",
)
"""What it says of those that it does not know, as after a rotation."""

DENIAL_CODES: Final = ("AccessDeniedException", "AccessDenied")
"""What it says of a call that the credentials do not allow."""

TABLE: Final = (
    Row(
        what="The client is closed while a call is on its way, and the answer does not come in time",
        kind=FailureKind.PERMANENT,
        advice="find out whether AWS Batch has done it",
        errors=(CutOffError,),
        leaves_open=True,
    ),
    Row(
        what="A service that gives credentials is asked too often, or cannot reach the identity provider",
        kind=FailureKind.TRANSIENT,
        advice="{service} rejects {operation} for now, so there are no credentials: try again later",
        statuses=(429,),
        codes=(*_THROTTLING_CODES, "IDPCommunicationError"),
        for_credentials=True,
    ),
    Row(
        what="The account makes too many calls, so AWS rejects this one",
        kind=FailureKind.THROTTLED,
        advice="have other programs on this account make fewer calls, or try again later",
        statuses=(429,),
        codes=_THROTTLING_CODES,
    ),
    Row(
        what="The gateway before AWS Batch fails to find out who calls, and does not pass the call on",
        kind=FailureKind.TRANSIENT,
        advice="try again later",
        codes=("AuthorizerConfigurationException",),
        not_taken=True,
    ),
    Row(
        what="A server error, from AWS Batch or from something between here and AWS",
        kind=FailureKind.TRANSIENT,
        advice="try again later",
        statuses=(304, 408, *range(500, 1000)),
        codes=(
            *("ServerException", "InternalFailure", "InternalError"),
            *("InternalServerError", "InternalServerException"),
            *("ServiceUnavailable", "ServiceUnavailableException"),
            *("RequestTimeout", "RequestTimeoutException"),
        ),
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
            "SignatureDoesNotMatch: Signature expired",
            "SignatureDoesNotMatch: Signature not yet current",
        ),
        not_taken=True,
        outdated=True,
    ),
    Row(
        what="Something between here and AWS refuses the call, such as a proxy or a network's login page",
        kind=FailureKind.TRANSIENT,
        advice="check what is between here and AWS, such as a proxy",
        # A bare 404 is no passing trouble: it comes from a server that is not the one meant.
        statuses=(*range(400, 404), *range(405, 500)),
        bare=True,
    ),
    *(
        Row(
            what=f"{service or 'Another service'} refuses to give credentials",
            kind=FailureKind.PERMANENT,
            advice=f"{{service}} refused {{operation}}, so there are no credentials: {advice}",
            errors=(botocore_errors.ClientError,),
            for_credentials=True,
            service=service,
            needs_new_credentials=True,
        )
        for service, advice in (
            (STS, "check the role, its trust policy and the identity provider"),
            (SSO, "log in again, or check the account and the role of the profile"),
            ("", "check their provider"),
        )
    ),
    Row(
        what="Your own code for fetching credentials raises an error",
        kind=FailureKind.PERMANENT,
        advice="fetching credentials failed; check their provider",
        errors=(CredentialsError,),
        not_taken=True,
        needs_new_credentials=True,
    ),
    Row(
        what="The credentials have expired, but they renew themselves",
        kind=FailureKind.TRANSIENT,
        advice="find out why these credentials were not renewed",
        codes=EXPIRY_CODES,
        renewed=True,
        needs_new_credentials=True,
    ),
    Row(
        what="The credentials have expired and cannot renew themselves",
        kind=FailureKind.PERMANENT,
        advice="the credentials have expired and cannot renew themselves, so no further call can succeed: "
        "create a new BatchClient with fresh ones, or with a profile or role that renews them",
        codes=EXPIRY_CODES,
        renewed=False,
        needs_new_credentials=True,
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
        codes=UNKNOWN_KEY_CODES,
        needs_new_credentials=True,
    ),
    Row(
        what="The server that answers is not AWS Batch",
        kind=FailureKind.PERMANENT,
        advice="check endpoint_url",
        statuses=(404,),
        codes=("UnknownOperationException",),
    ),
    Row(
        what="The call is redirected, as by a wrong endpoint or a network's login page; redirects are not followed",
        kind=FailureKind.PERMANENT,
        advice="check endpoint_url, and what is between here and AWS, such as a proxy",
        errors=(RedirectedError,),
    ),
    Row(
        what="The credentials do not allow the call",
        kind=FailureKind.PERMANENT,
        advice="allow batch:{operation} in the IAM policy of these credentials",
        statuses=(401, 403),
        codes=DENIAL_CODES,
    ),
    Row(
        what="There are no credentials, or they need a new login",
        kind=FailureKind.PERMANENT,
        advice="configure credentials as for boto3, or log in again",
        errors=(
            *(botocore_errors.NoCredentialsError, botocore_errors.PartialCredentialsError),
            *(botocore_errors.NoAuthTokenError, botocore_errors.RefreshWithMFAUnsupportedError),
            *(botocore_errors.SSOError, botocore_errors.LoginError),
        ),
        # What AWS SSO said to a refresh is known to botocore alone; a connection that fails is another error.
        texts=(
            "TokenRetrievalError: Error when retrieving token from sso: Token has expired and refresh failed",
        ),
        not_taken=True,
        needs_new_credentials=True,
    ),
    Row(
        what="The provider of the credentials does not answer",
        kind=FailureKind.TRANSIENT,
        advice="check that this machine can reach the provider of its credentials",
        errors=(
            botocore_errors.CredentialRetrievalError,
            botocore_errors.MetadataRetrievalError,
            botocore_errors.TokenRetrievalError,
        ),
        not_taken=True,
    ),
    Row(
        what="The provider of the credentials gives ones that have expired already",
        kind=FailureKind.TRANSIENT,
        advice="check the provider of these credentials, and the clock of this machine",
        texts=("RuntimeError: Credentials were refreshed, but the refreshed credentials are still expired",),
        not_taken=True,
        needs_new_credentials=True,
    ),
    Row(
        what="Somebody has closed the aiobotocore client",
        kind=FailureKind.PERMANENT,
        advice="somebody has closed the aiobotocore client: keep it open for as long as the BatchClient",
        texts=(
            "RuntimeError: Session is closed",
            "AttributeError: 'NoneType' object has no attribute 'get'",
            "RuntimeError: Cannot send a request, as the client has been closed",
        ),
    ),
    Row(
        what="The CA bundle, the client's own certificate or the proxy is not one that can be used",
        kind=FailureKind.PERMANENT,
        advice="check verify=, AWS_CA_BUNDLE, client_cert, and the proxy, which must be an HTTP proxy",
        errors=(NotSentError,),
        around=(
            *(FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, ssl.SSLError),
            *(botocore_errors.InvalidProxiesConfigError, TypeError, ValueError),
        ),
        not_taken=True,
    ),
    Row(
        what="aiobotocore itself fails, as it may when connections break",
        kind=FailureKind.TRANSIENT,
        advice="if it goes on, restart the program, and report it as a bug",
        errors=(botocore_errors.HTTPClientError,),
        around=(AssertionError, AttributeError, RuntimeError, TypeError),
        leaves_open=True,
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
            *(OSError, aiohttp.ClientError, HttpProcessingError),
            *(botocore_errors.ConnectionError, botocore_errors.HTTPClientError),
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
        what="moto's `mock_aws` answers in place of AWS, in a way that aiobotocore cannot read",
        kind=FailureKind.PERMANENT,
        advice="call a server instead: MotoServer or BatchServer of awaitbatch.testing",
        errors=(MockedByMotoError,),
        not_taken=True,
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
    texts: Sequence[str]
    renewed: bool
    operation: str
    is_for_credentials: bool = False

    @property
    def service(self) -> str:
        return _SERVICES.get(self.operation, "AWS")


def _parse(error: BaseException, *, operation: str, renewed: bool) -> _FailedCall:
    if not isinstance(error, botocore_errors.ClientError):
        # An answer that cannot be read is one all the same, and its status was good.
        status = 200 if isinstance(error, UnreadableResponseError) else None
        wrapped = _wrapped(error)
        texts = [error_line(each) for each in (error, wrapped) if isinstance(each, BaseException)]
        return _FailedCall(error, status, type(error).__name__, texts, renewed, operation)
    details = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(details.get("Code", "Unknown"))
    texts = [f"{code}: {details.get('Message', '')}"]
    # Before a call is signed, botocore may call other services of its own accord, and only for credentials.
    is_for_credentials = error.operation_name not in {operation, *_BATCH_OPERATIONS}
    failed = one_line(error.operation_name)
    return _FailedCall(error, status or None, code, texts, renewed, failed, is_for_credentials)


def classify(
    error: BaseException, *, operation: str = "DescribeJobs", refreshes_credentials: bool = False
) -> Failure:
    """What an error of a call means, with texts that are fit for a line.

    Args:
        error: What aiobotocore raised.
        operation: What was called. If something else failed, that was a call for the credentials to sign it with.
        refreshes_credentials: Whether expired credentials will be replaced by fresh ones.
    """
    call = _parse(error, operation=operation, renewed=refreshes_credentials)
    row = next(row for row in TABLE if row.fits(call))
    code = call.code
    if isinstance(error, CredentialsError) and error.__cause__ is not None:
        error = error.__cause__
        code = type(error).__name__
    fetching = [note for note in getattr(error, "__notes__", ()) if note.startswith(FETCHING)]
    can_be_taken = not (
        row.not_taken or call.is_for_credentials or fetching or _is_connection_never_made(call.error)
    )
    return Failure(
        row.kind,
        one_line(code),
        call.http_status,
        "; ".join((message_of(error), *map(one_line, fetching))),
        error,
        costs_attempt=not row.outdated,
        advice=row.advice.format(
            operation=_PERMISSIONS.get(call.operation, call.operation), service=call.service
        ),
        outdated=row.outdated,
        can_be_taken=can_be_taken,
        may_be_done=row.leaves_open and can_be_taken,
        needs_new_credentials=row.needs_new_credentials,
    )


def is_unknown_operation(error: BaseException) -> bool:
    """Whether it says that botocore, a transport or the server knows no such operation of AWS Batch."""
    if isinstance(error, botocore_errors.ClientError):
        call = _parse(error, operation=error.operation_name, renewed=False)
        return call.http_status == HTTPStatus.NOT_FOUND or call.code == "UnknownOperationException"
    return isinstance(error, ValueError | NotImplementedError)


def drop_tracebacks(error: BaseException | None) -> None:
    """Free the frames of an error that will be kept for a while, and of those behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.with_traceback(None)
        error = error.__cause__ or error.__context__


def _is_connection_never_made(error: BaseException) -> bool:
    if isinstance(error, NotSentError):
        return True
    if isinstance(error, botocore_errors.EndpointConnectionError):
        # aiobotocore raises the same for connections that broke with the request on its way.
        return isinstance(_wrapped(error), aiohttp.ClientConnectorError)
    return isinstance(error, botocore_errors.ConnectTimeoutError | botocore_errors.ProxyConnectionError)


def _wrapped(error: BaseException) -> object:
    """The error of aiohttp's that aiobotocore wrapped."""
    return error.kwargs.get("error") if isinstance(error, botocore_errors.BotoCoreError) else None
