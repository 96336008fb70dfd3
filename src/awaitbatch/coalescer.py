"""The one task that sends DescribeJobs, on behalf of everybody who waits for a job."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, ClassVar

import anyio
import anyio.lowlevel

from awaitbatch._core.outcomes import MATCHED, Failure, Reason, Trouble, Verdict
from awaitbatch._core.text import text_of
from awaitbatch._core.throttle import AdaptiveThrottle, ThrottleParameters
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Call, Windows
from awaitbatch.answers import Answer
from awaitbatch.failures import classify
from awaitbatch.reporter import Reporter
from awaitbatch.sighting import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Unpack

    from anyio.abc import TaskGroup

    from awaitbatch._core.backoff import Window
    from awaitbatch._core.watch import Rules
    from awaitbatch._core.windows import Change
    from awaitbatch.jobs import Known
    from awaitbatch.transport import BatchTransport


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a client has done and is doing.

    Attributes:
        pending: Describes and polls that wait at present.
        in_flight: DescribeJobs calls under way.
        calls: DescribeJobs calls sent.
        jobs_described: Jobs that good answers held.
        ids_per_call: Mean number of ids in a call; 0.0 before the first.
        throttled: Calls that AWS rejected for coming too fast.
        failed: Calls that failed for any other reason.
        rate: Calls a second that may be sent at present.
    """

    pending: int
    in_flight: int
    calls: int
    jobs_described: int
    ids_per_call: float
    throttled: int
    failed: int
    rate: float


class DescribeCoalescer:
    """Lets any number of waiting tasks share DescribeJobs calls.

    `run` sends calls until it is cancelled, each in a task of its own within the task that runs it; `watch` and
    `watch_all` wait in the caller's task. Nothing else sends DescribeJobs.

    Args:
        transport: How calls reach AWS Batch.
        max_calls_per_second: Never more than so many calls a second.
        call_timeout: Seconds after which a call without an answer counts as failed.

    Attributes:
        throttle_parameters: How fast calls begin, and how the throttle learns.
    """

    throttle_parameters: ClassVar[ThrottleParameters] = ThrottleParameters()

    def __init__(
        self, transport: BatchTransport, *, max_calls_per_second: float, call_timeout: float
    ) -> None:
        self._transport = transport
        self._call_timeout = call_timeout
        random = Random()  # noqa: S311
        self._throttle = AdaptiveThrottle(max_calls_per_second, random, self.throttle_parameters)
        self._windows = Windows[Watch]()
        self._loop = asyncio.get_running_loop()
        self._closed: Verdict | None = None
        # What `run` sleeps on, and until when; -inf while it could not send anyway.
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_at = -math.inf
        self._in_flight = 0
        # When a connection became free after all had been taken.
        self._freed_at = -math.inf
        self._calls = self._ids = self._jobs_described = self._throttled = self._failed = 0
        self._reporter = Reporter()

    def __repr__(self) -> str:
        state = (
            "closed"
            if self._closed
            else f"{self._in_flight} calls in flight, {self._throttle.rate:.2f} calls/s"
        )
        return f"<DescribeCoalescer {len(self._windows)} pending, {state}>"

    def statistics(self) -> Statistics:
        """What was done so far, and what is under way."""
        return Statistics(
            pending=len(self._windows),
            in_flight=self._in_flight,
            calls=self._calls,
            jobs_described=self._jobs_described,
            ids_per_call=self._ids / self._calls if self._calls else 0.0,
            throttled=self._throttled,
            failed=self._failed,
            rate=self._throttle.rate,
        )

    async def run(self) -> None:
        """Send calls until cancelled."""
        async with anyio.create_task_group() as calls:
            while True:
                await self._sleep_until(self._next_departure())
                self._send_due(calls)

    def close(self, error: BaseException | None = None) -> None:
        """End all waits with `Reason.CLOSED`, because of ``error`` if there is one, and all that are yet to come."""
        self._closed = Verdict(Reason.CLOSED)
        if error is not None:
            failure = Failure(Trouble.FATAL, type(error).__name__, None, text_of(error), error)
            self._closed = Verdict(Reason.CLOSED, failure)
        for watch in list(self._windows):
            self._windows.discard(watch)
            watch.deliver(watch, self._closed, None)

    async def watch(
        self, job_id: str, window: Window, *, known: Known | None = None, **rules: Unpack[Rules]
    ) -> Sighting:
        """Wait until a job is seen as awaited, or will not be.

        Args:
            job_id: The job.
            window: When to look first, in seconds from now.
            known: How far the job had come when it was seen last, if it was.
            rules: See `Watch`.
        """
        seen: asyncio.Future[tuple[Verdict, bytes | None]] = self._loop.create_future()

        watch = Watch(job_id, partial(_set_seen, seen), **rules)
        # The frame lives as long as the wait, and there may be a hundred thousand.
        del rules
        self._add(watch, window)
        if known is not None:
            watch.last_status = known.status
            self._windows.note(job_id, known.status, known.order)
        try:
            return Sighting(watch, *await seen)
        finally:
            self._windows.discard(watch)

    async def watch_all(
        self, job_ids: Iterable[str], window: Window, **rules: Unpack[Rules]
    ) -> dict[str, Sighting]:
        """Wait for many jobs at once, until all are seen or absent, or the first ends otherwise."""
        sightings: dict[str, Sighting] = {}
        enough = self._loop.create_future()

        def deliver(watch: Watch, verdict: Verdict, item: bytes | None) -> None:
            sighting = sightings[watch.job_id] = Sighting(watch, verdict, item)
            if not enough.done() and (sighting.is_error or len(sightings) == len(watches)):
                enough.set_result(None)

        watches = [Watch(job_id, deliver, **rules) for job_id in dict.fromkeys(job_ids)]
        if not watches:
            return sightings
        for watch in watches:
            self._add(watch, window)
        try:
            await enough
        finally:
            for watch in watches:
                self._windows.discard(watch)
        return sightings

    def _add(self, watch: Watch, window: Window) -> None:
        if self._closed is not None:
            watch.deliver(watch, self._closed, None)
            return
        self._windows.add(watch, window, self._loop.time())
        if max(watch.latest, self._throttle.ready_at) < self._alarm_at:
            self._ring()

    def _next_departure(self) -> float:
        return max(self._windows.next_deadline(), self._throttle.ready_at)

    async def _sleep_until(self, moment: float) -> None:
        """Sleep until a moment, or until something happens that may bring the next departure forward.

        While all connections are taken, only the end of a call can do that.
        """
        is_free = self._in_flight < self._transport.max_in_flight
        self._alarm = self._loop.create_future()
        self._alarm_at = moment if is_free else -math.inf
        timer = self._loop.call_at(moment, self._ring) if is_free and moment < math.inf else None
        try:
            await self._alarm
        finally:
            self._alarm = None
            self._alarm_at = -math.inf
            if timer is not None:
                timer.cancel()

    def _ring(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    def _ring_for_what_is_left(self) -> None:
        """Wake `run` if it would sleep for too long after what an answer has changed, and if it could send at all."""
        if self._in_flight < self._transport.max_in_flight and self._next_departure() < self._alarm_at:
            self._ring()

    def _send_due(self, calls: TaskGroup) -> None:
        call = self._take_due()
        if call is not None:
            calls.start_soon(self._send, call)

    def _take_due(self) -> Call[Watch] | None:
        """The call that must leave now, if there is one, and a connection for it."""
        now = self._loop.time()
        if self._in_flight >= self._transport.max_in_flight or self._next_departure() > now:
            return None
        call = self._windows.take(now)
        if call is None:
            return None
        self._throttle.on_sent(call.number, now, max(call.due, self._freed_at))
        self._in_flight += 1
        self._calls += 1
        self._ids += len(call.job_ids)
        return call

    async def _send(self, call: Call[Watch]) -> None:
        """Send a call, then whatever is due by then: to wake `run` for it and begin a task would take longer."""
        changes: list[Change] = []
        following: Call[Watch] | None = call
        try:
            while following is not None and not changes:
                changes = await self._describe(following)
                if not changes:
                    # A transport may answer from a cache, and others on the event loop must have their turns even then.
                    await asyncio.sleep(0)
                    following = self._take_due()
                    self._ring_for_what_is_left()
        finally:
            self._ring()
        await self._tell(changes)

    async def _describe(self, call: Call[Watch]) -> list[Change]:
        try:
            with anyio.fail_after(self._call_timeout):
                body = await self._transport.describe_jobs(call.job_ids)
            answer = Answer(body, call.job_ids)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise
            if isinstance(error, TimeoutError) and not str(error):
                error = TimeoutError(f"no answer within {self._call_timeout:g} s")
            self._on_failure(
                call, classify(error, refreshes_credentials=self._transport.refreshes_credentials)
            )
            return []
        else:
            return self._on_answer(call, answer)
        finally:
            if self._in_flight == self._transport.max_in_flight:
                self._freed_at = self._loop.time()
            self._in_flight -= 1

    async def _tell(self, changes: list[Change]) -> None:
        """Log what has changed, with pauses; but without them if the client is closed meanwhile."""
        lines = self._reporter.changed(changes)
        try:
            for _ in lines:
                await anyio.lowlevel.checkpoint()
        finally:
            for _ in lines:
                pass

    def _on_answer(self, call: Call[Watch], answer: Answer) -> list[Change]:
        now = self._loop.time()
        self._throttle.on_answer(call.number)
        self._jobs_described += len(answer.heads)
        ended, changes = self._windows.answer(call, answer.heads, now)
        for watch, verdict in ended:
            watch.deliver(watch, verdict, answer.description(watch.job_id) if verdict is MATCHED else None)
        self._reporter.answered(now, self._throttle.rate)
        return changes

    def _on_failure(self, call: Call[Watch], failure: Failure) -> None:
        now = self._loop.time()
        if failure.trouble is Trouble.THROTTLED:
            before = self._throttle.rate
            self._throttled += 1
            self._throttle.on_throttled(call.number)
            failure = dataclasses.replace(failure, costs_attempt=self._throttle.at_floor)
            ended = self._windows.fail(call, failure, now)
            self._reporter.throttled(now, before, self._throttle.rate)
        elif failure.trouble is Trouble.REFUSED:
            self._failed += 1
            ended = self._windows.refuse(call, failure, now)
            self._reporter.refused(failure, len(call.job_ids))
        elif failure.trouble is Trouble.EXPIRED:
            self._failed += 1
            ended = self._windows.fail(call, failure, now)
            self._reporter.expired(now, failure, len(ended))
        else:
            self._failed += 1
            ended = self._windows.fail(call, failure, now)
            self._reporter.failed(now, failure, len(self._windows))
        for watch, verdict in ended:
            watch.deliver(watch, verdict, None)


def _set_seen(
    seen: asyncio.Future[tuple[Verdict, bytes | None]], _: Watch, verdict: Verdict, item: bytes | None
) -> None:
    # The watch is no part of the result: it refers to the future, so only the garbage collector would end it.
    if not seen.done():
        seen.set_result((verdict, item))


def _is_being_cancelled() -> bool:
    """Tell our own cancellation from one that came out of what we awaited, such as a future that somebody shares."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
