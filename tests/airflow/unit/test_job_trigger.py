"""BatchJobTrigger: its contract with Airflow, how it waits, and what it says in the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.aws.triggers import batch as provider

from awaitbatch._shared import close_shared_clients
from awaitbatch.integrations.airflow import BatchCreateComputeEnvironmentTrigger, BatchJobTrigger, _base
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, make_client, until

from .support import fired, make_trigger, turns

if TYPE_CHECKING:
    from awaitbatch.testing import BatchServer

pytestmark = pytest.mark.virtual_time

FAILED = LifeCycle(running=5, outcome="FAILED", exit_code=137, reason="OutOfMemoryError: killed")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"region_name": "eu-west-1", "verify": False, "botocore_config": {"read_timeout": 7}},
        {"aws_conn_id": None, "waiter_delay": 0, "waiter_max_attempts": 3},
    ],
)
def test_it_is_serialized_as_the_providers(more: dict[str, Any]) -> None:
    """The arguments are the same; only the path of the class is ours."""
    path, ours = BatchJobTrigger(job_id="job", **more).serialize()
    _, theirs = provider.BatchJobTrigger(job_id="job", **more).serialize()
    assert path == "awaitbatch.integrations.airflow.triggers.BatchJobTrigger"
    assert ours == theirs
    assert BatchJobTrigger(**ours).serialize() == (path, ours)


def test_that_it_leaves_a_job_alone_is_serialized() -> None:
    """A triggerer has to know; nothing else is added to what the provider's trigger has."""
    _, arguments = BatchJobTrigger(job_id="job", cancel_on_kill=False).serialize()
    assert arguments.pop("cancel_on_kill") is False
    assert arguments == BatchJobTrigger(job_id="job").serialize()[1]


async def test_a_job_that_succeeds(server: BatchServer) -> None:
    """The event is the provider's, with a part of the description."""
    job_id = server.add_job(life_cycle=LifeCycle(running=5))
    event = await fired(make_trigger(job_id))
    job = event.pop("job")
    assert event == {"status": "success", "job_id": job_id}
    assert (job["jobId"], job["status"]) == (job_id, "SUCCEEDED")
    assert {"jobDefinition", "jobQueue", "container"} <= job.keys()
    assert len(str(job)) < 1500


async def test_a_job_that_fails(server: BatchServer) -> None:
    """The event says why, in words and for programs."""
    job_id = server.add_job(life_cycle=FAILED)
    event = await fired(make_trigger(job_id))
    assert event["status"] == "error"
    assert event["job_id"] == job_id
    assert event["cause"] == "out_of_memory"
    assert event["exit_code"] == 137
    assert event["reason"] == "OutOfMemoryError: killed"
    assert f"AWS Batch job ({job_id})" in event["message"]
    assert "OutOfMemoryError: killed" in event["message"]
    assert event["job"]["status"] == "FAILED"


async def test_what_an_event_of_a_job_without_a_container_says(server: BatchServer) -> None:
    """It has the members all the same."""
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id)
    task = asyncio.create_task(fired(trigger))
    await asyncio.sleep(3)
    async with server_client(server) as client:
        await client.terminate_job(job_id, "by hand")
    event = await task
    assert (event["status"], event["cause"], event["reason"]) == ("error", "terminated", "by hand")


async def test_the_delay_is_the_window(server: BatchServer) -> None:
    """A job is checked at least once in ``waiter_delay`` seconds, and seldom more often."""
    job_id = server.add_job(life_cycle=LifeCycle(running=100))
    await fired(make_trigger(job_id, waiter_delay=10))
    assert 10 <= server.statistics.calls["DescribeJobs"] <= 24


async def test_a_delay_of_nothing(server: BatchServer) -> None:
    """It is allowed, and checks as often as the throttle lets it."""
    job_id = server.add_job(life_cycle=LifeCycle(running=5))
    event = await fired(make_trigger(job_id, waiter_delay=0))
    assert event["status"] == "success"
    assert 20 <= server.statistics.calls["DescribeJobs"] <= 120


async def test_the_attempts_are_checks(server: BatchServer) -> None:
    """After so many it gives up, and says in what state the job is."""
    job_id = server.add_job(life_cycle=LONG)
    event = await fired(make_trigger(job_id, waiter_max_attempts=3))
    assert server.statistics.calls["DescribeJobs"] == 3
    assert (event["status"], event["job_status"], event["job_id"]) == ("error", "RUNNING", job_id)
    assert "3 checks" in event["message"]


async def test_the_attempts_last_as_long_as_the_providers(server: BatchServer) -> None:
    """Also if calls for others come so often that each check is made as soon as it may be."""
    clock = asyncio.get_running_loop().time
    other = asyncio.create_task(fired(make_trigger(server.add_job(life_cycle=LONG))))
    await asyncio.sleep(7)
    began = clock()
    job_id = server.add_job(life_cycle=LONG)
    event = await fired(make_trigger(job_id, waiter_delay=60, waiter_max_attempts=20))
    assert 18 * 60 <= clock() - began <= 20 * 60
    text, _, checks = event["message"].partition(": ")
    assert text == f"AWS Batch job ({job_id}) status checks exceed max_retries"
    assert int(checks.split()[0]) > 20
    assert checks.endswith(" checks, last seen as RUNNING; raise max_retries to wait longer")
    other.cancel()


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SERVER_EXCEPTION,
        Fault.BARE_503,
        Fault.TOO_MANY_REQUESTS,
        Fault.CONNECTION_REFUSED,
        Fault.HTML,
        Fault.RESET_IN_BODY,
    ],
)
async def test_checks_that_fail_are_no_attempts(server: BatchServer, fault: Fault) -> None:
    """An outage of two minutes takes none of the attempts, whatever it looks like."""
    job_id = server.add_job(life_cycle=LONG)
    trigger = make_trigger(job_id, waiter_max_attempts=4)
    task = asyncio.create_task(fired(trigger))
    await until(lambda: server.statistics.answered["DescribeJobs"] == 1)
    server.inject(fault, end=120)
    event = await task
    assert event["job_status"] == "RUNNING"
    assert server.statistics.faults[fault] > 3
    garbled = server.statistics.faults[fault] if fault in {Fault.HTML, Fault.RESET_IN_BODY} else 0
    # The outage may take an answer that is on its way.
    assert 4 <= server.statistics.answered["DescribeJobs"] - garbled <= 5


async def test_an_outage_from_the_first_check_on(server: BatchServer) -> None:
    """It takes no attempts either; but after an hour there may be nothing to wait for."""
    server.inject(Fault.SERVER_EXCEPTION, end=1800)
    job_id = server.add_job(life_cycle=ENDED)
    trigger = make_trigger(job_id, waiter_delay=30, waiter_max_attempts=2)
    assert (await fired(trigger))["status"] == "success"
    server.inject(Fault.CONNECTION_REFUSED)
    began = asyncio.get_running_loop().time()
    event = await fired(trigger)
    assert (event["status"], event["job_status"]) == ("error", None)
    assert "never seen, the last one failed (EndpointConnectionError: Could not connect" in event["message"]
    assert "reach AWS Batch" in event["message"]
    assert 3600 < asyncio.get_running_loop().time() - began < 3800


async def test_an_outage_of_hours(server: BatchServer) -> None:
    """It ends no wait for a job that was seen before, however few the attempts: an error would terminate the job."""
    job_id = server.add_job(life_cycle=LifeCycle(running=4 * 3600))
    task = asyncio.create_task(fired(make_trigger(job_id, waiter_delay=30, waiter_max_attempts=20)))
    await until(lambda: server.statistics.answered["DescribeJobs"] > 2)
    server.inject(Fault.CONNECTION_REFUSED, end=3 * 3600)
    event = await task
    assert (event["status"], event["job_status"]) == ("error", "RUNNING")
    assert asyncio.get_running_loop().time() > 3 * 3600


@pytest.mark.parametrize("fault", [Fault.EXPIRED_TOKEN, Fault.ACCESS_DENIED])
async def test_minutes_without_good_credentials(server: BatchServer, fault: Fault) -> None:
    """They pass, as long as AWS has answered before."""
    job_id = server.add_job(life_cycle=LifeCycle(running=300))
    task = asyncio.create_task(fired(make_trigger(job_id, waiter_delay=5)))
    await until(lambda: server.statistics.answered["DescribeJobs"] > 0)
    server.inject(fault, end=240)
    assert (await task)["status"] == "success"


@pytest.mark.parametrize("fault", [Fault.EXPIRED_TOKEN, Fault.ACCESS_DENIED])
async def test_most_of_an_hour_without_good_credentials(server: BatchServer, fault: Fault) -> None:
    """It passes, too, for a job that was seen before: an error would have it terminated, and started again."""
    job_id = server.add_job(life_cycle=LifeCycle(running=6000))
    task = asyncio.create_task(fired(make_trigger(job_id, waiter_delay=30)))
    await until(lambda: server.statistics.answered["DescribeJobs"] > 0)
    server.inject(fault, begin=600, end=3600)
    event = await task
    assert event["status"] == "success"


async def test_no_permission_for_good(server: BatchServer) -> None:
    """It is given up after five minutes; if there was one, after an hour, and a job that is refused is so at once."""
    job_id = server.add_job(life_cycle=LONG)
    clock = asyncio.get_running_loop().time
    server.inject(Fault.ACCESS_DENIED)
    began = clock()
    event = await fired(make_trigger(job_id))
    assert "batch:DescribeJobs" in event["message"]
    assert 300 < clock() - began < 700
    server.heal()
    task = asyncio.create_task(fired(make_trigger(job_id)))
    await until(lambda: server.statistics.answered["DescribeJobs"] > 0)
    server.inject(Fault.ACCESS_DENIED)
    began = clock()
    assert (await task)["job_status"] is None
    assert 3600 < clock() - began < 4500
    server.heal()
    server.inject(Fault.CLIENT_EXCEPTION)
    began = clock()
    assert (await fired(make_trigger(job_id)))["status"] == "error"
    assert clock() - began < 10


async def test_a_shared_client_that_breaks_down(server: BatchServer) -> None:
    """The triggers of a process go on with another one."""
    job_ids = [server.add_job(life_cycle=LifeCycle(running=100)) for _ in range(20)]
    tasks = [asyncio.create_task(fired(make_trigger(job_id))) for job_id in job_ids]
    await asyncio.sleep(20)
    await close_shared_clients()
    assert {event["status"] for event in await asyncio.gather(*tasks)} == {"success"}


async def test_a_job_that_is_absent_for_a_moment(server: BatchServer) -> None:
    """It was submitted a moment ago."""
    job_id = server.add_job(life_cycle=ENDED)
    server.inject(Fault.MISSING_JOBS, end=15)
    assert (await fired(make_trigger(job_id)))["status"] == "success"


@pytest.mark.parametrize(("delay", "most"), [(0, 45), (1, 45), (5, 60), (30, 130)])
async def test_a_job_that_does_not_exist(server: BatchServer, delay: int, most: float) -> None:
    """That ends with an error that says so, after a grace."""
    began = asyncio.get_running_loop().time()
    event = await fired(make_trigger("00000000-0000-0000-0000-000000000000", waiter_delay=delay))
    assert event["status"] == "error"
    assert "not found" in event["message"]
    assert event["message"].endswith("check the id, the region and the account")
    assert 9 < asyncio.get_running_loop().time() - began < most
    assert server.statistics.calls["DescribeJobs"] > 2


@pytest.mark.parametrize("job_id", ["", "no job's id", None])
async def test_what_cannot_be_a_job(server: BatchServer, job_id: Any) -> None:
    """It is an error of the task, and nothing is sent."""
    event = await fired(make_trigger(job_id))
    assert (event["status"], event["job_id"]) == ("error", job_id)
    assert server.statistics.calls.total() == 0


async def test_the_lines_of_its_log(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state of the job has one, and each change in the counts of an array."""
    life_cycle = LifeCycle(submitted=3, pending=3, runnable=3, starting=3, running=3)
    array_id = server.add_job(life_cycle=life_cycle, array_size=3)
    triggers = [make_trigger(job_id) for job_id in (server.add_job(life_cycle=life_cycle), array_id)]
    lines: list[str] = []
    for trigger in triggers:
        monkeypatch.setattr(trigger, "_tell", lines.append)
    await asyncio.gather(*map(fired, triggers))
    states = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED")
    own = [line for line in lines if array_id not in line]
    assert [line.split(" is ")[1].split(",")[0].split(":")[0] for line in own] == list(states)
    assert own[1].endswith("is PENDING, was SUBMITTED")
    counts = [line.partition("; children: ")[2] for line in lines if array_id in line]
    assert "3 RUNNING" in counts
    assert counts[-1] == "3 SUCCEEDED"


async def test_a_thousand(server: BatchServer) -> None:
    """They share calls: a hundred jobs in each."""
    job_ids = [server.add_job(life_cycle=LifeCycle(running=55)) for _ in range(1000)]
    events = await asyncio.gather(*(fired(make_trigger(job_id, waiter_delay=5)) for job_id in job_ids))
    assert [event["job_id"] for event in events] == job_ids
    assert {event["status"] for event in events} == {"success"}
    # A minute of a check every 5 seconds at least.
    assert server.statistics.calls["DescribeJobs"] <= 160


async def test_cancelled_at_any_await(server: BatchServer) -> None:
    """Wherever a trigger is cancelled, the others go on, and its job does, too."""
    job_id = server.add_job(life_cycle=LifeCycle(running=20))
    other = asyncio.create_task(fired(make_trigger(job_id)))
    for count in range(40):
        task = asyncio.create_task(fired(make_trigger(job_id)))
        await turns(count)
        await asyncio.sleep(0.01 * count)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await other)["status"] == "success"
    assert server.statistics.calls["TerminateJob"] == 0


async def test_closed_before_and_after_its_event(server: BatchServer) -> None:
    """A triggerer that closes the generator at any time leaves nothing behind."""
    job_id = server.add_job(life_cycle=LifeCycle(running=2))
    trigger = make_trigger(job_id)
    await trigger.run().aclose()  # type: ignore[attr-defined]
    running = trigger.run()
    event = await anext(running)
    assert event.payload["status"] == "success"
    await running.aclose()  # type: ignore[attr-defined]


async def test_started_again_elsewhere(server: BatchServer) -> None:
    """The job's id is all that it has to know."""
    job_id = server.add_job(life_cycle=LifeCycle(running=20))
    first = asyncio.create_task(fired(make_trigger(job_id)))
    await asyncio.sleep(5)
    first.cancel()
    assert (await fired(make_trigger(job_id)))["status"] == "success"


async def test_what_takes_long_to_import_is_imported_in_a_thread(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop would stand still for it; whoever comes while a thread is at it waits in a thread, too."""
    threads: list[int] = []
    monkeypatch.setattr(_base, "_are_loaded", threading.Event())
    monkeypatch.setattr(_base, "import_module", lambda _: threads.append(threading.get_ident()))
    job_id = server.add_job(life_cycle=LifeCycle(running=5))
    trigger = make_trigger(job_id)
    await trigger._connection()
    assert len(threads) == 2
    assert threading.get_ident() not in threads
    # Once it is there, no thread is needed.
    assert (await fired(trigger))["status"] == "success"
    assert len(threads) == 2


def test_what_a_triggerer_imports_on_its_loop() -> None:
    """Not what takes it a third of a second: the provider's trigger, and with it boto3 and all of botocore."""
    code = """
        import airflow.triggers.base, sys
        from importlib import import_module
        before = set(sys.modules)
        assert import_module("awaitbatch.integrations.airflow.triggers").BatchJobTrigger
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert not new & {"aiobotocore", "aiohttp", "anyio", "boto3", "requests"}, new
        assert "botocore.session" not in sys.modules
        assert "airflow.providers.amazon.aws.hooks.base_aws" not in sys.modules
    """
    subprocess.run((sys.executable, "-c", dedent(code)), check=True)


def test_they_are_the_providers() -> None:
    """To whoever asks; they need not be, since what they inherit would be nothing but what takes long to import."""
    assert issubclass(BatchJobTrigger, provider.BatchJobTrigger)
    assert isinstance(make_trigger("job"), provider.BatchJobTrigger)
    ours = BatchCreateComputeEnvironmentTrigger
    assert issubclass(ours, provider.BatchCreateComputeEnvironmentTrigger)
    assert not issubclass(ours, provider.BatchJobTrigger)


def server_client(server: BatchServer) -> Any:
    """A client of its own, for what others do to a job."""
    return make_client(server)
