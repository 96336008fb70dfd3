"""What the tests of survival share: waits that note how they ended, and a network on which much goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.watch import Watch
from awaitbatch.testing import Fault, LifeCycle
from awaitbatch.testing._model.faults import BULK_ERRORS
from tests.support import lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from random import Random

    import pytest

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

ENDING: Final = frozenset({Fault.ACCESS_DENIED, Fault.CLIENT_EXCEPTION})
"""The faults that may end a wait; it survives all others."""

SURVIVED: Final = tuple(
    fault for fault in Fault if fault not in ENDING | {Fault.CONNECTION_REFUSED} | BULK_ERRORS.keys()
)
"""The faults that can befall any call, and that a wait survives."""


def fault_shares(share: float) -> Iterator[tuple[Fault, float]]:
    """The rules, as faults and probabilities, by which so large a share of all calls fails.

    Each of the ways that a wait survives is equally often among them.
    """
    # Each rule sees only the calls that those before it have let pass.
    for left in range(len(SURVIVED), 0, -1):
        each = share / len(SURVIVED)
        passed = 1 - (len(SURVIVED) - left) * each
        yield SURVIVED[-left], each / passed


def inject_faults(server: BatchServer, share: float) -> None:
    """Let so large a share of all calls fail, in each of the ways that a wait survives equally often."""
    for fault, probability in fault_shares(share):
        server.inject(fault, probability=probability, **lasting(fault, 40))


def count_ends(monkeypatch: pytest.MonkeyPatch) -> Counter[Watch]:
    """Count from now on how often each request hears that it has ended."""
    ends: Counter[Watch] = Counter()

    class CountedWatch(Watch):
        def __init__(self, job_id: str, deliver: Any, **rules: Any) -> None:
            def count(watch: Watch, *end: Any) -> None:
                ends[watch] += 1
                deliver(watch, *end)

            super().__init__(job_id, count, **rules)

    monkeypatch.setattr("awaitbatch._waits.Watch", CountedWatch)
    return ends


@dataclass(slots=True)
class End:
    """How a wait ended, and when."""

    outcome: str | Exception
    at: float


async def note(server_time: Callable[[], float], wait: Any) -> End:
    """Await a wait and note how it ended."""
    try:
        outcome: str | Exception = (await wait)["status"]
    except Exception as error:  # noqa: BLE001
        outcome = error
    return End(outcome, server_time())


async def wait_for_all(
    client: BatchClient,
    job_ids: Iterable[str],
    clock: Callable[[], float] | None = None,
    **limits: Any,
) -> dict[str, End]:
    """Await each job in a task of its own until all waits have ended, on the loop's clock or another one."""
    clock = clock or asyncio.get_running_loop().time
    async with asyncio.TaskGroup() as group:
        waits = {
            job_id: group.create_task(note(clock, client.wait_for_job(job_id, **limits)))
            for job_id in job_ids
        }
    return {job_id: wait.result() for job_id, wait in waits.items()}


@asynccontextmanager
async def waiting(client: BatchClient, job_ids: Iterable[str]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Await jobs that do not end, one task each, during the body; none of the waits may have ended by then."""
    waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
    try:
        yield waits
        assert not any(wait.done() for wait in waits)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def lives_at_random(random: Random, least: float, most: float) -> LifeCycle:
    """A life of that many seconds in RUNNING, in one to three attempts, a quarter of them failing."""
    return LifeCycle(
        submitted=random.uniform(0, 5),
        pending=random.uniform(0, 5),
        runnable=random.uniform(0, 10),
        starting=random.uniform(0, 5),
        running=random.uniform(least, most),
        outcome=random.choice(["SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED"]),
        attempts=random.choice([1, 1, 2, 3]),
    )


def check_truth(server: BatchServer, ends: dict[str, End]) -> None:
    """Every wait ended with the outcome that the server recorded, and not before the server's moment."""
    wrong = {
        job_id: end
        for job_id, end in ends.items()
        if end.outcome != server.status_of(job_id) or end.at < (server.ended_at(job_id) or float("inf"))
    }
    assert not wrong, f"{len(wrong)} of {len(ends)} waits: {[*wrong.items()][:3]}"
