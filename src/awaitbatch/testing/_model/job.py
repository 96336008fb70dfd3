"""A modelled job: what was submitted, and the states that it passes through."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from awaitbatch._jobs import TERMINAL, JobStatus

if TYPE_CHECKING:
    from awaitbatch.testing._model.life_cycle import LifeCycle
    from awaitbatch.testing._model.requests import SubmitJob

NOT_STARTED = frozenset({JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE})


class Stop(NamedTuple):
    """A user's order that ended a job: CancelJob or TerminateJob."""

    operation: str
    reason: str


class Timeline:
    """The states of a job and the moments at which they begin, the future included.

    The clock decides how much of it shows, so time passes without timers and without work.
    """

    __slots__ = ("begins", "states")

    def __init__(self, life_cycle: LifeCycle, begin: float) -> None:
        self.begins: list[float] = []
        self.states: list[JobStatus] = []
        for moment, state in life_cycle.history(begin):
            self.begins.append(moment)
            self.states.append(state)

    @property
    def end(self) -> float:
        """The moment of the final state, past or future."""
        return self.begins[-1]

    def stage(self, now: float) -> int:
        """The index of the state that shows now."""
        return max(bisect_right(self.begins, now) - 1, 0)

    def cut(self, now: float, state: JobStatus) -> None:
        """End now, in that state; what was still to come never happens."""
        stage = self.stage(now)
        self.begins[stage + 1 :] = [now]
        self.states[stage + 1 :] = [state]


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One job, array parents and their children included.

    Attributes:
        job_id: The job's id.
        number: Orders jobs by their submission.
        submission: The request that made it.
        life_cycle: What was planned for it; `timeline` knows what became of the plan.
        timeline: Its states.
        children: The jobs of an array, if it is an array's parent.
        parent: The array's parent, if it is a child.
        index: A child's place in its array.
        stop: Who ended it, if its life cycle did not.
        encoded: Its description as last encoded, and the stage for which that holds.
        shown: The furthest stage of its timeline that a description has shown.
    """

    job_id: str
    number: int
    submission: SubmitJob
    life_cycle: LifeCycle
    timeline: Timeline
    children: list[Job] = field(default_factory=list)
    parent: Job | None = None
    index: int | None = None
    stop: Stop | None = None
    encoded: tuple[int, bytes] = (-1, b"")
    shown: int = 0

    def status(self, now: float) -> JobStatus:
        """The state that shows now."""
        return self.timeline.states[self.timeline.stage(now)]

    def ended_at(self, now: float) -> float | None:
        """The moment at which it ended, or None if it has not."""
        return self.timeline.end if self.status(now) in TERMINAL else None

    def end(self, now: float, stop: Stop) -> None:
        """End now on a user's order. An array ends with the last of its children."""
        if self.status(now) in TERMINAL:
            return
        self.stop = stop
        if self.children:
            for child in self.children:
                child.end(now, stop)
            return
        self.timeline.cut(now, JobStatus.FAILED)
        self.encoded = (-1, b"")
        if self.parent is not None:
            self.parent.follow_children()

    def follow_children(self) -> None:
        """Plan the end of an array's parent, which stays PENDING until all its children have ended."""
        end = max(child.timeline.end for child in self.children)
        failed = any(child.timeline.states[-1] is JobStatus.FAILED for child in self.children)
        begin = self.timeline.begins[0]
        pending = min(begin + self.life_cycle.submitted, end)
        self.timeline.begins = [begin, pending, end]
        self.timeline.states = [
            JobStatus.SUBMITTED,
            JobStatus.PENDING,
            JobStatus.FAILED if failed else JobStatus.SUCCEEDED,
        ]

    def children_by_status(self, now: float) -> Counter[JobStatus]:
        """How many children of an array are in which state."""
        return Counter(child.status(now) for child in self.children)
