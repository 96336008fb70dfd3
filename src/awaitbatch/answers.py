"""What AWS Batch answered: the jobs in a body, and the meaning of an error."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import botocore.exceptions
import botocore.parsers
import msgspec

from awaitbatch._core.outcomes import Failure, Trouble
from awaitbatch.jobs import UNDECODABLE, JobHead

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnreadableAnswerError(Exception):
    """The HTTP status is good, but the body is not an answer to DescribeJobs."""


class _Heads(msgspec.Struct, gc=False):
    jobs: list[JobHead]


class _Items(msgspec.Struct, gc=False):
    jobs: list[msgspec.Raw]


class _Id(msgspec.Struct, gc=False, rename="camel"):
    job_id: str = ""


_decode_id = msgspec.json.Decoder(_Id).decode
_decode_heads = msgspec.json.Decoder(_Heads).decode
_decode_items = msgspec.json.Decoder(_Items).decode
_decode_head = msgspec.json.Decoder(JobHead).decode


class Answer:
    """The body of an answer to DescribeJobs, of which only as much is decoded as somebody wants.

    Attributes:
        heads: Job id to the little that every look needs. A job that is in the answer twice is shown as far as it
            had come.

    Args:
        body: The body.
        job_ids: The jobs asked for. If the answer holds one whose id can not be read, those of them that seem to be
            absent are shown without a status instead.

    Raises:
        UnreadableAnswerError: The body is not an answer to DescribeJobs.
    """

    def __init__(self, body: bytes, job_ids: Sequence[str] = ()) -> None:
        self._body = body
        try:
            self._all_heads = _decode_heads(body).jobs
        except UNDECODABLE:
            self._body = _with_whole_characters(body)
            self._all_heads = [_decode_leniently(item) for item in self._items]
        self.heads = {head.job_id: head for head in self._all_heads}
        if len(self.heads) < len(self._all_heads):
            for head in self._all_heads:
                if head.order > self.heads[head.job_id].order:
                    self.heads[head.job_id] = head
        if "" in self.heads:
            # It may be any of those that seem to be absent.
            for job_id in job_ids:
                self.heads.setdefault(job_id, JobHead(job_id=job_id))

    def description(self, job_id: str) -> bytes:
        """One job of the answer as JSON, copied, so that keeping it does not keep the whole body."""
        return bytes(self._items[self._positions[id(self.heads[job_id])]])

    @functools.cached_property
    def _items(self) -> list[msgspec.Raw]:
        try:
            return _decode_items(self._body).jobs
        except UNDECODABLE as error:
            message = f"not an answer to DescribeJobs: {error}"
            raise UnreadableAnswerError(message) from None

    @functools.cached_property
    def _positions(self) -> dict[int, int]:
        return {id(head): position for position, head in enumerate(self._all_heads)}


def _with_whole_characters(body: bytes) -> bytes:
    r"""Replace half characters such as ``\ud83d``, left where text was cut: Python reads them, msgspec does not."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return body


def _decode_leniently(item: msgspec.Raw) -> JobHead:
    """A job in a form that nobody foresaw must not hide the others of the answer, nor count as absent."""
    try:
        return _decode_head(item)
    except UNDECODABLE:
        pass
    try:
        return JobHead(job_id=_decode_id(item).job_id)
    except UNDECODABLE:
        return JobHead()


_THROTTLE_CODES: Final = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "ThrottledException",
        "Throttling",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "SlowDown",
    }
)
_CLOCK_CODES: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_EXPIRY_CODES: Final = frozenset({"ExpiredToken", "ExpiredTokenException"})
_NETWORK_ERRORS: Final = (
    TimeoutError,
    OSError,
    aiohttp.ClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
)
_TRANSIENT_ERRORS: Final = (
    *_NETWORK_ERRORS,
    asyncio.CancelledError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.MetadataRetrievalError,
    botocore.parsers.ResponseParserError,
    UnreadableAnswerError,
)


def classify(error: BaseException, *, refreshes_credentials: bool = False) -> Failure:
    """What an error of `BatchTransport.describe_jobs` means to those who wait.

    Args:
        error: What aiobotocore raised. Tracebacks are dropped, since failures are kept for a while and would keep all
            the frames alive.
        refreshes_credentials: Whether expired credentials will be replaced by fresh ones.
    """
    _drop_tracebacks(error)
    if not isinstance(error, botocore.exceptions.ClientError):
        text = str(error) or type(error).__name__
        if _is_defect(error):
            return Failure(
                Trouble.FATAL, type(error).__name__, None, f"{text} (was the client closed?)", error
            )
        trouble = Trouble.TRANSIENT if isinstance(error, _TRANSIENT_ERRORS) else Trouble.FATAL
        return Failure(trouble, type(error).__name__, None, text, error)
    answer: dict[str, Any] = dict(error.response)
    code = str(answer.get("Error", {}).get("Code", "Unknown"))
    text = str(answer.get("Error", {}).get("Message", ""))
    status: int = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    trouble = _trouble(status, code, text, refreshes_credentials=refreshes_credentials)
    return Failure(trouble, code, status or None, str(error), error)


def _trouble(status: int, code: str, text: str, *, refreshes_credentials: bool) -> Trouble:
    if status == 429 or code in _THROTTLE_CODES:  # noqa: PLR2004
        return Trouble.THROTTLED
    if status >= 500 or status == 408 or code in _CLOCK_CODES:  # noqa: PLR2004
        return Trouble.TRANSIENT
    if code == "InvalidSignatureException" and text.startswith(
        ("Signature expired", "Signature not yet current")
    ):
        return Trouble.TRANSIENT
    if code in _EXPIRY_CODES and refreshes_credentials:
        return Trouble.TRANSIENT
    if code in {"ClientException", "ValidationException"}:
        return Trouble.REFUSED
    return Trouble.FATAL


def _is_defect(error: BaseException) -> bool:
    """Whether aiobotocore wrapped a programming error as if it came from the network, as it does once it is closed."""
    return isinstance(error, botocore.exceptions.HTTPClientError) and isinstance(
        error.kwargs.get("error"), AttributeError | RuntimeError | TypeError
    )


def _drop_tracebacks(error: BaseException | None) -> None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.with_traceback(None)
        error = error.__cause__ or error.__context__


def is_throttle(error: Exception) -> bool:
    """Whether AWS refused a call for coming too fast, so that it did nothing."""
    return classify(error).trouble is Trouble.THROTTLED


def leaves_open_whether_done(error: Exception) -> bool:
    """Whether AWS may have done what a call asked for although the call failed: time-outs, lost connections, 5xx."""
    if isinstance(error, botocore.exceptions.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) in {
            408,
            *range(500, 600),
        }
    if was_not_sent(error) or _is_defect(error) or isinstance(error, botocore.exceptions.SSLError):
        return False
    return isinstance(error, (*_NETWORK_ERRORS, botocore.parsers.ResponseParserError))


def was_not_sent(error: Exception) -> bool:
    """Whether the connection was never made, so that AWS can not have seen the call."""
    if isinstance(error, botocore.exceptions.EndpointConnectionError):
        # aiobotocore raises the same for connections that broke with the request on its way.
        return isinstance(error.kwargs.get("error"), aiohttp.ClientConnectorError)
    return isinstance(
        error, botocore.exceptions.ConnectTimeoutError | botocore.exceptions.ProxyConnectionError
    )
