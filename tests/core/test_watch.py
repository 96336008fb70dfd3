"""DESIGN's table "What an answer does to a request", row by row, for one-shot describes and for polls."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch._core.backoff import Backoff, ExponentialBackoff, FixedInterval, Window
from awaitbatch._core.outcomes import MATCHED, UNREACHABLE, Failure, FailureKind, Outcome, Reason
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Windows

from .probes import PERMANENT, REFUSED, THROTTLED, TRANSIENT, array, failure, seen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ENDED = frozenset({"SUCCEEDED", "FAILED"})
FREELY_THROTTLED = failure(FailureKind.THROTTLED, costs_attempt=False)


class Schedule:
    """A backoff whose window shows the number of tries that it was asked for."""

    def window(self, tries: int) -> Window:
        """Open after as many seconds as there were tries, for one second."""
        return Window(tries, tries + 1)


def opens_after(tries: int) -> Window:
    """What `Schedule` gives after so many tries."""
    return Window(tries, tries + 1)


def never(*_: object) -> None:
    """Fail: the core only keeps what the shell gives it to call."""
    pytest.fail("the core called deliver")


def watch(
    match_status: Collection[str] | None,
    *,
    max_retries: float = math.inf,
    status_retries: float = 3,
    absent_windows: Sequence[Window] | None = None,
    backoff: Backoff | None = None,
) -> Watch:
    """Somebody who waits for the job ``a``."""
    return Watch(
        "a",
        never,
        match_status=match_status,
        max_retries=max_retries,
        status_retries=status_retries,
        absent_windows=absent_windows,
        backoff=backoff or Schedule(),
    )


def poll(**rules: Any) -> Watch:
    """Somebody who waits for the end of the job."""
    return watch(ENDED, **rules)


def describe(**rules: Any) -> Watch:
    """Somebody who wants one check of the job."""
    return watch(None, **rules)


class TestTheJob:
    """Row: the call brought the job."""

    @pytest.mark.parametrize("status", ["SUBMITTED", "RUNNING", "FAILED", "HIBERNATING"])
    def test_a_describe_is_done(self, status: str) -> None:
        """A one-shot describe takes the job in any state, its own place or another's."""
        assert describe().on_seen(seen(status)) is MATCHED
        assert describe().on_seen_early(seen(status)) is MATCHED

    @pytest.mark.parametrize("on_seen", [Watch.on_seen, Watch.on_seen_early])
    def test_a_poll_that_matches_is_done(self, on_seen: Any) -> None:
        """A poll ends at the awaited state, whoever's place brought it."""
        request = poll()
        assert on_seen(request, seen("FAILED")) is MATCHED
        assert request.last_status == "FAILED"

    def test_a_poll_that_does_not_match_checks_again(self) -> None:
        """Another state is a check, and the number of checks decides on the next window."""
        request = poll()
        assert request.on_seen(seen("RUNNABLE")) == opens_after(1)
        assert request.on_seen(seen("RUNNING")) == opens_after(2)
        assert (request.checks, request.last_status) == (2, "RUNNING")

    def test_checks_that_do_not_count_are_no_checks(self) -> None:
        """What another's place brought is remembered, but uses up nothing."""
        request = poll(max_retries=0)
        for _ in range(5):
            assert request.on_seen_early(seen("RUNNING")) is None
        assert (request.checks, request.last_status) == (0, "RUNNING")

    @pytest.mark.parametrize("max_retries", [0, 1, 7])
    def test_max_retries_and_one_checks(self, max_retries: int) -> None:
        """A poll ends after max_retries + 1 checks."""
        request = poll(max_retries=max_retries)
        for tries in range(1, max_retries + 1):
            assert request.on_seen(seen("RUNNING")) == opens_after(tries)
        assert request.on_seen(seen("RUNNING")) == Outcome(Reason.EXHAUSTED)
        assert request.checks == max_retries + 1

    def test_the_last_check_may_match(self) -> None:
        """The awaited state at the last check is success."""
        request = poll(max_retries=1)
        request.on_seen(seen("RUNNING"))
        assert request.on_seen(seen("SUCCEEDED")) is MATCHED

    @pytest.mark.parametrize("on_seen", [Watch.on_seen, Watch.on_seen_early])
    def test_an_end_that_is_not_awaited(self, on_seen: Any) -> None:
        """When the job has ended otherwise than awaited, the poll ends at once, whoever's place brought the news."""
        request = watch({"RUNNING", "SUCCEEDED"})
        request.on_seen(seen("STARTING"))
        assert on_seen(request, seen("FAILED")) is UNREACHABLE
        assert (request.checks, request.last_status) == (1, "FAILED")

    @pytest.mark.parametrize("status", ["SUBMITTED", "STARTING", "HIBERNATING"])
    def test_what_has_not_ended_may_still_come(self, status: str) -> None:
        """No other state ends a poll, not even one that nobody knows."""
        assert watch({"RUNNABLE"}).on_seen(seen(status)) == opens_after(1)

    def test_running_children(self) -> None:
        """A poll takes what an array's parent counts as for its status, if that is awaited."""
        assert watch({"RUNNING"}).on_seen(array(RUNNING=1)) is MATCHED
        assert watch({"RUNNING"}).on_seen_early(array(RUNNING=1)) is MATCHED
        assert poll().on_seen(array(RUNNING=1)) == opens_after(1)
        assert watch({"RUNNING"}).on_seen(array(STARTING=2)) == opens_after(1)

    def test_no_bound(self) -> None:
        """With math.inf a poll never gives up."""
        request = poll(max_retries=math.inf)
        for _ in range(10_000):
            assert isinstance(request.on_seen(seen("RUNNING")), Window)

    def test_no_status(self) -> None:
        """A job without a status is a check without a result, and of no use when it does not count."""
        request = poll(max_retries=1)
        assert request.on_seen_early(seen(None)) is None
        assert request.on_seen(seen(None)) == opens_after(1)
        assert request.last_status is None
        outcome = request.on_seen(seen(None))
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.EXHAUSTED
        assert outcome.failure is not None
        assert "without a status" in outcome.failure.message

    def test_no_status_for_a_describe(self) -> None:
        """A describe asks again when the job comes without a status, status_retries times in all."""
        request = describe(status_retries=2)
        assert request.on_seen(seen(None)) == opens_after(1)
        outcome = request.on_seen(seen(None))
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.FAILED

    def test_repr(self) -> None:
        """The representation shows how far it has come."""
        request = poll()
        assert repr(request) == "<Watch a not seen yet, 0 checks>"
        request.on_seen(seen("RUNNING"))
        assert repr(request) == "<Watch a RUNNING, 1 check>"


class TestThrottled:
    """Row: 429, ThrottlingException."""

    @pytest.mark.parametrize("throttled", [THROTTLED, FREELY_THROTTLED], ids=["at the floor", "above it"])
    def test_costs_a_poll_nothing(self, throttled: Failure) -> None:
        """A poll goes back into the queue as it was, however often."""
        request = poll(max_retries=0, status_retries=1)
        for _ in range(100):
            assert request.on_failure(throttled) is None
        assert request.checks == 0

    def test_costs_a_describe_nothing_above_the_floor(self) -> None:
        """While the throttle can still slow down, a describe waits as long as it takes."""
        request = describe(status_retries=1)
        for _ in range(100):
            assert request.on_failure(FREELY_THROTTLED) is None
        assert request.failures == 0

    def test_counts_for_a_describe_at_the_floor(self) -> None:
        """At the floor a describe keeps its deadline, and gives up after status_retries attempts."""
        request = describe(status_retries=3)
        assert request.on_failure(THROTTLED) is None
        assert request.on_failure(THROTTLED) is None
        assert request.on_failure(THROTTLED) == Outcome(Reason.FAILED, THROTTLED)
        assert request.failures == 3

    def test_attempts_of_both_kinds_add_up(self) -> None:
        """Throttles at the floor and lost calls use up the same attempts."""
        request = describe(status_retries=3)
        assert request.on_failure(TRANSIENT) == opens_after(1)
        assert request.on_failure(THROTTLED) is None
        assert request.on_failure(TRANSIENT) == Outcome(Reason.FAILED, TRANSIENT)


class TestTransient:
    """Row: 5xx, connection lost, time-out, unreadable body."""

    @pytest.mark.parametrize("status_retries", [1, 2, 10])
    def test_a_describe_asks_status_retries_times(self, status_retries: int) -> None:
        """A describe tries status_retries times in all, spaced by the backoff, and ends with the last failure."""
        request = describe(status_retries=status_retries)
        for tries in range(1, status_retries):
            assert request.on_failure(TRANSIENT) == opens_after(tries)
        last = failure(FailureKind.TRANSIENT, "the last")
        assert request.on_failure(last) == Outcome(Reason.FAILED, last)

    def test_a_poll_counts_a_check(self) -> None:
        """For a poll it is a check without a result; at the end the last failure is the cause."""
        request = poll(max_retries=2, status_retries=1)
        assert request.on_failure(TRANSIENT) == opens_after(1)
        assert request.on_failure(TRANSIENT) == opens_after(2)
        assert request.on_failure(TRANSIENT) == Outcome(Reason.EXHAUSTED, TRANSIENT)
        assert request.checks == request.failures == 3

    def test_failed_checks_are_told_from_others(self) -> None:
        """Whoever does not want them to count can find out how many there were."""
        request = poll(max_retries=4)
        request.on_seen(seen("RUNNING"))
        request.on_failure(TRANSIENT)
        request.on_seen(seen("RUNNING"))
        request.on_failure(THROTTLED)
        assert (request.checks, request.failures) == (3, 1)

    def test_a_failure_that_was_followed_by_a_check_is_no_cause(self) -> None:
        """A poll that saw the job after an outage does not blame the outage."""
        request = poll(max_retries=1)
        request.on_failure(TRANSIENT)
        assert request.on_seen(seen("RUNNING")) == Outcome(Reason.EXHAUSTED)

    def test_lost_calls_are_no_absence(self) -> None:
        """A poll outlives more lost calls than status_retries."""
        request = poll(status_retries=2)
        for tries in range(1, 50):
            assert request.on_failure(TRANSIENT) == opens_after(tries)


class TestAbsent:
    """Row: the job is absent from a good answer."""

    @pytest.mark.parametrize("make", [describe, poll])
    def test_status_retries_in_a_row(self, make: Any) -> None:
        """After status_retries good answers in a row without the job it counts as unknown."""
        request = make(status_retries=3)
        assert request.on_absent() == opens_after(1)
        assert request.on_absent() == opens_after(2)
        assert request.on_absent() == Outcome(Reason.ABSENT)
        assert (request.absences, request.last_status) == (3, None)

    @pytest.mark.parametrize("on_seen", [Watch.on_seen, Watch.on_seen_early])
    def test_a_sighting_begins_the_row_again(self, on_seen: Any) -> None:
        """The job in any answer, own or another's, ends the row of absences."""
        request = poll(status_retries=2)
        for _ in range(5):
            assert request.on_absent() == opens_after(1)
            on_seen(request, seen("RUNNING"))
            assert request.absences == 0

    def test_seen_then_gone(self) -> None:
        """A job that was seen and has vanished is distinguished from one that never was."""
        request = poll(status_retries=1)
        request.on_seen(seen("RUNNING"))
        assert request.on_absent() == Outcome(Reason.ABSENT)
        assert request.last_status == "RUNNING"

    def test_absence_may_be_final(self) -> None:
        """Without a window for absent jobs one good answer without the job is enough."""
        assert describe(status_retries=10, absent_windows=()).on_absent() == Outcome(Reason.ABSENT)

    def test_windows_for_absent_jobs(self) -> None:
        """Where there are such windows they are used one after the other, whatever status_retries says."""
        windows = (Window(1, 2), Window(3, 4))
        request = describe(status_retries=1, absent_windows=windows)
        assert [request.on_absent() for _ in range(3)] == [*windows, Outcome(Reason.ABSENT)]

    def test_lost_calls_use_up_no_window_for_absent_jobs(self) -> None:
        """Failures have their own bound, and their own pauses."""
        request = describe(status_retries=9, absent_windows=(Window(1, 2),))
        assert request.on_failure(TRANSIENT) == opens_after(1)
        assert request.on_absent() == Window(1, 2)
        assert request.on_failure(TRANSIENT) == opens_after(2)
        assert request.on_absent() == Outcome(Reason.ABSENT)

    def test_a_describe_checks_status_retries_times_whatever_the_reason(self) -> None:
        """Lost calls and absences together are status_retries checks, and the failure is what is reported."""
        request = describe(status_retries=3)
        assert request.on_failure(TRANSIENT) == opens_after(1)
        assert request.on_absent() == opens_after(1)
        assert request.on_absent() == Outcome(Reason.FAILED, TRANSIENT)

    def test_a_lost_call_does_not_end_the_row(self) -> None:
        """Only answers count in the row of absences; a lost call between them is none."""
        request = poll(status_retries=2)
        request.on_absent()
        request.on_failure(TRANSIENT)
        assert request.on_absent() == Outcome(Reason.ABSENT)

    def test_no_bound(self) -> None:
        """With math.inf an absent job is awaited as long as it takes."""
        request = describe(status_retries=math.inf)
        for tries in range(1, 1000):
            assert request.on_absent() == opens_after(tries)


class TestForGood:
    """Rows: ClientException of the bad id alone; access denied and the like; credentials that expired."""

    @pytest.mark.parametrize("make", [describe, poll])
    @pytest.mark.parametrize("final", [REFUSED, PERMANENT], ids=["refused", "permanent"])
    def test_ends_at_once(self, make: Any, final: Failure) -> None:
        """What would fail again ends describes and polls alike, whatever retries are left."""
        request = make(max_retries=math.inf, status_retries=math.inf)
        assert request.on_failure(final) == Outcome(Reason.FAILED, final)

    @pytest.mark.parametrize("final", [REFUSED, PERMANENT], ids=["refused", "fatal"])
    def test_is_a_check(self, final: Failure) -> None:
        """The call that failed for good is a try of a describe, or a check of a poll."""
        one, other = describe(), poll()
        one.on_failure(final)
        other.on_failure(final)
        assert (one.failures, one.checks) == (1, 0)
        assert (other.failures, other.checks) == (0, 1)


class Raises:
    """A backoff with a bug."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error or LookupError("bug")

    def window(self, tries: int) -> Window:  # noqa: ARG002
        """Raise."""
        raise self._error


class Gives:
    """A backoff that gives whatever it is made with."""

    def __init__(self, window: Any) -> None:
        self._window = window

    def window(self, tries: int) -> Any:  # noqa: ARG002
        """Give it."""
        return self._window


NONSENSE = [
    None,
    5,
    (1,),
    (1, 2, 3),
    ("1", "2"),
    (2, 1),
    (-1, 1),
    (0, math.inf),
    (math.nan, 1),
    (0, math.nan),
    "ab",
    (None, None),
    itertools.repeat(1.0),
]


class TestBrokenBackoff:
    """A schedule is the user's own code, and hurts only its own request."""

    @pytest.mark.parametrize("make", [describe, poll])
    def test_one_that_raises(self, make: Any) -> None:
        """The request ends with the very error that its backoff raised."""
        outcome = make(backoff=Raises()).on_failure(TRANSIENT)
        assert outcome.reason is Reason.BROKEN
        assert isinstance(outcome.failure.error, LookupError)
        assert outcome.failure.code == "LookupError"

    @pytest.mark.parametrize("window", NONSENSE, ids=repr)
    def test_one_that_gives_nonsense(self, window: Any) -> None:
        """The request ends with an error that can be raised."""
        outcome = poll(backoff=Gives(window)).on_seen(seen("RUNNING"))
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.BROKEN
        assert outcome.failure is not None
        assert isinstance(outcome.failure.error, TypeError | ValueError)

    @pytest.mark.parametrize("window", [(2, 1), (0, math.inf), (math.nan, 1)], ids=repr)
    def test_the_error_shows_the_window(self, window: Any) -> None:
        """Whoever wrote the schedule reads what it gave, and for which try."""
        outcome = poll(backoff=Gives(window)).on_seen(seen("RUNNING"))
        assert isinstance(outcome, Outcome)
        assert outcome.failure is not None
        assert f".window(1) gave {window!r}" in str(outcome.failure.error)

    def test_a_plain_tuple_is_a_window(self) -> None:
        """A pair of numbers will do."""
        request = poll(backoff=Gives((1, 2.5)))
        assert request.on_seen(seen("RUNNING")) == Window(1, 2.5)

    def test_other_numbers_become_floats(self) -> None:
        """What can be compared but not added to the clock's time must not reach it."""
        again = poll(backoff=Gives((Decimal(1), Decimal("2.5")))).on_seen(seen("RUNNING"))
        assert again == Window(1.0, 2.5)
        assert isinstance(again, Window)
        assert {type(again.earliest), type(again.latest)} == {float}

    def test_a_window_of_another_make(self) -> None:
        """Only what was checked is used, whatever else a window of the user's own has to say."""

        class Late(Window):
            @property
            def latest(self) -> float:
                raise LookupError

        again = poll(backoff=Gives(Late(1.0, 2.0))).on_seen(seen("RUNNING"))
        assert type(again) is Window

    @pytest.mark.parametrize(
        "window", [(10**400, 10**400), (Decimal(0), Decimal("1e400"))], ids=["int", "Decimal"]
    )
    def test_more_than_a_float_can_hold(self, window: Any) -> None:
        """It ends the request that it is for."""
        outcome = poll(backoff=Gives(window)).on_seen(seen("RUNNING"))
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.BROKEN

    def test_hurts_only_its_own_request(self) -> None:
        """Neighbours of the same call, of the same job even, go on."""
        windows = Windows[Watch]()
        broken, sound = poll(backoff=Raises()), poll()
        for request in (broken, sound):
            windows.add(request, Window(0, 0), 0)
        call = windows.take(0)
        assert call is not None
        ended, _, _ = windows.answer(call, {"a": seen("RUNNING")}, 0)
        assert [request for request, _ in ended] == [broken]
        assert windows.next_deadline() == 2

    def test_one_that_cancels(self) -> None:
        """A CancelledError out of a backoff cancels nobody; it ends its request like any other error."""
        outcome = poll(backoff=Raises(asyncio.CancelledError())).on_failure(TRANSIENT)
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.BROKEN
        assert outcome.failure is not None
        assert isinstance(outcome.failure.error, asyncio.CancelledError)

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=repr)
    def test_who_wants_to_leave_may(self, error: BaseException) -> None:
        """What ends the program is not taken for a broken backoff."""
        with pytest.raises(type(error)):
            poll(backoff=Raises(error)).on_failure(TRANSIENT)

    def test_an_error_that_cannot_be_shown(self) -> None:
        """A backoff whose error has no text of its own ends its request all the same."""

        class Mute(Exception):  # noqa: N818
            def __str__(self) -> str:
                raise RuntimeError

        class RaisesMute:
            def window(self, tries: int) -> Window:
                raise Mute(tries)

        outcome = poll(backoff=RaisesMute()).on_seen(seen("RUNNING"))
        assert isinstance(outcome, Outcome)
        assert outcome.reason is Reason.BROKEN


@pytest.mark.parametrize(
    "backoff", [ExponentialBackoff(random=Random(1)), FixedInterval(2.5)], ids=["exponential", "fixed"]
)
def test_the_backoffs_of_the_package_are_sound(backoff: Backoff) -> None:
    """The schedules that come with the package never break a request."""
    request = poll(backoff=backoff)
    assert all(isinstance(request.on_seen(seen("RUNNING")), Window) for _ in range(5000))


def test_a_failure_that_awaits_credentials_costs_a_poll_nothing() -> None:
    """It stays where it is, whatever the failure's kind, and however few checks it has; a describe has four tries."""
    for kind in (FailureKind.PERMANENT, FailureKind.TRANSIENT):
        refused = replace(failure(kind), awaits_credentials=True, may_pass=True)
        poll = watch(ENDED, max_retries=0)
        assert [poll.on_failure(refused) for _ in range(10)] == [None] * 10
        assert poll.checks == 0
        describe = watch(None, status_retries=10)
        ends = [isinstance(describe.on_failure(refused), Outcome) for _ in range(4)]
        assert ends == [False, False, False, True]


def test_a_failure_that_has_lasted_ends_all() -> None:
    """Nobody gives it the benefit of the doubt, however many good answers there were."""
    for match_status in (ENDED, None):
        windows = Windows[Watch]()
        waiting = watch(match_status)
        windows.add(waiting, Window(0, 0), 0.0)
        call = windows.take(0.0)
        assert call is not None
        windows.answer(call, {}, 0.1)
        last = windows.take(100.0)
        assert last is not None
        (delivery,) = windows.fail(last, replace(PERMANENT, lasts=True), 100.1)
        assert delivery.outcome == Outcome(Reason.FAILED, replace(PERMANENT, lasts=True))
