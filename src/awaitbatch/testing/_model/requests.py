"""The operations of the AWS Batch API that are modelled, and their requests as AWS names their members.

What is required is optional here, because the service refuses its absence in its own words. A member that the model
does not know is refused too: to ignore it would let a test pass that AWS would fail.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import msgspec

from awaitbatch.testing._model.service_error import client_exception, unreadable


class Request(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """The body of a call, or a part of it."""


class ArrayProperties(Request):
    """How many children an array job has."""

    size: int | None = None


class ContainerOverrides(Request):
    """What a submission changes of its job definition's container."""

    command: list[str] | None = None
    environment: list[KeyValuePair] = []
    resource_requirements: list[ResourceRequirement] | None = None


class KeyValuePair(Request):
    """An environment variable."""

    name: str | None = None
    value: str | None = None


class ResourceRequirement(Request):
    """What a container needs of one resource."""

    value: str
    type: str


class JobDependency(Request):
    """Whom a job waits for; see `dependencies`."""

    job_id: str | None = None
    type: str | None = None


class NodeOverrides(Request):
    """How many nodes a multi-node job has."""

    num_nodes: int | None = None


class RetryStrategy(Request):
    """How often a job that fails is tried."""

    attempts: int | None = None


class JobTimeout(Request):
    """How many seconds an attempt may run."""

    attempt_duration_seconds: int | None = None


class SubmitJob(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html."""

    job_name: str = ""
    job_queue: str = ""
    job_definition: str = ""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    array_properties: ArrayProperties = msgspec.field(default_factory=ArrayProperties)
    node_overrides: NodeOverrides = msgspec.field(default_factory=NodeOverrides)
    container_overrides: ContainerOverrides = msgspec.field(default_factory=ContainerOverrides)
    depends_on: list[JobDependency] = []
    retry_strategy: RetryStrategy = msgspec.field(default_factory=RetryStrategy)
    timeout: JobTimeout = msgspec.field(default_factory=JobTimeout)
    propagate_tags: bool = True
    share_identifier: str | None = None


class DescribeJobs(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html."""

    jobs: list[str] = []


class Filter(Request):
    """What jobs a list is to have."""

    name: str = ""
    values: list[str] = []


class ListJobs(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html."""

    job_queue: str | None = None
    array_job_id: str | None = None
    multi_node_job_id: str | None = None
    job_status: str | None = None
    max_results: int | None = None
    next_token: str | None = None
    filters: list[Filter] = []


class StopJob(Request):
    """An order to end one job."""

    job_id: str = ""
    reason: str = ""


class CancelJob(StopJob):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJob.html."""


class TerminateJob(StopJob):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJob.html."""


class StopJobs(Request):
    """An order to end several jobs."""

    jobs: list[str] = []
    reason: str = ""


class CancelJobs(StopJobs):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_CancelJobs.html."""


class TerminateJobs(StopJobs):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJobs.html."""


class GetJobQueueSnapshot(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_GetJobQueueSnapshot.html."""

    job_queue: str = ""


class DescribeComputeEnvironments(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeComputeEnvironments.html."""

    compute_environments: list[str] = []
    max_results: int | None = None
    next_token: str | None = None


class DescribeJobQueues(Request):
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobQueues.html."""

    job_queues: list[str] = []
    max_results: int | None = None
    next_token: str | None = None


Call: TypeAlias = (
    SubmitJob
    | DescribeJobs
    | ListJobs
    | CancelJob
    | TerminateJob
    | CancelJobs
    | TerminateJobs
    | GetJobQueueSnapshot
    | DescribeComputeEnvironments
    | DescribeJobQueues
)

_CALLS: Final[tuple[type[Call], ...]] = (
    SubmitJob,
    DescribeJobs,
    ListJobs,
    CancelJob,
    TerminateJob,
    CancelJobs,
    TerminateJobs,
    GetJobQueueSnapshot,
    DescribeComputeEnvironments,
    DescribeJobQueues,
)
_DECODERS: Final = {call.__name__: msgspec.json.Decoder(call) for call in _CALLS}

OPERATIONS: Final = tuple(_DECODERS)

_UNKNOWN_FIELD: Final = re.compile(
    r"Object contains unknown field `(?P<name>[^`]*)`(?: - at `\$\.?(?P<path>.*)`)?"
)


def decode(operation: str, body: bytes) -> Call:
    """Decode the body of a call of one of `OPERATIONS`.

    Raises:
        ServiceError: It is not what the operation takes, or has a member that is not modelled.
    """
    try:
        return _DECODERS[operation].decode(body)
    except msgspec.DecodeError as error:
        unknown = _UNKNOWN_FIELD.fullmatch(str(error))
        if unknown is None:
            raise unreadable(str(error)) from None
        path = f"{unknown['path']}." if unknown["path"] else ""
        message = (
            f"this model of AWS Batch does not know the parameter {path}{unknown['name']} of {operation}, so it is "
            "refused: AWS Batch itself may accept it"
        )
        raise client_exception(message) from None
