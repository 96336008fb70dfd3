"""A home with deferred tasks and triggerers; without a scheduler and workers, nothing else happens there."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from benchmarks.airflow.batch import Batch
from benchmarks.airflow.home import AirflowHome
from benchmarks.airflow.servers import Servers
from benchmarks.airflow.triggerer import Triggerer
from benchmarks.servers import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.airflow.contestants import Contestant

_DAGS: Final = Path(__file__).parent / "dags"
_SECONDS_TO_START: Final = 60
RUNNING: Final = {
    **dict.fromkeys(("submitted", "pending", "runnable", "starting"), (0, 0)),
    "running": (FOREVER,) * 2,
}
"""The life of jobs that run already, and outlast every measurement."""


@dataclass(slots=True)
class Stage:
    """The deferred tasks of one contestant, with AWS Batch and the triggerers.

    Attributes:
        contestant: Whose triggers they are.
        home: Where they are.
        servers: The triggerers.
        batch: AWS Batch.
        job_ids: The job of each task: of every run of the DAG in turn, by map index.
    """

    contestant: Contestant
    home: AirflowHome
    servers: Servers
    batch: Batch
    job_ids: dict[str, list[str]] = field(default_factory=dict)

    def defer(self, jobs: int, life: Mapping[str, Any] = RUNNING) -> None:
        """Add so many jobs, and as many deferred tasks that wait for them.

        Args:
            jobs: How many.
            life: Least and most seconds in each state, as `LifeCycleRanges` has them.
        """
        job_ids = self.batch.control("POST", "jobs", {"count": jobs, "ranges": life})
        wanted = {
            "class": self.contestant.trigger,
            "arguments": [self.contestant.arguments(job_id) for job_id in job_ids],
        }
        self.home.run("benchmarks.airflow.deferred", given=json.dumps(wanted))
        run_id = self.home.query("SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1")[0][0]
        self.job_ids[run_id] = job_ids

    def start_triggerer(self) -> Triggerer:
        """Start one, and wait until it is ready for triggers."""
        before = self._triggerers
        triggerer = Triggerer(self.servers.start("triggerer"))
        self.servers.wait_until(
            "the triggerer runs", lambda: triggerer.runner and self._triggerers > before, _SECONDS_TO_START
        )
        return triggerer

    @property
    def _triggerers(self) -> int:
        return int(self.home.query("SELECT count(*) FROM job WHERE job_type = 'TriggererJob'")[0][0])

    @property
    def deferred(self) -> int:
        """The tasks that still wait; no job ends by itself, so the others were failed or killed."""
        return int(self.home.query("SELECT count(*) FROM task_instance WHERE state = 'deferred'")[0][0])

    def jobs_of(self, triggerer_id: int) -> set[str]:
        """The jobs whose triggers one of the triggerers has."""
        rows = self.home.query(
            "SELECT run_id, map_index FROM task_instance JOIN trigger ON trigger.id = trigger_id "
            "WHERE triggerer_id = ?",
            triggerer_id,
        )
        return {self.job_ids[run_id][index] for run_id, index in rows}

    @property
    def triggerer_ids(self) -> list[int]:
        """The ids of those who have triggers."""
        rows = self.home.query("SELECT DISTINCT triggerer_id FROM trigger WHERE triggerer_id IS NOT NULL")
        return [row[0] for row in rows]

    def kill_all(self) -> None:
        """Mark all deferred tasks failed, as many users at once."""
        self.home.query("UPDATE task_instance SET state = 'failed' WHERE state = 'deferred'")

    def checked(self) -> int:
        """How many jobs AWS Batch has told of since the last reset."""
        return len(self.batch.statistics()["checks"])

    def wait_until_checked(self, jobs: int, seconds: float) -> bool:
        """Wait until so many jobs were checked, and return whether they were within so many seconds."""
        end = time.monotonic() + seconds
        while self.checked() < jobs:
            if time.monotonic() > end:
                return False
            time.sleep(0.5)
        return True

    def starts(self) -> list[float]:
        """When each trigger started, in epoch seconds and in order, as their logs have it."""
        found = []
        for path in self.home.logs.rglob("*.trigger.*.log"):
            with path.open(encoding="utf-8") as log:
                line = log.readline()
            if line.endswith("\n"):
                found.append(datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp())
        return sorted(found)


class Stages:
    """Makes stages, one after the other, each of its own.

    Args:
        batch: AWS Batch for all of them.
        directory: Where they are kept meanwhile.
    """

    def __init__(self, batch: Batch, directory: Path) -> None:
        self._batch = batch
        self._directory = directory
        self._template = AirflowHome(
            directory=directory / "template", dags=_DAGS, endpoint_url=batch.endpoint_url
        )
        self._template.prepare()

    @contextmanager
    def new(self, contestant: Contestant) -> Iterator[Stage]:
        """A home without tasks, and AWS Batch without faults, inside ``with``."""
        self._batch.reset()
        with TemporaryDirectory(
            prefix=contestant.name, dir=self._directory, ignore_cleanup_errors=True
        ) as name:
            home = replace(self._template, directory=Path(name) / "home")
            shutil.copytree(self._template.directory, home.directory)
            with Servers(home) as servers:
                yield Stage(contestant, home, servers, self._batch)


@contextmanager
def stages() -> Iterator[Stages]:
    """Stages inside ``with``, with an AWS Batch that is stopped at the end."""
    with Batch() as batch, TemporaryDirectory(prefix="awaitbatch-airflow-") as directory:
        yield Stages(batch, Path(directory))
