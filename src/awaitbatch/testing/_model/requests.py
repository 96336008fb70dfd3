"""The requests of the AWS Batch API that the model understands, as AWS names their members.

What is required is optional here, because the service refuses its absence in its own words. Members that the
model does not know are ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Request(msgspec.Struct, kw_only=True, rename="camel"):
    """The body of a call."""


class ArrayProperties(Request):
    """How many children an array job has."""

    size: int


class ContainerOverrides(Request):
    """What a submission changes of its job definition's container."""

    command: list[str] | None = None
    environment: list[dict[str, str]] = []
    resource_requirements: list[dict[str, str]] | None = None


class SubmitJob(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html."""

    job_name: str = ""
    job_queue: str = ""
    job_definition: str = ""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    array_properties: ArrayProperties | None = None
    container_overrides: ContainerOverrides = msgspec.field(default_factory=ContainerOverrides)
    depends_on: list[dict[str, str]] = []
    retry_strategy: dict[str, Any] | None = None
    timeout: dict[str, int] | None = None


class DescribeJobs(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html."""

    jobs: list[str] = []


class ListJobs(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html."""

    job_queue: str | None = None
    array_job_id: str | None = None
    multi_node_job_id: str | None = None
    job_status: str = "RUNNING"
    max_results: int | None = None
    next_token: str | None = None
    filters: list[dict[str, Any]] = []


class StopJob(Request):
    """CancelJob and TerminateJob.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html
    https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html
    """

    job_id: str = ""
    reason: str = ""
