"""The pure parts of the peers' race."""

from __future__ import annotations

import ast
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.cli import main
from benchmarks.peers.contestants import harness
from benchmarks.peers.rows import COLUMNS, losses, markdown, measured, merged, percentile


def a_row(contestant: str, **numbers: Any) -> dict[str, Any]:
    """All ones, but for the numbers given."""
    row: dict[str, Any] = {column.key: 1.0 for column in COLUMNS}
    return row | {"contestant": contestant, "scenario": "1000", "pace": "5s"} | numbers


def found(**changes: Any) -> dict[str, Any]:
    """What a contestant says that has seen nothing, but for the changes given."""
    empty = {"ended": {}, "died": {}, "base": 50_000_000, "peak": 60_000_000, "cpu": 2.0}
    return empty | {"stall": 0.5, "stalled_at": 1.0, "seconds": 30.0, "cut_off": False} | changes


STATISTICS = {
    "calls": {"DescribeJobs": 30},
    "throttled": {"DescribeJobs": 10},
    "calls_by_second": {"DescribeJobs": {"100": 12, "101": 18}},
    "ids_described": 2000,
    "ids_per_call": 100.0,
}


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    """It is the least value that so many percent do not exceed."""
    assert percentile(range(100, 0, -1), percent) == value


def test_nothing_has_no_percentile() -> None:
    """A contestant whose waits all died has no delays."""
    assert percentile([], 50) is None


def test_a_new_row_takes_the_place_of_the_old_one_about_the_same() -> None:
    """Rows of other contestants stay, and the order is the one that is given."""
    old = [a_row("a", calls=1), a_row("b", calls=2)]
    order = [("1000", "5s", name) for name in ("c", "b", "a")]
    rows = merged(old, [a_row("a", calls=3), a_row("c", calls=4)], order)
    assert [(row["contestant"], row["calls"]) for row in rows] == [("c", 4), ("b", 2), ("a", 3)]


def test_the_numbers_of_a_row() -> None:
    """Server and contestant agree on what a row is made of."""
    row = measured(
        found(ended={"x": 12.5, "y": 11.0}, died={"z": (3.0, "OSError: gone")}),
        STATISTICS,
        {"x": 10.0, "y": 10.0, "z": 10.0, "left": 10.0},
        ["x", "y", "z", "left"],
        None,
    )
    assert (row["calls"], row["throttled"], row["peak_calls_per_second"]) == (30, 10, 18)
    assert (row["delay_p50"], row["delay_max"]) == (1.0, 2.5)
    assert (row["died"], row["left"], row["why_died"]) == (1, 1, {"OSError: gone": 1})
    assert (row["cpu_us_per_job_seen"], row["kb_per_job"], row["longest_stall_ms"]) == (1000, 2500, 500)


def test_an_end_that_is_reported_too_early_is_a_death() -> None:
    """Who guesses has not waited."""
    row = measured(found(ended={"x": 9.0}), STATISTICS, {"x": 10.0}, ["x"], None)
    assert (row["died"], row["left"], row["delay_p50"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("changes", "fate"),
    [
        ({}, "still waited for"),
        ({"ended": {"none": 1.0}}, "called ended"),
        ({"died": {"none": (46.4, "JobNotFoundError: no such job")}}, "JobNotFoundError after 46 s"),
    ],
)
def test_the_fate_of_the_missing_id(changes: dict[str, Any], fate: str) -> None:
    """It is kept apart from the waits for jobs that exist."""
    row = measured(found(**changes), STATISTICS, {}, ["x"], "none")
    assert (row["missing_id"], row["died"]) == (fate, 0)


def test_losses_are_what_another_does_better_by_more_than_chance() -> None:
    """More ids a call is better; of all else less is."""
    rows = [
        a_row("ours", ids_per_call=90.0, cpu_seconds=1.0, calls=100, delay_p50=2.0),
        a_row("rival", ids_per_call=99.0, cpu_seconds=0.95, calls=101, delay_p50=1.0),
        a_row("bystander", delay_p50=0.1),
        {"contestant": "broken", "scenario": "1000", "pace": "5s", "error": "it cannot be had"},
    ]
    found = losses(rows, "ours", {"rival", "broken"})
    assert {(row["contestant"], column.key) for row, _, column in found} == {
        ("rival", "ids_per_call"),
        ("rival", "delay_p50"),
    }


def test_a_table_shows_every_row() -> None:
    """Who could not run has the reason in place of numbers."""
    rows = [
        a_row("ours", calls=1234),
        a_row("threads", delay_p50=None),
        {"contestant": "broken", "scenario": "1000", "pace": "5s", "error": "why\nit cannot be had"},
    ]
    lines = markdown(rows, {"ours": "awaitbatch"}).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("| awaitbatch | ")
    assert "1,234" in lines[2]
    assert "it cannot be had" in lines[4]


@pytest.mark.parametrize("option", ["--contestants", "--scenarios"])
def test_unknown_names_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs."""
    with pytest.raises(SystemExit):
        main([option, "nonesuch"])
    assert "'nonesuch' is none of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "settled", "expected"),
    [(61, {"x", "y"}, True), (61, {"x"}, False), (59, {"x", "y"}, False)],
    ids=["only the missing id is left", "a job is left", "it is early"],
)
def test_who_waits_only_for_the_missing_id_is_cut_off(
    seconds: float, settled: set[str], expected: bool
) -> None:
    """After a while, and only if all jobs are reported."""
    one = harness.Harness.__new__(harness.Harness)
    one.settings, one.jobs, one._begin = {"missing_deadline": 60.0}, 2, time.monotonic() - seconds
    one._ended = dict.fromkeys(settled & {"x"}, 0.0)
    one._died = dict.fromkeys(settled & {"y"}, (1.0, "an error"))
    assert one._awaits_only_the_missing_id() is expected


def test_a_contestant_needs_nothing_but_its_library_and_python() -> None:
    """What it runs on imports the standard library alone."""
    tree = ast.parse(Path(harness.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names


def test_the_page_says_what_was_measured() -> None:
    """The table of docs/explanation/alternatives.md has the figures of results/peers.json."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "explanation" / "alternatives.md").read_text(encoding="utf-8")
    kept = json.loads((root / "benchmarks" / "results" / "peers.json").read_text(encoding="utf-8"))["rows"]
    rows = {row["contestant"]: row for row in kept if (row["scenario"], row["pace"]) == ("1000", "5s")}
    names = (
        *("awaitbatch", "plain-100", "plain-1", "airflow-trigger", "airflow-hook"),
        *("aio-aws", "miniwdl-aws", "redun"),
    )
    shown = re.findall(r"^\| [^|]+ \| ([\d,]+) \| (\S+) s / (\S+) s \| (\S+) s \|", page, re.MULTILINE)
    assert shown == [
        (f"{row['calls']:,}", *(f"{row[key]:.2g}" for key in ("delay_p50", "delay_p99", "cpu_seconds")))
        for row in (rows[name] for name in names)
    ]
