"""What a job is: the order of what was seen of it, and its description as users receive it."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._jobs import TERMINAL, JobHead, JobStatus, KnownStatus, decode_description
from awaitbatch._responses import DescribeJobsResponse

from .descriptions import body_of, describe_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator


class Botocore:
    """The way from an HTTP body to what users of botocore receive."""

    def __init__(self) -> None:
        model = ServiceModel(Loader().load_service_model("batch", "service-2"))
        self.shape = model.operation_model("DescribeJobs").output_shape
        self.parser: Any = create_parser("rest-json")

    def jobs(self, body: bytes) -> list[dict[str, Any]]:
        """The jobs of an answer, as botocore parses them."""
        response = {"body": body, "headers": {}, "status_code": 200}
        jobs: list[dict[str, Any]] = self.parser.parse(response, self.shape)["jobs"]
        return jobs

    def job(self, job: Any) -> dict[str, Any]:
        """One job, as botocore parses it."""
        return self.jobs(body_of(job))[0]


@pytest.fixture(scope="module")
def botocore() -> Botocore:
    """Botocore's own parser, on its real model of AWS Batch."""
    return Botocore()


RICH: dict[str, Any] = {
    "jobId": "a#0",
    "status": "RUNNING",
    "createdAt": 1764000000123,
    "isCancelled": False,
    "shareIdentifier": "",
    "schedulingPriority": 0,
    "parameters": {"empty": "", "unicode": "ü 😀 \u2028 \\ \" '", "null": "null"},
    "dependsOn": [],
    "arrayProperties": {"statusSummary": {"FAILED": 0, "RUNNING": 3}, "size": 3},
    "nodeDetails": {"nodeIndex": 0, "isMainNode": True},
    "nodeProperties": {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [
            {"targetNodes": "0:1", "container": {"image": "x", "logConfiguration": {"logDriver": "awslogs"}}}
        ],
    },
    "ecsProperties": {
        "taskProperties": [
            {
                "containers": [{"name": "main", "exitCode": 0, "logStreamName": "s", "command": ["a", ""]}],
                "volumes": [{"efsVolumeConfiguration": {"fileSystemId": "fs"}, "name": "v"}],
            }
        ]
    },
    "eksProperties": {
        "podProperties": {
            "containers": [{"resources": {"limits": {"cpu": "1"}}, "env": [{"name": "A", "value": "b"}]}],
            "metadata": {"labels": {"x": "y"}, "annotations": {}},
            "hostNetwork": False,
        }
    },
    "eksAttempts": [{"containers": [{"exitCode": 1}], "podName": "p", "startedAt": 5}],
}


@pytest.mark.parametrize("place", range(8))
def test_equals_what_botocore_returns(botocore: Botocore, place: int) -> None:
    """A realistic description has every value that botocore returns, and no other."""
    body = describe_jobs()
    answer = DescribeJobsResponse(body)
    expected = botocore.jobs(body)
    assert len(expected) == 8
    description = decode_description(answer.description(expected[place]["jobId"]))
    assert description == expected[place]
    assert type(description["status"]) is str


def test_equals_botocore_in_every_corner(botocore: Botocore) -> None:
    """Nodes, several containers, EKS, empty texts, lists and maps come as botocore gives them."""
    assert decode_description(msgspec.json.encode(RICH)) == botocore.job(RICH) == RICH


def with_nulls(value: Any) -> Any:
    """The same value with a null member added to each structure and a null to each list of structures."""
    if isinstance(value, dict):
        members = {key: with_nulls(member) for key, member in value.items()}
        return members | {"reason": None, "container": None, "containers": None}
    if isinstance(value, list):
        return [with_nulls(item) for item in value]
    return value


def test_null_members_are_dropped_as_botocore_does(botocore: Botocore) -> None:
    """Null members of structures, however deep, are dropped, and the text "null" is not."""
    structures = {key: value for key, value in RICH.items() if key not in {"parameters", "arrayProperties"}}
    structures["eksProperties"] = {"podProperties": {"hostNetwork": True, "serviceAccountName": None}}
    structures["nodeProperties"] |= {"mainNode": None}
    job = {
        "jobName": "null",
        "stoppedAt": None,
        "attempts": None,
        "container": {"exitCode": None, "reason": "null", "environment": [{"name": "x", "value": None}]},
        **with_nulls(structures),
    }
    expected = botocore.job(job)
    assert expected.keys() == {key for key, value in job.items() if value is not None}
    assert decode_description(msgspec.json.encode(job)) == expected


def test_nulls_in_lists_stay(botocore: Botocore) -> None:
    """A null in a list is no member, so it stays, as with botocore."""
    job = {"jobId": "a", "container": {"command": ["a", None]}, "attempts": [None, {"statusReason": None}]}
    expected: dict[str, Any] = {"jobId": "a", "container": {"command": ["a", None]}, "attempts": [None, {}]}
    assert decode_description(msgspec.json.encode(job)) == botocore.job(job) == expected


MAPS: list[dict[str, Any]] = [
    {"parameters": {"key": None, "container": None}},
    {"tags": {"key": None}},
    {"arrayProperties": {"size": None, "statusSummary": {"FAILED": 0}}},
    {"container": {"image": None, "logConfiguration": {"logDriver": None, "options": {"key": None}}}},
    {"eksProperties": {"podProperties": {"metadata": {"labels": {"a": None}, "annotations": {"b": None}}}}},
    {
        "eksProperties": {
            "podProperties": {"containers": [{"resources": {"limits": {"a": None}, "requests": {"b": None}}}]}
        }
    },
]


@pytest.mark.parametrize("job", MAPS, ids=str)
def test_nulls_in_maps_stay(botocore: Botocore, job: dict[str, Any]) -> None:
    """A null in a map of the user's own keys is no member either, so it stays, as with botocore."""
    assert decode_description(msgspec.json.encode(job)) == botocore.job(job)


def map_members(shape: Any, parents: frozenset[str] = frozenset()) -> Iterator[str]:
    """The members of a shape, at any depth, that are maps."""
    if shape.type_name == "list":
        yield from map_members(shape.member, parents)
    elif shape.type_name == "structure" and shape.name not in parents:
        for name, member in shape.members.items():
            if member.type_name == "map":
                yield name
            yield from map_members(member, parents | {shape.name})


def test_every_map_of_the_service_model_is_covered(botocore: Botocore) -> None:
    """When botocore's model learns of another map, this test fails."""
    tested = {name for job in MAPS for name in re.findall(r"'(\w+)'", str(job))}
    assert tested >= set(map_members(botocore.shape))


def test_members_that_botocore_does_not_know_are_kept(botocore: Botocore) -> None:
    """What AWS added yesterday reaches users, other than with botocore."""
    job = {"jobId": "a", "brandNew": {"x": [1]}, "container": {"alsoNew": True, "image": "i"}}
    assert dict(decode_description(msgspec.json.encode(job))) == job
    assert botocore.job(job) == {"jobId": "a", "container": {"image": "i"}}


KEYS = st.sampled_from(["jobId", "status", "container", "reason", "attempts", "new"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)


def has_null_member(value: Any) -> bool:
    """Whether any structure in it has a null member."""
    if isinstance(value, dict):
        return any(member is None or has_null_member(member) for member in value.values())
    return isinstance(value, list) and any(has_null_member(item) for item in value)


@settings(max_examples=50, deadline=None)
@given(job=st.dictionaries(KEYS, JSON, max_size=3))
def test_only_null_members_are_dropped(job: dict[str, Any]) -> None:
    """Whatever AWS sends, null members are gone, and without any the description is what was sent."""
    description = decode_description(msgspec.json.encode(job))
    assert not has_null_member(description)
    assert has_null_member(job) or description == job


HISTORY: list[tuple[str, int]] = [
    ("SUBMITTED", 0),
    ("PENDING", 0),
    ("RUNNABLE", 0),
    ("STARTING", 0),
    ("RUNNING", 0),
    ("HIBERNATING", 0),
    ("RUNNABLE", 1),
    ("STARTING", 1),
    ("RUNNING", 1),
    ("RUNNABLE", 2),
    ("SUCCEEDED", 0),
    ("FAILED", 3),
]


def head(status: str | None, attempts: int, member: str = "attempts") -> JobHead:
    """The head of a job of which so many attempts have ended."""
    job = {"jobId": "a", "status": status, member: [{"startedAt": 1}] * attempts}
    return msgspec.json.decode(msgspec.json.encode(job), type=JobHead)


@pytest.mark.parametrize("member", ["attempts", "eksAttempts"])
def test_order(member: str) -> None:
    """Attempts come before states, an unknown state after those known, and terminal states last of all."""
    orders = [head(status, attempts, member).order for status, attempts in HISTORY]
    for earlier, later in itertools.pairwise(orders):
        assert earlier < later


def test_an_empty_head_has_an_order() -> None:
    """A job of which nothing is known can be compared."""
    assert JobHead().order == msgspec.json.decode(b'{"attempts":null}', type=JobHead).order


def test_statuses() -> None:
    """The states are those of AWS, in the order in which a job passes through them; two are final."""
    assert [*JobStatus] == [
        "SUBMITTED",
        "PENDING",
        "RUNNABLE",
        "STARTING",
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
    ]
    assert {"SUCCEEDED", "FAILED"} == TERMINAL


def test_the_states_are_those_of_the_service_model() -> None:
    """Botocore's model of AWS Batch knows no other state."""
    model = ServiceModel(Loader().load_service_model("batch", "service-2"))
    assert set(model.shape_for("JobStatus").metadata["enum"]) == set(JobStatus)


def test_the_states_are_spelled_out() -> None:
    """The type by which responses are read lists the states, in their order."""
    assert [*get_args(KnownStatus)] == [*JobStatus]
