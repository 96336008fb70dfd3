"""The life of a client, from open to close, in a task of its own."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final

import anyio

from awaitbatch._aiobotocore_transport import AiobotocoreTransport
from awaitbatch._call_queue import CallQueue
from awaitbatch._coalescer import DescribeCoalescer
from awaitbatch._config import require
from awaitbatch._core.connections import Connections, Use
from awaitbatch._core.text import error_line, one_line
from awaitbatch._factory_transport import FactoryTransport
from awaitbatch._first_answer import FirstAnswer
from awaitbatch._log_fetchers import LogFetchers, wait_despite_cancellation
from awaitbatch._open_streams import OpenStreams
from awaitbatch._queue_fronts import QueueFronts
from awaitbatch._renewal import Renewal
from awaitbatch._resources import Resources
from awaitbatch._statistics import Statistics
from awaitbatch._submission import Submissions
from awaitbatch._tasks import create_task
from awaitbatch._termination import Terminations
from awaitbatch._transport import told_by
from awaitbatch.errors import ClientClosedError
from awaitbatch.instrumentation._events import ClientClosed, ClientOpened
from awaitbatch.instrumentation._log import LogObserver, log, write_log
from awaitbatch.instrumentation._observers import Observers

if TYPE_CHECKING:
    from awaitbatch._config import ClientConfig

OTHER_LOOP: Final = (
    "this BatchClient belongs to another event loop; open one on each loop, or use awaitbatch.threads.shared(), which "
    "is one client for all event loops and threads of a process"
)


# anyio imports it when it is first used, which would stall the loop of whoever opens the first client for 30 ms.
with suppress(ImportError):
    importlib.import_module("anyio._backends._asyncio")


class State(Enum):
    """NEW → OPENING → OPEN → CLOSING → CLOSED; a client that fails to open goes from OPENING to CLOSING."""

    NEW = "not open yet"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Supervisor:
    """Opens a transport, keeps a coalescer at work, and closes both.

    All of it happens in one task with a context of its own: whoever opens the client may end before it does, and what
    the opener has in its context, such as Airflow's log of one trigger, is not for the calls of all. `open` and
    `aclose` only wait for that task, from any task of the event loop.

    Args:
        config: What the client is made with.
        logger: Where it writes what it does.

    Attributes:
        state: Where in its life it is.
        transport: How calls reach AWS Batch.
        coalescer: Makes DescribeJobs calls; like all that follows, it exists from `open` on.
        submissions: Makes SubmitJob calls.
        terminations: Makes TerminateJob and CancelJob calls.
        lists: Makes ListJobs and GetJobQueueSnapshot calls.
        fronts: Knows what is at the front of job queues.
        resources: Describes compute environments and job queues.
        log_fetchers: Those of waits.
        streams: Those that are open.
        observers: Who hears of what happens.
        notify: See `Observers.notify`.
        write_log: See `LogObserver.write`.
    """

    coalescer: DescribeCoalescer
    submissions: Submissions
    terminations: Terminations
    lists: CallQueue
    fronts: QueueFronts
    resources: Resources
    log_fetchers: LogFetchers
    streams: OpenStreams

    def __init__(self, config: ClientConfig, logger: logging.Logger = log) -> None:
        self.state = State.NEW
        self.transport = config.make_transport()
        self._config = config
        self._failure: BaseException | None = None
        self._log = LogObserver(_loop_time, logger)
        self.write_log = self._log.write
        self.observers = Observers(self._log, config.observers)
        self.notify = self.observers.notify

    @property
    def state_text(self) -> str:
        """The state, in words for a `repr`."""
        return self.state.value

    @property
    def was_opened(self) -> bool:
        """Whether `open` was ever called, so that there is a coalescer."""
        return hasattr(self, "coalescer")

    @property
    def is_busy(self) -> bool:
        """Whether there are jobs to submit or to end, whoever may have left meanwhile."""
        return self.was_opened and (
            self.submissions.is_busy or self.terminations.is_busy or self.streams.is_busy
        )

    @property
    def region_name(self) -> str | None:
        """The region of the jobs, fit for a line of text; None if the transport cannot say."""
        return told_by(self.transport, "region_name")

    @property
    def endpoint_url(self) -> str | None:
        """Where calls are sent, likewise."""
        return told_by(self.transport, "endpoint_url")

    async def open(self) -> None:
        """Open the transport and start the coalescer.

        Raises:
            ClientClosedError: It was closed already, or is closed meanwhile.
            RuntimeError: It is open already.
        """
        if self.state in {State.OPENING, State.OPEN}:
            message = f"this BatchClient is already {self.state.value}"
            raise RuntimeError(message)
        if self.state is not State.NEW:
            raise self.closed_error()
        self._loop = running_loop()
        self.state = State.OPENING
        self._opening = anyio.CancelScope()
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self.log_fetchers = LogFetchers(self._config.close_timeout, self.write_log)
        self.streams = OpenStreams()
        self._begin_to_queue()
        self._task = create_task(self._live(), name="awaitbatch client", context=contextvars.Context())
        # However it ends, nobody waits for its opening in vain.
        self._task.add_done_callback(lambda _: self._opened.set())
        try:
            await self._opened.wait()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if self.state is not State.OPEN:
            await self.aclose()
            raise self._failure or self.closed_error()

    def _begin_to_queue(self) -> None:
        """Make what sends calls, or holds them back for now."""
        config, self._connections = self._config, Connections()
        self._first_answer = FirstAnswer(
            self.observers, lambda: self.endpoint_url, lambda: told_by(self.transport, "fetching")
        )
        # Only a transport that has somebody to ask for other credentials has such a method.
        renew = self._renew if hasattr(self.transport, "renew") else None
        self._renewal = Renewal(renew, self._connections, self.observers)
        common = (self.transport, self._connections, self.observers, self._first_answer, self._renewal)
        self.coalescer = DescribeCoalescer(
            *common, max_calls_per_second=config.max_calls_per_second, call_timeout=config.call_timeout
        )
        submits = CallQueue(*common, use=Use.SUBMIT, max_rate=config.max_submits_per_second)
        self.submissions = Submissions(submits, self.observers)
        others = CallQueue(*common, use=Use.OTHER, max_rate=config.max_terminates_per_second)
        self.terminations = Terminations(others, self.observers)
        self.lists, describes = (
            CallQueue(
                *common, use=use, max_rate=config.max_calls_per_second, call_timeout=config.call_timeout
            )
            for use in (Use.LIST, Use.RESOURCE)
        )
        self.resources = Resources(describes, self.transport, config.call_timeout)
        self.fronts = QueueFronts(self.lists, self.coalescer, self.streams, self.transport, self.write_log)

    def statistics(self) -> Statistics:
        """What was done, and what is under way; any thread may ask."""
        if not self.was_opened:
            return Statistics()
        return self.coalescer.statistics(submits=self.submissions.calls, terminates=self.terminations.calls)

    def limit_calls(self, max_rate: float) -> None:
        """Make at most so many calls a second of each operation that only reads."""
        self.coalescer.limit(max_rate)
        self.lists.limit(max_rate)
        self.resources.limit(max_rate)

    async def aclose(self) -> None:
        """End all waits and close the transport; to close twice is fine."""
        if self.state is State.NEW:
            self.state = State.CLOSED
        if self.state is State.CLOSED:
            return
        self._check_loop()
        self._closing.set()
        self._opening.cancel()
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            await wait_despite_cancellation(self._task, self._config.close_timeout)
            raise

    async def wait_closed(self) -> None:
        """Wait until it is closed, whatever closes it."""
        await asyncio.wait({self._task})

    def forget_transport(self) -> None:
        """Let go of the connections, since the event loop was closed before this was; one of the user's is his."""
        if isinstance(self.transport, AiobotocoreTransport | FactoryTransport):
            self.transport.forget()

    def check_open(self, job_id: object = None) -> None:
        """Raise unless it is open, and on this event loop.

        Args:
            job_id: The job that it shall be open for, as the user gave it; the error names it.

        Raises:
            ClientClosedError: It is not open.
            RuntimeError: It belongs to another event loop.
        """
        if self.state is not State.OPEN:
            raise self.closed_error(job_id)
        self._check_loop()

    def closed_error(self, job_id: object = None) -> ClientClosedError:
        """The error of whoever needs it open when it is not."""
        job = "" if job_id is None else f"AWS Batch job ({one_line(str(job_id))}): "
        if self.state is State.NEW:
            return ClientClosedError(
                f"{job}the BatchClient is not open yet: use 'async with', or await open()"
            )
        error = ClientClosedError(f"{job}the BatchClient is {self.state.value}; create another one")
        error.__cause__ = self._failure
        return error

    def _check_loop(self) -> None:
        loop = None
        # In another thread there may be none.
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise RuntimeError(OTHER_LOOP)

    async def _live(self) -> None:
        try:
            with self._opening:
                await self.transport.open()
                self._count_connections()
            if not self._closing.is_set():
                await self._work()
        except Exception as error:  # noqa: BLE001
            self._record_failure(error)
        finally:
            self.state = State.CLOSING
            try:
                await self._end()
            finally:
                # Also if the event loop ends, and cancels this task for it.
                self.state = State.CLOSED
                reason = None if self._failure is None else error_line(self._failure)
                self.observers.notify(
                    ClientClosed(region_name=self.region_name, error=reason, client=self.observers.client)
                )
                self._log.close()

    async def _end(self) -> None:
        self._first_answer.close()
        # Before their jobs' watches end, so that they hear of it once.
        self.streams.close(self._failure)
        try:
            await self.coalescer.close(self._failure)
        finally:
            await self._wind_down()

    async def _work(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._coalesce)
            tasks.start_soon(self._renewal.run)
            self.state = State.OPEN
            self.observers.notify(
                ClientOpened(
                    region_name=self.region_name,
                    endpoint_url=self.endpoint_url,
                    client=self.observers.client,
                )
            )
            self._opened.set()
            await self._closing.wait()
            # Nobody waits for answers any more, so calls under way are given up.
            tasks.cancel_scope.cancel()

    async def _coalesce(self) -> None:
        await self.coalescer.run()
        message = "the coalescer ended by itself"
        raise RuntimeError(message)

    async def _renew(self) -> None:
        await self.transport.renew()  # type: ignore[attr-defined]
        self._count_connections()

    def _count_connections(self) -> None:
        max_connections = self.transport.max_connections
        require(_is_a_size, "max_connections of the transport", max_connections, "an int of at least 1")
        self._connections.resize(max_connections)

    async def _wind_down(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                async with anyio.create_task_group() as ending:
                    ending.start_soon(self.submissions.aclose, self._config.close_timeout)
                    ending.start_soon(self._end_streams)
                    ending.start_soon(self.lists.aclose, 0)
                    ending.start_soon(self.resources.aclose)
                    ending.start_soon(self.log_fetchers.aclose)
            finally:
                # Also if somebody cancels this task once more.
                await self._close_transport()

    async def _end_streams(self) -> None:
        deadline = self._loop.time() + self._config.close_timeout
        try:
            # Some may have jobs to terminate.
            await self.streams.aclose(self._config.close_timeout)
        finally:
            await self.terminations.aclose(max(0.0, deadline - self._loop.time()))

    async def _close_transport(self) -> None:
        try:
            with anyio.move_on_after(self._config.close_timeout):
                await self.transport.aclose()
        except Exception as error:  # noqa: BLE001
            write_log(logging.WARNING, "the connections could not be closed: %s", error_line(error))

    def _record_failure(self, error: Exception) -> None:
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        self._failure = error
        if self.state is State.OPEN:
            # A defect. Whoever waits for a job learns that the client is closed, and why.
            write_log(logging.CRITICAL, "the BatchClient stopped: %s", error_line(error))


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop to open a client on.

    Raises:
        RuntimeError: It is no loop of asyncio's, or none runs.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        message = "awaitbatch runs on asyncio only: open the BatchClient in a task of an asyncio event loop"
        raise RuntimeError(message) from None


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _is_a_size(connections: object) -> bool:
    return isinstance(connections, int) and connections >= 1
