"""How calls reach AWS Batch: the protocol, its aiobotocore adapter, and what answers and errors mean."""

from __future__ import annotations

import asyncio
import functools
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
import anyio.to_thread
import botocore.exceptions
import botocore.parsers
import msgspec
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession

from awaitbatch._core.outcomes import Failure, Trouble
from awaitbatch.jobs import UNDECODABLE, JobHead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient


class BatchTransport(Protocol):
    """The operations of AWS Batch that awaitbatch needs, each of them a single attempt.

    They raise what aiobotocore raises. ``awaitbatch.testing.BatchServer.transport()`` is one without a network.
    """

    @property
    def region_name(self) -> str | None:
        """The region of the jobs."""

    @property
    def max_in_flight(self) -> int:
        """How many DescribeJobs calls may be under way at once."""

    @property
    def refreshes_credentials(self) -> bool:
        """Whether credentials that expired will be replaced by fresh ones."""

    @property
    def client(self) -> AiobotocoreBatchClient:
        """The aiobotocore client behind it."""

    async def open(self) -> None:
        """Get ready to send."""

    async def aclose(self) -> None:
        """Give back what `open` took."""

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """The body of a good answer to DescribeJobs, not decoded."""

    async def submit_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """SubmitJob, with boto3's parameters and answer."""

    async def cancel_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """CancelJob, with boto3's parameters and answer; this one may retry."""

    async def terminate_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """TerminateJob, with boto3's parameters and answer; this one may retry."""


# Set while a call of ours is under way, to the transport that sends it. Event handlers of a client that we share
# with its owner leave all other calls alone.
_sender: ContextVar[AiobotocoreTransport | None] = ContextVar("awaitbatch_sender", default=None)

_BODY: Final = "awaitbatch.body"


class AiobotocoreTransport:
    """Sends through an aiobotocore client, its own or one that somebody lends.

    Args:
        client: A client to use as it is; its settings stay, and it is not closed.
        session: The session to create a client with.
        profile_name: The profile to create a session with.
        settings: Keyword arguments of ``create_client``.
    """

    def __init__(
        self,
        *,
        client: AiobotocoreBatchClient | None = None,
        session: AioSession | None = None,
        profile_name: str | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self._client = client
        self._session = session
        self._profile_name = profile_name
        self._settings = settings
        self._resources = AsyncExitStack()

    @property
    def client(self) -> AiobotocoreBatchClient:
        """The aiobotocore client.

        Raises:
            RuntimeError: It has not been created yet.
        """
        if self._client is None:
            message = "the aiobotocore client is created when the BatchClient is opened"
            raise RuntimeError(message)
        return self._client

    @property
    def region_name(self) -> str | None:
        """The client's region; None before it is created."""
        region_name: str | None = self._client.meta.region_name if self._client is not None else None
        return region_name

    @property
    def max_in_flight(self) -> int:
        """All connections of the pool but two, which are left for other operations."""
        connections: int = getattr(self.client.meta.config, "max_pool_connections", None) or 10
        return max(1, connections - 2)

    @property
    def refreshes_credentials(self) -> bool:
        """Whether the client's credentials come from a provider that renews them."""
        signer = getattr(self.client, "_request_signer", None)
        return isinstance(getattr(signer, "_credentials", None), AioRefreshableCredentials)

    async def open(self) -> None:
        """Create the client unless one was lent, and attach to its events."""
        if self._client is None:
            session = self._session or AioSession(profile=self._profile_name)
            await anyio.to_thread.run_sync(_load_models, session)
            creating = session.create_client("batch", **self._settings)
            self._client = await self._resources.enter_async_context(creating)
        self._attach("needs-retry.batch.DescribeJobs", self._refuse_retry)
        self._attach("needs-retry.batch.SubmitJob", self._refuse_retry)
        self._attach("before-parse.batch.DescribeJobs", self._keep_body)

    def _attach(self, event: str, handler: Callable[..., Any]) -> None:
        # First, because the first handler that has an opinion decides.
        self.client.meta.events.register_first(event, handler)
        self._resources.callback(self.client.meta.events.unregister, event, handler)

    async def aclose(self) -> None:
        """Detach from the client, and close it if it is ours."""
        await self._resources.aclose()

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Send DescribeJobs once; the body of the answer comes back unparsed."""
        with self._one_attempt():
            answer: dict[str, Any] = await self.client.describe_jobs(jobs=job_ids)  # type: ignore[assignment]
        body: bytes = answer[_BODY]
        return body

    async def submit_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send SubmitJob once."""
        with self._one_attempt():
            return dict(await self.client.submit_job(**kwargs))

    async def cancel_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send CancelJob, with the retries of the client."""
        return dict(await self.client.cancel_job(**kwargs))

    async def terminate_job(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send TerminateJob, with the retries of the client."""
        return dict(await self.client.terminate_job(**kwargs))

    @contextmanager
    def _one_attempt(self) -> Iterator[None]:
        token = _sender.set(self)
        try:
            yield
        finally:
            _sender.reset(token)

    def _refuse_retry(self, **_: object) -> bool | None:
        return False if _sender.get() is self else None

    def _keep_body(
        self, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
    ) -> None:
        # botocore would hold the event loop for 10 ms and more to parse 100 jobs of which we need two members each.
        if _sender.get() is self and response_dict["status_code"] < 300:  # noqa: PLR2004
            customized_response_dict[_BODY] = response_dict["body"]
            response_dict["body"] = b"{}"


def _load_models(session: AioSession) -> None:
    """Fill the session's cache with what creating a client reads from disk, the bulk of the time that it takes."""
    loader = session.get_component("data_loader")
    loader.load_service_model("batch", "service-2")
    loader.load_service_model("batch", "endpoint-rule-set-1")
    for name in ("partitions", "endpoints", "sdk-default-configuration", "_retry"):
        loader.load_data(name)


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
