"""AWS Batch for an Airflow: a model of it in a process of its own, which remembers when it told of each job.

Run as a module it is that process; `Batch` starts one, and speaks with it from code that has no event loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import msgspec

from awaitbatch.testing import BatchServer, ServerProcess
from awaitbatch.testing._model.statistics import ServerStatistics
from awaitbatch.testing._process.server_process import ANNOUNCEMENT

if TYPE_CHECKING:
    from types import TracebackType

    from awaitbatch.testing._service import Response


@dataclass(slots=True)
class Checks:
    """When one job was told of.

    Attributes:
        first: The first time, in epoch seconds.
        last: The last time.
        longest: The longest time between two, in seconds.
        count: How often.
    """

    first: float
    last: float
    longest: float = 0.0
    count: int = 1


@dataclass(slots=True)
class CheckStatistics(ServerStatistics):
    """What a server has seen, with the checks of every job.

    Attributes:
        checks: Job id to its checks; only answers count, not calls that were throttled or hit by a fault.
        terminated: Job id to the moment at which TerminateJob was first answered for it.
    """

    checks: dict[str, Checks] = field(default_factory=dict)
    terminated: dict[str, float] = field(default_factory=dict)

    def record_checks(self, job_ids: list[str]) -> None:
        """These jobs have been told of now."""
        now = time.time()
        for job_id in job_ids:
            checks = self.checks.get(job_id)
            if checks is None:
                self.checks[job_id] = Checks(now, now)
            else:
                checks.longest = max(checks.longest, now - checks.last)
                checks.last = now
                checks.count += 1


class _Server(BatchServer):
    def __init__(self) -> None:
        # Without the bulk calls, each termination is one call, whatever a client can do: the harder case.
        super().__init__(lacking=("CancelJobs", "TerminateJobs"))
        self.reset_statistics()

    def reset_statistics(self) -> None:
        self.statistics = self._kept = CheckStatistics()

    def _respond(self, operation: str, body: bytes) -> Response:
        response = super()._respond(operation, body)
        request = msgspec.json.decode(body)
        if operation == "DescribeJobs":
            self._kept.record_checks(request["jobs"])
        elif operation == "TerminateJob":
            self._kept.terminated.setdefault(request["jobId"], time.time())
        return response


async def _serve() -> None:
    async with _Server() as server:
        print(f"BatchServer {ANNOUNCEMENT} {server.endpoint_url}", flush=True)
        # Also when whoever started it is killed.
        await asyncio.to_thread(sys.stdin.read)


class Batch:
    """A server of AWS Batch inside ``with``."""

    def __init__(self) -> None:
        self._process = ServerProcess(module="benchmarks.airflow.batch")

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return self._process.endpoint_url

    def control(self, method: str, resource: str, body: object = None) -> Any:  # noqa: ANN401
        """See `ServerProcess.control`."""
        return asyncio.run(self._process.control(method, resource, body))

    def statistics(self) -> dict[str, Any]:
        """What it has seen since the last `reset`: the members of `CheckStatistics`."""
        found: dict[str, Any] = self.control("GET", "statistics")
        return found

    def reset(self) -> None:
        """Begin to count anew, without faults and throttles."""
        self.control("DELETE", "statistics")
        self.control("DELETE", "faults")
        self.control("PUT", "throttle", {"rate": None})
        self.control("PUT", "throttle", {"rate": None, "operation": "TerminateJob"})

    def __enter__(self) -> Self:
        asyncio.run(self._process.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run(self._process.__aexit__(exc_type, exc, traceback))


if __name__ == "__main__":
    asyncio.run(_serve())
