"""The hook: a connection of Airflow's as a client that all of a process share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awaitbatch.integrations.airflow._async_hook import AsyncHook
from awaitbatch.integrations.airflow._connection import Connection

if TYPE_CHECKING:
    from botocore.config import Config

    from awaitbatch._client import BatchClient


class AwaitBatchHook(AsyncHook):
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
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,  # noqa: FBT001
        config: Config | dict[str, Any] | None = None,
    ) -> None:
        self._connection = Connection(aws_conn_id, region_name, verify, config)
        super().__init__(
            aws_conn_id=aws_conn_id or None,
            region_name=region_name or None,
            verify=verify,
            config=config,
            client_type="batch",
        )

    def client(self, **arguments: Any) -> BatchClient:  # noqa: ANN401
        """The client that all users of this connection share, open within ``async with``.

        ``max_calls_per_second`` is the option of that name in the section ``[awaitbatch]`` of Airflow's configuration
        (``AIRFLOW__AWAITBATCH__MAX_CALLS_PER_SECOND``), and 10 without one.

        Args:
            arguments: As for `BatchClient.shared`, such as ``backoff``, for this user alone.

        Returns:
            The client. Opening it raises AirflowNotFoundException if there is no such connection for a minute, and what
            botocore and Airflow raise if there are no credentials. Trouble that may pass is waited out, for an hour at
            most.
        """
        return self._connection.client(**arguments)
