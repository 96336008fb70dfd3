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
            await asyncio.sleep(0.05)
        ended = await server.ended()

    assert seen["good"][-2:] == ["RUNNING", "SUCCEEDED"]
    assert seen["bad"].count("RUNNING") == 2
    assert seen["long"] == ["FAILED"]
    assert (jobs["bad"]["statusReason"], jobs["long"]["statusReason"]) == ("Host gone.", "enough")
    assert [attempt["container"]["exitCode"] for attempt in jobs["bad"]["attempts"]] == [1, 3]
    assert jobs["good"]["container"]["logStreamName"]
    assert set(ended) == set(ids.values())
    assert 1.5 <= ended[ids["good"]] - begun <= 60


async def test_jobs_wait_for_those_that_they_depend_on() -> None:
    """Dependants of all kinds wait, run, or fail with what they need; an unknown dependency leaves no job behind."""
    short = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0.3)
    endless = replace(short, running=math.inf)
    async with (
        MotoServer() as server,
        get_session().create_client("batch", **server.client_arguments) as client,
    ):

        async def submit(life_cycle: LifeCycle, *needs: dict[str, str], size: int = 0, **more: str) -> str:
            array = {"arrayProperties": {"size": size}} if size else {}
            submitted = await client.submit_job(
                jobName="job",
                jobQueue=server.job_queue,
                jobDefinition=server.job_definition,
                parameters=life_cycle.to_parameters() | more,
                dependsOn=needs,
                **array,
            )
            job_id: str = submitted["jobId"]
            return job_id

        array = await submit(short, size=3, **{"awaitbatch.1.outcome": "FAILED"})
        pairs = await submit(short, {"jobId": array, "type": "N_TO_N"}, size=3)
        in_turn = await submit(short, {"type": "SEQUENTIAL"}, size=3)
        after_turns = await submit(short, {"jobId": in_turn})
        running = await submit(endless)
        behind = [await submit(short, {"jobId": running})]
        behind.append(await submit(short, {"jobId": behind[0]}))
        with pytest.raises(client.exceptions.ClientException, match="does not exist"):
            await submit(short, {"jobId": "nobody"}, size=2)

        async def described(*job_ids: str) -> dict[str, Any]:
            return {job["jobId"]: job for job in (await client.describe_jobs(jobs=job_ids))["jobs"]}

        ids = [pairs, *(f"{pairs}:{index}" for index in range(3)), array, in_turn, after_turns]
        ended: dict[str, Any] = {}
        while not ended or not all(job["status"] in {"SUCCEEDED", "FAILED"} for job in ended.values()):
            await asyncio.sleep(0.05)
            ended = await described(*ids)
        moments = await server.ended()
        waiting = [job["status"] for job in (await described(*behind)).values()]
        await client.cancel_job(jobId=running, reason="no effect")
        await client.terminate_job(jobId=running, reason="enough")
        failed = [(job["status"], job["statusReason"]) for job in (await described(*behind)).values()]
        listed = (await client.list_jobs(jobQueue=server.job_queue))["jobSummaryList"]

    assert [ended[job_id]["status"] for job_id in ids] == [
        *["FAILED", "SUCCEEDED", "FAILED", "SUCCEEDED"],
        *["FAILED", "SUCCEEDED", "SUCCEEDED"],
    ]
    assert ended[f"{pairs}:1"]["statusReason"] == "Dependent Job failed"
    assert (ended[pairs]["statusReason"], ended[f"{pairs}:1"]["attempts"]) == ("Array Child Job failed", [])
    turns = [moments[f"{in_turn}:{index}"] for index in range(3)]
    assert turns[0] + 0.29 <= turns[1] <= turns[2] - 0.29 <= moments[after_turns] - 0.58
    assert waiting == ["PENDING", "PENDING"]
    assert failed == [("FAILED", "Dependent Job failed")] * 2
    assert len(listed) == 3 + 1 + 3 + 1 + 3 + 1 + 1 + 1 + 2


async def test_a_missing_moto_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error says how to install it."""

    def find(name: str) -> object:
        return None if name == "flask" else find_spec(name)

    monkeypatch.setattr("awaitbatch.testing._process.moto_server.find_spec", find)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "awaitbatch\[moto\]"'):
        await MotoServer().__aenter__()
