"""One client for all who live on one event loop: who has it, and how long it stays."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import weakref
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from awaitbatch._supervisor import OTHER_LOOP, State, Supervisor
from awaitbatch._tasks import create_task
from awaitbatch.instrumentation._log import shared_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch._config import ClientConfig
    from awaitbatch.instrumentation import Observer

_LOWEST_HOLDS: Final = ("max_calls_per_second", "max_submits_per_second", "max_terminates_per_second")
_FIRST_HOLDS: Final = ("call_timeout", "close_timeout")

_STILL_BUSY: Final = 0.5
"""Seconds until a client that nobody has looks again whether it has delivered what it was asked to."""

_Clients = weakref.WeakValueDictionary[Hashable, "SharedClient"]

_clients: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients]] = weakref.WeakKeyDictionary()
"""A client refers to its loop, so it is not for this table to keep it: its users do, and a timer while it lingers."""


class User(Protocol):
    """Who has a shared client; see `Lease`."""

    config: ClientConfig
    linger: float
    observers: tuple[Observer, ...]

    def wake(self) -> None:
        """The client is open, or will not be."""


class SharedClient:
    """A client that several users have: opened, kept and closed in a task of its own, with a context of its own.

    No user's cancellation, context or cancel scope reaches it. It closes once it has been idle for as long as the most
    patient of its users asked for. From then on, and from a failure on, it is retired: `client_for` gives it to
    nobody.

    Args:
        loop: The event loop.
        config: What the first user gave.
        before: What has to be closed before this one opens.

    Attributes:
        supervisor: Of all users.
        config: As given.
        users: Those who have it, or wait for it.
        failure: Why it could not be opened.
        task: The one that keeps it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: ClientConfig, before: asyncio.Task[None] | None
    ) -> None:
        self.supervisor = Supervisor(config, shared_log)
        self.users: set[User] = set()
        self.failure: Exception | None = None
        self.config = config
        self._loop = loop
        self._before = before
        self._linger = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_retired = self._is_settled = False
        self._kept = anyio.CancelScope()
        self._rates = {name: getattr(config, name) for name in _LOWEST_HOLDS}
        self._warned_of: set[tuple[str, frozenset[float]]] = set()
        # Callbacks and timers keep the context that they are made in, too, and with it whatever a request has.
        self._context = contextvars.Context()
        self.task = create_task(self._keep(), name="awaitbatch shared client", context=self._context)
        # Also if it is cancelled before it has begun.
        self.task.add_done_callback(lambda _: self._settle(), context=self._context)

    @property
    def is_usable(self) -> bool:
        """Whether a newcomer may have it; also one that stopped because of a defect is not for him."""
        return (
            not self._is_retired
            and not self.task.done()
            and self.supervisor.state not in {State.CLOSING, State.CLOSED}
        )

    @property
    def closing(self) -> asyncio.Task[None] | None:
        """What to wait for before its transport can be opened once more."""
        return None if self.task.done() else self.task

    def join(self, user: User) -> None:
        """Have one user more, who is woken once it is open."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.config is not user.config:
            self.supervisor.observers.add(user.observers)
        self.users.add(user)
        self._linger = max(self._linger, user.linger)
        if self._is_settled:
            user.wake()

    def leave(self, user: User) -> None:
        """Have one user less; without any, it ends once it has been idle for long enough."""
        self.users.remove(user)
        self.supervisor.observers.remove(user.observers)
        if not self.users and not self._is_retired:
            self._end_after(self._linger)

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Have something called on the loop, from any thread; False if the loop is closed, and all with it."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, context=self._context)
        return not self._loop.is_closed()

    def check_loop(self) -> None:
        """Raise a RuntimeError on another event loop."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(OTHER_LOOP)

    def raise_failure(self) -> None:
        """Raise why it could not be opened, if it could not."""
        if self.failure is not None:
            # One error for all who wait. Each raise adds to its traceback, which would grow with their number.
            raise self.failure.with_traceback(self._traceback)

    def reconcile(self, config: ClientConfig) -> None:
        """Make one client of what its users want of it, and say what that cannot be for all."""
        limits = (
            self.supervisor.limit_calls,
            self.supervisor.submissions.limit,
            self.supervisor.terminations.limit,
        )
        for name, limit in zip(_LOWEST_HOLDS, limits, strict=True):
            before, given = self._rates[name], getattr(config, name)
            self._rates[name] = min(before, given)
            limit(given)
            self._warn(name, before, given, f"{self._rates[name]:g}, the lower one, holds from now on")
        for name in _FIRST_HOLDS:
            before, given = getattr(self.config, name), getattr(config, name)
            self._warn(name, before, given, f"{before:g} holds, which came first")

    def _warn(self, name: str, before: float, given: float, what_holds: str) -> None:
        pair = (name, frozenset({before, given}))
        # Once, whether there are two such users or thousands.
        if before != given and pair not in self._warned_of:
            self._warned_of.add(pair)
            text = "users of one shared BatchClient ask for %s=%g and for %g: %s"
            self.supervisor.write_log(logging.WARNING, text, name, before, given, what_holds)

    def _end_after(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._end_if_idle, context=self._context)

    def _end_if_idle(self) -> None:
        if self.supervisor.is_busy:
            # Such as with the terminations of those who were cancelled.
            self._end_after(_STILL_BUSY)
        else:
            self.end()

    def end(self) -> None:
        """Begin to close, whoever has it."""
        self._is_retired = True
        self._kept.cancel()

    async def _keep(self) -> None:
        try:
            with self._kept:
                if self._before is not None:
                    await asyncio.wait({self._before})
                    self._before = None
                await self.supervisor.open()
                self._settle()
                # It ends by itself only if there is a defect.
                await self.supervisor.wait_closed()
        except Exception as error:  # noqa: BLE001
            self.failure, self._traceback = error, error.__traceback__
        finally:
            self._is_retired = True
            self._settle()
            try:
                await self.supervisor.aclose()
            finally:
                if self._before is not None:
                    # The next one waits for this task alone.
                    await asyncio.wait({self._before})

    def _settle(self) -> None:
        self._is_settled = True
        for user in self.users:
            user.wake()


def client_for(loop: asyncio.AbstractEventLoop, key: Hashable, config: ClientConfig) -> SharedClient:
    """The client of those who share it on this loop, or a new one."""
    clients = _clients.setdefault(loop, weakref.WeakValueDictionary())
    found = clients.get(key)
    if found is not None and found.is_usable:
        return found
    _forget_closed_loops()
    # A transport of the user's is one thing, which a client that still closes it would close under the next one.
    before = found.closing if found is not None and config.transport is not None else None
    clients[key] = client = SharedClient(loop, config, before)
    return client


def _forget_closed_loops() -> None:
    """Let go of the connections of clients whose event loops were closed with their tasks pending.

    Such tasks never end, and anyio keeps them, with all that they refer to. A host may have a loop for each of its
    tasks, and would run out of sockets.
    """
    # Other threads have event loops, too.
    for loop in [each() for each in _clients.keyrefs()]:
        if loop is not None and loop.is_closed():
            for client in list(_clients.pop(loop, {}).values()):
                client.supervisor.forget_transport()


async def close_shared_clients() -> None:
    """Close those of the running event loop, whoever has them: the process ends."""
    clients = list(_clients.get(asyncio.get_running_loop(), {}).values())
    for client in clients:
        client.end()
    if clients:
        await asyncio.wait([client.task for client in clients])
