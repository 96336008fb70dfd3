"""The simulation: its clients, its jobs, what it judges, and its command."""

from __future__ import annotations

import json
import math
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import FixedInterval, Window
from awaitbatch._core.throttle import ThrottleParameters
from benchmarks.report import RESULTS, Result
from benchmarks.simulate import evenness, jobs, progress, throttle
from benchmarks.simulate.__main__ import main
from benchmarks.simulate.account import FAR, IN_FLIGHT, NEAR, Account, Endless
from benchmarks.simulate.herd import Herd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awaitbatch._core.requests import Call


class Quiet(progress.Progress):
    """Says nothing."""

    def write_log(self, text: str) -> None:
        """Say nothing."""


def a_scenario(**changes: Any) -> jobs.Scenario:
    """A limit that was used up without a fault, but for the changes given."""
    values: dict[str, Any] = {
        "jobs": 100_000,
        "rate": 10.0,
        "backoff": "FixedInterval(60)",
        "limit_decides": True,
        "best": 100.0,
        "first_round": 101.0,
        "seconds": 120.0,
        "calls": 1_190,
        "throttled": 10,
        "call_fill": 1.0,
        "unseen_p50": 100.0,
        "unseen_p99": 105.0,
        "unseen_max": 110.0,
    }
    return jobs.Scenario(**(values | changes))


def simulated(count: int, rate: float, seconds: float) -> jobs.Scenario:
    """What becomes of jobs behind a limit, with a fixed interval."""
    return jobs.simulate(count, rate, jobs.Schedule("", seconds), Quiet(), "")


# Clients and their account.


def test_a_client_uses_the_limit_and_no_more() -> None:
    """The bucket is the judge: what it has saved, and what it gains."""
    account = Account(Random(1), rate=20)
    sender = account.join(Endless())
    account.run(100)
    assert 0.9 * 20 * 100 <= len(sender.answered) <= 20 * 100 + 20
    assert sender.throttled


def test_the_same_seed_does_the_same() -> None:
    """What is found can be found again."""
    runs = []
    for seed in (1, 1, 2):
        account = Account(Random(seed), rate=5)
        runs.append(account.join(Endless()).answered)
        account.run(20)
    assert runs[0] == runs[1] != runs[2]


def test_a_client_has_no_more_calls_under_way_than_connections() -> None:
    """When calls are slow, connections are the bottleneck, and not a limit that is far away."""
    account = Account(Random(1), rate=1000, one_way=FAR)
    sender = account.join(Endless())
    most = 0
    for step in range(1000):
        account.run(step / 50)
        most = max(most, sender.in_flight)
    assert most == IN_FLIGHT
    assert not sender.throttled


def test_a_limit_changes_in_the_middle() -> None:
    """Calls above it are throttled from then on."""
    account = Account(Random(1), rate=20, changes=[(50, 2)])
    sender = account.join(Endless())
    account.run(150)
    assert throttle.count(sender.answered, 0, 50) > 850
    assert throttle.count(sender.answered, 70, 150) < 2 * 80 + 3


def test_a_neighbour_without_restraint_takes_nearly_all() -> None:
    """It calls again as soon as it is answered."""
    account = Account(Random(1), rate=5, naive=True)
    sender = account.join(Endless())
    account.run(100)
    assert len(sender.answered) < 0.2 * 5 * 100


def test_a_client_sends_nothing_before_it_begins() -> None:
    """Nor while it has nothing to ask."""

    class Nothing(Endless):
        def next_deadline(self, _: float) -> float:
            return math.inf

    account = Account(Random(1), rate=5)
    late, idle = account.join(Endless(), begin=10), account.join(Nothing())
    account.run(20)
    assert late.answered[0] > 10
    assert idle.answered == idle.throttled == []


# Jobs.


def a_herd(count: int, *, seconds: float = 10, rate: float = 5) -> tuple[Account, Herd]:
    """Jobs that want to be seen at once, and then every so many seconds."""
    herd = Herd(count, FixedInterval(seconds), first=lambda: Window(0, 0))
    account = Account(Random(1), rate=rate)
    account.join(herd)
    return account, herd


def test_each_job_is_seen_once_an_interval() -> None:
    """Where the limit leaves room, the interval is kept, and calls are as full as they can be."""
    account, herd = a_herd(250)
    account.run(100)
    assert herd.first_round < 1
    assert max(herd.unseen) < 10.2
    assert herd.longest_unseen(100) < 10.2
    assert len(herd.unseen) == herd.ids - 250
    # The calls of a round leave one after the other, so the last round may not be complete.
    assert abs(herd.ids - herd.calls / 3 * 250) < 100


def test_time_counts_for_a_job_that_is_not_seen_any_more() -> None:
    """Else a client that never checks again would seem best."""
    account, herd = a_herd(250)
    account.run(100)
    assert 1000 - 10 <= herd.longest_unseen(1100) - herd.longest_unseen(100) <= 1000


def test_jobs_that_were_never_seen_are_unseen_for_ever() -> None:
    """However well the others fare."""
    account, herd = a_herd(1000, rate=1)
    account.run(2)
    assert herd.calls
    assert herd.longest_unseen(2) == herd.first_round == math.inf


def test_throttled_jobs_get_another_call() -> None:
    """None is lost."""
    account, herd = a_herd(1000, seconds=1, rate=2)
    account.run(60)
    assert account.senders[0].throttled
    assert herd.longest_unseen(60) < 1.2 * 5


def test_counting_anew() -> None:
    """What was before is forgotten, but not when each job was seen last."""
    account, herd = a_herd(100)
    account.run(15)
    herd.forget()
    account.run(25)
    assert (herd.calls, herd.ids, len(herd.unseen)) == (1, 100, 100)


def test_a_short_interval_that_cannot_be_kept_comes_to_the_same_as_a_shorter_one() -> None:
    """So one of them is enough."""
    one, other = simulated(600, 1, 5), simulated(600, 1, 1)
    assert one.unseen_p50 == pytest.approx(other.unseen_p50, rel=0.03)
    assert one.unseen_max == pytest.approx(other.unseen_max, rel=0.1)
    assert one.limit_decides
    assert other.limit_decides


@pytest.mark.parametrize(
    ("count", "rate", "names"),
    [
        (1_000_000, 1.0, ["default", "FixedInterval(60)"]),
        (10_000, 5.0, ["default", "FixedInterval(60)", "FixedInterval(5)"]),
        (1_000, 50.0, ["default", "FixedInterval(60)", "FixedInterval(5)", "FixedInterval(1)"]),
    ],
)
def test_what_is_worth_a_scenario(count: int, rate: float, names: list[str]) -> None:
    """Every interval that can be kept, and one that cannot."""
    found = jobs.distinct((jobs.DEFAULT, *jobs.FIXED), count, rate)
    assert [schedule.name for schedule in found] == names


def test_a_limit_shows_in_the_times() -> None:
    """1,000 jobs behind 1 call/s: 10 s, and all calls full."""
    scenario = simulated(1_000, 1, 5)
    assert scenario.best == 10 < scenario.unseen_p50 <= scenario.unseen_p99 <= scenario.unseen_max < 14.3
    assert scenario.call_fill == 1
    assert 0.85 <= scenario.calls / scenario.seconds <= 1


# Judgement.


@pytest.mark.parametrize(
    ("changes", "is_met"),
    [
        ({}, True),
        ({"unseen_max": 125.0}, False),
        ({"jobs": 9_000, "unseen_max": 124.0}, True),
        ({"rate": 19.0, "unseen_max": 124.0}, False),
        ({"rate": 20.0, "unseen_max": 124.0}, True),
        ({"rate": 20.0, "unseen_max": 129.0}, False),
        ({"limit_decides": False, "unseen_max": 109.0}, True),
        ({"limit_decides": False, "unseen_max": 115.0}, False),
        ({"call_fill": 0.98}, False),
        ({"jobs": 10_010, "call_fill": 0.99}, True),
        ({"jobs": 150, "call_fill": 0.75, "unseen_max": 999.0}, True),
        ({"jobs": 150, "call_fill": 0.70}, False),
    ],
)
def test_targets(changes: dict[str, Any], is_met: bool) -> None:
    """Short rounds may follow a cut; without a deciding limit the interval holds; few jobs make calls of few ids."""
    assert all(figure.met for figure in a_scenario(**changes).figures()) is is_met


def test_of_each_kind_the_worst_figure_is_shown() -> None:
    """It stands for the others."""
    scenarios = [a_scenario(), a_scenario(unseen_max=130.0, call_fill=0.995), a_scenario(call_fill=0.5)]
    worst = {figure.unit: figure.value for figure in jobs.worst_figures(scenarios)}
    assert worst == {"x the best, long rounds": 1.3, "% of the ids that calls can carry": 50.0}


def test_the_conclusion_says_how_many_and_how_long() -> None:
    """100 ids x 10 calls/s x 60 s by the worst multiple, 1.2: 50,000 jobs for a minute."""
    scenarios = [
        a_scenario(unseen_max=120.0),
        a_scenario(backoff="default", unseen_max=190.0),
        a_scenario(jobs=1_000, rate=5.0, limit_decides=False, best=5.0, unseen_max=60.0),
    ]
    text = "\n".join(jobs.outcome(scenarios))
    assert " divided by 1.20," in text
    rows = [line.split() for line in text.splitlines()]
    assert ["jobs", "5", "calls/s", "10", "calls/s"] in rows
    assert ["100,000", ">", "200", "s", "120", "s"] in rows
    assert ["1", "min", "25,000", "50,000"] in rows
    assert "EventBridge" in text


def test_the_best_backoff_counts() -> None:
    """Limits and numbers of jobs in ascending order."""
    scenarios = [
        a_scenario(rate=5.0, jobs=1000, unseen_max=60.0),
        a_scenario(rate=5.0, jobs=1000, unseen_max=2.4),
        a_scenario(rate=5.0, jobs=100, unseen_max=1.0),
        a_scenario(rate=1.0, jobs=100, unseen_max=1.1),
    ]
    found = {rate: list(by_jobs.items()) for rate, by_jobs in jobs.soonest(scenarios).items()}
    assert list(found.items()) == [(1.0, [(100, 1.1)]), (5.0, [(100, 1.0), (1000, 2.4)])]


@pytest.mark.parametrize("table", [jobs.longest, jobs.most])
def test_the_page_has_the_tables_of_the_results(
    table: Callable[[Sequence[jobs.Scenario]], list[tuple[str, ...]]],
) -> None:
    """benchmarks/README.md says what results/simulate_jobs.json says."""
    kept = json.loads((RESULTS / "simulate_jobs.json").read_text(encoding="utf-8"))
    scenarios = [jobs.Scenario(**scenario) for scenario in kept["details"]["scenarios"]]
    page = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    head, *rows = (f"| {' | '.join(row)} |\n" for row in table(scenarios))
    assert f"{head}|---|---|---|---|---|\n{''.join(rows)}" in page
    assert f" {jobs.worst_multiple(scenarios):.2f}" in page


def test_numbers_that_are_estimates_are_rounded_down() -> None:
    """Two digits, never more jobs than there may be."""
    assert [jobs.rounded(number) for number in (7.9, 99.9, 4_990, 1_234_567)] == [7, 99, 4_900, 1_200_000]


def test_equal_parts_are_equal() -> None:
    """Jain's index falls to 1/n when one has all."""
    assert throttle.jain([5, 5, 5, 5]) == 1
    assert throttle.jain([8, 0, 0, 0]) == 0.25


def test_a_throttle_that_never_grows_is_found_out() -> None:
    """It does not come back after a fall of the limit, and misses targets that the real one meets."""
    good = list(throttle.changing(throttle.Conditions(1, NEAR)))
    hardly_growing = ThrottleParameters(increase=0.001, search=0.0)
    bad = throttle.changing(throttle.Conditions(1, NEAR, hardly_growing))
    slow = [found for found in bad if not found.figure.met]
    assert all(found.figure.met for found in good)
    # No limit was exceeded, so it did fall.
    assert all(found.worst < 105 for found in good if found.unit == "%")
    assert {"return to 20, 60 s later", "return to 20"} <= {found.scenario for found in slow}


def test_a_throttle_that_leaves_fast_growth_by_cuts_alone_is_found_out() -> None:
    """It leaves more of the limit unused, or has more calls rejected, and misses targets that the real one meets."""
    good = list(throttle.found_at_once(throttle.Conditions(2, NEAR)))
    measuring_nothing = ThrottleParameters(recent=1e-6, approach=0.0, evidence=1e6)
    bad = throttle.found_at_once(throttle.Conditions(2, NEAR, measuring_nothing))
    missed = {(found.scenario, found.name) for found in bad if not found.figure.met}
    assert all(found.figure.met for found in good)
    assert all(found.worst < 105 for found in good if found.unit == "%")
    assert ("20 of 200 calls/s", "used from 10 to 22 s") in missed


def test_a_client_never_exceeds_its_own_limit() -> None:
    """Whatever the account allows, and whatever its bucket holds at first."""
    account = Account(Random(1), rate=50, burst=500, client_limit=20)
    sender = account.join(Endless())
    account.run(100)
    assert 0.9 * 20 * 100 <= len(sender.answered) <= 20 * 100 + 1
    assert not sender.throttled


def test_a_small_bucket_lets_few_calls_pass_at_first() -> None:
    """Its room may be other than that of one second's calls."""
    first = []
    for burst in (1, 40):
        account = Account(Random(1), rate=20, burst=burst)
        sender = account.join(Endless())
        account.run(2)
        first.append(sender.throttled[0])
    assert first[0] < 0.7 < first[1]


def test_the_timeline_of_a_fall_and_return() -> None:
    """Its calls add up to what the limits allow."""
    timeline = throttle.timeline()
    steps = round(throttle.PHASE / timeline["step_seconds"])
    assert len(timeline["answered"]) == len(timeline["throttled"]) == 3 * steps
    assert sum(timeline["answered"][steps : 2 * steps]) == pytest.approx(5 * throttle.PHASE, rel=0.1)
    assert sum(timeline["throttled"]) > 0


# Evenness.


def test_calls_in_a_second() -> None:
    """Of any second, and the second that begins later does not count."""
    assert evenness.most_in_a_second([]) == 0
    assert evenness.most_in_a_second([0.0, 0.9, 1.0, 1.8, 1.89, 5.0]) == 4


def test_waves_are_found_out() -> None:
    """Ten calls at one moment miss the target that calls which leave evenly meet, at the price of a few calls more."""
    row = evenness.Row("", [(1_000, 5)], 30, 11, 1.2, 3, at_once=True)
    waves, evenly = (evenness.simulate(row, 1, evenly=is_even) for is_even in (False, True))
    assert waves.most_in_a_second == 10
    assert all(figure.met for figure in evenness.figures(row, waves, evenly))
    missed = [figure.unit for figure in evenness.figures(row, waves, waves) if not figure.met]
    assert missed == ["calls in a second at most"]


def test_a_row_of_several_intervals() -> None:
    """Each job is checked as often as its own interval demands, and the default schedule promises no interval."""
    row = evenness.Row("", [(50, 1), (150, evenness._DEFAULT)], 60, 11, 1.1)
    found = evenness.simulate(row, 1, evenly=True)
    assert 1 <= found.calls_per_second < 1.6
    assert found.unseen_p50 < 1.1
    assert found.unseen_max > 3
    assert [figure.unit for figure in evenness.figures(row, found, found)] == [
        "calls in a second at most",
        "x the calls in waves",
    ]


# The command.


@pytest.mark.parametrize(
    "arguments",
    [
        ["--jobs", "0"],
        ["--jobs", "2000001"],
        ["--jobs", "1e3"],
        ["--jobs", "5,"],
        ["--rates", "0.9"],
        ["--rates", "101"],
        ["--rates", "nan"],
        ["--rates", "fast"],
        ["--seeds", "0"],
        ["--minutes", "0"],
        ["--least-pace", "nan"],
        ["--least-pace", "slow"],
        ["nonesuch"],
        ["--save", "--jobs", "10"],
        ["--save", "--seeds", "20"],
        ["--save", "--minutes", "6"],
        ["--save", "--least-pace", "2"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err.splitlines()[-1].startswith("python -m benchmarks.simulate: error: ")


def test_a_table_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Every number of jobs behind every limit, and nothing of the throttle."""
    assert main(["--jobs", "90", "--rates", "2.5"]) == 0
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if " the backoff" in line or " the limit" in line]
    assert {(row[0], row[1]) for row in rows} == {("90", "2.5")}
    assert len(rows) == 4
    assert jobs.INSTEAD in shown
    assert "throttle" not in shown.replace("throttled", "")


def test_a_missed_target_is_said_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is for CI, the line for people."""

    def measure(*_: object, **__: object) -> Result:
        figures = list(a_scenario(unseen_max=500.0).figures())
        return Result(name="simulate_jobs", about="", figures=figures, quick=True)

    monkeypatch.setattr(jobs, "measure", measure)
    assert main(["jobs"]) == 1
    assert (
        "missed: simulate_jobs, 100,000 jobs, 10 calls/s, FixedInterval(60): 5 x" in capsys.readouterr().err
    )


def test_ctrl_c_ends_it_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, and the code that shells expect."""

    class Interrupted(Endless):
        def take(self, now: float) -> Call[Any]:
            if now > 1:
                raise KeyboardInterrupt
            return super().take(now)

    monkeypatch.setattr(throttle, "Endless", Interrupted)
    assert main(["throttle"]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_progress_is_shown_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line in five seconds at most."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shown = progress.Progress()
    for step in range(12):
        now = 100.0 + step
        shown.write_log(f"step {step}")
    assert capsys.readouterr().err.splitlines() == ["[   0 s] step 0", "[   5 s] step 5", "[  10 s] step 10"]
