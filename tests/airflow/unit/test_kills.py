"""What becomes of a job when a user ends its deferred task."""

from __future__ import annotations

import asyncio
import gc
import importlib
import weakref
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, XCom
from asgiref.sync import async_to_sync

from awaitbatch.integrations.airflow import _kills, triggers
from awaitbatch.integrations.airflow._connection import Connection
from awaitbatch.integrations.airflow._kills import TELLS_OF_KILLS
from awaitbatch.testing import Fault
from tests.support import LONG, until

from .support import fired, make_trigger, turns

if TYPE_CHECKING:
    from awaitbatch.testing import BatchServer

    from .conftest import Tasks

pytestmark = pytest.mark.virtual_time


@pytest.fixture(autouse=True)
def _are_ended(tasks: Tasks) -> None:
    """Users have ended all tasks, if a test does not say otherwise."""
    tasks.state = "failed"


async def kill(trigger: Any, task: asyncio.Task[Any], turns_between: int = 1) -> None:
    """End a trigger as TriggerRunner does: it cancels, and again while that, or `on_kill`, takes its time."""
    task.cancel("__airflow_user_action__")
    if TELLS_OF_KILLS:
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.create_task(asyncio.wait_for(trigger.on_kill(), 30))
    for _ in range(5):
        await turns(turns_between)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("between", [1, 2, 3, 5, 20])
async def test_the_job_of_a_killed_task_is_terminated(server: BatchServer, between: int) -> None:
    """Also if Airflow cancels that again and again."""
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id)
    task = asyncio.create_task(fired(trigger))
    await asyncio.sleep(3)
    await kill(trigger, task, between)
    await asyncio.sleep(5)
    assert server.status_of(job_id) == "FAILED"
    assert server.statistics.calls["TerminateJob"] == 1


@pytest.mark.parametrize(("tells", "why"), [(True, "by a user"), (False, "by a user, or timed out")])
async def test_the_job_says_who_ended_it(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, *, tells: bool, why: str
) -> None:
    """Its statusReason names the task; of a time-out, Airflow tells no trigger before 3.3."""
    monkeypatch.setattr(triggers, "TELLS_OF_KILLS", tells)
    job_id = server.add_job(life_cycle=LONG)
    await make_trigger(job_id).on_kill()
    event = await fired(make_trigger(job_id))
    assert event["reason"] == f"The Airflow task task of DAG dag, run run was ended {why}"


async def test_a_trigger_that_has_just_come(server: BatchServer) -> None:
    """The first to need the client may be the one who is killed."""
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id)
    task = asyncio.create_task(fired(trigger))
    await turns(1)
    await kill(trigger, task)
    await asyncio.sleep(5)
    assert server.status_of(job_id) == "FAILED"


@pytest.mark.parametrize("lacking", [(), ("TerminateJobs",)])
async def test_many_at_once(server: BatchServer, lacking: tuple[str, ...]) -> None:
    """All are delivered, however few AWS allows; fifty by one call, if it knows such calls."""
    server.lacking = set(lacking)
    server.throttle(20, operation="TerminateJob")
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(300)]
    killed = [make_trigger(job_id) for job_id in job_ids]
    tasks = [asyncio.create_task(fired(trigger)) for trigger in killed]
    await asyncio.sleep(3)
    await asyncio.gather(*(kill(*pair) for pair in zip(killed, tasks, strict=True)))
    await asyncio.sleep(45 if lacking else 5)
    assert {server.status_of(job_id) for job_id in job_ids} == {"FAILED"}
    calls = server.statistics.calls
    # Before Airflow 3.3 they come more slowly, since a trigger that is cancelled looks for its task's state.
    assert calls["TerminateJobs"] + calls["TerminateJob"] <= (400 if lacking else 40)


@pytest.mark.skipif(not TELLS_OF_KILLS, reason="Airflow 3.3 tells of kills")
@pytest.mark.parametrize(
    ("message", "seconds", "status"),
    [
        ("__airflow_user_action__", None, "FAILED"),
        ("__airflow_user_action__", 60, "FAILED"),
        # It is the worker's to end the job of a task whose time is up.
        ("__airflow_user_action__", -1, "RUNNING"),
        (None, None, "RUNNING"),
    ],
)
async def test_a_kill_of_which_airflow_does_not_tell(
    server: BatchServer, message: str | None, seconds: float | None, status: str
) -> None:
    """It is cancelled again before Airflow has called `on_kill`, which then never comes."""
    importlib.import_module("airflow.jobs.triggerer_job_runner")
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id)
    if seconds is not None:
        trigger.timeout_after = datetime.now(UTC) + timedelta(seconds=seconds)
    task = asyncio.create_task(fired(trigger))
    await asyncio.sleep(3)
    task.cancel(message)
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(5)
    assert server.status_of(job_id) == status


@pytest.mark.skipif(not TELLS_OF_KILLS, reason="Airflow 3.3 tells of kills")
async def test_a_kill_of_which_airflow_tells_in_the_end(server: BatchServer) -> None:
    """A line takes as long as it takes, and the job is terminated once."""
    importlib.import_module("airflow.jobs.triggerer_job_runner")
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id)
    task = asyncio.create_task(fired(trigger))
    await asyncio.sleep(3)
    task.cancel("__airflow_user_action__")
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1)
    await trigger.on_kill()
    assert server.status_of(job_id) == "FAILED"
    assert server.statistics.calls["TerminateJob"] == 1


@pytest.mark.skipif(not TELLS_OF_KILLS, reason="Airflow 3.3 tells of kills")
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_trigger_that_another_triggerer_has_taken_over(
    server: BatchServer, tasks: Tasks, *, is_told: bool
) -> None:
    """The one that was silent for too long is told of a kill, but the task is deferred, and its job goes on."""
    importlib.import_module("airflow.jobs.triggerer_job_runner")
    job_id = server.add_job(life_cycle=LONG)
    tasks.state, tasks.job_id = "deferred", job_id
    trigger, other = make_trigger(job_id), make_trigger(job_id)
    running = [asyncio.create_task(fired(each)) for each in (trigger, other)]
    await asyncio.sleep(3)
    if is_told:
        await kill(trigger, running[0])
    else:
        running[0].cancel("__airflow_user_action__")
        with pytest.raises(asyncio.CancelledError):
            await running[0]
    await asyncio.sleep(5)
    assert server.status_of(job_id) == "RUNNING"
    assert server.statistics.calls["TerminateJob"] == 0
    # A user ends the task afterwards.
    tasks.state = "failed"
    await kill(other, running[1])
    await asyncio.sleep(5)
    assert server.status_of(job_id) == "FAILED"


@pytest.mark.parametrize(
    ("state", "job_id", "status"),
    [
        # The provider writes no XCom of the job without ``do_xcom_push``, nor for an operator of somebody's own.
        ("deferred", None, "RUNNING"),
        ("deferred", OSError(), "RUNNING"),
        # It was cleared, and has submitted another job since.
        ("deferred", "another", "FAILED"),
        (None, None, "FAILED"),
        # The run was deleted, or Airflow cannot tell.
        (KeyError("run"), None, "FAILED"),
    ],
)
async def test_what_becomes_of_a_job_when_airflow_tells_of_a_kill(
    server: BatchServer, tasks: Tasks, state: Any, job_id: Any, status: str
) -> None:
    """It is terminated, unless its task is known to be deferred for it."""
    tasks.state, tasks.job_id = state, job_id
    waited_for = server.add_job(life_cycle=LONG)
    await make_trigger(waited_for).on_kill()
    assert server.status_of(waited_for) == status


@pytest.mark.parametrize(("silent", "status"), [("_deferred_by_api", "FAILED"), ("_submitted", "RUNNING")])
async def test_airflow_that_never_answers(
    server: BatchServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch, silent: str, status: str
) -> None:
    """It is as with no answer: Airflow is believed, unless the task is known to be deferred."""
    tasks.state = "deferred"

    async def look_up(read: Any, task: object) -> Any:
        if read is getattr(_kills, silent):
            await asyncio.get_running_loop().create_future()
        return await tasks.look_up(read, task)

    monkeypatch.setattr(_kills, "look_up", look_up)
    job_id = server.add_job(life_cycle=LONG)
    killing = asyncio.create_task(make_trigger(job_id).on_kill())
    await asyncio.sleep(50)
    assert server.status_of(job_id) == "RUNNING"
    await asyncio.sleep(15)
    assert server.status_of(job_id) == status
    assert killing.done()
    for task in list(_kills._under_way):
        task.cancel()


async def test_which_jobs_share_calls(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one task of a run, which their records name; if one cannot be ended, its own log says so."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(6)]
    killed = [make_trigger(job_id) for job_id in job_ids]
    errors: list[str] = []
    for trigger in killed:
        monkeypatch.setattr(trigger.log, "error", errors.append)
    for trigger in killed[3:]:
        trigger.task_instance.run_id = "other"
    server.inject(Fault.DENIED_JOBS, job_ids={job_ids[0]})
    await asyncio.gather(*(trigger.on_kill() for trigger in killed))
    (error,) = errors
    assert f"({job_ids[0]}) could not be terminated" in error
    assert server.statistics.calls["TerminateJobs"] == 2
    ended = [(await fired(make_trigger(job_id)))["reason"] for job_id in job_ids[1:]]
    assert [reason.split(", ")[1].split()[1] for reason in ended] == ["run", "run", "other", "other", "other"]


async def test_when_airflow_is_asked(
    server: BatchServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and once for all instances of a mapped task that are killed before it answers."""
    tasks.state = "failed"
    asked: list[float] = []
    clock = asyncio.get_running_loop().time

    async def look_up(read: Any, task: object) -> Any:
        asked.append(clock())
        await asyncio.sleep(4)
        return await tasks.look_up(read, task)

    monkeypatch.setattr(_kills, "look_up", look_up)
    begun = clock()
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(20)]
    kills = []
    for job_id in job_ids:
        kills.append(asyncio.create_task(make_trigger(job_id).on_kill()))
        await asyncio.sleep(0.1)
    await asyncio.gather(*kills)
    assert {server.status_of(job_id) for job_id in job_ids} == {"FAILED"}
    assert asked == [begun]


async def test_jobs_that_come_while_others_are_being_ended(server: BatchServer) -> None:
    """They go by the next call."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(20)]
    kills = []
    for job_id in job_ids:
        kills.append(asyncio.create_task(make_trigger(job_id).on_kill()))
        await asyncio.sleep(0.05)
    await asyncio.gather(*kills)
    assert {server.status_of(job_id) for job_id in job_ids} == {"FAILED"}
    assert 3 <= server.statistics.calls["TerminateJobs"] + server.statistics.calls["TerminateJob"] <= 7


async def test_a_job_that_is_not_the_tasks_own(server: BatchServer) -> None:
    """With ``cancel_on_kill=False`` it goes on."""
    job_id = server.add_job(life_cycle=LONG)
    await make_trigger(job_id, cancel_on_kill=False).on_kill()
    assert server.status_of(job_id) == "RUNNING"


async def test_a_termination_that_fails(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task's log says that the job may go on."""
    job_id = server.add_job(life_cycle=LONG)
    server.inject(Fault.ACCESS_DENIED, operations={"TerminateJob"})
    trigger = make_trigger(job_id)
    lines: list[str] = []
    monkeypatch.setattr(trigger.log, "error", lines.append)
    await trigger.on_kill()
    (line,) = lines
    assert job_id in line
    assert "may go on" in line


@pytest.mark.parametrize("count", [1, 70])
@pytest.mark.parametrize(
    "fault", [Fault.CONNECTION_REFUSED, Fault.BARE_503, Fault.SERVER_EXCEPTION, Fault.EXPIRED_TOKEN]
)
async def test_an_outage(server: BatchServer, fault: Fault, count: int) -> None:
    """It may last for minutes, as may a rotation of credentials, and a termination is delivered after it."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(count)]
    server.inject(fault)
    killing = [asyncio.create_task(make_trigger(job_id).on_kill()) for job_id in job_ids]
    await asyncio.sleep(180)
    assert {server.status_of(job_id) for job_id in job_ids} == {"RUNNING"}
    server.heal()
    await asyncio.gather(*killing)
    assert {server.status_of(job_id) for job_id in job_ids} == {"FAILED"}


async def test_an_outage_without_end(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The termination is given up after some minutes, and a line says so."""
    server.inject(Fault.CONNECTION_REFUSED)
    trigger = make_trigger(server.add_job(life_cycle=LONG))
    lines: list[str] = []
    monkeypatch.setattr(trigger.log, "error", lines.append)
    clock = asyncio.get_running_loop().time
    began = clock()
    await trigger.on_kill()
    assert 300 <= clock() - began < 400
    (line,) = lines
    assert "may go on" in line


async def test_many_terminations_that_fail_at_once(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a connection that is gone: their lines keep to the pace at which a triggerer does not choke."""
    killed = [make_trigger(server.add_job(life_cycle=LONG)) for _ in range(100)]
    clock = asyncio.get_running_loop().time
    written: list[float] = []

    def client(_: object) -> Any:
        raise AirflowNotFoundException

    monkeypatch.setattr(Connection, "client", client)
    for trigger in killed:
        monkeypatch.setattr(trigger.log, "error", lambda _: written.append(clock()))
    await asyncio.gather(*(trigger.on_kill() for trigger in killed))
    await asyncio.sleep(10)
    assert len(written) == 100
    assert written[20] >= written[0] + 1


@pytest.fixture
def _is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "TELLS_OF_KILLS", False)


@pytest.mark.usefixtures("_is_old")
@pytest.mark.parametrize(("state", "status"), [(True, "FAILED"), (False, "RUNNING")])
async def test_before_airflow_3_3(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, *, state: bool, status: str
) -> None:
    """A trigger that is cancelled looks whether its task is deferred: if so, it is only moved to another triggerer."""

    async def is_killed(_: object) -> bool:
        await asyncio.sleep(1)
        return state

    monkeypatch.setattr(triggers, "is_killed", is_killed)
    job_id = server.add_job(life_cycle=LONG)
    task = asyncio.create_task(fired(make_trigger(job_id)))
    await asyncio.sleep(3)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.3)
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(5)
    assert server.status_of(job_id) == status


@pytest.mark.parametrize("map_index", [-1, 3])
@pytest.mark.parametrize("state", ["deferred", "failed", None])
async def test_the_state_of_a_task(
    map_index: int, state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow names a mapped task with its index, and has the event loop itself ask in 3.0 and 3.1."""
    # Airflow 2 reads its database.
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner")
    triggerers = asyncio.get_running_loop()

    async def get_task_states(*, map_index: int, **_: Any) -> Any:
        assert asyncio.get_running_loop() is triggerers
        return {"run": {"task" if map_index < 0 else f"task_{map_index}": state}}

    states = staticmethod(async_to_sync(get_task_states))
    monkeypatch.setattr(runner.RuntimeTaskInstance, "get_task_states", states)
    trigger = make_trigger("job")
    trigger.task_instance.map_index = map_index
    assert await trigger.safe_to_cancel() is (state != "deferred")


async def test_how_often_airflow_is_asked(server: BatchServer, tasks: Tasks) -> None:
    """Once for all instances of a mapped task, if all that it has were killed."""
    killed = [make_trigger(server.add_job(life_cycle=LONG)) for _ in range(300)]
    for index, trigger in enumerate(killed):
        trigger.task_instance.map_index = index // 3
        trigger.task_instance.task_id = f"task{index % 3}"
    await asyncio.gather(*(trigger.on_kill() for trigger in killed))
    assert {server.status_of(str(trigger.job_id)) for trigger in killed} == {"FAILED"}
    assert tasks.questions == 3


async def test_the_job_that_a_task_has_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the XCom that the provider's operator writes for a link."""
    asked: list[dict[str, Any]] = []
    answers = iter([{"region_name": "eu-west-1", "job_id": "job"}, None, "garbage"])

    def get_one(**arguments: Any) -> Any:
        asked.append(arguments)
        return next(answers)

    monkeypatch.setattr(XCom, "get_one", get_one)
    task = make_trigger("job").task_instance
    assert [_kills._submitted(task) for _ in range(3)] == ["job", None, None]
    assert asked[0] == {
        "key": "batch_job_details",
        "dag_id": "dag",
        "task_id": "task",
        "run_id": "run",
        "map_index": -1,
    }


def test_a_loop_that_ends_before_a_job_is_terminated(monkeypatch: pytest.MonkeyPatch, tasks: Tasks) -> None:
    """Nothing keeps it."""
    monkeypatch.setattr(_kills, "look_up", tasks.look_up)

    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        job_id = "00000000-0000-0000-0000-000000000000"
        task = asyncio.create_task(make_trigger(job_id).on_kill())
        await until(lambda: bool(_kills._groups.get(asyncio.get_running_loop())))
        assert not task.done()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    gc.collect()
    assert loop() is None


@pytest.mark.usefixtures("_is_old")
async def test_a_state_that_cannot_be_read(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job goes on, and a line says so: a triggerer may be about to end."""

    async def is_killed(_: object) -> bool:
        raise RuntimeError

    monkeypatch.setattr(triggers, "is_killed", is_killed)
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id)
    lines: list[str] = []
    monkeypatch.setattr(trigger.log, "warning", lines.append)
    task = asyncio.create_task(fired(trigger))
    await until(lambda: server.statistics.answered["DescribeJobs"] > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1)
    assert server.status_of(job_id) == "RUNNING"
    assert job_id in lines[0]
