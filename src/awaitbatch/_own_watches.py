"""The part of a `DescribeCoalescer` that one user of a shared client has."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awaitbatch._changes import OnChange
    from awaitbatch._coalescer import DescribeCoalescer
    from awaitbatch._core.backoff import Window
    from awaitbatch._core.outcomes import Outcome
    from awaitbatch._core.watch import Watch
    from awaitbatch._statistics import Statistics
    from awaitbatch.instrumentation._events import JobChanged

    Deliver = Callable[[Watch, Outcome | None, bytes | None], None]


class OwnWatches:
    """Knows which watches are his, and ends them without those of others.

    Args:
        coalescer: Who checks the jobs of all.
    """

    __slots__ = ("_coalescer", "_is_closed", "_last", "_own")

    def __init__(self, coalescer: DescribeCoalescer) -> None:
        self._coalescer = coalescer
        self._own: set[Watch] = set()
        # What the watch that was added last has for `deliver`; those of a stream have it in common.
        self._last: weakref.ref[partial[None]] | None = None
        self._is_closed = False

    def statistics(self, *, counts: bool) -> Statistics:
        """See `DescribeCoalescer.statistics`."""
        return self._coalescer.statistics(counts=counts)

    def window_of_first_check(self, latest: float) -> Window:
        """See `DescribeCoalescer.window_of_first_check`."""
        return self._coalescer.window_of_first_check(latest)

    def report(self, on_change: OnChange, event: JobChanged, error: BaseException) -> None:
        """See `DescribeCoalescer.report`."""
        self._coalescer.report(on_change, event, error)

    def add(self, watch: Watch, window: Window) -> None:
        """See `DescribeCoalescer.add`."""
        if self._is_closed:
            self._coalescer.refuse(watch)
            return
        last = None if self._last is None else self._last()
        if last is None or last.args[0] is not watch.deliver:
            last = partial(self._deliver, watch.deliver)
            self._last = weakref.ref(last)
        watch.deliver = last
        self._own.add(watch)
        self._coalescer.add(watch, window)

    def discard(self, watch: Watch) -> None:
        """See `DescribeCoalescer.discard`."""
        self._own.discard(watch)
        self._coalescer.discard(watch)

    def discard_all(self, watches: Sequence[Watch]) -> None:
        """See `DescribeCoalescer.discard_all`."""
        self._own.difference_update(watches)
        self._coalescer.discard_all(watches)

    async def close(self) -> None:
        """End the watches that are left, and all that are yet to come."""
        self._is_closed = True
        await self._coalescer.end(list(self._own))

    def _deliver(self, deliver: Deliver, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        if outcome is not None:
            self._own.discard(watch)
        deliver(watch, outcome, item)
