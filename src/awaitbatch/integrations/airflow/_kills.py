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
from awaitbatch._tasks import create_task
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
_LONGEST_QUESTION: Final = 60.0
"""Seconds for which Airflow may think about a task that was killed. A job must not go on because it never answers."""

_PATIENCE: Final = 300.0
"""Seconds after which a termination is given up in an outage."""
_PAUSE: Final = 10.0
"""Seconds until it begins again."""

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


async def is_moved(task_instance: Any, job_id: str | None) -> bool:  # noqa: ANN401
    """Whether a task is still deferred for a job, so that not a user, but another triggerer has taken it away.

    A triggerer that was silent for too long and lives on loses its triggers to another one, and Airflow 3.3 cancels
    them there as if a user had ended their tasks.

    Args:
        task_instance: The task.
        job_id: The job. A task that was cleared may be deferred again, but not for the same one.
    """
    try:
        # Those of a thousand instances of a mapped task that were killed at once need not ask one by one.
        key = (task_instance.dag_id, task_instance.run_id, task_instance.task_id)
        async with asyncio.timeout(_LONGEST_QUESTION):
            if not await _together(key, None, partial(_count_deferred, task_instance)):
                return False
            if await is_killed(task_instance):
                return False
    except Exception:  # noqa: BLE001
        # Then it is as Airflow says. It cannot tell the state of a task whose run was deleted, either.
        return False
    try:
        async with asyncio.timeout(_LONGEST_QUESTION):
            submitted = await look_up(_submitted, task_instance)
    except Exception:  # noqa: BLE001
        # It is deferred, and that it was cleared and came back within seconds is unlikely.
        return True
    return submitted is None or submitted == job_id


async def terminate(connection: Connection, job_id: str, reason: str) -> None:
    """Terminate a job, by the same calls as others of which this is asked at the same time, for the same reason.

    Somebody may clear a thousand instances of a mapped task at once, and TerminateJobs takes 50 of them. In an outage
    it begins again, since nobody else will end the job.

    Raises:
        Exception: It may go on; why.
    """
    job_id = parse_job_id(job_id)
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + _PATIENCE
    while True:
        result = await _together(
            (connection.key, reason), job_id, partial(_terminate_all, connection, reason)
        )
        error = result.errors.get(job_id)
        if error is None:
            return
        if clock() > give_up_at or not _may_pass(error):
            raise error
        await asyncio.sleep(_PAUSE)


def _may_pass(error: Exception) -> bool:
    from awaitbatch._core.outcomes import FailureKind
    from awaitbatch._failures import classify

    if error.__cause__ is None:
        return False
    failure = classify(error.__cause__)
    # Others may be on their way into a connection whose credentials have gone bad.
    return failure.needs_new_credentials or failure.kind in {FailureKind.TRANSIENT, FailureKind.THROTTLED}


async def _terminate_all(
    connection: Connection, reason: str, job_ids: list[str], close: Callable[[], object]
) -> BulkResult:
    await asyncio.sleep(_MOMENT)
    close()
    async with connection.client() as client:
        return await client.terminate_jobs(job_ids, reason)


class _Group(NamedTuple):
    items: list[Any]
    task: asyncio.Task[Any]


async def _together(
    key: Hashable,
    item: Any,  # noqa: ANN401
    do: Callable[[list[Any], Callable[[], object]], Coroutine[Any, Any, T]],
) -> T:
    """Do something once for all who ask for it meanwhile.

    Args:
        key: Equal if it is the same.
        item: What it is to be done with.
        do: Does it with a list of items, which may grow until it ends, or calls the function that it is given, too.
    """
    groups = _groups.setdefault(asyncio.get_running_loop(), {})
    if key not in groups:
        items: list[Any] = []

        def close() -> None:
            # Whoever comes now is too late.
            if key in groups and groups[key].items is items:
                del groups[key]

        # What is done for many is in the context of none.
        task = begin(do(items, close), contextvars.Context())
        # Also if it is cancelled before it has begun.
        task.add_done_callback(lambda _: close())
        groups[key] = _Group(items, task)
    groups[key].items.append(item)
    result: T = await asyncio.shield(groups[key].task)
    return result


def begin(work: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> asyncio.Task[T]:
    """Have something done that nobody has to wait for."""
    task = create_task(work, name="awaitbatch termination", context=context or contextvars.copy_context())
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


async def _count_deferred(task: Any, *_: object) -> int:  # noqa: ANN401
    """How many instances of a task in a run are deferred.

    The answer is for those, too, that are cancelled while it is on its way: they were deferred long before.
    """
    return int(await look_up(_deferred_by_api, task))


def _deferred_by_api(task: Any) -> Any:  # noqa: ANN401
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_ti_count(
        dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id], states=[_DEFERRED]
    )


def _submitted(task: Any) -> Any:  # noqa: ANN401
    """The job that the current try of a task has submitted, if that is known: the provider keeps it for a link."""
    from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
    from airflow.providers.common.compat.sdk import XCom

    details = XCom.get_one(
        key=BatchJobDetailsLink.key,
        dag_id=task.dag_id,
        task_id=task.task_id,
        run_id=task.run_id,
        map_index=task.map_index,
    )
    return details.get("job_id") if isinstance(details, dict) else None
