"""Waits: one future for a job, or for several at once, which ends as soon as there is no more to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from awaitbatch._core.outcomes import MATCHED, Outcome
from awaitbatch._core.text import shown
from awaitbatch._core.watch import AttentiveWatch, Watch
from awaitbatch._job_ids import is_one_job, parse_job_id
from awaitbatch._responses import decode_head
from awaitbatch._results import WaitResult
from awaitbatch._slices import for_each

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from types_aiobotocore_batch.type_defs import JobDetailTypeDef

    from awaitbatch._changes import Changes
    from awaitbatch._core.backoff import Window
    from awaitbatch._core.watch import Rules
    from awaitbatch._stuck_jobs import StuckJobs

_DECODED_AT_ONCE: Final = 100
"""Descriptions to decode before others on the event loop get their turn; 100 take about a millisecond."""


class Coalescer(Protocol):
    """Who checks jobs: a `DescribeCoalescer`, or the part of one that one of its users has."""

    def add(self, watch: Watch, window: Window) -> None:
        """Check a job for the first time in ``window``, in seconds from now."""

    def discard(self, watch: Watch) -> None:
        """Take back a watch; it is no error if it has ended."""

    def discard_all(self, watches: Sequence[Watch]) -> None:
        """Take back watches of one owner."""


def list_of_ids(job_ids: Iterable[object]) -> list[object]:
    """What somebody gave as many ids, in a list of its own, since his may change meanwhile.

    Raises:
        TypeError: It is a single job, or nothing that can be iterated over.
    """
    if is_one_job(job_ids) or not isinstance(job_ids, Iterable):
        message = f"job ids must be a list, or another iterable, not {shown(job_ids)}"
        raise TypeError(message)
    return list(job_ids)


async def parse_job_ids(job_ids: Iterable[object]) -> list[str]:
    """Reduce many ids or ARNs to ids, in their order, without those that are there twice.

    Raises:
        TypeError: It is a single job, or nothing that can be iterated over.
        InvalidJobIdError: One of them cannot be a job's id.
    """
    parsed: dict[str, None] = {}
    await for_each(list_of_ids(job_ids), lambda job_id: parsed.setdefault(parse_job_id(job_id)))
    return list(parsed)


async def wait_for(
    coalescer: Coalescer,
    job_id: str,
    window: Window | None,
    changes: Changes | None = None,
    stuck: StuckJobs | None = None,
    **rules: Unpack[Rules],
) -> WaitResult:
    """Wait until a job is seen as awaited, or will not be.

    Args:
        coalescer: Who checks the job.
        job_id: The job.
        window: When to check first, in seconds from now; None if another wait has just checked, and this one goes on.
        changes: Hears of each change of the job on the way and at the end.
        stuck: Reports the job if it is RUNNABLE for too long.
        rules: See `Rules`.
    """
    ended: asyncio.Future[tuple[Outcome, bytes | None]] = asyncio.get_running_loop().create_future()
    if changes is None and stuck is None:
        watch = Watch(job_id, partial(_set_ended, ended), **rules)
    else:
        watch = AttentiveWatch(job_id, partial(_note_and_set_ended, (changes, stuck), ended), **rules)
    # The frame lives as long as the wait, and there may be a hundred thousand.
    del rules
    first = watch.scheduled() if window is None else window
    if isinstance(first, Outcome):
        return WaitResult(watch, first, None)
    coalescer.add(watch, first)
    del first, window
    try:
        return WaitResult(watch, *await ended)
    finally:
        # It is asked here, too, since most have ended by themselves.
        if watch.held_by is not None:
            coalescer.discard(watch)
        if stuck is not None:
            stuck.close()


def _set_ended(
    ended: asyncio.Future[tuple[Outcome, bytes | None]],
    _: Watch,
    outcome: Outcome | None,
    item: bytes | None,
) -> None:
    # The watch is no part of the result: it refers to the future, so only the garbage collector would end it.
    if outcome is not None and not ended.done():
        ended.set_result((outcome, item))


def _note_and_set_ended(
    hearers: tuple[Changes | None, StuckJobs | None],
    ended: asyncio.Future[tuple[Outcome, bytes | None]],
    watch: Watch,
    outcome: Outcome | None,
    item: bytes | None,
) -> None:
    # Who is being cancelled hears of nothing more.
    if item is not None and not ended.done():
        changes, stuck = hearers
        if changes is not None:
            changes.note(item)
        if stuck is not None:
            stuck.note(watch, decode_head(item), item)
    _set_ended(ended, watch, outcome, item if outcome is MATCHED else None)


async def wait_for_all(
    coalescer: Coalescer, job_ids: Sequence[str], window: Window, **rules: Unpack[Rules]
) -> dict[str, WaitResult]:
    """Wait for jobs of different ids, until all are seen or absent, or the first ends otherwise."""
    results: dict[str, WaitResult] = {}
    watches: list[Watch] = []
    enough = asyncio.get_running_loop().create_future()

    def deliver(watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        if outcome is None:
            return
        result = results[watch.job_id] = WaitResult(watch, outcome, item)
        if not enough.done() and (result.is_error or len(results) == len(job_ids)):
            enough.set_result(None)

    def begin(job_id: str) -> None:
        # The first may have ended it all before the last is added.
        if not enough.done():
            watches.append(Watch(job_id, deliver, **rules))
            coalescer.add(watches[-1], window)

    try:
        await for_each(job_ids, begin)
        if job_ids:
            await enough
    finally:
        coalescer.discard_all(watches)
    return results


async def describe_all(
    coalescer: Coalescer, job_ids: Sequence[str], window: Window, **rules: Unpack[Rules]
) -> list[JobDetailTypeDef]:
    """The descriptions of jobs of different ids, in their order, without those that are absent.

    Raises:
        DescribeError: DescribeJobs failed for one of them.
        ClientClosedError: The client was closed first.
    """
    rules["absent_windows"] = ()
    results = await wait_for_all(coalescer, job_ids, window, **rules)
    await for_each(list(results.values()), _raise_error)
    descriptions: list[JobDetailTypeDef] = []

    def decode(job_id: str) -> None:
        # What was decoded is let go at once: to drop it all at the end would take long.
        result = results.pop(job_id)
        if result.item is not None:
            descriptions.append(result.description())

    await for_each(job_ids, decode, _DECODED_AT_ONCE)
    return descriptions


def _raise_error(result: WaitResult) -> None:
    if result.is_error:
        result.description()
