"""``awaitbatch terminate``: ends jobs, shows how far that has come, and may wait for their ends."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from awaitbatch import AwaitBatchError, JobStatus
from awaitbatch._bulk import MAX_IDS
from awaitbatch.cli import _wait
from awaitbatch.cli._complaints import Complaints
from awaitbatch.cli._describe import describe_each
from awaitbatch.cli._exit_codes import ExitCode, worst
from awaitbatch.cli._farewell import again, aws_words
from awaitbatch.cli._job_records import json_line, record_of
from awaitbatch.cli._summary import plural
from awaitbatch.cli._terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awaitbatch import BatchClient
    from awaitbatch.cli._live import LivePicture
    from awaitbatch.cli._terminal import Terminal

_PERIOD: Final = 30.0
"""Seconds between two lines about many jobs."""


async def run(
    arguments: argparse.Namespace, job_ids: Sequence[str], client: BatchClient, terminal: Terminal
) -> int:
    """Terminate the jobs.

    Args:
        arguments: The options.
        job_ids: The jobs.
        client: An open client.
        terminal: Where to print.

    Returns:
        The exit code.
    """
    termination = _Termination(arguments, job_ids, client, terminal)
    code = await termination.run()
    if not (arguments.wait and termination.accepted):
        return code
    # The same as `awaitbatch wait`, but that jobs end FAILED is as asked.
    accepted = [job_id for job_id in job_ids if job_id in termination.accepted]
    wait = {
        "job_ids": accepted,
        "queue": None,
        "goal": "ended",
        "any": False,
        "fail_fast": False,
        "timeout": None,
        "start_timeout": None,
        "exit_code": "outcome",
        "words": ["wait", *accepted, *aws_words(arguments)],
    }
    waited = await _wait.run(argparse.Namespace(**{**vars(arguments), **wait}), accepted, client, terminal)
    return worst({code, ExitCode.DONE if waited == ExitCode.JOB_FAILED else waited})


class _Termination:
    """The jobs that are to be ended, fifty by fifty.

    Attributes:
        accepted: Those that AWS Batch has accepted.
    """

    def __init__(
        self, arguments: argparse.Namespace, job_ids: Sequence[str], client: BatchClient, terminal: Terminal
    ) -> None:
        self.accepted: set[str] = set()
        self._arguments = arguments
        self._job_ids = job_ids
        self._client = client
        self._terminal = terminal
        self._complaints = Complaints(terminal, arguments.prog)
        self._not_accepted = 0
        self._ended_before = 0
        self._not_found = 0
        self._picture: LivePicture | None = None

    async def run(self) -> int:
        """End them, and return the exit code."""
        self._terminal.farewell = self._say_farewell
        with ExitStack() as stack:
            self._begin_picture(stack)
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._keep_telling())
                try:
                    parts = [
                        group.create_task(self._end(self._job_ids[begin : begin + MAX_IDS]))
                        for begin in range(0, len(self._job_ids), MAX_IDS)
                    ]
                    await asyncio.gather(*parts)
                finally:
                    telling.cancel()
        if self._picture is None and self._arguments.progress != "none":
            self._terminal.note(self._summary())
        self._complaints.conclude()
        return self._complaints.code

    def _begin_picture(self, stack: ExitStack) -> None:
        terminal = self._terminal
        if (
            self._arguments.progress in {"plain", "none"}
            or len(self._job_ids) <= MAX_IDS
            or not is_terminal(terminal.err)
            or find_spec("rich") is None
        ):
            return
        from rich.text import Text

        from awaitbatch.cli._live import LivePicture

        def draw(_width: int, _height: int) -> Text:
            return Text(self._summary(), style="bold")

        self._picture = stack.enter_context(LivePicture(terminal, terminal.err, draw))

    async def _keep_telling(self) -> None:
        while True:
            if self._picture is not None:
                self._picture.refresh()
            await asyncio.sleep(_PERIOD if self._picture is None else self._picture.period)
            if self._picture is None and self._arguments.progress != "none":
                self._terminal.note(self._summary())

    async def _end(self, job_ids: Sequence[str]) -> None:
        result = await self._client.terminate_jobs(job_ids, self._arguments.reason)
        self._not_accepted += len(result.errors)
        for job_id, error in result.errors.items():
            self._tell_error(job_id, error)
        self.accepted.update(result.accepted)
        # AWS Batch accepts ids that it does not know, and whoever has mistyped one wants to know.
        for job_id, answer in zip(
            result.accepted, await describe_each(self._client, result.accepted), strict=True
        ):
            if isinstance(answer, AwaitBatchError):
                self.accepted.discard(job_id)
                self._not_found += 1
                self._tell_error(job_id, answer)
            else:
                self._tell(answer)

    def _tell(self, job: Mapping[str, Any]) -> None:
        is_ended = job.get("status") in {JobStatus.SUCCEEDED, JobStatus.FAILED}
        self._ended_before += is_ended and not job.get("isTerminated")
        if self._arguments.json and not self._arguments.wait:
            self._terminal.result(json_line(record_of(job, self._terminal.region_name)))

    def _tell_error(self, job_id: str, error: Exception) -> None:
        text = self._complaints.add(error)
        if self._arguments.json:
            self._terminal.result(json_line({"jobId": job_id, "status": None, "error": text}))

    def _say_farewell(self) -> str:
        command = again(self._arguments, [job_id for job_id in self._job_ids if job_id not in self.accepted])
        return f"Stopped: {self._summary()}; the others may go on." + (
            f"\n  Again: {command}" if command else ""
        )

    def _summary(self) -> str:
        terminated, total = len(self.accepted) - self._ended_before, len(self._job_ids)
        parts = [f"{terminated:,} of {plural(total, 'job')} terminated"]
        for count, what in (
            (self._ended_before, "had ended before"),
            (self._not_found, "not found"),
            (self._not_accepted, "not accepted"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return ", ".join(parts)
