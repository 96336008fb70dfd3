"""Request windows: which call carries which ids, and who hears its answer."""

from __future__ import annotations

import gc
import math
import sys
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch._core.backoff import Window
from awaitbatch._core.outcomes import MATCHED
from awaitbatch._core.requests import MAX_IDS_PER_CALL, Deliver, StatusChange
from awaitbatch._core.windows import MAX_ONE_SHOTS_FIRST, MOST_AT_ONCE, REMEMBERED, TICKS, Windows

from .probes import (
    AT_ONCE,
    LATER,
    PERMANENT,
    REFUSED,
    THROTTLED,
    TRANSIENT,
    Probe,
    added,
    departs,
    everybody,
    names,
    one_shot,
    seen,
)

if TYPE_CHECKING:
    from awaitbatch._core.outcomes import Failure
    from awaitbatch._core.requests import Decision, Observation


@pytest.fixture
def windows() -> Windows[Probe]:
    """No requests yet."""
    return Windows[Probe]()


def heap_lengths(windows: Windows[Probe]) -> list[int]:
    """How many entries, outdated ones included, the queue, each of its heaps, and the heap of one-shots hold."""
    queue = windows._queue
    heaps = (queue, queue._by_latest, queue._closed, queue._open, queue._arrivals, windows._one_shots)
    return [len(heap) for heap in heaps]


class TestDeparture:
    """When a call leaves, and with whom."""

    def test_nothing_to_send(self, windows: Windows[Probe]) -> None:
        """Without requests no call ever has to leave."""
        assert windows.next_deadline() == math.inf
        assert windows.take(1e9) is None

    def test_leaves_when_the_first_must(self, windows: Windows[Probe]) -> None:
        """A call leaves when the first `latest` has come, and not before."""
        added(windows, Probe("a"), Window(1, 9), now=100)
        added(windows, Probe("b"), Window(0, 5), now=100)
        assert windows.next_deadline() == 105
        assert windows.take(104.999) is None
        assert departs(windows, 105).due == 105

    def test_deadline_moves_on(self, windows: Windows[Probe]) -> None:
        """A request that is under way or has left has no deadline any more."""
        added(windows, Probe("a"), Window(0, 1))
        gone = added(windows, Probe("b"), Window(5, 6))
        added(windows, Probe("c"), Window(8, 9))
        departs(windows, 1)
        assert windows.next_deadline() == 6
        windows.discard(gone)
        assert windows.next_deadline() == 9

    def test_a_window_counts_from_the_moment_it_is_given(self, windows: Windows[Probe]) -> None:
        """One and the same window is another one a while later."""
        window = Window(1, 2)
        early, late = (added(windows, Probe(name), window, now=now) for name, now in (("a", 100), ("b", 103)))
        assert (early.earliest, early.latest) == (101, 102)
        assert (late.earliest, late.latest) == (104, 105)

    def test_open_windows_fill_the_call(self, windows: Windows[Probe]) -> None:
        """Requests whose window is open go with the one that must, those whose window is closed do not."""
        added(windows, Probe("due"), Window(0, 10))
        added(windows, Probe("open"), Window(10, 500))
        added(windows, Probe("closed"), Window(10.001, 500))
        assert departs(windows, 10).job_ids == ("due", "open")
        assert windows.next_deadline() == 500

    def test_soonest_latest_first(self, windows: Windows[Probe]) -> None:
        """When places are short, those whose window closes soonest get them."""
        for number in reversed(range(150)):
            added(windows, Probe(f"{number}"), Window(0, 10 + number))
        assert departs(windows, 10).job_ids == tuple(str(number) for number in range(MAX_IDS_PER_CALL))
        assert departs(windows, 110).job_ids == tuple(str(number) for number in range(MAX_IDS_PER_CALL, 150))

    def test_overdue_requests_starve_nobody(self, windows: Windows[Probe]) -> None:
        """When calls are held up, whoever should have left first still leaves first."""
        for number in range(350):
            added(windows, Probe(f"{number}"), Window(0, 350 - number))
        order = [int(job_id) for _ in range(4) for job_id in departs(windows, 1000).job_ids]
        assert order == list(reversed(range(350)))

    @pytest.mark.parametrize("count", [1, 2, 37, 99, 100])
    def test_small_herds_go_together(self, windows: Windows[Probe], count: int) -> None:
        """With up to 100 jobs every call carries them all."""
        for number, job_id in enumerate(names(count)):
            added(windows, Probe(job_id, reply=Window(5, 10)), Window(0, number / 100))
        now = 1.0
        for _ in range(5):
            call = departs(windows, now)
            assert set(call.job_ids) == set(names(count))
            windows.answer(call, everybody(call), now)
            now = windows.next_deadline()

    def test_never_more_than_a_hundred(self, windows: Windows[Probe]) -> None:
        """A call carries at most 100 ids, each of another job, however many requests wait."""
        for number in range(1000):
            added(windows, Probe(f"{number % 300}", one_shot=number % 3 == 0))
        for _ in range(3):
            job_ids = departs(windows, 5).job_ids
            assert len(job_ids) == len(set(job_ids)) == MAX_IDS_PER_CALL
        assert windows.take(5) is None

    def test_requests_for_one_job_share_an_id(self, windows: Windows[Probe]) -> None:
        """All open requests for one job share its id in the call, and hear the one answer as their own."""
        probes = [added(windows, Probe("a"), Window(0, 1 + number)) for number in range(50)]
        call = departs(windows, 1)
        assert call.job_ids == ("a",)
        windows.answer(call, everybody(call), 2)
        assert all(probe.heard == ["RUNNING"] for probe in probes)
        assert windows.next_deadline() == 2 + LATER.latest

    def test_the_late_one_of_two_shares_no_id(self, windows: Windows[Probe]) -> None:
        """A request for the same job whose window is closed keeps its own deadline."""
        added(windows, Probe("a"))
        added(windows, Probe("a"), Window(3, 4))
        departs(windows, 0)
        assert windows.next_deadline() == 4

    def test_repr(self, windows: Windows[Probe]) -> None:
        """The representation counts requests and jobs, and that of a call the ids that it carries."""
        added(windows, Probe("a"))
        added(windows, Probe("a"))
        assert repr(windows) == "<Windows 2 requests for 1 jobs>"
        assert repr(departs(windows, 0)).endswith("of 1 jobs>")

    def test_iterates_over_all(self, windows: Windows[Probe]) -> None:
        """Iteration and length cover those that wait and those under way."""
        carried = added(windows, Probe("a"))
        departs(windows, 0)
        waiting = added(windows, Probe("b"), LATER)
        assert set(windows) == {carried, waiting}
        assert len(windows) == 2


class TestOneShotsFirst:
    """One-shot requests that are due pass a few overdue polls, not all of them."""

    def test_up_to_ten_go_first(self, windows: Windows[Probe]) -> None:
        """Ten due one-shots get the first places although all polls are overdue for longer."""
        for job_id in names(200, "poll"):
            added(windows, Probe(job_id), Window(0, 1))
        for job_id in names(30, "shot"):
            added(windows, one_shot(job_id), Window(0, 2))
        job_ids = departs(windows, 5).job_ids
        assert job_ids[:MAX_ONE_SHOTS_FIRST] == tuple(names(MAX_ONE_SHOTS_FIRST, "shot"))
        assert job_ids[MAX_ONE_SHOTS_FIRST:] == tuple(names(MAX_IDS_PER_CALL - MAX_ONE_SHOTS_FIRST, "poll"))

    def test_no_more_than_ten_pass_overdue_polls(self, windows: Windows[Probe]) -> None:
        """An endless stream of one-shots leaves polls nine places of ten."""
        for job_id in names(180, "poll"):
            added(windows, Probe(job_id), Window(0, 2))
        for job_id in names(500, "shot"):
            added(windows, one_shot(job_id), Window(0, 1.5 + 1))
        polls = [
            job_id for _ in range(2) for job_id in departs(windows, 9).job_ids if job_id.startswith("poll")
        ]
        assert polls == names(180, "poll")

    def test_other_places_go_by_deadline(self, windows: Windows[Probe]) -> None:
        """Beyond the early places a one-shot competes by its deadline like everybody."""
        for job_id in names(50, "poll"):
            added(windows, Probe(job_id), Window(0, 3))
        for job_id in names(95, "shot"):
            added(windows, one_shot(job_id), Window(0, 2))
        job_ids = departs(windows, 5).job_ids
        assert job_ids == (*names(95, "shot"), *names(5, "poll"))

    def test_one_shots_that_are_not_due_wait_their_turn(self, windows: Windows[Probe]) -> None:
        """A one-shot whose window is open but not over has no privilege."""
        for job_id in names(MAX_IDS_PER_CALL, "poll"):
            added(windows, Probe(job_id), Window(0, 1))
        added(windows, one_shot("shot"), Window(0, 1.5))
        assert departs(windows, 1.4).job_ids == tuple(names(MAX_IDS_PER_CALL, "poll"))
        assert departs(windows, 1.5).job_ids == ("shot",)

    def test_soonest_one_shot_first(self, windows: Windows[Probe]) -> None:
        """Among one-shots the deadline decides too."""
        for number in range(12):
            added(windows, one_shot(f"{number}"), Window(0, 12 - number))
        job_ids = departs(windows, 20).job_ids
        assert job_ids == tuple(str(number) for number in reversed(range(12)))


class TestAnswers:
    """Who hears an answer."""

    def test_counts_for_those_carried(self, windows: Windows[Probe]) -> None:
        """Requests of the call hear the answer, and their next window counts from it."""
        probe = added(windows, Probe("a", reply=Window(3, 7)))
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call), now=50) == ([], [StatusChange("a", None, "RUNNING")], [])
        assert probe.heard == ["RUNNING"]
        assert (probe.earliest, probe.latest) == (53, 57)
        assert windows.next_deadline() == 57

    def test_ends_those_who_are_done(self, windows: Windows[Probe]) -> None:
        """A request that says that it is done has left, with its outcome."""
        probe = added(windows, one_shot())
        call = departs(windows, 0)
        ended, _, _ = windows.answer(call, everybody(call), 1)
        assert ended == [(probe, MATCHED)]
        assert len(windows) == 0
        assert windows.next_deadline() == math.inf

    def test_early_answer_moves_no_window(self, windows: Windows[Probe]) -> None:
        """An answer before `earliest`, by another's place, neither counts nor moves the window."""
        added(windows, Probe("a"))
        early = added(windows, Probe("a"), Window(30, 60))
        call = departs(windows, 0)
        windows.answer(call, everybody(call), 1)
        assert early.heard == ["(RUNNING)"]
        assert (early.earliest, early.latest) == (30, 60)
        assert windows.next_deadline() == 60

    def test_early_answer_may_satisfy(self, windows: Windows[Probe]) -> None:
        """An answer before `earliest`, by another's place, ends the request if it is what it waits for."""
        added(windows, Probe("a"))
        early = added(windows, Probe("a", otherwise=MATCHED), Window(30, 60))
        call = departs(windows, 0)
        ended, _, _ = windows.answer(call, everybody(call), 1)
        assert ended == [(early, MATCHED)]
        assert windows.next_deadline() == 1 + LATER.latest

    def test_early_absence_does_not_count(self, windows: Windows[Probe]) -> None:
        """Of an answer without the job, brought too early by another's place, nobody hears but who has that place."""
        added(windows, Probe("a"))
        early = added(windows, Probe("a"), Window(30, 60))
        windows.answer(departs(windows, 0), {}, 1)
        assert early.heard == []
        assert windows.next_deadline() == 60

    @pytest.mark.parametrize("job_id", ["a", "b"])
    @pytest.mark.parametrize("is_seen", [True, False])
    def test_somebody_may_leave_meanwhile(self, windows: Windows[Probe], job_id: str, is_seen: bool) -> None:
        """A request asks code of the user's, which may make others leave, of its own job or of another."""

        class Evicts(Probe):
            def on_failure(self, failure: Failure) -> Decision:
                windows.discard(before)
                windows.discard(after)
                return super().on_failure(failure)

            def on_seen(self, _: Observation) -> Decision:
                return self.on_failure(TRANSIENT)

            def on_absent(self) -> Decision:
                return self.on_failure(TRANSIENT)

        before = added(windows, Probe(job_id))
        evicting = added(windows, Evicts("a"))
        after = added(windows, Probe(job_id))
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call) if is_seen else {}, 1)[0] == []
        assert list(windows) == [evicting]
        assert departs(windows, 1 + LATER.latest).job_ids == ("a",)
        assert windows.next_deadline() == math.inf

    def test_news_for_who_came_meanwhile(self, windows: Windows[Probe]) -> None:
        """Whoever came after all whom the call carries had left gets no answer, but the log gets the news."""
        before = added(windows, Probe("a"))
        call = departs(windows, 0)
        windows.discard(before)
        newer = added(windows, Probe("a"), LATER)
        assert windows.answer(call, everybody(call), 1) == ([], [StatusChange("a", None, "RUNNING")], [])
        assert newer.heard == []

    def test_an_older_call_answers_nobody_newer(self, windows: Windows[Probe]) -> None:
        """A request made while a call is under way, at the same moment even, hears nothing of its answer."""
        added(windows, one_shot("a"))
        call = departs(windows, 0)
        newer = added(windows, Probe("a", otherwise=MATCHED))
        windows.answer(call, everybody(call), 0)
        assert newer.heard == []
        assert departs(windows, 0).job_ids == ("a",)

    def test_added_again_is_made_again(self, windows: Windows[Probe]) -> None:
        """A request that was taken back and added again is not answered by the call that carried it before."""
        probe = added(windows, Probe("a", otherwise=MATCHED))
        call = departs(windows, 0)
        windows.discard(probe)
        added(windows, probe)
        assert windows.answer(call, everybody(call), 1)[0] == []
        assert windows.fail(call, PERMANENT, 1) == []
        assert probe.heard == []

    def test_an_answer_to_an_earlier_window_does_not_count(self, windows: Windows[Probe]) -> None:
        """Once a request has a new window, the call that carried it for the old one is another's."""
        probe = added(windows, Probe("a", otherwise=Window(3, 4)))
        slow = departs(windows, 0)
        added(windows, one_shot("a"))
        quick = departs(windows, 0)
        windows.answer(quick, everybody(quick), 1)
        assert (probe.earliest, probe.latest) == (4, 5)
        probe._otherwise = None
        windows.answer(slow, everybody(slow, "STARTING"), 2)
        assert probe.heard == ["(RUNNING)", "(STARTING)"]
        assert windows.next_deadline() == 5

    def test_a_failure_of_an_earlier_window_is_ignored(self, windows: Windows[Probe]) -> None:
        """Once a request has a new window, a failure of the call that carried it for the old one is not its own."""
        probe = added(windows, Probe("a", otherwise=Window(3, 4)))
        slow = departs(windows, 0)
        added(windows, one_shot("a"))
        quick = departs(windows, 0)
        windows.answer(quick, everybody(quick), 1)
        assert windows.fail(slow, PERMANENT, 2) == []
        assert windows.next_deadline() == 5
        assert probe.heard == ["(RUNNING)"]

    def test_two_calls_for_one_job(self, windows: Windows[Probe]) -> None:
        """A request to which an overtaking call brought nothing decisive still gets its own answer."""
        probe = added(windows, Probe("a"))
        slow = departs(windows, 0)
        added(windows, one_shot("a"))
        quick = departs(windows, 0)
        windows.answer(quick, everybody(quick), 1)
        windows.answer(slow, everybody(slow), 2)
        assert probe.heard == ["(RUNNING)", "RUNNING"]
        assert windows.next_deadline() == 2 + LATER.latest

    def test_foreign_jobs_are_ignored(self, windows: Windows[Probe]) -> None:
        """Jobs that the call did not ask for change nothing, even if somebody else waits for them."""
        added(windows, Probe("a"))
        call = departs(windows, 0)
        waiting = added(windows, Probe("b", otherwise=MATCHED), LATER)
        foreign = {"b": seen("FAILED"), "never-heard-of": seen("FAILED")}
        assert windows.answer(call, everybody(call) | foreign, 1) == (
            [],
            [StatusChange("a", None, "RUNNING")],
            [],
        )
        assert waiting.heard == []

    def test_missing_jobs(self, windows: Windows[Probe]) -> None:
        """Requests whose job is missing hear so, and their neighbours get their answers."""
        probes = [added(windows, Probe(job_id)) for job_id in "abc"]
        call = departs(windows, 0)
        windows.answer(call, {"a": seen("RUNNING"), "c": seen("FAILED")}, 1)
        assert [probe.heard for probe in probes] == [["RUNNING"], ["absent"], ["FAILED"]]

    def test_an_answer_that_nobody_awaits_any_more(self, windows: Windows[Probe]) -> None:
        """An answer after all who asked have left is no news."""
        probe = added(windows, Probe("a"))
        call = departs(windows, 0)
        windows.discard(probe)
        assert windows.answer(call, everybody(call), 1) == ([], [], [])

    @pytest.mark.parametrize("count", [2, 3, 50])
    def test_all_requests_for_a_job_hear(self, windows: Windows[Probe], count: int) -> None:
        """Requests that end while the answer is handed round keep no other from hearing it."""
        probes = [added(windows, one_shot("a")) for _ in range(count)]
        call = departs(windows, 0)
        ended, _, _ = windows.answer(call, everybody(call), 1)
        assert [request for request, _ in ended] == probes


class TestFailures:
    """What a failed call does to the requests that it carries."""

    def test_only_those_carried_hear(self, windows: Windows[Probe]) -> None:
        """The requests of the call hear of its failure, others for the same job do not."""
        request = added(windows, Probe("a", on_failure=Window(2, 3)))
        other = added(windows, Probe("a"), LATER)
        windows.fail(departs(windows, 0), TRANSIENT, now=10)
        assert (request.heard, other.heard) == (["transient"], [])
        assert windows.next_deadline() == 13

    def test_requests_of_another_call_hear_nothing(self, windows: Windows[Probe]) -> None:
        """Of two calls under way for one job, the failure of one is not that of the other."""
        first = added(windows, Probe("a"))
        failing = departs(windows, 0)
        second = added(windows, Probe("a"))
        other = departs(windows, 0)
        assert windows.fail(failing, PERMANENT, now=1)[0].request is first
        assert second.heard == []
        windows.answer(other, everybody(other), 2)
        assert second.heard == ["RUNNING"]

    def test_throttled_requests_keep_their_deadline(self, windows: Windows[Probe]) -> None:
        """Whoever is left as it was goes back into the queue with the deadline that it had."""
        probe = added(windows, Probe("a"), Window(0, 5))
        windows.fail(departs(windows, 5), THROTTLED, now=9)
        assert windows.next_deadline() == 5
        call = departs(windows, 9)
        assert call.due == 5
        windows.answer(call, everybody(call), 9)
        assert probe.heard == ["throttled", "RUNNING"]

    def test_throttled_one_shots_keep_their_privilege(self, windows: Windows[Probe]) -> None:
        """A one-shot that was throttled still goes first."""
        added(windows, one_shot("shot"), Window(0, 5))
        call = departs(windows, 5)
        for job_id in names(MAX_IDS_PER_CALL, "poll"):
            added(windows, Probe(job_id), Window(0, 1))
        windows.fail(call, THROTTLED, now=9)
        assert departs(windows, 9).job_ids[0] == "shot"


class TestDiscard:
    """Taking back one's own request and nothing else."""

    def test_while_waiting(self, windows: Windows[Probe]) -> None:
        """Another request for the same job stays where it is."""
        first, second = added(windows, Probe("a")), added(windows, Probe("a"))
        windows.discard(first)
        assert list(windows) == [second]
        call = departs(windows, 0)
        windows.answer(call, everybody(call), 1)
        assert (first.heard, second.heard) == ([], ["RUNNING"])

    def test_while_under_way(self, windows: Windows[Probe]) -> None:
        """A request that leaves hears nothing; the others of the call get their answers."""
        first, second, neighbour = (added(windows, Probe(job_id)) for job_id in "aab")
        call = departs(windows, 0)
        windows.discard(first)
        windows.answer(call, everybody(call), 1)
        assert (first.heard, second.heard, neighbour.heard) == ([], ["RUNNING"], ["RUNNING"])
        assert len(windows) == 2

    def test_last_of_a_call(self, windows: Windows[Probe]) -> None:
        """A job that nobody waits for any more takes no place."""
        leaving = added(windows, Probe("a"))
        added(windows, Probe("b"))
        windows.discard(leaving)
        assert departs(windows, 0).job_ids == ("b",)

    def test_twice(self, windows: Windows[Probe]) -> None:
        """Taking back again is no error and takes nothing from others."""
        leaving, staying = added(windows, Probe("a")), added(windows, Probe("a"))
        for _ in range(3):
            windows.discard(leaving)
        assert list(windows) == [staying]
        assert len(windows) == 1

    def test_after_the_end(self, windows: Windows[Probe]) -> None:
        """Taking back a request that has ended, or was never added, is no error."""
        probe = added(windows, one_shot())
        call = departs(windows, 0)
        windows.answer(call, everybody(call), 1)
        windows.discard(probe)
        windows.discard(Probe())
        assert len(windows) == 0

    def test_a_storm_leaves_nothing_behind(self, windows: Windows[Probe]) -> None:
        """Thousands of cancellations leave no heaps of outdated entries."""
        for job_id in names(5000):
            windows.discard(added(windows, Probe(job_id, one_shot=True), LATER))
        assert max(heap_lengths(windows)) <= MAX_IDS_PER_CALL + 1

    def test_a_storm_under_way_leaves_nothing_behind(self, windows: Windows[Probe]) -> None:
        """Cancellations while calls are under way leave nothing in the heaps either."""
        for _ in range(50):
            probes = [added(windows, Probe(job_id, one_shot=True)) for job_id in names(50)]
            departs(windows, 0)
            for probe in probes:
                windows.discard(probe)
        assert max(heap_lengths(windows)) <= 2 * MAX_IDS_PER_CALL

    def test_a_storm_between_checks_leaves_nothing_behind(self, windows: Windows[Probe]) -> None:
        """Cancellations one at a time, with the shell asking for the deadline between, leave nothing behind."""
        for job_id in names(5000):
            windows.discard(added(windows, Probe(job_id, one_shot=True), LATER))
            assert windows.next_deadline() == math.inf
        assert max(heap_lengths(windows)) <= MAX_IDS_PER_CALL + 1

    @pytest.mark.parametrize("one_shot", [False, True])
    def test_compacting_keeps_the_others(self, *, windows: Windows[Probe], one_shot: bool) -> None:
        """Those who stay through a storm of cancellations leave in the order of their deadlines."""
        deadlines = Random(1).sample(range(2000), 2000)
        probes = [
            added(windows, Probe(f"{latest}", one_shot=one_shot), Window(0, latest)) for latest in deadlines
        ]
        for number, probe in enumerate(probes):
            if number % 10:
                windows.discard(probe)
        assert len(windows) == 200
        assert max(heap_lengths(windows)) <= 2 * 200 + MAX_IDS_PER_CALL
        order = [int(job_id) for _ in range(2) for job_id in departs(windows, 9999).job_ids]
        assert order == sorted(deadlines[::10])

    def test_long_waits_leave_nothing_behind(self, windows: Windows[Probe]) -> None:
        """Thousands of checks leave no heaps of outdated entries either."""
        for job_id in names(10):
            added(windows, Probe(job_id, reply=Window(5, 10)))
        now = 0.0
        for _ in range(1000):
            call = departs(windows, now)
            windows.answer(call, everybody(call), now)
            now = windows.next_deadline()
        assert max(heap_lengths(windows)) <= 30


class TestCounts:
    """How many jobs wait in which state, and since when the oldest check is late."""

    def test_what_has_come_and_gone(self, windows: Windows[Probe]) -> None:
        """It is right from the first question on, and stays so."""
        first, second, _ = [added(windows, Probe(job_id, reply=LATER)) for job_id in "aab"]
        added(windows, one_shot("c"))
        assert windows.by_status() == {"NOT_SEEN": 3}
        assert windows.describes == 1
        call = departs(windows, 0)
        windows.answer(call, everybody(call, "RUNNING"), 0)
        assert windows.by_status() == windows.count()[0] == {"RUNNING": 2}
        assert windows.describes == 0
        windows.discard(first)
        assert windows.by_status() == {"RUNNING": 2}
        windows.discard(second)
        assert windows.by_status() == {"RUNNING": 1}
        added(windows, Probe("a", reply=LATER))
        assert windows.by_status() == windows.count()[0] == {"RUNNING": 2}

    def test_the_soonest(self, windows: Windows[Probe]) -> None:
        """A request that is in a call is late no more."""
        assert windows.soonest() == windows.count()[1] == math.inf
        added(windows, Probe("a", reply=LATER))
        windows.add(Probe("b", reply=LATER), Window(5, 10), 0)
        assert windows.soonest() == windows.count()[1] == 0
        call = departs(windows, 0)
        assert windows.soonest() == windows.count()[1] == 10
        windows.fail(call, THROTTLED, 3)
        assert windows.soonest() == windows.count()[1] == 0


class TestChanges:
    """A change of a job is heard of once."""

    @pytest.fixture
    def watched(self, windows: Windows[Probe]) -> Windows[Probe]:
        """A job that ten requests wait for all the time."""
        for _ in range(10):
            added(windows, Probe("a", reply=AT_ONCE))
        return windows

    @staticmethod
    def check(
        windows: Windows[Probe], status: str | None, attempts: int = 0, reason: object = None
    ) -> list[StatusChange]:
        """Send a call that sees the job like this; what is news of it."""
        changes = windows.answer(departs(windows, 0), {"a": seen(status, attempts, reason)}, 0)[1]
        return [change._replace(seconds=None) for change in changes]

    def test_once_per_job_and_state(self, watched: Windows[Probe]) -> None:
        """However many wait and check, each state is news once."""
        assert self.check(watched, "RUNNABLE") == [StatusChange("a", None, "RUNNABLE")]
        assert self.check(watched, "RUNNABLE") == []
        assert self.check(watched, "RUNNING") == [StatusChange("a", "RUNNABLE", "RUNNING")]
        assert self.check(watched, "RUNNING") == []

    def test_stale_observations_are_no_news(self, watched: Windows[Probe]) -> None:
        """An answer that shows the past is no news, and what comes after is compared with the present."""
        self.check(watched, "RUNNING")
        assert self.check(watched, "STARTING") == []
        assert self.check(watched, "SUCCEEDED", 1) == [StatusChange("a", "RUNNING", "SUCCEEDED")]
        assert self.check(watched, "RUNNING") == []

    def test_a_retry_is_news(self, watched: Windows[Probe]) -> None:
        """A job that goes back to RUNNABLE for another attempt has changed."""
        self.check(watched, "RUNNING")
        assert self.check(watched, "RUNNABLE", 1) == [StatusChange("a", "RUNNING", "RUNNABLE")]

    def test_no_status_is_no_news(self, watched: Windows[Probe]) -> None:
        """A job without a status is no news and makes the next state no less of one."""
        assert self.check(watched, None) == []
        assert self.check(watched, "RUNNING") == [StatusChange("a", None, "RUNNING")]

    def test_describes_make_no_news(self, windows: Windows[Probe]) -> None:
        """What only a describe has seen is no news; it is news to the first poll."""
        added(windows, one_shot())
        assert self.check(windows, "RUNNING") == []
        added(windows, Probe("a"))
        assert self.check(windows, "RUNNING") == [StatusChange("a", None, "RUNNING")]

    def test_an_unknown_state_is_news(self, watched: Windows[Probe]) -> None:
        """A state that AWS invented yesterday is passed on as it came."""
        self.check(watched, "RUNNING")
        assert self.check(watched, "HIBERNATING") == [StatusChange("a", "RUNNING", "HIBERNATING")]

    def test_a_new_reason_is_news(self, watched: Windows[Probe]) -> None:
        """What AWS says of a state comes with it, and is news of its own when it changes, once."""
        assert self.check(watched, "RUNNABLE", reason="x") == [StatusChange("a", None, "RUNNABLE", "x")]
        assert self.check(watched, "RUNNABLE", reason="x") == []
        assert self.check(watched, "RUNNABLE", reason="y") == [StatusChange("a", "RUNNABLE", "RUNNABLE", "y")]
        assert self.check(watched, "RUNNING") == [StatusChange("a", "RUNNABLE", "RUNNING", None)]

    def test_that_a_reason_is_no_longer_given_is_no_news(self, watched: Windows[Probe]) -> None:
        """Answers with the reason and without it, in turns, are news once."""
        self.check(watched, "RUNNABLE", reason="x")
        for reason in (None, "x", "", "x"):
            assert self.check(watched, "RUNNABLE", reason=reason) == []

    def test_a_stale_reason_is_no_news(self, watched: Windows[Probe]) -> None:
        """What AWS said of an earlier state is no news, not even of the same state in an earlier attempt."""
        self.check(watched, "RUNNABLE", 1, reason="x")
        assert self.check(watched, "RUNNABLE", 0, reason="old") == []
        assert self.check(watched, "SUBMITTED", 1, reason="old") == []

    @pytest.mark.parametrize("odd", [{"a": 1}, ["x"], 5, True, 1.5], ids=repr)
    def test_an_odd_reason_is_none(self, watched: Windows[Probe], odd: object) -> None:
        """What is no text is no reason, and no news."""
        assert self.check(watched, "RUNNING", reason=odd) == [StatusChange("a", None, "RUNNING", None)]
        assert self.check(watched, "RUNNING", reason=odd) == []

    def test_a_hostile_reason_is_news_once_and_in_one_line(self, watched: Windows[Probe]) -> None:
        """A reason that is not fit for a line of text is made so, and recognised when it comes again."""
        (change,) = self.check(watched, "RUNNING", reason="x\nforged")
        assert change.reason == repr("x\nforged")
        assert self.check(watched, "RUNNING", reason="x\nforged") == []

    def test_equal_reasons_are_one_object(self, windows: Windows[Probe]) -> None:
        """A hundred thousand jobs with the same reason do not keep a text each."""
        for job_id in names(50):
            added(windows, Probe(job_id))
        call = departs(windows, 0)
        jobs = {job_id: seen("RUNNABLE", reason=f"CAPACITY:{len(call.job_ids)}") for job_id in call.job_ids}
        assert len({id(head.status_reason) for head in jobs.values()}) == 50
        changes = windows.answer(call, jobs, 0).changes
        assert len({id(change.reason) for change in changes}) == 1

    def test_how_long_a_job_was_in_a_state(self, windows: Windows[Probe]) -> None:
        """It counts from the answer that first showed the state, whatever reasons came meanwhile."""
        added(windows, Probe("a", reply=AT_ONCE))
        changes = []
        for now, status, reason in [(10, "RUNNABLE", None), (15, "RUNNABLE", "x"), (40, "RUNNING", None)]:
            changes += windows.answer(departs(windows, now), {"a": seen(status, 0, reason)}, now).changes
        assert [change.seconds for change in changes] == [None, 5, 30]

    def test_how_long_a_job_was_in_a_state_without_a_wait(self, windows: Windows[Probe]) -> None:
        """The time between two waits is included."""
        for now, status in [(10, "RUNNABLE"), (500, "RUNNING")]:
            probe = Probe("a", reply=MATCHED)
            windows.add(probe, AT_ONCE, now)
            changes = windows.answer(departs(windows, now), {"a": seen(status)}, now).changes
        assert [change.seconds for change in changes] == [490]

    def test_no_old_news_for_a_later_wait(self, watched: Windows[Probe]) -> None:
        """Whoever waits for a job after all others have left hears only of what is new."""
        self.check(watched, "RUNNING")
        for probe in list(watched):
            watched.discard(probe)
        added(watched, Probe("a", reply=AT_ONCE))
        assert self.check(watched, "RUNNING") == []
        # It may be stale, but is what this wait has seen.
        assert self.check(watched, "STARTING") == [StatusChange("a", "RUNNING", "STARTING")]
        assert self.check(watched, "SUCCEEDED") == [StatusChange("a", "STARTING", "SUCCEEDED")]

    def test_no_stale_news_for_a_wait_that_goes_on(self, watched: Windows[Probe]) -> None:
        """Whoever goes on with what another request has seen hears of no earlier state."""
        self.check(watched, "RUNNING")
        for probe in list(watched):
            watched.discard(probe)
        watched.add(Probe("a", reply=AT_ONCE), AT_ONCE, 0, continues=True)
        assert self.check(watched, "STARTING") == []
        assert self.check(watched, "SUCCEEDED") == [StatusChange("a", "RUNNING", "SUCCEEDED")]

    def test_no_news_of_the_past_for_a_later_wait(self, windows: Windows[Probe]) -> None:
        """A call that left before the wait began may be answered with what the job was before an earlier wait's end."""
        first = added(windows, Probe("a"))
        slow = departs(windows, 0)
        windows.discard(first)
        assert self.wait_once(windows, "a") == [StatusChange("a", None, "FAILED")]
        later = added(windows, Probe("a", reply=MATCHED))
        assert windows.answer(slow, everybody(slow, "RUNNING"), 1) == ([], [], [])
        call = departs(windows, 1)
        assert windows.answer(call, everybody(call, "FAILED"), 1) == ([(later, MATCHED)], [], [])

    def test_what_is_remembered_is_bounded(
        self, windows: Windows[Probe], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of the jobs that nobody waits for any more, those left longest ago are forgotten."""
        monkeypatch.setattr("awaitbatch._core.windows.REMEMBERED", 3)
        for name in "abcd":
            self.wait_once(windows, name)
        assert len(windows._last_seen) == 3
        assert self.wait_once(windows, "d") == []
        assert self.wait_once(windows, "a") == [StatusChange("a", None, "FAILED")]
        assert self.wait_once(windows, "b") == [StatusChange("b", None, "FAILED")]

    def test_ever_new_jobs_take_no_more_memory(self, windows: Windows[Probe]) -> None:
        """Of a hundred thousand jobs that came and went, described or polled, answered or taken back, the second half
        leaves nothing that the first did not.
        """
        blocks = []
        for turn in range(1000):
            probes = [
                added(windows, Probe(job_id, one_shot=number < 10, reply=MATCHED), now=turn)
                for number, job_id in enumerate(names(100, f"job-{turn}"))
            ]
            for probe in probes[::20]:
                windows.discard(probe)
            call = departs(windows, turn)
            if turn % 7 == 0:
                windows.fail(call, TRANSIENT, turn)
                for probe in probes:
                    windows.discard(probe)
            else:
                windows.answer(call, everybody(call, "FAILED"), turn)
            del probes, probe, call
            if turn % 500 == 499:
                gc.collect()
                blocks.append(sys.getallocatedblocks())
        assert len(windows) == 0
        assert len(windows._last_seen) <= REMEMBERED
        # A single object for each job would be fifty thousand.
        assert blocks[1] - blocks[0] < 1000

    @staticmethod
    def wait_once(windows: Windows[Probe], job_id: str) -> list[StatusChange]:
        """Wait for a job that has failed; what is news of it."""
        added(windows, Probe(job_id, reply=MATCHED))
        return windows.answer(departs(windows, 0), {job_id: seen("FAILED")}, 0).changes


class TestDeliveries:
    """A request may go on and have the job's description delivered all the same."""

    def test_with_a_window(self, windows: Windows[Probe]) -> None:
        """Its owner gets the description without an outcome, and the request waits in the window that it gave."""
        probe = added(windows, Probe("a", reply=Deliver(Window(3, 7))))
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call), 50).deliveries == [(probe, None)]
        assert (probe.earliest, probe.latest, len(windows)) == (53, 57, 1)
        assert departs(windows, 57).job_ids == ("a",)

    def test_as_it_was(self, windows: Windows[Probe]) -> None:
        """Without a window it keeps the one that it had."""
        probe = added(windows, Probe("a", reply=Deliver(None)), Window(1, 2))
        call = departs(windows, 2)
        assert windows.answer(call, everybody(call), 3).deliveries == [(probe, None)]
        assert (probe.latest, windows.next_deadline()) == (2, 2)

    def test_early(self, windows: Windows[Probe]) -> None:
        """An early answer is delivered, and neither counts nor moves the window."""
        added(windows, Probe("a"))
        early = added(windows, Probe("a", otherwise=Deliver(None)), Window(30, 60))
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call), 1).deliveries == [(early, None)]
        assert (early.earliest, early.latest, windows.next_deadline()) == (30, 60, 60)

    def test_while_its_own_call_is_under_way(self, windows: Windows[Probe]) -> None:
        """An answer that overtakes the request's own is delivered, and the request stays in its call."""
        first = added(windows, Probe("a", otherwise=Deliver(None), reply=AT_ONCE))
        overtaking = departs(windows, 0)
        windows.fail(overtaking, TRANSIENT, 0)
        second = added(windows, Probe("a", otherwise=Deliver(None)), Window(1000, 1000))
        own = departs(windows, 1000)
        assert {first.held_by, second.held_by} == {own.number}
        assert windows.answer(own, everybody(own), 1001).deliveries == []
        assert windows.next_deadline() == 1001

    def test_each_its_own(self, windows: Windows[Probe]) -> None:
        """Of requests for one job each gets what it asked for: a delivery, the end, or nothing."""
        goes_on = added(windows, Probe("a", reply=Deliver(LATER)))
        added(windows, Probe("a"))
        ends = added(windows, one_shot("a"))
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call), 1).deliveries == [(goes_on, None), (ends, MATCHED)]
        assert windows.next_deadline() == 1 + LATER.latest


def test_windows_open_with_their_tick(windows: Windows[Probe]) -> None:
    """A window opens less than a millisecond early, never late, and closes when it was to."""
    soon = added(windows, Probe("soon"), Window(1.0002, 1.0002))
    late = added(windows, Probe("late"), Window(1.0009, 3))
    later = added(windows, Probe("later"), Window(1.001, 3))
    assert [probe.earliest for probe in (soon, late, later)] == [1, 1, 1 + 1 / TICKS]
    assert [probe.latest for probe in (soon, late, later)] == [1.0002, 3, 3]
    assert windows.take(1.0001) is None
    assert departs(windows, 1.0002).job_ids == ("soon", "late")


def test_a_window_that_never_opens(windows: Windows[Probe]) -> None:
    """Windows may be as far away as a number can say."""
    never = added(windows, Probe("never"), Window(sys.float_info.max, sys.float_info.max))
    other = added(windows, Probe("other"), AT_ONCE)
    assert departs(windows, 0).job_ids == ("other",)
    assert windows.next_deadline() == never.latest
    assert isinstance(other.held_by, int)


@pytest.mark.parametrize("otherwise", [None, MATCHED])
def test_a_schedule_that_makes_another_leave(windows: Windows[Probe], otherwise: Decision) -> None:
    """The user's own code may take back another request for the job before that one is asked."""

    class Selfish(Probe):
        def on_seen(self, observation: Observation) -> Decision:
            windows.discard(other)
            return super().on_seen(observation)

    selfish = added(windows, Selfish("a", reply=MATCHED))
    other = added(windows, Probe("a", otherwise=otherwise))
    call = departs(windows, 0)
    assert windows.answer(call, everybody(call), 1).deliveries == [(selfish, MATCHED)]
    assert not other.heard
    assert len(windows) == 0


class TestCrowd:
    """Very many requests for one job are decided on in slices, between which others have their turn."""

    COUNT = 2 * MOST_AT_ONCE + 5

    def crowd(self, windows: Windows[Probe], **replies: Any) -> list[Probe]:
        """Many who wait for one job."""
        return [added(windows, Probe("a", **replies)) for _ in range(self.COUNT)]

    def test_an_answer_ends_all(self, windows: Windows[Probe]) -> None:
        """None is decided on at once, at most `MOST_AT_ONCE` in a go, and each of them once."""
        probes = self.crowd(windows, reply=MATCHED)
        other = added(windows, Probe("other", reply=MATCHED))
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call), 1).deliveries == [(other, MATCHED)]
        slices = list(call.rest)
        assert [len(one) for one in slices] == [MOST_AT_ONCE, MOST_AT_ONCE, 5]
        assert [delivery.request for one in slices for delivery in one] == probes
        assert len(windows) == 0

    def test_they_go_on(self, windows: Windows[Probe]) -> None:
        """Whoever goes on is in the next call for the job, whoever came meanwhile too."""
        probes = self.crowd(windows)
        call = departs(windows, 0)
        assert windows.answer(call, everybody(call), 1).deliveries == []
        assert next(call.rest) == []
        late = added(windows, Probe("a", reply=MATCHED), now=1)
        windows.discard(probes[-1])
        assert list(call.rest) == [[], []]
        assert not late.heard
        following = departs(windows, 1)
        assert windows.answer(following, everybody(following), 2).deliveries == []
        assert [delivery.request for one in following.rest for delivery in one] == [late]
        assert {probe.held_by for probe in probes[-1:]} == {None}
        assert all(probe.heard == ["RUNNING", "(RUNNING)"] for probe in probes[:-1])

    def test_some_leave_between_two_slices(self, windows: Windows[Probe]) -> None:
        """Whoever leaves before it is his turn hears of nothing, and takes nothing of others along."""
        probes = self.crowd(windows, reply=MATCHED, otherwise=MATCHED)
        call = departs(windows, 0)
        windows.answer(call, everybody(call), 1)
        assert len(next(call.rest)) == MOST_AT_ONCE
        for probe in probes[-10:]:
            windows.discard(probe)
        assert [len(one) for one in call.rest] == [MOST_AT_ONCE - 5, 0]
        assert not any(probe.heard for probe in probes[-10:])
        assert len(windows) == 0

    @pytest.mark.parametrize(("failure", "ends"), [(TRANSIENT, False), (THROTTLED, False), (PERMANENT, True)])
    def test_a_failure(self, windows: Windows[Probe], failure: Failure, ends: bool) -> None:
        """All hear of it once, in slices."""
        probes = self.crowd(windows)
        call = departs(windows, 0)
        slices = [windows.fail(call, failure, 1), *call.rest]
        assert [len(one) for one in slices] == ([MOST_AT_ONCE, MOST_AT_ONCE, 5] if ends else [0, 0, 0])
        assert all(probe.heard == [failure.kind.value] for probe in probes)
        assert len(windows) == (0 if ends else self.COUNT)

    def test_a_refusal(self, windows: Windows[Probe]) -> None:
        """All who asked for a bad id end, in slices."""
        self.crowd(windows)
        call = departs(windows, 0)
        slices = [windows.refuse(call, REFUSED, 1), *call.rest]
        assert [len(one) for one in slices] == [MOST_AT_ONCE, MOST_AT_ONCE, 5]
        assert len(windows) == 0
