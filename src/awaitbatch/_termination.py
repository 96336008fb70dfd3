"""TerminateJob and CancelJob: paced, and tried again, which does no harm."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import CutOffError, classify
from awaitbatch.errors import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch._call_queue import CallQueue

_TRIES: Final = 5
"""How often to try to end a job if calls fail in ways that may pass; it takes up to a quarter of a minute."""


async def end_job(
    queue: CallQueue, operation: str, job_id: str, reason: str, *, pause: Callable[[int], float]
) -> dict[str, Any]:
    """Terminate or cancel a job.

    Args:
        queue: Where the calls wait for their turn.
        operation: ``"TerminateJob"`` or ``"CancelJob"``.
        job_id: The job.
        reason: For the job's record.
        pause: Seconds to wait after so many tries.

    Raises:
        ClientClosedError: The client was closed before AWS answered.
        Exception: Whatever the transport raises.
    """
    request = {"jobId": job_id, "reason": reason}
    may_be_done = False
    for number in itertools.count(1):
        try:
            return await queue.call(operation, request)
        except CutOffError:
            raise ClientClosedError.left_open(operation, request) from None
        except ClientClosedError:
            if may_be_done:
                raise ClientClosedError.left_open(operation, request) from None
            raise
        except Exception as error:
            # No failure is kept: it would refer to the error, the error to this frame, and the frame to the request.
            if number >= _TRIES or classify(error, operation=operation).kind is not FailureKind.TRANSIENT:
                raise
            may_be_done = may_be_done or classify(error, operation=operation).may_be_done
        await queue.pause(pause(number))
    raise AssertionError
