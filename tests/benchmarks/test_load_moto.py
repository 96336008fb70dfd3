"""The load on moto: what its servers say is added up, and compared with what the waits say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.load_moto import added, disagreements

if TYPE_CHECKING:
    from collections.abc import Sequence


def counts(seconds: dict[str, int], ids: int) -> dict[str, Any]:
    """What one server says whose calls came in these seconds."""
    calls = {"DescribeJobs": sum(seconds.values())}
    return {
        "calls": calls,
        "answered": calls,
        "throttled": {},
        "calls_by_second": {"DescribeJobs": seconds},
        "ids_described": ids,
        "ids_per_call": ids / calls["DescribeJobs"],
    }


def test_the_statistics_of_several_servers_are_those_of_one() -> None:
    """Calls of one second add up to its peak; ids a call are weighed by calls."""
    total = added([counts({"1": 3, "2": 4}, 700), counts({"2": 5, "3": 1}, 300)])
    assert total["calls"] == {"DescribeJobs": 13}
    assert total["throttled"] == {}
    assert total["calls_by_second"] == {"DescribeJobs": {"1": 3, "2": 9, "3": 1}}
    assert total["ids_described"] == 1000
    assert total["ids_per_call"] == pytest.approx(1000 / 13)


@pytest.mark.parametrize(
    ("outcomes", "wrong"),
    [
        ({"a": "SUCCEEDED", "b": "FAILED"}, []),
        ({"a": "SUCCEEDED", "b": "SUCCEEDED"}, ["b: its wait returned SUCCEEDED, the server lists FAILED"]),
        ({"a": "SUCCEEDED"}, ["b: its wait returned None, the server lists FAILED"]),
    ],
    ids=["agree", "wrong", "none"],
)
def test_outcomes_are_held_against_what_the_servers_list(
    outcomes: dict[str, str], wrong: Sequence[str]
) -> None:
    """A wait without an outcome is no agreement."""
    assert disagreements(outcomes, {"a": "SUCCEEDED", "b": "FAILED"}, ["a", "b"]) == wrong


def test_a_job_that_no_server_lists_is_a_disagreement() -> None:
    """Even if neither side says what became of it."""
    assert disagreements({"a": "FAILED"}, {}, ["a", "b"]) == [
        "a: its wait returned FAILED, the server lists None",
        "b: its wait returned None, the server lists None",
    ]
