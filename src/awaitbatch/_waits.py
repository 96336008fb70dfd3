"""Waits: one future for a job, or for several at once, which ends as soon as there is no more to wait for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio.lowlevel

from awaitbatch._core.watch import Watch
from awaitbatch._results import WaitResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from awaitbatch._coalescer import DescribeCoalescer
    from awaitbatch._core.backoff import Window
    from awaitbatch._core.outcomes import Outcome
    from awaitbatch._core.watch import Rules

_DECODED_AT_ONCE: Final = 100
"""Descriptions to decode before others on the event loop get their turn; 100 take about a millisecond."""


async def wait_for(
    coalescer: DescribeCoalescer, job_id: str, window: Window, **rules: Unpack[Rules]
) -> WaitResult:
    """Wait until a job is seen as awaited, or will not be.

    Args:
        coalescer: Who checks the job.
        job_id: The job.
        window: When to check first, in seconds from now.
        rules: See `Rules`.
    """
    ended: asyncio.Future[tuple[Outcome, bytes | None]] = asyncio.get_running_loop().create_future()
    watch = Watch(job_id, partial(_set_ended, ended), **rules)
    # The frame lives as long as the wait, and there may be a hundred thousand.
    del rules
    coalescer.add(watch, window)
    try:
        return WaitResult(watch, *await ended)
    finally:
        coalescer.discard(watch)


def _set_ended(
    ended: asyncio.Future[tuple[Outcome, bytes | None]],
    _: Watch,
    outcome: Outcome | None,
    item: bytes | None,
) -> None:
    # The watch is no part of the result: it refers to the future, so only the garbage collector would end it.
    if outcome is not None and not ended.done():
        ended.set_result((outcome, item))


async def wait_for_all(
    coalescer: DescribeCoalescer, job_ids: Sequence[str], window: Window, **rules: Unpack[Rules]
) -> dict[str, WaitResult]:
    """Wait for jobs of different ids, until all are seen or absent, or the first ends otherwise."""
    results: dict[str, WaitResult] = {}
    enough = asyncio.get_running_loop().create_future()

    def deliver(watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        if outcome is None:
            return
        result = results[watch.job_id] = WaitResult(watch, outcome, item)
        if not enough.done() and (result.is_error or len(results) == len(job_ids)):
            enough.set_result(None)

    watches = [Watch(job_id, deliver, **rules) for job_id in job_ids]
    for watch in watches:
        coalescer.add(watch, window)
    try:
        if watches:
            await enough
    finally:
        for watch in watches:
            coalescer.discard(watch)
    return results


async def describe_all(
    coalescer: DescribeCoalescer, job_ids: Sequence[str], window: Window, **rules: Unpack[Rules]
) -> list[dict[str, Any]]:
    """The descriptions of jobs of different ids, in their order, without those that are absent.

    Raises:
        DescribeError: DescribeJobs failed for one of them.
        ClientClosedError: The client was closed first.
    """
    rules["absence_is_final"] = True
    results = await wait_for_all(coalescer, job_ids, window, **rules)
    for result in results.values():
        if result.is_error:
            result.description()
    found = [results[job_id] for job_id in job_ids if results[job_id].item is not None]
    descriptions = []
    for number, result in enumerate(found, start=1):
        descriptions.append(result.description())
        if number % _DECODED_AT_ONCE == 0:
            await anyio.lowlevel.checkpoint()
    return descriptions
