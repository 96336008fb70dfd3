"""What each answer means to somebody who follows a job through its states."""

from __future__ import annotations

import math
from typing import Any

import pytest

from awaitbatch._core.backoff import Window
from awaitbatch._core.following import Following
from awaitbatch._core.outcomes import MATCHED, Outcome, Reason
from awaitbatch._core.requests import Deliver

from .probes import PERMANENT, THROTTLED, TRANSIENT, array, seen


class Schedule:
    """A backoff whose window shows the number of tries that it was asked for."""

    def window(self, tries: int) -> Window:
        """Open after as many seconds as there were tries."""
        return Window(tries, tries)


def never(*_: object) -> None:
    """Fail: the core only keeps what the shell gives it to call."""
    pytest.fail("the core called deliver")


def following(**rules: Any) -> Following:
    """Somebody who follows the job ``a`` to its end."""
    rules = {"max_retries": math.inf, "status_retries": 3, "backoff": Schedule(), **rules}
    return Following("a", never, match_status=("SUCCEEDED", "FAILED"), **rules)


def test_each_state_is_delivered_once() -> None:
    """A new status is delivered, the same one again is a check."""
    request = following()
    assert request.on_seen(seen("RUNNABLE")) == Deliver(Window(1, 1))
    assert request.on_seen(seen("RUNNABLE")) == Window(2, 2)
    assert request.on_seen(seen("RUNNING")) == Deliver(Window(1, 1))
    assert request.last_status == "RUNNING"


def test_the_end_is_the_end() -> None:
    """A terminal state ends it, whoever's place brought it."""
    assert following().on_seen(seen("FAILED")) is MATCHED
    assert following().on_seen_early(seen("SUCCEEDED")) is MATCHED


def test_a_retry_is_news_and_what_is_late_is_not() -> None:
    """Observations are ordered by attempts and status; an older one is a check without news."""
    request = following()
    request.on_seen(seen("RUNNING"))
    assert request.on_seen(seen("STARTING")) == Window(2, 2)
    assert request.on_seen(seen("RUNNABLE", attempts=1)) == Deliver(Window(1, 1))
    assert request.on_seen(seen("RUNNING")) == Window(2, 2)
    assert request.on_seen_early(seen("RUNNING")) is None
    assert request.last_status == "RUNNABLE"
    assert request.on_seen(seen("RUNNABLE", attempts=2)) == Deliver(Window(1, 1))


def test_anothers_answer_keeps_the_window() -> None:
    """News that another's place brought are delivered, but are no check."""
    request = following(max_retries=0)
    assert request.on_seen_early(seen("RUNNING")) == Deliver(None)
    assert request.on_seen_early(seen("RUNNING")) is None
    assert request.on_seen_early(seen(None)) is None
    assert request.checks == 0


def test_the_schedule_begins_anew_with_each_change() -> None:
    """After a change more may follow soon, so the pauses are short again."""
    request = following()
    pauses = [request.on_seen(seen("RUNNABLE")) for _ in range(3)]
    assert pauses == [Deliver(Window(1, 1)), Window(2, 2), Window(3, 3)]
    assert request.on_seen(seen("STARTING")) == Deliver(Window(1, 1))
    assert request.checks == 4


def test_checks_are_counted_all_the_same() -> None:
    """max_retries is about all checks, those with news included."""
    request = following(max_retries=1)
    request.on_seen(seen("RUNNABLE"))
    assert request.on_seen(seen("RUNNING")) == Outcome(Reason.EXHAUSTED)


def test_absences_and_failures_are_those_of_a_poll() -> None:
    """Absences in a row, throttling, failures that pass and failures that last mean what they mean to a poll."""
    request = following()
    assert [request.on_absent(), request.on_absent()] == [Window(1, 1), Window(2, 2)]
    request.on_seen(seen("RUNNING"))
    assert [request.on_absent(), request.on_absent()] == [Window(1, 1), Window(2, 2)]
    assert request.on_seen(seen("RUNNING")) == Window(2, 2)
    assert request.on_failure(THROTTLED) is None
    assert request.on_failure(TRANSIENT) == Window(3, 3)
    assert request.on_failure(PERMANENT) == Outcome(Reason.FAILED, PERMANENT)
    assert isinstance(following().on_seen(seen(None)), Window)


def test_an_arrays_parent_is_what_its_status_says() -> None:
    """That children run is no change of the parent."""
    request = following()
    assert request.on_seen(array(RUNNABLE=2)) == Deliver(Window(1, 1))
    assert request.on_seen(array(RUNNING=2)) == Window(2, 2)
