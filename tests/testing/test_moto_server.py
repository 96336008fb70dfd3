"""moto's jobs live as their parameters say, seen by a real aiobotocore client."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
from aiobotocore.session import get_session

from awaitbatch.testing import LifeCycle, MotoServer


async def test_jobs_pass_through_their_states_and_end() -> None:
    """Jobs run as long as they should, retry, fail with a reason, can be stopped, and their ends are reported."""
    quick = LifeCycle(submitted=0.1, pending=0.1, runnable=0.6, starting=0.1, running=0.6)
    life_cycles = {
        "good": quick,
        "bad": replace(quick, outcome="FAILED", attempts=2, exit_code=3, status_reason="Host gone."),
        "long": LifeCycle(running=math.inf),
    }
    async with (
        MotoServer() as server,
        get_session().create_client("batch", **server.client_arguments) as client,
    ):
        begun = time.time()
        ids: dict[str, str] = {}
        for name, life_cycle in life_cycles.items():
            submitted = await client.submit_job(
                jobName=name,
                jobQueue=server.job_queue,
                jobDefinition=server.job_definition,
                parameters=life_cycle.to_parameters(),
            )
            ids[name] = submitted["jobId"]
        await client.terminate_job(jobId=ids["long"], reason="enough")
        with pytest.raises(client.exceptions.ClientException, match="life cycle"):
            await client.submit_job(
                jobName="odd",
                jobQueue=server.job_queue,
                jobDefinition=server.job_definition,
                parameters={"awaitbatch.running": "soon"},
            )
        seen: dict[str, list[str]] = {name: [] for name in ids}
        jobs: dict[str, Any] = {}
        while not {"good", "bad"} <= {
            name for name in seen if seen[name][-1:] in (["SUCCEEDED"], ["FAILED"])
        }:
            jobs = {job["jobName"]: job for job in (await client.describe_jobs(jobs=[*ids.values()]))["jobs"]}
            for name, job in jobs.items():
                if job["status"] not in seen[name][-1:]:
                    seen[name].append(job["status"])
            await asyncio.sleep(0.01)
        ended = await server.ended()

    assert seen["good"][-2:] == ["RUNNING", "SUCCEEDED"]
    assert seen["bad"].count("RUNNING") == 2
    assert seen["long"] == ["FAILED"]
    assert (jobs["bad"]["statusReason"], jobs["long"]["statusReason"]) == ("Host gone.", "enough")
    assert [attempt["container"]["exitCode"] for attempt in jobs["bad"]["attempts"]] == [1, 3]
    assert jobs["good"]["container"]["logStreamName"]
    assert set(ended) == set(ids.values())
    assert 1.5 <= ended[ids["good"]] - begun <= 60


async def test_a_missing_moto_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error says how to install it."""

    def find(name: str) -> object:
        return None if name == "flask" else find_spec(name)

    monkeypatch.setattr("awaitbatch.testing._process.moto_server.find_spec", find)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "awaitbatch\[moto\]"'):
        await MotoServer().__aenter__()
