"""Whole situations in one line: a herd of jobs of which some fail, an account that throttles, an outage.

Each is made of what `BatchServer` offers, and may be combined with it and with the others::

    herd = scenarios.herd(server, 200, failing=0.05)
    scenarios.throttled_account(server, calls_per_second=5)
    scenarios.outage(server, 60, after=30)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

from awaitbatch.testing._model.faults import Fault
from awaitbatch.testing._model.life_cycle import LifeCycleRanges

if TYPE_CHECKING:
    from awaitbatch.testing._model.faults import FaultRule
    from awaitbatch.testing._server import BatchServer

__all__ = ["Herd", "herd", "outage", "throttled_account"]

_RANGES: Final = LifeCycleRanges()


@dataclass(frozen=True, slots=True)
class Herd:
    """Jobs that were added together.

    Attributes:
        job_ids: The ids of all.
        failing: The ids of those that will fail, in the same order.
    """

    job_ids: list[str]
    failing: list[str]


def herd(
    server: BatchServer,
    count: int,
    *,
    failing: float = 0.0,
    life_cycle: LifeCycleRanges = _RANGES,
    job_queue: str = "queue",
    seed: int = 0,
) -> Herd:
    """Add many jobs at once, of which exactly a share fails.

    Args:
        server: Where to add them.
        count: How many jobs.
        failing: The share of them that fails, 0 to 1, to the nearest job; the `failing` of `life_cycle` is not asked.
        life_cycle: How long they may take in each state; drawn anew for each job.
        job_queue: The name of their queue. They are ``job-0``, ``job-1`` and so on.
        seed: Which of them fail, and how long each takes; the same seed gives the same herd.

    Raises:
        ValueError: There is no such share.
    """
    if not 0 <= failing <= 1:
        message = f"failing is a share from 0 to 1, not {failing!r}"
        raise ValueError(message)
    random = Random(seed)
    doomed = set(random.sample(range(count), round(count * failing)))
    ranges = replace(life_cycle, failing=0.0)
    job_ids = [
        server.add_job(
            job_name=f"job-{number}",
            job_queue=job_queue,
            life_cycle=replace(ranges(random), outcome="FAILED" if number in doomed else "SUCCEEDED"),
        )
        for number in range(count)
    ]
    return Herd(job_ids, [job_ids[number] for number in sorted(doomed)])


def throttled_account(
    server: BatchServer, calls_per_second: float = 5.0, *, burst: float | None = None
) -> None:
    """Let all operations together have so few calls a second; what is beyond gets HTTP 429, as in a busy account.

    ``server.throttle(None)`` lifts it.

    Args:
        server: Whose calls to throttle.
        calls_per_second: The limit.
        burst: Calls at once after a pause; by default those of a second.

    Raises:
        ValueError: The limit is negative, or the burst is below one call.
    """
    server.throttle(calls_per_second, burst)


def outage(server: BatchServer, seconds: float = 60.0, *, after: float = 0.0) -> FaultRule:
    """Let nobody reach the server for a while; its jobs go on meanwhile.

    Args:
        server: What is out of reach.
        seconds: How long it lasts.
        after: Seconds from now at which it begins.

    Returns:
        The rule: its ``hits`` count the calls that came to nothing, and `BatchServer.heal` ends it early.

    Raises:
        ValueError: It lasts no time.
    """
    return server.inject(Fault.CONNECTION_REFUSED, begin=after, end=after + seconds)
