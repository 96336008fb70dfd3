"""From the end of a job to whoever awaits it: how long that takes, and how many calls.

Jobs are awaited as `wait_for_job` awaits them: one check soon, more until the job runs, and then more until it has
ended. A client sends at most 10 calls a second, as it does by default, and the account lets through more. Waits begin
one after the other, 50 a second, as fast as AWS lets jobs be submitted. Jobs are queued for 10 to 60 s. Then they run,
up to a tenth longer or shorter than said, but at most by a minute.

Under a schedule whose pauses have come to their longest, each minute is like the one before. So jobs that would run for
more than 20 minutes run for 20 then, and the calls of the time left out are counted at the rate of the last minutes
before the first job ends. Airflow's curve takes more than an hour to come that far, and nothing of it is left out.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from awaitbatch import BatchClient, FixedInterval, JobStatus, Window
from awaitbatch._coalescer import _BETWEEN_FIRST_CHECKS, _SOON
from awaitbatch._core.backoff import AIRFLOWS_MAX_INTERVAL, DEFAULT_MAX_INTERVAL, ExponentialBackoff
from awaitbatch._core.requests import MAX_IDS_PER_CALL
from awaitbatch._core.watch import Watch
from awaitbatch._core.windows import Windows
from awaitbatch._jobs import TERMINAL, JobHead
from benchmarks.report import Figure, Result, table
from benchmarks.simulate.account import CLIENT_LIMIT, Account
from benchmarks.simulate.herd import THROTTLED, no_collection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awaitbatch import Backoff
    from awaitbatch._core.requests import Call
    from benchmarks.simulate.progress import Progress

DEFAULT: Final = "default"
FIXED: Final = "FixedInterval(5)"
AIRFLOWS: Final = "ExponentialBackoff(600)"
LATER: Final = "ExponentialBackoff(300)"
"""For many processes with one job each."""
SCHEDULES: Final = (DEFAULT, FIXED, AIRFLOWS)
LENGTHS: Final = {30.0: "30 s", 600.0: "10 min", 3_600.0: "1 h", 21_600.0: "6 h"}
"""How long jobs run, in seconds and in words."""
JOBS: Final = {1: 400, 100: 20, 1_000: 4, 10_000: 1}
"""How many jobs a client awaits, and with how many clients that is run, none of which knows of the others."""
PROCESSES: Final = 100
"""How many processes with one job each are compared with one that awaits all."""
_QUICK_JOBS: Final = {1: 100, 100: 5, 1_000: 1}
_QUICK_LENGTHS: Final = (30.0, 600.0)
_LONG: Final = max(LENGTHS)
_CLIENT_LIMIT: Final = 10.0
"""Calls a second that a client sends by default."""
_BEGUN_PER_SECOND: Final = 50.0
_QUEUED: Final = (10.0, 60.0)
"""Least and most seconds until a job runs."""
_SPREAD: Final = 0.1
_MOST_SPREAD: Final = 60.0
_SETTLED: Final = 1_200.0
"""Seconds for which a job runs at most, if the schedule settles before."""
_LATE: Final = 0.75
"""From that share of the time until the first job ends on calls are counted as late ones."""
_STEP: Final = 60.0
_TRAVEL: Final = 0.1
"""Seconds that are added to a promised delay: the call and its answer travel, and timers are late."""
_MEDIAN: Final = 11.0
"""The most seconds of the median with the default and long jobs; with a single job it is 10 s but for chance."""
_FROM: Final = 600.0
"""Jobs that run for so many seconds are long."""
_RUNS: Final = (BatchClient.RUNNING_STATE, *sorted(TERMINAL))

_SEEN_PER_SECOND: Final = MAX_IDS_PER_CALL * _CLIENT_LIMIT
"""Jobs that a client sees in a second at most."""
_EXCESS: Final = 1.1
"""The longest delay where the client's own limit decides, in multiples of the least possible."""
_QUEUED_HEAD, _RUNNING_HEAD, _ENDED_HEAD = (
    JobHead(status=status) for status in (JobStatus.RUNNABLE, JobStatus.RUNNING, JobStatus.SUCCEEDED)
)
_HUNDRED: Final = f"""\
Calls a minute for {PROCESSES} jobs of {LENGTHS[_LONG]}, in one process or in a process each, which share no calls:"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of one schedule, one length of jobs and one number of them.

    Attributes:
        schedule: The schedule.
        seconds: How long jobs run.
        jobs: How many a client awaits.
        clients: How many clients there were.
        median: Seconds from the end of a job to the answer that shows it: the median of all.
        longest: The longest of them.
        calls_per_minute: Calls of a client a minute, from the beginning of its first wait to the end of its last.
        late_calls_per_minute: The same for the last quarter of the time until the first job ends; None if not all waits
            had begun by then.
        most_in_a_minute: The most calls of a client in any minute.
        throttled: Calls that were throttled.
    """

    schedule: str
    seconds: float
    jobs: int
    clients: int
    median: float
    longest: float
    calls_per_minute: float
    late_calls_per_minute: float | None
    most_in_a_minute: int
    throttled: int

    @property
    def cell(self) -> str:
        """The three numbers that say most."""
        return f"{in_seconds(self.median)} / {in_seconds(self.longest)}, {in_digits(self.calls_per_minute)}"


@dataclass(frozen=True, slots=True)
class Life:
    """A job.

    Attributes:
        submitted: When it was submitted, and its wait began.
        started: When it began to run.
        ended: When it succeeded.
    """

    submitted: float
    started: float
    ended: float

    def head(self, now: float) -> JobHead:
        """What an answer says of it."""
        return _QUEUED_HEAD if now < self.started else _RUNNING_HEAD if now < self.ended else _ENDED_HEAD


class Waits:
    """A client that awaits each job as `wait_for_job` does.

    A job that ends while a call is on its way to AWS is seen by the next one.

    Args:
        account: Where its calls go.
        backoff: When to check a job again.
        random: Where the first pauses come from.
        lives: The jobs.

    Attributes:
        sender: The client as the account knows it.
        delays: Seconds from the end of a job to the answer that showed it.
        ended: When the last wait has ended so far.
    """

    def __init__(self, account: Account, backoff: Backoff, random: Random, lives: Sequence[Life]) -> None:
        self._account = account
        self._backoff = backoff
        self._random = random
        self._lives = {f"job-{number}": life for number, life in enumerate(lives)}
        self._windows: Windows[Watch] = Windows()
        self.next_deadline = self._windows.next_deadline
        self.take = self._windows.take
        self.delays: list[float] = []
        self.ended = 0.0
        self.sender = account.join(self)
        for job_id, life in self._lives.items():
            account.at(life.submitted, partial(self._begin, job_id))

    @property
    def is_over(self) -> bool:
        """Whether all waits have ended."""
        return len(self.delays) == len(self._lives)

    def _begin(self, job_id: str, now: float) -> None:
        sender = self.sender
        watch = self._watch(job_id, None)
        # As `DescribeCoalescer.window_of_first_check` has it.
        drawn = self._random.uniform(BatchClient.DEFAULT_DELAY_MIN, BatchClient.DEFAULT_DELAY_MAX)
        quiet_for = now - sender.throttle.sent_at
        window = Window(0.0, min(drawn, max(_SOON, _BETWEEN_FIRST_CHECKS - quiet_for)))
        self._windows.add(watch, window, now)
        # And as its `add` has it.
        is_hundredth = len(self._windows) % MAX_IDS_PER_CALL == 0
        soonest = watch.earliest if is_hundredth else watch.latest
        if max(soonest, sender.throttle.ready_at) < sender.departure:
            self._account.wake(sender, now)

    def answered(self, call: Call[Watch], now: float) -> None:
        """Jobs were seen as they were when the call left."""
        lives = self._lives
        heads = {job_id: lives[job_id].head(call.sent_at) for job_id in call.job_ids}
        for watch, _ in self._windows.answer(call, heads, now).deliveries:
            if watch.last_status == JobStatus.RUNNING:
                self._go_on(watch.job_id, now)
            else:
                self.delays.append(now - lives[watch.job_id].ended)
                self.ended = now

    def _go_on(self, job_id: str, now: float) -> None:
        """The wait until the job has ended begins in the same moment in which that until it runs has ended."""
        watch = self._watch(job_id, JobStatus.RUNNING)
        window = watch.scheduled()
        assert isinstance(window, Window)
        self._windows.add(watch, window, now, continues=True)

    def _watch(self, job_id: str, last_status: str | None) -> Watch:
        return Watch(
            job_id,
            _unused,
            match_status=_RUNS if last_status is None else TERMINAL,
            status_retries=BatchClient.STATUS_RETRIES,
            backoff=self._backoff,
            last_status=last_status,
        )

    def rejected(self, call: Call[Watch], now: float) -> None:
        """The jobs of a call have to wait for another one."""
        self._windows.fail(call, THROTTLED, now)


def measure(progress: Progress, *, quick: bool) -> Result:
    """Run all schedules, lengths and numbers of jobs.

    Args:
        progress: Where to say what runs.
        quick: Short jobs, and few of them.
    """
    found: list[Found] = []
    for schedule in SCHEDULES:
        for jobs, clients in (_QUICK_JOBS if quick else JOBS).items():
            progress.write_log(f"delays, {jobs:,} jobs, {schedule}")
            found.extend(simulate(schedule, _QUICK_LENGTHS if quick else tuple(LENGTHS), jobs, clients))
    if not quick:
        for jobs in (1, PROCESSES):
            found.extend(simulate(LATER, (_LONG,), jobs, JOBS[jobs]))
    return Result(
        name="simulate_delays",
        about="from the end of a job to the answer that shows it, in virtual time",
        extra=[_table(found), *([] if quick else [_HUNDRED, _processes_table(found)])],
        figures=list(figures(found)),
        quick=quick,
        details={"found": [asdict(one) for one in found]},
    )


def simulate(schedule: str, lengths: Sequence[float], jobs: int, clients: int) -> Iterator[Found]:
    """Run one schedule with one number of jobs, for each length that they may have."""
    runs: dict[float, _Run] = {}
    for seconds in lengths:
        settles = schedule in {DEFAULT, FIXED}
        simulated = min(seconds, _SETTLED) if settles else seconds
        if simulated not in runs:
            with no_collection():
                runs[simulated] = _run(schedule, simulated, jobs, clients)
        yield runs[simulated].found(schedule, seconds, jobs, seconds - simulated)


@dataclass(frozen=True, slots=True)
class _Run:
    """What clients did; their numbers are in the order in which they joined.

    Attributes:
        delays: Of all jobs, in ascending order.
        ended: When each client's last wait had ended.
        calls: The calls of each.
        late: Calls a second of each, late in the run; None if there is no such time.
        most_in_a_minute: The most calls of one in any minute.
        throttled: Calls of all that were throttled.
    """

    delays: Sequence[float]
    ended: Sequence[float]
    calls: Sequence[int]
    late: float | None
    most_in_a_minute: int
    throttled: int

    def found(self, schedule: str, seconds: float, jobs: int, left_out: float) -> Found:
        """What it says of jobs that run longer by what was left out."""
        clients = len(self.calls)
        calls = sum(self.calls) + clients * (self.late or 0.0) * left_out
        return Found(
            schedule=schedule,
            seconds=seconds,
            jobs=jobs,
            clients=clients,
            median=statistics.median(self.delays),
            longest=self.delays[-1],
            calls_per_minute=60 * calls / (sum(self.ended) + clients * left_out),
            late_calls_per_minute=None if self.late is None else 60 * self.late,
            most_in_a_minute=self.most_in_a_minute,
            throttled=self.throttled,
        )


def _run(schedule: str, seconds: float, jobs: int, clients: int) -> _Run:
    random = Random(1)
    # One that no client notices, however many there are.
    account = Account(random, rate=CLIENT_LIMIT * clients, client_limit=_CLIENT_LIMIT)
    backoff = backoff_of(schedule, random)
    lives = [[draw_life(number, seconds, random) for number in range(jobs)] for _ in range(clients)]
    all_waits = [Waits(account, backoff, random, some) for some in lives]
    now = 0.0
    while not all(waits.is_over for waits in all_waits):
        now += _STEP
        account.run(now)
    last_begin = (jobs - 1) / _BEGUN_PER_SECOND
    first_end = min(life.ended for some in lives for life in some)
    begin = max(last_begin, _LATE * first_end)
    moments = [sorted((*waits.sender.answered, *waits.sender.throttled)) for waits in all_waits]
    late = sum(bisect_left(calls, first_end) - bisect_left(calls, begin) for calls in moments)
    return _Run(
        delays=sorted(delay for waits in all_waits for delay in waits.delays),
        ended=[waits.ended for waits in all_waits],
        calls=[*map(len, moments)],
        late=late / (first_end - begin) / clients if begin < first_end else None,
        most_in_a_minute=max(map(_most_in_a_minute, moments)),
        throttled=sum(len(waits.sender.throttled) for waits in all_waits),
    )


def _most_in_a_minute(moments: Sequence[float]) -> int:
    return max(bisect_left(moments, begin + 60) - place for place, begin in enumerate(moments))


def draw_life(number: int, seconds: float, random: Random) -> Life:
    """A job that comes after so many others, and runs for about so many seconds."""
    submitted = number / _BEGUN_PER_SECOND
    started = submitted + random.uniform(*_QUEUED)
    spread = min(_SPREAD * seconds, _MOST_SPREAD)
    return Life(submitted, started, started + seconds + random.uniform(-spread, spread))


def backoff_of(schedule: str, random: Random) -> Backoff:
    """The schedule of a name."""
    if schedule == FIXED:
        return FixedInterval(5)
    longest = {DEFAULT: DEFAULT_MAX_INTERVAL, AIRFLOWS: AIRFLOWS_MAX_INTERVAL, LATER: 300.0}[schedule]
    return ExponentialBackoff(longest, random=random)


def figures(found: Sequence[Found]) -> Iterator[Figure]:
    """What has targets: of all numbers of one kind, the worst."""
    for schedule, promised in ((DEFAULT, DEFAULT_MAX_INTERVAL), (FIXED, 5.0)):
        for is_beyond in (False, True):
            some = [
                one
                for one in found
                if one.schedule == schedule and (one.jobs / _SEEN_PER_SECOND > promised) is is_beyond
            ]
            if some:
                worst = max(some, key=lambda one: one.longest)
                at_most = _EXCESS * worst.jobs / _SEEN_PER_SECOND if is_beyond else promised + _TRAVEL
                yield Figure(name=_name(worst), value=worst.longest, unit="s at most", at_most=at_most)
    medians = [one for one in found if one.schedule == DEFAULT and one.seconds >= _FROM]
    if medians:
        worst = max(medians, key=lambda one: one.median)
        yield Figure(name=_name(worst), value=worst.median, unit="s in the median", at_most=_MEDIAN)


def _name(found: Found) -> str:
    return f"{_counted(found.jobs)} of {LENGTHS[found.seconds]}, {found.schedule}"


def _counted(jobs: int) -> str:
    return f"{jobs:,} jobs" if jobs > 1 else "1 job"


def delays(found: Sequence[Found]) -> list[tuple[str, ...]]:
    """A table with a head: "median / longest, calls a minute" for each schedule, length and number of jobs."""
    cells = {(one.schedule, one.seconds, one.jobs): one.cell for one in found if one.schedule in SCHEDULES}
    numbers = list(dict.fromkeys(jobs for _, _, jobs in cells))
    rows = dict.fromkeys((schedule, seconds) for schedule, seconds, _ in cells)
    head = ("schedule", "jobs run", *map(_counted, numbers))
    return [
        head,
        *(
            (schedule, LENGTHS[seconds], *(cells[schedule, seconds, jobs] for jobs in numbers))
            for schedule, seconds in sorted(rows, key=lambda row: (SCHEDULES.index(row[0]), row[1]))
        ),
    ]


def processes(found: Sequence[Found]) -> list[tuple[str, ...]]:
    """A table with a head: calls a minute of many processes with one job each, and of one that awaits all."""
    by_jobs = {(one.schedule, one.jobs): one for one in found if one.seconds == _LONG}
    rows: list[tuple[str, ...]] = [
        ("schedule", "one process", f"{PROCESSES} processes", "late in the run", "median / longest")
    ]
    for schedule in (DEFAULT, FIXED, LATER, AIRFLOWS):
        together, alone = by_jobs[schedule, PROCESSES], by_jobs[schedule, 1]
        rows.append(
            (
                schedule,
                in_digits(together.calls_per_minute),
                in_digits(PROCESSES * alone.calls_per_minute),
                in_digits(PROCESSES * (alone.late_calls_per_minute or 0.0)),
                f"{in_seconds(alone.median)} / {in_seconds(alone.longest)}",
            )
        )
    return rows


def in_seconds(seconds: float) -> str:
    """Two digits, or whole seconds."""
    return f"{in_digits(seconds)} s"


def in_digits(number: float) -> str:
    """Two digits, or a whole number."""
    digits = next((digits for digits, bound in ((2, 0.995), (1, 9.95)) if number < bound), 0)
    return f"{number:,.{digits}f}"


def _table(found: Sequence[Found]) -> str:
    head = (
        *("schedule", "jobs", "jobs run", "delay: median", "longest", "calls/min", "late in the run"),
        *("at most", "throttled"),
    )
    rows = [
        (
            *(one.schedule, f"{one.jobs:,}", LENGTHS[one.seconds]),
            *(f"{one.median:.3g} s", f"{one.longest:.4g} s", f"{one.calls_per_minute:.3g}"),
            "" if one.late_calls_per_minute is None else f"{one.late_calls_per_minute:.3g}",
            *(f"{one.most_in_a_minute}", f"{one.throttled}"),
        )
        for one in found
    ]
    return table(head, rows)


def _processes_table(found: Sequence[Found]) -> str:
    head, *rows = processes(found)
    return table(head, rows)


def _unused(*_: object) -> None:
    """Deliveries are read from what an answer has brought."""
    raise AssertionError
