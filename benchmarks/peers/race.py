"""One run: one contestant in one scenario at one pace, against a server of its own."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from subprocess import PIPE
from typing import IO, TYPE_CHECKING, Any, Final

from awaitbatch.testing import ServerProcess
from benchmarks.peers.processes import started
from benchmarks.peers.registry import ROOT
from benchmarks.peers.rows import measured
from benchmarks.peers.scenarios import DESCRIPTION_BYTES, MISSING, MISSING_DEADLINE, SEED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from benchmarks.peers.registry import Contestant
    from benchmarks.peers.rows import Row
    from benchmarks.peers.scenarios import Pace, Scenario

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
        pace: How often it checks each job.
        python: The Python that runs it.
        inherit: Whether it may find modules where this process does.

    Raises:
        RunError: It failed altogether.
    """
    arguments = ["--seed", str(SEED), "--description-bytes", str(DESCRIPTION_BYTES)]
    if scenario.rate is not None:
        arguments += ["--rate", str(scenario.rate)]
    job_ids: list[str] = []
    missing = MISSING if scenario.missing else None

    async def add_jobs() -> list[str]:
        # Their lives begin when the contestant is ready.
        job_ids.extend(await _add_jobs(server, scenario))
        middle = len(job_ids) // 2
        return job_ids if missing is None else [*job_ids[:middle], missing, *job_ids[middle:]]

    async with ServerProcess(*arguments) as server:
        settings = {
            "endpoint_url": server.endpoint_url,
            "region_name": server.region_name,
            "interval": pace.interval,
            "jobs": scenario.jobs,
            "deadline": pace.deadline(scenario),
            "longest_job": scenario.longest_job,
            "missing_deadline": MISSING_DEADLINE if scenario.missing else pace.deadline(scenario),
        }
        variables = environment_variables(server, inherit=inherit)
        about, found = await compete(contestant, python, variables, settings, add_jobs)
        ends, statistics = await server.ended(), await server.control("GET", "statistics")
    return {**about, **measured(found, statistics, ends, job_ids, missing)}


async def compete(
    contestant: Contestant,
    python: Path,
    variables: dict[str, str],
    settings: dict[str, Any],
    add_jobs: Callable[[], Awaitable[list[str]]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let a contestant await jobs in a process of its own, and return what it says of itself and of the jobs.

    Args:
        contestant: Who.
        python: The Python that runs it.
        variables: Its environment variables.
        settings: What its harness is told when it starts.
        add_jobs: Called once it is ready; returns the ids that it is to await.

    Raises:
        RunError: It failed altogether.
    """
    with tempfile.TemporaryDirectory(prefix="race-") as scratch, tempfile.TemporaryFile() as errors:
        async with started(
            python,
            "-m",
            f"benchmarks.peers.contestants.{contestant.script}",
            cwd=ROOT,
            env=variables,
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            limit=_LONGEST_LINE,
        ) as process:
            settings = {**settings, "scratch": scratch, **contestant.settings}
            about = await _ask(process, errors, settings, _SECONDS_TO_START)
            found = await _ask(process, errors, await add_jobs(), settings["deadline"] + _SECONDS_TO_ANSWER)
    return about, found


async def _add_jobs(server: ServerProcess, scenario: Scenario) -> list[str]:
    wanted = {"count": scenario.jobs, "ranges": {"running": scenario.running}, "seed": SEED}
    job_ids: list[str] = await server.control("POST", "jobs", wanted)
    return job_ids


def environment_variables(server: ServerProcess, *, inherit: bool) -> dict[str, str]:
    """The environment variables of a contestant: of AWS, it knows the local server alone."""
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


async def _ask(
    process: asyncio.subprocess.Process, errors: IO[bytes], question: object, seconds: float
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write(json.dumps(question).encode() + b"\n")
            await process.stdin.drain()
            answer = await process.stdout.readline()
    except TimeoutError:
        message = f"{_end_of(errors)}\nno answer within {seconds:g} s"
        raise RunError(message.strip()) from None
    except ConnectionError:
        answer = b""
    if not answer:
        await process.wait()
        message = f"{_end_of(errors)}\n(exit code {process.returncode})"
        raise RunError(message.strip())
    found: dict[str, Any] = json.loads(answer)
    return found


def _end_of(errors: IO[bytes]) -> str:
    """The end of a contestant's standard error."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 2000))
    return errors.read().decode(errors="replace").strip()
