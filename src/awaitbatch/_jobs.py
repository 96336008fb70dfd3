"""What a job is: its states and their order, and its description as users receive it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict

import msgspec

from awaitbatch._core.text import one_line, shown

if TYPE_CHECKING:
    from types_aiobotocore_batch.type_defs import JobDetailTypeDef


class JobStatus(StrEnum):
    """The states of a job, in the order in which a job passes through them.

    https://docs.aws.amazon.com/batch/latest/userguide/job_states.html
    """

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


KnownStatus = Literal["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]
"""The values of `JobStatus`, spelled out: so msgspec reads them fastest, and as one object for all jobs."""

MatchStatus: TypeAlias = JobStatus | KnownStatus | Collection[JobStatus | KnownStatus]
"""The states to wait for, or a single one. Of a str that comes from elsewhere, ``JobStatus(text)`` makes one."""

TERMINAL: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED})
"""States that are never left."""

_RANKS: Final[dict[str, int]] = {status.value: rank for rank, status in enumerate(JobStatus)}


def parse_statuses(match_status: object, name: str = "match_status") -> frozenset[str]:
    """The states to wait for, given as a collection of them, or as a single one; errors call the argument ``name``.

    Raises:
        ValueError: There is none, or AWS has no such status.
        TypeError: They are not str.
    """
    given = [match_status] if isinstance(match_status, str) else match_status
    if not isinstance(given, Iterable):
        message = f"{name} must be a collection of statuses, not {shown(match_status)}"
        raise TypeError(message)
    statuses = list(given)
    for status in statuses:
        if not isinstance(status, str):
            message = f"{name} must have nothing but str in it, not {shown(status)}"
            raise TypeError(message)
    if not statuses:
        message = f"{name} must be at least one status, not {shown(match_status)}"
        raise ValueError(message)
    parsed = [str.__str__(status) for status in statuses]
    for status in parsed:
        if status not in JobStatus.__members__:
            message = (
                f"{name} has {shown(status)}, which is no status of AWS Batch{_status_meant(status)}; "
                f"the statuses are {', '.join(JobStatus)}"
            )
            raise ValueError(message)
    return frozenset(parsed)


def _status_meant(status: str) -> str:
    """The status that was probably meant, as an end of a phrase; nothing if there is no telling."""
    # Of a text that is longer than any status, the rest would only take time.
    meant = get_close_matches(status.strip().upper()[:20], JobStatus.__members__, n=1)
    return f" (did you mean {meant[0]}?)" if meant else ""


UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, or not of the expected form."""

_LAST_ATTEMPT: Final = 1 << 30


class JobHead(msgspec.Struct, gc=False, rename="camel"):
    """The little of a job's description that is read at every check.

    Times are in epoch milliseconds, or whatever else is in their place; so is the reason of the status.
    """

    job_id: str = ""
    status: str | None = None
    status_reason: Any = None
    attempts: list[msgspec.Raw] | None = None
    eks_attempts: list[msgspec.Raw] | None = None
    # Not decoded until somebody asks, for most jobs have none, and it could be anything.
    array_properties: msgspec.Raw = msgspec.Raw()
    created_at: Any = None
    started_at: Any = None
    stopped_at: Any = None

    @property
    def attempts_ended(self) -> int:
        """How many attempts are on record as ended."""
        return len(self.attempts or self.eks_attempts or ())

    @property
    def has_ended(self) -> bool:
        """Whether it will never have another status."""
        return self.status in TERMINAL

    def counts_as_any_of(self, states: Collection[str]) -> bool:
        """Whether it may be taken for a job in one of these states, whatever its status.

        The parent of an array job counts as RUNNING once a child runs or has ended. AWS Batch itself shows it as
        PENDING until all of its children have ended. Of a child that FAILED it does not say whether it ever ran; most
        did, and short ones are seen in no other state.
        https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
        """
        # In this order, for it is asked at every check, and decoding takes longest.
        return (
            bool(self.array_properties)
            and JobStatus.RUNNING in states
            and _have_children_begun(self.array_properties)
        )

    @property
    def order(self) -> tuple[int, int]:
        """Orders what was seen of one job: (attempts that have ended, rank of the status).

        A retry takes a job from RUNNING back to RUNNABLE, with one more attempt on record. Terminal states come last
        whatever the attempts; a status that is not known comes after those of the same attempt that are.
        """
        attempts = _LAST_ATTEMPT if self.status in TERMINAL else self.attempts_ended
        return (attempts, _RANKS.get(self.status or "", len(_RANKS)))

    @property
    def progress(self) -> dict[str, int] | None:
        """How many children are in which state, of the parent of an array job; None for any other job."""
        counts = _counts_of_children(self.array_properties) if self.array_properties else {}
        return {
            status if status in _RANKS else one_line(status): count
            for status, count in counts.items()
            if type(count) is int
        } or None


class _ArrayProperties(msgspec.Struct, gc=False, rename="camel"):
    status_summary: dict[str, Any] | None = None


_decode_array_properties = msgspec.json.Decoder(_ArrayProperties).decode

_HAVE_BEGUN: Final = (JobStatus.RUNNING, *TERMINAL)


def _have_children_begun(array_properties: msgspec.Raw) -> bool:
    children = _counts_of_children(array_properties)
    counts = (children.get(status) for status in _HAVE_BEGUN)
    return any(type(count) is int and count > 0 for count in counts)


def _counts_of_children(array_properties: msgspec.Raw) -> dict[str, Any]:
    try:
        return _decode_array_properties(array_properties).status_summary or {}
    except UNDECODABLE:
        return {}


_decode_head = msgspec.json.Decoder(JobHead).decode


def progress_in(item: bytes) -> dict[str, int] | None:
    """The `JobHead.progress` of a description, given as JSON."""
    try:
        return _decode_head(item).progress
    except UNDECODABLE:
        return None


class _Queue(msgspec.Struct, gc=False, rename="camel"):
    job_queue: str = ""


_decode_queue = msgspec.json.Decoder(_Queue).decode


def queue_in(item: bytes) -> str | None:
    """The name of the queue that a description, given as JSON, has its ARN of; None if there is none to be read."""
    try:
        arn = _decode_queue(item).job_queue
    except UNDECODABLE:
        return None
    return one_line(arn.partition(":job-queue/")[2]) or None


class JobDescriptions(TypedDict):
    """What `BatchClient.describe_jobs` returns: boto3's answer, without the ``ResponseMetadata`` of a single call."""

    jobs: list[JobDetailTypeDef]


def decode_description(item: bytes) -> JobDetailTypeDef:
    """Decode one job of a DescribeJobs answer into the dict that botocore would return for it.

    As botocore does, it drops null members, but not from maps, whose keys are the user's own. Other than botocore, it
    keeps members that botocore's service model does not know yet.
    """
    job = msgspec.json.decode(item)
    if b"null" in item:
        job = _without_null_members(job)
    description: JobDetailTypeDef = job
    return description


_MAPS: Final = frozenset(
    {"annotations", "labels", "limits", "options", "parameters", "requests", "statusSummary", "tags"}
)
"""The members of a description, at any depth, that are maps."""


def _without_null_members(value: Any, *, is_map: bool = False) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {
            key: _without_null_members(member, is_map=key in _MAPS)
            for key, member in value.items()
            if is_map or member is not None
        }
    if isinstance(value, list):
        return [_without_null_members(member) for member in value]
    return value
