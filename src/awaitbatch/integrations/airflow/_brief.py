"""A part of a job's description: what the provider's operator asks for once its trigger has fired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT: Final[dict[str, Any]] = {
    **dict.fromkeys(("jobId", "status", "statusReason", "jobDefinition", "jobQueue"), True),
    "container": {
        # The provider takes a job for one of a kind that has no log if there is nothing in it.
        "image": True,
        "exitCode": True,
        "reason": True,
        "logStreamName": True,
        "logConfiguration": {"logDriver": True, "options": {"awslogs-group": True, "awslogs-region": True}},
    },
    "nodeProperties": {
        "nodeRangeProperties": {
            "container": {
                "logConfiguration": {
                    "logDriver": True,
                    "options": {"awslogs-group": True, "awslogs-region": True},
                }
            }
        }
    },
    "attempts": {
        "container": {"exitCode": True, "reason": True, "logStreamName": True},
        "taskProperties": {"containers": {"exitCode": True, "reason": True, "logStreamName": True}},
    },
}


def brief_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a description that goes into an event; a whole one may have kilobytes, and lands in a database."""
    brief: dict[str, Any] = _pick(job, _KEPT)
    return brief


def _pick(value: Any, kept: Any) -> Any:  # noqa: ANN401
    if kept is True:
        return value
    if isinstance(value, list):
        return [_pick(item, kept) for item in value]
    if isinstance(value, dict):
        return {key: _pick(value[key], inner) for key, inner in kept.items() if key in value}
    return value
