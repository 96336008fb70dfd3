"""The credentials that a client signs with: obtained before a call, beside its time, and read again once expired."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import botocore
from aiobotocore.credentials import AioCredentials
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from awaitbatch._core.text import error_line
from awaitbatch._credential_processes import end_processes
from awaitbatch._failures import FETCHING, CredentialsError
from awaitbatch._short_tracebacks import ShortTracebacks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from aiobotocore.session import AioSession

_STATIC: Final = (AioCredentials, Credentials, ReadOnlyCredentials, type(None))
"""Kinds that are known to stay as they are; any other may renew itself."""
_FILES: Final = frozenset({"shared-credentials-file", "config-file"})
"""Where static credentials come from that another process may replace, by botocore's names."""
_SECONDS: Final = 60.0
"""For so long credentials may be fetched, whatever becomes of the calls that wait for them."""


class ClientCredentials:
    """The credentials of an aiobotocore client.

    botocore fetches credentials that renew themselves while a call is signed. Then the time-out of a call would cut
    that off, and leave the process of a ``credential_process`` behind, another one at each try. And whatever a refresh
    function of the user's raises would look as if DescribeJobs had failed. So they are fetched before the call, by one
    task at a time, which outlives the call.

    Args:
        client: The aiobotocore client.
        session: The session that it was created with, if that is known.
    """

    def __init__(self, client: Any, session: AioSession | None) -> None:  # noqa: ANN401
        self._client = client
        credentials = self._credentials()
        self._provider = _provider_in(session, credentials)
        # Not kept if there are credentials, for it takes memory. A client that signs nothing needs none.
        self._session = session if credentials is None and not _signs_nothing(client) else None
        self._fetching: asyncio.Task[None] | None = None
        self._tracebacks: ShortTracebacks | None = None
        self._is_closed = False

    @property
    def fetching(self) -> str | None:
        """The role or the provider whose credentials are being fetched at present; None if none are."""
        is_fetching = self._fetching is not None and not self._fetching.done()
        return _owner_of(self._credentials() or _NotFoundYet) if is_fetching else None

    @property
    def renew_themselves(self) -> bool:
        """Whether credentials that have expired may be replaced by fresh ones."""
        return type(self._credentials()) not in _STATIC

    async def fetch(self) -> None:
        """Wait until there are credentials that can be signed with.

        Raises:
            CredentialsError: A refresh function raised something.
            botocore.exceptions.BotoCoreError: Their provider failed, or took too long.
            botocore.exceptions.ClientError: STS or SSO refused them.
        """
        credentials = self._credentials()
        if credentials is None and self._session is not None:
            credentials = _NotFoundYet(self._find)
        if type(credentials) in _STATIC:
            return
        is_due = getattr(credentials, "refresh_needed", None)
        if is_due is not None and not is_due():
            return
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(credentials), name="awaitbatch credentials")
            # It may fail when nobody waits for it any more.
            self._fetching.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.shield(self._fetching)
        except asyncio.CancelledError as error:
            # Whoever is given up here has signed nothing yet.
            error.add_note(f"{FETCHING}{_owner_of(credentials)}")
            raise

    async def _find(self) -> None:
        """Look for credentials once more, for a client that was created when there were none."""
        session: Any = self._session
        found = await asyncio.to_thread(_run, session.get_credentials())
        if found is not None:
            self._client._request_signer._credentials = found  # noqa: SLF001
            self._provider, self._session = _provider_in(session, found), None

    async def read_again(self) -> bool:
        """Read static credentials from their file again; whether others were there."""
        if self._provider is None:
            return False
        try:
            fresh = await asyncio.to_thread(_run, self._provider.load())
        except Exception:  # noqa: BLE001
            # Whoever replaces the file may have written half of it. That the old ones have expired is the news.
            return False
        return fresh is not None and _take_over(self._credentials(), fresh)

    async def aclose(self) -> None:
        """Give up fetching."""
        self._is_closed = True
        try:
            if self._fetching is not None:
                self._fetching.cancel()
                await asyncio.wait({self._fetching})
        finally:
            if self._tracebacks is not None:
                self._tracebacks.detach()

    async def _fetch(self, credentials: Any) -> None:  # noqa: ANN401
        if self._tracebacks is None:
            self._tracebacks = ShortTracebacks(asyncio.get_running_loop().time)
        if not self._is_closed:
            self._tracebacks.attach()
        self._tracebacks.mark()
        await _fetch(credentials)

    def _credentials(self) -> Any:  # noqa: ANN401
        return getattr(getattr(self._client, "_request_signer", None), "_credentials", None)


class _NotFoundYet:
    """Credentials of which nobody knew anything when the client was created, as of an agent that starts beside it.

    A client that lives for long must not lack them for ever.

    Args:
        get_frozen_credentials: Looks for them; without any, the call that needs them fails.
    """

    method = "none found so far"

    def __init__(self, get_frozen_credentials: Callable[[], Awaitable[None]]) -> None:
        self.get_frozen_credentials = get_frozen_credentials


def _signs_nothing(client: Any) -> bool:  # noqa: ANN401
    config = getattr(getattr(client, "meta", None), "config", None)
    return getattr(config, "signature_version", None) is botocore.UNSIGNED


def _run(loading: Coroutine[Any, Any, AioCredentials | None]) -> AioCredentials | None:
    # Not asyncio.run, which nest_asyncio replaces.
    with asyncio.Runner() as runner:
        return runner.run(loading)


async def _fetch(credentials: Any) -> None:  # noqa: ANN401
    try:
        async with asyncio.timeout(_SECONDS) as bound:
            try:
                await credentials.get_frozen_credentials()
            except asyncio.CancelledError as error:
                await end_processes(error)
                raise
    except Exception as error:
        provider = _provider_of(credentials)
        note = f"{FETCHING}{_owner_of(credentials)}"
        if bound.expired():
            text = f"no credentials within {_SECONDS:g} s"
            timed_out = CredentialRetrievalError(provider=provider, error_msg=text)
            timed_out.add_note(note)
            raise timed_out from error
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        if isinstance(error, BotoCoreError | ClientError):
            raise
        _forget_answer(credentials)
        message = f"the credentials ({provider}) could not be fetched: {error_line(error)}"
        raise CredentialsError(message) from error


def _provider_in(session: AioSession | None, credentials: Any) -> Any:  # noqa: ANN401
    """What reads the file again that static credentials come from; None if they come from none, or nobody knows it."""
    method = getattr(credentials, "method", None)
    if session is None or type(credentials) is not AioCredentials or method not in _FILES:
        return None
    providers = session.get_component("credential_provider").providers
    return next((provider for provider in providers if method == provider.METHOD), None)


def _owner_of(credentials: Any) -> str:  # noqa: ANN401
    return _role_of(credentials) or _provider_of(credentials)


def _provider_of(credentials: Any) -> str:  # noqa: ANN401
    return str(getattr(credentials, "method", None) or type(credentials).__name__)


def _role_of(credentials: Any) -> str | None:  # noqa: ANN401
    """The role that is assumed, as botocore's fetchers keep it, or None."""
    fetcher = _fetcher_of(credentials)
    role = getattr(fetcher, "_role_arn", None) or getattr(fetcher, "_role_name", None)
    return role and f"role {role}"


def _forget_answer(credentials: Any) -> None:  # noqa: ANN401
    """Have it asked for anew: botocore keeps an answer before it reads it, and may fail over it again and again."""
    fetcher = _fetcher_of(credentials)
    # It may be anything.
    with suppress(Exception):
        del fetcher._cache[fetcher._cache_key]  # noqa: SLF001


def _fetcher_of(credentials: Any) -> Any:  # noqa: ANN401
    """What botocore fetches credentials with, or None."""
    return getattr(getattr(credentials, "_refresh_using", None), "__self__", None)


def _take_over(credentials: AioCredentials, fresh: AioCredentials) -> bool:
    """Put the keys of some credentials into others, so that all who sign with them do so with the new ones."""
    members = ("access_key", "secret_key", "token")
    keys = [getattr(fresh, name) for name in members]
    if keys == [getattr(credentials, name) for name in members]:
        return False
    for name, key in zip(members, keys, strict=True):
        setattr(credentials, name, key)
    return True
