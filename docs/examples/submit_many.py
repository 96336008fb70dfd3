"""Submit hundreds of jobs, show how they get on, and terminate the rest when some have failed.

    python submit_many.py my-queue my-definition > job-ids.txt
    python submit_many.py my-queue my-definition --server

The second one needs no AWS account: it plays AWS Batch itself. Standard output gets the id of each job as soon as AWS
Batch has accepted it, and standard error the progress and a summary. Ctrl-C terminates what has not ended.

Exit codes: 0 all jobs succeeded; 1 jobs failed, or were not submitted; 2 bad usage; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from awaitbatch import (
    BatchClient,
    FixedInterval,
    JobChange,
    JobFailedError,
    JobsFailedError,
    JobStatus,
    JobTrouble,
)
from awaitbatch.instrumentation import Event, SubmissionUnclaimed
from awaitbatch.testing import BatchServer, LifeCycleRanges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REASON = "submit_many.py was interrupted, or too many of its jobs failed"

tell = partial(print, file=sys.stderr, flush=True)


def requests(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What to submit, as boto3 takes it. This is the place to make it your own."""
    for number in range(options.jobs):
        yield {"jobName": f"many-{number}", "jobQueue": options.queue, "jobDefinition": options.definition}


async def shepherd(client: BatchClient, options: argparse.Namespace, progress: Progress) -> None:
    """Submit all jobs and follow them to their ends. Whatever ends it earlier terminates those that are left."""

    async def submitted() -> AsyncIterator[str]:
        async with client.submit_jobs(requests(options)) as submissions:
            async for submission in submissions:
                if submission.job_id is None:
                    progress.note_refusal(submission.error)
                else:
                    print(submission.job_id, flush=True)
                    progress.status[submission.job_id] = JobStatus.SUBMITTED
                    yield submission.job_id

    async with client.watch(submitted(), terminate_on_exit=REASON) as changes:
        async for item in changes:
            match item:
                case JobChange(job_id=job_id, status=status):
                    progress.status[job_id] = status
                    if status == JobStatus.FAILED:
                        progress.note_failure(JobFailedError.from_job(item.job or {}))
                case JobTrouble(error=error):
                    progress.note_failure(error)


class TooManyFailuresError(Exception):
    """The rest would only cost money."""


class Progress:
    """What is known of the jobs, and when it is too bad to go on."""

    def __init__(self, jobs: int, max_failures: int) -> None:
        self.jobs = jobs
        self.max_failures = max_failures
        self.status: dict[str, str] = {}
        self.failures: list[Exception] = []
        self.refusals: list[Exception | None] = []

    def note_failure(self, error: Exception) -> None:
        """A job failed, or cannot be followed."""
        self.failures.append(error)
        self._judge()

    def note_refusal(self, error: Exception | None) -> None:
        """A job was not submitted."""
        self.refusals.append(error)
        self._judge()

    def _judge(self) -> None:
        if len(self.failures) + len(self.refusals) >= self.max_failures:
            raise TooManyFailuresError

    def __str__(self) -> str:
        counts = Counter(self.status.values())
        states = ", ".join(f"{counts[state]} {state}" for state in JobStatus if counts[state])
        return f"{len(self.status)} of {self.jobs} jobs submitted{states and ': '}{states}"

    async def show(self) -> None:
        """Show it until cancelled: on a terminal in one line that is written anew, else in a new line at times."""
        is_terminal = sys.stderr.isatty()
        width = os.get_terminal_size(sys.stderr.fileno()).columns - 1 if is_terminal else None
        before, after, pause = ("\r\x1b[K", "", 0.1) if is_terminal else ("", "\n", 5)
        try:
            while True:
                tell(f"{before}{str(self)[:width]}", end=after)
                await asyncio.sleep(pause)
        finally:
            tell(f"{before}{self}")

    def summarize(self) -> None:
        """Tell why jobs failed, or were not submitted, if there are any."""
        if self.failures:
            tell(JobsFailedError.of(self.failures, len(self.status)))
        if self.refusals:
            tell(f"{len(self.refusals)} were not submitted, the first because of: {self.refusals[0]}")


async def run(options: argparse.Namespace) -> int:
    """Shepherd the jobs, and give the exit code."""
    progress, untold = Progress(options.jobs, options.max_failures), list[str]()

    def note(event: Event) -> None:
        if isinstance(event, SubmissionUnclaimed) and event.job_id is not None:
            print(event.job_id, flush=True)
            untold.append(event.job_id)

    async with AsyncExitStack() as stack:
        arguments: dict[str, Any] = {"backoff": FixedInterval(options.interval)}
        if options.server:
            lives = LifeCycleRanges(runnable=(1, 4), running=(2, 10), failing=options.failing)
            server = await stack.enter_async_context(BatchServer(default_life_cycle=lives))
            arguments |= server.client_arguments
        showing = asyncio.create_task(progress.show())
        try:
            async with BatchClient(
                **arguments, max_submits_per_second=options.rate, observers=[note]
            ) as client:
                await shepherd(client, options, progress)
        except TooManyFailuresError:
            tell("too many failures: the rest is terminated")
        finally:
            showing.cancel()
            await asyncio.wait([showing])
            if untold:
                # AWS Batch accepted them after we had left. The client that has closed knows of no others.
                async with BatchClient(**arguments) as client:
                    result = await client.terminate_jobs(untold, REASON)
                for error in result.errors.values():
                    tell(error)
            progress.summarize()
    return 1 if progress.failures or progress.refusals else 0


def main() -> int:
    """Read the command line, and give the exit code."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("queue", help="job queue")
    parser.add_argument("definition", help="job definition")
    parser.add_argument("--jobs", type=int, default=500, help="how many")
    parser.add_argument("--max-failures", type=int, default=5, help="terminate the rest after so many")
    parser.add_argument("--interval", type=float, default=5, help="seconds between two checks of a job")
    parser.add_argument("--rate", type=float, default=50, help="the most submissions a second")
    parser.add_argument("--server", action="store_true", help="play AWS Batch, so that no account is needed")
    parser.add_argument("--failing", type=float, default=0.02, help="share of jobs that fail, with --server")
    try:
        return asyncio.run(run(parser.parse_args()))
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
