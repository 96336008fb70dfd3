"""What tests of several directories share: servers and clients without a network, jobs, and how to wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from awaitbatch import BatchClient
from awaitbatch._supervisor import Supervisor
from awaitbatch.instrumentation import Event
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from awaitbatch.testing._model.faults import DEFAULT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from awaitbatch import BatchTransport

E = TypeVar("E", bound=Event)

LONG: Final = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=float("inf"))
"""A job that runs from the start and does not end by itself."""

ENDED: Final = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)
"""A job that has ended when it is submitted."""


class PromptClient(BatchClient):
    """A client whose polls check at once unless they are asked otherwise."""

    # A delay of 0 seconds would not do: as in Airflow, it means up to one.
    DEFAULT_DELAY_MIN = 0
    DEFAULT_DELAY_MAX = 0


class Fetcher:
    """A log fetcher that notes what is called; `join` blocks its thread for a moment."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        """Note it."""
        self.calls.append("start")

    def stop(self) -> None:
        """Note it."""
        self.calls.append("stop")

    def join(self) -> None:
        """Block, as a thread's join does."""
        time.sleep(0.01)
        self.calls.append("join")


def make_server(**settings: Any) -> BatchServer:
    """A server on the clock of the running loop."""
    return BatchServer(**{"clock": asyncio.get_running_loop().time, "seed": 1, **settings})


def make_client(server: BatchServer | BatchTransport, **settings: Any) -> BatchClient:
    """A client of that server without a network, on which calls take 20 ms, or over a transport of one's own.

    The server's client takes its credentials for such as renew themselves.
    """
    transport = server.transport(refreshes_credentials=True) if isinstance(server, BatchServer) else server
    return BatchClient(transport=transport, **settings)


def supervisor_of(client: BatchClient) -> Supervisor:
    """The inside of a client that is not shared."""
    assert isinstance(client._supervisor, Supervisor)
    return client._supervisor


def lasting(fault: Fault, seconds: float) -> dict[str, Any]:
    """An order for a fault, by which it takes that long if it takes any time."""
    return {"seconds": seconds} if fault in DEFAULT_SECONDS else {}


def of_kind(kind: type[E], events: Iterable[Event]) -> list[E]:
    """The events of one kind, in their order."""
    return [event for event in events if isinstance(event, kind)]


def unnumbered(events: Iterable[Event]) -> list[Event]:
    """The same events, without the number that their client has in this process."""
    return [msgspec.structs.replace(event, client=0) for event in events]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what comes with time; if it does not come, the test hangs and is shown where."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


class Log:
    """When which jobs were asked for and answered, as a transport sees it from now on."""

    def __init__(self, transport: BatchTransport) -> None:
        self.transport = transport
        self.sent: list[float] = []
        self.answered: list[tuple[float, Sequence[str]]] = []
        self._describe_jobs = transport.describe_jobs
        transport.describe_jobs = self._describe  # type: ignore[method-assign]

    async def _describe(self, job_ids: Sequence[str]) -> bytes:
        loop = asyncio.get_running_loop()
        self.sent.append(loop.time())
        body = await self._describe_jobs(job_ids)
        self.answered.append((loop.time(), job_ids))
        return body

    def seen_between(self, begin: float, end: float) -> set[str]:
        """The jobs that answers brought in that time."""
        return {job_id for moment, job_ids in self.answered if begin <= moment <= end for job_id in job_ids}

    def excess(self, rate: float) -> float:
        """By how much the calls of some span of t seconds exceed 1 + rate * t; at most 0 if they never do."""
        return max(
            last - first - rate * (self.sent[last] - begin)
            for first, begin in enumerate(self.sent)
            for last in range(first, min(first + 200, len(self.sent)))
        )
