"""When a wait is over, and with which exit code. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from awaitbatch.cli._exit_codes import ExitCode, worst

if TYPE_CHECKING:
    from collections.abc import Iterable

Goal = Literal["ended", "running", "succeeded"]

_REACHED: Final = {
    "ended": {"SUCCEEDED", "FAILED"},
    "running": {"RUNNING", "SUCCEEDED"},
    "succeeded": {"SUCCEEDED"},
}
_STARTED: Final = frozenset({"RUNNING", "SUCCEEDED", "FAILED"})


class Verdict:
    """What becomes of a wait, from how its jobs fare.

    Args:
        job_ids: The jobs.
        goal: What each is to reach. A job that FAILED reaches nothing but its end.
        first: Whether one that has reached it is enough.
        fail_fast: Whether one that has failed, or cannot be followed, is enough. Without ``first``, the goal
            ``succeeded`` cannot be reached any more then, so that it is over, too.

    Attributes:
        pending: The jobs on which it still depends, in the order in which they were given.
        not_started: Those that have not begun to run.
    """

    def __init__(
        self, job_ids: Iterable[str], goal: Goal, *, first: bool = False, fail_fast: bool = False
    ) -> None:
        self.pending: dict[str, None] = dict.fromkeys(job_ids)
        self.not_started: set[str] = set(self.pending)
        self._reached = _REACHED[goal]
        self._first = first
        self._fail_fast = fail_fast or (goal == "succeeded" and not first)
        self._codes: set[ExitCode] = set()
        # The exit code of the first that has reached the goal, if one is enough.
        self._enough: ExitCode | None = None
        self._is_stopped = False

    def note(self, job_id: str, status: str) -> bool:
        """A job was seen in a state; whether that settles what becomes of it."""
        if status in _STARTED:
            self.not_started.discard(job_id)
        is_reached, is_failed = status in self._reached, status == "FAILED"
        if job_id not in self.pending or not (is_reached or is_failed):
            return False
        del self.pending[job_id]
        code = ExitCode.JOB_FAILED if is_failed else ExitCode.DONE
        self._codes.add(code)
        if is_reached and self._first and self._enough is None:
            self._enough = code
        self._is_stopped |= is_failed and self._fail_fast
        return True

    def note_trouble(self, job_id: str, code: ExitCode) -> None:
        """A job cannot be followed, for which the command would end with this exit code."""
        self.pending.pop(job_id, None)
        self.not_started.discard(job_id)
        self._codes.add(code)
        self._is_stopped |= self._fail_fast

    def time_out(self) -> None:
        """The time is up."""
        self._codes.add(ExitCode.TIMED_OUT)
        self._is_stopped = True

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return not self.pending or self._is_stopped or self._enough is not None

    @property
    def code(self) -> int:
        """The exit code, once it is over."""
        return worst(self._codes) if self._enough is None else self._enough
