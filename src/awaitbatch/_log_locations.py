"""Where the CloudWatch logs of a job are, read from its description."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from awaitbatch._core.members import items_in, mapping_in, number_in, text_in
from awaitbatch._core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Json = Mapping[str, Any]

DEFAULT_GROUP: Final = "/aws/batch/job"
"""The log group of jobs that name none.

https://docs.aws.amazon.com/batch/latest/userguide/using_cloudwatch_logs.html
"""

_DRIVER: Final = "awslogs"
"""The log driver of jobs that name none, and the only one that writes to CloudWatch."""

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
    Whatever an answer has in the place of any of it, this does not raise.
    """
    if any(mapping_in(holder.get("eksProperties")) for holder in (job, *_node_groups(job))):
        obstacle = "it runs on Amazon EKS, which writes no CloudWatch stream that AWS Batch knows of"
        return LogLocations([], obstacle)
    containers = containers_of(_properties_of_node(job))
    configurations = {name: mapping_in(container.get("logConfiguration")) for name, container in containers}
    infos: dict[str, dict[str, str]] = {}
    # The job itself names the latest attempt's while it runs, and its attempts do once it has ended.
    for runs in (*items_in(job.get("attempts")), job):
        for name, container in containers_of(runs):
            configuration = configurations.get(name, {})
            stream = text_in(container.get("logStreamName"))
            if not stream or _driver_of(configuration) != _DRIVER:
                continue
            options = mapping_in(configuration.get("options"))
            info = {
                "awslogs_stream_name": stream,
                "awslogs_group": text_in(options.get("awslogs-group")) or DEFAULT_GROUP,
                "awslogs_region": text_in(options.get("awslogs-region")) or region_name or "",
            }
            infos.setdefault(stream, info)
    return LogLocations(list(infos.values()), None if infos else _obstacle(job, configurations.values()))


def _obstacle(job: Json, configurations: Iterable[Json]) -> str:
    """Why a job has no log stream."""
    drivers = {_driver_of(configuration) for configuration in configurations}
    if drivers and _DRIVER not in drivers:
        return f"its log driver is {one_line(', '.join(sorted(drivers)))}, not awslogs"
    if "size" in mapping_in(job.get("arrayProperties")):
        return "it is an array job; ask for its children"
    status = one_line(text_in(job.get("status"))) or "of no status"
    if status in _ENDED:
        return f"it is {status} and left no log stream; it may never have run"
    runs = status == "RUNNING"
    hint = "AWS Batch has not named it, so ask again later" if runs else "streams exist from RUNNING on"
    return f"it is {status} and has no log stream yet; {hint}"


def _driver_of(configuration: Json) -> str:
    return text_in(configuration.get("logDriver")) or _DRIVER


def containers_of(holder: Json) -> Iterator[tuple[str, Json]]:
    """The containers of a job, an attempt or a node group, each with its name; the only one on Amazon ECS has none."""
    if container := mapping_in(holder.get("container")):
        yield "", container
    ecs = mapping_in(holder.get("ecsProperties")) or holder
    lists = [task.get("containers") for task in items_in(ecs.get("taskProperties"))]
    pod = mapping_in(mapping_in(holder.get("eksProperties")).get("podProperties")) or holder
    for several in (*lists, pod.get("initContainers"), pod.get("containers")):
        for container in items_in(several):
            yield text_in(container.get("name")), container


def _node_groups(job: Json) -> list[dict[str, Any]]:
    return [*items_in(mapping_in(job.get("nodeProperties")).get("nodeRangeProperties"))]


def _properties_of_node(job: Json) -> Json:
    """What holds the log options: the job itself, or its node group if it is a multi-node job or a node of one."""
    groups = _node_groups(job)
    if not groups:
        return job
    # The parent shows the attempts of the main node, which decides on the job.
    numbers = (mapping_in(job.get("nodeDetails")).get("nodeIndex"), job["nodeProperties"].get("mainNode"))
    node = next((number for number in map(number_in, numbers) if number is not None), 0)
    ranges = [(_node_range(text_in(group.get("targetNodes")) or "0:"), group) for group in groups]
    holding = [(nodes, group) for nodes, group in ranges if node in nodes]
    # A range within another one overrides it.
    return min(holding, key=lambda pair: len(pair[0]))[1] if holding else job


def _node_range(target_nodes: str) -> range:
    """The nodes of ``"n:m"``, with either end left out, or of ``"n"``; none if it is something else.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_NodeRangeProperty.html
    """
    form = re.fullmatch(r"(\d{0,9})(:?)(\d{0,9})", target_nodes, re.ASCII)
    if form is None:
        return range(0)
    first, colon, last = form.groups()
    start = int(first or 0)
    most_nodes = 1 << 20
    return range(start, (int(last) + 1 if last else most_nodes) if colon else start + 1)
