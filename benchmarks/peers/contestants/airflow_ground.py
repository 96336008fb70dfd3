"""Airflow's surroundings, without a database: a connection in the environment."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.peers.contestants.lane import Lane

CONNECTION = "aws_race"
PACKAGES = ("apache-airflow", "apache-airflow-providers-amazon", "aiobotocore", "botocore")


def prepare(lane: Lane) -> None:
    """Set the environment up; before anything of Airflow is imported."""
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"region_name": lane.order["region_name"], "endpoint_url": lane.endpoint_url},
    }
    os.environ.update(
        {
            "AIRFLOW_HOME": lane.order["scratch"],
            "AIRFLOW_CONN_" + CONNECTION.upper(): json.dumps(connection),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
    )
