"""Lines about jobs in the logs of their triggers, at a pace that no host chokes on."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from awaitbatch._core.text import quantity
from awaitbatch.instrumentation._pace import MOST_A_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.instrumentation import JobChanged


class TaskLog:
    """Writes what becomes of one job, in the context of whoever makes this.

    All logs of a loop together have 20 lines in any second. They go through a socket that the triggerer's supervisor
    empties, and that holds fewer than 300: if 1,000 triggers write at once, the triggerer may stop for good. If lines
    come faster, the latest one of each job waits for its turn.

    Args:
        write: Writes a line.
    """

    __slots__ = ("_context", "_is_closed", "_left_out", "_line", "_queue", "_state", "_write")

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._context = contextvars.copy_context()
        self._queue = _queues.setdefault(asyncio.get_running_loop(), _Queue())
        self._line: str | None = None
        self._state = ""
        self._left_out = 0
        self._is_closed = False

    @property
    def was_seen(self) -> bool:
        """Whether the job was ever seen."""
        return bool(self._state)

    def on_change(self, event: JobChanged) -> None:
        """Note a change of the job."""
        # A wait that begins again tells anew in what state it finds the job, and does not know the one before.
        if (state := _line_of(event, event.status)) != self._state:
            self._state = state
            self.add(_line_of(event, event.previous))

    def add(self, line: str) -> None:
        """Note what has changed; it is written now, or when it is its turn."""
        if self._is_closed:
            return
        if self._line is None:
            self._left_out = 0
            self._queue.add(self)
        else:
            self._left_out += 1
        self._line = line
        self._queue.write()

    def close(self) -> None:
        """Drop what has not been written: a worker tells of the job's end, and this log is closed."""
        self._is_closed = True
        self._line = None

    def write(self) -> bool:
        """Write what waits; whether there was anything."""
        line, self._line = self._line, None
        if line is None:
            return False
        if self._left_out:
            line = f"{line} ({quantity(self._left_out, 'change', 'changes')} before it not shown)"
        # Whoever notices the change has another context, and lines would land in another log.
        self._context.run(self._write, line)
        return True


class _Queue:
    """Those who have something to write on one loop."""

    def __init__(self) -> None:
        self._logs: deque[TaskLog] = deque()
        # Not the timer itself: it refers to its loop, which would never be let go of if it ended meanwhile.
        self._has_timer = False
        self._written_at: deque[float] = deque(maxlen=MOST_A_SECOND)

    def add(self, log: TaskLog) -> None:
        self._logs.append(log)

    def write(self) -> None:
        """Write what may be written now, and see to the rest."""
        if self._has_timer:
            return
        loop = asyncio.get_running_loop()
        while self._logs:
            due = self._written_at[0] + 1 if len(self._written_at) == MOST_A_SECOND else -math.inf
            if loop.time() < due:
                loop.call_at(due, self._on_time, context=contextvars.Context())
                self._has_timer = True
                return
            if self._logs.popleft().write():
                self._written_at.append(loop.time())

    def _on_time(self) -> None:
        self._has_timer = False
        self.write()


_queues: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue]] = WeakKeyDictionary()


def _line_of(event: JobChanged, previous: str | None) -> str:
    before = f", was {previous}" if previous not in {None, event.status} else ""
    line = f"AWS Batch job ({event.job_id}) is {event.status}{before}"
    if event.reason:
        line = f"{line}: {event.reason}"
    progress = getattr(event, "progress", None)
    if progress:
        counts = ", ".join(f"{count} {status}" for status, count in progress.counts.items())
        line = f"{line}; children: {counts}"
    return line
