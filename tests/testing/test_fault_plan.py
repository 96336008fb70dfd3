"""Which calls a fault hits, and what it makes of their responses: literal times, no network."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import pytest

from awaitbatch._jobs import JobStatus
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from awaitbatch.testing._model.faults import JOB_FAULTS, FaultPlan, FaultRule
from awaitbatch.testing._model.response_faults import UNKNOWN_STATUS
from awaitbatch.testing._model.service_error import ServiceError

TEN_SECONDS_EACH = LifeCycle(submitted=10, pending=10, runnable=10, starting=10, running=10)


class Server(BatchServer):
    """A server on a clock that the test sets, asked without a network."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.now, default_life_cycle=TEN_SECONDS_EACH, seed=1)
        self.now = 0.0

    def ask(self, *job_ids: str, operation: str = "DescribeJobs") -> bytes:
        """Make a call, and return the body of the response."""
        request = {"jobs": job_ids} if operation == "DescribeJobs" else {"jobQueue": "queue"}
        return self._respond(operation, json.dumps(request).encode()).body

    def jobs(self, *job_ids: str) -> list[dict[str, Any]]:
        """Describe jobs."""
        jobs: list[dict[str, Any]] = json.loads(self.ask(*job_ids))["jobs"]
        return jobs

    def is_hit(self, *job_ids: str, operation: str = "DescribeJobs") -> bool:
        """Whether a fault that is an error hits a call."""
        try:
            self.ask(*job_ids, operation=operation)
        except ServiceError:
            return True
        return False


def test_the_next_few_calls() -> None:
    """A fault may hit the next n calls, and counts its hits."""
    server = Server()
    rule = server.inject(Fault.SERVER_EXCEPTION, calls=2)
    assert [server.is_hit("a") for _ in range(4)] == [True, True, False, False]
    assert rule.hits == 2
    assert server.statistics.faults == {"server-exception": 2}
    assert server.statistics.failed == {"DescribeJobs": 2}


def test_by_the_clock() -> None:
    """A fault may last from one moment to another, counted from when it was ordered."""
    server = Server()
    server.now = 100
    server.inject(Fault.BARE_503, begin=5, end=12)
    hits = []
    for server.now in (104.9, 105, 111.9, 112):
        hits.append(server.is_hit("a"))
    assert hits == [False, True, True, False]


def test_by_chance() -> None:
    """A fault may hit each call with a probability."""
    server = Server()
    rule = server.inject(Fault.BARE_503, probability=0.2)
    assert sum(server.is_hit("a") for _ in range(1000)) == rule.hits
    assert 150 < rule.hits < 250


def test_chosen_operations() -> None:
    """A fault may hit some operations alone."""
    server = Server()
    server.inject(Fault.ACCESS_DENIED, operations=["ListJobs"])
    assert not server.is_hit("a")
    assert server.is_hit(operation="ListJobs")


def test_chosen_jobs() -> None:
    """A fault may hit only calls that name a certain job."""
    server = Server()
    server.inject(Fault.CLIENT_EXCEPTION, job_ids=["bad"])
    assert server.is_hit("good", "bad")
    assert not server.is_hit("good", "not-bad")


def test_the_first_rule_that_fits_is_the_only_one() -> None:
    """Rules are asked in order; those behind the one that hits a call do not count it."""
    server = Server()
    first = server.inject(Fault.BARE_503, calls=1)
    second = server.inject(Fault.SERVER_EXCEPTION)
    assert server.faults == (first, second)
    for _ in range(3):
        server.is_hit("a")
    assert (first.hits, second.hits) == (1, 2)


def test_healing() -> None:
    """One rule, or all, can be lifted, and to do so twice is no error."""
    server = Server()
    rule = server.inject(Fault.BARE_503)
    server.inject(Fault.SERVER_EXCEPTION, operations=["ListJobs"])
    server.heal(rule)
    server.heal(rule)
    assert (server.is_hit("a"), server.is_hit(operation="ListJobs")) == (False, True)
    server.heal()
    assert server.faults == ()
    assert not server.is_hit(operation="ListJobs")


def test_throttles_count_as_throttled() -> None:
    """An injected throttle is counted as those of a bucket are."""
    server = Server()
    for fault in (Fault.TOO_MANY_REQUESTS, Fault.BARE_429, Fault.THROTTLING_EXCEPTION):
        server.inject(fault, calls=1)
    for _ in range(4):
        server.is_hit("a")
    assert server.statistics.throttled == {"DescribeJobs": 3}
    assert server.statistics.failed == {}
    assert server.statistics.ids_per_call == 1


@pytest.mark.parametrize(
    ("fault", "arguments", "complaint"),
    [
        (Fault.HANG, {"probability": 1.5}, "probability must be 0 to 1"),
        (Fault.HANG, {"calls": 0}, "calls must be more than 0"),
        (Fault.HANG, {"begin": 5, "end": 5}, "begin must be before end"),
        (Fault.HANG, {"seconds": -1}, "seconds must be at least 0"),
        (Fault.BARE_503, {"seconds": 5}, "bare-503 takes no time, so it cannot take 5 seconds"),
        (Fault.CONNECTION_REFUSED, {"seconds": 0}, "connection-refused takes no time"),
        (Fault.HANG, {"operations": ["StopJobs"]}, "no such operation: StopJobs"),
        (Fault.NO_STATUS, {"operations": ["ListJobs"]}, "no-status can hit DescribeJobs only"),
        (Fault.CONNECTION_REFUSED, {"probability": 0.5}, "goes by begin and end alone"),
        (Fault.CONNECTION_REFUSED, {"operations": ["ListJobs"]}, "goes by begin and end alone"),
        (Fault.HANG, {"job_ids": "abc"}, "job_ids must be a collection"),
        (Fault.HANG, {"operations": []}, "operations must be a collection"),
        ("boredom", {}, "there is no fault 'boredom', but too-many-requests, "),
    ],
)
def test_orders_that_make_no_sense(fault: Fault, arguments: dict[str, Any], complaint: str) -> None:
    """An order that cannot be carried out is refused at once, and leaves no rule."""
    server = Server()
    with pytest.raises(ValueError, match=complaint):
        server.inject(fault, **arguments)
    assert server.faults == ()


def test_how_long_a_fault_takes() -> None:
    """A hang is for ever and a trickle takes half a minute by default; errors take no time."""
    server = Server()
    orders: list[tuple[Fault, dict[str, Any]]] = [
        (Fault.HANG, {}),
        (Fault.HANG, {"seconds": 2}),
        (Fault.TRICKLE, {}),
        (Fault.TRICKLE, {"seconds": 0}),
        (Fault.BARE_503, {}),
    ]
    durations = [server.inject(fault, **order).duration for fault, order in orders]
    assert durations == [math.inf, 2, 30, 0, 0]


def test_when_the_server_is_down() -> None:
    """A plan knows when connections are refused."""
    plan = FaultPlan(Random(1))
    assert plan.outage(0) is None
    plan.rules.append(FaultRule(fault=Fault.CONNECTION_REFUSED, begin=5, end=9))
    plan.rules.append(FaultRule(fault=Fault.CONNECTION_REFUSED, begin=20))
    moments = (0, 5, 9, 20, 1e9)
    assert [moment for moment in moments if plan.outage(moment)] == [5, 20, 1e9]


def test_what_hits_nothing_is_not_counted() -> None:
    """A call that AWS refuses by itself uses up no fault of a response."""
    server = Server()
    rule = server.inject(Fault.HTML, calls=1)
    assert server.is_hit("not an id")
    assert (rule.hits, server.statistics.faults) == (0, {})
    assert server.ask("a").startswith(b"<html>")
    assert rule.hits == 1


def test_a_fault_changes_no_job() -> None:
    """The same seed gives the same jobs, whatever is injected."""
    plain, faulty = Server(), Server()
    faulty.inject(Fault.SHUFFLED_JOBS, probability=0.5)
    for server in (plain, faulty):
        server.add_job("a")
        server.ask("a")
    assert plain.add_job() == faulty.add_job()


JOBS = [f"job-{number}" for number in range(20)]


@pytest.fixture
def server() -> Server:
    """A server with twenty jobs that run."""
    server = Server()
    for job_id in JOBS:
        server.add_job(job_id)
    server.now = 45
    return server


@pytest.mark.parametrize("fault", sorted(JOB_FAULTS - {Fault.NULL_JOBS, Fault.SHUFFLED_JOBS}))
def test_only_the_jobs_that_were_named(server: Server, fault: Fault) -> None:
    """What is wrong with a response is wrong with the jobs that were named, and with no other."""
    good = {job["jobId"]: job for job in server.jobs(*JOBS)}
    server.inject(fault, job_ids=JOBS[:3])
    corrupted = server.jobs(*JOBS)
    for job_id in JOBS[3:]:
        assert [job for job in corrupted if job["jobId"] == job_id] == [good[job_id]]
    others = [job for job in corrupted if job["jobId"] not in JOBS[3:]]
    assert others != [good[job_id] for job_id in JOBS[:3]]


@pytest.mark.parametrize("fault", sorted(JOB_FAULTS))
def test_some_jobs_if_none_were_named(server: Server, fault: Fault) -> None:
    """Without names a fault about jobs hits at least one of them."""
    good = server.ask(*JOBS)
    server.inject(fault)
    assert server.ask(*JOBS) != good


def test_what_is_wrong_with_a_job(server: Server) -> None:
    """A job lacks its status, has one that nobody knows, or null for its lists."""
    rule = server.inject(Fault.NO_STATUS)
    assert "status" not in server.jobs("job-1")[0]
    server.heal(rule)
    rule = server.inject(Fault.UNKNOWN_STATUS)
    assert server.jobs("job-1")[0]["status"] == UNKNOWN_STATUS
    assert UNKNOWN_STATUS not in JobStatus.__members__
    server.heal(rule)
    server.inject(Fault.NULL_LISTS)
    job = server.jobs("job-1")[0]
    assert (job["attempts"], job["container"]["environment"]) == (None, None)


def test_what_is_wrong_with_the_list(server: Server) -> None:
    """Jobs are missing, twice there, in another order, or strangers."""
    rule = server.inject(Fault.MISSING_JOBS)
    assert 0 <= len(server.jobs(*JOBS)) < 20
    server.heal(rule)
    rule = server.inject(Fault.REPEATED_JOBS)
    names = [job["jobId"] for job in server.jobs(*JOBS)]
    assert (len(names) > 20, set(names)) == (True, set(JOBS))
    server.heal(rule)
    rule = server.inject(Fault.SHUFFLED_JOBS)
    names = [job["jobId"] for job in server.jobs(*JOBS)]
    assert (names != JOBS, sorted(names)) == (True, sorted(JOBS))
    server.heal(rule)
    server.inject(Fault.FOREIGN_JOBS)
    jobs = server.jobs(*JOBS)
    assert {job["status"] for job in jobs if job["jobId"] not in JOBS} == {"SUCCEEDED"}
    server.heal()
    server.inject(Fault.NULL_JOBS)
    assert server.ask(*JOBS) == b'{"jobs":null}'


def test_stale_responses_are_older_than_one_already_shown() -> None:
    """A stale response shows the state before the newest that was shown, and never the future."""
    server = Server()
    job_id = server.add_job()
    shown = []
    server.inject(Fault.STALE_JOBS)
    for server.now in (5, 15, 45, 49):
        rule = server.faults[0]
        server.heal()
        true = server.jobs(job_id)[0]["status"]
        server.inject(rule.fault)
        stale = server.jobs(job_id)[0]
        shown.append((true, stale["status"]))
    assert shown == [
        ("SUBMITTED", "SUBMITTED"),
        ("PENDING", "SUBMITTED"),
        ("RUNNING", "STARTING"),
        ("RUNNING", "STARTING"),
    ]
    server.now = 100
    # Nobody has seen the end, so what nobody saw is not taken back: the response is older than what was shown.
    assert server.jobs(job_id)[0]["status"] == "RUNNING"


def test_bodies_that_are_no_response(server: Server) -> None:
    """A body may be cut in half, a page of HTML, or empty, whatever the operation."""
    for fault, begin in (
        (Fault.TRUNCATED_JSON, b'{"jobs"'),
        (Fault.HTML, b"<html>"),
        (Fault.EMPTY_BODY, b""),
    ):
        server.inject(fault)
        body = server.ask(*JOBS)
        assert body.startswith(begin)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        server.heal()
    server.inject(Fault.EMPTY_BODY)
    assert server.ask(operation="ListJobs") == b""
