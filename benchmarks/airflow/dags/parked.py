"""The one DAG of the benchmark; `benchmarks.airflow.deferred` makes its tasks and their triggers."""

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("parked", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None):
    # No scheduler runs there, so nothing becomes of a task whose trigger has fired.
    EmptyOperator(task_id="deferred")
