"""Client and server together, through random schedules of waits, cancellations, faults, throttles and closings."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from awaitbatch import (
    Backoff,
    ClientClosedError,
    DescribeError,
    ExponentialBackoff,
    FixedInterval,
    JobNotFoundError,
)
from awaitbatch.testing import Fault
from awaitbatch.testing.virtual_time import VirtualTimeLoop
from tests.support import lasting, make_client, make_server

from .support import SURVIVED, End, lives_at_random, note

if TYPE_CHECKING:
    from collections.abc import Coroutine

INTERVAL: Final = 5.0
RATE: Final = 20.0
LONGEST_LIFE: Final = 100.0
REFUSED: Final = [f"refused-{number}" for number in range(5)]


class Misfit:
    """A schedule that raises."""

    def window(self, tries: int) -> tuple[float, float]:
        """Raise."""
        raise ZeroDivisionError(tries)


@dataclass
class Wait:
    """A wait under way or ended.

    Attributes:
        job_id: The job that is awaited.
        task: The task that awaits it.
        ends_in: The errors in which it has to end; empty if it has to end with the truth.
        may_be_closed: Whether the client was closed meanwhile.
        was_cancelled: Whether it was cancelled.
        is_describe: Whether it is a describe, which any state of the job ends.
    """

    job_id: str
    task: asyncio.Task[End]
    ends_in: tuple[type[Exception], ...] = ()
    may_be_closed: bool = False
    was_cancelled: bool = False
    is_describe: bool = False


class Days(RuleBasedStateMachine):
    """What may happen to a client in its days."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.loop = self.runner.get_loop()
        self.complaints: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.waits: list[Wait] = []
        self.numbers = itertools.count()
        self.random = Random(0)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Let the loop do something."""
        return self.runner.run(coroutine)

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        """Open a client."""
        self.random = Random(seed)

        async def begin() -> None:
            self.server = make_server(description_bytes=0, seed=seed)
            self.server.inject(Fault.CLIENT_EXCEPTION, job_ids=REFUSED)
            self.client = make_client(self.server, max_calls_per_second=RATE)
            await self.client.open()

        self.run(begin())

    # What users do.

    def wait(
        self,
        job_id: str,
        *,
        describe: bool = False,
        backoff: Backoff | None = None,
        status_retries: float = math.inf,
    ) -> Wait:
        """Begin to wait for a job, or to describe it."""

        async def wait() -> Wait:
            if describe:
                waiting: Any = self.client.describe(job_id)
            else:
                waiting = self.client.wait_for_job(
                    job_id,
                    self.random.choice([0, 3, None]),
                    backoff=backoff or FixedInterval(INTERVAL),
                    max_retries=math.inf,
                    status_retries=status_retries,
                )
            return Wait(job_id, self.loop.create_task(note(self.loop.time, waiting)), is_describe=describe)

        started: Wait = self.run(wait())
        self.waits.append(started)
        return started

    @rule(count=st.sampled_from([1, 5, 60, 250]), exponential=st.booleans())
    def wait_for_jobs(self, count: int, *, exponential: bool) -> None:
        """Jobs are submitted and awaited, some of them twice."""
        for _ in range(count):
            job_id = f"job-{next(self.numbers)}"
            self.server.add_job(job_id, life_cycle=lives_at_random(self.random, 1, 20))
            backoff = ExponentialBackoff(random=self.random) if exponential else None
            for _ in range(self.random.choice([1, 1, 1, 2])):
                self.wait(job_id, backoff=backoff)

    @precondition(lambda self: self.waits)
    @rule(count=st.sampled_from([1, 20]))
    def describe(self, count: int) -> None:
        """Jobs that are awaited or were are described as well; it may fail, for it tries only ten times."""
        for _ in range(count):
            job_id = self.random.choice(self.waits).job_id
            if job_id.startswith("job-"):
                self.wait(job_id, describe=True).ends_in = (DescribeError, JobNotFoundError)

    @rule(kind=st.sampled_from(["refused", "never", "vanishing", "misfit"]))
    def wait_for_grief(self, kind: str) -> None:
        """A wait that will come to grief, in its own way."""
        if kind == "refused":
            self.wait(self.random.choice(REFUSED)).ends_in = (DescribeError,)
        elif kind == "never":
            wait = self.wait(f"never-{next(self.numbers)}", status_retries=3)
            wait.ends_in = (JobNotFoundError,)
        else:
            job_id = f"{kind}-{next(self.numbers)}"
            self.server.add_job(job_id, life_cycle=lives_at_random(self.random, 1e6, 1e6))
            if kind == "misfit":
                self.wait(job_id, backoff=Misfit()).ends_in = (ZeroDivisionError,)
            else:
                self.wait(job_id, status_retries=3).ends_in = (JobNotFoundError,)
                self.run(self._forget_later(job_id))

    async def _forget_later(self, job_id: str) -> None:
        self.loop.call_later(self.random.uniform(0, 50), self.server.forget_job, job_id)

    @precondition(lambda self: self.waits)
    @rule(share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def cancel(self, share: float) -> None:
        """Some waits are cancelled, all at once."""
        under_way = [wait for wait in self.waits if not wait.task.done()]
        for wait in self.random.sample(under_way, math.ceil(share * len(under_way))):
            wait.was_cancelled = True
            wait.task.cancel()

    @rule(turns=st.integers(0, 5))
    def close_and_begin_anew(self, turns: int) -> None:
        """The client is closed, and the waits that are left are begun again with another."""

        async def close() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            begin = self.loop.time()
            await self.client.aclose()
            assert self.loop.time() - begin < 0.1
            for wait in self.waits:
                wait.may_be_closed = wait.may_be_closed or not wait.was_cancelled
            await asyncio.gather(*(wait.task for wait in self.waits), return_exceptions=True)
            self.check_nothing_is_left()
            self.client = make_client(self.server, max_calls_per_second=RATE)
            await self.client.open()

        left = [wait for wait in self.waits if not wait.task.done() and not wait.was_cancelled]
        self.run(close())
        for wait in left:
            if wait.job_id.startswith("job-"):
                self.wait(wait.job_id)

    # What AWS, the network and the clock do.

    @rule(
        fault=st.sampled_from(SURVIVED),
        probability=st.sampled_from([0.1, 0.5, 1.0]),
        lasts=st.sampled_from([1, 30, 300]),
    )
    def let_it_fail(self, fault: Fault, probability: float, lasts: float) -> None:
        """Some or all calls fail for a while."""
        seconds = self.random.choice([1, 40])
        self.server.inject(fault, probability=probability, end=lasts, **lasting(fault, seconds))

    @rule(begin=st.sampled_from([0, 3]), lasts=st.sampled_from([1, 20]))
    def go_down(self, begin: float, lasts: float) -> None:
        """The server is gone for a while."""
        self.server.inject(Fault.CONNECTION_REFUSED, begin=begin, end=begin + lasts)

    @rule(rate=st.sampled_from([None, 0.5, 2, 10]))
    def throttle(self, rate: float | None) -> None:
        """AWS allows another rate."""
        self.server.throttle(rate)

    @rule(seconds=st.sampled_from([0.003, 0.02, 1, 10, 60]))
    def let_time_pass(self, seconds: float) -> None:
        """Time passes."""
        self.run(asyncio.sleep(seconds))

    # What must hold.

    def check_nothing_is_left(self) -> None:
        """The client has no request and no call, and no task but ours is there."""
        numbers = self.client.statistics()
        assert (numbers.pending, numbers.in_flight) == (0, 0)
        assert asyncio.all_tasks(self.loop) == {asyncio.current_task(self.loop)}

    @invariant()
    def every_end_is_true(self) -> None:
        """Each wait that has ended did so as it had to: with the truth and not early, or with its own error."""
        self.run(asyncio.sleep(0))
        for wait in self.waits:
            if wait.task.done():
                self.check_end(wait)
        self.waits = [wait for wait in self.waits if not wait.task.done()]

    def check_end(self, wait: Wait) -> None:
        """One wait has ended as it had to."""
        if wait.task.cancelled():
            assert wait.was_cancelled
            return
        end = wait.task.result()
        if wait.may_be_closed and isinstance(end.outcome, ClientClosedError):
            return
        if isinstance(end.outcome, Exception):
            assert isinstance(end.outcome, wait.ends_in), (wait.job_id, end.outcome)
        elif not wait.is_describe:
            assert not wait.ends_in
            ended = self.server.ended_at(wait.job_id)
            assert end.outcome == self.server.status_of(wait.job_id)
            assert ended is not None
            assert end.at >= ended

    @invariant()
    def nobody_is_lost(self) -> None:
        """Each wait under way has exactly one request."""
        if self.waits:
            assert self.client.statistics().pending == len(self.waits)

    def teardown(self) -> None:
        """Once all is well again everybody gets an answer, soon; then nothing is left."""
        if hasattr(self, "client"):
            self.server.heal()
            self.server.inject(Fault.CLIENT_EXCEPTION, job_ids=REFUSED)
            self.server.throttle(None)
            self.run(self.end_well())
            self.every_end_is_true()
            assert not self.waits
            gc.collect(1)
        self.runner.close()
        assert not self.complaints

    async def end_well(self) -> None:
        """Await what is under way."""
        # A rate that was cut to the floor takes a while to find out that there is no limit any more.
        patience = LONGEST_LIFE + 600 + 120 + len(self.waits)
        async with asyncio.timeout(patience):
            await asyncio.gather(*(wait.task for wait in self.waits), return_exceptions=True)
        await self.client.aclose()
        self.check_nothing_is_left()


TestDays = Days.TestCase
TestDays.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)
