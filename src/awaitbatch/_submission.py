"""SubmitJob: at most once, since it has no idempotency token."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import anyio

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import UnreadableResponseError, classify
from awaitbatch.errors import SubmitUncertainError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from awaitbatch._core.outcomes import Failure
    from awaitbatch._operations import Operations


async def submit_job(
    operations: Operations, request: Mapping[str, Any], *, tries: float, pause: Callable[[int], float]
) -> dict[str, Any]:
    """Submit a job; again only if AWS has certainly not taken it.

    Args:
        operations: Who makes the calls.
        request: boto3's parameters.
        tries: How often to try in all.
        pause: Seconds to wait after so many tries.

    Raises:
        SubmitUncertainError: The job may or may not have been submitted.
        ClientClosedError: The client is not open, or was closed between two tries.
    """
    for number in itertools.count(1):
        try:
            return _with_job_id(await operations.call("SubmitJob", **request))
        except Exception as error:
            # No failure is kept: it would refer to the error, the error to this frame, and the frame to the request.
            if _of(error).may_be_done:
                raise SubmitUncertainError.of(request, _of(error), number) from error
            if not _was_not_taken(_of(error)) or number >= tries:
                raise
        await anyio.sleep(pause(number))
    raise AssertionError


def _with_job_id(answer: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(answer.get("jobId"), str):
        message = "the answer to SubmitJob has no jobId"
        raise UnreadableResponseError(message)
    return answer


def _of(error: Exception) -> Failure:
    return classify(error, operation="SubmitJob")


def _was_not_taken(failure: Failure) -> bool:
    return failure.kind is FailureKind.THROTTLED or (
        failure.kind is FailureKind.TRANSIENT and not failure.was_sent
    )
