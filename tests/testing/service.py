"""A service on literal times: bodies in, bodies out."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch.testing import LifeCycle
from awaitbatch.testing._model.account import Account
from awaitbatch.testing._model.batch import BatchModel
from awaitbatch.testing._model.service_error import ServiceError
from awaitbatch.testing._service import BatchService

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awaitbatch.testing import TokenBucket

TEN_SECONDS_EACH = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=10)


class Service(BatchService):
    """A service on literal times, whose bodies are given and taken as Python values."""

    def __init__(self, bucket: TokenBucket | Mapping[str, TokenBucket] | None = None) -> None:
        model = BatchModel(
            account=Account("eu-west-1", "111122223333"),
            default_life_cycle=TEN_SECONDS_EACH,
            description_bytes=2500,
            random=Random(1),
        )
        super().__init__(model, clock=lambda: self.now, bucket=bucket, latency=0, random=Random(2))
        self.now = 0.0

    def ask(self, operation: str, now: float, **request: object) -> dict[str, Any]:
        """Make a call."""
        self.now = now
        response: dict[str, Any] = json.loads(self._respond(operation, json.dumps(request).encode()).body)
        return response

    def refusal(self, operation: str, now: float = 0.0, **request: object) -> tuple[int, str | None]:
        """Make a call that is refused, and return HTTP status and code."""
        with pytest.raises(ServiceError) as caught:
            self.ask(operation, now, **request)
        return caught.value.http_status, caught.value.code

    def add(self, now: float = 0.0, *, life_cycle: LifeCycle | None = None, size: int | None = None) -> str:
        """Add a job, or an array of that size."""
        self.now = now
        return self.add_job(life_cycle=life_cycle, array_size=size)

    def see(self, job_id: str, now: float) -> dict[str, Any]:
        """Describe one job."""
        (description,) = self.ask("DescribeJobs", now, jobs=[job_id])["jobs"]
        assert isinstance(description, dict)
        return description

    def add_many(self, count: int, now: float = 0.0, **settings: Any) -> list[str]:
        """Add jobs that are alike."""
        self.now = now
        return [self.add_job(**settings) for _ in range(count)]

    def submit(self, now: float = 0.0, **request: object) -> str:
        """Submit a job."""
        job = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "definition", **request}
        job_id: str = self.ask("SubmitJob", now, **job)["jobId"]
        return job_id

    def statuses(self, now: float, *job_ids: str) -> list[str]:
        """The states of jobs, as DescribeJobs has them."""
        return [self.see(job_id, now)["status"] for job_id in job_ids]
