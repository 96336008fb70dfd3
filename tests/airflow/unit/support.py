"""Triggers as a triggerer drives them."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from awaitbatch.integrations.airflow import BatchJobTrigger

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger


def make_trigger(job_id: str, **arguments: Any) -> BatchJobTrigger:
    """A trigger that checks every second, as a triggerer makes it of what was serialized."""
    given = {"job_id": job_id, "aws_conn_id": "aws", "waiter_delay": 1, **arguments}
    _, serialized = BatchJobTrigger(**given).serialize()
    trigger = BatchJobTrigger(**json.loads(json.dumps(serialized)))
    trigger.task_instance = SimpleNamespace(
        dag_id="dag", task_id="task", run_id="run", map_index=-1, try_number=1
    )
    return trigger


async def fired(trigger: BaseTrigger) -> dict[str, Any]:
    """The payload of the one event of a trigger, which JSON can hold."""
    payloads = [event.payload async for event in trigger.run()]
    (payload,) = json.loads(json.dumps(payloads))
    assert payload == payloads[0]
    return dict(payload)


async def turns(count: int) -> None:
    """Let others on the loop have so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)
