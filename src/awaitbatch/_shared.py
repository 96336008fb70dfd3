"""One client for all who live on one event loop: who has it, how long it stays, and what each of them has of it."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import logging
import warnings
import weakref
from collections.abc import Hashable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from aiobotocore.config import AioConfig

from awaitbatch._config import is_duration, number
from awaitbatch._core.text import one_line
from awaitbatch._open_streams import OpenStreams
from awaitbatch._statistics import Statistics
from awaitbatch._supervisor import OTHER_LOOP, State, Supervisor, running_loop
from awaitbatch.errors import ClientClosedError
from awaitbatch.instrumentation._log import shared_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awaitbatch._call_queue import CallQueue
    from awaitbatch._changes import OnChange
    from awaitbatch._coalescer import DescribeCoalescer
    from awaitbatch._config import ClientConfig
    from awaitbatch._core.backoff import Window
    from awaitbatch._core.outcomes import Outcome
    from awaitbatch._core.watch import Watch
    from awaitbatch._factory_transport import Factory
    from awaitbatch._log_fetchers import LogFetchers
    from awaitbatch._queue_fronts import QueueFronts
    from awaitbatch._resources import Resources
    from awaitbatch._submission import Submissions
    from awaitbatch._termination import Terminations
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation import Observer
    from awaitbatch.instrumentation._events import Event, JobChanged

    Deliver = Callable[[Watch, Outcome | None, bytes | None], None]

_BY_VALUE: Final = (
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name"),
    *("region_name", "endpoint_url", "verify", "use_ssl"),
)
_BY_IDENTITY: Final = ("session", "client", "transport")
"""All these and the config make a client another one; the factory has a key of the user's instead."""

_LOWEST_HOLDS: Final = ("max_calls_per_second", "max_submits_per_second", "max_terminates_per_second")
_FIRST_HOLDS: Final = ("call_timeout", "close_timeout")

_STILL_BUSY: Final = 0.5
"""Seconds until a client that nobody has looks again whether it has delivered what it was asked to."""

_Clients = weakref.WeakValueDictionary[Hashable, "SharedClient"]

_clients: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients]] = weakref.WeakKeyDictionary()
"""A client refers to its loop, so it is not for this table to keep it: its users do, and a timer while it lingers."""


class Lease:
    """What one user has of a shared client, in place of a `Supervisor` of his own.

    `open` joins whoever has an equal client on this loop, or begins a client; `aclose` leaves, which ends the waits of
    this user and of nobody else.

    Args:
        config: What the user gave.
        key: Tells clients of factories apart.
        factory: Gives the aiobotocore client.
        linger: Seconds that the client stays open once nobody has it.

    Attributes:
        state: Where this user is; the client may be elsewhere.
        coalescer: This user's part of it; it exists once `open` has succeeded.
        linger: As given.
        config: What the client is made with if this user is the first; from `open` on, what it was made with.
        observers: Who hears of events for as long as this user is there.

    Raises:
        ValueError: An argument makes no sense, or contradicts another.
        TypeError: An argument has the wrong type.
    """

    # There may be a user for each of many thousand waits.
    __slots__ = (
        "__weakref__",
        "_key",
        "_shared",
        "_streams",
        "_woken",
        "coalescer",
        "config",
        "linger",
        "observers",
        "state",
    )

    coalescer: OwnWatches
    observers: tuple[Observer, ...]

    def __init__(
        self, config: ClientConfig, *, key: Hashable = None, factory: Factory | None = None, linger: float
    ) -> None:
        if (key is None) is not (factory is None):
            message = (
                "give both key= and factory=, or neither: what a factory gives can be told by its key alone"
            )
            raise ValueError(message)
        if factory is not None and not callable(factory):
            message = "factory must be a function that returns what session.create_client() does"
            raise TypeError(message)
        self.config = config if factory is None else dataclasses.replace(config, factory=factory)
        self.linger = number(is_duration, "linger", linger, "a number of seconds")
        self._key = _key_of(config, key)
        # What cannot be hashed cannot be found again; better now than when it is opened.
        hash(self._key)
        self.state = State.NEW
        self._shared: SharedClient | None = None
        self._streams: OpenStreams | None = None
        self._woken: asyncio.Future[None] | None = None

    @property
    def state_text(self) -> str:
        """The state of both, in words for a `repr`."""
        if self.state is not State.OPEN:
            return f"shared, {self.state.value}"
        users = len(self._joined.users)
        return f"shared by {users}, {self._joined.supervisor.state.value}"

    @property
    def was_opened(self) -> bool:
        """Whether `open` ever succeeded."""
        return hasattr(self, "coalescer")

    @property
    def region_name(self) -> str | None:
        """See `Supervisor.region_name`."""
        return None if self._shared is None else self._shared.supervisor.region_name

    @property
    def transport(self) -> BatchTransport:
        """How all users' calls reach AWS Batch; like all that follows, for who has opened it."""
        return self._joined.supervisor.transport

    @property
    def streams(self) -> OpenStreams:
        """Those that this user has open."""
        if self._streams is None:
            self._streams = OpenStreams(self._joined.supervisor.streams)
        return self._streams

    @property
    def submissions(self) -> Submissions:
        """All users' SubmitJob calls."""
        return self._joined.supervisor.submissions

    @property
    def terminations(self) -> Terminations:
        """All users' TerminateJob and CancelJob calls."""
        return self._joined.supervisor.terminations

    def statistics(self) -> Statistics:
        """See `Supervisor.statistics`; it counts for all users, from when this one has opened it."""
        if not self.was_opened or self._shared is None:
            return Statistics()
        return self._shared.supervisor.statistics()

    @property
    def lists(self) -> CallQueue:
        """All users' ListJobs calls."""
        return self._joined.supervisor.lists

    @property
    def fronts(self) -> QueueFronts:
        """What is known of job queues, for all users."""
        return self._joined.supervisor.fronts

    @property
    def resources(self) -> Resources:
        """Describes compute environments and job queues for all users."""
        return self._joined.supervisor.resources

    @property
    def log_fetchers(self) -> LogFetchers:
        """Those of all users' waits."""
        return self._joined.supervisor.log_fetchers

    @property
    def write_log(self) -> Callable[..., None]:
        """See `LogObserver.write`."""
        return self._joined.supervisor.write_log

    @property
    def _joined(self) -> SharedClient:
        if self._shared is None:
            raise self.closed_error()
        return self._shared

    async def open(self) -> None:
        """Join those who share the client, and wait until it is open.

        Raises:
            ClientClosedError: It was closed already, or is closed meanwhile.
            RuntimeError: It is open already.
            Exception: Why the client cannot be opened, for all who wait for it.
        """
        if self.state in {State.OPENING, State.OPEN}:
            message = f"this BatchClient is already {self.state.value}"
            raise RuntimeError(message)
        if self.state is not State.NEW:
            raise self.closed_error()
        loop = running_loop()
        # A list of the user's may change meanwhile.
        self.observers = tuple(self.config.observers)
        self._shared = shared = _client_for(loop, self._key, self.config)
        self.state = State.OPENING
        self._woken = woken = loop.create_future()
        shared.join(self)
        try:
            await woken
            self._check_joined(shared)
        except BaseException:
            self._leave()
            raise
        finally:
            self._woken = None
        shared.reconcile(self.config)
        self.coalescer = OwnWatches(shared.supervisor.coalescer)
        self.state = State.OPEN
        # Both have done their duty, and take more than all else that a user has.
        self.config, self._key = shared.config, None

    def _check_joined(self, shared: SharedClient) -> None:
        if self.state is not State.OPENING:
            raise self.closed_error()
        shared.raise_failure()
        shared.supervisor.check_open()

    def wake(self) -> None:
        """The client is open, or will not be; or this user no longer wants it."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def aclose(self) -> None:
        """Leave, and end this user's waits; to do so twice is fine.

        What was to be submitted or terminated goes on: the client stays until that is done, and for a while longer.
        """
        if self.state is State.NEW:
            self.state = State.CLOSED
        if self.state is State.CLOSED:
            return
        self._joined.check_loop()
        was_open = self.state is State.OPEN
        self._leave()
        if was_open:
            if self._streams is not None:
                self._streams.close()
            try:
                await self.coalescer.close()
            finally:
                if self._streams is not None:
                    # The client stays for a while, but perhaps the event loop does not.
                    await self._streams.aclose(self.config.close_timeout)

    def abandon(self) -> None:
        """Leave because the user's client is gone and was not closed, in whatever thread that is noticed."""
        is_open = self._shared is not None and self.state in {State.OPENING, State.OPEN}
        if is_open and self._joined.call_soon(self._leave):
            text = "a shared BatchClient was not closed: use 'async with', or await aclose()"
            warnings.warn(text, ResourceWarning, stacklevel=3)

    def _leave(self) -> None:
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.wake()
            self._joined.leave(self)

    def notify(self, event: Event) -> None:
        """See `Observers.notify`; those of all users hear of it."""
        self._joined.supervisor.notify(event)

    def check_open(self, job_id: object = None) -> None:
        """Raise unless this user has it, and it is open; see `Supervisor.check_open`."""
        if self.state is not State.OPEN:
            raise self.closed_error(job_id)
        self._joined.supervisor.check_open(job_id)

    def closed_error(self, job_id: object = None) -> ClientClosedError:
        """The error of whoever needs it open when it is not."""
        job = "" if job_id is None else f"AWS Batch job ({one_line(str(job_id))}): "
        if self.state in {State.NEW, State.OPENING}:
            return ClientClosedError(
                f"{job}the shared BatchClient is not open yet: use 'async with', or await open()"
            )
        error = ClientClosedError(
            f"{job}this use of a shared BatchClient is closed; call BatchClient.shared() for another one"
        )
        error.__cause__ = None if self._shared is None else self._shared.failure
        return error


class OwnWatches:
    """The part of a `DescribeCoalescer` that one user has: it knows which watches are his.

    Args:
        coalescer: Who checks the jobs of all.
    """

    __slots__ = ("_coalescer", "_is_closed", "_last", "_own")

    def __init__(self, coalescer: DescribeCoalescer) -> None:
        self._coalescer = coalescer
        self._own: set[Watch] = set()
        # What the watch that was added last has for `deliver`; those of a stream have it in common.
        self._last: weakref.ref[partial[None]] | None = None
        self._is_closed = False

    def statistics(self, *, counts: bool) -> Statistics:
        """See `DescribeCoalescer.statistics`."""
        return self._coalescer.statistics(counts=counts)

    def window_of_first_check(self, latest: float) -> Window:
        """See `DescribeCoalescer.window_of_first_check`."""
        return self._coalescer.window_of_first_check(latest)

    def report(self, on_change: OnChange, event: JobChanged, error: BaseException) -> None:
        """See `DescribeCoalescer.report`."""
        self._coalescer.report(on_change, event, error)

    def add(self, watch: Watch, window: Window) -> None:
        """See `DescribeCoalescer.add`."""
        if self._is_closed:
            self._coalescer.refuse(watch)
            return
        last = None if self._last is None else self._last()
        if last is None or last.args[0] is not watch.deliver:
            last = partial(self._deliver, watch.deliver)
            self._last = weakref.ref(last)
        watch.deliver = last
        self._own.add(watch)
        self._coalescer.add(watch, window)

    def discard(self, watch: Watch) -> None:
        """See `DescribeCoalescer.discard`."""
        self._own.discard(watch)
        self._coalescer.discard(watch)

    def discard_all(self, watches: Sequence[Watch]) -> None:
        """See `DescribeCoalescer.discard_all`."""
        self._own.difference_update(watches)
        self._coalescer.discard_all(watches)

    async def close(self) -> None:
        """End the watches that are left, and all that are yet to come."""
        self._is_closed = True
        await self._coalescer.end(list(self._own))

    def _deliver(self, deliver: Deliver, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        if outcome is not None:
            self._own.discard(watch)
        deliver(watch, outcome, item)


class SharedClient:
    """A client that several users have: opened, kept and closed in a task of its own, with a context of its own.

    No user's cancellation, context or cancel scope reaches it. It closes once it has been idle for as long as the most
    patient of its users asked for. From then on, and from a failure on, it is retired: `_client_for` gives it to
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
        self.users: set[Lease] = set()
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
        self.task = loop.create_task(self._keep(), name="awaitbatch shared client", context=self._context)
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

    def join(self, user: Lease) -> None:
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

    def leave(self, user: Lease) -> None:
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


def _client_for(loop: asyncio.AbstractEventLoop, key: Hashable, config: ClientConfig) -> SharedClient:
    """The client of those who share it on this loop, or a new one."""
    clients = _clients.setdefault(loop, weakref.WeakValueDictionary())
    found = clients.get(key)
    if found is not None and found.is_usable:
        return found
    # A transport of the user's is one thing, which a client that still closes it would close under the next one.
    before = found.closing if found is not None and config.transport is not None else None
    clients[key] = client = SharedClient(loop, config, before)
    return client


async def close_shared_clients() -> None:
    """Close those of the running event loop, whoever has them: the process ends."""
    clients = list(_clients.get(asyncio.get_running_loop(), {}).values())
    for client in clients:
        client.end()
    if clients:
        await asyncio.wait([client.task for client in clients])


def _key_of(config: ClientConfig, key: Hashable) -> Hashable:
    """What makes two users' clients one: where calls go, whence the credentials come, and how they are sent.

    What is compared by identity is kept alive by the client that has it, so its id is nobody else's meanwhile.
    """
    values = tuple(_hashable(getattr(config, name)) for name in _BY_VALUE)
    identities = tuple(id(getattr(config, name)) for name in _BY_IDENTITY)
    return (key, values, identities, options_of(config.config))


def options_of(config: object) -> Hashable:
    """The options of an AioConfig that its user gave; two of the same are not equal in Python's sense."""
    config = AioConfig() if config is None else config
    options = getattr(config, "_user_provided_options", None)
    # Not all versions of AioConfig have its own ones among them.
    own = (getattr(config, "connector_args", None), getattr(config, "http_session_cls", None))
    return _hashable(config if options is None else (options, *own))


def _hashable(value: object) -> Hashable:
    """Something equal for equal values; what is neither a container nor hashable is equal to itself alone."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    if isinstance(value, set | frozenset):
        return frozenset(map(_hashable, value))
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
