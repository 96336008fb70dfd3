"""The jobs of an account and the operations on them, as a pure model.

The time is an argument, `now`, in seconds; descriptions show it in milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import msgspec

from awaitbatch.testing._model.dependencies import resolve
from awaitbatch.testing._model.description import encode_description, milliseconds, status_reason, summarize
from awaitbatch.testing._model.job import Job, Queue, Stop
from awaitbatch.testing._model.life_cycle import LifeCycle, ParameterizedLives
from awaitbatch.testing._model.listing import list_jobs
from awaitbatch.testing._model.planning import plan, settle, stop
from awaitbatch.testing._model.requests import (
    CancelJob,
    CancelJobs,
    DescribeComputeEnvironments,
    DescribeJobQueues,
    DescribeJobs,
    GetJobQueueSnapshot,
    ListJobs,
    SubmitJob,
    TerminateJob,
    TerminateJobs,
)
from awaitbatch.testing._model.resources import Resources, compute_environment, job_queue
from awaitbatch.testing._model.service_error import JobError, client_exception, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from awaitbatch.testing._model.account import Account
    from awaitbatch.testing._model.requests import Call, StopJob, StopJobs

LifeCycleSource: TypeAlias = LifeCycle | Callable[[Random], LifeCycle]

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}(?:[:#][0-9]+)?", re.ASCII)
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)
_MOST_IDS = 100
_MOST_AT_FRONT = 100
_MOST_IDS_TO_STOP = 50
_LONGEST_REASON = 1024
_ARRAY_SIZES = range(2, 10_001)
_MOST_ATTEMPTS = 10
_SHORTEST_TIMEOUT = 60


_NONE_FAILS: Mapping[str, JobError] = {}


class BatchModel:
    """The jobs of one account in one region, and the operations on them.

    Args:
        account: Where everything lies.
        default_life_cycle: What becomes of jobs whose submission does not say; a callable is asked for each.
        description_bytes: The least size of a description.
        random: The source of ids and of random life cycles.

    Attributes:
        account: Where everything lies.
        jobs: All jobs by their ids, ended ones and the children of arrays included.
        compute_environments: All that were named.
        job_queues: All that were named, by jobs too.
    """

    def __init__(
        self,
        *,
        account: Account,
        default_life_cycle: LifeCycleSource,
        description_bytes: int,
        random: Random,
    ) -> None:
        self.account = account
        self.jobs: dict[str, Job] = {}
        self.compute_environments = Resources("compute-environment", account)
        self.job_queues = Resources("job-queue", account)
        self._queues: dict[str, Queue] = {}
        self._default_life_cycle = default_life_cycle
        self._description_bytes = description_bytes
        self._random = random
        self._submitted = 0

    def perform(self, request: Call, now: float, failing: Mapping[str, JobError] = _NONE_FAILS) -> bytes:
        """Do what a call asks for, and return the JSON of the response.

        Args:
            request: The call.
            now: When it arrives.
            failing: The jobs of a bulk call that are among its errors, whatever they are.

        Raises:
            ServiceError: The call is refused.
        """
        match request:
            case SubmitJob():
                response = self._submit_job(request, now)
            case DescribeJobs():
                response = self._describe_jobs(request, now)
            case ListJobs():
                response = self._list_jobs(request, now)
            case DescribeComputeEnvironments():
                response = self._describe_compute_environments(request, now)
            case DescribeJobQueues():
                response = self._describe_job_queues(request, now)
            case GetJobQueueSnapshot():
                response = self._snapshot(request, now)
            case CancelJob() | TerminateJob():
                response = self._stop_job(request, now)
            case CancelJobs() | TerminateJobs():
                response = self._stop_jobs(request, now, failing)
        return response

    def add_job(
        self,
        submission: SubmitJob,
        now: float,
        *,
        job_id: str | None = None,
        life_cycle: LifeCycle | None = None,
        children: Mapping[int, LifeCycle] | None = None,
    ) -> Job:
        """Add a job, with its children if it has some; ids and life cycles left open are drawn at random.

        Args:
            submission: What was submitted.
            now: When it was.
            job_id: Its id.
            life_cycle: What becomes of it, and of all its children.
            children: What becomes of single children, by their index.

        Raises:
            ValueError: The id is malformed or taken, the submission's parameters are no life cycle, it depends on what
                does not exist, or it has not so many children.
        """
        children = children or {}
        array_size, nodes = submission.array_properties.size, submission.node_overrides.num_nodes
        size = array_size or nodes or 0
        if job_id is None:
            job_id = str(UUID(int=self._random.getrandbits(128), version=4))
        elif not _JOB_ID.fullmatch(job_id) or job_id in self.jobs:
            message = f"not an id for a new job: {job_id!r}"
            raise ValueError(message)
        if not all(0 <= index < size for index in children):
            message = f"the job has {size} children, whose life cycles are given for {sorted(children)}"
            raise ValueError(message)
        lives = ParameterizedLives(submission.parameters)
        lives.check_indices(size)
        dependencies = resolve(submission, self.jobs)
        # Nothing is added before all is known to be in order.
        life_cycles = [
            children.get(index) or life_cycle or lives.life_cycle(index, self._draw_life_cycle())
            for index in range(size)
        ]
        job = self._new_job(
            submission, now, job_id, life_cycle or lives.life_cycle(None, self._draw_life_cycle())
        )
        job.has_nodes = array_size is None and nodes is not None
        job.needs = dependencies.whole
        for index, child_life_cycle in enumerate(life_cycles):
            child_id = f"{job_id}{'#' if job.has_nodes else ':'}{index}"
            child = self._new_job(submission, now, child_id, child_life_cycle)
            child.parent, child.index, child.has_nodes = job, index, job.has_nodes
            child.needs = dependencies.of_child(job.children)
            job.children.append(child)
        if job.has_nodes:
            job.life_cycle = job.children[0].life_cycle
        for added in (*job.children, job):
            plan(added)
            # A parent follows its children.
            for need in () if added.children else added.needs:
                need.dependants.append(added)
        for added in (job, *job.children):
            self.jobs[added.job_id] = added
        if not job.queue.jobs:
            self.job_queues.ensure(submission.job_queue, now)
        job.queue.jobs.append(job)
        return job

    def forget_job(self, job_id: str) -> None:
        """Let a job vanish; children stay unless they are forgotten, too."""
        job = self.jobs.pop(job_id, None)
        if job is not None and job.parent is None:
            job.queue.jobs.remove(job)
            job.queue.forget_head()

    def block_queue(self, queue: str, reason: str | None, now: float) -> None:
        """Let no job of a queue start from now on, for that reason; None lets them start again."""
        blocked = self._queue(queue)
        if reason is None:
            blocked.unblock(now)
        else:
            blocked.block(now, reason)
        for job in blocked.jobs:
            settle(one for one in job.children or (job,) if plan(one))

    def _queue(self, queue: str) -> Queue:
        return self._queues.setdefault(self.account.arn("job-queue", queue), Queue())

    def older_description(self, job_id: str, now: float) -> bytes:
        """The job as it was just before the newest state that a description has shown."""
        job = self.jobs[job_id]
        moment = math.nextafter(job.timeline.begins[job.shown], -math.inf)
        return encode_description(job, min(moment, now), self.account, self._description_bytes)

    def _draw_life_cycle(self) -> LifeCycle:
        source = self._default_life_cycle
        return source if isinstance(source, LifeCycle) else source(self._random)

    def _new_job(self, submission: SubmitJob, now: float, job_id: str, life_cycle: LifeCycle) -> Job:
        self._submitted += 1
        return Job(
            job_id=job_id,
            number=self._submitted,
            submission=submission,
            life_cycle=life_cycle.under(
                submission.retry_strategy.attempts, submission.timeout.attempt_duration_seconds
            ),
            begin=now,
            queue=self._queue(submission.job_queue),
        )

    def _submit_job(self, request: SubmitJob, now: float) -> bytes:
        require(
            _JOB_NAME.fullmatch(request.job_name),
            f"jobName is required and must match {_JOB_NAME.pattern}: {request.job_name!r}",
        )
        require(request.job_queue, "jobQueue is required")
        require(request.job_definition, "jobDefinition is required")
        self.job_queues.ensure(request.job_queue, now)
        require(
            self.job_queues.exists(request.job_queue, now), f"Job queue {request.job_queue} does not exist"
        )
        size, nodes = request.array_properties.size, request.node_overrides.num_nodes
        require(
            size is None or size in _ARRAY_SIZES,
            f"an array job has {_ARRAY_SIZES[0]} to {_ARRAY_SIZES[-1]} children",
        )
        require(nodes is None or nodes > 0, "a multi-node job has at least one node")
        require(size is None or nodes is None, "a job has children or nodes, not both")
        attempts, seconds = request.retry_strategy.attempts, request.timeout.attempt_duration_seconds
        require(
            attempts is None or 0 < attempts <= _MOST_ATTEMPTS, f"a job has 1 to {_MOST_ATTEMPTS} attempts"
        )
        require(
            seconds is None or seconds >= _SHORTEST_TIMEOUT,
            f"attemptDurationSeconds is at least {_SHORTEST_TIMEOUT}",
        )
        try:
            job = self.add_job(request, now)
        except ValueError as error:
            raise client_exception(str(error)) from None
        return msgspec.json.encode(
            {
                "jobArn": self.account.arn("job", job.job_id),
                "jobName": request.job_name,
                "jobId": job.job_id,
            }
        )

    def _describe_jobs(self, request: DescribeJobs, now: float) -> bytes:
        asked = len(request.jobs)
        require(0 < asked <= _MOST_IDS, f"jobs must name 1 to {_MOST_IDS} jobs, not {asked}")
        # One join of all pieces: a body of 350 KB takes longer to copy again than to look up its jobs.
        pieces = [b'{"jobs":[']
        for job_id in dict.fromkeys(request.jobs):
            job = self.jobs.get(job_id)
            if job is not None:
                if len(pieces) > 1:
                    pieces.append(b",")
                pieces.append(self._description(job, now))
            else:
                require(_JOB_ID.fullmatch(job_id), f"not a job id: {job_id!r}")
        pieces.append(b"]}")
        return b"".join(pieces)

    def _description(self, job: Job, now: float) -> bytes:
        stage = job.timeline.stage(now)
        job.shown = max(job.shown, stage)
        reason = status_reason(job, now)
        known_stage, known_reason, encoded = job.encoded
        # What an array's parent says of its children changes between its own stages.
        if stage != known_stage or reason != known_reason or job.children:
            encoded = encode_description(job, now, self.account, self._description_bytes)
            job.encoded = (stage, reason, encoded)
        return encoded

    def _list_jobs(self, request: ListJobs, now: float) -> bytes:
        page = list_jobs(request, self._listed(request), now, self.account)
        response: dict[str, Any] = {
            "jobSummaryList": [summarize(job, now, self.account) for job in page.jobs]
        }
        if page.next_token is not None:
            response["nextToken"] = page.next_token
        return msgspec.json.encode(response)

    def _listed(self, request: ListJobs) -> list[Job]:
        """The jobs that a ListJobs call is about, in the order of their submission."""
        match (request.job_queue, request.array_job_id, request.multi_node_job_id):
            case (str(queue), None, None):
                return self._queue(queue).jobs
            case (None, str(parent_id), None) | (None, None, str(parent_id)):
                parent = self.jobs.get(parent_id)
                is_right = parent is not None and parent.has_nodes == (request.multi_node_job_id is not None)
                return parent.children if parent is not None and is_right else []
            case _:
                message = "exactly one of jobQueue, arrayJobId and multiNodeJobId is required"
                raise client_exception(message)

    def _describe_compute_environments(self, request: DescribeComputeEnvironments, now: float) -> bytes:
        page, token = self.compute_environments.describe(
            request.compute_environments, request.max_results, request.next_token, now, compute_environment
        )
        return msgspec.json.encode(_with_token({"computeEnvironments": page}, token))

    def _describe_job_queues(self, request: DescribeJobQueues, now: float) -> bytes:
        page, token = self.job_queues.describe(
            request.job_queues, request.max_results, request.next_token, now, job_queue
        )
        return msgspec.json.encode(_with_token({"jobQueues": page}, token))

    def _snapshot(self, request: GetJobQueueSnapshot, now: float) -> bytes:
        require(request.job_queue, "jobQueue is required")
        front = [
            {"jobArn": self.account.arn("job", job.job_id), "earliestTimeAtPosition": milliseconds(since)}
            for job, since in self._queue(request.job_queue).front(now, _MOST_AT_FRONT)
        ]
        return msgspec.json.encode({"frontOfQueue": {"jobs": front, "lastUpdatedAt": milliseconds(now)}})

    def _stop_job(self, request: CancelJob | TerminateJob, now: float) -> bytes:
        require(_JOB_ID.fullmatch(request.job_id), f"jobId is required as a job id: {request.job_id!r}")
        self._stop([request.job_id], request, now)
        return b"{}"

    def _stop_jobs(
        self, request: CancelJobs | TerminateJobs, now: float, failing: Mapping[str, JobError]
    ) -> bytes:
        asked = len(request.jobs)
        require(0 < asked <= _MOST_IDS_TO_STOP, f"jobs must name 1 to {_MOST_IDS_TO_STOP} jobs, not {asked}")
        job_ids = dict.fromkeys(request.jobs)
        malformed = {
            job_id: JobError("ValidationException", f"not a job id: {job_id!r}")
            for job_id in job_ids
            if not _JOB_ID.fullmatch(job_id)
        }
        errors = {**failing, **malformed}
        successful = [job_id for job_id in job_ids if job_id not in errors]
        self._stop(successful, request, now)
        failed = [
            {"job": job_id, "code": errors[job_id].code, "message": errors[job_id].message}
            for job_id in job_ids
            if job_id in errors
        ]
        return msgspec.json.encode({"successful": successful, "errors": failed})

    def _stop(self, job_ids: Iterable[str], request: StopJob | StopJobs, now: float) -> None:
        reason = len(request.reason)
        require(0 < reason <= _LONGEST_REASON, f"reason is required, in 1 to {_LONGEST_REASON} characters")
        order = Stop(type(request).__name__.removesuffix("s"), request.reason, now)
        jobs = [self.jobs[job_id] for job_id in job_ids if job_id in self.jobs]
        settle([changed for job in jobs for changed in stop(job, order)])


def _with_token(response: dict[str, Any], token: str | None) -> dict[str, Any]:
    return response if token is None else response | {"nextToken": token}
