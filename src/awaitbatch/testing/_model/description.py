"""Descriptions of jobs in the shape, the wording and the size in which AWS Batch gives them.

https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from awaitbatch._jobs import TERMINAL, JobStatus

if TYPE_CHECKING:
    from awaitbatch.testing._model.account import Account
    from awaitbatch.testing._model.job import Job

_ENVIRONMENT = [
    {"name": "STAGE", "value": "testing"},
    {"name": "INPUT_URI", "value": "s3://example-bucket/awaitbatch/input/2026/manifest.parquet"},
    {"name": "OUTPUT_URI", "value": "s3://example-bucket/awaitbatch/output/2026/"},
    {"name": "LOG_LEVEL", "value": "INFO"},
    {"name": "OMP_NUM_THREADS", "value": "4"},
]
_FILLER = "INPUT_KEYS"
_KEYS = ",".join(f"part-{number:05d}.parquet" for number in range(1000)) + ","


def encode_description(job: Job, now: float, account: Account, size: int) -> bytes:
    """Encode one job as DescribeJobs shows it, in at least `size` bytes."""
    filler = {"name": _FILLER, "value": ""}
    description = _describe(job, now, account, filler)
    encoded = msgspec.json.encode(description)
    if len(encoded) < size:
        missing = size - len(encoded)
        filler["value"] = (_KEYS * (missing // len(_KEYS) + 1))[:missing]
        encoded = msgspec.json.encode(description)
    return encoded


def summarize(job: Job, now: float, account: Account) -> dict[str, Any]:
    """One job as ListJobs shows it: https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html."""
    summary: dict[str, Any] = {
        "jobArn": account.arn("job", job.job_id),
        "jobId": job.job_id,
        "jobName": job.submission.job_name,
        "jobDefinition": account.job_definition_arn(job.submission.job_definition),
        "status": job.status(now),
        **_times(job, now),
        **_reasons(job, now),
    }
    if job.status(now) in TERMINAL and "startedAt" in summary:
        summary["container"] = exit_of(job, last=True)
    if job.submission.share_identifier is not None:
        summary["shareIdentifier"] = job.submission.share_identifier
    if job.stop is not None:
        summary["isCancelled" if job.stop.operation == "CancelJob" else "isTerminated"] = True
    if job.is_array:
        summary["arrayProperties"] = _array(job, now)
    elif job.has_nodes:
        nodes = job.children if job.parent is None else job.parent.children
        summary["nodeProperties"] = {"numNodes": len(nodes)}
        if job.index is not None:
            summary["nodeProperties"] |= {"nodeIndex": job.index, "isMainNode": job.index == 0}
    elif job.index is not None:
        summary["arrayProperties"] = {"index": job.index}
    return summary


def _describe(job: Job, now: float, account: Account, filler: dict[str, str]) -> dict[str, Any]:
    submission = job.submission
    description: dict[str, Any] = {
        "jobArn": account.arn("job", job.job_id),
        "jobName": submission.job_name,
        "jobId": job.job_id,
        "jobQueue": account.arn("job-queue", submission.job_queue),
        "status": job.status(now),
        "attempts": _attempts(job, now, account),
        **_reasons(job, now),
        **_times(job, now),
        "retryStrategy": {
            "attempts": submission.retry_strategy.attempts or job.life_cycle.attempts,
            "evaluateOnExit": [],
        },
        "dependsOn": submission.depends_on,
        "jobDefinition": account.job_definition_arn(submission.job_definition),
        "parameters": submission.parameters,
        "container": _container(job, now, account, filler),
        "timeout": {"attemptDurationSeconds": submission.timeout.attempt_duration_seconds or 86400},
        "tags": {"Project": "awaitbatch", "Environment": "testing", **submission.tags},
        "propagateTags": submission.propagate_tags,
        "platformCapabilities": ["EC2"],
        "eksAttempts": [],
        **({} if submission.share_identifier is None else {"shareIdentifier": submission.share_identifier}),
        "isCancelled": job.stop is not None and job.stop.operation == "CancelJob",
        "isTerminated": job.stop is not None and job.stop.operation == "TerminateJob",
    }
    if job.is_array:
        description["arrayProperties"] = _array(job, now)
    elif job.has_nodes:
        description |= _nodes(job)
    elif job.index is not None:
        description["arrayProperties"] = {"statusSummary": {}, "index": job.index}
    return description


def _array(parent: Job, now: float) -> dict[str, Any]:
    return {
        "statusSummary": dict(parent.children_by_status(now)),
        "statusSummaryLastUpdatedAt": milliseconds(now),
        "size": len(parent.children),
    }


def _nodes(job: Job) -> dict[str, Any]:
    """What tells a multi-node job, or one of its nodes, from other jobs; the main node is the first."""
    if job.index is not None:
        return {"nodeDetails": {"nodeIndex": job.index, "isMainNode": job.index == 0}}
    container = {"image": "awaitbatch/worker:1.4.2", "instanceType": "c5.xlarge"}
    ranges = [{"targetNodes": "0:", "container": container}]
    return {
        "nodeProperties": {
            "numNodes": len(job.children),
            "mainNode": 0,
            "nodeRangeProperties": ranges,
        }
    }


def _times(job: Job, now: float) -> dict[str, int]:
    timeline = job.timeline
    stage = timeline.stage(now)
    times = {"createdAt": milliseconds(timeline.begins[0])}
    seen = timeline.states[: stage + 1]
    if seen[-1] is JobStatus.RUNNING or (seen[-1] in TERMINAL and JobStatus.RUNNING in seen):
        last_run = stage - seen[::-1].index(JobStatus.RUNNING)
        times["startedAt"] = milliseconds(timeline.begins[last_run])
    if seen[-1] in TERMINAL:
        times["stoppedAt"] = milliseconds(timeline.end)
    return times


def status_reason(job: Job, now: float) -> str | None:
    """Why a job is in the state that shows now, as far as AWS Batch would say."""
    if job.status(now) not in TERMINAL:
        return job.queue.reason_of(job, now)
    if job.timeline.reason is not None or job.is_array:
        return job.timeline.reason
    return job.life_cycle.status_reason


def _reasons(job: Job, now: float) -> dict[str, str]:
    reason = status_reason(job, now)
    return {} if reason is None else {"statusReason": reason}


def _attempts(job: Job, now: float, account: Account) -> list[dict[str, Any]]:
    """The attempts that have ended; the one that runs is not among them yet."""
    timeline = job.timeline
    stage = timeline.stage(now)
    runs = [place for place in range(stage) if timeline.states[place] is JobStatus.RUNNING]
    attempts = []
    for number, run in enumerate(runs):
        last = timeline.states[run + 1] in TERMINAL
        attempts.append(
            {
                "container": {
                    **_place(job, number, account),
                    **exit_of(job, last=last),
                    "logStreamName": _log_stream(job, number),
                    "networkInterfaces": [],
                },
                "startedAt": milliseconds(timeline.begins[run]),
                "stoppedAt": milliseconds(timeline.begins[run + 1]),
                "statusReason": "Essential container in task exited",
                "taskProperties": [],
                **(_reasons(job, now) if last else {}),
            }
        )
    return attempts


def _container(job: Job, now: float, account: Account, filler: dict[str, str]) -> dict[str, Any]:
    if job.children:
        return {}
    stage = job.timeline.stage(now)
    status = job.timeline.states[stage]
    attempts = job.timeline.states[: stage + 1].count(JobStatus.RUNNING)
    overrides = job.submission.container_overrides
    container: dict[str, Any] = {
        "image": f"{account.account_id}.dkr.ecr.{account.region_name}.amazonaws.com/awaitbatch/worker:1.4.2",
        "command": overrides.command or ["python", "-m", "worker", "--input", "Ref::input", "--verbose"],
        "jobRoleArn": account.role_arn("awaitbatch-job-role"),
        "executionRoleArn": account.role_arn("awaitbatch-execution-role"),
        "volumes": [{"host": {"sourcePath": "/mnt/scratch"}, "name": "scratch"}],
        "environment": [*_ENVIRONMENT, filler, *overrides.environment],
        "mountPoints": [{"containerPath": "/scratch", "readOnly": False, "sourceVolume": "scratch"}],
        "readonlyRootFilesystem": False,
        "ulimits": [{"hardLimit": 65536, "name": "nofile", "softLimit": 65536}],
        "privileged": False,
        "networkInterfaces": [],
        "resourceRequirements": overrides.resource_requirements
        or [{"value": "4", "type": "VCPU"}, {"value": "8192", "type": "MEMORY"}],
        "linuxParameters": {"devices": [], "initProcessEnabled": True, "tmpfs": []},
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {"awslogs-group": "/aws/batch/job", "awslogs-region": account.region_name},
            "secretOptions": [],
        },
        "secrets": [],
        "networkConfiguration": {"assignPublicIp": "DISABLED"},
    }
    if status is JobStatus.STARTING:
        container |= _place(job, attempts, account)
    elif attempts and status is not JobStatus.RUNNABLE:
        container |= _place(job, attempts - 1, account)
        container["logStreamName"] = _log_stream(job, attempts - 1)
    if status in TERMINAL and attempts:
        container |= exit_of(job, last=True)
    return container


def exit_of(job: Job, *, last: bool) -> dict[str, Any]:
    """How a container of the job ended; AWS ends one with SIGKILL when a user stops its job."""
    if last and job.stop is not None:
        return {"exitCode": 137}
    life_cycle = job.life_cycle
    succeeded = last and life_cycle.outcome == "SUCCEEDED"
    code = life_cycle.exit_code if last else None
    exited: dict[str, Any] = {"exitCode": code if code is not None else int(not succeeded)}
    if last and life_cycle.reason is not None:
        exited["reason"] = life_cycle.reason
    return exited


def _place(job: Job, attempt: int, account: Account) -> dict[str, str]:
    cluster = "AWSBatch-awaitbatch-0d1f6a5b"
    instance = f"{cluster}/{_hex_id('instance', job.job_id, attempt)}"
    return {
        "containerInstanceArn": account.arn("container-instance", instance, "ecs"),
        "taskArn": account.arn("task", f"{cluster}/{_hex_id('task', job.job_id, attempt)}", "ecs"),
    }


def _log_stream(job: Job, attempt: int) -> str:
    definition = job.submission.job_definition.rpartition("/")[2].partition(":")[0]
    return f"{definition}/default/{_hex_id('task', job.job_id, attempt)}"


def _hex_id(*parts: object) -> str:
    return blake2b("/".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def milliseconds(seconds: float) -> int:
    """A time as AWS Batch shows it."""
    return round(seconds * 1000)
