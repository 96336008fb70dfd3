"""Deferred tasks in a real Airflow, from their submission to their end, beside the stock operator's."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.airflow.triggerer import Triggerer
from tests.airflow.e2e.jobs import REASON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.airflow.e2e.conftest import RunningAirflow

on_both_operators = pytest.mark.parametrize("dag_id", ["ours", "stock"])


@on_both_operators
def test_a_job_that_succeeds(airflow: RunningAirflow, dag_id: str) -> None:
    """Its task succeeds, and returns the id of the job."""
    airflow.wait_for_state(dag_id, "succeeds", "success")
    job = airflow.jobs(dag_id)["succeeds"]
    assert job["status"] == "SUCCEEDED"
    assert airflow.rest.xcom(dag_id, airflow.runs[dag_id], "succeeds") == job["jobId"]


@on_both_operators
def test_a_job_that_fails(airflow: RunningAirflow, dag_id: str) -> None:
    """Its task fails; ours says why, and the stock operator's does not."""
    airflow.wait_for_state(dag_id, "fails", "failed")
    assert airflow.jobs(dag_id)["fails"]["status"] == "FAILED"
    log = airflow.log(dag_id, "fails", "1.log")
    assert (REASON in log) is (dag_id == "ours")
    if dag_id == "ours":
        assert "137" in log


def test_a_triggers_log_has_the_changes_of_its_job(airflow: RunningAirflow) -> None:
    """One line for each, in the log of the task that it belongs to."""
    airflow.wait_for_state("ours", "succeeds", "success")
    log = airflow.log("ours", "succeeds", "1.log.trigger.*")
    job = airflow.jobs("ours")["succeeds"]
    assert "RUNNING" in log
    assert "SUCCEEDED" in log
    assert airflow.jobs("ours")["fails"]["jobId"] not in log
    assert job["jobId"] in log


def test_a_task_that_is_marked_failed(airflow: RunningAirflow) -> None:
    """Its job is terminated."""
    airflow.wait_for_state("killed", "endless", "deferred")
    job_id = airflow.jobs("killed")["endless"]["jobId"]
    # Whatever is deferred may not have reached a triggerer yet, which then has nothing to kill.
    airflow.servers.wait_until(
        "the trigger checks its job", lambda: _checks(airflow, job_id) >= 2, seconds=30
    )
    airflow.rest.set_state("killed", airflow.runs["killed"], "endless", "failed")
    job = airflow.servers.wait_until(
        "the job is FAILED",
        lambda: (found := airflow.jobs("killed")["endless"])["status"] == "FAILED" and found,
        seconds=30,
    )
    assert job["isTerminated"]
    assert airflow.state("killed", "endless") == "failed"
    timed_out = {job["jobId"] for job in airflow.jobs("timed-out").values()}
    assert set(airflow.batch.statistics()["terminated"]) - timed_out == {job_id}


def test_a_task_that_times_out(airflow: RunningAirflow) -> None:
    """Its job is terminated before the task fails, so that a retry would not run beside it."""
    airflow.wait_for_state("timed-out", "endless", "failed")
    job = airflow.jobs("timed-out")["endless"]
    assert (job["status"], job["isTerminated"]) == ("FAILED", True)
    assert "The Airflow task ended before it" in job["statusReason"]


def test_all_servers_listen_on_the_loopback_address(airflow: RunningAirflow) -> None:
    """Nobody else can reach the API server, in which everybody may do everything."""
    addresses = {address for pid in _processes_of(airflow) for address in _listening(pid)}
    assert addresses == {"127.0.0.1"}


def test_a_triggerer_that_stands_still(airflow: RunningAirflow) -> None:
    """Another takes its triggers over, and Airflow tells it of kills; but the job goes on until there is one."""
    job_id = _start_and_defer(airflow, "handed-over", "endless")
    runner = Triggerer(airflow.triggerer).runner
    assert runner is not None
    os.kill(runner, signal.SIGSTOP)
    try:
        before = _checks(airflow, job_id)
        second = airflow.servers.start("triggerer")
        airflow.servers.wait_until(
            "the second triggerer checks the job", lambda: _checks(airflow, job_id) > before + 1, 60
        )
    finally:
        os.kill(runner, signal.SIGCONT)
    airflow.servers.wait_until(
        "the first one is told of a kill", lambda: "invoking on_kill" in _triggers_log(airflow), 30
    )
    airflow.servers.wait_until(
        "it leaves the job alone", lambda: "goes on: its task is still deferred" in _triggers_log(airflow), 10
    )
    assert airflow.jobs("handed-over")["endless"]["status"] == "RUNNING"
    airflow.rest.set_state("handed-over", airflow.runs["handed-over"], "endless", "failed")
    airflow.servers.wait_until(
        "the job is FAILED", lambda: airflow.jobs("handed-over")["endless"]["status"] == "FAILED", 30
    )
    airflow.triggerer.kill()
    airflow.triggerer = second


def test_a_triggerer_that_is_killed(airflow: RunningAirflow) -> None:
    """Another takes its triggers over, and the task succeeds without a second job. It comes last."""
    job_id = _start_and_defer(airflow, "taken-over", "slow")
    airflow.triggerer.kill()
    before = _checks(airflow, job_id)
    assert airflow.state("taken-over", "slow") == "deferred"
    airflow.servers.start("triggerer")
    airflow.servers.wait_until(
        "the second triggerer checks the job", lambda: _checks(airflow, job_id) > before, 60
    )
    airflow.wait_for_state("taken-over", "slow", "success")
    job = airflow.jobs("taken-over")["slow"]
    assert (job["jobId"], job["status"]) == (job_id, "SUCCEEDED")


def _start_and_defer(airflow: RunningAirflow, dag_id: str, task_id: str) -> str:
    """The job of a task that has just started, and for which the first triggerer waits."""
    airflow.start_run(dag_id)
    airflow.wait_for_state(dag_id, task_id, "deferred")
    job_id: str = airflow.jobs(dag_id)[task_id]["jobId"]
    airflow.servers.wait_until(
        "the first triggerer checks the job", lambda: _checks(airflow, job_id) >= 2, 30
    )
    return job_id


def _checks(airflow: RunningAirflow, job_id: str) -> int:
    count: int = airflow.batch.statistics()["checks"].get(job_id, {}).get("count", 0)
    return count


def _triggers_log(airflow: RunningAirflow) -> str:
    return airflow.log("handed-over", "endless", "1.log.trigger.*")


def _processes_of(airflow: RunningAirflow) -> Iterator[int]:
    """The processes of all servers, found by their groups."""
    groups = {server.pid for server in airflow.servers}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) in groups:
                yield int(folder.name)
        except ProcessLookupError:
            continue


def _listening(pid: int) -> Iterator[str]:
    """The addresses on which a process listens."""
    sockets = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    for version in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{version}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                yield _address(local.partition(":")[0])


def _address(number: str) -> str:
    """An address as /proc/net has it, in words of the machine's own order of bytes."""
    if len(number) > 8:
        return number
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(number)))
