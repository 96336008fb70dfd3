"""A modelled job: what was submitted, the states that it passes through, and the queue in which it waits."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from awaitbatch._jobs import TERMINAL, JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awaitbatch.testing._model.life_cycle import LifeCycle
    from awaitbatch.testing._model.requests import SubmitJob

NOT_STARTED = frozenset({JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE})
NOT_ENCODED = (-1, None, b"")


class Stop(NamedTuple):
    """A user's order to end a job.

    Attributes:
        operation: CancelJob or TerminateJob, also if the bulk operation was called.
        reason: Its reason.
        moment: When it was given.
    """

    operation: str
    reason: str
    moment: float


class Timeline(NamedTuple):
    """The states of a job and the moments at which they begin, the future included.

    The clock decides how much of it shows, so time passes without timers and without work.

    Attributes:
        begins: When each state begins; ``math.inf`` is never.
        states: The states.
        reason: Why it ends FAILED if its life cycle does not say so.
    """

    begins: list[float]
    states: list[JobStatus]
    reason: str | None = None

    @property
    def end(self) -> float:
        """The moment of the final state, past or future."""
        return self.begins[-1]

    @property
    def fails(self) -> bool:
        """Whether the final state, past or future, is FAILED."""
        return self.states[-1] is JobStatus.FAILED

    def stage(self, now: float) -> int:
        """The index of the state that shows now."""
        return max(bisect_right(self.begins, now) - 1, 0)

    def status(self, now: float) -> JobStatus:
        """The state that shows now."""
        return self.states[self.stage(now)]

    def cut(self, moment: float, state: JobStatus, reason: str | None) -> Timeline:
        """One that ends at that moment, in that state; what was still to come never happens."""
        kept = self.stage(moment) + 1
        if self.states[kept - 1] in TERMINAL:
            kept -= 1
        return Timeline([*self.begins[:kept], moment], [*self.states[:kept], state], reason)


UNPLANNED = Timeline([], [])


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One job; the parents of arrays and of nodes, and their children, are jobs too.

    Attributes:
        job_id: The job's id.
        number: Orders jobs by their submission.
        submission: The request that made it.
        life_cycle: What was planned for it; `timeline` knows what became of the plan.
        begin: When it was submitted.
        queue: Where it waits.
        timeline: Its states, as `planning` has them.
        children: The jobs of an array, or the nodes of a multi-node job, if it is the parent of such.
        parent: The array's or the multi-node job's parent, if it is a child.
        index: A child's place in its array or among its nodes.
        has_nodes: Whether its children, or those of its parent, are nodes.
        needs: The jobs that have to succeed before it leaves PENDING.
        dependants: The jobs that need it.
        stop: Who ordered its end, if anybody did.
        encoded: Its description as last encoded, with the stage and the statusReason for which that holds.
        shown: The furthest stage of its timeline that a description has shown.
        census: Counts its children by status; None until it is asked for.
    """

    job_id: str
    number: int
    submission: SubmitJob
    life_cycle: LifeCycle
    begin: float
    queue: Queue
    timeline: Timeline = UNPLANNED
    children: list[Job] = field(default_factory=list)
    parent: Job | None = None
    index: int | None = None
    has_nodes: bool = False
    needs: tuple[Job, ...] = ()
    dependants: list[Job] = field(default_factory=list)
    stop: Stop | None = None
    encoded: tuple[int, str | None, bytes] = NOT_ENCODED
    shown: int = 0
    census: Census | None = None

    def status(self, now: float) -> JobStatus:
        """The state that shows now."""
        return self.timeline.status(now)

    def ended_at(self, now: float) -> float | None:
        """The moment at which it ended, or None if it has not."""
        return self.timeline.end if self.status(now) in TERMINAL else None

    @property
    def is_array(self) -> bool:
        """Whether it is the parent of an array."""
        return bool(self.children) and not self.has_nodes

    def children_by_status(self, now: float) -> Counter[JobStatus]:
        """How many of its children are in which state."""
        if self.census is None:
            self.census = Census(self.children)
        return self.census.count(now)


class Queue:
    """The jobs of a queue in the order of their submission, and whether they may start.

    Attributes:
        jobs: The jobs, those that have ended included; children are with their parents.
        reason: Why none of them can start, if the queue is blocked.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.reason: str | None = None
        self._blocks: list[tuple[float, float]] = []
        # The first RUNNABLE job, since when it is, and until when nothing changes that by itself.
        self._head: tuple[Job, float, float] | None = None

    def block(self, now: float, reason: str) -> None:
        """Let no job start from now on; that of a queue that is blocked already gets another reason."""
        if self.reason is None:
            self._blocks.append((now, math.inf))
        self.reason = reason

    def unblock(self, now: float) -> None:
        """Let jobs start again."""
        if self.reason is not None:
            self._blocks[-1] = (self._blocks[-1][0], now)
            self.reason = None

    def start(self, moment: float) -> float:
        """When a job starts that would do so at that moment."""
        for begin, end in self._blocks:
            if begin < moment < end:
                return end
        return moment

    def reason_of(self, job: Job, now: float) -> str | None:
        """Why a job does not start, which only the first RUNNABLE job of a blocked queue says."""
        if self.reason is None or job.status(now) is not JobStatus.RUNNABLE:
            return None
        if self._head is not None:
            head, since, until = self._head
            if since <= now < until and head.status(now) is JobStatus.RUNNABLE:
                return self.reason if head is job else None
        until = math.inf
        for head in self._units():
            if head.status(now) is JobStatus.RUNNABLE:
                self._head = (head, now, until)
                return self.reason if head is job else None
            # It may become RUNNABLE, and then it is the first.
            until = min([until, *(begin for begin in head.timeline.begins if begin > now)])
        return None

    def forget_head(self) -> None:
        """Find the first job anew when it is asked for, since plans have changed."""
        self._head = None

    def front(self, now: float, most: int) -> list[tuple[Job, float]]:
        """The first RUNNABLE jobs, with the moments since when they are at their places."""
        found: list[tuple[Job, float]] = []
        # When somebody last joined or left the jobs looked at so far.
        changed = -math.inf
        for job in self._units():
            states, begins = job.timeline.states, job.timeline.begins
            stage = job.timeline.stage(now)
            if states[stage] is JobStatus.RUNNABLE:
                changed = max(changed, begins[stage])
                found.append((job, changed))
                if len(found) == most:
                    break
            elif JobStatus.RUNNABLE in states[:stage]:
                left = stage - states[:stage][::-1].index(JobStatus.RUNNABLE)
                changed = max(changed, begins[left])
        return found

    def _units(self) -> Iterator[Job]:
        """What is started on its own: single jobs, children of arrays, and multi-node jobs as wholes."""
        for job in self.jobs:
            if job.is_array:
                yield from job.children
            else:
                yield job


class Census:
    """Counts jobs by their states, at any moment, without a look at each: an array may have 10,000 children."""

    def __init__(self, jobs: list[Job]) -> None:
        self._entered: dict[JobStatus, list[float]] = {state: [] for state in JobStatus}
        self._left: dict[JobStatus, list[float]] = {state: [] for state in JobStatus}
        for job in jobs:
            before = -math.inf
            for state, begin, end in zip(
                job.timeline.states, job.timeline.begins, [*job.timeline.begins[1:], math.inf], strict=True
            ):
                # The first state shows also before it began.
                self._entered[state].append(before if before == -math.inf else begin)
                self._left[state].append(end)
                before = begin
        for moments in (*self._entered.values(), *self._left.values()):
            moments.sort()

    def count(self, now: float) -> Counter[JobStatus]:
        """How many are in which state now."""
        return Counter(
            {
                state: bisect_right(self._entered[state], now) - bisect_right(self._left[state], now)
                for state in JobStatus
            }
        )
