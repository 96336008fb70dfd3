"""Where the CloudWatch logs of a job are, read from its description."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awaitbatch._core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Json = Mapping[str, Any]

DEFAULT_GROUP: Final = "/aws/batch/job"
"""The log group of jobs that name none.

https://docs.aws.amazon.com/batch/latest/userguide/using_cloudwatch_logs.html
"""

_ENDED: Final = frozenset({"SUCCEEDED", "FAILED"})
"""Spelled out, since errors read this module, and `JobStatus` is above them."""


class LogLocations(NamedTuple):
    """The log streams of a job.

    Attributes:
        infos: ``{awslogs_stream_name, awslogs_group, awslogs_region}`` of each stream, oldest attempt first.
        obstacle: Why there are none, if there are none, fit for a line of text.
    """

    infos: list[dict[str, str]]
    obstacle: str | None


def find_log_locations(job: Json, region_name: str | None) -> LogLocations:
    """The log streams of every attempt of a job, oldest first, each with the options of its own container.

    Knows jobs of one container, ECS jobs of several, and multi-node parallel jobs, where the options are those of
    the node group that the stream's node belongs to. ``region_name`` is that of streams whose container names none.
    """
    if any(holder.get("eksProperties") for holder in (job, *_node_groups(job))):
        obstacle = "it runs on Amazon EKS, which writes no CloudWatch stream that AWS Batch knows of"
        return LogLocations([], obstacle)
    containers = _containers(_properties_of_node(job))
    configurations = {name: container.get("logConfiguration") or {} for name, container in containers}
    infos: dict[str, dict[str, str]] = {}
    # The job itself names the latest attempt's while it runs, and its attempts do once it has ended.
    for runs in (*(job.get("attempts") or ()), job):
        for name, container in _containers(runs):
            configuration = configurations.get(name, {})
            stream = container.get("logStreamName")
            if not stream or (configuration.get("logDriver") or "awslogs") != "awslogs":
                continue
            options = configuration.get("options") or {}
            info = {
                "awslogs_stream_name": stream,
                "awslogs_group": options.get("awslogs-group") or DEFAULT_GROUP,
                "awslogs_region": options.get("awslogs-region") or region_name or "",
            }
            infos.setdefault(stream, info)
    return LogLocations(list(infos.values()), None if infos else _obstacle(job, configurations.values()))


def _obstacle(job: Json, configurations: Iterable[Json]) -> str:
    """Why a job has no log stream."""
    drivers = {str(configuration.get("logDriver") or "awslogs") for configuration in configurations}
    if drivers and "awslogs" not in drivers:
        return f"its log driver is {one_line(', '.join(sorted(drivers)))}, not awslogs"
    if "size" in (job.get("arrayProperties") or {}):
        return "it is an array job; ask for its children"
    status = one_line(str(job.get("status")))
    if status in _ENDED:
        return f"it is {status} and left no log stream; it may never have run"
    runs = status == "RUNNING"
    hint = "AWS Batch has not named it, so ask again later" if runs else "streams exist from RUNNING on"
    return f"it is {status} and has no log stream yet; {hint}"


def _containers(holder: Json) -> Iterator[tuple[str, Json]]:
    """The containers of a job, an attempt or a node group, each with its name; the only one of a job has none."""
    if container := holder.get("container"):
        yield "", container
    ecs = holder.get("ecsProperties") or holder
    for task in ecs.get("taskProperties") or ():
        for container in task.get("containers") or ():
            yield container.get("name", ""), container


def _node_groups(job: Json) -> Sequence[Json]:
    return (job.get("nodeProperties") or {}).get("nodeRangeProperties") or ()


def _properties_of_node(job: Json) -> Json:
    """What holds the log options: the job itself, or its node group if it is a multi-node job or a node of one."""
    groups = _node_groups(job)
    if not groups:
        return job
    node_properties = job["nodeProperties"]
    details = job.get("nodeDetails") or {}
    # The parent shows the attempts of the main node, which decides on the job.
    node = details.get("nodeIndex", node_properties.get("mainNode", 0))
    ranges = [(_node_range(group.get("targetNodes") or "0:"), group) for group in groups]
    holding = [(nodes, group) for nodes, group in ranges if node in nodes]
    # A range within another one overrides it.
    return min(holding, key=lambda pair: len(pair[0]))[1] if holding else job


def _node_range(target_nodes: str) -> range:
    """The nodes of ``"n:m"``, with either end left out, or of ``"n"``; none if it is something else.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_NodeRangeProperty.html
    """
    form = re.fullmatch(r"(\d*)(:?)(\d*)", target_nodes)
    if form is None:
        return range(0)
    first, colon, last = form.groups()
    start = int(first or 0)
    most_nodes = 1 << 20
    return range(start, (int(last) + 1 if last else most_nodes) if colon else start + 1)
