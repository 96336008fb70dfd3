"""What a wait may set for itself: checked, and completed by what its client has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from awaitbatch._config import is_duration, max_retries_of, number, require_backoff, status_retries_of
from awaitbatch._core.backoff import Backoff, Window

if TYPE_CHECKING:
    from collections.abc import Collection

    from awaitbatch._core.watch import Rules

WHILE_ABSENT: Final = (Window(0.2, 0.4), Window(0.5, 0.8), Window(1.0, 1.4))
"""When a describe asks again for a job that an answer lacks, in seconds after it; a wait for a job queue, too.

A job that was just submitted can be absent for a moment, but who mistyped an id wants to know within three seconds.
"""


class WaitLimits(TypedDict, total=False):
    """Limits that each wait may set for itself; without one, or with None, the client's value applies.

    Attributes:
        backoff: When to check again.
        max_retries: Checks allowed after the first.
        status_retries: How many answers in a row may lack the job; ``max_retries`` does not count these checks.
    """

    backoff: Backoff | None
    max_retries: float | None
    status_retries: float | None


def rules_of(
    match_status: Collection[str] | None,
    limits: WaitLimits,
    *,
    max_retries: float,
    status_retries: float,
    backoff: Backoff,
) -> Rules:
    """The rules of a wait for one of these states: its own limits, and the client's in place of those that it lacks.

    Raises:
        TypeError: There is no such limit, or one is of a wrong type.
        ValueError: One makes no sense.
    """
    unknown = limits.keys() - WaitLimits.__annotations__
    if unknown:
        names = ", ".join(WaitLimits.__annotations__)
        message = f"unexpected keyword argument {min(unknown)!r}: a wait takes {names}"
        raise TypeError(message)
    own_backoff = limits.get("backoff")
    if own_backoff is not None:
        require_backoff(own_backoff)
    own_max_retries = max_retries_of(limits.get("max_retries"))
    own_status_retries = status_retries_of(limits.get("status_retries"))
    return {
        "match_status": match_status,
        "max_retries": max_retries if own_max_retries is None else own_max_retries,
        "status_retries": status_retries if own_status_retries is None else own_status_retries,
        "backoff": backoff if own_backoff is None else own_backoff,
    }


def stuck_after_of(given: float | None) -> float | None:
    """``stuck_after`` as a float, or None; raises what `number` does."""
    return (
        None if given is None else number(is_duration, "stuck_after", given, "a number of seconds, or None")
    )
