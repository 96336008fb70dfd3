"""Under limits that nobody knows, which change, and which others share."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import Counter
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, DescribeError, FixedInterval, _coalescer
from awaitbatch._coalescer import DescribeCoalescer
from awaitbatch._core import windows
from awaitbatch._core.backoff import shared_random
from awaitbatch._core.suspicion import Suspicion
from awaitbatch._core.throttle import ThrottleParameters
from awaitbatch.testing import Fault, LifeCycle, TokenBucket
from tests.support import LONG, make_client, make_server

from .support import check_truth, note, wait_for_all, waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch.testing import BatchServer, InProcessTransport

HIGH, LOW = 20.0, 5.0


def network() -> float:
    """Seconds from a call to its answer."""
    return random.uniform(0.01, 0.04)


JOBS = 100
MAX_IDS_PER_CALL = 2


@pytest.fixture
def small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of two jobs. A limit counts calls, and these take a fiftieth of the time to play."""
    monkeypatch.setattr(Suspicion, "most_ids", lambda *_: MAX_IDS_PER_CALL)
    monkeypatch.setattr(windows, "MAX_ONE_SHOTS_FIRST", 1)


def busy_client(server: BatchServer, interval: float = 0.5) -> BatchClient:
    """A client that could and, with so many jobs, would send more calls than any limit here allows."""
    return BatchClient(
        transport=server.transport(latency=network), backoff=FixedInterval(interval), max_calls_per_second=100
    )


class Span:
    """What the server counts from here on."""

    def __init__(self, server: BatchServer) -> None:
        self._server = server
        self._begin = asyncio.get_running_loop().time()
        self._calls = server.statistics.calls["DescribeJobs"]
        self._throttled = server.statistics.throttled["DescribeJobs"]

    @property
    def throttled(self) -> float:
        """The share of calls that were throttled."""
        return self._count()[1] / self._count()[0]

    def used(self, rate: float) -> float:
        """The share of a limit that was used."""
        calls, throttled = self._count()
        return (calls - throttled) / (rate * (asyncio.get_running_loop().time() - self._begin))

    def _count(self) -> tuple[int, int]:
        counts = self._server.statistics
        return (
            counts.calls["DescribeJobs"] - self._calls,
            counts.throttled["DescribeJobs"] - self._throttled,
        )


@pytest.mark.usefixtures("small_calls")
async def test_a_limit_that_falls_and_returns() -> None:
    """20 calls/s, then 5, then 20: a minute after each change the limit is used, and little is throttled."""
    server = make_server(bucket=TokenBucket(HIGH), description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(JOBS)]
    async with busy_client(server) as client, waiting(client, job_ids):
        await asyncio.sleep(10)
        for rate, most_throttled in ((HIGH, 0.01), (LOW, 0.03), (HIGH, 0.01)):
            server.throttle(rate)
            await asyncio.sleep(60)
            steady = Span(server)
            await asyncio.sleep(120)
            assert steady.throttled <= most_throttled
            assert steady.used(rate) >= 0.9


SETTLED = 300
"""Seconds after which the clients have found their limits."""


def seeing_transport(server: BatchServer, unseen: list[float]) -> tuple[InProcessTransport, dict[str, float]]:
    """A transport that notes, once settled, how long each job was not seen before; and when each was seen last."""
    loop = asyncio.get_running_loop()
    last_seen: dict[str, float] = {}
    transport = server.transport(latency=network)
    describe_jobs = transport.describe_jobs

    async def describe(job_ids: Sequence[str]) -> bytes:
        body = await describe_jobs(job_ids)
        now = loop.time()
        if now > SETTLED:
            unseen.extend(now - last_seen[job_id] for job_id in job_ids)
        last_seen.update(dict.fromkeys(job_ids, now))
        return body

    transport.describe_jobs = describe  # type: ignore[method-assign]
    return transport, last_seen


@pytest.mark.usefixtures("small_calls")
async def test_one_call_a_second_for_two_hundred_jobs() -> None:
    """In calls of two, no job goes unseen for more than 1.2 times the best possible 100 seconds."""
    server = make_server(bucket=TokenBucket(1), description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(200)]
    loop = asyncio.get_running_loop()
    unseen: list[float] = []
    transport, last_seen = seeing_transport(server, unseen)
    async with (
        BatchClient(transport=transport, backoff=FixedInterval(1), max_calls_per_second=100) as client,
        waiting(client, job_ids),
    ):
        await asyncio.sleep(500)
        unseen.extend(loop.time() - moment for moment in last_seen.values())
        assert last_seen.keys() == {*job_ids}
        assert max(unseen) <= 1.2 * 100


async def test_two_clients_of_one_call_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see all of their jobs, though the bucket holds one call and the other one may always have taken it."""
    # Once in some hundred runs one of them has to wait for long.
    seeds = count()
    monkeypatch.setattr(_coalescer, "Random", lambda: random.Random(next(seeds)))
    shared_random.seed(1)
    random.seed(1)
    server = make_server(bucket=TokenBucket(1), description_bytes=0)
    loop = asyncio.get_running_loop()
    last_seen: list[dict[str, float]] = []
    unseen: list[float] = []
    async with AsyncExitStack() as stack:
        for jobs in (650, 350):
            job_ids = [server.add_job(life_cycle=LONG) for _ in range(jobs)]
            transport, seen = seeing_transport(server, unseen)
            last_seen.append(seen)
            client = BatchClient(transport=transport, backoff=FixedInterval(5))
            await stack.enter_async_context(client)
            await stack.enter_async_context(waiting(client, job_ids))
        await asyncio.sleep(SETTLED + 120)
        for jobs, seen in zip((650, 350), last_seen, strict=True):
            assert len(seen) == jobs
            unseen.extend(loop.time() - moment for moment in seen.values())
        assert max(unseen) <= 30


async def neighbours(clients: Sequence[BatchClient], server: BatchServer) -> tuple[float, float]:
    """Let clients start ten seconds apart; Jain's index of their shares and the share throttled in a later minute."""
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(JOBS)]
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
            await stack.enter_async_context(waiting(client, job_ids))
            await asyncio.sleep(10)
        await asyncio.sleep(20)
        last_minute = Span(server)
        before = [client.statistics() for client in clients]
        await asyncio.sleep(60)
        after = [client.statistics() for client in clients]
        answered = [
            (later.calls - later.throttled) - (earlier.calls - earlier.throttled)
            for earlier, later in zip(before, after, strict=True)
        ]
        fairness = sum(answered) ** 2 / (len(answered) * sum(share**2 for share in answered))
        return fairness, last_minute.throttled


@pytest.mark.usefixtures("small_calls")
async def test_neighbours_share_alike() -> None:
    """Four clients that know nothing of each other get equal shares of 20 calls/s, with few calls throttled."""
    found = []
    # Chance has its part, so one run alone would say little.
    for _ in range(3):
        server = make_server(bucket=TokenBucket(HIGH), description_bytes=0)
        found.append(await neighbours([busy_client(server) for _ in range(4)], server))
    assert statistics.mean(fairness for fairness, _ in found) >= 0.95
    assert statistics.mean(throttled for _, throttled in found) <= 0.03


async def test_beside_a_naive_neighbour() -> None:
    """Beside somebody who polls as fast as he can, throttled or not, our waits still end with the truth."""
    server = make_server(
        bucket=TokenBucket(HIGH), description_bytes=0, default_life_cycle=LifeCycle(running=30)
    )
    job_ids = [server.add_job() for _ in range(JOBS)]
    bucket = server.bucket
    assert bucket is not None
    loop = asyncio.get_running_loop()
    outcomes: Counter[bool] = Counter()

    async def poll_without_end() -> None:
        # What the account notices of him.
        while True:
            outcomes[bucket.take(loop.time())] += 1
            await asyncio.sleep(random.uniform(0.005, 0.015))

    naive = asyncio.create_task(poll_without_end())
    clients = [busy_client(server, 5) for _ in range(4)]
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
        ends = await asyncio.gather(
            *(wait_for_all(client, job_ids[number::4]) for number, client in enumerate(clients))
        )
    naive.cancel()
    await asyncio.gather(naive, return_exceptions=True)
    for end in ends:
        check_truth(server, end)
    assert outcomes[False] > 2 * outcomes[True]


@pytest.mark.usefixtures("small_calls")
@pytest.mark.parametrize(("rate", "least_used"), [(1, 0.8), (2, 0.9), (50, 0.8)])
async def test_other_limits(rate: float, least_used: float) -> None:
    """Also of limits that are low, and of those that are high, most is used."""
    server = make_server(bucket=TokenBucket(rate), description_bytes=0)
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(JOBS)]
    async with busy_client(server) as client, waiting(client, job_ids):
        await asyncio.sleep(60)
        steady = Span(server)
        await asyncio.sleep(60)
        assert steady.used(rate) >= least_used


async def test_one_call_a_minute() -> None:
    """Far below what the throttle falls to, all polls end with the truth, and a describe within minutes: with an answer
    or with an error that says why there is none.
    """
    server = make_server(bucket=TokenBucket(1 / 60), description_bytes=0)
    loop = asyncio.get_running_loop()
    job_ids = [server.add_job(life_cycle=LifeCycle(running=1800)) for _ in range(250)]
    async with make_client(server) as client:
        polls = asyncio.create_task(wait_for_all(client, job_ids, max_retries=30))
        for _ in range(10):
            await asyncio.sleep(120)
            begin = loop.time()
            ends = await asyncio.gather(
                *(note(loop.time, client.describe(job_id)) for job_id in job_ids[:20])
            )
            for end in ends:
                assert end.at - begin <= 300
                throttled = isinstance(end.outcome, DescribeError) and "Too Many Requests" in str(end.outcome)
                assert end.outcome in {"RUNNING", "SUCCEEDED"} or throttled
        ended = await polls
        check_truth(server, ended)
        # A sweep takes three calls, and one in six is answered.
        assert max(end.at - (server.ended_at(job_id) or 0) for job_id, end in ended.items()) <= 900
        # Beyond the lowest rate, calls follow rejected ones soon as long as answers make up for that.
        statistics = client.statistics()
        parameters = DescribeCoalescer.throttle_parameters
        answered = statistics.calls - statistics.throttled
        soon = parameters.retries + parameters.retries_regained * answered
        assert statistics.calls <= loop.time() / 10 + 30 + soon


MONTH = 30 * 86_400.0


async def test_a_month_of_throttling(monkeypatch: pytest.MonkeyPatch) -> None:
    """While AWS rejects every call for thirty days, no poll ends, a describe does so in time, and calls are at most
    those of the lowest rate; then all polls end with the truth, and a describe is quick again.
    """
    # A hundredth of the calls of the true one, which take most of a minute to play.
    parameters = ThrottleParameters(min_rate=0.001)
    monkeypatch.setattr(DescribeCoalescer, "throttle_parameters", parameters)
    server = make_server(description_bytes=0)
    loop = asyncio.get_running_loop()
    job_ids = [server.add_job(life_cycle=LifeCycle(running=60 * number)) for number in range(12)]
    server.inject(Fault.TOO_MANY_REQUESTS, end=MONTH)
    async with make_client(server) as client:
        polls = asyncio.create_task(wait_for_all(client, job_ids, max_retries=100, status_retries=3))
        await asyncio.sleep(MONTH / 2)
        with pytest.raises(DescribeError, match="Too Many Requests"):
            await client.describe(job_ids[0])
        assert loop.time() < MONTH / 2 + 10 * 1.5 / parameters.min_rate
        await asyncio.sleep(MONTH - 1 - loop.time())
        numbers = client.statistics()
        assert (numbers.pending, numbers.jobs_described) == (12, 0)
        assert MONTH * parameters.min_rate / 1.5 <= numbers.calls <= MONTH * parameters.min_rate + 50
        ends = await polls
        check_truth(server, ends)
        assert loop.time() <= MONTH + 3 * 1.5 / parameters.min_rate
        await asyncio.sleep(1.5 / parameters.min_rate)
        before = loop.time()
        await asyncio.gather(*map(client.describe, job_ids))
        assert loop.time() - before < 2
        assert client.statistics().rate >= parameters.start_rate
