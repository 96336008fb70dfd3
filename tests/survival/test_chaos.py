"""For the whole run a fifth of all calls fails, in all the ways that a wait survives."""

from __future__ import annotations

import logging
from random import Random
from typing import TYPE_CHECKING

from awaitbatch import FixedInterval
from awaitbatch.testing import Fault
from tests.support import make_client, make_server

from .support import SURVIVED, check_truth, count_ends, inject_faults, lives_at_random, wait_for_all

if TYPE_CHECKING:
    import pytest

JOBS = 3000


async def test_every_wait_ends_with_the_truth(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 3,000 jobs, retries among them, each wait ends once, with the outcome on record, and not before it."""
    random = Random(1)
    server = make_server(default_life_cycle=lambda _: lives_at_random(random, 5, 120), description_bytes=0)
    job_ids = [server.add_job() for _ in range(JOBS)]
    inject_faults(server, 0.2)
    # Down twice as well, once for longer than a call may take.
    server.inject(Fault.CONNECTION_REFUSED, begin=20, end=25)
    server.inject(Fault.CONNECTION_REFUSED, begin=60, end=100)
    counts = count_ends(monkeypatch)
    with caplog.at_level(logging.DEBUG, "awaitbatch"):
        async with make_client(server, backoff=FixedInterval(5), max_calls_per_second=50) as client:
            ends = await wait_for_all(client, job_ids, delay=0)
            numbers = client.statistics()
    for failure in ("Could not connect", "Connection was closed", "no answer within", "not an answer to"):
        assert failure in caplog.text
    check_truth(server, ends)
    assert set(counts.values()) == {1}
    # Each wait checks for the start, and unless that showed the end, for the end.
    assert JOBS <= len(counts) <= 2 * JOBS
    assert (numbers.pending, numbers.in_flight) == (0, 0)
    hit = server.statistics.faults
    assert set(SURVIVED) <= hit.keys()
    share = (hit.total() - hit[Fault.CONNECTION_REFUSED]) / server.statistics.calls["DescribeJobs"]
    assert 0.15 < share < 0.25


async def test_a_steady_stream_of_stale_answers() -> None:
    """Answers that show the past end no wait early, and hide no end for ever."""
    server = make_server(
        default_life_cycle=lambda random: lives_at_random(random, 5, 60), description_bytes=0
    )
    job_ids = [server.add_job() for _ in range(300)]
    server.inject(Fault.STALE_JOBS, probability=0.8)
    async with make_client(server, backoff=FixedInterval(5)) as client:
        check_truth(server, await wait_for_all(client, job_ids, delay=0))
