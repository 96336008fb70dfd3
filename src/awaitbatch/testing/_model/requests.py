"""The operations of the AWS Batch API that are modelled, and their requests as AWS names their members.

What is required is optional here, because the service refuses its absence in its own words. Members that the
model does not know are ignored.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from awaitbatch.testing._model.service_error import unreadable


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


class CancelJob(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html."""

    job_id: str = ""
    reason: str = ""


class TerminateJob(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html."""

    job_id: str = ""
    reason: str = ""


Call: TypeAlias = SubmitJob | DescribeJobs | ListJobs | CancelJob | TerminateJob

_DECODERS: Final[dict[str, msgspec.json.Decoder[Call]]] = {
    "SubmitJob": msgspec.json.Decoder(SubmitJob),
    "DescribeJobs": msgspec.json.Decoder(DescribeJobs),
    "ListJobs": msgspec.json.Decoder(ListJobs),
    "CancelJob": msgspec.json.Decoder(CancelJob),
    "TerminateJob": msgspec.json.Decoder(TerminateJob),
}

OPERATIONS: Final = tuple(_DECODERS)


def decode(operation: str, body: bytes) -> Call:
    """Decode the body of a call of one of `OPERATIONS`.

    Raises:
        ServiceError: It is not what the operation takes.
    """
    try:
        return _DECODERS[operation].decode(body)
    except msgspec.DecodeError as error:
        raise unreadable(str(error)) from None
