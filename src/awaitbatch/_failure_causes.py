"""Why a job failed, read from its description.

AWS Batch spreads it over a dozen members, which differ from shape to shape, and much of it is free text. Whatever is
in their place, nothing here raises: what cannot be read is taken for absent.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awaitbatch._core.members import items_in, mapping_in, number_in, text_in
from awaitbatch._core.text import one_line, quantity
from awaitbatch._log_locations import containers_of, find_log_locations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Json = Mapping[str, Any]


class FailureCause(StrEnum):
    """Why a job failed.

    Later versions may add causes, so let your program treat those that it does not know like `UNKNOWN`.
    """

    EXIT_CODE = "exit_code"
    """A container ended with an exit code other than 0."""
    OUT_OF_MEMORY = "out_of_memory"
    """A container was killed for using more memory than it has."""
    HOST_LOST = "host_lost"
    """The host went away under the job, as Spot instances do."""
    TIMEOUT = "timeout"
    """An attempt took longer than the job's timeout."""
    TERMINATED = "terminated"
    """Somebody terminated the job."""
    CANCELLED = "cancelled"
    """Somebody cancelled the job before it started."""
    IMAGE = "image"
    """The image of a container could not be pulled."""
    DEPENDENCY = "dependency"
    """A job that this one depends on failed."""
    CHILDREN = "children"
    """Children of the array job failed."""
    NOT_STARTED = "not_started"
    """A container could not be started for another reason, or the job never got as far."""
    UNKNOWN = "unknown"
    """The description does not tell."""


class Explanation(NamedTuple):
    """Why a job failed; all texts are fit for one line.

    Attributes:
        cause: The kind of cause.
        exit_code: The exit code of the container that failed in the last attempt, or None.
        reason: What AWS Batch says that is most telling, or None.
        sentence: What happened to the job, in plain English: what to say after its name.
        advice: What to do.
    """

    cause: FailureCause
    exit_code: int | None
    reason: str | None
    sentence: str
    advice: str


_GIVEN_UP: Final = re.compile(
    r"(?:(?:Canceled|Terminated) by JobStateTimeLimit action.{0,60}?)?\b(?:CAPACITY|MISCONFIGURATION):"
)
"""What the queue says of a job that it could not place; it may then cancel or terminate it by itself."""

# https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html, and what users have seen: it is free text.
_BY_STATUS_REASON: Final = (
    # Containers of such jobs are killed, so their exit codes and reasons come after.
    (FailureCause.TIMEOUT, re.compile(r"Job attempt duration exceeded timeout")),
    (FailureCause.HOST_LOST, re.compile(r"Host EC2|Your Spot Task was interrupted")),
    (FailureCause.DEPENDENCY, re.compile(r"Dependent Job failed")),
    (FailureCause.CHILDREN, re.compile(r"Array Child Job failed")),
)
"""How a statusReason of the job or of its last attempt begins; the first that fits decides."""

# Errors of Amazon ECS end with Error; the others are Kubernetes'.
_BY_ANY_REASON: Final = (
    (FailureCause.OUT_OF_MEMORY, re.compile(r"\bOutOfMemory|\bOOMKilled\b")),
    (
        FailureCause.IMAGE,
        re.compile(
            r"\b(?:CannotPull\w*Error|ImagePullBackOff|ErrImagePull|ErrImageNeverPull|InvalidImageName)\b"
        ),
    ),
    (
        FailureCause.NOT_STARTED,
        re.compile(
            # That Docker does not tell what has become of a container says nothing about its image.
            r"\b(?:Cannot(?:Create|Inspect|Start)ContainerError|ContainerRuntime\w*Error|DockerTimeoutError"
            r"|CannotCreateVolumeError|ResourceInitializationError|CreateContainer(?:Config)?Error"
            r"|RunContainerError|ContainerCannotRun)\b"
            r"|^(?:Task failed to start|Timeout waiting for \w[\w ]* provisioning to complete"
            r"|Capacity is unavailable at this time|Unexpected EC2 error while attempting to)"
        ),
    ),
)
"""What occurs in the reason of a container, or in a statusReason; the first that fits decides."""

_BLAND: Final = re.compile(
    r"Essential container in task exited|Task failed to start\W*$|(?:Error|Completed)$|Dependent Job failed"
    r"|Array Child Job failed|Job attempt duration exceeded timeout"
)
"""What AWS Batch says of almost every job that fails, or what the sentence says anyway."""

_EXIT_CODES: Final = {
    126: "its command cannot be executed",
    127: "its command was not found",
    134: "aborted, by SIGABRT",
    137: "killed by SIGKILL, often for lack of memory",
    139: "a segmentation fault",
    143: "ended by SIGTERM",
}
"""What exit codes usually mean.

https://docs.docker.com/engine/containers/run/#exit-status
"""

_PHRASES: Final = {
    FailureCause.OUT_OF_MEMORY: ("out of memory", "out of memory in {}"),
    FailureCause.HOST_LOST: ("its host was lost", None),
    FailureCause.TERMINATED: ("somebody terminated it", None),
    FailureCause.CANCELLED: ("somebody cancelled it", None),
    FailureCause.IMAGE: ("its image could not be pulled", "the image of {} could not be pulled"),
    FailureCause.DEPENDENCY: ("a job that it depends on failed", None),
    FailureCause.NOT_STARTED: ("it could not be started", "{} could not be started"),
}
"""What happened to the job, and to one of its parts, if that is worth a word."""
_IN_SHORT: Final = {
    FailureCause.OUT_OF_MEMORY: "out of memory",
    FailureCause.HOST_LOST: "host lost",
    FailureCause.TIMEOUT: "timeout",
    FailureCause.TERMINATED: "terminated",
    FailureCause.CANCELLED: "cancelled",
    FailureCause.IMAGE: "image not pulled",
    FailureCause.DEPENDENCY: "dependency failed",
    FailureCause.CHILDREN: "children failed",
    FailureCause.NOT_STARTED: "not started",
    FailureCause.UNKNOWN: "unknown reason",
}
"""What to say of each of many jobs, after the number of those that failed like this."""
_NO_REASON: Final = "AWS Batch gives no reason"

_ADVICE: Final = {
    FailureCause.OUT_OF_MEMORY: "give it more memory",
    FailureCause.HOST_LOST: "submit it again, or give it a retry strategy",
    FailureCause.TIMEOUT: "raise its timeout, or find out what took so long",
    FailureCause.TERMINATED: "submit it again if it is still wanted",
    FailureCause.CANCELLED: "submit it again if it is still wanted",
    FailureCause.IMAGE: "check the image's name, the right to pull it, and the network and the disk of the host",
    FailureCause.CHILDREN: "list_jobs(array_job_id=…, statuses=['FAILED']) names them, "
    "and check_job_success says why each failed",
    FailureCause.NOT_STARTED: "fix what is wrong and submit it again",
    FailureCause.UNKNOWN: "all that AWS Batch says of it is in the error's attribute job",
}
_LEFT_LOGS: Final = {
    FailureCause.EXIT_CODE,
    FailureCause.OUT_OF_MEMORY,
    FailureCause.TIMEOUT,
    FailureCause.UNKNOWN,
}
"""Causes on which the job's own log may shed light."""

_MOST_DEPENDENCIES: Final = 3
"""Of the jobs that a job depends on, only so many are named."""


class _Container(NamedTuple):
    name: str = ""
    exit_code: int | None = None
    reason: str = ""
    is_essential: bool = True


def explain_failure(job: Json) -> Explanation:
    """Why a job failed.

    Knows jobs of one container and of several, on Amazon ECS and on Amazon EKS, multi-node parallel jobs, which show
    the attempts of the main node that decides, and array jobs. Of several attempts the last one decides.

    Args:
        job: The description of a job that is FAILED.
    """
    last_attempt = next(iter(attempts_of(job)[-1:]), {})
    containers = _merged_containers(last_attempt, job)
    failed = max(containers, key=_blame, default=_Container())
    said = [text_in(job.get("statusReason")), text_in(last_attempt.get("statusReason"))]
    cause, reason = next(_causes(job, said, failed))
    part = _part(job, failed.name if len(containers) > 1 else "")
    return Explanation(
        cause,
        failed.exit_code,
        one_line(reason) if reason else None,
        f"failed{_history(job)}: {_sentence(job, cause, failed.exit_code, reason, part)}",
        _advice(job, cause),
    )


def cause_in_short(job: Json) -> str:
    """Why a job failed, in a few words that are the same for all jobs that failed like this."""
    explained = explain_failure(job)
    return _IN_SHORT.get(explained.cause, f"exit code {explained.exit_code}")


def attempts_of(job: Json) -> list[dict[str, Any]]:
    """The attempts of a job, on whatever it runs, first to last."""
    found = ([*items_in(job.get(member))] for member in ("attempts", "eksAttempts"))
    return next((attempts for attempts in found if attempts), [])


def _causes(job: Json, said: Sequence[str], failed: _Container) -> Iterator[tuple[FailureCause, str]]:
    """The causes that fit, each with the text that tells of it; the first one counts."""
    given = said[0]
    has_run = bool(attempts_of(job))
    by_status = [(cause, text) for text in said for cause, form in _BY_STATUS_REASON if form.match(text)]
    # A job's owner may say anything of the kind, but the queue cancels, and says more around it.
    if _GIVEN_UP.match(given) or (job.get("isTerminated") is not True and _GIVEN_UP.search(given)):
        yield FailureCause.NOT_STARTED, given
    # Early, since a job that is terminated may leave any exit code, and the text is the caller's own.
    if job.get("isTerminated") is True:
        yield FailureCause.TERMINATED, given
    # To cancel a job that has started has no effect; then AWS Batch says itself how it ended.
    if job.get("isCancelled") is True and not (has_run and (by_status or _BLAND.match(given))):
        yield FailureCause.CANCELLED, given
    yield from by_status
    if _is_array(job):
        yield FailureCause.CHILDREN, given
    texts = (failed.reason, *said)
    for cause, form in _BY_ANY_REASON:
        yield from ((cause, _most_telling((text, *texts))) for text in texts if form.search(text))
    told = _most_telling(texts)
    if failed.exit_code:
        yield FailureCause.EXIT_CODE, told
    if told and not has_run:
        yield FailureCause.NOT_STARTED, told
    yield FailureCause.UNKNOWN, told


def _sentence(job: Json, cause: FailureCause, exit_code: int | None, reason: str, part: str) -> str:
    shown = "" if _BLAND.match(reason) else one_line(reason).rstrip(". ")
    match cause:
        case FailureCause.CHILDREN:
            text = _failed_children(job)
        case FailureCause.EXIT_CODE:
            text = f"exit code {exit_code}" + (f" of {part}" if part else "")
            shown = shown or _EXIT_CODES.get(exit_code or 0, "")
        case FailureCause.TIMEOUT:
            seconds = number_in(mapping_in(job.get("timeout")).get("attemptDurationSeconds"))
            text = "it took longer than its timeout" + (f" of {seconds} s" if seconds else "")
        case FailureCause.UNKNOWN:
            text, shown = one_line(reason).rstrip(". ") or _NO_REASON, ""
        case _:
            of_all, of_part = _PHRASES[cause]
            text = of_part.format(part) if part and of_part else of_all
    if exit_code is not None and cause is not FailureCause.EXIT_CODE:
        text += f", exit code {exit_code}"
    return f"{text} ({shown})" if shown else text


def _history(job: Json) -> str:
    attempts = len(attempts_of(job))
    if attempts:
        return f" after {quantity(attempts, 'attempt', 'attempts')}"
    # An array job has none of its own.
    return "" if _is_array(job) else " before its first attempt"


def _failed_children(job: Json) -> str:
    properties = mapping_in(job.get("arrayProperties"))
    size = number_in(properties.get("size"))
    # The counts may be late.
    failed = number_in(mapping_in(properties.get("statusSummary")).get("FAILED"))
    if not size:
        return "children of it failed"
    return f"{failed} of {size} children failed" if failed else f"some of its {size} children failed"


def _advice(job: Json, cause: FailureCause) -> str:
    if cause is FailureCause.DEPENDENCY:
        ids = [text_in(dependency.get("jobId")) for dependency in items_in(job.get("dependsOn"))]
        named = [one_line(job_id) for job_id in ids if job_id][:_MOST_DEPENDENCIES]
        return (
            f"find out why that one failed: {', '.join(named)}" if named else "find out why that one failed"
        )
    advice = _ADVICE.get(cause, "")
    if cause not in _LEFT_LOGS:
        return advice
    if log := _log(job):
        return f"{advice}, its log: {log}" if advice else f"its log: {log}"
    return advice or "it has no CloudWatch log that AWS Batch knows of, so look where its containers write"


def _log(job: Json) -> str:
    """Where the log of its latest attempt is; nothing if it has none."""
    infos = find_log_locations(job, None).infos
    return one_line(f"{infos[-1]['awslogs_stream_name']} in {infos[-1]['awslogs_group']}") if infos else ""


def _merged_containers(*holders: Json) -> list[_Container]:
    """The containers of an attempt and of the job itself; what the first leaves open is taken from the next."""
    merged: dict[str, _Container] = {}
    for holder in holders:
        for number, (name, container) in enumerate(containers_of(holder)):
            # On Amazon EKS those of an attempt may have no names.
            key = name or f"#{number}"
            known = merged.get(key, _Container(name))
            merged[key] = known._replace(
                exit_code=number_in(container.get("exitCode"))
                if known.exit_code is None
                else known.exit_code,
                reason=known.reason or text_in(container.get("reason")),
                is_essential=known.is_essential and container.get("essential") is not False,
            )
    return list(merged.values())


def _blame(container: _Container) -> tuple[bool, ...]:
    """Orders containers of a job by how likely it is that they made it fail.

    When an essential one ends, the others are stopped, by SIGTERM and then by SIGKILL.
    """
    is_known = any(form.search(container.reason) for _, form in _BY_ANY_REASON)
    return (
        bool(container.exit_code) or is_known,
        container.is_essential,
        is_known,
        container.exit_code not in {None, 0, 137, 143},
        bool(container.reason),
    )


def _part(job: Json, container: str) -> str:
    """What of the job failed, if it has several parts."""
    named = f"container {one_line(repr(container))}" if container else ""
    has_nodes = bool(mapping_in(job.get("nodeProperties"))) and not mapping_in(job.get("nodeDetails"))
    # One of its nodes is a job of its own.
    return " of ".join(filter(None, (named, "the main node" if has_nodes else "")))


def _is_array(job: Json) -> bool:
    """Whether it is the parent of an array; the children have an index instead."""
    return mapping_in(job.get("arrayProperties")).get("size") is not None


def _most_telling(texts: Iterable[str]) -> str:
    given = [text for text in texts if text]
    return next((text for text in given if not _BLAND.match(text)), next(iter(given), ""))
