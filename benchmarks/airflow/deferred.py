"""Put deferred tasks into the database of an Airflow, as many as a benchmark wants; run it as a module there.

It stands for the scheduler and the workers that would have run each task up to the moment at which it defers. Its one
argument is JSON: ``{"class": "package.module.Trigger", "arguments": [{…}, …]}``, with the arguments of each trigger.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from airflow._shared.timezones import timezone
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import DBDagBag
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

DAG_ID = "parked"
TASK_ID = "deferred"


def main() -> None:
    """Make one run of the DAG with a mapped task instance for each trigger, deferred to it."""
    wanted = json.load(sys.stdin)
    module, _, name = wanted["class"].rpartition(".")
    make = getattr(import_module(module), name)
    now = timezone.utcnow()
    with create_session() as session:
        version = DagVersion.get_latest_version(DAG_ID, session=session)
        dag = DBDagBag().get_dag(version.id, session=session)
        run = dag.create_dagrun(
            run_id=f"run-{now.timestamp()}",
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            start_date=now,
            session=session,
        )
        session.query(TaskInstance).filter(TaskInstance.run_id == run.run_id).delete()
        triggers = [Trigger.from_object(make(**arguments)) for arguments in wanted["arguments"]]
        session.add_all(triggers)
        session.flush()
        for index, trigger in enumerate(triggers):
            task = TaskInstance(
                dag.get_task(TASK_ID), dag_version_id=version.id, run_id=run.run_id, map_index=index
            )
            task.state = TaskInstanceState.DEFERRED
            task.trigger_id = trigger.id
            task.try_number = 1
            task.start_date = now
            task.next_method = "execute_complete"
            session.add(task)


if __name__ == "__main__":
    main()
