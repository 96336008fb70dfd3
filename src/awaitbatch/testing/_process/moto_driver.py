"""Gives the jobs of moto's Batch a life: a thread moves them from state to state.

What becomes of them, dependencies included, is planned by the model of `BatchServer`: each of moto's jobs follows a job
of the model. moto offers no public way to do so, so this reaches into its private parts.
"""

# ruff: noqa: SLF001

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from moto.batch.exceptions import ClientException
from moto.batch.models import BatchBackend, Job, batch_backends
from moto.batch_simple.models import BatchSimpleBackend
from moto.core.config import default_user_config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api import state_manager

from awaitbatch._jobs import TERMINAL, JobStatus
from awaitbatch.testing._model.account import Account
from awaitbatch.testing._model.batch import BatchModel
from awaitbatch.testing._model.description import exit_of, status_reason
from awaitbatch.testing._model.job import Stop
from awaitbatch.testing._model.life_cycle import LifeCycle
from awaitbatch.testing._model.planning import settle, stop
from awaitbatch.testing._model.requests import ArrayProperties, JobDependency, JobTimeout, SubmitJob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from awaitbatch.testing._model.job import Job as ModelJob


class Follower(NamedTuple):
    """A job of moto's and the one of the model that it follows."""

    moto: Job
    model: ModelJob


class Change(NamedTuple):
    """A job may be due to enter its next state; `number` orders the changes of one moment."""

    moment: float
    number: int
    follower: Follower


class JobDriver(threading.Thread):
    """Moves jobs through their timelines, one thread and one heap of changes for all of them.

    Args:
        region_name: The region of the jobs.
    """

    def __init__(self, region_name: str) -> None:
        super().__init__(name="awaitbatch-job-driver", daemon=True)
        self.ended: dict[str, float] = {}
        self._model = BatchModel(
            account=Account(region_name, DEFAULT_ACCOUNT_ID),
            default_life_cycle=LifeCycle(),
            description_bytes=0,
            random=Random(),
        )
        self._followers: dict[str, Follower] = {}
        self._stages: dict[str, int] = {}
        self._changes: list[Change] = []
        self._numbers = itertools.count()
        self._woken = threading.Condition()
        # What the submission under way has created, and which operation ends jobs; both while the lock is held.
        self._created: list[Job] = []
        self._operation = "TerminateJob"

    def submit(self, original: Any, backend: BatchSimpleBackend, *args: Any, **settings: Any) -> Any:  # noqa: ANN401
        """Let moto create the jobs of a submission, and let them begin, or be gone if the model refuses them."""
        with self._woken:
            self._created = []
            response = original(backend, *args, **settings)
            # The parent of an array comes after its children.
            job = self._created[-1]
            try:
                self._begin(job)
            except (ValueError, msgspec.ValidationError) as error:
                for one in self._created:
                    one.job_queue.jobs.remove(one)
                raise ClientException(str(error)) from None
            backend.backend._jobs.update({one.job_id: one for one in self._created})
            return response

    def create(self, job: Job) -> None:
        """Take a job that the submission under way has created."""
        self._created.append(job)

    def _begin(self, job: Job) -> None:
        now = time.time()
        submission = SubmitJob(
            job_name=job.job_name,
            job_queue=job.job_queue.name,
            job_definition=job.job_definition.name,
            parameters=job.parameters,
            array_properties=ArrayProperties(size=job.array_properties.get("size")),
            depends_on=msgspec.convert(job.depends_on or [], list[JobDependency]),
            timeout=msgspec.convert(job.timeout or {}, JobTimeout),
        )
        parent = self._model.add_job(submission, now, job_id=job.job_id)
        models = {one.job_id: one for one in (parent, *parent.children)}
        for one in self._created:
            self._followers[one.job_id] = Follower(one, models[one.job_id])
            self._stages[one.job_id] = -1
        self._follow(models.values(), now)

    def cancel(self, original: Any, backend: BatchBackend, job_id: str, reason: str) -> None:  # noqa: ANN401
        """Let moto check a CancelJob, which `stop` then carries out as such."""
        with self._woken:
            self._operation = "CancelJob"
            try:
                original(backend, job_id, reason)
            finally:
                self._operation = "TerminateJob"

    def stop(self, job: Job, reason: str) -> None:
        """End a job on a user's order, or the children of an array."""
        with self._woken:
            now = time.time()
            order = Stop(self._operation, reason, now)
            self._follow(settle(stop(self._followers[job.job_id].model, order)), now)

    def run(self) -> None:
        """Make the changes as they come due, for ever."""
        with self._woken:
            while True:
                now = time.time()
                due: list[ModelJob] = []
                while self._changes and self._changes[0].moment <= now:
                    due.append(heapq.heappop(self._changes).follower.model)
                self._follow(due, now)
                pause = self._changes[0].moment - now if self._changes else math.inf
                self._woken.wait(min(pause, threading.TIMEOUT_MAX))

    def _follow(self, jobs: Iterable[ModelJob], now: float) -> None:
        """Bring moto's jobs to where those of the model are, and plan their next steps."""
        for job in jobs:
            follower = self._followers[job.job_id]
            stage = job.timeline.stage(now)
            for entered in range(self._stages[job.job_id] + 1, stage + 1):
                self._enter(follower, job.timeline.states[entered], now)
            self._stages[job.job_id] = stage
            following = job.timeline.begins[stage + 1 : stage + 2]
            if following and following[0] < math.inf:
                heapq.heappush(self._changes, Change(following[0], next(self._numbers), follower))
        self._woken.notify()

    def _enter(self, follower: Follower, state: JobStatus, now: float) -> None:
        job = follower.moto
        if state is JobStatus.RUNNING:
            job.job_started_at = _local_time(now)
            job.log_stream_name = job._stream_name
            job._start_attempt()
        elif state in TERMINAL:
            self._end(follower, state, now)
            return
        elif state is JobStatus.RUNNABLE and job.attempts:
            job.job_stopped_at = _local_time(now)
            self._end_attempt(job, 1, "Essential container in task exited")
        job.status = state.value

    def _end(self, follower: Follower, state: JobStatus, now: float) -> None:
        job, reason = follower.moto, status_reason(follower.model, now)
        if job.latest_attempt is not None:
            job.exit_code = exit_of(follower.model, last=True)["exitCode"]
        job.job_stopped_reason = reason
        # _mark_stopped closes the attempt last, when a client can see the final state already.
        job.job_stopped_at = _local_time(now)
        self._end_attempt(job, job.exit_code, reason)
        job._mark_stopped(success=state is JobStatus.SUCCEEDED)
        self.ended[job.job_id] = now

    @staticmethod
    def _end_attempt(job: Job, exit_code: int | None, reason: str | None) -> None:
        if job.latest_attempt is not None:
            job.latest_attempt["container"]["exitCode"] = exit_code
            job.latest_attempt["statusReason"] = reason
            job._stop_attempt()
            job.latest_attempt = None


class Jobs(dict[str, Job]):
    """moto's jobs; a call that goes through all of them survives another that adds one meanwhile."""

    def items(self) -> Any:  # noqa: ANN401
        """A copy of the items, taken at once."""
        return list(super().items())


def drive(driver: JobDriver, region_name: str) -> None:
    """Let moto's Batch run without Docker, and its jobs live as the driver has it."""
    default_user_config["batch"] = {"use_docker": False}
    state_manager.set_transition("batch::job", {"progression": "manual", "times": 10**9})
    batch_backends[DEFAULT_ACCOUNT_ID][region_name]._jobs = Jobs()
    submit_job, cancel_job = BatchSimpleBackend.submit_job, BatchBackend.cancel_job

    def submit(backend: BatchSimpleBackend, *args: Any, **settings: Any) -> Any:  # noqa: ANN401
        return driver.submit(submit_job, backend, *args, **settings)

    def create(_: BatchSimpleBackend, include_start_attempt: bool, job: Job) -> None:  # noqa: ARG001, FBT001
        driver.create(job)

    def cancel(backend: BatchBackend, job_id: str, reason: str) -> None:
        driver.cancel(cancel_job, backend, job_id, reason)

    def terminate(job: Job, reason: str) -> None:
        driver.stop(job, reason)

    BatchSimpleBackend.submit_job = submit  # type: ignore[assignment, method-assign]
    BatchSimpleBackend._mark_job_as_finished = create  # type: ignore[assignment, method-assign]
    BatchBackend.cancel_job = cancel  # type: ignore[assignment, method-assign]
    Job.terminate = terminate  # type: ignore[assignment, method-assign]


def _local_time(moment: float) -> datetime:
    # moto's own times are naive and local.
    return datetime.fromtimestamp(moment)  # noqa: DTZ006
