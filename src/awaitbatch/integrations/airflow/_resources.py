"""Waits for compute environments and job queues, which DescribeJobs does not know."""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._core.text import one_line, quantity
from awaitbatch.errors import AwaitBatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from awaitbatch._client import BatchClient

_MAY_PASS: Final = frozenset({FailureKind.TRANSIENT, FailureKind.THROTTLED})
_PATIENCE: Final = 300.0
"""Seconds since a good answer for which calls may be refused: a policy or a role may be about to be replaced."""
_RETRY: Final = 5.0
"""Seconds at most until a call that failed is made again."""
_EARLY: Final = 0.8
"""The share of a pause after which a check may come, so that those who begin at once do not stay together."""


class Kind(NamedTuple):
    """What there is besides jobs.

    Attributes:
        noun: What it is called.
        operation: The operation of aiobotocore's client that describes it.
        argument: Its argument, and the member of its answer.
    """

    noun: str
    operation: str
    argument: str


COMPUTE_ENVIRONMENT: Final = Kind(
    "compute environment", "describe_compute_environments", "computeEnvironments"
)
JOB_QUEUE: Final = Kind("job queue", "describe_job_queues", "jobQueues")


class ResourceError(AwaitBatchError):
    """It will not be as awaited, or that cannot be found out."""


class Awaited(NamedTuple):
    """What is awaited of it, and for how long.

    Attributes:
        done: The states that end the wait well.
        pending: Those that are on the way to them; any other ends it badly.
        absent: What it means that AWS Batch does not know it: True that the wait is over, False that it has failed,
            None that it has to be asked for again.
        delay: Seconds from check to check.
        attempts: Checks at most; None for no limit. Calls that were throttled or failed by AWS's fault do not count.
    """

    done: Collection[str]
    pending: Collection[str]
    absent: bool | None
    delay: float
    attempts: float | None


async def wait_for_resource(
    client: BatchClient, kind: Kind, name: str, awaited: Awaited, on_change: Callable[[str], None]
) -> None:
    """Wait until a compute environment or a job queue is as awaited.

    Args:
        client: The client.
        kind: Which of the two.
        name: Its name or ARN.
        awaited: What is awaited.
        on_change: Called with a line at each new state.

    Raises:
        ResourceError: It is not there, has failed, or took too many checks; or the calls failed for good.
    """
    shown = f"AWS Batch {kind.noun} ({one_line(name)})"
    describe = _Describe(client, kind, name, shown)
    attempts = math.inf if awaited.attempts is None else max(awaited.attempts, 1)
    checks, last = 0, ""
    while True:
        found = await describe()
        checks += 1
        state = one_line(str(found.get("status"))) if found else ""
        why = f" ({one_line(str(found['statusReason']))})" if found and found.get("statusReason") else ""
        if state in awaited.done or (not found and awaited.absent):
            return
        if found and state not in awaited.pending:
            message = f"{shown} is {state}{why}"
            raise ResourceError(message)
        if not found and awaited.absent is False:
            message = f"{shown} not found; check its name, the region and the account"
            raise ResourceError(message)
        if checks >= attempts:
            seen = f"is still {state}{why}" if found else "was not found"
            message = f"{shown} {seen} after {quantity(checks, 'check', 'checks')}; allow more of them to wait longer"
            raise ResourceError(message)
        if state != last:
            on_change(f"{shown} is {state}{why}" if found else f"{shown} is not there yet")
            last = state
        await asyncio.sleep(random.uniform(_EARLY, 1) * awaited.delay)  # noqa: S311


class _Describe:
    """Describes one of them, again and again if calls fail in ways that pass."""

    def __init__(self, client: BatchClient, kind: Kind, name: str, shown: str) -> None:
        self._client, self._kind, self._name, self._shown = client, kind, name, shown
        self._answered_at = -math.inf

    async def __call__(self) -> dict[str, Any] | None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                # The client may be another one by now.
                operation = getattr(self._client.client, self._kind.operation)
                answer = await operation(**{self._kind.argument: [self._name]})
            except AwaitBatchError:
                raise
            except Exception as error:
                from awaitbatch._failures import classify

                operation_name = "".join(word.title() for word in self._kind.operation.split("_"))
                failure = classify(error, operation=operation_name)
                lasts = loop.time() - self._answered_at > _PATIENCE
                if failure.kind not in _MAY_PASS and (lasts or failure.kind is FailureKind.REFUSED):
                    message = (
                        f"{self._shown} cannot be described: {failure.message.rstrip('. ')}; {failure.advice}"
                    )
                    raise ResourceError(message) from error
                await asyncio.sleep(random.uniform(_RETRY / 2, _RETRY))  # noqa: S311
            else:
                self._answered_at = loop.time()
                found: list[dict[str, Any]] = answer[self._kind.argument]
                return found[0] if found else None
