"""A job as ``awaitbatch describe`` shows it, made of its description. Pure but for the time."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from awaitbatch import JobStatus
from awaitbatch._arrays import Children, JobProgress
from awaitbatch._core.members import items_in, mapping_in, text_in
from awaitbatch._failure_causes import FailureCause, attempts_of, explain_failure
from awaitbatch._log_locations import DEFAULT_GROUP, containers_of, find_log_locations
from awaitbatch.cli._job_book import counts_in_words
from awaitbatch.cli._job_records import attempt_of, attempts_allowed, in_words, note_of, seconds_between
from awaitbatch.cli._plain_progress import STATUS_STYLES
from awaitbatch.cli._table import Cell, flow
from awaitbatch.cli._terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from awaitbatch.cli._table import Paint

    Json = Mapping[str, Any]

_INDENT: Final = 2
_DEEP_INDENT: Final = 13
"""Behind ``attempt 1``, where a line that is too long goes on, if there is room."""
_NARROW: Final = 72

_TOLD_BY_ATTEMPTS: Final = {FailureCause.EXIT_CODE, FailureCause.OUT_OF_MEMORY, FailureCause.UNKNOWN}
"""Why a job failed, if its last attempt says so anyway."""

_MOST_DEPENDENCIES: Final = 3


def description(
    job: Json,
    paint: Paint,
    *,
    width: int | None = None,
    region_name: str | None = None,
    now: float | None = None,
) -> Iterator[str]:
    """The lines about a job.

    Args:
        job: Its description.
        paint: Gives a text in a style.
        width: The columns of the terminal; None if no line is to be broken.
        region_name: Where the job is; logs in other regions are said to be there.
        now: The time in epoch seconds.
    """
    moment = (time.time() if now is None else now) * 1000
    yield from flow([*_head(job)], paint, width=width, indent=_INDENT)
    for cells, wanted in _details(job, region_name, moment):
        indent = wanted if width is None or width >= _NARROW else 2 * _INDENT
        for number, line in enumerate(
            flow(cells, paint, width=None if width is None else width - _INDENT, indent=indent - _INDENT)
        ):
            yield f"{' ' * _INDENT}{line}" if number == 0 or line else line


def _head(job: Json) -> Iterator[Cell]:
    yield Cell(clean(job.get("jobName") or ""), "bold")
    yield Cell(clean(job.get("jobId")))
    yield _status(job)
    if queue := _last_part(job.get("jobQueue")):
        yield Cell(f"queue {queue}")
    if definition := _last_part(job.get("jobDefinition")):
        yield Cell(f"definition {definition}")
    node = mapping_in(job.get("nodeDetails"))
    if "nodeIndex" in node:
        yield Cell(f"{'main node' if node.get('isMainNode') else 'node'} {clean(node['nodeIndex'])}")


def _details(job: Json, region_name: str | None, now: float) -> Iterator[tuple[Sequence[Cell], int]]:
    """The other lines, each with the indentation of what does not fit into it."""
    yield [*_times(job, now)], 2 * _INDENT
    yield from _children(job)
    logs = _logs(job, region_name)
    attempts = attempts_of(job)
    for number, attempt in enumerate(attempts, 1):
        yield [*_attempt(attempt, number, logs)], _DEEP_INDENT
    if job.get("status") == JobStatus.RUNNING and Children.of(job) is None:
        allowed = attempts_allowed(job)
        of = f" of {allowed}" if allowed > 1 else ""
        now_running = [
            Cell(f"attempt {attempt_of(job)}{of}"),
            Cell("runs", STATUS_STYLES[JobStatus.RUNNING]),
            *_streams(job, logs),
        ]
        yield now_running, _DEEP_INDENT
    yield from _why(job, has_attempts=bool(attempts))


def _times(job: Json, now: float) -> Iterator[Cell]:
    attempts = attempts_of(job)
    created, stopped = job.get("createdAt"), job.get("stoppedAt")
    # AWS gives the last start, and the job has waited until the first one.
    started = next((attempt.get("startedAt") for attempt in attempts), job.get("startedAt"))
    shown = _day(now)
    for word, moment in (("created", created), ("started", started), ("stopped", stopped)):
        if isinstance(moment, int | float):
            day = _day(moment)
            yield Cell(f"{word} {'' if day == shown else f'{day} '}{_clock(moment)}")
            shown = day
    waited = seconds_between(created, started or stopped or now)
    if Children.of(job) is not None and not started:
        # An array does not run itself, so nothing tells for how long it has waited.
        waited = None
    if waited is not None:
        yield Cell(f"{'waited' if started or stopped else 'waiting for'} {in_words(waited)}")
    if len(attempts) < 2 and started:  # noqa: PLR2004
        ran = seconds_between(started, stopped or now)
        if ran is not None:
            yield Cell(f"{'ran' if stopped else 'running for'} {in_words(ran)}")
    elif (took := seconds_between(created, stopped or now)) is not None and (attempts or waited is None):
        yield Cell(f"{'took' if stopped else 'under way for'} {in_words(took)}")


def _children(job: Json) -> Iterator[tuple[Sequence[Cell], int]]:
    children = Children.of(job)
    if children is None:
        return
    listing = f"awaitbatch list --children {clean(job.get('jobId'))}"
    if nodes := mapping_in(job.get("nodeProperties")):
        main = nodes.get("mainNode")
        main_node = f"main node {clean(main)}" if main is not None else ""
        yield [Cell(f"{len(children)} nodes"), Cell(main_node), Cell(listing, "dim")], 4
        return
    counts = JobProgress.of(job).counts
    in_order = {str(status): counts[status] for status in JobStatus if status in counts}
    yield [Cell(f"{len(children):,} children"), Cell(counts_in_words(in_order), is_prose=True)], 4
    if in_order.get(JobStatus.FAILED):
        yield [Cell("which failed:", "dim"), Cell(f"{listing} --status FAILED", "dim")], 4


def _attempt(attempt: Json, number: int, logs: Mapping[str, str]) -> Iterator[Cell]:
    yield Cell(f"attempt {number}")
    containers = [*containers_of(attempt)]
    for name, container in containers:
        named = f"{clean(name)}: " if name and len(containers) > 1 else ""
        code = container.get("exitCode")
        if code is not None:
            yield Cell(f"{named}exit {clean(code)}", "red" if code else "")
        if reason := container.get("reason"):
            yield Cell(f"{'' if code is not None else named}{clean(reason)}", is_prose=True)
    if (reason := attempt.get("statusReason")) and not any(
        container.get("reason") for _, container in containers
    ):
        yield Cell(clean(reason), is_prose=True)
    ran = seconds_between(attempt.get("startedAt"), attempt.get("stoppedAt") or None)
    if ran is not None and attempt.get("stoppedAt"):
        yield Cell(f"ran {in_words(ran)}")
    yield from _streams(attempt, logs)


def _why(job: Json, *, has_attempts: bool) -> Iterator[tuple[Sequence[Cell], int]]:
    status = job.get("status")
    if status == JobStatus.FAILED:
        explained = explain_failure(job)
        told = _TOLD_BY_ATTEMPTS if has_attempts else {FailureCause.CHILDREN}
        if explained.cause not in told:
            yield [Cell(explained.sentence, STATUS_STYLES[status], is_prose=True)], 4
    elif note := note_of(job):
        yield [Cell(note, STATUS_STYLES[JobStatus.RUNNABLE], is_prose=True)], 4
    if status == JobStatus.PENDING:
        ids = [clean(each["jobId"]) for each in items_in(job.get("dependsOn")) if each.get("jobId")]
        more = [f"{len(ids) - _MOST_DEPENDENCIES:,} more"] if len(ids) > _MOST_DEPENDENCIES else []
        if ids:
            yield [Cell("waits for"), *(Cell(text) for text in [*ids[:_MOST_DEPENDENCIES], *more])], 4


def _logs(job: Json, region_name: str | None) -> dict[str, str]:
    """Log stream to what is shown of it."""
    shown = {}
    for info in find_log_locations(job, region_name).infos:
        stream, group, region = (info[f"awslogs_{what}"] for what in ("stream_name", "group", "region"))
        where = f" in {clean(group)}" if group != DEFAULT_GROUP else ""
        elsewhere = f" in {clean(region)}" if region_name and region != region_name else ""
        shown[stream] = f"log {clean(stream)}{where}{elsewhere}"
    return shown


def _streams(holder: Json, logs: Mapping[str, str]) -> Iterator[Cell]:
    for _, container in containers_of(holder):
        if (log := logs.get(text_in(container.get("logStreamName")))) is not None:
            yield Cell(log, "dim")


def _status(job: Json) -> Cell:
    status = clean(job.get("status"))
    return Cell(status, STATUS_STYLES.get(status, ""))


def _last_part(arn: object) -> str:
    return clean(str(arn).rpartition("/")[2]) if arn else ""


def _day(moment: float) -> str:
    return f"{_local(moment):%Y-%m-%d}"


def _clock(moment: float) -> str:
    return f"{_local(moment):%H:%M:%S}"


def _local(moment: float) -> datetime:
    """A moment in epoch milliseconds, in the time zone of this machine; one that cannot be is the first of all."""
    with suppress(OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(moment / 1000).astimezone()
    return datetime.fromtimestamp(0).astimezone()
