"""Whose fault is a failed call: that of a job in it, of its size, or nobody's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from awaitbatch._core.backoff import FixedInterval, Window
from awaitbatch._core.outcomes import Reason
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Windows

from .probes import PERMANENT, REFUSED, TRANSIENT, names, seen

if TYPE_CHECKING:
    from awaitbatch._core.outcomes import Failure
    from awaitbatch._core.requests import Call, Delivery

INTERVAL = 10.0
CALL_TIMEOUT = 4.0


class Account:
    """Jobs that are polled every ten seconds or described, and calls that fail if a bad id is among them.

    Attributes:
        now: The present moment.
        sizes: How many ids each call so far had.
    """

    def __init__(self, polls: int = 0, describes: int = 0) -> None:
        self.windows = Windows[Watch](CALL_TIMEOUT)
        self.now = 0.0
        self.sizes: list[int] = []
        self.answered: set[str] = set()
        self.ended: list[Delivery[Watch]] = []
        for job_id in names(polls):
            self.watch(job_id)
        for job_id in names(describes, "describe"):
            self.watch(job_id, one_shot=True)

    def watch(self, job_id: str, *, one_shot: bool = False) -> None:
        """Poll a job, or describe it."""
        watch = Watch(
            job_id,
            lambda *_: None,
            match_status=None if one_shot else ["SUCCEEDED"],
            status_retries=10,
            backoff=FixedInterval(INTERVAL),
        )
        self.windows.add(watch, Window(0, 0), self.now)

    def take(self) -> Call[Watch]:
        """The next call, when it has to leave."""
        self.now = max(self.now, self.windows.next_deadline())
        call = self.windows.take(self.now)
        assert call is not None
        self.sizes.append(len(call.job_ids))
        return call

    def send(self, *bad_ids: str, failure: Failure = TRANSIENT, seconds: float = 0.1) -> Call[Watch]:
        """Send the next call; it fails if it has a bad id, or any if none is named."""
        call = self.take()
        self.now += seconds
        if set(bad_ids) & set(call.job_ids) or bad_ids == ("all",):
            self.ended += self.windows.fail(call, failure, self.now)
        else:
            self.answered |= set(call.job_ids)
            jobs = dict.fromkeys(call.job_ids, seen("RUNNING"))
            self.ended += self.windows.answer(call, jobs, self.now).deliveries
        return call

    def send_until(self, moment: float, *bad_ids: str, failure: Failure = TRANSIENT) -> None:
        """Send all calls that leave before a moment."""
        while self.windows.next_deadline() < moment:
            self.send(*bad_ids, failure=failure)

    def reasons(self) -> dict[str, Reason]:
        """Why the requests have ended that have."""
        return {watch.job_id: outcome.reason for watch, outcome in self.ended if outcome}


def test_the_second_failure_halves_a_call() -> None:
    """The first says nothing yet; after the second, both halves go when the next check is due."""
    account = Account(100)
    account.send_until(2 * INTERVAL, "all")
    assert account.sizes == [100, 100]
    first, second = account.take(), account.take()
    assert (len(first.job_ids), len(second.job_ids)) == (50, 50)
    assert account.now == pytest.approx(2 * INTERVAL + 0.2)


@pytest.mark.parametrize("place", [0, 37, 99])
def test_one_bad_id_is_found_at_once(place: int) -> None:
    """From then on each failure halves at once, and everybody else is answered with at most twenty calls more."""
    account = Account(100)
    bad = f"job-{place}"
    account.send_until(2 * INTERVAL, bad)
    account.send_until(2.9 * INTERVAL, bad)
    assert account.answered == set(names(100)) - {bad}
    assert len(account.sizes) <= 20
    assert account.now < 2.3 * INTERVAL


def test_the_bad_id_is_tried_alone_and_the_others_together() -> None:
    """Whoever was answered is in full calls again, and the bad id goes on in calls of its own."""
    account = Account(100)
    account.send_until(2.9 * INTERVAL, "job-5")
    account.sizes.clear()
    account.send_until(5.9 * INTERVAL, "job-5")
    assert sorted(account.sizes) == [1, 1, 1, 99, 99, 99]


def test_a_bad_id_that_is_answered_is_no_longer_bad() -> None:
    """Once it is answered, it is in full calls like all others."""
    account = Account(100)
    account.send_until(2.9 * INTERVAL, "job-5")
    account.send_until(3.9 * INTERVAL)
    account.sizes.clear()
    account.send_until(6 * INTERVAL)
    assert account.sizes[-1] == 100


def test_one_shots_are_split_at_their_first_failure() -> None:
    """Somebody waits for just this check, so the halves go at once; the polls beside them wait for their next."""
    account = Account(20, describes=8)
    account.send("describe-3")
    assert account.windows.next_deadline() < 0.2
    account.send_until(INTERVAL / 2, "describe-3")
    assert account.answered == set(names(8, "describe")) - {"describe-3"}
    assert sum(size < 20 for size in account.sizes) <= 7


def test_an_outage_is_no_storm() -> None:
    """Of many calls that fail again and again only one is split, until two small ones have failed."""
    account = Account(1000)
    account.send_until(8 * INTERVAL, "all")
    splits = [size for size in account.sizes if 1 < size < 100]
    assert len(splits) <= 7
    # Half an interval more fits in since calls leave evenly: before that is known to be an outage they leave early.
    assert len(account.sizes) <= 8 * 10 + 8 + 5


def test_in_an_outage_a_call_carries_one_id_for_all() -> None:
    """Another one each time, and all requests of the call have been tried when it fails."""
    account = Account(20)
    account.send_until(3 * INTERVAL, "all")
    probed = [account.send("all").job_ids for _ in range(5)]
    assert [len(job_ids) for job_ids in probed] == [1] * 5
    assert len(set(probed)) == 5
    assert account.now > 6 * INTERVAL


@pytest.mark.parametrize("polls", [0, 1, 200])
def test_in_an_outage_a_describe_ends(polls: int) -> None:
    """It was split before the outage was known for one, and from then on each of its calls is one of its ten tries."""
    account = Account(polls, describes=20)
    account.send_until(9.9 * INTERVAL, "all")
    assert account.reasons() == dict.fromkeys(names(20, "describe"), Reason.FAILED)
    assert len(account.sizes) <= 10 * (3 + polls / 100)


def test_an_id_that_is_refused_in_an_outage_ends_nobody_else() -> None:
    """AWS is back, and the one id that was asked for is malformed: the others are asked for at once."""
    account = Account(20)
    account.send_until(3 * INTERVAL, "all")
    call = account.take()
    (asked,) = call.job_ids
    ended = [watch.job_id for watch, _ in account.windows.refuse(call, REFUSED, account.now)]
    ended += [watch.job_id for more in call.rest for watch, _ in more]
    assert ended == [asked]
    account.send_until(account.now + INTERVAL)
    assert account.answered >= set(names(20)) - {asked}


def test_the_first_answer_ends_an_outage() -> None:
    """Those on whose behalf the one was asked go at once, and within an interval calls are full again."""
    account = Account(300)
    account.send_until(6 * INTERVAL, "all")
    account.answered.clear()
    end = account.now
    account.send_until(end + INTERVAL + 1)
    assert account.answered == set(names(300))
    account.sizes.clear()
    account.send_until(end + 3 * INTERVAL)
    assert set(account.sizes) == {100}


def test_bad_ids_that_are_known_are_no_outage() -> None:
    """Several that fail one after the other, each alone, cost nobody else a call."""
    account = Account(100)
    bad_ids = ("job-1", "job-30", "job-60")
    account.send_until(6 * INTERVAL, *bad_ids)
    account.sizes.clear()
    account.send_until(9 * INTERVAL, *bad_ids)
    assert sorted(account.sizes) == [1] * 9 + [97] * 3


class TestFirstImpressions:
    """A failure that would come again, before any call was answered, is a mistake of the user's."""

    def test_with_one_id(self) -> None:
        """A call of a single id ends its wait at once."""
        account = Account(1)
        account.send("all", failure=PERMANENT)
        assert account.reasons() == {"job-0": Reason.FAILED}

    def test_with_other_ids(self) -> None:
        """When a second call without an id in common has failed likewise, all end that have met it."""
        account = Account(150)
        account.send("all", failure=PERMANENT)
        assert account.reasons() == {}
        account.send_until(1, "all", failure=PERMANENT)
        assert account.reasons() == dict.fromkeys(names(150), Reason.FAILED)
        assert len(account.sizes) <= 5

    def test_of_one_job(self) -> None:
        """If it was one job's fault only that one ends, and its neighbours are answered."""
        account = Account(40)
        account.send_until(1, "job-7", failure=PERMANENT)
        assert account.answered == set(names(40)) - {"job-7"}
        assert account.reasons() in ({}, {"job-7": Reason.FAILED})


class TestLaterImpressions:
    """After a good answer the same is trouble that passes, until it has lasted."""

    def test_polls_go_on(self) -> None:
        """For five tries and five minutes, whichever comes last; then the poll ends."""
        account = Account(30)
        account.send()
        account.send_until(INTERVAL + 299, "all", failure=PERMANENT)
        assert account.reasons() == {}
        account.send_until(INTERVAL + 330, "all", failure=PERMANENT)
        assert account.reasons() == dict.fromkeys(names(30), Reason.FAILED)

    def test_an_answer_begins_it_anew(self) -> None:
        """Whatever came before a good answer does not count."""
        account = Account(30)
        account.send()
        account.send_until(INTERVAL + 250, "all", failure=PERMANENT)
        account.send_until(account.now + 2 * INTERVAL)
        account.send_until(INTERVAL + 500, "all", failure=PERMANENT)
        assert account.reasons() == {}

    def test_of_one_job_alone(self) -> None:
        """A job that is refused alone for so long ends, while the others are answered all the time."""
        account = Account(30)
        account.send()
        account.send_until(400, "job-3", failure=PERMANENT)
        assert account.reasons() == {"job-3": Reason.FAILED}

    def test_a_describe_is_tried_a_few_times(self) -> None:
        """It ends within two seconds."""
        account = Account(1)
        account.send()
        account.watch("describe", one_shot=True)
        account.send_until(account.now + 2, "all", failure=PERMANENT)
        assert account.reasons() == {"describe": Reason.FAILED}
        assert len(account.sizes) == 5


class TestSize:
    """Answers may be too large for the time of a call."""

    @staticmethod
    def send_slowly(account: Account, most: int) -> None:
        """Send a call that takes longer, the more ids it has, and fails if those are too many."""
        call = account.take()
        size = len(call.job_ids)
        account.now += min(CALL_TIMEOUT, 0.95 * CALL_TIMEOUT * size / most)
        if size > most:
            account.windows.fail(call, TRANSIENT, account.now)
        else:
            account.answered |= set(call.job_ids)
            account.windows.answer(call, dict.fromkeys(call.job_ids, seen("RUNNING")), account.now)

    @pytest.mark.parametrize("most", [60, 30, 8, 1])
    def test_calls_shrink(self, most: int) -> None:
        """Everybody is answered in the end, and then calls do not fail any more."""
        account = Account(100)
        while account.now < 580:
            self.send_slowly(account, most)
        assert account.answered == set(names(100))
        assert max(account.sizes[-20:]) <= most

    def test_they_grow_when_answers_are_quick(self) -> None:
        """As soon as answers take less than half of the time, calls double."""
        account = Account(100)
        for _ in range(50):
            self.send_slowly(account, 30)
        account.sizes.clear()
        for _ in range(20):
            account.send()
        assert max(account.sizes) == MAX_IDS_PER_CALL

    def test_they_are_tried_at_twice_the_size_after_a_while(self) -> None:
        """Even if answers stay slow, since they may take long for another reason."""
        account = Account(100)
        for _ in range(50):
            self.send_slowly(account, 30)
        account.sizes.clear()
        account.now += 601
        self.send_slowly(account, 30)
        assert account.sizes[0] > 30

    def test_one_slow_job_shrinks_nothing(self) -> None:
        """A job whose answer takes long, alone, says nothing about calls of others."""
        account = Account(100)
        account.send_until(2.9 * INTERVAL, "job-5")
        for _ in range(6):
            call = account.take()
            account.now += 0.9 * CALL_TIMEOUT if "job-5" in call.job_ids else 0.1
            account.windows.answer(call, dict.fromkeys(call.job_ids, seen("RUNNING")), account.now)
        account.sizes.clear()
        account.send_until(account.now + 2 * INTERVAL)
        assert max(account.sizes) >= 99


def test_what_would_come_again_ends_nobody_who_came_after_the_call() -> None:
    """Whoever asks for the same job when the call is on its way has met no failure, and is asked for."""
    account = Account(describes=1)
    first = account.take()
    account.watch("other", one_shot=True)
    second = account.take()
    account.watch("other", one_shot=True)
    assert [watch.job_id for watch, _ in account.windows.fail(first, PERMANENT, account.now)] == [
        "describe-0"
    ]
    assert [watch.job_id for watch, _ in account.windows.fail(second, PERMANENT, account.now)] == ["other"]
    assert [watch.job_id for watch in account.windows] == ["other"]
    assert account.take().job_ids == ("other",)


def test_nothing_is_known_of_jobs_that_nobody_awaits_any_more() -> None:
    """A job that is awaited anew is in a full call again."""
    account = Account(3)
    account.send_until(2.9 * INTERVAL, "job-1")
    for watch in list(account.windows):
        account.windows.discard(watch)
    for job_id in names(3):
        account.watch(job_id)
    assert len(account.take().job_ids) == 3
    assert account.windows.next_deadline() == math.inf
