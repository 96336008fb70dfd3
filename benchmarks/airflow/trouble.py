"""What becomes of 1,000 waiting triggers in outages, behind a limit, when they are killed, and at their start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.airflow.contestants import INTERVAL, OURS, STOCK
from benchmarks.airflow.stage import RUNNING
from benchmarks.report import Figure

if TYPE_CHECKING:
    from benchmarks.airflow.stage import Stage, Stages

JOBS: Final = 1000
_PATIENCE: Final = 120
"""Seconds until every job was checked once; the provider's triggers may take longer, and trouble then finds some of
them before their first check."""

_OUTAGE: Final = 20
_AFTERWARDS: Final = 25
"""Seconds after an outage in which triggers may still fail of it: botocore tries a call five times."""
_FAULTS: Final = {
    "server-exception": "ServerException",
    "bare-503": "503 with HTML",
    "connection-refused": "refused connections",
}

_RATE: Final = JOBS / 100 / INTERVAL / 2
"""Half of the calls a second that are needed."""
_SECONDS_TO_LEARN: Final = 60
_SECONDS_BEHIND_LIMIT: Final = 120

_TERMINATES_A_SECOND: Final = 20
_SECONDS_TO_KILL: Final = 60

_STARTS: Final = 10
_LONGEST_START: Final = 120
_SECONDS_AFTER_START: Final = 2 * INTERVAL
_CHANGING: Final = {**RUNNING, **dict.fromkeys(("submitted", "pending", "runnable", "starting"), (0, 20))}
"""Jobs that change all the time, so that their triggers have much to write into their logs."""


def measure_outages(stages: Stages) -> tuple[list[Figure], dict[str, Any]]:
    """Count the triggers that fail in 20 s of each fault, ours and the provider's."""
    figures, details = [], {}
    for contestant in (STOCK, OURS):
        with stages.new(contestant) as stage:
            stage.defer(JOBS)
            stage.start_triggerer()
            for fault, about in _FAULTS.items():
                found = _outage(stage, fault)
                details[f"{contestant.name}: {fault}"] = found
                figures.append(
                    Figure(
                        name=f"{contestant.name}: triggers that fail in {_OUTAGE} s of {about}",
                        value=found["failed"],
                        at_most=0 if contestant is OURS else None,
                    )
                )
    return figures, details


def _outage(stage: Stage, fault: str) -> dict[str, Any]:
    """Let all tasks wait, break AWS Batch for a while, and count the tasks that no longer wait."""
    if stage.deferred < JOBS:
        stage.defer(JOBS - stage.deferred)
    stage.batch.reset()
    all_waited = stage.wait_until_checked(JOBS, _PATIENCE)
    stage.batch.control("POST", "faults", {"fault": fault, "end": _OUTAGE})
    time.sleep(_OUTAGE + _AFTERWARDS)
    return {"all_waited": all_waited, "failed": JOBS - stage.deferred}


def measure_limit(stages: Stages) -> tuple[list[Figure], dict[str, Any]]:
    """Wait behind half of the calls that are needed, with one triggerer and with two."""
    figures, details = [], {}
    for triggerers in (1, 2):
        with stages.new(OURS) as stage:
            stage.batch.control("PUT", "throttle", {"rate": _RATE})
            for _ in range(triggerers):
                stage.start_triggerer()
            stage.defer(JOBS)
            stage.wait_until_checked(JOBS, _PATIENCE)
            time.sleep(_SECONDS_TO_LEARN)
            found = _behind_limit(stage)
        details[f"{triggerers} triggerers"] = found
        ratio = found["longest_unseen"] / (JOBS / 100 / _RATE)
        if triggerers == 1:
            figures += [
                Figure(
                    name="ours, half of the calls: rejected", value=found["rejected"], unit="%", at_most=5
                ),
                Figure(
                    name="ours, half of the calls: longest unseen, of the best possible",
                    value=ratio,
                    at_most=1.3,
                ),
            ]
        else:
            figures += [
                Figure(name="ours, two triggerers: rejected", value=found["rejected"], unit="%"),
                Figure(name="ours, two triggerers: longest unseen, of the best possible", value=ratio),
                Figure(
                    name="ours, two triggerers: who have triggers", value=len(found["served"]), at_least=2
                ),
                Figure(
                    name="ours, two triggerers: least share of jobs that one has seen",
                    value=100 * min(found["served"].values()),
                    unit="%",
                    at_least=100,
                ),
            ]
        name = f"ours, half of the calls, {triggerers} triggerers: triggers that fail"
        figures.append(Figure(name=name, value=found["failed"], at_most=0))
    return figures, details


def _behind_limit(stage: Stage) -> dict[str, Any]:
    stage.batch.control("DELETE", "statistics")
    begin = time.time()
    time.sleep(_SECONDS_BEHIND_LIMIT)
    end = time.time()
    statistics = stage.batch.statistics()
    checks = statistics["checks"]
    jobs = {triggerer: stage.jobs_of(triggerer) for triggerer in stage.triggerer_ids}
    unseen = [max(check["first"] - begin, check["longest"], end - check["last"]) for check in checks.values()]
    unseen += [end - begin] * (JOBS - len(checks))
    calls = statistics["calls"]["DescribeJobs"]
    return {
        "calls": calls,
        "rejected": 100 * statistics["throttled"].get("DescribeJobs", 0) / calls,
        "longest_unseen": max(unseen),
        "failed": JOBS - stage.deferred,
        "jobs": {triggerer: len(own) for triggerer, own in jobs.items()},
        "served": {triggerer: len(own & checks.keys()) / len(own) for triggerer, own in jobs.items()},
    }


def measure_kills(stages: Stages) -> tuple[list[Figure], dict[str, Any]]:
    """Mark all tasks failed at once, and count the jobs that are terminated within a minute."""
    figures, details = [], {}
    for contestant in (STOCK, OURS):
        with stages.new(contestant) as stage:
            stage.defer(JOBS)
            stage.start_triggerer()
            stage.wait_until_checked(JOBS, _PATIENCE)
            stage.batch.control(
                "PUT", "throttle", {"rate": _TERMINATES_A_SECOND, "operation": "TerminateJob"}
            )
            begin = time.time()
            stage.kill_all()
            time.sleep(_SECONDS_TO_KILL)
            statistics = stage.batch.statistics()
            moments = [moment - begin for moment in statistics["terminated"].values()]
        details[contestant.name] = {"delivered": len(moments), "seconds": max(moments, default=None)}
        figures.append(
            Figure(
                name=f"{contestant.name}: of {JOBS:,} kills, delivered within {_SECONDS_TO_KILL} s",
                value=sum(moment <= _SECONDS_TO_KILL for moment in moments),
                at_least=JOBS if contestant is OURS else None,
            )
        )
    return figures, details


def measure_starts(stages: Stages) -> tuple[list[Figure], dict[str, Any]]:
    """Start a triggerer with 1,000 waiting triggers, again and again, and count the starts that hang."""
    seconds: list[float | None] = []
    for _ in range(_STARTS):
        with stages.new(OURS) as stage:
            stage.defer(JOBS, _CHANGING)
            begin = time.monotonic()
            stage.start_triggerer()
            lives = stage.wait_until_checked(JOBS, _LONGEST_START)
            seconds.append(time.monotonic() - begin if lives else None)
            stage.batch.control("DELETE", "statistics")
            # Whoever hangs has stopped checking, too.
            if lives and not stage.wait_until_checked(JOBS, 3 * _SECONDS_AFTER_START):
                seconds[-1] = None
    hung = seconds.count(None)
    return [Figure(name=f"ours: of {_STARTS} starts at INFO, hung", value=hung, at_most=0)], {
        "seconds": seconds
    }
