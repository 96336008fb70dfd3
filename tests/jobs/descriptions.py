"""Answers to DescribeJobs as AWS Batch gives them."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from awaitbatch.testing import LifeCycle
from awaitbatch.testing._model.account import Account
from awaitbatch.testing._model.batch import BatchModel
from awaitbatch.testing._model.requests import ArrayProperties, DescribeJobs, JobDependency, SubmitJob

LIVES = {
    "new": LifeCycle(submitted=1e6),
    "running": LifeCycle(running=1e6),
    "succeeded": LifeCycle(),
    "failed": LifeCycle(outcome="FAILED", exit_code=137, reason="OutOfMemoryError: container killed"),
    "retried": LifeCycle(attempts=3, outcome="FAILED"),
    "retrying": LifeCycle(attempts=3, running=40),
}
"""Job ids, and what becomes of the jobs within a hundred seconds."""


def describe_jobs() -> bytes:
    """The body of an answer that holds a job of each kind, an array and one of its children."""
    model = BatchModel(
        account=Account("eu-west-1", "123456789012"),
        default_life_cycle=LifeCycle(),
        description_bytes=2500,
        random=Random(1),
    )
    submission = SubmitJob(
        job_name="täglich",
        job_queue="queue",
        job_definition="worker:3",
        parameters={"input": 's3://bucket/"ünïcode"\\n'},
        tags={"Team": "😀"},
        depends_on=[JobDependency(job_id="other")],
    )
    done = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)
    model.add_job(SubmitJob(job_name="other", job_queue="queue"), 0.0, job_id="other", life_cycle=done)
    for job_id, life in LIVES.items():
        model.add_job(submission, 0.0, job_id=job_id, life_cycle=life)
    array = SubmitJob(
        job_name="array",
        job_queue="queue",
        job_definition="worker",
        array_properties=ArrayProperties(size=3),
    )
    model.add_job(array, 0.0, job_id="array")
    return model.perform(DescribeJobs(jobs=[*LIVES, "array", "array:1"]), 60.0)


def body_of(*jobs: Any) -> bytes:
    """The body of an answer that holds these jobs."""
    return msgspec.json.encode({"jobs": jobs})
