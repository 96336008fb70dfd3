"""The demo: a server that plays AWS Batch, jobs, and one task awaiting each of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from awaitbatch import AwaitBatchError, BatchClient, FixedInterval
from awaitbatch._core.text import message_of
from awaitbatch.cli._display import Progress, choose_display
from awaitbatch.cli._job_counts import JobCounts
from awaitbatch.cli._process_figures import LoopStalls, peak_memory
from awaitbatch.cli._signals import run_until_signal
from awaitbatch.cli._summary import ServerRecord, Wait, plural, summarize
from awaitbatch.testing import LifeCycle, MotoServer, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from awaitbatch.cli._display import Display
    from awaitbatch.cli._summary import Summary

_T = TypeVar("_T")

# More at once only queue up at the server: moto handles one at a time, on one core.
_SUBMISSIONS_AT_ONCE: Final = 4
_MAX_SUBMITS_PER_SECOND: Final = 1000.0

# Seconds beyond the longest job after which a wait is given up, for the server must have died.
_PATIENCE: Final = 30.0

_SERVERS: Final = {"moto": "moto", "builtin": "awaitbatch's own"}
_ENDS: Final[Sequence[Literal["SUCCEEDED", "FAILED"]]] = ("SUCCEEDED", "FAILED")


class DemoError(Exception):
    """The demo cannot run or go on; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to show.

    Attributes:
        jobs: How many jobs.
        server: Who plays AWS Batch.
        seconds: The least and the most that a job takes.
        failing: The share of jobs that fail, 0 to 1.
        interval: Seconds within which to check each job again.
        max_calls_per_second: The bound for DescribeJobs calls.
        seed: Repeats the life cycles; None for others each time.
    """

    jobs: int
    server: Literal["moto", "builtin"]
    seconds: tuple[float, float]
    failing: float
    interval: float
    max_calls_per_second: float
    seed: int | None

    def introduction(self) -> tuple[str, str]:
        """A title, and what somebody who knows nothing of it needs to understand the rest."""
        low, high = self.seconds
        title = f"awaitbatch demo: {plural(self.jobs, 'AWS Batch job')}, one event loop"
        text = (
            f"A server on this machine ({_SERVERS[self.server]}) plays AWS Batch. It gets {plural(self.jobs, 'job')} "
            f"of {low:g} to {high:g} seconds, of which about {self.failing:.0%} fail on purpose. Each is then awaited "
            "in an asyncio task of its own, with `await client.wait_for_job(job_id)`. The tasks share DescribeJobs "
            "calls, up to 100 jobs in each. You see the jobs by the state in which the client saw them last. Ctrl-C "
            "stops everything."
        )
        return title, text

    def life_cycles(self) -> list[LifeCycle]:
        """What becomes of each job."""
        random = Random(self.seed)  # noqa: S311
        return [self._life_cycle(random) for _ in range(self.jobs)]

    def _life_cycle(self, random: Random) -> LifeCycle:
        seconds = random.uniform(*self.seconds)
        return LifeCycle(
            submitted=0.04 * seconds,
            pending=0.04 * seconds,
            runnable=0.12 * seconds,
            starting=0.10 * seconds,
            running=0.70 * seconds,
            outcome="FAILED" if random.random() < self.failing else "SUCCEEDED",
        )


def run(plan: Plan) -> int:
    """Run the demo and return the exit code of the command.

    Raises:
        DemoError: It cannot run or go on.
        BrokenPipeError: Nobody reads what it prints any more.
    """
    log = logging.getLogger("awaitbatch")
    log.addFilter(_is_worth_a_line)
    try:
        return asyncio.run(run_until_signal(_exit_code(plan), only_once=True))
    finally:
        log.removeFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """All but lines about jobs that nobody claims: when the demo is stopped, they end with the server."""
    return not hasattr(record, "job_name")


async def _exit_code(plan: Plan) -> int:
    return 1 if (await _show(plan)).disagreements else 0


async def _show(plan: Plan) -> Summary:
    server = MotoServer() if plan.server == "moto" else ServerProcess()
    with choose_display() as display:
        display.introduce(*plan.introduction())
        display.prepare(f"Starting the server ({_SERVERS[plan.server]}) in a process of its own ...")
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(server)
            except RuntimeError as error:
                raise DemoError(str(error)) from error
            jobs = JobCounts()
            client = BatchClient(
                **server.client_arguments,
                max_calls_per_second=plan.max_calls_per_second,
                # The server has no limit, as AWS has.
                max_submits_per_second=_MAX_SUBMITS_PER_SECOND,
                observers=[jobs],
            )
            await stack.enter_async_context(client)
            try:
                summary = await _Run(plan, client, server, display, jobs).to_the_end()
            except ExceptionGroup as group:
                first = _first(group)
                if isinstance(first, BrokenPipeError):
                    raise first from group
                if isinstance(first, AwaitBatchError | BotoCoreError | ClientError | aiohttp.ClientError):
                    raise DemoError(message_of(first)) from group
                raise
        display.conclude(summary)
    return summary


class _Run:
    """One run, from the first submission to the figures."""

    def __init__(
        self, plan: Plan, client: BatchClient, server: ServerProcess, display: Display, jobs: JobCounts
    ) -> None:
        self._plan = plan
        self._client = client
        self._server = server
        self._display = display
        self._jobs = jobs
        self._submitting = asyncio.Semaphore(_SUBMISSIONS_AT_ONCE)
        self._began = time.perf_counter()

    async def to_the_end(self) -> Summary:
        """Submit all jobs, await each in a task of its own, and ask the server whether we saw right."""
        # As a service would: what imports have made stays for good, and to go through it takes the collector 100 ms.
        gc.freeze()
        stalls = LoopStalls()
        memory_before = peak_memory()
        async with asyncio.TaskGroup() as background:
            helpers = [
                background.create_task(stalls.measure()),
                background.create_task(self._keep_showing()),
            ]
            life_cycles = enumerate(self._plan.life_cycles())
            job_ids = await _all(self._submit(number, life_cycle) for number, life_cycle in life_cycles)
            waits = await _all(self._wait(job_id) for job_id in job_ids)
            for helper in helpers:
                helper.cancel()
        progress = self._progress()
        memory = peak_memory()
        self._display.show(progress)
        return summarize(
            waits,
            await self._server_record(),
            self._client.statistics(),
            seconds=progress.seconds,
            longest_stall=stalls.longest,
            peak_memory=memory,
            memory_before=memory_before,
        )

    async def _submit(self, number: int, life_cycle: LifeCycle) -> str:
        async with self._submitting:
            answer = await self._client.submit_job(
                jobName=f"demo-{number}",
                jobQueue=MotoServer.job_queue,
                jobDefinition=MotoServer.job_definition,
                parameters=life_cycle.to_parameters(),
            )
        job_id: str = answer["jobId"]
        self._jobs.submitted(job_id)
        return job_id

    async def _wait(self, job_id: str) -> Wait:
        interval = self._plan.interval
        longest = self._plan.seconds[1] + _PATIENCE
        job = await self._client.wait_for_job(
            job_id,
            # The default pauses and backoff are right for jobs that take hours. These take seconds, so they are checked
            # at every few seconds throughout; half of an interval is what calls need to fill up.
            delay=interval / 2,
            backoff=FixedInterval(interval),
            # At least half an interval lies between two checks, so no wait runs out of them while its job lives.
            max_retries=math.ceil(longest / (interval / 2)),
        )
        return Wait(job_id, job["status"], time.time())

    async def _keep_showing(self) -> None:
        said = 0
        while True:
            for line in self._jobs.failures[said:]:
                self._display.say(line)
            said = len(self._jobs.failures)
            self._display.show(self._progress())
            await asyncio.sleep(self._display.period)

    def _progress(self) -> Progress:
        statistics = self._client.statistics()
        return Progress(
            seconds=time.perf_counter() - self._began,
            jobs=self._plan.jobs,
            statuses=self._jobs.counts,
            calls=statistics.calls,
            ids_per_call=statistics.ids_per_call,
            checks=statistics.jobs_described,
        )

    async def _server_record(self) -> ServerRecord:
        """What ListJobs and the server's own account of ends say; neither goes through what is being shown."""
        statuses: dict[str, str] = {}
        pages = self._client.client.get_paginator("list_jobs")
        for status in _ENDS:
            async for page in pages.paginate(jobQueue=MotoServer.job_queue, jobStatus=status):
                statuses.update((job["jobId"], job["status"]) for job in page["jobSummaryList"])
        return ServerRecord(statuses, await self._server.ended())


async def _all(coroutines: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Run each in a task of its own; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]


def _first(group: BaseException) -> BaseException:
    """The first error of a group that is not itself a group."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
