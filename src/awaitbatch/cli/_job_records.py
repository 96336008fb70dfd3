"""What the command prints of a job, made of its description."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from awaitbatch._core.members import mapping_in, number_in, text_in
from awaitbatch._core.text import one_line
from awaitbatch._failure_causes import attempts_of, explain_failure
from awaitbatch._log_locations import find_log_locations

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = Mapping[str, Any]

_END_OF_TIME: Final = 1 << 53
"""In epoch milliseconds."""

SHORT_ID: Final = 8
"""Characters of an id that tell jobs apart for the eye."""


def short_id(job_id: str) -> str:
    """The beginning of an id, with the child's or node's number if there is one."""
    parent, separator, number = job_id.replace("#", ":").partition(":")
    return parent[:SHORT_ID] + (job_id[len(parent)] if separator else "") + number


def record_of(job: Json, region_name: str | None = None) -> dict[str, Any]:
    """The members of a line of ``--json``; times are in epoch milliseconds, and what AWS does not say is None."""
    explained = explain_failure(job) if job.get("status") == "FAILED" else None
    logs = find_log_locations(job, region_name).infos
    log = {"group": logs[-1]["awslogs_group"], "stream": logs[-1]["awslogs_stream_name"]} if logs else None
    return {
        **{member: _as_given(job.get(member)) for member in ("jobId", "jobName", "status")},
        "exitCode": explained.exit_code
        if explained
        else number_in(mapping_in(job.get("container")).get("exitCode")),
        "reason": explained.reason if explained else note_of(job) or None,
        "attempt": attempt_of(job),
        "attempts": attempts_allowed(job),
        **{member: number_in(job.get(member)) for member in ("createdAt", "startedAt", "stoppedAt")},
        "log": log,
    }


def _as_given(text: object) -> str | None:
    return text if isinstance(text, str) else None


def record_of_summary(summary: Json) -> dict[str, Any]:
    """The same of a job as ListJobs shows it, which says nothing of attempts and logs."""
    return {**record_of(summary), "attempt": None, "attempts": None, "log": None}


def json_line(record: Json) -> str:
    """A record as one line of JSON, in ASCII, so that nothing in it can reach a terminal as it is."""
    return json.dumps(record, separators=(",", ":"))


def attempt_of(job: Json) -> int:
    """The number of the attempt that the job is in or ended with, from 1; 0 if it ended before the first."""
    return len(attempts_of(job)) + (text_in(job.get("status")) not in {"SUCCEEDED", "FAILED"})


def attempts_allowed(job: Json) -> int:
    """How many attempts it may have."""
    return number_in(mapping_in(job.get("retryStrategy")).get("attempts")) or 1


def note_of(job: Json) -> str:
    """Why the job failed or waits, in a few words and fit for a line; empty if there is nothing to say."""
    if job.get("status") != "FAILED":
        reason = job.get("statusReason")
        return one_line(reason) if isinstance(reason, str) and job.get("status") != "SUCCEEDED" else ""
    explained = explain_failure(job)
    parts = [
        f"exit {explained.exit_code}" if explained.exit_code is not None else "",
        explained.reason or "",
    ]
    return ", ".join(filter(None, parts)) or str(explained.cause)


def in_words(seconds: float) -> str:
    """A length of time, such as ``0:04``, ``14:03``, ``2:00:00`` or ``2d 3h``."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86_400
    if days:
        return f"{days}d {hours}h"
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def seconds_between(earlier: object, later: object = None) -> float | None:
    """Seconds between two moments in epoch milliseconds, the second being now if it is None; None if one is unknown."""
    begin, end = seconds_in(earlier), time.time() if later is None else seconds_in(later)
    return None if begin is None or end is None else end - begin


def seconds_in(moment: object) -> float | None:
    """A moment in epoch seconds, given in milliseconds; None if it is none that can be reckoned with."""
    return moment / 1000 if isinstance(moment, int | float) and abs(moment) < _END_OF_TIME else None
