"""What one user has of a shared client: it joins the others when it opens, and leaves when it closes."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING

from awaitbatch._config import is_duration, number
from awaitbatch._core.text import one_line
from awaitbatch._open_streams import OpenStreams
from awaitbatch._own_watches import OwnWatches
from awaitbatch._shared import client_for
from awaitbatch._shared_keys import key_of
from awaitbatch._statistics import Statistics
from awaitbatch._supervisor import State, running_loop
from awaitbatch.errors import ClientClosedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

    from awaitbatch._call_queue import CallQueue
    from awaitbatch._config import ClientConfig
    from awaitbatch._factory_transport import Factory
    from awaitbatch._log_fetchers import LogFetchers
    from awaitbatch._queue_fronts import QueueFronts
    from awaitbatch._resources import Resources
    from awaitbatch._shared import SharedClient
    from awaitbatch._submission import Submissions
    from awaitbatch._termination import Terminations
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation import Observer
    from awaitbatch.instrumentation._events import Event


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
        self._key = key_of(config, key)
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
            message = (
                f"this use of a shared BatchClient is already {self.state.value}; each task calls "
                "BatchClient.shared() for one of its own"
            )
            raise RuntimeError(message)
        if self.state is not State.NEW:
            raise self.closed_error()
        loop = running_loop()
        # A list of the user's may change meanwhile.
        self.observers = tuple(self.config.observers)
        self._shared = shared = client_for(loop, self._key, self.config)
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
