"""What the Airflow benchmark is made of, as far as it needs no Airflow."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.airflow import steady
from benchmarks.airflow.batch import Batch, CheckStatistics
from benchmarks.airflow.home import AirflowError, AirflowHome
from benchmarks.airflow.servers import Servers, last_lines
from benchmarks.plots import starts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> AirflowHome:
    """A home where no Airflow is installed."""
    return AirflowHome(directory=tmp_path, dags=tmp_path, endpoint_url="http://127.0.0.1:1")


def call(batch: Batch, operation: str, **body: Any) -> None:
    """Make one call of AWS Batch."""
    url = f"{batch.endpoint_url}/v1/{operation.lower()}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())):
        pass


def test_the_longest_time_between_two_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is each job's own."""
    statistics = CheckStatistics()
    for now, job_ids in ((1.0, ["a", "b"]), (3.0, ["a"]), (8.0, ["a", "b"]), (9.0, ["a"])):
        monkeypatch.setattr("benchmarks.airflow.batch.time.time", lambda now=now: now)
        statistics.record_checks(job_ids)
    a, b = statistics.checks["a"], statistics.checks["b"]
    assert (a.first, a.last, a.longest, a.count) == (1, 9, 5, 4)
    assert (b.first, b.last, b.longest, b.count) == (1, 8, 7, 2)


def test_a_batch_remembers_checks_and_terminations() -> None:
    """Until it is told to begin anew."""
    with Batch() as batch:
        one, other = batch.control("POST", "jobs", [{}, {}])
        call(batch, "DescribeJobs", jobs=[one])
        call(batch, "TerminateJob", jobId=other, reason="a test")
        statistics = batch.statistics()
        assert [*statistics["checks"]] == [one]
        assert [*statistics["terminated"]] == [other]
        batch.reset()
        assert batch.statistics()["checks"] == {}


def test_a_server_that_ends_by_itself(home: AirflowHome) -> None:
    """Nobody waits for what it would have done, and its log says why."""
    with Servers(home) as servers:
        server = servers.start("triggerer")
        with pytest.raises(
            TimeoutError, match=r"triggerer ended by itself: never(?s:.*)No module named airflow"
        ):
            servers.wait_until("never", lambda: False, seconds=60)
        assert not server.is_running


def test_what_never_comes_to_be_so(home: AirflowHome) -> None:
    """The error says what was waited for."""
    with Servers(home) as servers, pytest.raises(TimeoutError, match=r"not within 0.2 s: the moon"):
        servers.wait_until("the moon", lambda: False, seconds=0.2)


def test_a_command_that_fails(home: AirflowHome) -> None:
    """The error has the end of its output."""
    with pytest.raises(AirflowError, match="No module named airflow"):
        home.prepare()


def test_settings_are_environment_variables(home: AirflowHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """None come from whoever starts it."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    variables = home.variables
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AWS_PROFILE" not in variables
    assert json.loads(variables["AIRFLOW_CONN_AWS_BATCH"])["extra"]["endpoint_url"] == "http://127.0.0.1:1"


def test_long_lines_of_logs_are_cut() -> None:
    """And only the last are shown."""
    shown = last_lines("first\n" + "x" * 1000 + "\n" + "\n".join(map(str, range(24)))).splitlines()
    assert (len(shown), len(shown[0]), shown[-1]) == (25, 400, "23")


def row(**changes: Any) -> dict[str, Any]:
    """What one run has found."""
    numbers = ("hand_over", "calls_a_minute", "cpu_percent", "memory_mb", "sockets", "triggers_lost")
    found = dict.fromkeys((*numbers, "warnings_at_start", "warnings_in_the_minute"), 1.0)
    return {
        **found,
        "all_checked": 2.0,
        "first_checks": [2.0],
        "calls": [[2, 1]],
        "memory": [[1, 1]],
    } | changes


def test_figures_are_above_those_of_the_idle_trigger() -> None:
    """Ours have targets, the provider's have none; who has not checked all jobs has no figure for it."""
    found = {
        "idle": row(memory_mb=100),
        "stock": row(memory_mb=900, all_checked=None),
        "ours": row(memory_mb=130, calls_a_minute=133),
        "idle, one trigger": row(memory_mb=90),
        "stock, one trigger": row(memory_mb=120),
    }
    figures = {figure.name: figure for figure in steady._figures(found)}
    assert figures["ours: memory above the idle trigger"].value == 30
    assert figures["ours: memory above the idle trigger"].met
    assert figures["ours: DescribeJobs a minute"].met is False
    assert figures["stock: memory above the idle trigger"].met is None
    assert figures["stock, one trigger: memory above one idle trigger"].value == 30
    assert "stock: all jobs checked after" not in figures
    assert figures["ours: the same after the last start"].value == 1


def test_the_picture_has_each_trigger() -> None:
    """And not the runs of one trigger."""
    kept: dict[str, Any] = {name: row() for name in ("idle", "stock", "ours", "idle, one trigger")} | {
        "figures": []
    }
    kept["ours"] |= {"first_checks": [*range(1, 41)], "calls": [[0, 2], [2, 3], [5, 10], [12, 1]]}
    shown = starts({"details": {"steady": kept}})
    assert shown.keys() == {"idle", "stock", "ours"}
    assert shown["ours"]["first_checks"] == [(20, 20), (40, 40)]
    assert shown["ours"]["calls"] == [1.0, 2.0, 0.2]
