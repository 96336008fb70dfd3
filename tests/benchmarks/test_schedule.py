"""Which runs a race is made of."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.peers import race
from benchmarks.peers.cli import main
from benchmarks.peers.registry import CONTESTANTS, IDLE, OURS, OURS_ON_UVLOOP
from benchmarks.peers.scenarios import BY_DEFAULT, EVERY_FEW_SECONDS, PACES, SCENARIOS
from benchmarks.peers.schedule import Run, plan, reason_to_skip, seconds_for

ALL = list(plan(CONTESTANTS.values(), SCENARIOS.values(), PACES))


def a_run(contestant: str, scenario: str, pace: Any = EVERY_FEW_SECONDS) -> Run:
    """One run."""
    return Run(CONTESTANTS[contestant], SCENARIOS[scenario], pace)


def a_row(run: Run, **numbers: Any) -> dict[str, Any]:
    """What such a run has found."""
    scenario, pace, contestant = run.key
    return {
        "scenario": scenario,
        "pace": pace,
        "contestant": contestant,
        "left": 0,
        "seconds": 30.0,
    } | numbers


def test_every_library_runs_every_scenario_at_both_paces() -> None:
    """So that no row stands for the one pace at which its contestant does badly."""
    for name in (OURS, OURS_ON_UVLOOP, "airflow-trigger", "airflow-hook", "aio-aws", "miniwdl-aws", "redun"):
        made = {(run.scenario.name, run.pace) for run in ALL if run.contestant.name == name}
        assert made == {(scenario, pace) for scenario in SCENARIOS for pace in PACES}


def test_no_run_is_planned_twice() -> None:
    """Or the second would take the place of the first."""
    assert len({run.key for run in ALL}) == len(ALL)


def test_the_time_that_runs_take_is_known_from_earlier_ones() -> None:
    """It is bounded by the deadline, and guessed within it for runs that were never made."""
    run = a_run(OURS, "1000")
    deadline = run.pace.deadline(run.scenario)
    assert seconds_for([run], [a_row(run, seconds=31.0)]) == pytest.approx(36)
    assert seconds_for([run], [a_row(run, seconds=1e6)]) == pytest.approx(deadline + 5)
    assert run.scenario.longest_job < seconds_for([run], []) < deadline
    assert seconds_for([run, run], []) == 2 * seconds_for([run], [])


def test_the_whole_race_is_bounded() -> None:
    """Were every contestant cut off at its deadline, it would end within two and a quarter hours."""
    assert sum(run.pace.deadline(run.scenario) for run in ALL) < 2.25 * 3600


@pytest.mark.parametrize(
    ("scenario", "pace"),
    [("5000", BY_DEFAULT), ("5000-limited", EVERY_FEW_SECONDS), ("5000-limited", BY_DEFAULT)],
)
def test_who_could_not_cope_is_not_asked_to_do_harder_things(scenario: str, pace: Any) -> None:
    """The reason says what it is concluded from."""
    row = a_row(a_run("airflow-trigger", "5000"), left=4012)
    reason = reason_to_skip(a_run("airflow-trigger", scenario, pace), [row])
    assert reason is not None
    assert "5000, 5s" in reason
    assert "4,012 of 5,000" in reason


@pytest.mark.parametrize(
    ("run", "row"),
    [
        (a_run("airflow-hook", "5000-limited"), a_row(a_run("airflow-trigger", "5000"), left=4012)),
        (a_run("airflow-trigger", "1000-limited"), a_row(a_run("airflow-trigger", "5000"), left=4012)),
        (a_run("airflow-trigger", "5000-limited"), a_row(a_run("airflow-trigger", "5000"), left=2000)),
        (
            a_run("airflow-trigger", "5000-limited", BY_DEFAULT),
            a_row(a_run("airflow-trigger", "5000-limited"), left=4012),
        ),
        (a_run("redun", "5000-limited"), a_row(a_run("redun", "5000", BY_DEFAULT), left=4012)),
        (a_run("airflow-trigger", "5000"), {**a_row(a_run("airflow-trigger", "5000")), "left": 4012}),
    ],
    ids=[
        "another contestant",
        "fewer jobs",
        "most got there",
        "there was a limit",
        "it was slow by default",
        "the same run",
    ],
)
def test_all_other_runs_are_made(run: Run, row: dict[str, Any]) -> None:
    """Nothing can be concluded for them."""
    assert reason_to_skip(run, [row]) is None


def test_a_row_without_numbers_excludes_nothing() -> None:
    """Its contestant may be had by now."""
    row = {"scenario": "5000", "pace": "5s", "contestant": "aio-aws", "error": "it cannot be had"}
    assert reason_to_skip(a_run("aio-aws", "5000-limited"), [row]) is None
    assert seconds_for([a_run("aio-aws", "5000")], [row]) > 0


def test_the_list_runs_nothing_and_says_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before somebody gives an hour to it."""
    monkeypatch.setattr(race, "run", None)
    assert main(["--list", "--contestants", "awaitbatch", "--scenarios", "1000", "--interval"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"awaitbatch{which}, 1000, 5s" for which in ("", "-uvloop", "-steady")]
    assert lines[3].startswith("3 runs, about ")


def test_a_choice_without_any_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than printing an empty table."""
    with pytest.raises(SystemExit):
        main(["--contestants", IDLE, "--scenarios", "1000-missing"])
    assert "takes part" in capsys.readouterr().err
