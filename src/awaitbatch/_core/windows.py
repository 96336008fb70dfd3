"""Describe requests with time windows, and the calls that keep all their promises.

A request asks to look at one job once, at some moment between `earliest` and `latest`. A call leaves when the
first request must (its `latest` has come) and gives its other seats to the requests whose windows are open,
soonest `latest` first. So calls are full when there are many jobs, and nobody waits longer than promised. When
calls are held up, the same order, earliest deadline first, starves nobody.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from heapq import heapify, heappop, heappush
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Protocol, Self, TypeVar

from awaitbatch._core.bisection import Bisection
from awaitbatch._core.cohorts import Cohorts
from awaitbatch._core.outcomes import Failure, Trouble, Verdict
from awaitbatch._core.text import shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from awaitbatch._core.backoff import Window


SEATS: Final = 100
"""The most ids that DescribeJobs takes in one call.

https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html
"""
EXPRESS_SEATS: Final = 10
"""Seats of each call that due one-shot requests get before polls; or they would queue behind all overdue polls."""
TICKS: Final = 1024
"""Moments a second at which windows open; one opens up to a millisecond early, together with all others of its tick.

Tasks that begin to wait one after the other would each have a window of their own, and the queue much more work.
"""


class Observation(Protocol):
    """What a call saw of a job."""

    @property
    def status(self) -> str | None:
        """The job's status; None if the answer lacks it."""

    @property
    def order(self) -> tuple[int, int]:
        """Orders observations of one job by how far it had come."""


class Request(ABC):
    """One wish to look at one job, and what to do with each answer.

    The methods below are asked for every answer that concerns the request. They say when to look again, or how
    the request has ended; None leaves it as it is, with the window that it had.

    Attributes:
        job_id: The job to look at.
        one_shot: Whether somebody waits for just this look, so that it may use the express seats.
        earliest: When the window opens, in monotonic seconds, rounded down to a tick.
        latest: When the window closes, in monotonic seconds.
        job: All requests for the same job, while it is one of them.
        made: The number of the last call that was taken before it was added; later ones answer it.
        place: Where it is at present: in a cohort of the queue, or in the call of which it holds the number, that of
            the refused call until its part is sent. None if it is in neither, as before it is added and once it has
            left. Whatever finds it elsewhere is outdated.
    """

    __slots__ = ("earliest", "job", "job_id", "latest", "made", "one_shot", "place")

    job: _Job[Self]

    def __init__(self, job_id: str, *, one_shot: bool) -> None:
        self.job_id = job_id
        self.one_shot = one_shot
        self.earliest = self.latest = math.nan
        self.made = 0
        self.place: object = None

    @abstractmethod
    def saw(self, observation: Observation) -> Window | Verdict | None:
        """The job was in a good answer."""

    @abstractmethod
    def saw_early(self, observation: Observation) -> Window | Verdict | None:
        """The same, for another's sake, before the request's own window was open."""

    @abstractmethod
    def missed(self) -> Window | Verdict | None:
        """A good answer came without the job."""

    @abstractmethod
    def failed(self, failure: Failure) -> Window | Verdict | None:
        """The call that the request rode failed."""


R = TypeVar("R", bound=Request)


class Ended(NamedTuple, Generic[R]):
    """A request that has left, and why."""

    request: R
    verdict: Verdict


class Change(NamedTuple):
    """A job was seen in another state than before."""

    job_id: str
    before: str | None
    after: str


class _Job(dict[R, None]):
    """The requests for one job, a set that keeps the order in which they came, and what is known of the job."""

    __slots__ = ("order", "status")

    def __init__(self) -> None:
        super().__init__()
        self.status: str | None = None
        self.order = (-1, -1)


class Call(Generic[R]):
    """Jobs to describe together.

    Attributes:
        number: Grows from call to call.
        seats: By job id, who has the seat; at least one, at most `SEATS`. Others who wait for the job may share it.
        job_ids: The keys of ``seats``.
        due: When the call would have left had it been free to, in monotonic seconds.
    """

    __slots__ = ("bisection", "due", "job_ids", "number", "seats")

    def __init__(
        self, number: int, seats: Mapping[str, R], *, due: float, bisection: Bisection | None = None
    ) -> None:
        self.number = number
        self.seats = seats
        self.job_ids = tuple(seats)
        self.due = due
        self.bisection = bisection

    def __repr__(self) -> str:
        return f"<Call {self.number} of {len(self.job_ids)} jobs>"


class Windows(Generic[R]):
    """The requests that wait, and the calls in which they travel.

    The shell sleeps until `next_deadline`, then `take`s a call. Each call ends in exactly one of `answer`, `fail`
    and `refuse`. A request is answered only by calls that were taken after it was added.
    """

    __slots__ = (
        "_calls",
        "_express",
        "_express_numbers",
        "_jobs",
        "_parts",
        "_queue",
        "_size",
        "_took_part",
    )

    def __init__(self) -> None:
        self._jobs: dict[str, _Job[R]] = {}
        self._size = 0
        self._calls = 0
        self._queue = Cohorts[R]()
        # One-shots once more, as a heap of (latest, a number to tell equals apart, request, its place).
        self._express: list[tuple[float, int, R, object]] = []
        self._express_numbers = count()
        # Parts of refused calls that are still to be tried. Their riders keep the number of the refused call.
        self._parts: list[Call[R]] = []
        self._took_part = False

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[R]:
        """All requests, waiting and riding."""
        for job in self._jobs.values():
            yield from job

    def __repr__(self) -> str:
        return f"<Windows {self._size} requests for {len(self._jobs)} jobs>"

    def add(self, request: R, window: Window, now: float) -> None:
        """Let a request wait for its first look, in ``window`` seconds from ``now``."""
        job = self._jobs.get(request.job_id)
        if job is None:
            job = self._jobs[request.job_id] = _Job()
        job[request] = None
        request.job = job
        self._size += 1
        request.made = self._calls
        request.earliest, request.latest = _moments(window, now)
        self._enqueue(request)

    def discard(self, request: R) -> None:
        """Forget a request wherever it is; it is no error if it has left already."""
        if request.place is not None:
            self._remove(request)
            self._tidy()

    def note(self, job_id: str, status: str, order: tuple[int, int]) -> None:
        """Tell what is known of a job that is asked for, so that seeing the same again is no `Change`."""
        job = self._jobs.get(job_id)
        if job is not None and order > job.order:
            job.status, job.order = status, order

    def next_deadline(self) -> float:
        """When the next call must leave: inf if there is nothing to send, -inf for parts of a refused call."""
        if self._parts:
            return -math.inf
        return self._queue.next_deadline()

    def take(self, now: float) -> Call[R] | None:
        """The call that must leave now, or None if none must."""
        due = self._queue.next_deadline()
        # Parts take turns with what is due, or a long search for culprits would hold up everybody else.
        if not (self._took_part and due <= now):
            part = self._take_part()
            if part is not None:
                self._took_part = True
                return part
        self._took_part = False
        if due > now:
            return None
        self._tidy()
        self._calls += 1
        number = self._calls
        seats: dict[str, R] = {}
        # Each of them has a job of its own, since whoever may share its seat comes along.
        for request in chain(islice(self._pop_express(now), EXPRESS_SEATS), self._queue.pop_open(now)):
            seats[request.job_id] = request
            request.place = number
            if len(request.job) > 1:
                for companion in request.job:
                    if type(companion.place) is not int and companion.earliest <= now:
                        companion.place = number
            if len(seats) == SEATS:
                break
        return Call(number, seats, due=due)

    def answer(
        self, call: Call[R], observations: Mapping[str, Observation], now: float
    ) -> tuple[list[Ended[R]], list[Change]]:
        """A call brought a good answer. Jobs in it that nobody asked for are ignored."""
        changes: list[Change] = []
        if call.bisection is not None:
            call.bisection.parts_in_flight -= 1
            call.bisection.has_answer = True
        number = call.number
        told: dict[R, Window | Verdict | None] = {}
        for job_id, seated in call.seats.items():
            # If all who asked have left, others may have come; they get no answer, but the news.
            job = seated.job or self._jobs.get(job_id)
            if job is None:
                continue
            observation = observations.get(job_id)
            if observation is not None and observation.status != job.status:
                self._note_change(job_id, job, observation, changes)
            if len(job) == 1 and seated.place == number:
                # As most are.
                told[seated] = seated.missed() if observation is None else seated.saw(observation)
                continue
            # A schedule, which is the user's own code, may make others leave.
            for request in tuple(job):
                if request.place == number:
                    told[request] = request.missed() if observation is None else request.saw(observation)
                elif observation is not None and request.made < number:
                    verdict = request.saw_early(observation)
                    if verdict is not None:
                        told[request] = verdict
        return self._obey(told, now), changes

    def fail(self, call: Call[R], failure: Failure, now: float) -> list[Ended[R]]:
        """A call failed as a whole. Only the requests that rode it hear of it, unless no call can succeed any more."""
        if call.bisection is not None:
            call.bisection.parts_in_flight -= 1
        if failure.trouble is Trouble.EXPIRED:
            return self._tell(list(self), failure, now)
        if call.bisection is not None and failure.trouble is Trouble.THROTTLED:
            # The part stays together, to be tried again; only those whose tries are used up leave it.
            self._parts.append(call)
            told = {request: request.failed(failure) for request in self._riders(call)}
            return self._obey({one: said for one, said in told.items() if isinstance(said, Verdict)}, now)
        return self._tell(self._riders(call), failure, now)

    def refuse(self, call: Call[R], failure: Failure, now: float) -> list[Ended[R]]:
        """AWS refused a call because of its content: part it until whoever is at fault is alone."""
        if call.bisection is None:
            bisection = Bisection()
        else:
            bisection = call.bisection
            bisection.parts_in_flight -= 1
        bisection.refused(len(call.job_ids), failure.message)
        ended: list[Ended[R]] = []
        if len(call.job_ids) == 1 or bisection.is_general:
            ended += self._tell(self._riders(call), failure, now)
        else:
            # Who has left meanwhile may have been the culprit, so even a single one that stays is tried again.
            stay = list({request.job_id: request for request in self._riders(call)}.items())
            middle = len(stay) // 2
            for half in (stay[:middle], stay[middle:]):
                self._parts.append(Call(call.number, dict(half), due=now, bisection=bisection))
        if bisection.is_general:
            for part in self._parts:
                if part.bisection is bisection:
                    ended += self._tell(self._riders(part), failure, now)
            self._parts = [part for part in self._parts if part.bisection is not bisection]
        return ended

    def _take_part(self) -> Call[R] | None:
        while self._parts:
            part = min(self._parts, key=lambda part: part.bisection.preference(len(part.job_ids)))  # type: ignore[union-attr]
            self._parts.remove(part)
            riders = self._riders(part)
            if riders and part.bisection is not None:
                self._calls += 1
                for request in riders:
                    request.place = self._calls
                part.bisection.sent()
                seats = {request.job_id: request for request in riders}
                return Call(self._calls, seats, due=part.due, bisection=part.bisection)
        return None

    def _pop_express(self, now: float) -> Iterator[R]:
        while self._express and self._express[0][0] <= now:
            _, _, request, place = heappop(self._express)
            if request.place is place:
                yield request

    def _riders(self, call: Call[R]) -> list[R]:
        return [
            request for seat in call.seats.values() for request in seat.job if request.place == call.number
        ]

    def _tell(self, requests: Iterable[R], failure: Failure, now: float) -> list[Ended[R]]:
        return self._obey({request: request.failed(failure) for request in requests}, now)

    def _obey(self, told: Mapping[R, Window | Verdict | None], now: float) -> list[Ended[R]]:
        """Let each that heard of a call do as it said."""
        ended: list[Ended[R]] = []
        given: Window | None = None
        for request, verdict in told.items():
            if request.place is None:
                # Another's schedule made it leave.
                continue
            if isinstance(verdict, Verdict):
                self._remove(request)
                ended.append(Ended(request, verdict))
                continue
            if verdict is None:
                self._enqueue(request)
                continue
            if verdict is not given:
                given = verdict
                opens, closes = _moments(given, now)
                cohort = self._queue.arrivals(opens)
            # With a fixed interval all jobs of a call get the same window; times of their own would take memory, and
            # time to forget.
            request.earliest, request.latest = opens, closes
            cohort.join(request)
            if request.one_shot:
                self._hasten(request)
        return ended

    def _enqueue(self, request: R) -> None:
        self._queue.arrivals(request.earliest).join(request)
        if request.one_shot:
            self._hasten(request)

    def _hasten(self, request: R) -> None:
        heappush(self._express, (request.latest, next(self._express_numbers), request, request.place))

    def _remove(self, request: R) -> None:
        request.place = None
        self._size -= 1
        job = request.job
        del job[request]
        if not job:
            del self._jobs[request.job_id]

    def _tidy(self) -> None:
        self._queue.tidy(self._size)
        if len(self._express) > 2 * self._size + SEATS:
            self._express = [entry for entry in self._express if entry[2].place is entry[3]]
            heapify(self._express)

    def _note_change(
        self, job_id: str, job: _Job[R], observation: Observation, changes: list[Change]
    ) -> None:
        status, order = observation.status, observation.order
        if status is None or order < job.order:
            return
        for request in job:
            # Who describes a job looks for himself; news is for those who wait.
            if not request.one_shot:
                changes.append(Change(job_id, job.status, status))
                job.status, job.order = shared(status), order
                return


def _moments(window: Window, now: float) -> tuple[float, float]:
    """When a window that is given now opens and closes."""
    opens = now + window.earliest
    return opens - opens % (1 / TICKS), now + window.latest
