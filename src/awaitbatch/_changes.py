"""Changes of a job, as events: for observers, and for the ``on_change`` of a wait."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from awaitbatch._core.text import shared_line
from awaitbatch._jobs import TERMINAL
from awaitbatch._responses import decode_head
from awaitbatch.instrumentation._events import JobChanged

if TYPE_CHECKING:
    from awaitbatch._jobs import JobHead

OnChange = Callable[[JobChanged], object]
"""What hears of the changes of one job."""

_LAST_MOMENT: Final = 1 << 53
"""In epoch milliseconds. Greater numbers are no times, and might not fit into a float."""


class Changes:
    """Tells a function of each change of one job that the checks of a wait see.

    It is called in the context of whoever made this, since his log lines may depend on that; checks are made in
    another one.

    Args:
        on_change: The function.
        report: Hears of what it raises.
    """

    __slots__ = ("_context", "_on_change", "_order", "_previous", "_progress", "_reason", "_report")

    def __init__(
        self, on_change: OnChange, report: Callable[[OnChange, JobChanged, BaseException], None]
    ) -> None:
        self._on_change = on_change
        self._report = report
        self._context = contextvars.copy_context()
        self._previous: str | None = None
        self._reason: str | None = None
        self._progress: dict[str, int] | None = None
        self._order = (-1, -1)

    def note(self, item: bytes) -> None:
        """Tell of a change if this description, given as JSON, shows one."""
        head = decode_head(item)
        if head.status is None or head.order < self._order:
            return
        self._order = head.order
        previous, self._previous = self._previous, head.status
        reason, progress = shared_line(head.status_reason), head.progress
        # That AWS Batch no longer says why is no news.
        if previous == head.status and reason in {None, self._reason} and progress in (None, self._progress):
            return
        self._reason, self._progress = reason, progress
        self(job_changed(head, previous, head.status, reason, int(time.time() * 1000), item=item))

    def __call__(self, event: JobChanged) -> None:
        """Tell of this change; what that raises hurts nobody."""
        try:
            self._context.run(self._on_change, event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001
            # Not even a CancelledError is ours: nothing is awaited here.
            self._report(self._on_change, event, error)


def job_changed(
    head: JobHead,
    previous: str | None,
    status: str,
    reason: str | None,
    seen_at: int,
    *,
    item: bytes | None,
    seconds: float | None = None,
) -> JobChanged:
    """The event of a job that has changed, with its description if there is one."""
    return JobChanged.of(
        item,
        job_id=head.job_id,
        previous=previous,
        status=status,
        # While an attempt is under way, it is not on record yet.
        attempt=head.attempts_ended + (status not in TERMINAL),
        created_at=milliseconds(head.created_at),
        started_at=milliseconds(head.started_at),
        stopped_at=milliseconds(head.stopped_at),
        seen_at=seen_at,
        reason=reason,
        seconds=seconds,
    )


def milliseconds(value: object) -> int | None:
    """A time as AWS gives it, if it is one."""
    return value if type(value) is int and abs(value) < _LAST_MOMENT else None
