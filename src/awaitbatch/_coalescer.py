"""The one task that sends DescribeJobs, on behalf of everybody who waits for a job."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections import deque
from functools import partial
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final

import anyio
import anyio.lowlevel

from awaitbatch._call_time import call_time
from awaitbatch._changes import milliseconds
from awaitbatch._core.backoff import Window
from awaitbatch._core.connections import Use
from awaitbatch._core.histogram import Histogram
from awaitbatch._core.outcomes import MATCHED, Failure, FailureKind, Outcome, Reason
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from awaitbatch._core.text import error_line, message_of, one_line
from awaitbatch._core.throttle import AdaptiveThrottle, ThrottleParameters
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Windows
from awaitbatch._describe_events import DescribeEvents
from awaitbatch._failures import FETCHING, classify, drop_tracebacks
from awaitbatch._jobs import TERMINAL
from awaitbatch._responses import DescribeJobsResponse
from awaitbatch._slices import SLICE, for_each_whatever_comes
from awaitbatch._statistics import Statistics
from awaitbatch._transport import told_by
from awaitbatch.instrumentation._events import (
    JobChanged,
    Throttled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch._changes import OnChange
    from awaitbatch._core.connections import Connections
    from awaitbatch._core.requests import Call, Delivery
    from awaitbatch._first_answer import FirstAnswer
    from awaitbatch._jobs import JobHead
    from awaitbatch._renewal import Renewal
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation._observers import Observers

_RESUMED_AT_ONCE: Final = 250
"""Tasks to resume in one turn of the event loop, if there are many thousands; each decodes a description, or raises."""

_SOON: Final = 0.05
"""Seconds from the beginning of a wait to its first check, unless a call has just gone."""
_BETWEEN_FIRST_CHECKS: Final = 0.5
"""Seconds after a call until another one goes only for the sake of first checks; tasks that submit jobs and wait for
each would make a call for each."""

_CLOSED: Final = Outcome(Reason.CLOSED)


class DescribeCoalescer:
    """Lets any number of watches share DescribeJobs calls.

    `run` sends calls until it is cancelled, each in a task of its own within the task that runs it. Nothing else sends
    DescribeJobs. A watch that is added hears of its job until it has ended or is discarded; it is called synchronously,
    so what it does must be short.

    Args:
        transport: How calls reach AWS Batch.
        connections: What is left of the transport's connections.
        observers: Who hears of calls, jobs and waits.
        first_answer: Watches calls until one is answered.
        renewal: Has credentials replaced that have gone bad.
        max_calls_per_second: Never more than so many calls a second.
        call_timeout: Seconds after which a call without an answer counts as failed.

    Attributes:
        throttle_parameters: How fast calls begin, and how the throttle learns.
    """

    throttle_parameters: ClassVar[ThrottleParameters] = ThrottleParameters()

    def __init__(
        self,
        transport: BatchTransport,
        connections: Connections,
        observers: Observers,
        first_answer: FirstAnswer,
        renewal: Renewal,
        *,
        max_calls_per_second: float,
        call_timeout: float,
    ) -> None:
        self._transport = transport
        self._connections = connections
        connections.listen(Use.DESCRIBE, self._wake_if_blocked)
        self._observers = observers
        self._first_answer = first_answer
        self._renewal = renewal
        self._call_timeout = call_timeout
        random = Random()  # noqa: S311
        self._throttle = AdaptiveThrottle(max_calls_per_second, random, self.throttle_parameters)
        self._windows = Windows[Watch](call_timeout)
        self._events = DescribeEvents(self._windows, self._throttle, observers, first_answer)
        self._loop = asyncio.get_running_loop()
        self._closed: Outcome | None = None
        # What `run` sleeps on, and until when; -inf while it could not send anyway.
        self._sleeper: asyncio.Future[None] | None = None
        self._sleeps_until = -math.inf
        self._in_flight = 0
        # When a connection became free after all had been taken.
        self._freed_at = -math.inf
        self._calls = self._ids = self._jobs_described = self._throttled = self._failed = 0
        self._lags = Histogram()

    def __repr__(self) -> str:
        running = f"{self._in_flight} calls in flight, {self._throttle.rate:.2f} calls/s"
        return f"<DescribeCoalescer {len(self._windows)} pending, {'closed' if self._closed else running}>"

    def statistics(self, *, submits: int = 0, terminates: int = 0, counts: bool = True) -> Statistics:
        """What was done so far, and what is under way; any thread may ask.

        Args:
            submits: As the result has it, since it is known elsewhere.
            terminates: The same.
            counts: Whether to look at all that is pending for ``pending_by_status`` and ``overdue``.
        """
        by_status, soonest = self._windows.count() if counts else ({}, math.inf)
        return Statistics(
            pending=len(self._windows),
            in_flight=self._in_flight,
            calls=self._calls,
            jobs_described=self._jobs_described,
            ids_per_call=self._ids / self._calls if self._calls else 0.0,
            throttled=self._throttled,
            failed=self._failed,
            rate=self._throttle.rate,
            ids=self._ids,
            submits=submits,
            terminates=terminates,
            pending_by_status=by_status,
            overdue=max(0.0, self._loop.time() - soonest),
            lag_p50=self._lags.quantile(0.5),
            lag_p99=self._lags.quantile(0.99),
        )

    def limit(self, max_rate: float) -> None:
        """See `AdaptiveThrottle.limit`."""
        # Whoever sleeps until the next call may go looks again when he wakes up.
        self._throttle.limit(max_rate)

    def add(self, watch: Watch, window: Window) -> None:
        """Check the watch's job for the first time in ``window``, in seconds from now."""
        watch.began = now = self._loop.time()
        if self._closed is not None:
            self._deliver(watch, self._closed)
            return
        self._windows.add(watch, window, now, continues=watch.last_status is not None)
        if self._observers.hear_of_waits:
            self._events.wait_began(watch)
        soonest = watch.latest
        if len(self._windows) % MAX_IDS_PER_CALL == 0:
            # A call more may have to be fitted in.
            soonest = watch.earliest
        if max(soonest, self._throttle.ready_at) < self._sleeps_until:
            self._wake()

    def window_of_first_check(self, latest: float) -> Window:
        """When to check a job first, in seconds from now: soon, but with others if many begin to wait.

        Args:
            latest: By then it is due in any case.
        """
        quiet_for = self._loop.time() - self._throttle.sent_at
        return Window(0.0, min(latest, max(_SOON, _BETWEEN_FIRST_CHECKS - quiet_for)))

    def discard(self, watch: Watch) -> None:
        """Take back a watch; it is no error if it has ended."""
        if watch.held_by is not None:
            self._windows.discard(watch)
            if self._observers.hear_of_waits:
                self._events.wait_ended(watch, Reason.CANCELLED)

    def refuse(self, watch: Watch) -> None:
        """End a watch that is not added, since its owner has closed."""
        watch.began = self._loop.time()
        self._deliver(watch, _CLOSED)

    async def end(self, watches: Sequence[Watch]) -> None:
        """End watches of one owner with `Reason.CLOSED`; if it is cancelled, all have ended nevertheless."""
        await for_each_whatever_comes(watches, partial(self._end_as_closed, _CLOSED), _RESUMED_AT_ONCE)

    def report(self, on_change: OnChange, event: JobChanged, error: BaseException) -> None:
        """Say that the function of a wait failed on an event; see `Observers.report`."""
        self._observers.report("on_change", on_change, event, error)

    async def run(self) -> None:
        """Send calls until cancelled."""
        async with anyio.create_task_group() as calls:
            while True:
                await self._sleep_until(self._next_departure())
                call = self._take_due()
                if call is not None:
                    calls.start_soon(self._send, call)
                else:
                    self._connections.let_go(Use.DESCRIBE)
                # It would keep whoever waited alive until the next one leaves.
                del call

    def discard_all(self, watches: Sequence[Watch], begin: int = 0) -> None:
        """Take back watches of one owner: many of them in slices, the first at once."""
        end = begin + SLICE
        for watch in watches[begin:end]:
            self.discard(watch)
        if end < len(watches):
            self._loop.call_soon(self.discard_all, watches, end)

    async def close(self, error: BaseException | None = None) -> None:
        """End all watches with `Reason.CLOSED`, because of ``error`` if there is one, and all that are yet to come.

        `run` must have ended. If it is cancelled, all have ended nevertheless.
        """
        self._closed = _CLOSED
        self._events.close()
        if error is not None:
            failure = Failure(FailureKind.PERMANENT, type(error).__name__, None, message_of(error), error)
            self._closed = Outcome(Reason.CLOSED, failure)
        await for_each_whatever_comes(
            list(self._windows), partial(self._end_as_closed, self._closed), _RESUMED_AT_ONCE
        )

    def _end_as_closed(self, closed: Outcome, watch: Watch) -> None:
        # It may have been discarded while others were told.
        if watch.held_by is not None:
            self._windows.discard(watch)
            self._deliver(watch, closed)

    def _next_departure(self) -> float:
        ready_at = self._throttle.ready_at
        return max(self._windows.next_deadline(ready_at), ready_at)

    async def _sleep_until(self, moment: float) -> None:
        """Sleep until a moment, or until something happens that may bring the next departure forward.

        While all connections are taken, only the end of a call can do that.
        """
        is_free = self._connections.has_room(Use.DESCRIBE)
        self._sleeper = self._loop.create_future()
        self._sleeps_until = moment if is_free else -math.inf
        timer = self._loop.call_at(moment, self._wake) if is_free and moment < math.inf else None
        try:
            await self._sleeper
        finally:
            self._sleeper = None
            self._sleeps_until = -math.inf
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def _wake_if_blocked(self) -> None:
        """Wake `run` if it sleeps for want of a connection.

        If it has something to send, the connection that is free now is held for it: other calls are sent without such
        a detour, and would be first every time.
        """
        if self._sleeps_until == -math.inf:
            if self._sleeper is not None and self._next_departure() <= self._loop.time():
                self._connections.hold(Use.DESCRIBE)
            self._wake()

    def _wake_if_due_sooner(self) -> None:
        """Wake `run` if it would sleep for too long after what an answer has changed, or until a connection is free.

        If there is no connection it is woken, too, so that it sleeps until there is one and no longer.
        """
        if self._sleeps_until == -math.inf:
            must_wake = self._connections.has_room(Use.DESCRIBE)
        else:
            must_wake = self._next_departure() < self._sleeps_until
        if must_wake:
            self._wake()

    def _take_due(self) -> Call[Watch] | None:
        """The call that must leave now, if there is one, and a connection for it."""
        now = self._loop.time()
        if self._next_departure() > now or not self._connections.has_room(Use.DESCRIBE):
            return None
        call = self._windows.take(now)
        if call is None:
            return None
        self._throttle.on_sent(call.number, now, max(call.due, self._freed_at))
        self._connections.take(Use.DESCRIBE)
        self._in_flight += 1
        self._calls += 1
        self._ids += len(call.job_ids)
        return call

    async def _send(self, call: Call[Watch] | None) -> None:
        """Send a call, then whatever is due by then: to wake `run` for it and begin a task would take longer."""
        while call is not None:
            await self._describe(call)
            # A transport may answer from a cache, and others on the event loop must have their turns even then.
            await asyncio.sleep(0)
            call = self._take_due()
            self._wake_if_due_sooner()

    async def _describe(self, call: Call[Watch]) -> None:
        sent_at, generation = self._loop.time(), self._renewal.generation
        try:
            with self._first_answer, call_time(self._call_timeout):
                body = await self._transport.describe_jobs(call.job_ids)
            response = DescribeJobsResponse(body, call.job_ids)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                self._events.call_ended(call, "cancelled", sent_at)
                raise
            if isinstance(error, TimeoutError) and not str(error):
                error = self._timed_out()
            drop_tracebacks(error)
            failure = classify(error, refreshes_credentials=self._transport.refreshes_credentials)
            failure = self._renewal.judge(failure, Use.DESCRIBE, generation)
            if failure.kind is FailureKind.REFUSED:
                self._renewal.on_answer(Use.DESCRIBE, generation)
            await self._on_failure(call, failure, sent_at)
        else:
            self._renewal.on_answer(Use.DESCRIBE, generation)
            await self._on_answer(call, response, sent_at)
        finally:
            if not self._connections.has_room(Use.DESCRIBE):
                self._freed_at = self._loop.time()
            self._in_flight -= 1
            self._connections.give_back(Use.DESCRIBE)

    def _timed_out(self) -> TimeoutError:
        error = TimeoutError(f"no answer within {self._call_timeout:g} s")
        fetching = told_by(self._transport, "fetching")
        if fetching is not None:
            error.add_note(f"{FETCHING}{fetching}")
        return error

    async def _on_answer(self, call: Call[Watch], response: DescribeJobsResponse, sent_at: float) -> None:
        now = self._loop.time()
        self._throttle.on_answer(call.number, now)
        heads = response.heads
        self._jobs_described += len(heads)
        deliveries, changes, absent = self._windows.answer(call, heads, now)
        seen_at = int(time.time() * 1000)
        try:
            try:
                await _decide_rest(call, deliveries)
            finally:
                # Also if the client closes meanwhile.
                self._events.call_ended(call, "answered", sent_at, deliveries)
                if changes:
                    self._events.jobs_changed(response, changes, seen_at)
                if absent:
                    self._events.jobs_missing(absent)
        finally:
            # The requests have left the windows, so nobody else would end their waits.
            await self._deliver_all(deliveries, response, seen_at)

    async def _on_failure(self, call: Call[Watch], failure: Failure, sent_at: float) -> None:
        now = self._loop.time()
        before = self._throttle.rate
        if failure.kind is FailureKind.THROTTLED:
            self._throttled += 1
            self._throttle.on_throttled(call.number, now)
            failure = dataclasses.replace(failure, costs_attempt=self._throttle.at_floor)
        else:
            self._failed += 1
        settle = self._windows.refuse if failure.kind is FailureKind.REFUSED else self._windows.fail
        deliveries = settle(call, failure, now)
        try:
            try:
                await _decide_rest(call, deliveries)
            finally:
                self._events.call_ended(call, failure, sent_at, deliveries)
                if failure.kind is FailureKind.THROTTLED:
                    after = self._throttle.rate
                    event = Throttled(operation="DescribeJobs", previous_rate=before, rate=after)
                    self._observers.notify(event)
        finally:
            await self._deliver_all(deliveries)

    async def _deliver_all(
        self,
        deliveries: list[Delivery[Watch]],
        response: DescribeJobsResponse | None = None,
        seen_at: int = 0,
    ) -> None:
        """Deliver what was decided, whatever comes; in one turn, unless many thousands wait for a few jobs."""
        if len(deliveries) <= SLICE:
            for watch, outcome in deliveries:
                self._deliver(watch, outcome, response, seen_at)
            return

        # What was delivered is let go at once: to drop it all at the end would take long.
        left = deque(deliveries)
        deliveries.clear()

        def deliver(_: int) -> None:
            self._deliver(*left.popleft(), response, seen_at)

        await for_each_whatever_comes(range(len(left)), deliver, _RESUMED_AT_ONCE)

    def _deliver(
        self,
        watch: Watch,
        outcome: Outcome | None,
        response: DescribeJobsResponse | None = None,
        seen_at: int = 0,
    ) -> None:
        """Make a delivery; one that fails ends its own wait, and neither another nor the client."""
        if outcome is None and watch.held_by is None:
            # The owner of another watch, who heard before, has taken it back.
            return
        try:
            item = head = None
            if response is not None and (outcome is MATCHED or outcome is None or watch.wants_changes):
                head = response.heads.get(watch.job_id)
                if head is not None and head.status is not None:
                    item = response.description(watch.job_id)
            watch.deliver(watch, outcome, item)
            if outcome is not None and response is not None:
                lag = self._lag(watch, head or response.heads.get(watch.job_id), seen_at)
                if self._observers.hear_of_waits:
                    # A job that has not ended has nothing to tell.
                    item = None if lag is None else item or response.description(watch.job_id)
                    self._events.wait_ended(watch, outcome.reason, lag, item)
            elif outcome is not None and self._observers.hear_of_waits:
                self._events.wait_ended(watch, outcome.reason)
        except BaseException as error:
            # Not even a CancelledError is ours: nothing is awaited here.
            self._break_off(watch, error)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise

    def _break_off(self, watch: Watch, error: BaseException) -> None:
        """End a wait whose delivery failed; it is no error if it has ended."""
        self._windows.discard(watch)
        try:
            watch.deliver(watch, _unreadable(error), None)
            if self._observers.hear_of_waits:
                self._events.wait_ended(watch, Reason.FAILED)
        except BaseException as another:  # noqa: BLE001
            text = "AWS Batch job (%s): a wait could not be ended: %s"
            self._observers.write_log(logging.ERROR, text, one_line(watch.job_id), error_line(another))

    def _lag(self, watch: Watch, head: JobHead | None, seen_at: int) -> float | None:
        """Seconds from the end of a job to the answer that showed it; noted if a poll waited for it."""
        if head is None or head.stopped_at is None or head.status not in TERMINAL:
            return None
        stopped_at = milliseconds(head.stopped_at)
        if stopped_at is None:
            return None
        lag = seen_at - stopped_at
        # Of a job that had ended before, nobody was to be told in time.
        if not watch.one_shot and lag <= 1000 * (self._loop.time() - watch.began):
            self._lags.add(lag)
        return lag / 1000


async def _decide_rest(call: Call[Watch], deliveries: list[Delivery[Watch]]) -> None:
    """Have decided what the end of a call means to the many who wait for one job; who is cancelled does not pause."""
    try:
        for more in call.rest:
            deliveries += more
            await anyio.lowlevel.checkpoint()
    finally:
        for more in call.rest:
            deliveries += more


def _unreadable(error: BaseException) -> Outcome:
    drop_tracebacks(error)
    text, advice = f"unreadable: {error_line(error)}", "describe it again, or report this as a bug"
    failure = Failure(FailureKind.PERMANENT, "UnreadableJob", 200, text, error, advice=advice)
    return Outcome(Reason.FAILED, failure)


def _is_being_cancelled() -> bool:
    """Tell our own cancellation from one that came out of what we awaited, such as a future that somebody shares."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
