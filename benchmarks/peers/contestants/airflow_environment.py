"""The environment variables that Airflow needs to run without a database; one of them is the connection."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.peers.contestants.harness import Harness

CONNECTION = "aws_race"
PACKAGES = ("apache-airflow", "apache-airflow-providers-amazon", "aiobotocore", "botocore")


def prepare(harness: Harness) -> None:
    """Set the environment variables; call it before anything of Airflow is imported."""
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"region_name": harness.settings["region_name"], "endpoint_url": harness.endpoint_url},
    }
    os.environ.update(
        {
            "AIRFLOW_HOME": harness.settings["scratch"],
            "AIRFLOW_CONN_" + CONNECTION.upper(): json.dumps(connection),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
    )
