"""Which runs a race is made of."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.peers import cli
from benchmarks.peers.cli import main
from benchmarks.peers.course import BY_DEFAULT, EVERY_FEW_SECONDS, PACES, SCENARIOS
from benchmarks.peers.programme import Heat, heats, reason_to_skip, seconds_for
from benchmarks.peers.roster import CONTESTANTS, NOBODY, OURS, OURS_ON_UVLOOP

ALL = list(heats(CONTESTANTS.values(), SCENARIOS.values(), PACES))


def a_heat(contestant: str, scenario: str, pace: Any = EVERY_FEW_SECONDS) -> Heat:
    """One run."""
    return Heat(CONTESTANTS[contestant], SCENARIOS[scenario], pace)


def a_row(heat: Heat, **numbers: Any) -> dict[str, Any]:
    """What such a run has found."""
    scenario, pace, contestant = heat.key
    return {
        "scenario": scenario,
        "pace": pace,
        "contestant": contestant,
        "left": 0,
        "seconds": 30.0,
    } | numbers


def test_every_library_runs_every_scenario_at_both_paces() -> None:
    """So that nobody's row is one that only the other pace would have looked good in."""
    for name in (OURS, OURS_ON_UVLOOP, "airflow-trigger", "airflow-hook", "aio-aws", "miniwdl-aws", "redun"):
        made = {(heat.scenario.name, heat.pace) for heat in ALL if heat.contestant.name == name}
        assert made == {(scenario, pace) for scenario in SCENARIOS for pace in PACES}


def test_no_run_is_planned_twice() -> None:
    """Or the second would take the place of the first."""
    assert len({heat.key for heat in ALL}) == len(ALL)


def test_the_time_that_runs_take_is_known_from_earlier_ones() -> None:
    """It is bounded by the deadline, and guessed within it for runs that nobody has made."""
    heat = a_heat(OURS, "1000")
    deadline = heat.pace.deadline(heat.scenario)
    assert seconds_for([heat], [a_row(heat, seconds=31.0)]) == pytest.approx(36)
    assert seconds_for([heat], [a_row(heat, seconds=1e6)]) == pytest.approx(deadline + 5)
    assert heat.scenario.longest_job < seconds_for([heat], []) < deadline
    assert seconds_for([heat, heat], []) == 2 * seconds_for([heat], [])


def test_the_whole_race_is_bounded() -> None:
    """Were every contestant cut off at its deadline, it would end within two and a quarter hours."""
    assert sum(heat.pace.deadline(heat.scenario) for heat in ALL) < 2.25 * 3600


@pytest.mark.parametrize(
    ("scenario", "pace"),
    [("5000", BY_DEFAULT), ("5000-limited", EVERY_FEW_SECONDS), ("5000-limited", BY_DEFAULT)],
)
def test_who_could_not_cope_is_not_asked_to_do_harder_things(scenario: str, pace: Any) -> None:
    """The reason says what it is concluded from."""
    row = a_row(a_heat("airflow-trigger", "5000"), left=4012)
    reason = reason_to_skip(a_heat("airflow-trigger", scenario, pace), [row])
    assert reason is not None
    assert "5000, 5s" in reason
    assert "4,012 of 5,000" in reason


@pytest.mark.parametrize(
    ("heat", "row"),
    [
        (a_heat("airflow-hook", "5000-limited"), a_row(a_heat("airflow-trigger", "5000"), left=4012)),
        (a_heat("airflow-trigger", "1000-limited"), a_row(a_heat("airflow-trigger", "5000"), left=4012)),
        (a_heat("airflow-trigger", "5000-limited"), a_row(a_heat("airflow-trigger", "5000"), left=2000)),
        (
            a_heat("airflow-trigger", "5000-limited", BY_DEFAULT),
            a_row(a_heat("airflow-trigger", "5000-limited"), left=4012),
        ),
        (a_heat("redun", "5000-limited"), a_row(a_heat("redun", "5000", BY_DEFAULT), left=4012)),
        (a_heat("airflow-trigger", "5000"), {**a_row(a_heat("airflow-trigger", "5000")), "left": 4012}),
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
def test_all_other_runs_are_made(heat: Heat, row: dict[str, Any]) -> None:
    """Nothing can be concluded for them."""
    assert reason_to_skip(heat, [row]) is None


def test_a_row_without_numbers_excludes_nothing() -> None:
    """Its contestant may be had by now."""
    row = {"scenario": "5000", "pace": "5s", "contestant": "aio-aws", "error": "it cannot be had"}
    assert reason_to_skip(a_heat("aio-aws", "5000-limited"), [row]) is None
    assert seconds_for([a_heat("aio-aws", "5000")], [row]) > 0


def test_the_list_runs_nothing_and_says_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before somebody gives an hour to it."""
    monkeypatch.setattr(cli, "run", None)
    assert main(["--list", "--contestants", "awaitbatch", "--scenarios", "1000", "--interval"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"awaitbatch{which}, 1000, 5s" for which in ("", "-uvloop", "-steady")]
    assert lines[3].startswith("3 runs, about ")


def test_runs_that_nobody_makes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than printing an empty table."""
    with pytest.raises(SystemExit):
        main(["--contestants", NOBODY, "--scenarios", "1000-missing"])
    assert "takes part" in capsys.readouterr().err
