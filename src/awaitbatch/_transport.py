"""How calls reach AWS Batch: the protocol and its aiobotocore adapter."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import botocore
import msgspec
from aiobotocore.client import AioBaseClient
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.credentials import Credentials, ReadOnlyCredentials

from awaitbatch._core.text import first_line
from awaitbatch._jobs import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient


class BatchTransport(Protocol):
    """How calls reach AWS Batch.

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

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Any other operation, by AWS's name for it, with boto3's parameters and answer.

        SubmitJob is a single attempt, since it may have been done although it failed; the others may retry.
        """


# Set while a call of ours is under way, to the transport that sends it. Event handlers of a client that we share
# with its owner leave all other calls alone.
_sender: ContextVar[AiobotocoreTransport | None] = ContextVar("awaitbatch_sender", default=None)

_BODY: Final = "awaitbatch.body"

_LEAST_ERROR_STATUS: Final = 300
"""HTTP statuses from here on are errors to botocore."""

_STATIC_CREDENTIALS: Final = (AioCredentials, Credentials, ReadOnlyCredentials, type(None))


class AiobotocoreTransport:
    """Sends through an aiobotocore client, its own or one that somebody lends.

    Args:
        client: A client to use as it is; its settings stay, and it is not closed.
        session: The session to create a client with.
        profile_name: The profile to create a session with.
        settings: Keyword arguments of ``create_client``.

    Raises:
        TypeError: The client or the session is not aiobotocore's.
        ValueError: The client is one of another service.
    """

    def __init__(
        self,
        *,
        client: AiobotocoreBatchClient | None = None,
        session: AioSession | None = None,
        profile_name: str | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        _require_type(
            client, AioBaseClient, "client= must be what `async with session.create_client()` gives"
        )
        service = "batch" if client is None else client.meta.service_model.service_name
        if service != "batch":
            message = f'client= must be what session.create_client("batch") gives, not a client for {service}'
            raise ValueError(message)
        _require_type(session, AioSession, "session= must be an aiobotocore session")
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
        """Whether the client's credentials may be renewed: all kinds but those known to stay as they are."""
        signer = getattr(self.client, "_request_signer", None)
        return type(getattr(signer, "_credentials", None)) not in _STATIC_CREDENTIALS

    async def open(self) -> None:
        """Create the client unless one was lent, and attach to its events."""
        if self._client is None:
            session: AioSession = self._session or await asyncio.to_thread(
                AioSession, profile=self._profile_name
            )
            await asyncio.to_thread(_load_models, session)
            creating = session.create_client("batch", **self._settings)
            self._client = await self._resources.enter_async_context(creating)
        self._attach("needs-retry.batch.DescribeJobs", self._end_attempt)
        self._attach("needs-retry.batch.SubmitJob", self._end_attempt)
        self._attach("before-parse.batch.DescribeJobs", self._keep_body)
        self._attach("before-parse.batch", self._tidy)

    def _attach(self, event: str, handler: Callable[..., Any]) -> None:
        # First, because the first handler that has an opinion decides.
        self.client.meta.events.register_first(event, handler)
        self._resources.callback(self.client.meta.events.unregister, event, handler)

    async def aclose(self) -> None:
        """Detach from the client, and close it if it is ours."""
        await self._resources.aclose()

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Send DescribeJobs once; the body of the answer comes back unparsed."""
        with self._sending():
            answer: dict[str, Any] = await self.client.describe_jobs(jobs=list(job_ids))  # type: ignore[assignment]
        if _BODY not in answer:
            # Something answered in place of AWS, such as botocore's Stubber or a cache.
            return msgspec.json.encode({"jobs": answer.get("jobs")})
        body: bytes = answer[_BODY]
        return body

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send any other operation, with the retries of the client; but SubmitJob once.

        Raises:
            ValueError: The installed botocore knows no such operation.
        """
        send = getattr(self.client, botocore.xform_name(operation), None)
        if send is None:
            message = f"the installed botocore knows no AWS Batch operation {operation}"
            raise ValueError(message)
        with self._sending():
            return dict(await send(**parameters))

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """Mark a call as ours: of those that others make through the same client nothing is changed."""
        token = _sender.set(self)
        try:
            yield
        finally:
            _sender.reset(token)

    def _end_attempt(
        self,
        operation: Any,  # noqa: ANN401
        response: tuple[Any, dict[str, Any]] | None,
        caught_exception: Exception | None,
        **_: object,
    ) -> bool | None:
        """Refuse a retry, and raise what the client would raise for want of one.

        It is raised here since botocore's own handlers come next, and would charge the failure to budgets that all
        calls of the client share: the retry quota, and in adaptive mode the rate.
        """
        if _sender.get() is not self:
            return None
        if caught_exception is not None:
            raise caught_exception
        if response is not None:
            http_response, answer = response
            if http_response.status_code >= _LEAST_ERROR_STATUS:
                code = answer.get("Error", {}).get("Code")
                raise self.client.exceptions.from_code(code)(answer, operation.name)
        return False

    def _keep_body(
        self, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
    ) -> None:
        if _is_error(response_dict):
            self._tidy(response_dict)
        elif _sender.get() is self:
            # botocore would hold the event loop for 10 ms and more to parse 100 jobs of which we need two members each.
            customized_response_dict[_BODY] = response_dict["body"]
            response_dict["body"] = b"{}"

    def _tidy(self, response_dict: dict[str, Any], **_: object) -> None:
        if _sender.get() is self:
            response_dict["body"] = _tidy_body(response_dict["body"], is_error=_is_error(response_dict))


def _require_type(value: object, kind: type, demand: str) -> None:
    if value is not None and not isinstance(value, kind):
        message = f"{demand}, not of type {type(value).__name__}"
        raise TypeError(message)


def _is_error(response_dict: dict[str, Any]) -> bool:
    status: int = response_dict["status_code"]
    return status >= _LEAST_ERROR_STATUS


def _tidy_body(body: bytes, *, is_error: bool) -> bytes:
    """A body that botocore can parse, and of an error only what is wanted: its code, and the first line of its text.

    More would do harm. AWS answers a wrong signature with the request that it expected, session token included.
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
        {name: first_line(text) for name, text in texts.items() if isinstance(text, str)}
    )


def _load_models(session: AioSession) -> None:
    """Fill the session's cache with what creating a client reads from disk, the bulk of the time that it takes."""
    loader = session.get_component("data_loader")
    loader.load_service_model("batch", "service-2")
    loader.load_service_model("batch", "endpoint-rule-set-1")
    for name in ("partitions", "endpoints", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
