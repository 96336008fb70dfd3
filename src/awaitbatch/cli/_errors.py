"""What an error means to whoever uses the command: a sentence, and an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import botocore.exceptions as botocore_errors

from awaitbatch import AwaitBatchError, DescribeError, InvalidJobIdError, JobFailedError, JobNotFoundError
from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import message_of, one_line
from awaitbatch._failures import classify
from awaitbatch.cli._exit_codes import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_REGION: Final = "there is no AWS region: give --region, or set AWS_REGION, or name one in the profile"
_BAD_REGION: Final = "{}; check --region, AWS_REGION or the profile"
_NO_PROFILE: Final = "{}; `aws configure list-profiles` shows which there are"
_NOT_FOUND: Final = "AWS Batch does not know it; check the id, the account and the region"
_NO_LONGER_FOUND: Final = "AWS Batch does not know it any more"
_BAD_FILE: Final = "{}; correct the AWS configuration file"


def _of_call(error: BaseException) -> str:
    failure = classify(error, operation=getattr(error, "operation_name", "DescribeJobs"))
    return f"{failure.message.rstrip('. ')}; {_in_options(failure.advice)}"


def why_missing(error: JobNotFoundError) -> str:
    """What to say of a job that AWS Batch does not know."""
    return _NO_LONGER_FOUND if error.seen else _NOT_FOUND


def _of_missing(error: BaseException) -> str:
    assert isinstance(error, JobNotFoundError)  # noqa: S101
    return f"job {one_line(error.job_id)}: {why_missing(error)}"


def _in_options(advice: str) -> str:
    """The advice, with the option in place of the argument of BatchClient."""
    return advice.replace("endpoint_url", "--endpoint-url")


_TABLE: Final[tuple[tuple[type[BaseException], ExitCode, str | Callable[[BaseException], str]], ...]] = (
    (botocore_errors.NoRegionError, ExitCode.USAGE, _NO_REGION),
    (botocore_errors.InvalidRegionError, ExitCode.USAGE, _BAD_REGION),
    (botocore_errors.ProfileNotFound, ExitCode.USAGE, _NO_PROFILE),
    (botocore_errors.ConfigParseError, ExitCode.USAGE, _BAD_FILE),
    (botocore_errors.ConfigNotFound, ExitCode.USAGE, _BAD_FILE),
    (InvalidJobIdError, ExitCode.USAGE, "{}"),
    (JobNotFoundError, ExitCode.NOT_FOUND, _of_missing),
    (JobFailedError, ExitCode.JOB_FAILED, "{}"),
    (AwaitBatchError, ExitCode.AWS, "{}"),
    (botocore_errors.BotoCoreError, ExitCode.AWS, _of_call),
    (botocore_errors.ClientError, ExitCode.AWS, _of_call),
)
"""Error, exit code, and what to print; the first that fits counts."""


def first_of(error: BaseException) -> BaseException:
    """The first error of a group of them that a task group has made."""
    while isinstance(error, BaseExceptionGroup) and not isinstance(error, AwaitBatchError):
        error = error.exceptions[0]
    return error


def explain(error: BaseException) -> CommandError | None:
    """What to print of an error, and how the command ends; None if nobody has foreseen it."""
    error = first_of(error)
    if isinstance(error, CommandError):
        return error
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        return CommandError(f"{message_of(error)}; check --endpoint-url")
    cause = error.__cause__ if isinstance(error, DescribeError) else None
    if cause is not None and classify(cause).kind is not FailureKind.REFUSED:
        # It is not the job's fault, so the job need not be named.
        return CommandError(_of_call(cause), ExitCode.AWS)
    for kind, code, text in _TABLE:
        if isinstance(error, kind):
            said = _in_options(message_of(error).rstrip(". "))
            message = text.format(said) if isinstance(text, str) else text(error)
            return CommandError(message, code)
    return None
