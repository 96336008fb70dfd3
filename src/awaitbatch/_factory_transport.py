"""A transport over aiobotocore clients that somebody else makes: one when it is opened, and others when they go bad."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._aiobotocore_transport import AiobotocoreTransport, require_batch_client
from awaitbatch._core.text import error_line
from awaitbatch._credential_processes import end_processes
from awaitbatch._tasks import create_task
from awaitbatch._transport import told_if_late
from awaitbatch.instrumentation._log import write_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

_Client = AbstractAsyncContextManager["AiobotocoreBatchClient"]

Factory = Callable[[], _Client | Awaitable[_Client]]
"""Gives what ``async with`` makes an aiobotocore client of, as ``session.create_client("batch")`` does; it may be a
coroutine function."""

_ENTERING: Final = 30.0
"""Seconds that the factory has for another client; calls wait for it."""
_LEAVING: Final = 120.0
"""Seconds for the last calls over a client that was replaced, and for leaving it; botocore gives a call 60."""


class FactoryTransport:
    """Sends through the client that a factory has given last.

    What the factory gives is entered and left in one task, with a context of its own, since it may hold a cancel scope
    or a task group. `renew` enters another client before the last one is left, which goes on until the calls under way
    have ended.

    Args:
        factory: Gives an asynchronous context manager of an aiobotocore Batch client.
    """

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._loan: _Loan | None = None
        # With those that are still being left.
        self._loans: set[_Loan] = set()

    @property
    def _present(self) -> _Loan:
        if self._loan is None:
            message = "the factory is asked for an aiobotocore client when the BatchClient is opened"
            raise RuntimeError(message)
        return self._loan

    @property
    def _transport(self) -> AiobotocoreTransport:
        return self._present.transport

    @property
    def client(self) -> AiobotocoreBatchClient:
        """The aiobotocore client that the factory has given last.

        Raises:
            RuntimeError: It has not been asked yet.
        """
        return self._transport.client

    @property
    def region_name(self) -> str | None:
        """The client's region; None before there is one."""
        return None if self._loan is None else self._transport.region_name

    @property
    def endpoint_url(self) -> str | None:
        """Where the client sends calls, without a password; None before there is one."""
        return None if self._loan is None else self._transport.endpoint_url

    @property
    def fetching(self) -> str | None:
        """See `AiobotocoreTransport.fetching`."""
        return None if self._loan is None else self._transport.fetching

    @property
    def max_connections(self) -> int:
        """The size of the client's pool."""
        return self._transport.max_connections

    @property
    def refreshes_credentials(self) -> bool:
        """Whether the client's credentials may be renewed by themselves."""
        return self._transport.refreshes_credentials

    async def open(self) -> None:
        """Enter what the factory gives, and attach to the client's events.

        Raises:
            TypeError: The factory gives no aiobotocore client.
            ValueError: It gives one of another service.
            Exception: Whatever the factory raises.
        """
        text = "the factory has given no aiobotocore client for %g s, and all who open the shared client wait for it"
        with told_if_late(text):
            self._loan = await self._borrow()

    async def renew(self) -> None:
        """Ask the factory for another client, and send all calls through it from now on.

        Raises:
            TimeoutError: It took too long.
            ValueError: The client is one of another region.
            Exception: What `open` raises.
        """
        try:
            async with asyncio.timeout(_ENTERING) as bound:
                loan = await self._borrow()
        except TimeoutError:
            if not bound.expired():
                raise
            message = f"the factory gave no aiobotocore client within {_ENTERING:g} s"
            raise TimeoutError(message) from None
        before, now = self.region_name, loan.transport.region_name
        if before != now:
            loan.give_back()
            message = (
                f"the factory gave an aiobotocore client for {now}, and before for {before}: use another key="
            )
            raise ValueError(message)
        last, self._loan = self._loan, loan
        if last is not None:
            last.give_back(after_calls=True)

    async def aclose(self) -> None:
        """Leave what the factory gave."""
        tasks = {loan.task for loan in self._loans}
        for loan in self._loans:
            loan.give_back()
        try:
            if tasks:
                await asyncio.wait(tasks)
        except asyncio.CancelledError:
            # Whoever closes waits no longer.
            for task in tasks:
                task.cancel()
            raise

    def forget(self) -> None:
        """Let go of what the factory gave: its event loop was closed, and nothing can be awaited on it."""
        self._loan = None
        self._loans = set()

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Send DescribeJobs once; the body of the answer comes back unparsed."""
        with self._present as transport:
            return await transport.describe_jobs(job_ids)

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send any other operation, once."""
        with self._present as transport:
            return await transport.call(operation, **parameters)

    async def _borrow(self) -> _Loan:
        loan = _Loan(self._factory)
        self._loans.add(loan)
        loan.task.add_done_callback(lambda _: self._loans.discard(loan))
        try:
            await loan.begin()
        except BaseException:
            loan.give_back()
            raise
        return loan


class _Loan:
    """A client that the factory has given, and the task that has entered it and will leave it.

    Use it as a context manager around each call.

    Args:
        factory: See `FactoryTransport`.

    Attributes:
        transport: The one over the client; it exists once `begin` has succeeded.
        task: Ends when the client has been left.
    """

    transport: AiobotocoreTransport

    def __init__(self, factory: Factory) -> None:
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Future[AiobotocoreBatchClient] = self._loop.create_future()
        self._is_wanted = True
        self._calls = 0
        self._over = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.task = create_task(self._own(factory), name="awaitbatch factory", context=contextvars.Context())
        self.task.add_done_callback(self._on_left)

    def __enter__(self) -> AiobotocoreTransport:
        self._calls += 1
        return self.transport

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if not self._is_wanted and not self._calls:
            self._over.set()

    async def begin(self) -> None:
        """Wait until it is entered, and attach to the client's events."""
        either: set[asyncio.Future[Any]] = {self.task, self._made}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._made.done():
            if self.task.cancelled():
                message = "the factory was cancelled, and not by who opens the client"
                raise ConnectionAbortedError(message)
            self.task.result()
        client = self._made.result()
        require_batch_client(client, "factory= must give")
        self.transport = AiobotocoreTransport(client=client)
        await self.transport.open()

    def give_back(self, *, after_calls: bool = False) -> None:
        """Have it left, at once or after the calls under way; if it is still being entered, that is given up."""
        self._is_wanted = False
        if not self._made.done():
            self.task.cancel()
        elif not self.task.done():
            if self._timer is None:
                # Nobody waits for it who would not wait for ever.
                self._timer = self._loop.call_later(_LEAVING, self.task.cancel)
            if not (after_calls and self._calls):
                self._over.set()

    async def _own(self, factory: Factory) -> None:
        try:
            async with await _called(factory) as client:
                self._made.set_result(client)
                try:
                    await self._over.wait()
                finally:
                    if hasattr(self, "transport"):
                        await self.transport.aclose()
        except asyncio.CancelledError as error:
            await end_processes(error)
            raise

    def _on_left(self, task: asyncio.Task[None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Asked for in any case: what nobody retrieves would be reported. `begin` raises that it cannot be entered.
        if not task.cancelled() and (error := task.exception()) is not None and self._made.done():
            write_log(logging.WARNING, "the connections could not be closed: %s", error_line(error))


async def _called(factory: Factory) -> _Client:
    """What the factory gives.

    Raises:
        TypeError: It cannot be entered.
    """
    given = factory()
    if inspect.isawaitable(given) and not isinstance(given, AbstractAsyncContextManager):
        given = await given
    if not isinstance(given, AbstractAsyncContextManager):
        message = (
            "factory= must return what `async with` makes an aiobotocore client of, as session.create_client() "
            f"does or a function with @asynccontextmanager, not {type(given).__name__}"
        )
        raise TypeError(message)
    return given
