"""What one writes without a library: aiobotocore as it comes, one id a call and a task a job, or 100 ids a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiobotocore.session import get_session

from benchmarks.peers.contestants.harness import Harness

if TYPE_CHECKING:
    from types_aiobotocore_batch import BatchClient

_ENDS = frozenset({"SUCCEEDED", "FAILED"})
_INTERVAL = 5.0
_MAX_IDS_PER_CALL = 100


async def _wait(client: BatchClient, job_id: str, interval: float) -> None:
    while True:
        answer = await client.describe_jobs(jobs=[job_id])
        if answer["jobs"] and answer["jobs"][0]["status"] in _ENDS:
            return
        await asyncio.sleep(interval)


async def _wait_for_all(client: BatchClient, harness: Harness, interval: float) -> None:
    waiting = dict.fromkeys(harness.job_ids)
    try:
        while waiting:
            job_ids = list(waiting)
            for begin in range(0, len(job_ids), _MAX_IDS_PER_CALL):
                answer = await client.describe_jobs(jobs=job_ids[begin : begin + _MAX_IDS_PER_CALL])
                for job in answer["jobs"]:
                    if job["status"] in _ENDS:
                        harness.ended(job["jobId"])
                        del waiting[job["jobId"]]
            await asyncio.sleep(interval)
    except Exception as error:  # noqa: BLE001
        harness.all_died(waiting, error)


async def _race(harness: Harness) -> None:
    interval = harness.interval or _INTERVAL
    async with get_session().create_client("batch") as client:
        harness.start_on_loop()
        if harness.settings["ids_per_call"] == 1:
            await harness.task_each(lambda job_id: _wait(client, job_id, interval))
        else:
            await _wait_for_all(client, harness, interval)
        harness.finish()


if __name__ == "__main__":
    asyncio.run(_race(Harness("aiobotocore", "botocore", "aiohttp")))
