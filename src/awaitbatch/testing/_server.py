"""A model of AWS Batch to test against: in virtual time without a network, or over HTTP."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING, Self

from awaitbatch.testing._http.client_arguments import ClientArguments, client_arguments
from awaitbatch.testing._http.listener import listening
from awaitbatch.testing._in_process import InProcessTransport
from awaitbatch.testing._model.account import Account
from awaitbatch.testing._model.batch import BatchModel
from awaitbatch.testing._model.life_cycle import LifeCycle
from awaitbatch.testing._service import BatchService

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from awaitbatch.testing._model.batch import LifeCycleSource
    from awaitbatch.testing._model.token_bucket import TokenBucket
    from awaitbatch.testing._service import Latency

_DEFAULT_LIFE_CYCLE = LifeCycle()


class BatchServer(BatchService):
    """A model of the AWS Batch service: its jobs, and the operations on them.

    Over HTTP, on the loopback address, for any AWS client::

        async with BatchServer() as server:
            job_id = server.add_job(life_cycle=LifeCycle(running=2, outcome="FAILED"))
            async with BatchClient(**server.client_arguments) as client:
                print(await client.wait_for_job(job_id))

    Or in process, in place of the network and on the event loop's own clock, with `transport`.

    Jobs pass through their states by themselves, as their `LifeCycle` says; `SubmitJob` may choose one by its
    ``parameters`` (`LifeCycle.to_parameters`). Any job queue and job definition exists. A parameter that is not
    modelled is refused; docs/reference/batch-server.md lists what is. A test may call all that is no coroutine, such as
    `add_job`, from any thread.

    Args:
        clock: Gives the time in seconds; epoch seconds make the times in descriptions real ones.
        default_life_cycle: The life cycle of jobs that are given none; a callable gets a `random.Random`.
        bucket: Throttles the account, all operations together; or a mapping throttles single operations, each by its
            own bucket. Calls beyond it get HTTP 429, ``TooManyRequestsException``.
        description_bytes: The least size of a job's description; real ones have 2,400 to 3,500 bytes.
        latency: Seconds that HTTP calls take at least, or a callable that gives them.
        region_name: The region of all ARNs.
        account_id: The account of all ARNs.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        seed: Makes ids and random life cycles repeat; None makes them different in each server.
        lacking: Operations that the server is to lack, such as the bulk ones, which are new: it answers 404, as moto's
            server does to what it does not know.

    Attributes:
        operations: The names of the operations that are modelled.
        region_name: The region of all ARNs.
        latency: Seconds that HTTP calls take at least, or a callable that gives them; it may be changed.
        lacking: The names of operations that the server lacks; it may be changed.
        statistics: Counts of all that the server has seen since the start or the last reset.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        default_life_cycle: LifeCycleSource = _DEFAULT_LIFE_CYCLE,
        bucket: TokenBucket | Mapping[str, TokenBucket] | None = None,
        description_bytes: int = 2500,
        latency: Latency = 0.0,
        region_name: str = "us-east-1",
        account_id: str = "123456789012",
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int | None = None,
        lacking: Collection[str] = (),
    ) -> None:
        random = Random(seed)
        model = BatchModel(
            account=Account(region_name, account_id),
            default_life_cycle=default_life_cycle,
            description_bytes=description_bytes,
            random=random,
        )
        super().__init__(
            model,
            clock=clock,
            bucket=bucket,
            latency=latency,
            random=Random(random.random()),
            lacking=lacking,
        )
        self._host = host
        self._port = port
        self._url: str | None = None
        self._resources = AsyncExitStack()

    def transport(
        self, latency: Latency = 0.02, *, max_connections: int = 10, refreshes_credentials: bool = False
    ) -> InProcessTransport:
        """Make a transport that calls this server without a network.

        Args:
            latency: Seconds from a call to its response, or a callable that gives them.
            max_connections: How many calls a client may have under way at once.
            refreshes_credentials: Whether a client should expect its credentials to renew themselves.
        """
        return InProcessTransport(
            self,
            latency=latency,
            max_connections=max_connections,
            refreshes_credentials=refreshes_credentials,
        )

    @property
    def endpoint_url(self) -> str:
        """The URL at which the server listens.

        Raises:
            RuntimeError: It does not listen.
        """
        if self._url is None:
            message = "the server listens only inside `async with BatchServer() as server:`"
            raise RuntimeError(message)
        return self._url

    @property
    def client_arguments(self) -> ClientArguments:
        """Arguments for an AWS client: the endpoint, the region, and made-up credentials.

        Raises:
            RuntimeError: It does not listen.
        """
        return client_arguments(self.endpoint_url, self.region_name)

    async def __aenter__(self) -> Self:
        self._url = await self._resources.enter_async_context(listening(self, self._host, self._port))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._url = None
        await self._resources.aclose()

    def __repr__(self) -> str:
        address = f" at {self._url}" if self._url is not None else ""
        calls = self.statistics.calls.total()
        return f"<BatchServer{address}: {len(self._model.jobs)} jobs, {calls} calls>"
