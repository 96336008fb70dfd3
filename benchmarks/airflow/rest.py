"""Airflow's REST API, as far as somebody needs it who starts runs and acts on their tasks."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any, Final

_SECONDS_PER_CALL: Final = 20


class Rest:
    """A client of one API server.

    Args:
        port: Where it listens, on the loopback address.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._token: str | None = None

    def is_up(self) -> bool:
        """Whether the server answers."""
        try:
            self._send("GET", "/api/v2/version")
        except OSError:
            return False
        return True

    def health(self) -> dict[str, Any]:
        """The state of each component, as it knows it from their heartbeats."""
        found: dict[str, Any] = self._call("GET", "/api/v2/monitor/health")
        return found

    def start_run(self, dag_id: str) -> str:
        """Start a run of a DAG, and return its id."""
        run_id = f"run-{time.time_ns()}"
        body = {"dag_run_id": run_id, "logical_date": None}
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        return run_id

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The task instances of a run, by the ids of their tasks."""
        found = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {task["task_id"]: task for task in found["task_instances"]}

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task ``failed`` or ``success``, as a user does by a click."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self._call("PATCH", path, {"new_state": state})

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> object:
        """What a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._call("GET", path)["value"]

    def _call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        if self._token is None:
            self._token = self._send("GET", "/auth/token")["access_token"]
        try:
            return self._send(method, path, body)
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace")[:1000])
            raise

    def _send(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SECONDS_PER_CALL) as response:  # noqa: S310
            return json.load(response)
