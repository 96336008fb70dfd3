"""Await AWS Batch jobs, thousands of them on one event loop."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awaitbatch import errors as errors
    from awaitbatch import instrumentation as instrumentation
    from awaitbatch import testing as testing
    from awaitbatch import threads as threads
    from awaitbatch._arrays import JobProgress
    from awaitbatch._bulk import BulkResult
    from awaitbatch._client import BatchClient
    from awaitbatch._config import ClientArguments
    from awaitbatch._core.backoff import Backoff, ExponentialBackoff, FixedInterval, Window
    from awaitbatch._failure_causes import FailureCause
    from awaitbatch._job_results import JobChange, JobOutcome, JobResults, JobTrouble, WatchItem
    from awaitbatch._jobs import JobDescriptions, JobStatus, MatchStatus
    from awaitbatch._listing import JobSummaries
    from awaitbatch._log_fetchers import BatchLogFetcher
    from awaitbatch._protocol import BatchProtocol
    from awaitbatch._statistics import Statistics
    from awaitbatch._stream_handles import JobChanges, JobOutcomes, JobSubmissions, ReturnWhen
    from awaitbatch._submission_stream import Submission
    from awaitbatch._transport import BatchTransport
    from awaitbatch._wait_limits import WaitLimits
    from awaitbatch._waiters import JobWaiter, WaiterConfig
    from awaitbatch.errors import (
        AwaitBatchError,
        BulkError,
        CallError,
        ClientClosedError,
        DescribeError,
        InvalidJobIdError,
        JobFailedError,
        JobNotCompleteError,
        JobNotFoundError,
        JobsFailedError,
        MaxRetriesExceededError,
        ResourceInvalidError,
        ResourceNotFoundError,
        StatusUnreachableError,
        SubmitUncertainError,
        TerminationError,
        UnknownJobStatusError,
    )
    from awaitbatch.instrumentation._events import JobStuck

__all__ = [
    "AwaitBatchError",
    "Backoff",
    "BatchClient",
    "BatchLogFetcher",
    "BatchProtocol",
    "BatchTransport",
    "BulkError",
    "BulkResult",
    "CallError",
    "ClientArguments",
    "ClientClosedError",
    "DescribeError",
    "ExponentialBackoff",
    "FailureCause",
    "FixedInterval",
    "InvalidJobIdError",
    "JobChange",
    "JobChanges",
    "JobDescriptions",
    "JobFailedError",
    "JobNotCompleteError",
    "JobNotFoundError",
    "JobOutcome",
    "JobOutcomes",
    "JobProgress",
    "JobResults",
    "JobStatus",
    "JobStuck",
    "JobSubmissions",
    "JobSummaries",
    "JobTrouble",
    "JobWaiter",
    "JobsFailedError",
    "MatchStatus",
    "MaxRetriesExceededError",
    "ResourceInvalidError",
    "ResourceNotFoundError",
    "ReturnWhen",
    "Statistics",
    "StatusUnreachableError",
    "Submission",
    "SubmitUncertainError",
    "TerminationError",
    "UnknownJobStatusError",
    "WaitLimits",
    "WaiterConfig",
    "WatchItem",
    "Window",
    "__version__",
]

__version__ = "0.1.0"

# aiobotocore alone takes a quarter of a second to import, which `awaitbatch --help` has no need of.
_MODULES = {
    "Backoff": "_core.backoff",
    "BatchClient": "_client",
    "BatchLogFetcher": "_log_fetchers",
    "BatchProtocol": "_protocol",
    "BatchTransport": "_transport",
    "BulkResult": "_bulk",
    "ClientArguments": "_config",
    "ExponentialBackoff": "_core.backoff",
    "FailureCause": "_failure_causes",
    "FixedInterval": "_core.backoff",
    "JobChange": "_job_results",
    "JobChanges": "_stream_handles",
    "JobDescriptions": "_jobs",
    "JobOutcome": "_job_results",
    "JobOutcomes": "_stream_handles",
    "JobProgress": "_arrays",
    "JobResults": "_job_results",
    "JobStatus": "_jobs",
    "JobStuck": "instrumentation._events",
    "JobSubmissions": "_stream_handles",
    "JobSummaries": "_listing",
    "JobTrouble": "_job_results",
    "JobWaiter": "_waiters",
    "MatchStatus": "_jobs",
    "ReturnWhen": "_stream_handles",
    "Statistics": "_statistics",
    "Submission": "_submission_stream",
    "WaitLimits": "_wait_limits",
    "WaiterConfig": "_waiters",
    "WatchItem": "_job_results",
    "Window": "_core.backoff",
}


if not TYPE_CHECKING:
    # Type checkers have the names above, and would take any other for one that is there.

    def __getattr__(name: str) -> object:
        """Import a name, or a public module, when it is first asked for."""
        from importlib import import_module  # noqa: PLC0415

        if name in {"errors", "instrumentation", "testing", "threads"}:
            return import_module(f"{__name__}.{name}")
        if name not in __all__:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        # What is not listed is an error.
        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
