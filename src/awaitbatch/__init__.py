"""Await AWS Batch jobs, thousands of them on one event loop."""

from awaitbatch._client import BatchClient
from awaitbatch._coalescer import Statistics
from awaitbatch._core.backoff import Backoff, ExponentialBackoff, FixedInterval, Window
from awaitbatch._jobs import JobStatus
from awaitbatch._protocol import BatchProtocol
from awaitbatch._transport import BatchTransport
from awaitbatch.errors import (
    AwaitBatchError,
    ClientClosedError,
    DescribeError,
    InvalidJobIdError,
    JobFailedError,
    JobNotCompleteError,
    JobNotFoundError,
    MaxRetriesExceededError,
    SubmitUncertainError,
    UnknownJobStatusError,
)

__all__ = [
    "AwaitBatchError",
    "Backoff",
    "BatchClient",
    "BatchProtocol",
    "BatchTransport",
    "ClientClosedError",
    "DescribeError",
    "ExponentialBackoff",
    "FixedInterval",
    "InvalidJobIdError",
    "JobFailedError",
    "JobNotCompleteError",
    "JobNotFoundError",
    "JobStatus",
    "MaxRetriesExceededError",
    "Statistics",
    "SubmitUncertainError",
    "UnknownJobStatusError",
    "Window",
]
