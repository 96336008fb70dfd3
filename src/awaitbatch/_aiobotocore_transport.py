"""How calls reach AWS Batch over an aiobotocore client: each is sent once, and its answer comes back unparsed."""

from __future__ import annotations

import asyncio
import copy
import re
import sys
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import botocore
import botocore.exceptions as botocore_errors
import msgspec
from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from awaitbatch._call_time import not_in_queue
from awaitbatch._core.redaction import Redactor
from awaitbatch._core.text import error_line
from awaitbatch._credential_processes import end_processes
from awaitbatch._credentials import ClientCredentials
from awaitbatch._failures import (
    EXPIRY_CODES,
    UNKNOWN_KEY_CODES,
    MockedByMotoError,
    NotSentError,
    RedirectedError,
    UnreadableResponseError,
)
from awaitbatch._models import forget_models, load_models, use_lean_files
from awaitbatch._own_call import current_request, current_sender, is_answered
from awaitbatch._redirects import REDIRECTS, Redirect, guard_against_redirects, target_of, wrapped_in
from awaitbatch._secrets import redact_headers, redactor_of, tidy_body
from awaitbatch._transport import told_if_late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import aiohttp
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.config import Config
    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

_OTHER_PROXY: Final = re.compile(r"http://([a-z][a-z0-9.+-]*)://", re.IGNORECASE)
"""How an address with another scheme, such as ``socks5://``, begins once botocore has put its own before it."""

MAX_POOL_CONNECTIONS: Final = 50
"""Connections of a client of our own. botocore's 10 are too few for 50 submissions a second that take 0.2 s each."""

_BODY: Final = "awaitbatch.body"
_NO_BODY: Final = b"{}"
"""What botocore's own parser gets in place of a body that we keep."""

_TOLD_BY_BOTOCORE: Final = (ClientError, botocore_errors.BotoCoreError, ResponseParserError)
"""What botocore makes of an answer, if it is not taken by surprise."""

_LEAST_ERROR_STATUS: Final = 300
"""HTTP statuses from here on are errors to botocore."""


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
        if client is not None:
            require_batch_client(client, "client= must be")
        if session is not None and not isinstance(session, AioSession):
            message = f"session= must be an aiobotocore session, not of type {type(session).__name__}"
            raise TypeError(message)
        self._client = client
        self._session = session
        self._profile_name = profile_name
        self._settings = settings
        self._resources = AsyncExitStack()
        # The addresses whose connections have it.
        self._guarded: set[str] = set()

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
    def endpoint_url(self) -> str | None:
        """Where the client sends calls, without a password; None before it is created."""
        url = self._client.meta.endpoint_url if self._client is not None else None
        return url and self._redactor()(url)

    @property
    def fetching(self) -> str | None:
        """The role or the provider whose credentials are being fetched at present; None if none are."""
        credentials: ClientCredentials | None = getattr(self, "_credentials", None)
        return credentials.fetching if credentials is not None else None

    @property
    def max_connections(self) -> int:
        """The size of the client's pool."""
        return getattr(self.client.meta.config, "max_pool_connections", None) or MAX_POOL_CONNECTIONS

    @property
    def refreshes_credentials(self) -> bool:
        """Whether the client's credentials may be renewed: all kinds but those known to stay as they are."""
        return ClientCredentials(self.client, None).renew_themselves

    async def open(self) -> None:
        """Create the client unless one was lent, and attach to its events."""
        text = "the client is not open after %g s: check that the provider of its credentials can be reached"
        with self._masking_secrets(), told_if_late(text):
            session: Any = self._session
            if self._client is None:
                session = session or await asyncio.to_thread(self._own_session)
                await asyncio.to_thread(load_models, session)
                config = _with_large_pool(with_own_retries(self._settings.get("config")), session)
                creating = session.create_client("batch", **self._settings | {"config": config})
                try:
                    self._client = await self._resources.enter_async_context(creating)
                except asyncio.CancelledError as error:
                    await end_processes(error)
                    raise
        # A session of ours is kept no longer than it takes.
        self._credentials = ClientCredentials(self._client, session)
        if session is not self._session:
            forget_models(self._client)
        self._resources.push_async_callback(self._credentials.aclose)
        self._attach("before-send.batch", self._before_send)
        self._attach("needs-retry.batch", self._end_attempt)
        self._attach("before-parse.batch.DescribeJobs", self._keep_body)
        self._attach("before-parse.batch", self._tidy)

    def _own_session(self) -> AioSession:
        session = AioSession(profile=self._profile_name)
        use_lean_files(session)
        return session

    def _attach(self, event: str, handler: Callable[..., Any]) -> None:
        # First, because the first handler that has an opinion decides.
        self.client.meta.events.register_first(event, handler)
        self._resources.callback(self.client.meta.events.unregister, event, handler)

    async def aclose(self) -> None:
        """Detach from the client, and close it if it is ours."""
        await self._resources.aclose()

    def forget(self) -> None:
        """Let go of the client, and so of its sockets: its event loop was closed, and nothing can be awaited on it."""
        self._client = self._session = None
        self._resources = AsyncExitStack()
        self.__dict__.pop("_credentials", None)

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Send DescribeJobs once; the body of the answer comes back unparsed."""
        answer = await self._send(self.client.describe_jobs, {"jobs": list(job_ids)})
        if _BODY not in answer:
            # Something answered in place of AWS, such as botocore's Stubber or a cache.
            return msgspec.json.encode({"jobs": answer.get("jobs")})
        body: bytes = answer[_BODY]
        return body

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send any other operation, once.

        Raises:
            ValueError: The installed botocore knows no such operation.
        """
        send = getattr(self.client, botocore.xform_name(operation), None)
        if send is None:
            message = f"the installed botocore knows no AWS Batch operation {operation}"
            raise ValueError(message)
        return await self._send(send, parameters)

    async def _send(self, send: Callable[..., Any], parameters: dict[str, Any]) -> dict[str, Any]:
        with self._masking_secrets():
            await self._credentials.fetch()
        try:
            with self._sending():
                return dict(await send(**parameters))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in {*EXPIRY_CODES, *UNKNOWN_KEY_CODES}:
                raise
            if not await self._credentials.read_again():
                raise
        with self._sending():
            return dict(await send(**parameters))

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """Mark a call as ours: of those that others make through the same client nothing is changed."""
        sender, request = current_sender.set(self), current_request.set(None)
        answered = is_answered.set(False)
        try:
            with self._masking_secrets():
                yield
        except Exception as error:
            if isinstance(error, TypeError) and _is_mocked_by_moto():
                raise MockedByMotoError from error
            if not is_answered.get() or isinstance(error, _TOLD_BY_BOTOCORE):
                raise
            message = f"the answer could not be read: {error_line(error)}"
            raise UnreadableResponseError(message) from error
        finally:
            is_answered.reset(answered)
            current_request.reset(request)
            current_sender.reset(sender)

    @contextmanager
    def _masking_secrets(self) -> Iterator[None]:
        """Mask secrets in what is raised."""
        try:
            yield
        except Exception as error:
            self._redactor().clean(error)
            raise

    def _redactor(self) -> Redactor:
        """What masks the secrets that the client has now, and those of the call under way."""
        return redactor_of(self._client, self._settings, self._http_session())

    def _http_session(self) -> object:
        return getattr(getattr(self._client, "_endpoint", None), "http_session", None)

    async def _before_send(self, request: AWSPreparedRequest, **_: object) -> None:
        """Remember what a call carries; see to it that it is not redirected, and that no queue takes its time."""
        if current_sender.get() is not self:
            return
        current_request.set(request)
        if request.url in self._guarded:
            return
        http_session = self._http_session()
        # HTTPX follows no redirects; what another class does, a user's own, is beyond us.
        if isinstance(http_session, AIOHTTPSession):
            try:
                proxy_url = http_session._proxy_config.proxy_url_for(request.url)  # noqa: SLF001
                _require_http_proxy(proxy_url)
                connections: aiohttp.ClientSession = await http_session._get_session(proxy_url)  # noqa: SLF001
            except Exception as error:
                # As aiobotocore does, for it would fail likewise; but then nobody could tell that nothing was sent.
                raise NotSentError(error=error) from error
            guard_against_redirects(connections)
            not_in_queue(connections)
            self._guarded.add(request.url)

    def _end_attempt(
        self,
        operation: Any,  # noqa: ANN401
        response: tuple[Any, dict[str, Any]] | None,
        caught_exception: Exception | None,
        **_: object,
    ) -> bool | None:
        """Refuse a retry of what is sent once, and of what is redirected; raise what the client would for want of one.

        It is raised here since botocore's own handlers come next, and would charge the failure to budgets that all
        calls of the client share: the retry quota, and in adaptive mode the rate.
        """
        if current_sender.get() is not self:
            return None
        redirect = wrapped_in(caught_exception)
        if isinstance(redirect, Redirect):
            raise RedirectedError(operation=operation.name, target=redirect.target)
        if response is not None and response[0].status_code in REDIRECTS:
            target = target_of(response[0].url, response[0].headers.get("location"))
            raise RedirectedError(operation=operation.name, target=target)
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
        elif current_sender.get() is self:
            # botocore would hold the event loop for 10 ms and more to parse 100 jobs of which we need two members each.
            customized_response_dict[_BODY] = response_dict["body"]
            response_dict["body"] = _NO_BODY

    def _tidy(self, response_dict: dict[str, Any], **_: object) -> None:
        if current_sender.get() is self and response_dict["body"] is not _NO_BODY:
            is_answered.set(True)
            is_error = _is_error(response_dict)
            redact = self._redactor() if is_error else Redactor()
            response_dict["body"] = tidy_body(response_dict["body"], is_error=is_error, redact=redact)
            if is_error:
                redact_headers(response_dict["headers"], redact)


def with_own_retries(config: Config | None) -> Config | None:
    """A config that botocore may write into: it fills in the retries of one that a client is created with."""
    options = getattr(config, "_user_provided_options", {})
    if config is None or not isinstance(options.get("retries"), dict):
        return config
    own = copy.copy(config)
    own.retries = dict(options["retries"])
    own._user_provided_options = {**options, "retries": own.retries}  # noqa: SLF001
    return own


def _with_large_pool(config: Config | None, session: AioSession) -> Config | None:
    """A config with more connections than botocore's default, unless the user or the session asks for a number."""
    for given in (session.get_default_client_config(), config):
        if "max_pool_connections" in getattr(given, "_user_provided_options", ()):
            return config
    large = AioConfig(max_pool_connections=MAX_POOL_CONNECTIONS)
    if config is None:
        return large
    # To merge the two would lose what only AioConfig has, in some versions of it.
    merged = copy.copy(config)
    merged.max_pool_connections = MAX_POOL_CONNECTIONS
    options = getattr(config, "_user_provided_options", {})
    merged._user_provided_options = {**options, **large._user_provided_options}  # noqa: SLF001
    return merged


def require_batch_client(client: AiobotocoreBatchClient, demand: str) -> None:
    """Refuse what is no aiobotocore client for AWS Batch; ``demand`` begins the text.

    Raises:
        TypeError: It is not aiobotocore's.
        ValueError: It is one of another service.
    """
    if not isinstance(client, AioBaseClient):
        message = (
            f"{demand} what `async with session.create_client()` gives, not of type {type(client).__name__}"
        )
        raise TypeError(message)
    service = client.meta.service_model.service_name
    if service != "batch":
        message = f'{demand} what session.create_client("batch") gives, not a client for {service}'
        raise ValueError(message)


def _is_error(response_dict: dict[str, Any]) -> bool:
    status: int = response_dict["status_code"]
    return status >= _LEAST_ERROR_STATUS


def _require_http_proxy(proxy_url: str | None) -> None:
    """Refuse what aiohttp cannot use as a proxy, or to which it would speak HTTP although it is of another kind."""
    if proxy_url is None:
        return
    if other := _OTHER_PROXY.match(proxy_url):
        message = f"the proxy is one for {other[1]}, and aiohttp knows HTTP proxies only"
        raise ValueError(message)
    try:
        parts = urlsplit(proxy_url)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        # It may have a password.
        message = "the address of the proxy has no host, or a port that is not a number"
        raise ValueError(message)


def _is_mocked_by_moto() -> bool:
    """Whether moto answers the calls of this process; its answers are not what aiobotocore awaits."""
    models = sys.modules.get("moto.core.models")
    return bool(getattr(getattr(models, "botocore_stubber", None), "enabled", False))
