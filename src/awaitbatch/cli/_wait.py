"""``awaitbatch wait``: follows jobs until they are as asked, and shows how far that has come."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from awaitbatch import (
    AwaitBatchError,
    DescribeError,
    ExponentialBackoff,
    JobChange,
    JobNotFoundError,
    JobStatus,
    JobStuck,
)
from awaitbatch._core.members import mapping_in
from awaitbatch._failure_causes import explain_failure
from awaitbatch.cli._errors import explain
from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.cli._farewell import go_on
from awaitbatch.cli._job_book import STUCK_AFTER, JobBook
from awaitbatch.cli._job_records import in_words, json_line, record_of
from awaitbatch.cli._progress import choose_progress
from awaitbatch.cli._selection import interval_of, jobs_of_queue
from awaitbatch.cli._summary import plural
from awaitbatch.cli._verdict import Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from awaitbatch import BatchClient, JobTrouble
    from awaitbatch.cli._terminal import Terminal


async def run(
    arguments: argparse.Namespace, job_ids: Sequence[str], client: BatchClient, terminal: Terminal
) -> int:
    """Wait for the jobs, or for those of the queue.

    Args:
        arguments: The options.
        job_ids: The jobs, if no queue is given.
        client: An open client.
        terminal: Where to print.

    Returns:
        The exit code.
    """
    began = asyncio.get_running_loop().time()
    if arguments.queue is not None:
        try:
            async with asyncio.timeout(arguments.timeout):
                job_ids = await jobs_of_queue(client, arguments, terminal)
        except TimeoutError:
            terminal.complain(f"{arguments.prog}: timed out while the jobs of the queue were being listed")
            return ExitCode.TIMED_OUT
    if not job_ids:
        terminal.note(f"{arguments.prog}: there is no job to wait for")
        return ExitCode.DONE
    return await _Wait(arguments, job_ids, client, terminal, began).run()


class _Wait:
    """One wait, from the first check to the exit code."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        job_ids: Sequence[str],
        client: BatchClient,
        terminal: Terminal,
        began: float,
    ) -> None:
        self._arguments = arguments
        self._client = client
        self._terminal = terminal
        self._began = began
        self._book = JobBook(job_ids)
        self._verdict = Verdict(job_ids, arguments.goal, first=arguments.any, fail_fast=arguments.fail_fast)
        self._backoff = ExponentialBackoff(interval_of(arguments, len(job_ids)))
        self._changes = client.watch(job_ids, stuck_after=STUCK_AFTER, backoff=self._backoff)
        self._progress = choose_progress(arguments, terminal, self._book, client, began)
        # A line for each change if progress was asked for, and else for each job that is as asked.
        self._prints_changes = arguments.json and arguments.progress in {"auto", "plain"}
        self._group = asyncio.TaskGroup()
        self._helpers: list[asyncio.Task[None]] = []
        self._complaints: set[str] = set()
        self._job_code: int | None = None
        self._why_stopped: str | None = None

    async def run(self) -> int:
        """Wait, and return the exit code."""
        arguments, terminal = self._arguments, self._terminal
        terminal.farewell = lambda: f"Stopped watching; {go_on(arguments, [*self._verdict.pending])}"
        with self._progress:
            async with self._group, self._changes:
                timers = self._timers()
                if self._progress.period < math.inf:
                    self._help(self._keep_showing())
                try:
                    await self._follow()
                finally:
                    for timer in timers:
                        timer.cancel()
                    for helper in self._helpers:
                        helper.cancel()
            self._progress.conclude()
        pending = [*self._verdict.pending]
        if self._why_stopped is not None or pending:
            why = self._why_stopped or ("one is enough" if arguments.any else "stopped at the first failure")
            rest = f"; {go_on(arguments, pending)}" if pending else ""
            terminal.note(f"{arguments.prog}: {why}{rest}")
        code = self._verdict.code
        is_of_job = code in {ExitCode.DONE, ExitCode.JOB_FAILED} and self._job_code is not None
        return self._job_code if is_of_job and self._job_code is not None else code

    def _timers(self) -> list[asyncio.TimerHandle]:
        loop, arguments = asyncio.get_running_loop(), self._arguments
        timers = []
        if arguments.timeout is not None:
            timers.append(loop.call_at(self._began + arguments.timeout, self._time_out))
        if arguments.start_timeout is not None:
            timers.append(loop.call_at(self._began + arguments.start_timeout, self._start_time_out))
        return timers

    def _time_out(self) -> None:
        self._stop(f"timed out after {in_words(self._arguments.timeout)}")

    def _start_time_out(self) -> None:
        waiting = len(self._verdict.not_started)
        if waiting:
            after = in_words(self._arguments.start_timeout)
            self._stop(f"{plural(waiting, 'job')} had not started after {after}")

    def _stop(self, why: str) -> None:
        self._why_stopped = why
        self._verdict.time_out()
        self._changes.close()

    def _help(self, coroutine: Any) -> None:  # noqa: ANN401
        self._helpers.append(self._group.create_task(coroutine))

    async def _keep_showing(self) -> None:
        while True:
            await asyncio.sleep(self._progress.period)
            self._progress.refresh()

    async def _follow(self) -> None:
        async for item in self._changes:
            if isinstance(item, JobChange):
                self._on_change(item)
            elif isinstance(item, JobStuck):
                self._progress.tell_stuck(self._book.note_stuck(item), item)
            else:
                self._on_trouble(item)
            if self._verdict.is_over:
                # Not at once: the same answer may have told of more jobs.
                asyncio.get_running_loop().call_soon(self._changes.close)

    def _on_change(self, change: JobChange) -> None:
        try:
            job: Mapping[str, Any] = change.job
        except DescribeError:
            # Its status could be read, which is what matters.
            job = {"jobId": change.job_id, "status": change.status}
        self._progress.tell(self._book.note_change(change, job))
        is_settled = self._verdict.note(change.job_id, change.status)
        if self._arguments.json and (is_settled or self._prints_changes):
            self._terminal.result(json_line(record_of(job, self._terminal.region_name)))
        if is_settled:
            self._settle(change.job_id, job)
        elif _is_array(job) and change.previous is None and self._must_start:
            self._help(self._await_start(change.job_id))

    def _settle(self, job_id: str, job: Mapping[str, Any]) -> None:
        self._changes.discard(job_id)
        if self._arguments.exit_code == "job":
            is_failed = job.get("status") == JobStatus.FAILED
            # A process has eight bits for it, and a failure must not end up as 0.
            self._job_code = (explain_failure(job).exit_code or 1) & 0xFF or 1 if is_failed else 0

    def _on_trouble(self, trouble: JobTrouble) -> None:
        row, error = self._book.note_trouble(trouble), trouble.error
        told = explain(error)
        self._verdict.note_trouble(trouble.job_id, ExitCode(told.code) if told else ExitCode.AWS)
        if self._arguments.json:
            record = {"jobId": trouble.job_id, "status": None, "error": row.note}
            self._terminal.result(json_line(record))
        if isinstance(error, JobNotFoundError):
            self._progress.tell(row)
        elif (text := str(told or error)) not in self._complaints:
            # It is hardly the job's fault, and would be the same for all of them.
            self._complaints.add(text)
            self._terminal.complain(f"{self._arguments.prog}: {text}")

    @property
    def _must_start(self) -> bool:
        return self._arguments.goal == "running" or self._arguments.start_timeout is not None

    async def _await_start(self, job_id: str) -> None:
        """Wait until a child of an array runs, which is no change of the array: AWS Batch shows it as PENDING."""
        try:
            job = await self._client.poll_for_job_running(job_id, backoff=self._backoff)
        except AwaitBatchError:
            # The watch tells of it, too.
            return
        if self._verdict.note(job_id, JobStatus.RUNNING):
            self._settle(job_id, job)
            if self._arguments.json:
                self._terminal.result(json_line(record_of(job, self._terminal.region_name)))
            if self._verdict.is_over:
                self._changes.close()


def _is_array(job: Mapping[str, Any]) -> bool:
    return mapping_in(job.get("arrayProperties")).get("size") is not None
