"""A home for an Airflow: its directory, its settings and its database."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
CONNECTION: Final = "aws_batch"
"""The id of the connection by which the tasks reach AWS Batch."""

_SECONDS_PER_COMMAND: Final = 120
_SECONDS_PER_STATEMENT: Final = 30
_LAST_CHARACTERS: Final = 3000


class AirflowError(Exception):
    """Airflow did not do what it was told; the message has the end of its output."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowHome:
    """An Airflow in a directory of its own, with sqlite as its database.

    Everything that runs there gets its settings as environment variables, and none of whoever starts it. Use the
    Python of an environment that has Airflow: it is found beside `sys.executable`.

    Attributes:
        directory: AIRFLOW_HOME. It holds the database, the logs and the generated secrets.
        dags: The directory of the DAG files.
        endpoint_url: Where the connection `CONNECTION` finds AWS Batch.
        settings: Further settings of Airflow, such as ``{"triggerer.capacity": "50"}``.
        port: Where its API server listens.
    """

    directory: Path
    dags: Path
    endpoint_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=_free_port)

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.directory / "airflow.db"

    @property
    def logs(self) -> Path:
        """The directory of the logs of tasks."""
        return self.directory / "logs"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of whatever runs there."""
        connection = {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {"region_name": "us-east-1", "endpoint_url": self.endpoint_url},
        }
        settings = {
            "api.base_url": f"http://127.0.0.1:{self.port}",
            "api.host": "127.0.0.1",
            "core.dags_folder": str(self.dags),
            "core.execution_api_server_url": f"http://127.0.0.1:{self.port}/execution/",
            "core.executor": "LocalExecutor",
            "core.load_examples": "False",
            # Whoever reaches the API server, on the loopback address, may do everything.
            "core.simple_auth_manager_all_admins": "True",
            # The generated configuration has paths that are absolute, and would lead out of a copy.
            "database.sql_alchemy_conn": f"sqlite:///{self.database}",
            "logging.base_log_folder": str(self.logs),
            "usage_data_collection.enabled": "False",
            **self.settings,
        }
        foreign = ("AIRFLOW", "AWS_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {
            **kept,
            **{_variable(name): value for name, value in settings.items()},
            "AIRFLOW_HOME": str(self.directory),
            f"AIRFLOW_CONN_{CONNECTION.upper()}": json.dumps(connection),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # So that triggers of this project's own can be imported, and its own scripts.
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    def prepare(self) -> None:
        """Make the database, and read the DAG files into it.

        Raises:
            AirflowError: A command failed, or a DAG file cannot be imported.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.run("airflow", "db", "migrate")
        self.run("airflow", "dags", "reserialize")
        errors = self.query("SELECT filename, stacktrace FROM import_error")
        if errors:
            texts = "\n".join(f"{name}: {text}" for name, text in errors)
            message = f"DAG files cannot be imported\n{texts}"
            raise AirflowError(message)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Execute one statement of SQL on the database, beside all that runs there."""
        with (
            closing(sqlite3.connect(self.database, timeout=_SECONDS_PER_STATEMENT)) as connection,
            connection,
        ):
            return connection.execute(statement, parameters).fetchall()

    def run(self, module: str, *arguments: str, given: str = "") -> str:
        """Run a module to its end, and return what it printed.

        Args:
            module: Its name.
            arguments: Its command line.
            given: Its standard input.

        Raises:
            AirflowError: It failed.
        """
        command = (sys.executable, "-m", module, *arguments)
        done = subprocess.run(  # noqa: S603
            command,
            env=self.variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=_SECONDS_PER_COMMAND,
            check=False,
        )
        if done.returncode:
            output = (done.stdout + done.stderr)[-_LAST_CHARACTERS:]
            message = f"{' '.join(command[1:])} ended with {done.returncode}:\n{output}"
            raise AirflowError(message)
        return done.stdout


def _variable(setting: str) -> str:
    section, _, name = setting.partition(".")
    return f"AIRFLOW__{section.upper()}__{name.upper()}"
