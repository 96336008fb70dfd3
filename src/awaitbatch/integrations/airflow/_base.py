"""What our triggers have in common: what a task gives them, and how they come by the shared client."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.triggers.base import BaseTrigger
from airflow.utils.helpers import prune_dict

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

    from awaitbatch.integrations.airflow._connection import Connection

_MODULES: Final = ("awaitbatch._client", "awaitbatch.integrations.airflow._connection")
_are_loaded: Final = Event()
_importer: Final = ThreadPoolExecutor(1, "awaitbatch import")
"""One thread, since all triggers that come meanwhile wait for the same."""


def load() -> None:
    """Import what waits need, and triggers that are merely deferred to do not.

    It takes a third of a second, most of it for botocore and aiobotocore.
    """
    for name in _MODULES:
        import_module(name)
    _are_loaded.set()


class AwsTrigger(BaseTrigger):
    """Keeps what the provider's triggers for AWS do, and serializes it likewise.

    It does not extend them. A triggerer imports a trigger's module on its event loop, which would stand still for the
    third of a second that the provider's takes. Where both are known, ours are told to be the provider's: see
    `_deferral`.

    Args:
        waiter_delay: Seconds within which what is awaited is checked once.
        waiter_max_attempts: How many times ``waiter_delay`` it waits; None for no limit.
        aws_conn_id: The Airflow connection; None for boto3's own chain of credentials.
        region_name: The AWS region; None for the connection's.
        verify: Whether to verify TLS certificates, or the path of a CA bundle; None for what the connection says.
        botocore_config: Arguments of a botocore ``Config``; None for the connection's.

    Attributes:
        awaited: The argument that names what is awaited.
        noun: What that is, for people.
        return_key: The member of events that has it.
        attempts: ``waiter_max_attempts``.
    """

    awaited: ClassVar[str]
    noun: ClassVar[str]
    return_key: ClassVar[str] = "value"

    def __init__(
        self,
        *,
        waiter_delay: float,
        waiter_max_attempts: int | None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.waiter_delay = waiter_delay
        self.attempts = waiter_max_attempts
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @property
    def return_value(self) -> Any:  # noqa: ANN401
        """What is awaited."""
        return getattr(self, self.awaited)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As the provider's triggers do: the import path, and the arguments."""
        optional = {
            # An empty one stands for none.
            "region_name": self.region_name or None,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }
        arguments = {
            "waiter_delay": self.waiter_delay,
            "waiter_max_attempts": self.attempts,
            "aws_conn_id": self.aws_conn_id,
            **self._own_arguments(),
            **prune_dict(optional),
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def hook(self) -> BatchClientHook:
        """The provider's hook, as the provider's triggers have it; it is not what this one waits with."""
        from airflow.providers.amazon.aws.triggers.batch import BatchClientHook

        return BatchClientHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    def _own_arguments(self) -> dict[str, Any]:
        return {self.awaited: self.return_value}

    async def _connection(self) -> Connection:
        """The connection, whose client is shared."""
        if not _are_loaded.is_set():
            await asyncio.get_running_loop().run_in_executor(_importer, load)
        from awaitbatch.integrations.airflow._connection import Connection

        return Connection(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)
