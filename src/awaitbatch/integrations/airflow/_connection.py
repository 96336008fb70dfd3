"""A connection of Airflow's, and the client that all of a process share who use it."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon import __version__ as provider_version
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook, conf
from airflow.version import version as airflow_version
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import error_line
from awaitbatch.instrumentation._log import shared_log, write_log
from awaitbatch.integrations.airflow._lookups import look_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

    from awaitbatch._client import BatchClient

_PLAIN: Final = frozenset(
    {
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name"),
        *("region_name", "endpoint_url", "verify", "config_kwargs", "service_config"),
    }
)
"""Extras of a connection of which we make a session ourselves; others need the provider's hook, as for a role."""

_MAX_CALLS_PER_SECOND: Final = 10.0
_OPTION: Final = "max_calls_per_second"
_PATIENCE: Final = 3600.0
"""Seconds for which opening a client may fail in ways that may pass, as when STS or Airflow's API does not answer."""
_PATIENCE_WITH_REFUSALS: Final = 300.0
"""The same of credentials that AWS refuses: a role or a policy may be about to be replaced."""
_PATIENCE_WITH_LOOKUPS: Final = 60.0
"""The same of a connection that is not found: Airflow says so as well while a secrets backend fails or restarts, and
the error would end the task, and with it its job."""
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds before it is tried again; the last one holds for all that follow."""
_LEVEL_OF_LOG: Final = re.compile(rf"(?:^|[\s,]){re.escape(shared_log.name)}\s*=\s*(\w+)")


class Connection:
    """A connection of Airflow's, and what a hook changes of it.

    Args:
        aws_conn_id: The Airflow connection; None for boto3's own chain of credentials.
        region_name: The AWS region; None for the connection's.
        verify: Whether to verify TLS certificates, or the path of a CA bundle; None for what the connection says.
        config: A botocore ``Config`` or its arguments; None for the connection's.
    """

    def __init__(
        self,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,  # noqa: FBT001
        config: Config | dict[str, Any] | None,
    ) -> None:
        self._conn_id = aws_conn_id or None
        self._region_name = region_name or None
        self._verify = verify
        self._config = Config(**config) if isinstance(config, dict) else config

    @property
    def key(self) -> Hashable:
        """Equal if the clients are."""
        from awaitbatch._shared_keys import options_of

        return (__name__, self._conn_id, self._region_name, self._verify, options_of(self._config))

    def client(self, **arguments: Any) -> BatchClient:  # noqa: ANN401
        """See `AwaitBatchHook.client`."""
        from awaitbatch._client import BatchClient

        _set_level_of_log()
        shared = {"key": self.key, "factory": self._open, _OPTION: _limit_or_default()}
        return BatchClient.shared(**shared | arguments)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AiobotocoreBatchClient]:
        """A client of the connection as it is now."""
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
            try:
                return await look_up(self._make_client)
            except Exception as error:
                left = began + _patience_with(error) - loop.time()
                if left <= 0:
                    raise
                if not pause:
                    text = "Airflow connection %r: %s; trying again for up to %.0f s"
                    arguments = (self._conn_id, error_line(error), left)
                    write_log(logging.WARNING, text, *arguments, logger=shared_log)
            pause = next(pauses, pause)
            await asyncio.sleep(min(pause, left))

    def _make_client(self) -> Any:  # noqa: ANN401
        """What ``async with`` makes an aiobotocore client of; this blocks."""
        wrapper = AwsConnectionWrapper(
            conn=get_connection(self._conn_id),
            region_name=self._region_name,
            botocore_config=self._config,
            verify=self._verify,
        )
        if wrapper.extra_config.keys() <= _PLAIN and not conf.get("aws", "session_factory", fallback=None):
            return _plain_client(wrapper)
        from awaitbatch.integrations.airflow._async_hook import AsyncHook

        given = {"region_name": self._region_name, "verify": self._verify, "config": self._config}
        hook = AsyncHook(self._conn_id, client_type="batch", **given)
        # It would be read once more, and if that failed, the hook would go on with an empty one.
        hook.conn_config = wrapper
        return hook.get_client_type(region_name=hook.region_name, deferrable=True)


def _plain_client(wrapper: AwsConnectionWrapper) -> Any:  # noqa: ANN401
    """The same as the provider's hook makes of a connection without a role.

    The module of the hook would take 5 MB, since it imports boto3 and requests.
    """
    from aiobotocore.session import get_session

    from awaitbatch._aiobotocore_transport import with_own_retries
    from awaitbatch._models import load_models, use_lean_files

    session = get_session()
    given = wrapper.session_kwargs
    for name, variable in (("profile_name", "profile"), ("region_name", "region")):
        if name in given:
            session.set_config_variable(variable, given[name])
    keys = [given.get(name) for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")]
    if any(keys):
        session.set_credentials(*keys)
    use_lean_files(session)
    load_models(session)
    config = with_own_retries(wrapper.botocore_config) or Config()
    agent = (
        f"Airflow/{airflow_version} AmPP/{provider_version} Caller/awaitbatch {config.user_agent_extra or ''}"
    )
    return session.create_client(
        service_name="batch",
        endpoint_url=wrapper.get_service_endpoint_url(service_name="batch"),
        config=config.merge(Config(user_agent_extra=agent.strip())),
        verify=wrapper.verify,
    )


def get_connection(conn_id: str | None) -> Any:  # noqa: ANN401
    """A connection; this blocks.

    If there is none, the provider takes an empty one in its place. Then jobs would be looked for in whatever account
    the machine itself belongs to.

    Args:
        conn_id: The connection; without one, it is None.

    Raises:
        AirflowNotFoundException: It does not exist, or cannot be read at present.
    """
    if not conn_id:
        return None
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        message = (
            f"the Airflow connection {conn_id!r} is not defined, or cannot be read; define it, "
            "or use aws_conn_id=None for the credentials of the machine"
        )
        raise AirflowNotFoundException(message) from None


def max_calls_per_second() -> float:
    """The option of that name in the section ``[awaitbatch]`` of Airflow's configuration.

    Raises:
        AirflowException: It is no positive number.
    """
    given = conf.get("awaitbatch", _OPTION, fallback=None)
    if given in {None, ""}:
        return _MAX_CALLS_PER_SECOND
    with suppress(ValueError):
        if 0 < (number := float(given)) < math.inf:
            return number
    message = (
        f"Airflow's option {_OPTION} in the section [awaitbatch] must be a positive number, not {given!r}: "
        f"correct it, or leave it out for {_MAX_CALLS_PER_SECOND:g}"
    )
    raise AirflowException(message)


_complaints: Final[set[str]] = set()


def _limit_or_default() -> float:
    try:
        return max_calls_per_second()
    except AirflowException as error:
        # A thousand tasks must not fail for a slip in the configuration of a triggerer.
        if str(error) not in _complaints:
            _complaints.add(str(error))
            text = "%s; %g holds until then"
            write_log(logging.WARNING, text, error, _MAX_CALLS_PER_SECOND, logger=shared_log)
        return _MAX_CALLS_PER_SECOND


def _set_level_of_log() -> None:
    """Give the shared clients' log the level that Airflow's option has for it.

    Airflow 3 takes the option for a filter and Airflow 2 has none, while that log stays quiet until it has a level.
    """
    levels = conf.get("logging", "namespace_levels", fallback=None) or ""
    if found := _LEVEL_OF_LOG.search(levels):
        # Of a level that there is not, Airflow complains itself.
        with suppress(ValueError):
            shared_log.setLevel(found[1].upper())


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
