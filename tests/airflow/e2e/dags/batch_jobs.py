"""The DAGs of the end-to-end tests: each task submits one job to the queue of its DAG, and defers.

The parameters of a job are its life, as `awaitbatch.testing.LifeCycle` reads them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.batch import BatchOperator as StockOperator
from airflow.sdk import DAG

from awaitbatch.integrations.airflow import BatchOperator
from tests.airflow.e2e.jobs import ENDLESS, FAILING, SHORT, SLOW

if TYPE_CHECKING:
    from awaitbatch.testing import LifeCycle


def dag(
    name: str, operator: type[StockOperator], *, execution_timeout: timedelta | None = None, **jobs: LifeCycle
) -> DAG:
    """A DAG that starts when it is told to, with a task for each job."""
    arguments: dict[str, Any] = {
        "deferrable": True,
        "aws_conn_id": "aws_batch",
        "region_name": "us-east-1",
        "poll_interval": 1,
        "job_definition": "definition",
        "execution_timeout": execution_timeout,
    }
    with DAG(
        name, start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, is_paused_upon_creation=False
    ) as made:
        for task_id, life_cycle in jobs.items():
            parameters = life_cycle.to_parameters()
            operator(task_id=task_id, job_name=task_id, job_queue=name, parameters=parameters, **arguments)
    return made


ours = dag("ours", BatchOperator, succeeds=SHORT, fails=FAILING)
stock = dag("stock", StockOperator, succeeds=SHORT, fails=FAILING)
timed_out = dag("timed-out", BatchOperator, execution_timeout=timedelta(seconds=15), endless=ENDLESS)
killed = dag("killed", BatchOperator, endless=ENDLESS)
handed_over = dag("handed-over", BatchOperator, endless=ENDLESS)
taken_over = dag("taken-over", BatchOperator, slow=SLOW)
