"""Gives the jobs of moto's Batch a life: a thread moves them from state to state.

moto offers no public way to do so, so this reaches into its private parts.
"""

# ruff: noqa: SLF001

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from datetime import datetime
from typing import Any, NamedTuple

from moto.batch.exceptions import ClientException
from moto.batch.models import Job, batch_backends
from moto.batch_simple.models import BatchSimpleBackend
from moto.core.config import default_user_config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api import state_manager

from awaitbatch._jobs import TERMINAL, JobStatus
from awaitbatch.testing._model.life_cycle import LifeCycle

_ARRAY_STATES = frozenset({JobStatus.SUBMITTED, JobStatus.PENDING}) | TERMINAL


class Change(NamedTuple):
    """A job is due to enter a state; `number` orders the changes of one moment."""

    moment: float
    number: int
    job: Job
    state: JobStatus


class JobDriver(threading.Thread):
    """Moves jobs through their life cycles, one thread and one heap of changes for all of them."""

    def __init__(self) -> None:
        super().__init__(name="awaitbatch-job-driver", daemon=True)
        self.ended: dict[str, float] = {}
        self._life_cycles: dict[str, LifeCycle] = {}
        self._changes: list[Change] = []
        self._numbers = itertools.count()
        self._woken = threading.Condition()

    def begin(self, job: Job, *, is_array: bool) -> None:
        """Plan all changes of a job that was just submitted."""
        try:
            life_cycle = LifeCycle.from_parameters(job.parameters)
        except ValueError as error:
            raise ClientException(str(error)) from None
        with self._woken:
            self._life_cycles[job.job_id] = life_cycle
            for moment, state in life_cycle.history(time.time()):
                if not is_array or state in _ARRAY_STATES:
                    heapq.heappush(self._changes, Change(moment, next(self._numbers), job, state))
            self._woken.notify()

    def stop(self, job: Job, reason: str) -> None:
        """End a job on a user's order; an array with all its children."""
        with self._woken:
            for one in (*(job._child_jobs or ()), job):
                if not one.job_stopped:
                    self._end(one, JobStatus.FAILED, time.time(), 137, reason)

    def run(self) -> None:
        """Make the changes as they come due, for ever."""
        with self._woken:
            while True:
                now = time.time()
                while self._changes and self._changes[0].moment <= now:
                    change = heapq.heappop(self._changes)
                    if not change.job.job_stopped:
                        self._enter(change.job, change.state, now)
                pause = self._changes[0].moment - now if self._changes else math.inf
                self._woken.wait(min(pause, threading.TIMEOUT_MAX))

    def _enter(self, job: Job, state: JobStatus, now: float) -> None:
        life_cycle = self._life_cycles[job.job_id]
        if state is JobStatus.RUNNING:
            job.job_started_at = _local_time(now)
            job.log_stream_name = job._stream_name
            job._start_attempt()
        elif state in TERMINAL:
            code = life_cycle.exit_code
            if code is None:
                code = int(state is JobStatus.FAILED)
            self._end(job, state, now, code, life_cycle.status_reason)
            return
        elif state is JobStatus.RUNNABLE and job.attempts:
            job.job_stopped_at = _local_time(now)
            self._end_attempt(job, 1, "Essential container in task exited")
        job.status = state.value

    def _end(self, job: Job, state: JobStatus, now: float, exit_code: int, reason: str) -> None:
        job.exit_code = exit_code
        job.job_stopped_reason = reason
        # _mark_stopped closes the attempt last, when a client can see the final state already.
        job.job_stopped_at = _local_time(now)
        self._end_attempt(job, exit_code, reason)
        job._mark_stopped(success=state is JobStatus.SUCCEEDED)
        self.ended[job.job_id] = now

    @staticmethod
    def _end_attempt(job: Job, exit_code: int, reason: str) -> None:
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

    def begin(backend: BatchSimpleBackend, include_start_attempt: bool, job: Job) -> None:  # noqa: FBT001
        driver.begin(job, is_array=not include_start_attempt)
        backend.backend._jobs[job.job_id] = job

    def terminate(job: Job, reason: str) -> None:
        driver.stop(job, reason)

    BatchSimpleBackend._mark_job_as_finished = begin  # type: ignore[assignment, method-assign]
    Job.terminate = terminate  # type: ignore[assignment, method-assign]


def _local_time(moment: float) -> datetime:
    # moto's own times are naive and local.
    return datetime.fromtimestamp(moment)  # noqa: DTZ006
