"""``awaitbatch wait``: follows jobs to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awaitbatch.cli._exit_codes import ExitCode, worst

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from awaitbatch import BatchClient
    from awaitbatch.cli._terminal import Terminal


async def run(
    arguments: argparse.Namespace,  # noqa: ARG001
    job_ids: Sequence[str],
    client: BatchClient,
    terminal: Terminal,
) -> int:
    """Wait for the jobs, and return the exit code."""
    codes: set[int] = set()
    async for outcome in client.as_completed(job_ids):
        terminal.note(f"{outcome.job_id} {outcome.error or outcome.status}")
        if outcome.error is not None:
            codes.add(ExitCode.NOT_FOUND)
        elif outcome.status == "FAILED":
            codes.add(ExitCode.JOB_FAILED)
    return worst(codes)
