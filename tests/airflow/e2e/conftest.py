"""One Airflow for all end-to-end tests: a server of each kind, and AWS Batch beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from benchmarks.airflow.batch import Batch
from benchmarks.airflow.home import AirflowHome
from benchmarks.airflow.rest import Rest
from benchmarks.airflow.servers import Server, Servers, last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS = {
    "scheduler.job_heartbeat_sec": "1",
    "scheduler.scheduler_heartbeat_sec": "1",
    # A triggerer is dead after 8 s of silence, not 30.
    "triggerer.job_heartbeat_sec": "1",
    "triggerer.triggerer_health_check_threshold": "8",
    # Its own process says nothing any more once that of its triggers has been silent for 3 s, not 30.
    "triggerer.runner_health_check_threshold": "3",
    # They were all read before anything started, and do not change.
    "dag_processor.min_file_process_interval": "600",
}
_SECONDS_TO_START = 90


@dataclass(slots=True)
class RunningAirflow:
    """The Airflow that the tests share.

    Attributes:
        home: Where its files are.
        servers: Its servers.
        triggerer: The one that was started first.
        rest: Its API.
        batch: The AWS Batch of its tasks.
        runs: DAG id to the id of the run that was started with the tests.
    """

    home: AirflowHome
    servers: Servers
    triggerer: Server
    rest: Rest
    batch: Batch
    runs: dict[str, str] = field(default_factory=dict)

    def start_run(self, dag_id: str) -> None:
        """Start a run of a DAG, which is its one and only."""
        self.runs[dag_id] = self.rest.start_run(dag_id)

    def state(self, dag_id: str, task_id: str) -> str | None:
        """The state of a task."""
        state: str | None = self.rest.tasks(dag_id, self.runs[dag_id])[task_id]["state"]
        return state

    def wait_for_state(self, dag_id: str, task_id: str, state: str, seconds: float = 90) -> None:
        """Wait until a task is in a state; the error has its logs and those of the servers."""
        try:
            self.servers.wait_until(
                f"{dag_id}.{task_id} is {state}", lambda: self.state(dag_id, task_id) == state, seconds
            )
        except TimeoutError as error:
            error.add_note(
                f"it is {self.state(dag_id, task_id)}; the end of its log:\n{last_lines(self.log(dag_id, task_id))}"
            )
            raise

    def log(self, dag_id: str, task_id: str, part: str = "*") -> str:
        """The logs of a task: those of its worker end on ``.log``, those of triggerers on ``.trigger.*.log``."""
        folder = self.home.logs / f"dag_id={dag_id}" / f"run_id={self.runs[dag_id]}" / f"task_id={task_id}"
        paths = sorted(folder.glob(f"attempt={part}"))
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)

    def jobs(self, queue: str) -> dict[str, dict[str, Any]]:
        """The jobs of a queue as AWS Batch describes them, by their names, which are the tasks'."""
        keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "testing")
        client = boto3.client("batch", "us-east-1", endpoint_url=self.batch.endpoint_url, **keys)
        states = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
        # A job that moves on meanwhile is found in its next state.
        found = {
            job["jobId"]: job["jobName"]
            for state in states
            for job in client.list_jobs(jobQueue=queue, jobStatus=state)["jobSummaryList"]
        }
        assert len(set(found.values())) == len(found), "a task submitted two jobs"
        if not found:
            return {}
        return {job["jobName"]: job for job in client.describe_jobs(jobs=list(found))["jobs"]}


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
    """A real Airflow in which all DAGs but the last test's run already."""
    with Batch() as batch:
        home = AirflowHome(
            directory=tmp_path_factory.mktemp("airflow"),
            dags=Path(__file__).parent / "dags",
            endpoint_url=batch.endpoint_url,
            settings=_SETTINGS,
        )
        home.prepare()
        with Servers(home) as servers:
            for kind in ("api-server", "scheduler", "dag-processor"):
                servers.start(kind)
            running = RunningAirflow(home, servers, servers.start("triggerer"), Rest(home.port), batch)
            servers.wait_until("the API server answers", running.rest.is_up, _SECONDS_TO_START)
            for dag_id in ("ours", "stock", "killed", "timed-out"):
                running.start_run(dag_id)
            yield running
