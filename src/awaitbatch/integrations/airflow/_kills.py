"""What happens to a job when a user ends the task that waits for it."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import BaseTrigger

from awaitbatch._job_ids import parse_job_id
from awaitbatch.integrations.airflow._lookups import look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from awaitbatch._bulk import BulkResult
    from awaitbatch.integrations.airflow._connection import Connection

TELLS_OF_KILLS: Final = hasattr(BaseTrigger, "on_kill")
"""Whether Airflow calls `on_kill` of a trigger, as it does from 3.3 on."""
_DEFERRED: Final = "deferred"
_MOMENT: Final = 0.2
"""Seconds for which others are waited for whose jobs can be ended by the same calls."""

T = TypeVar("T")
_under_way: Final[set[asyncio.Task[Any]]] = set()
_groups: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Group]]] = WeakKeyDictionary()


async def carry_out(work: Coroutine[Any, Any, T]) -> T:
    """Wait until some work is done, and let it go on if whoever waits is cancelled.

    Airflow cancels a trigger once a second until it has ended, also while it cleans up.
    """
    return await asyncio.shield(begin(work))


def is_kill(error: asyncio.CancelledError, trigger: BaseTrigger) -> bool:
    """Whether Airflow cancels a trigger because a user has ended its task, and so is about to call `on_kill`.

    Args:
        error: What the trigger is cancelled with.
        trigger: The trigger; Airflow calls it no more once its time is up.
    """
    runner = sys.modules.get("airflow.jobs.triggerer_job_runner")
    message = getattr(runner, "_USER_ACTION_CANCEL_MSG", None)
    if message is None or error.args != (message,):
        return False
    end: datetime | None = getattr(trigger, "timeout_after", None)
    return end is None or (end if end.tzinfo else end.replace(tzinfo=UTC)) >= datetime.now(UTC)


async def terminate(connection: Connection, job_id: str, reason: str) -> None:
    """Terminate a job, by the same calls as others of which this is asked at the same time, for the same reason.

    Somebody may clear a thousand instances of a mapped task at once, and TerminateJobs takes 50 of them.

    Raises:
        Exception: It may go on; why.
    """
    groups = _groups.setdefault(asyncio.get_running_loop(), {})
    job_id, key = parse_job_id(job_id), (connection.key, reason)
    if key not in groups:
        job_ids: list[str] = []
        work = _terminate_all(connection, job_ids, reason, partial(groups.pop, key))
        # What is done for many is in the context of none.
        groups[key] = _Group(job_ids, begin(work, contextvars.Context()))
    group = groups[key]
    group.job_ids.append(job_id)
    result = await asyncio.shield(group.task)
    if job_id in result.errors:
        raise result.errors[job_id]


class _Group(NamedTuple):
    job_ids: list[str]
    task: asyncio.Task[BulkResult]


async def _terminate_all(
    connection: Connection, job_ids: list[str], reason: str, close: Callable[[], object]
) -> BulkResult:
    await asyncio.sleep(_MOMENT)
    # Whoever comes now is too late.
    close()
    async with connection.client() as client:
        return await client.terminate_jobs(job_ids, reason)


def begin(work: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> asyncio.Task[T]:
    """Have something done that nobody has to wait for."""
    task = asyncio.get_running_loop().create_task(work, name="awaitbatch termination", context=context)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return task


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
