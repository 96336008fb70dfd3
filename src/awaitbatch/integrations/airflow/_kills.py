"""What happens to a job when a user ends the task that waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import BaseTrigger

from awaitbatch.integrations.airflow._lookups import look_up

if TYPE_CHECKING:
    from collections.abc import Coroutine

TELLS_OF_KILLS: Final = hasattr(BaseTrigger, "on_kill")
"""Whether Airflow calls `on_kill` of a trigger, as it does from 3.3 on."""
_DEFERRED: Final = "deferred"

_under_way: Final[set[asyncio.Task[None]]] = set()


async def carry_out(work: Coroutine[Any, Any, None]) -> None:
    """Wait until some work is done, and let it go on if whoever waits is cancelled.

    Airflow cancels a trigger once a second until it has ended, also while it cleans up.
    """
    task = asyncio.get_running_loop().create_task(work, name="awaitbatch termination")
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    await asyncio.shield(task)


async def is_killed(task_instance: Any) -> bool:  # noqa: ANN401
    """Whether a task is no longer deferred.

    Raises:
        Exception: Airflow cannot tell.
    """
    read = _state_by_api if AIRFLOW_V_3_0_PLUS else _state_in_database
    return bool(await look_up(read, task_instance) != _DEFERRED)


def _state_by_api(task: Any) -> Any:  # noqa: ANN401
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id], map_index=task.map_index
    )
    # The key of a mapped task has its index, too.
    (state,) = states[task.run_id].values()
    return state


def _state_in_database(task: Any) -> str | None:  # noqa: ANN401
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(TaskInstance.state).where(
        TaskInstance.dag_id == task.dag_id,
        TaskInstance.task_id == task.task_id,
        TaskInstance.run_id == task.run_id,
        TaskInstance.map_index == task.map_index,
    )
    with create_session() as session:
        state: str | None = session.execute(query).scalar_one()
    return state
