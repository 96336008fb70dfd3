"""Refused calls are split until whoever is at fault is alone."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._core.backoff import Window
from awaitbatch._core.bisection import SUSPICIOUS
from awaitbatch._core.outcomes import MATCHED, Failure, FailureKind, Outcome, Reason
from awaitbatch._core.requests import MAX_IDS_PER_CALL, Call, Delivery
from awaitbatch._core.windows import Windows

from .probes import (
    AT_ONCE,
    LATER,
    REFUSED,
    THROTTLED,
    TRANSIENT,
    Probe,
    added,
    departs,
    ended_ids,
    everybody,
    failure,
    names,
    one_shot,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CALLS = 15
"""The refused call, and two for each halving of a hundred."""


class Search(NamedTuple):
    """What became of some jobs, and how many calls it took."""

    refused: set[str]
    answered: set[str]
    calls: int


def serve(windows: Windows[Probe], call: Call[Probe], texts: Mapping[str, str]) -> list[Delivery[Probe]]:
    """Answer a call as AWS does, which refuses those that hold a bad id; `texts` says with which words."""
    bad_ids = [job_id for job_id in call.job_ids if job_id in texts]
    if bad_ids:
        return windows.refuse(call, failure(FailureKind.REFUSED, texts[bad_ids[0]]), 0)
    return windows.answer(call, everybody(call), 0)[0]


def run(job_ids: list[str], texts: Mapping[str, str]) -> Search:
    """Describe these jobs once, some of which AWS does not like."""
    windows = Windows[Probe]()
    for job_id in job_ids:
        added(windows, one_shot(job_id))
    refused, answered, calls = set[str](), set[str](), 0
    while (call := windows.take(0)) is not None:
        calls += 1
        for request, outcome in serve(windows, call, texts):
            (answered if outcome is MATCHED else refused).add(request.job_id)
    assert len(windows) == 0
    return Search(refused, answered, calls)


@pytest.fixture
def windows() -> Windows[Probe]:
    """No requests yet."""
    return Windows[Probe]()


@pytest.mark.parametrize("place", [0, 1, 37, 49, 50, 63, 98, 99])
def test_one_bad_id_hurts_nobody(place: int) -> None:
    """One bad id among a hundred is found within 14 more calls, and everybody else is answered."""
    job_ids = names(MAX_IDS_PER_CALL)
    outcome = run(job_ids, {job_ids[place]: "malformed"})
    assert outcome.refused == {job_ids[place]}
    assert outcome.answered == set(job_ids) - outcome.refused
    assert outcome.calls <= MOST_CALLS


def test_only_the_bad_ids_requesters_fail(windows: Windows[Probe]) -> None:
    """All whose bad id the call carried get the error itself, and not who waits for it with a closed window."""
    for job_id in ("a", "bad_id", "bad_id", "b"):
        added(windows, one_shot(job_id))
    waiting = added(windows, Probe("bad_id"), LATER)
    ended: list[Delivery[Probe]] = []
    while (call := windows.take(0)) is not None:
        ended += serve(windows, call, {"bad_id": "malformed"})
    errors = [end for end in ended if end.outcome is not MATCHED]
    assert ended_ids(errors) == ["bad_id", "bad_id"]
    outcomes = [outcome for _, outcome in errors if outcome]
    assert [outcome.reason for outcome in outcomes] == [Reason.FAILED] * 2
    assert {outcome.failure.message for outcome in outcomes if outcome.failure} == {"malformed"}
    assert list(windows) == [waiting]


def test_refused_alone(windows: Windows[Probe]) -> None:
    """A call of one id is not split: its requesters get the error at once."""
    added(windows, one_shot("bad_id"))
    assert ended_ids(windows.refuse(departs(windows, 0), REFUSED, 0)) == ["bad_id"]
    assert windows.take(1e9) is None


def test_every_set_in_small_calls() -> None:
    """Five bad ids refused with the same words hurt nobody else, wherever they are in calls of up to 10."""
    for size in range(1, 11):
        job_ids = names(size)
        for count in range(1, SUSPICIOUS + 1):
            for bad_ids in combinations(job_ids, count):
                outcome = run(job_ids, dict.fromkeys(bad_ids, "malformed"))
                assert outcome.refused == set(bad_ids)
    assert SUSPICIOUS == 5


@settings(max_examples=100, deadline=None)
@given(size=st.integers(SUSPICIOUS, MAX_IDS_PER_CALL), data=st.data())
def test_some_bad_ids_hurt_nobody_else(size: int, data: st.DataObject) -> None:
    """Up to five bad ids refused with the same words hurt nobody else, and cost each no more calls than one alone."""
    job_ids = names(size)
    bad_ids = data.draw(st.sets(st.sampled_from(job_ids), min_size=1, max_size=SUSPICIOUS))
    outcome = run(job_ids, dict.fromkeys(bad_ids, "malformed"))
    assert outcome.refused == bad_ids
    assert outcome.answered == set(job_ids) - bad_ids
    assert outcome.calls <= len(bad_ids) * MOST_CALLS


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, MAX_IDS_PER_CALL), data=st.data())
def test_bad_ids_with_words_of_their_own_hurt_nobody(size: int, data: st.DataObject) -> None:
    """Any number of bad ids that are each refused with other words hurt nobody else."""
    job_ids = names(size)
    bad_ids = data.draw(st.sets(st.sampled_from(job_ids)))
    outcome = run(job_ids, {job_id: f"{job_id} is malformed" for job_id in bad_ids})
    assert outcome.refused == bad_ids
    assert outcome.answered == set(job_ids) - bad_ids
    assert outcome.calls <= 2 * size


@settings(max_examples=100, deadline=None)
@given(
    half=st.sampled_from([slice(50), slice(50, None)]),
    places=st.sets(st.integers(0, 49)),
    most_are_bad=st.booleans(),
)
def test_one_good_half_saves_everybody(half: slice, places: set[int], *, most_are_bad: bool) -> None:
    """Bad ids refused with the same words, as many as there are, hurt nobody if one half of the call is good."""
    suspects = enumerate(names(MAX_IDS_PER_CALL)[half])
    bad_ids = {job_id for place, job_id in suspects if (place in places) is not most_are_bad}
    outcome = run(names(MAX_IDS_PER_CALL), dict.fromkeys(bad_ids, "malformed"))
    assert outcome.refused == bad_ids


@pytest.mark.parametrize(
    ("size", "most_calls"), [(1, 1), (2, 3), (3, 5), (10, 13), (MAX_IDS_PER_CALL, 19)], ids=str
)
def test_a_general_refusal_ends_early(size: int, most_calls: int) -> None:
    """When AWS refuses whatever it is asked, with the same words, everybody hears it before all were tried alone."""
    outcome = run(names(size), dict.fromkeys(names(size), "no such thing"))
    assert outcome.refused == set(names(size))
    assert outcome.calls <= most_calls


def test_a_general_refusal_waits_for_calls_under_way(windows: Windows[Probe]) -> None:
    """While a part is under way it may still bring an answer, which proves that the refusal is not general."""
    for job_id in names(16):
        added(windows, one_shot(job_id))
    windows.refuse(departs(windows, 0), REFUSED, 0)
    slow = departs(windows, 0)
    assert slow.job_ids == tuple(names(16)[:8])
    ended: list[Delivery[Probe]] = []
    while (call := windows.take(0)) is not None:
        refused = windows.refuse(call, REFUSED, 0)
        assert ended_ids(refused) == list(call.job_ids if len(call.job_ids) == 1 else ())
        ended += refused
    assert set(ended_ids(ended)) == set(names(16)[8:])
    ended, _, _ = windows.answer(slow, everybody(slow), 0)
    assert ended_ids(ended) == names(16)[:8]


def test_other_requests_are_no_part_of_a_general_refusal(windows: Windows[Probe]) -> None:
    """A refusal that is general ends the parts of its own call, not those of another."""
    for job_id in names(4, "mine"):
        added(windows, one_shot(job_id))
    mine = departs(windows, 0)
    for job_id in names(3, "other"):
        added(windows, one_shot(job_id))
    other = departs(windows, 0)
    windows.refuse(mine, REFUSED, 0)
    windows.refuse(other, failure(FailureKind.REFUSED, "of another kind"), 0)
    refused, answered = set[str](), set[str]()
    while (call := windows.take(0)) is not None:
        texts = {job_id: "malformed" for job_id in call.job_ids if job_id.startswith("mine")}
        for request, outcome in serve(windows, call, texts):
            (answered if outcome is MATCHED else refused).add(request.job_id)
    assert (refused, answered) == (set(names(4, "mine")), set(names(3, "other")))


def test_a_bad_id_that_left_blames_no_neighbour(windows: Windows[Probe]) -> None:
    """When the bad id's waiter leaves while the call is under way, the one that stays is tried again."""
    bad_id, neighbour = added(windows, one_shot("bad_id")), added(windows, one_shot("b"))
    call = departs(windows, 0)
    windows.discard(bad_id)
    assert windows.refuse(call, REFUSED, 0) == []
    part = departs(windows, 0)
    assert part.job_ids == ("b",)
    ended, _, _ = windows.answer(part, everybody(part), 0)
    assert ended == [(neighbour, MATCHED)]
    assert windows.take(1e9) is None


def test_a_refused_call_whose_waiters_have_all_left(windows: Windows[Probe]) -> None:
    """Nothing is sent for parts that nobody waits for any more."""
    probes = [added(windows, one_shot(job_id)) for job_id in names(8)]
    call = departs(windows, 0)
    windows.refuse(call, REFUSED, 0)
    for probe in probes:
        windows.discard(probe)
    later = added(windows, Probe("later"), Window(0, 9))
    assert windows.take(5) is None
    assert windows.next_deadline() == 9
    assert list(windows) == [later]


def test_who_leaves_between_the_parts_is_not_carried(windows: Windows[Probe]) -> None:
    """A part carries those who still wait when it leaves."""
    probes = [added(windows, one_shot(job_id)) for job_id in names(6)]
    windows.refuse(departs(windows, 0), REFUSED, 0)
    windows.discard(probes[1])
    assert departs(windows, 0).job_ids == ("job-0", "job-2")


def test_parts_take_turns_with_what_is_due(windows: Windows[Probe]) -> None:
    """While parts are left to try the next deadline is always now, but they hold up nobody else."""
    for job_id in names(2):
        added(windows, one_shot(job_id), Window(0, 7))
    windows.refuse(departs(windows, 7), REFUSED, 8)
    added(windows, one_shot("overdue"))
    assert windows.next_deadline() < 0
    calls = [departs(windows, 8) for _ in range(3)]
    assert [call.job_ids for call in calls] == [("job-0",), ("overdue",), ("job-1",)]
    assert [call.due for call in calls] == [8, 0, 8]


def test_a_part_is_a_call_of_its_own(windows: Windows[Probe]) -> None:
    """A request made between the refusal and the part is answered by the part, which was sent after it."""
    for job_id in names(2):
        added(windows, one_shot(job_id))
    windows.refuse(departs(windows, 0), REFUSED, 0)
    newer = added(windows, Probe("job-0", otherwise=MATCHED), LATER)
    part = departs(windows, 0)
    newest = added(windows, Probe("job-0", otherwise=MATCHED), LATER)
    ended, _, _ = windows.answer(part, everybody(part), 0)
    assert newer in [request for request, _ in ended]
    assert newest.heard == []


def test_a_throttled_part_is_tried_again(windows: Windows[Probe]) -> None:
    """A part that comes too fast for AWS stays a part."""
    probes = [added(windows, one_shot(job_id)) for job_id in names(4)]
    windows.refuse(departs(windows, 0), REFUSED, 0)
    first, second = departs(windows, 0), departs(windows, 0)
    assert windows.fail(first, THROTTLED, 5) == []
    windows.answer(second, everybody(second), 5)
    added(windows, one_shot("not of this part"))
    assert departs(windows, 5).job_ids == ("not of this part",)
    again = departs(windows, 5)
    assert again.job_ids == first.job_ids == ("job-0", "job-1")
    windows.answer(again, everybody(again), 5)
    assert [probe.heard for probe in probes] == [["throttled", "RUNNING"]] * 2 + [["RUNNING"]] * 2


def test_tries_are_used_up_in_a_part_too(windows: Windows[Probe]) -> None:
    """A request that has no try left leaves a throttled part; the others stay in it."""

    class Impatient(Probe):
        def on_failure(self, failure: Failure) -> Window | Outcome | None:
            return Outcome(Reason.FAILED, failure)

    patient = [added(windows, one_shot(job_id)) for job_id in names(3)]
    impatient = added(windows, Impatient("job-0"))
    windows.refuse(departs(windows, 0), REFUSED, 0)
    part = departs(windows, 0)
    assert part.job_ids == ("job-0",)
    assert [request for request, _ in windows.fail(part, THROTTLED, 0)] == [impatient]
    assert list(windows) == patient
    assert departs(windows, 0).job_ids == ("job-0",)


def test_a_throttled_part_keeps_nothing_in_flight(windows: Windows[Probe]) -> None:
    """A throttled part is not under way any more, so a general refusal still ends early."""
    for job_id in names(8):
        added(windows, one_shot(job_id))
    windows.refuse(departs(windows, 0), REFUSED, 0)
    windows.fail(departs(windows, 0), THROTTLED, 0)
    ended: list[Delivery[Probe]] = []
    calls = 0
    while (call := windows.take(0)) is not None:
        calls += 1
        ended += windows.refuse(call, REFUSED, 0)
    assert sorted(ended_ids(ended)) == names(8)
    assert calls < 2 * 8 - 2


def test_a_part_that_fails_goes_back_to_the_queue(windows: Windows[Probe]) -> None:
    """The requests of a part that was lost hear of it and wait for a new window; the other part goes on."""
    probes = [added(windows, Probe(job_id, on_failure=Window(5, 6))) for job_id in names(4)]
    windows.refuse(departs(windows, 0), REFUSED, 0)
    lost, other = departs(windows, 0), departs(windows, 0)
    assert windows.fail(lost, TRANSIENT, 10) == []
    windows.answer(other, everybody(other), 10)
    assert [probe.heard for probe in probes] == [["transient"]] * 2 + [["RUNNING"]] * 2
    assert windows.next_deadline() == 16
    assert departs(windows, 16).job_ids == ("job-0", "job-1")


def test_a_poll_outlives_its_neighbours_fault(windows: Windows[Probe]) -> None:
    """A poll that shared a call with a bad id goes on as after any other check."""
    poll = added(windows, Probe("a", reply=Window(5, 10)))
    added(windows, Probe("bad_id", on_failure=Outcome(Reason.FAILED)), AT_ONCE)
    while (call := windows.take(0)) is not None:
        serve(windows, call, {"bad_id": "malformed"})
    assert poll.heard == ["RUNNING"]
    assert list(windows) == [poll]
    assert windows.next_deadline() == 10


def test_a_request_id_makes_no_other_text() -> None:
    """A refusal of everything ends as soon when each text has the id of its request."""
    job_ids = names(MAX_IDS_PER_CALL)
    windows = Windows[Probe]()
    for job_id in job_ids:
        added(windows, one_shot(job_id))
    calls = 0
    while (call := windows.take(0)) is not None:
        calls += 1
        text = f"Account is blocked, RequestId: {UUID(int=calls)} (Request ID: ZHI6pGF{calls}=)"
        windows.refuse(call, failure(FailureKind.REFUSED, text), 0)
    assert (calls, len(windows)) == (19, 0)


def test_the_id_of_a_job_makes_another_text() -> None:
    """Six bad ids that are each named in the text that refuses them hurt nobody else."""
    job_ids = [str(UUID(int=number)) for number in range(12)]
    bad_ids = job_ids[3:9]
    search = run(job_ids, {job_id: f"no such job: {job_id}" for job_id in bad_ids})
    assert search.refused == set(bad_ids)
    assert search.answered == set(job_ids) - set(bad_ids)
