"""Await AWS Batch jobs, thousands of them on one event loop."""

from awaitbatch._core.backoff import Backoff, ExponentialBackoff, FixedInterval, Window
from awaitbatch.client import BatchClient
from awaitbatch.coalescer import Statistics
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
from awaitbatch.jobs import JobStatus
from awaitbatch.protocol import BatchProtocol
from awaitbatch.transport import BatchTransport

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
