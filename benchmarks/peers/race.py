"""One run: one contestant in one scenario at one pace, against a server of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from contextlib import asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final

from awaitbatch.testing import ServerProcess
from benchmarks.peers.course import DESCRIPTION_BYTES, MISSING, SEED
from benchmarks.peers.roster import ROOT
from benchmarks.peers.rows import measured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.peers.course import Pace, Scenario
    from benchmarks.peers.roster import Contestant
    from benchmarks.peers.rows import Row

_SECONDS_TO_START: Final = 120.0
"""Some import for long."""
_SECONDS_TO_ANSWER: Final = 30.0
"""After the deadline, for a process that is too busy to notice it."""
_LONGEST_LINE: Final = 2**25
_NOT_FOR_THEM: Final = ("AWS_", "AIRFLOW", "PYTHONHOME")


class RunError(Exception):
    """A contestant's process did not do what it should; the message says what it said."""


async def run(
    contestant: Contestant, scenario: Scenario, pace: Pace, python: Path, *, inherit: bool = False
) -> Row:
    """Let a contestant await the jobs of a scenario, and return all numbers of its row.

    Args:
        contestant: Who.
        scenario: What.
        pace: How often it looks.
        python: The Python that runs it.
        inherit: Whether it may find modules where this process does.

    Raises:
        RunError: It failed altogether.
    """
    arguments = ["--seed", str(SEED), "--description-bytes", str(DESCRIPTION_BYTES)]
    if scenario.rate is not None:
        arguments += ["--rate", str(scenario.rate)]
    with tempfile.TemporaryDirectory(prefix="race-") as scratch:
        async with ServerProcess(*arguments) as server:
            order = {
                "endpoint_url": server.endpoint_url,
                "region_name": server.region_name,
                "interval": pace.interval,
                "jobs": scenario.jobs,
                "deadline": pace.deadline(scenario),
                "longest_job": scenario.longest_job,
                "scratch": scratch,
                **contestant.order,
            }
            surroundings = _surroundings(server, inherit=inherit)
            async with _started(contestant, python, surroundings) as process:
                about = await _ask(process, order, _SECONDS_TO_START)
                # Their lives begin when the contestant is ready.
                job_ids = await _add_jobs(server, scenario)
                awaited = [*job_ids]
                if scenario.missing:
                    awaited.insert(len(awaited) // 2, MISSING)
                found = await _ask(process, awaited, order["deadline"] + _SECONDS_TO_ANSWER)
            ends, statistics = await server.ended(), await server.control("GET", "statistics")
    return {
        **about,
        **measured(found, statistics, ends, job_ids, MISSING if scenario.missing else None),
    }


async def _add_jobs(server: ServerProcess, scenario: Scenario) -> list[str]:
    order = {"count": scenario.jobs, "ranges": {"running": scenario.running}, "seed": SEED}
    job_ids: list[str] = await server.control("POST", "jobs", order)
    return job_ids


def _surroundings(server: ServerProcess, *, inherit: bool) -> dict[str, str]:
    """The environment variables of a contestant: nothing of AWS but the local server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_THEM)}
    if not inherit:
        kept.pop("PYTHONPATH", None)
    for name in [name for name in kept if name.lower().endswith("_proxy")]:
        del kept[name]
    arguments = server.client_arguments
    return kept | {
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": arguments["region_name"],
        "AWS_ENDPOINT_URL": arguments["endpoint_url"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class _Process:
    """A contestant's process, with what it writes to standard error."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self.process = process
        self._errors = errors

    def last_words(self) -> str:
        """The end of its standard error."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        return self._errors.read().decode(errors="replace").strip()


@asynccontextmanager
async def _started(
    contestant: Contestant, python: Path, surroundings: dict[str, str]
) -> AsyncIterator[_Process]:
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            f"benchmarks.peers.contestants.{contestant.script}",
            cwd=ROOT,
            env=surroundings,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=_LONGEST_LINE,
            # So that all that it may start can be ended with it, and Ctrl-C reaches the harness alone.
            start_new_session=True,
        )
        try:
            yield _Process(process, errors)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _ask(contestant: _Process, question: object, seconds: float) -> dict[str, Any]:
    process = contestant.process
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write(json.dumps(question).encode() + b"\n")
            await process.stdin.drain()
            answer = await process.stdout.readline()
    except TimeoutError:
        message = f"{contestant.last_words()}\nno answer within {seconds:g} s"
        raise RunError(message.strip()) from None
    except ConnectionError:
        answer = b""
    if not answer:
        await process.wait()
        message = f"{contestant.last_words()}\n(exit code {process.returncode})"
        raise RunError(message.strip())
    found: dict[str, Any] = json.loads(answer)
    return found
