"""The process behind `MotoServer`: moto's server, its jobs moved by a driver, and its calls counted."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from moto.batch.models import BatchBackend, batch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from awaitbatch.testing._http.control import PREFIX
from awaitbatch.testing._model.statistics import ServerStatistics
from awaitbatch.testing._process.moto_driver import JobDriver, drive
from awaitbatch.testing._process.moto_server import MotoServer
from awaitbatch.testing._process.server_process import ANNOUNCEMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_DESCRIBE_JOBS = "DescribeJobs"


def create_resources(region_name: str) -> None:
    """Create what a submission needs: a role, a compute environment, a job queue and a job definition."""
    role = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].create_role(
        "awaitbatch",
        "{}",
        path="/",
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration=None,
    )
    batch: BatchBackend = batch_backends[DEFAULT_ACCOUNT_ID][region_name]
    environment = batch.create_compute_environment("awaitbatch", "UNMANAGED", "ENABLED", None, role.arn)  # type: ignore[arg-type]
    batch.create_job_queue(
        MotoServer.job_queue, "1", None, "ENABLED", [{"order": "1", "computeEnvironment": environment.arn}]
    )
    batch.register_job_definition(
        MotoServer.job_definition,
        parameters={},
        _type="container",
        tags={},
        retry_strategy={},
        container_properties={"image": "busybox", "vcpus": 1, "memory": 128, "command": ["sleep", "10"]},
        node_properties=None,
        eks_properties=None,
        timeout={},
        platform_capabilities=[],
        propagate_tags=False,
    )


class CallCounts:
    """Counts the DescribeJobs calls that moto gets, as `BatchServer` counts its own."""

    def __init__(self) -> None:
        self._statistics = ServerStatistics()
        # moto answers each call in a thread of its own.
        self._lock = threading.Lock()

    def record(self, body: bytes, status: str) -> None:
        """Count a call by what it asked and by the status line of its response."""
        with self._lock:
            self._statistics.record_call(_DESCRIBE_JOBS, time.time())
            if status.startswith("200 "):
                self._statistics.answered[_DESCRIBE_JOBS] += 1
                self._statistics.ids_described += len(json.loads(body)["jobs"])
            else:
                self._statistics.failed[_DESCRIBE_JOBS] += 1

    def to_dict(self) -> dict[str, Any]:
        """All counts, as `BatchServer` gives them."""
        with self._lock:
            return self._statistics.to_dict()


def with_control(application: Any, driver: JobDriver) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:  # noqa: ANN401
    """Put ``GET /_awaitbatch/ended`` and ``GET /_awaitbatch/statistics`` before moto's own application."""
    counts = CallCounts()

    def respond(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        path = environ["PATH_INFO"]
        if path in {f"{PREFIX}ended", f"{PREFIX}statistics"}:
            found = driver.ended.copy() if path.endswith("ended") else counts.to_dict()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(found).encode()]
        if path != f"/v1/{_DESCRIBE_JOBS.lower()}":
            untouched: Iterable[bytes] = application(environ, start_response)
            return untouched
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))

        def count_and_start(status: str, *rest: Any) -> Any:  # noqa: ANN401
            counts.record(body, status)
            return start_response(status, *rest)

        described: Iterable[bytes] = application({**environ, "wsgi.input": io.BytesIO(body)}, count_and_start)
        return described

    return respond


_PARENT_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the parent is still there."""


def main() -> None:
    """Serve on a free port of the loopback address until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--region", required=True)
    parser.add_argument("--until-input-ends", action="store_true", required=True)
    options = parser.parse_args()
    parent = os.getppid()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    driver = JobDriver(options.region)
    drive(driver, options.region)
    create_resources(options.region)
    driver.start()
    application = with_control(DomainDispatcherApplication(create_backend_app), driver)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"MotoServer {ANNOUNCEMENT} http://127.0.0.1:{server.server_port}", flush=True)
    # A fork of the parent may live on and keep the input open.
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], _PARENT_CHECK_INTERVAL)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            break


if __name__ == "__main__":
    main()
