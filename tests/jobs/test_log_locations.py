"""Where the CloudWatch logs of a job are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from awaitbatch._log_locations import DEFAULT_GROUP, find_log_locations

from .descriptions import describe_jobs

REGION = "eu-west-1"


def options(group: str, region: str | None = None, driver: str = "awslogs") -> dict[str, Any]:
    """A container whose log goes to this group."""
    regions = {"awslogs-region": region} if region else {}
    return {"logConfiguration": {"logDriver": driver, "options": {"awslogs-group": group, **regions}}}


def stream(name: str) -> dict[str, Any]:
    """A container, or an attempt of one, that writes to this stream."""
    return {"logStreamName": name}


def attempts(*names: str) -> list[dict[str, Any]]:
    """An attempt of one container for each of these streams."""
    return [{"container": stream(name)} for name in names]


def found(job: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The streams of a job, oldest first, each with its group and its region."""
    infos, obstacle = find_log_locations(job, REGION)
    assert infos
    assert obstacle is None
    keys = ("awslogs_stream_name", "awslogs_group", "awslogs_region")
    assert all(tuple(info) == keys for info in infos)
    return [(info[keys[0]], info[keys[1]], info[keys[2]]) for info in infos]


def stream_names(job: dict[str, Any]) -> list[str]:
    """The names of a job's streams, oldest first."""
    return [name for name, _, _ in found(job)]


def obstacle(job: dict[str, Any]) -> str:
    """Why a job has no stream."""
    infos, reason = find_log_locations(job, REGION)
    assert infos == []
    assert reason is not None
    return reason


class TestOneContainer:
    """Jobs of one container."""

    def test_running(self) -> None:
        """The stream of the first attempt is in the job itself."""
        job = {"status": "RUNNING", "container": {**options("/group", "us-west-2"), **stream("s0")}}
        assert found(job) == [("s0", "/group", "us-west-2")]

    def test_defaults(self) -> None:
        """A job that says nothing of its log writes to AWS Batch's group in the client's region."""
        assert found({"container": stream("s0")}) == [("s0", "/aws/batch/job", REGION)]
        assert DEFAULT_GROUP == "/aws/batch/job"

    @pytest.mark.parametrize(
        "configuration",
        [
            None,
            {},
            {"logDriver": "awslogs"},
            {"logDriver": "awslogs", "options": None},
            {"options": {}},
            {"logDriver": "awslogs", "options": {"awslogs-group": "", "awslogs-region": ""}},
        ],
        ids=str,
    )
    def test_half_a_configuration(self, configuration: Any) -> None:
        """What a log configuration leaves open has its default."""
        job = {"container": {"logConfiguration": configuration, **stream("s0")}}
        assert found(job) == [("s0", DEFAULT_GROUP, REGION)]

    def test_one_option_of_two(self) -> None:
        """A group without a region is in the client's region."""
        assert found({"container": {**options("/group"), **stream("s")}}) == [("s", "/group", REGION)]

    def test_no_region_at_all(self) -> None:
        """Without any region the answer still has its three members."""
        infos, _ = find_log_locations({"container": stream("s")}, None)
        assert infos == [{"awslogs_stream_name": "s", "awslogs_group": DEFAULT_GROUP, "awslogs_region": ""}]

    def test_retries(self) -> None:
        """A job that ended after three attempts has three streams, the latest last, none twice."""
        job = {
            "status": "FAILED",
            "container": {**options("/group"), **stream("s2")},
            "attempts": attempts("s0", "s1", "s2"),
        }
        assert found(job) == [(f"s{number}", "/group", REGION) for number in range(3)]

    def test_the_attempt_that_runs_is_the_latest(self) -> None:
        """While the third attempt runs, the job has its stream, and the attempts have those before."""
        job = {"status": "RUNNING", "container": stream("s2"), "attempts": attempts("s0", "s1")}
        assert stream_names(job) == ["s0", "s1", "s2"]

    def test_between_two_attempts(self) -> None:
        """Before the next attempt runs there are the streams of those that ended."""
        job = {"status": "RUNNABLE", "container": {}, "attempts": attempts("s0", "s1")}
        assert stream_names(job) == ["s0", "s1"]

    def test_attempts_without_a_stream(self) -> None:
        """An attempt that never ran has no stream and hides no other."""
        job = {"attempts": [{"container": {"reason": "CannotPullContainer"}}, {}, *attempts("s2")]}
        assert stream_names(job) == ["s2"]

    def test_realistic(self) -> None:
        """All streams are found in a whole description of a job that was tried three times."""
        jobs = {job["jobId"]: job for job in msgspec.json.decode(describe_jobs())["jobs"]}
        names = stream_names(jobs["retried"])
        assert len(names) == len(set(names)) == 3
        assert names[-1] == jobs["retried"]["container"]["logStreamName"]
        assert "yet" in obstacle(jobs["new"])
        assert "children" in obstacle(jobs["array"])


class TestNoStream:
    """Jobs without a stream, and why."""

    @pytest.mark.parametrize("status", ["SUBMITTED", "RUNNABLE", "STARTING"])
    def test_not_yet(self, status: str) -> None:
        """Before it runs a job has no stream, and the reason names its state."""
        reason = obstacle({"status": status, "container": options("/group")})
        assert "yet" in reason
        assert status in reason

    @pytest.mark.parametrize("status", ["FAILED", "SUCCEEDED"])
    def test_never(self, status: str) -> None:
        """The reason for a job that has ended without a stream does not say that one may still come."""
        reason = obstacle({"status": status, "container": options("/group"), "attempts": []})
        assert status in reason
        assert "yet" not in reason

    def test_array(self) -> None:
        """An array's parent is distinguished from a child, which may have a stream yet."""
        assert "children" in obstacle({"status": "PENDING", "arrayProperties": {"size": 2}})
        assert "yet" in obstacle({"status": "RUNNABLE", "arrayProperties": {"index": 1}})

    @pytest.mark.parametrize(
        "job", [{}, {"container": None, "attempts": None}, {"container": {}, "attempts": []}], ids=str
    )
    def test_nothing_at_all(self, job: dict[str, Any]) -> None:
        """A description that says nothing has no stream."""
        assert obstacle(job)

    @pytest.mark.parametrize("properties", [{"podProperties": {"containers": []}}, {"podProperties": {}}])
    def test_eks(self, properties: dict[str, Any]) -> None:
        """Jobs on Amazon EKS have no stream, and the reason says so."""
        job = {
            "status": "RUNNING",
            "eksProperties": properties,
            "eksAttempts": [{"containers": [{"name": "a"}]}],
        }
        assert "EKS" in obstacle(job)

    def test_eks_of_several_nodes(self) -> None:
        """Multi-node jobs on Amazon EKS have no stream either, and the reason is the same."""
        groups = [{"targetNodes": "0:", "eksProperties": {"podProperties": {}}}]
        job = {"status": "RUNNING", "nodeProperties": {"mainNode": 0, "nodeRangeProperties": groups}}
        assert "EKS" in obstacle(job)

    def test_running_without_a_stream(self) -> None:
        """The reason for a job that runs does not ask to wait until it runs."""
        assert obstacle({"status": "RUNNING", "container": {}}) == (
            "it is RUNNING and has no log stream yet; AWS Batch has not named it, so ask again later"
        )

    @pytest.mark.parametrize("driver", ["splunk", "fluentd", "json-file"])
    def test_foreign_driver(self, driver: str) -> None:
        """A job that logs elsewhere has no stream, not even one that AWS names, and the reason names the driver."""
        container = {**options("/group", driver=driver), **stream("s0")}
        job = {"status": "RUNNING", "container": container, "attempts": attempts("s0")}
        assert driver in obstacle(job)


def group(target: str | None, name: str, **more: Any) -> dict[str, Any]:
    """A group of nodes that logs under this name."""
    targets = {} if target is None else {"targetNodes": target}
    return {**targets, "container": options(name), **more}


def node(index: int, *groups: dict[str, Any], main: int = 0) -> dict[str, Any]:
    """A node of a multi-node parallel job."""
    return {
        "nodeProperties": {"numNodes": 10, "mainNode": main, "nodeRangeProperties": list(groups)},
        "nodeDetails": {"nodeIndex": index, "isMainNode": index == main},
        "container": stream(f"n{index}"),
    }


class TestMultiNode:
    """Multi-node parallel jobs: the options are those of the node's group."""

    @pytest.mark.parametrize("target", ["x", "0 : 1", "-1:", "0:1:2"])
    def test_malformed_targets(self, target: str) -> None:
        """A group whose nodes cannot be read holds none, and hides no other."""
        assert found(node(0, group(target, "/odd"), group("0", "/main"))) == [("n0", "/main", REGION)]
        assert found(node(0, group(target, "/odd"))) == [("n0", DEFAULT_GROUP, REGION)]

    @pytest.mark.parametrize(
        ("target", "inside", "outside"),
        [
            ("0:3", [0, 1, 3], [4, 9]),
            (":3", [0, 3], [4]),
            ("4:", [4, 5, 9, 999], [0, 3]),
            ("2", [2], [0, 1, 3, 22]),
            ("2:2", [2], [1, 3]),
            ("0", [0], [1]),
            (":", [0, 9], []),
            (None, [0, 9], []),
        ],
        ids=str,
    )
    def test_target_nodes(self, target: str | None, inside: list[int], outside: list[int]) -> None:
        """Each form of targetNodes holds the nodes that AWS documents, both ends included."""
        for index in inside:
            assert found(node(index, group(target, "/mine"))) == [(f"n{index}", "/mine", REGION)]
        for index in outside:
            assert found(node(index, group(target, "/mine"))) == [(f"n{index}", DEFAULT_GROUP, REGION)]

    def test_each_node_has_its_group(self) -> None:
        """Nodes of two groups log under two names."""
        groups = group("0:0", "/main"), group("1:", "/workers")
        assert found(node(0, *groups))[0][1] == "/main"
        assert found(node(7, *groups))[0][1] == "/workers"

    @pytest.mark.parametrize("nested_first", [True, False])
    def test_nested_ranges_override(self, nested_first: bool) -> None:
        """A range within another one overrides it, in whatever order they are listed."""
        groups = [group("0:10", "/outer"), group("4:5", "/inner"), group("5", "/innermost")]
        if nested_first:
            groups.reverse()
        groups_of = {index: found(node(index, *groups))[0][1] for index in (3, 4, 5, 6)}
        assert groups_of == {3: "/outer", 4: "/inner", 5: "/innermost", 6: "/outer"}

    @pytest.mark.parametrize("main", [0, 4])
    def test_the_parent_shows_its_main_node(self, main: int) -> None:
        """The parent's attempts are those of the main node, with that node's group."""
        properties = {
            "mainNode": main,
            "nodeRangeProperties": [group("0:3", "/low"), group("4:", "/high")],
        }
        job = {"nodeProperties": properties, "attempts": attempts("s0", "s1")}
        name = "/high" if main else "/low"
        assert found(job) == [("s0", name, REGION), ("s1", name, REGION)]

    def test_a_child_is_no_main_node(self) -> None:
        """A child uses its own index, not the main node's."""
        assert found(node(2, group("0", "/main"), group("2", "/two"), main=0)) == [("n2", "/two", REGION)]

    def test_a_child_without_node_properties(self) -> None:
        """A child whose description leaves the groups out has its own options."""
        job = {"nodeDetails": {"nodeIndex": 1}, "container": {**options("/own"), **stream("n1")}}
        assert found(job) == [("n1", "/own", REGION)]

    def test_a_foreign_driver_of_another_group(self) -> None:
        """What other groups log with is no obstacle."""
        foreign = {"targetNodes": "1:", "container": options("/x", driver="splunk")}
        assert stream_names(node(0, group("0", "/main"), foreign)) == ["n0"]
        assert "splunk" in obstacle(node(1, group("0", "/main"), foreign))

    def test_groups_of_several_containers(self) -> None:
        """A group may run several containers on each node."""
        containers = [{"name": "a", **options("/a")}, {"name": "b", **options("/b")}]
        ecs_group = {"targetNodes": "0:", "ecsProperties": {"taskProperties": [{"containers": containers}]}}
        job = {
            "nodeProperties": {"mainNode": 0, "nodeRangeProperties": [ecs_group]},
            "attempts": [
                {
                    "taskProperties": [
                        {"containers": [{"name": "b", **stream("sb")}, {"name": "a", **stream("sa")}]}
                    ]
                }
            ],
        }
        assert found(job) == [("sb", "/b", REGION), ("sa", "/a", REGION)]


class TestSeveralContainers:
    """ECS jobs of several containers: options go by the container's name."""

    @staticmethod
    def job(status: str = "RUNNING", *, suffix: str = "1", **more: Any) -> dict[str, Any]:
        """A job of two containers that log apart, and one that logs elsewhere."""
        containers = [
            {"name": "main", **options("/main", "us-east-2"), **stream(f"main{suffix}")},
            {"name": "side", **options("/side"), **stream(f"side{suffix}")},
            {"name": "mute", **options("/x", driver="splunk"), **stream(f"mute{suffix}")},
        ]
        ecs = {"taskProperties": [{"containers": containers}]}
        return {"status": status, "container": {}, "ecsProperties": ecs, **more}

    def test_by_name(self) -> None:
        """Each container has its stream with its own options; foreign drivers are left out."""
        assert found(self.job()) == [("main1", "/main", "us-east-2"), ("side1", "/side", REGION)]

    def test_attempts(self) -> None:
        """Attempts name containers in any order; every stream is given once, the latest attempt last."""
        past = [
            {"name": name, **stream(f"{name}{number}")}
            for number in (0,)
            for name in ("side", "mute", "main")
        ]
        job = self.job(attempts=[{"taskProperties": [{"containers": past}]}])
        assert found(job) == [
            ("side0", "/side", REGION),
            ("main0", "/main", "us-east-2"),
            ("main1", "/main", "us-east-2"),
            ("side1", "/side", REGION),
        ]

    def test_ended(self) -> None:
        """The last attempt and the job itself have the same streams, which are given once."""
        ended = self.job("SUCCEEDED")
        last = ended["ecsProperties"]["taskProperties"]
        assert stream_names({**ended, "attempts": [{"taskProperties": last}]}) == ["main1", "side1"]

    def test_unknown_container(self) -> None:
        """A container of an attempt that the job does not list has the default options."""
        stray = [{"name": "stray", **stream("s")}]
        job = self.job(attempts=[{"taskProperties": [{"containers": stray}]}])
        assert found(job)[0] == ("s", DEFAULT_GROUP, REGION)

    def test_not_yet(self) -> None:
        """Before it runs such a job has no stream either."""
        ecs = {"taskProperties": [{"containers": [{"name": "main", **options("/main")}]}]}
        assert "RUNNABLE" in obstacle({"status": "RUNNABLE", "ecsProperties": ecs})

    def test_one_foreign_driver_is_not_the_whole_story(self) -> None:
        """With streams yet to come the reason does not blame a foreign driver alone."""
        ecs = {
            "taskProperties": [
                {
                    "containers": [
                        {"name": "a", **options("/a")},
                        {"name": "b", **options("/b", driver="splunk")},
                    ]
                }
            ]
        }
        assert "yet" in obstacle({"status": "RUNNABLE", "ecsProperties": ecs})
