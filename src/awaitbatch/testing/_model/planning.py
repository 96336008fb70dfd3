"""What becomes of a job: its life cycle, and what others do to it, made into one timeline.

A timeline is a function of what is known now: the life cycle, the timelines of the jobs that it depends on, and the
orders to end it. When one of these changes, it is made again, which changes only what is still to come. So nothing has
to be done as time passes, and a change costs as much as there are jobs that it concerns.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from awaitbatch._jobs import TERMINAL, JobStatus
from awaitbatch.testing._model.job import NOT_ENCODED, NOT_STARTED, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from awaitbatch.testing._model.job import Job, Stop

DEPENDENCY_FAILED = "Dependent Job failed"
CHILD_FAILED = "Array Child Job failed"


def plan(job: Job) -> bool:
    """Make the timeline of a job anew, and return whether it has changed."""
    timeline = _parents_timeline(job) if job.children else _timeline(job)
    job.census = None
    if timeline == job.timeline:
        return False
    job.timeline = timeline
    job.encoded = NOT_ENCODED
    job.queue.forget_head()
    return True


def settle(changed: Iterable[Job]) -> list[Job]:
    """Plan anew who depends on jobs whose timelines have changed, and return all whose timelines have."""
    settled: list[Job] = []
    waiting = deque(changed)
    # Each parent once, after all of its children: an array may have 10,000.
    parents: dict[Job, None] = {}
    while waiting or parents:
        if not waiting:
            parent, _ = parents.popitem()
            if plan(parent):
                waiting.append(parent)
            continue
        job = waiting.popleft()
        settled.append(job)
        if job.parent is not None:
            parents[job.parent] = None
        waiting.extend(other for other in _followers(job) if plan(other))
    return settled


def stop(job: Job, order: Stop) -> list[Job]:
    """Order the end of a job, or of all children of a parent, and return the jobs whose own plans have changed.

    CancelJob leaves alone what has started, and nothing changes what has ended. `settle` has to follow.
    """
    changed = []
    for one in job.children or (job,):
        status = one.status(order.moment)
        ends = status in NOT_STARTED if order.operation == "CancelJob" else status not in TERMINAL
        if ends and one.stop is None:
            one.stop = order
            plan(one)
            one.encoded = NOT_ENCODED
            changed.append(one)
    if job.children and changed and job.stop is None:
        job.stop = order
    return changed


def _followers(job: Job) -> Iterator[Job]:
    yield from job.dependants
    if job.has_nodes and job.index == 0 and job.parent is not None:
        # The main node decides.
        yield from job.parent.children[1:]


def _timeline(job: Job) -> Timeline:
    timeline = _undisturbed(job)
    order = job.stop
    if order is not None:
        moment = order.moment
        if timeline.status(moment) in {JobStatus.SUBMITTED, JobStatus.PENDING}:
            # "A PENDING job is cancelled after all dependency jobs are completed."
            moment = max([moment, *(need.timeline.end for need in job.needs)])
        if moment <= timeline.end:
            timeline = timeline.cut(moment, JobStatus.FAILED, order.reason)
    if job.has_nodes and job.index and job.parent is not None:
        main = job.parent.children[0].timeline
        if main.end < timeline.end:
            timeline = timeline.cut(main.end, main.states[-1], main.reason)
    return timeline


def _undisturbed(job: Job) -> Timeline:
    """What a job would do if nobody ended it."""
    failures = [need.timeline.end for need in job.needs if need.timeline.fails]
    released = max((need.timeline.end for need in job.needs), default=job.begin)
    begins: list[float] = []
    states: list[JobStatus] = []
    moment = job.begin
    for state, seconds in job.life_cycle.stages():
        if state is JobStatus.RUNNABLE and states[-1] is JobStatus.PENDING:
            if failures:
                begins.append(max(moment, min(failures)))
                states.append(JobStatus.FAILED)
                return Timeline(begins, states, DEPENDENCY_FAILED)
            moment = max(moment, released)
        elif state is JobStatus.STARTING:
            moment = job.queue.start(moment)
        begins.append(moment)
        states.append(state)
        moment += seconds
    return Timeline(begins, states)


def _parents_timeline(parent: Job) -> Timeline:
    children = parent.children
    if parent.has_nodes:
        return children[0].timeline
    end = max(child.timeline.end for child in children)
    pending = min(parent.begin + parent.life_cycle.submitted, end)
    begins = [parent.begin, pending, end]
    states = [JobStatus.SUBMITTED, JobStatus.PENDING]
    if not any(child.timeline.fails for child in children):
        return Timeline(begins, [*states, JobStatus.SUCCEEDED])
    if parent.stop is not None:
        reason = parent.stop.reason
    elif any(need.timeline.fails for need in parent.needs):
        reason = DEPENDENCY_FAILED
    else:
        reason = CHILD_FAILED
    return Timeline(begins, [*states, JobStatus.FAILED], reason)
