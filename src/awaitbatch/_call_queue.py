"""Calls of one kind wait here until they may go, and go on to their end whatever becomes of their callers."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import OrderedDict
from contextlib import nullcontext, suppress
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awaitbatch._call_time import call_time
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.throttle import AdaptiveThrottle
from awaitbatch._failures import FETCHING, CutOffError, classify
from awaitbatch._slices import for_each_whatever_comes
from awaitbatch._tasks import create_task
from awaitbatch.errors import ClientClosedError
from awaitbatch.instrumentation._events import CallEnded, SignatureOutdated, Throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from awaitbatch._core.connections import Connections, Use
    from awaitbatch._core.outcomes import Failure
    from awaitbatch._first_answer import FirstAnswer
    from awaitbatch._renewal import Renewal
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation._observers import Observers

_REFUSED_AT_ONCE: Final = 100
"""Callers to refuse in one turn of the event loop; each has an error to raise."""
_ABORTED: Final = "the call was cancelled on its way, and not by its caller"
_LONGEST_HOLD: Final = 30.0
"""Seconds between two calls, at most, while AWS refuses all for the time of their signature."""
_GRACE: Final = 1.0
"""Seconds that a call has to end in once it is cut off; but for a defect it takes none."""


class QueuedCall:
    """A call that waits for its turn, or for its answer.

    Attributes:
        operation: AWS's name for it.
        parameters: boto3's.
        answer: Gets boto3's answer. It is cancelled if the caller is.
        queued_at: Since when it waits, in monotonic seconds.
        notes: Those of the error with which it was cancelled on its way.
    """

    __slots__ = ("_context", "answer", "notes", "operation", "parameters", "queued_at")

    def __init__(self, operation: str, parameters: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self.operation = operation
        self.parameters = parameters
        self.answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.queued_at = loop.time()
        self.notes: list[str] = []
        # Whoever traces calls finds the caller's span.
        self._context = contextvars.copy_context()

    @property
    def is_unsigned(self) -> bool:
        """Whether it was cancelled before there was anything to sign it with."""
        return any(note.startswith(FETCHING) for note in self.notes)

    @property
    def ids(self) -> int:
        """The number of job ids that it carries."""
        return len(self.parameters.get("jobs", ())) or int("jobId" in self.parameters)

    def send(
        self, transport: BatchTransport, first_answer: FirstAnswer, call_timeout: float | None
    ) -> asyncio.Task[dict[str, Any]]:
        """Begin it, in a task of its own."""
        sending = _send(
            transport,
            first_answer,
            self.operation,
            self.parameters,
            notes=self.notes,
            call_timeout=call_timeout,
        )
        name = f"awaitbatch {self.operation}"
        return create_task(sending, name=name, context=self._context)


class _Sent(NamedTuple):
    """What is known of a call when it is sent: its number, the moment, and the generation of its credentials."""

    number: int
    at: float
    generation: int


def _end_of(call: QueuedCall) -> dict[str, Any] | Failure:
    error = call.answer.exception()
    return call.answer.result() if error is None else classify(error, operation=call.operation)


async def _send(
    transport: BatchTransport,
    first_answer: FirstAnswer,
    operation: str,
    parameters: Mapping[str, Any],
    *,
    notes: list[str],
    call_timeout: float | None,
) -> dict[str, Any]:
    # An error refers to this frame, so nothing in it may refer to the call and so to the error.
    with first_answer:
        try:
            with nullcontext() if call_timeout is None else call_time(call_timeout):
                return await transport.call(operation, **parameters)
        except TimeoutError as error:
            if call_timeout is None or str(error):
                raise
            message = f"no answer within {call_timeout:g} s"
            raise TimeoutError(message) from None
        except asyncio.CancelledError as error:
            notes += getattr(error, "__notes__", ())
            raise


class CallQueue:
    """Calls of one kind, first come, first served, as fast as a throttle of their own and the connections allow.

    They queue before they are signed, so that no signature grows old. A call that AWS throttles, or refuses for the
    time of its signature, goes back to the head of the queue: it never fails for that. So does one whose credentials
    have gone bad, if there will be others. Whoever is cancelled while his call waits has taken it back. Once it is on
    its way it goes on to its end, and `on_unclaimed` hears of that.

    Args:
        transport: How calls reach AWS Batch.
        connections: What is left of the transport's connections.
        observers: Who hears of calls.
        first_answer: Watches calls until one is answered.
        renewal: Has credentials replaced that have gone bad.
        use: What these calls take connections for.
        max_rate: Never more calls a second than these.
        call_timeout: Seconds after which a call without an answer counts as failed. It is for calls that change
            nothing: one that is on its way is given up, too, if its caller is cancelled. None for those that go on.

    Attributes:
        on_unclaimed: Hears how a call ended whose caller was gone: the answer, or the failure.
    """

    on_unclaimed: Callable[[QueuedCall, dict[str, Any] | Failure], None]

    def __init__(
        self,
        transport: BatchTransport,
        connections: Connections,
        observers: Observers,
        first_answer: FirstAnswer,
        renewal: Renewal,
        *,
        use: Use,
        max_rate: float,
        call_timeout: float | None = None,
    ) -> None:
        self._call_timeout = call_timeout
        self._transport = transport
        self._observers = observers
        self._first_answer = first_answer
        self._renewal = renewal
        self._connections = connections
        self._use = use
        self._throttle = AdaptiveThrottle(max_rate, Random())  # noqa: S311
        self.on_unclaimed = lambda call, answer: None  # noqa: ARG005
        self._loop = asyncio.get_running_loop()
        # First come, first served; whoever is cancelled leaves at once, with what he wanted to send.
        self._waiting: OrderedDict[QueuedCall, None] = OrderedDict()
        self._under_way: dict[asyncio.Task[dict[str, Any]], QueuedCall] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0
        # Signatures refused without an answer between them; by calls from this one on; until then none is sent.
        self._outdated, self._counts_from, self._held_until = 0, 0, -math.inf
        # When a connection became free after there had been none.
        self._freed_at = -math.inf
        self._is_closed = False
        self._closing = asyncio.Event()
        connections.listen(use, self._send_due)

    def __repr__(self) -> str:
        return (
            f"<CallQueue {len(self._waiting)} waiting, {len(self._under_way)} under way, {self._throttle!r}>"
        )

    @property
    def sent(self) -> int:
        """How many calls were sent; one that was sent again counts as often."""
        return self._sent

    @property
    def is_busy(self) -> bool:
        """Whether a call waits or is under way."""
        return bool(self._waiting or self._under_way)

    def limit(self, max_rate: float) -> None:
        """See `AdaptiveThrottle.limit`."""
        self._throttle.limit(max_rate)

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call when its turn has come, and return boto3's answer.

        Raises:
            ClientClosedError: The queue was closed before the call was sent.
            CutOffError: It was closed before the answer came.
            Exception: Whatever the transport raises, but for throttling and outdated signatures.
        """
        # Who is cancelled already, or out of time, is told so here, before anything is sent.
        await asyncio.sleep(0)
        if self._is_closed:
            raise ClientClosedError.not_done(operation, parameters)
        call = QueuedCall(operation, parameters)
        self._waiting[call] = None
        self._send_due()
        try:
            return await call.answer
        except asyncio.CancelledError:
            if call.answer.done() and not call.answer.cancelled():
                # It ended in the very moment in which the caller was cancelled.
                self.on_unclaimed(call, _end_of(call))
            raise
        finally:
            # Also if the coroutine is closed.
            call.answer.cancel()
            self._waiting.pop(call, None)
            # An error refers to this frame.
            del call

    def failure_of(self, error: BaseException, operation: str) -> Failure:
        """What it means to its caller that a call of this operation raised an error."""
        renewed = False
        # It may be the user's own code, and others are not to suffer from that.
        with suppress(Exception):
            renewed = self._transport.refreshes_credentials
        return classify(error, operation=operation, refreshes_credentials=renewed)

    async def aclose(self, bound: float) -> None:
        """Refuse what has not been sent, and wait for what has; what has no answer in ``bound`` seconds is cut off."""
        self._is_closed = True
        self._closing.set()
        if self._timer is not None:
            self._timer.cancel()
        await for_each_whatever_comes(list(self._waiting), self._refuse, _REFUSED_AT_ONCE)
        self._waiting.clear()
        try:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=bound)
        finally:
            for task in self._under_way:
                task.cancel()
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_GRACE)
            # A transport that takes no notice of it must not hold up everybody.
            for call in self._under_way.values():
                if not call.answer.done():
                    call.answer.set_exception(CutOffError())

    async def pause(self, seconds: float) -> None:
        """Pause between two tries, but no longer than until the queue is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _refuse(self, call: QueuedCall) -> None:
        if not call.answer.done():
            call.answer.set_exception(ClientClosedError.not_done(call.operation, call.parameters))

    def _send_due(self) -> None:
        """Send what may go now, and see to it that the next goes when it may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and not self._is_closed:
            call = next(iter(self._waiting))
            if call.answer.done():
                # Its caller has taken it back.
                del self._waiting[call]
                continue
            if not self._connections.has_room(self._use):
                return
            if self._outdated > 1 and self._under_way:
                # The next goes when that one has ended.
                return
            now = self._loop.time()
            ready_at = max(self._throttle.ready_at, self._held_until)
            if now < ready_at:
                self._timer = self._loop.call_at(ready_at, self._send_due)
                return
            del self._waiting[call]
            self._begin(call, now)

    def _begin(self, call: QueuedCall, now: float) -> None:
        self._sent += 1
        self._throttle.on_sent(self._sent, now, max(call.queued_at, self._freed_at))
        self._connections.take(self._use)
        task = call.send(self._transport, self._first_answer, self._call_timeout)
        self._under_way[task] = call
        if self._call_timeout is not None:
            call.answer.add_done_callback(lambda answer: task.cancel() if answer.cancelled() else None)
        sent = _Sent(self._sent, now, self._renewal.generation)
        task.add_done_callback(lambda task: self._on_ended(call, sent, task))

    def _on_ended(self, call: QueuedCall, sent: _Sent, task: asyncio.Task[dict[str, Any]]) -> None:
        self._under_way.pop(task, None)
        if not self._connections.has_room(self._use):
            self._freed_at = self._loop.time()
        self._connections.give_back(self._use)
        try:
            self._settle(call, sent, task)
        except BaseException as defect:
            # Such as a transport's own property that raises. Nobody shall wait for ever because of it.
            if not call.answer.done():
                call.answer.set_exception((None if task.cancelled() else task.exception()) or defect)
            raise
        finally:
            self._send_due()

    def _settle(self, call: QueuedCall, sent: _Sent, task: asyncio.Task[dict[str, Any]]) -> None:
        if task.cancelled() and self._is_closed and call.is_unsigned:
            self._refuse(call)
            self._notify(call, "cancelled", sent.at)
        elif task.cancelled():
            cut_off = CutOffError() if self._is_closed else ConnectionAbortedError(_ABORTED)
            self._fail(call, cut_off, "cancelled", sent)
        elif (error := task.exception()) is not None:
            self._on_error(call, sent, error)
        else:
            self._on_answer(call, sent, task.result())

    def _on_answer(self, call: QueuedCall, sent: _Sent, answer: dict[str, Any]) -> None:
        self._throttle.on_answer(sent.number, self._loop.time())
        self._outdated, self._held_until = 0, -math.inf
        self._renewal.on_answer(self._use, sent.generation)
        if call.answer.done():
            self.on_unclaimed(call, answer)
        else:
            call.answer.set_result(answer)
        self._notify(call, "answered", sent.at)

    def _on_error(self, call: QueuedCall, sent: _Sent, error: BaseException) -> None:
        failure = classify(
            error, operation=call.operation, refreshes_credentials=self._transport.refreshes_credentials
        )
        if failure.kind is FailureKind.REFUSED:
            # Whoever refuses the content has accepted the signature.
            self._outdated, self._held_until = 0, -math.inf
            self._renewal.on_answer(self._use, sent.generation)
        failure = self._renewal.judge(failure, self._use, sent.generation)
        if failure.kind is FailureKind.THROTTLED:
            before = self._throttle.rate
            self._throttle.on_throttled(sent.number, self._loop.time())
            self._put_back(call)
            self._notify(call, failure, sent.at)
            self._observers.notify(
                Throttled(operation=call.operation, previous_rate=before, rate=self._throttle.rate)
            )
        elif failure.outdated:
            self._hold(sent.number)
            self._put_back(call)
            self._notify(call, failure, sent.at)
            self._observers.notify(
                SignatureOutdated(
                    operation=call.operation,
                    in_a_row=self._outdated,
                    error_message=failure.message,
                    next_in=max(0.0, self._held_until - self._loop.time()),
                )
            )
        elif failure.awaits_credentials:
            self._put_back(call)
            self._notify(call, failure, sent.at)
        else:
            self._fail(call, error, failure, sent)

    def _put_back(self, call: QueuedCall) -> None:
        """Have it sent again, before all others."""
        if self._is_closed:
            self._refuse(call)
        else:
            self._waiting[call] = None
            self._waiting.move_to_end(call, last=False)

    def _hold(self, number: int) -> None:
        """A signature is outdated. One may have waited for long; if the next is, too, a clock is wrong: do not hurry.

        Of the calls that were under way together only one counts.
        """
        if number >= self._counts_from:
            self._counts_from = self._sent + 1
            self._outdated += 1
            if self._outdated > 1:
                self._held_until = self._loop.time() + min(_LONGEST_HOLD, 2.0 ** (self._outdated - 2))

    def _fail(self, call: QueuedCall, error: BaseException, how: Failure | str, sent: _Sent) -> None:
        if call.answer.done():
            self.on_unclaimed(call, classify(error, operation=call.operation))
        else:
            call.answer.set_exception(error)
        self._notify(call, how, sent.at)

    def _notify(self, call: QueuedCall, how: Failure | str, sent_at: float) -> None:
        self._first_answer.note(how)
        self._observers.notify(
            CallEnded.of(
                call.operation,
                how,
                ids=call.ids,
                seconds=self._loop.time() - sent_at,
                rate=self._throttle.rate,
                pending=len(self._waiting),
                region_name=self._observers.region_name,
                client=self._observers.client,
            )
        )
