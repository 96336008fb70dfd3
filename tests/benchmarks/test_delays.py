"""The simulation of delays: that it does what a client does, what it counts, what it judges, and its tables."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import statistics
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from awaitbatch.testing import LifeCycle
from benchmarks.report import RESULTS
from benchmarks.simulate import delays
from benchmarks.simulate.__main__ import main
from benchmarks.simulate.account import Account
from benchmarks.simulate.progress import Progress
from tests.support import make_client, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE: Final = RESULTS.parents[1] / "docs" / "howto" / "choose-an-interval.md"


class Quiet(Progress):
    """Says nothing."""

    def write_log(self, text: str) -> None:
        """Say nothing."""


def a_find(**changes: Any) -> delays.Found:
    """What becomes of 1,000 jobs that run for ten minutes, but for the changes given."""
    values: dict[str, Any] = {
        "schedule": delays.DEFAULT,
        "seconds": 600.0,
        "jobs": 1_000,
        "clients": 4,
        "median": 8.7,
        "longest": 29.0,
        "calls_per_minute": 39.0,
        "late_calls_per_minute": 31.5,
        "most_in_a_minute": 123,
        "throttled": 0,
    }
    return delays.Found(**(values | changes))


def kept() -> list[delays.Found]:
    """What results/simulate_delays.json says."""
    results = json.loads((RESULTS / "simulate_delays.json").read_text(encoding="utf-8"))
    return [delays.Found(**found) for found in results["details"]["found"]]


# What is simulated.


@pytest.mark.virtual_time
@pytest.mark.parametrize(("schedule", "count", "clients"), [(delays.DEFAULT, 1, 400), (delays.FIXED, 300, 6)])
async def test_a_client_does_what_is_simulated(schedule: str, count: int, clients: int) -> None:
    """Jobs that a real client awaits by `wait_for_job` are known as soon, and with as many calls."""
    loop, random = asyncio.get_running_loop(), Random(2)
    seen_after: list[float] = []
    calls = minutes = 0.0
    for _ in range(clients):
        server, begin = make_server(), loop.time()
        lives = [delays.draw_life(number, 30, random) for number in range(count)]
        async with make_client(server, backoff=delays.backoff_of(schedule, random)) as client:

            async def run(life: delays.Life) -> None:
                await asyncio.sleep(life.submitted)
                queued, running = life.started - life.submitted, life.ended - life.started
                life_cycle = LifeCycle(submitted=0, pending=0, runnable=queued, starting=0, running=running)
                await client.wait_for_job(server.add_job(life_cycle=life_cycle))  # noqa: B023
                seen_after.append(loop.time() - begin - life.ended)  # noqa: B023

            await asyncio.gather(*map(run, lives))
            calls += client.statistics().calls
            minutes += (loop.time() - begin) / 60
    [found] = delays.simulate(schedule, (30,), count, clients)
    assert min(seen_after) > 0
    assert found.median == pytest.approx(statistics.median(seen_after), rel=0.15)
    assert found.calls_per_minute == pytest.approx(calls / minutes, rel=0.1)
    if schedule == delays.FIXED:
        # With the default, chance decides how late the latest of such short jobs is.
        assert found.longest == pytest.approx(max(seen_after), rel=0.02)


def test_a_job_is_seen_as_it_was_when_the_call_left() -> None:
    """Its delay is never negative, and a fixed interval bounds it."""
    account, random = Account(Random(1), rate=100, client_limit=10), Random(1)
    lives = [delays.draw_life(number, 30, random) for number in range(200)]
    waits = delays.Waits(account, delays.backoff_of(delays.FIXED, random), random, lives)
    account.run(30)
    assert not waits.is_over
    account.run(200)
    assert waits.is_over
    assert len(waits.delays) == 200
    assert 0 < min(waits.delays) < 0.5
    assert 4.5 < max(waits.delays) < 5.1
    assert waits.ended == pytest.approx(max(life.ended for life in lives), abs=5.1)


def test_waits_outlive_throttled_calls() -> None:
    """Their jobs get another call, later."""
    account, random = Account(Random(1), rate=0.5, client_limit=10), Random(1)
    lives = [delays.draw_life(number, 30, random) for number in range(300)]
    waits = delays.Waits(account, delays.backoff_of(delays.FIXED, random), random, lives)
    account.run(200)
    assert waits.sender.throttled
    assert waits.is_over
    assert max(waits.delays) > 5.1


def test_clients_are_on_their_own() -> None:
    """Two with a job each make twice the calls of one, and their numbers are those of one."""
    [one], [two] = (delays.simulate(delays.FIXED, (600,), 1, clients) for clients in (1, 2))
    assert two.calls_per_minute == pytest.approx(one.calls_per_minute, rel=0.05)
    assert two.late_calls_per_minute == pytest.approx(one.late_calls_per_minute, rel=0.1)


def test_what_is_left_out_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of two hours are as those that were simulated for all that time."""
    [short] = delays.simulate(delays.DEFAULT, (7_200,), 100, 3)
    monkeypatch.setattr(delays, "_SETTLED", math.inf)
    [whole] = delays.simulate(delays.DEFAULT, (7_200,), 100, 3)
    assert short.seconds == whole.seconds
    assert short.median == pytest.approx(whole.median, rel=0.15)
    assert short.calls_per_minute == pytest.approx(whole.calls_per_minute, rel=0.05)


def test_lengths_that_come_to_the_same_are_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of Airflow's curve is left out."""
    runs: list[tuple[str, float]] = []
    run = delays._run

    def noted(schedule: str, seconds: float, jobs: int, clients: int) -> Any:
        runs.append((schedule, seconds))
        return run(schedule, seconds, jobs, clients)

    monkeypatch.setattr(delays, "_run", noted)
    found = [
        one
        for schedule in (delays.FIXED, delays.AIRFLOWS)
        for one in delays.simulate(schedule, (1_800, 3_600), 1, 1)
    ]
    assert [one.seconds for one in found] == [1_800, 3_600] * 2
    assert runs == [(delays.FIXED, 1_200), (delays.AIRFLOWS, 1_800), (delays.AIRFLOWS, 3_600)]


def test_jobs_that_end_before_all_have_begun_have_no_late_calls() -> None:
    """There is no time in which all are awaited."""
    [found] = delays.simulate(delays.DEFAULT, (1,), 1_000, 1)
    assert found.late_calls_per_minute is None
    assert found.calls_per_minute > 0


def test_calls_in_a_minute() -> None:
    """Of any minute, and the minute that begins later does not count."""
    assert delays._most_in_a_minute([0.0, 50.0, 60.0, 109.0, 110.0, 500.0]) == 3


def test_an_unknown_schedule() -> None:
    """It is not taken for another."""
    with pytest.raises(KeyError):
        delays.backoff_of("nonesuch", Random(1))


# Judgement.


@pytest.mark.parametrize(
    ("changes", "is_met"),
    [
        ({}, True),
        ({"longest": 30.2}, False),
        ({"median": 11.1}, False),
        ({"median": 11.1, "seconds": 30.0}, True),
        ({"schedule": delays.FIXED, "longest": 5.06, "median": 2.5}, True),
        ({"schedule": delays.FIXED, "longest": 5.2, "median": 2.5}, False),
        ({"schedule": delays.FIXED, "jobs": 10_000, "longest": 10.5}, True),
        ({"schedule": delays.FIXED, "jobs": 10_000, "longest": 11.5}, False),
        ({"schedule": delays.AIRFLOWS, "longest": 599.0, "median": 200.0}, True),
    ],
)
def test_targets(changes: dict[str, Any], is_met: bool) -> None:
    """The longest pause and the client's own limit bound the delay; nothing is promised of Airflow's curve."""
    assert all(figure.met for figure in delays.figures([a_find(**changes)])) is is_met


def test_the_worst_counts() -> None:
    """It stands for the others, and says which it is."""
    found = [a_find(), a_find(jobs=1, longest=29.5, median=10.0), a_find(jobs=100, longest=27.0)]
    figures = [(figure.name, figure.value) for figure in delays.figures(found)]
    assert figures == [("1 job of 10 min, default", 29.5), ("1 job of 10 min, default", 10.0)]


def test_numbers_of_a_table() -> None:
    """As many digits as chance leaves."""
    numbers = (0.249, 0.999, 4.45, 9.96, 29.4, 1205.3)
    assert [delays.in_digits(number) for number in numbers] == ["0.25", "1.0", "4.5", "10", "29", "1,205"]
    assert a_find().cell == "8.7 s / 29 s, 39"


def test_the_table_has_a_row_for_each_schedule_and_length() -> None:
    """In the order of both, whatever the order in which they were measured."""
    found = [
        a_find(schedule=schedule, seconds=seconds, jobs=jobs)
        for schedule, seconds, jobs in itertools.product(
            (delays.FIXED, delays.LATER, delays.DEFAULT), (600.0, 30.0), (1, 1_000)
        )
    ]
    head, *rows = delays.delays(found)
    assert head == ("schedule", "jobs run", "1 job", "1,000 jobs")
    assert [row[:2] for row in rows] == [
        ("default", "30 s"),
        ("default", "10 min"),
        ("FixedInterval(5)", "30 s"),
        ("FixedInterval(5)", "10 min"),
    ]
    assert {row[2:] for row in rows} == {("8.7 s / 29 s, 39", "8.7 s / 29 s, 39")}


def test_a_hundred_processes_make_a_hundred_times_the_calls_of_one() -> None:
    """Each has one job, and they share nothing."""
    found = [
        a_find(
            schedule=schedule, seconds=21_600.0, jobs=jobs, calls_per_minute=3.0, late_calls_per_minute=2.5
        )
        for schedule in (delays.DEFAULT, delays.FIXED, delays.LATER, delays.AIRFLOWS)
        for jobs in (1, 100)
    ]
    _, first, *_ = delays.processes(found)
    assert first == ("default", "3.0", "300", "250", "8.7 s / 29 s")


@pytest.mark.parametrize("table", [delays.delays, delays.processes])
def test_the_page_has_the_tables_of_the_results(
    table: Callable[[Sequence[delays.Found]], list[tuple[str, ...]]],
) -> None:
    """docs/howto/choose-an-interval.md says what results/simulate_delays.json says."""
    _, *rows = table(kept())
    lines = (
        f"| {' | '.join((name if name == delays.DEFAULT else f'`{name}`', *cells))} |\n"
        for name, *cells in rows
    )
    assert "".join(lines) in PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_factors_of_the_results() -> None:
    """How many times the calls of Airflow's curve a process with one job makes, late in the run and in all."""
    alone = {found.schedule: found for found in kept() if (found.jobs, found.seconds) == (1, 21_600)}
    default, airflows = alone[delays.DEFAULT], alone[delays.AIRFLOWS]
    assert default.late_calls_per_minute
    assert airflows.late_calls_per_minute
    late = default.late_calls_per_minute / airflows.late_calls_per_minute
    in_all = default.calls_per_minute / airflows.calls_per_minute
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"Late in a run of hours it is about {late:.0f} times." in page
    assert f"Over a job of six hours that is {in_all:.0f} times the calls of Airflow's curve" in page


def test_all_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each schedule with each length and number of jobs, and what suits many processes; less in the short form."""
    monkeypatch.setattr(delays, "PROCESSES", 10)
    monkeypatch.setattr(delays, "JOBS", {1: 2, 10: 1})
    monkeypatch.setattr(delays, "_QUICK_JOBS", {1: 1})
    quiet = partial(delays.measure, Quiet())
    whole, quick = quiet(quick=False), quiet(quick=True)
    assert len(whole.details["found"]) == 3 * 4 * 2 + 2
    assert len(quick.details["found"]) == 3 * 2
    assert "late in the run" in whole.extra[-1]
    assert len(quick.extra) == 1
    assert not whole.missed


def test_the_command_measures_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name, and nothing else then."""
    monkeypatch.setattr(delays, "_QUICK_JOBS", {1: 20})
    assert main(["delays", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("simulate_delays: ")
    assert shown.count("simulate_") == 1
