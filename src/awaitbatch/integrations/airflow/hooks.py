"""The hook: a connection of Airflow's as a client that all of a process share."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, conf
from botocore.exceptions import BotoCoreError, ClientError

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import error_line
from awaitbatch.instrumentation._log import shared_log, write_log
from awaitbatch.integrations.airflow._lookups import look_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from botocore.config import Config
    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

    from awaitbatch._client import BatchClient

_MAX_CALLS_PER_SECOND: Final = 10.0
_PATIENCE: Final = 3600.0
"""Seconds for which opening a client may fail in ways that may pass, as when STS or Airflow's API does not answer."""
_PATIENCE_WITH_REFUSALS: Final = 300.0
"""The same of credentials that AWS refuses: a role or a policy may be about to be replaced."""
_PATIENCE_WITH_LOOKUPS: Final = 20.0
"""The same of one that is not found: Airflow says so as well while its API server or a secrets backend fails."""
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds before it is tried again; the last one holds for all that follow."""
_LEVEL_OF_LOG: Final = re.compile(rf"(?:^|[\s,]){re.escape(shared_log.name)}\s*=\s*(\w+)")


class AwaitBatchHook(AwsBaseHook):
    """Gives asynchronous code in tasks and triggers the client of an Airflow connection.

    ::

        async with AwaitBatchHook(region_name="eu-west-1").client() as client:
            job = await client.wait_for_job(job_id)

    All hooks on one event loop whose arguments are equal share one client, with its calls, throttles and sockets, and
    so do the triggers of this package. It is opened for the first who needs it, and closed a minute after the last has
    left.

    Args:
        aws_conn_id: The Airflow connection; None for boto3's own chain of credentials.
        region_name: The AWS region; None for the connection's.
        verify: Whether to verify TLS certificates, or the path of a CA bundle; None for what the connection says.
        config: A botocore ``Config`` or its arguments, compared by value; None for the connection's.
    """

    def __init__(
        self,
        aws_conn_id: str | None = AwsBaseHook.default_conn_name,
        region_name: str | None = None,
        verify: bool | str | None = None,  # noqa: FBT001
        config: Config | dict[str, Any] | None = None,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "aws_conn_id": aws_conn_id or None,
            "region_name": region_name or None,
            "verify": verify,
            "config": config,
        }
        super().__init__(**self._arguments, client_type="batch")

    def client(self, **arguments: Any) -> BatchClient:  # noqa: ANN401
        """The client that all users of this connection share, open within ``async with``.

        ``max_calls_per_second`` is the option of that name in the section ``[awaitbatch]`` of Airflow's configuration
        (``AIRFLOW__AWAITBATCH__MAX_CALLS_PER_SECOND``), and 10 without one.

        Args:
            arguments: As for `BatchClient.shared`, such as ``backoff``, for this user alone.

        Returns:
            The client. Opening it raises AirflowNotFoundException if there is no such connection, and what botocore and
            Airflow raise if there are no credentials; trouble that may pass is sat out for up to an hour.
        """
        from awaitbatch._client import BatchClient

        _set_level_of_log()
        limit = conf.getfloat("awaitbatch", "max_calls_per_second", fallback=_MAX_CALLS_PER_SECOND)
        shared = {"key": self._key, "factory": self._open, "max_calls_per_second": limit}
        return BatchClient.shared(**shared | arguments)

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
        """As the provider's, but credentials are refreshed in a thread, and botocore's data are read in this one."""
        from awaitbatch._models import load_models, use_lean_files

        session = super().get_session(region_name=region_name, deferrable=deferrable)
        if deferrable:
            _refresh_in_thread(session)
            use_lean_files(session)
            load_models(session)
        return session

    def _get_caller(self, target_function_name: str = "execute") -> str:  # noqa: ARG002
        """Its name, for the user agent; the provider reads the sources of the whole stack, to find an operator."""
        return type(self).__name__

    @property
    def _key(self) -> Hashable:
        from awaitbatch._shared import options_of

        config = self._arguments["config"]
        values = (self._arguments[name] for name in ("aws_conn_id", "region_name", "verify"))
        return (__name__, *values, options_of(self._config if config is not None else None))

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AiobotocoreBatchClient]:
        """A client of the connection as it is now: the hook remembers what it has read, so it is another one."""
        from awaitbatch._models import forget_models

        async with await self._connect() as client:
            forget_models(client)
            yield client

    async def _connect(self) -> Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        began = loop.time()
        pauses = iter(_PAUSES)
        pause = 0.0
        while True:
            hook = type(self)(**self._arguments)
            try:
                await look_up(_read_connection, hook)
                return await hook.get_async_conn()
            except Exception as error:
                left = began + _patience_with(error) - loop.time()
                if left <= 0:
                    raise
                if not pause:
                    text = "Airflow connection %r: %s; trying again for up to %.0f s"
                    arguments = (self.aws_conn_id, error_line(error), left)
                    write_log(logging.WARNING, text, *arguments, logger=shared_log)
            pause = next(pauses, pause)
            await asyncio.sleep(min(pause, left))


def _set_level_of_log() -> None:
    """Give the shared clients' log the level that Airflow's option has for it.

    Airflow 3 takes the option for a filter and Airflow 2 has none, while that log stays quiet until it has a level.
    """
    levels = conf.get("logging", "namespace_levels", fallback=None) or ""
    if found := _LEVEL_OF_LOG.search(levels):
        # Of a level that there is not, Airflow complains itself.
        with suppress(ValueError):
            shared_log.setLevel(found[1].upper())


def require_connection(conn_id: str | None) -> None:
    """Make sure that a connection exists; this blocks.

    The provider takes an empty one in its place. Then jobs would be looked for in whatever account the machine itself
    belongs to.

    Args:
        conn_id: The connection; none is fine, too.

    Raises:
        AirflowNotFoundException: It does not exist, or cannot be read at present.
    """
    if not conn_id:
        return
    try:
        AwsBaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _not_found(conn_id) from None


def _read_connection(hook: AwsBaseHook) -> None:
    """Have a hook read its connection, which it does once, and take care that it was found."""
    require_connection(hook.aws_conn_id)
    if hook.aws_conn_id is not None and not hook.conn_config:
        # It was there a moment ago.
        raise _not_found(hook.aws_conn_id)


def _not_found(conn_id: str) -> AirflowNotFoundException:
    return AirflowNotFoundException(
        f"the Airflow connection {conn_id!r} is not defined, or cannot be read; define it, "
        "or use aws_conn_id=None for the credentials of the machine"
    )


def _patience_with(error: Exception) -> float:
    """For how long after the first try it is worth another one."""
    from awaitbatch._failures import classify

    match error:
        case AirflowNotFoundException():
            return _PATIENCE_WITH_LOOKUPS
        case ClientError() | BotoCoreError() | OSError() if classify(error).kind is FailureKind.TRANSIENT:
            return _PATIENCE
        case ClientError():
            return _PATIENCE_WITH_REFUSALS
        case BotoCoreError():
            return 0.0
    # What the supervisor of a triggerer answers if it cannot; it has no public name in all versions.
    is_airflows = isinstance(error, AirflowException) or type(error).__name__ == "AirflowRuntimeError"
    return _PATIENCE if is_airflows else 0.0


def _refresh_in_thread(session: Any) -> None:  # noqa: ANN401
    """Credentials of a role are refreshed by the provider with calls that block, for minutes if STS does not answer."""
    credentials = getattr(session, "_credentials", None)
    refresh: Callable[[], Any] | None = getattr(credentials, "_refresh_using", None)
    if refresh is None or inspect.iscoroutinefunction(refresh):
        return

    async def refresh_using() -> Any:  # noqa: ANN401
        return await asyncio.to_thread(refresh)

    credentials._refresh_using = refresh_using  # type: ignore[union-attr]  # noqa: SLF001
