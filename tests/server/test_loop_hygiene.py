"""Nothing of ours holds the event loop for longer than it takes others to notice."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import statistics
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, FixedInterval
from awaitbatch.testing import LifeCycleRanges, ServerProcess
from tests.callback_times import CallbackTimes, callback_times
from tests.support import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS_PER_SECOND = 50
MOST = 0.010
"""Seconds of CPU time for which one callback may hold the loop."""
READINGS = 3
"""How often `json` could read an answer in that time, if that is longer: on a slow machine, or one with other work."""
MEASUREMENTS = 3
"""How many are made at most: other work on the machine spoils one, but what holds the loop shows in all."""


def restless(interval: float) -> dict[str, object]:
    """The lives of jobs that have another state at every check."""
    at_once, soon = (0, 0), (interval, interval)
    return asdict(
        LifeCycleRanges(
            submitted=at_once, pending=at_once, runnable=soon, starting=soon, running=soon, attempts=(30, 30)
        )
    )


class Nowhere(io.StringIO):
    """A file that keeps nothing; to write to a real one on the event loop is a blocking call."""

    def write(self, text: str, /) -> int:
        """Take it and drop it."""
        return len(text)


@contextmanager
def logging_to_nowhere() -> Iterator[None]:
    """Let the lines at INFO be formatted and written, as an application does."""
    logger = logging.getLogger("awaitbatch")
    with ExitStack() as stack:
        handler = logging.StreamHandler(Nowhere())
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        stack.callback(logger.removeHandler, handler)
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        stack.callback(logger.__dict__.update, propagate=True)
        yield


def time_to_read(body: bytes) -> float:
    """CPU time that Python's own `json` takes for a body, which shows how fast this machine is just now."""
    took = []
    for _ in range(21):
        begin = time.thread_time()
        json.loads(body)
        took.append(time.thread_time() - begin)
    # The median, since a collection of garbage may fall into any.
    return statistics.median(took)


@dataclass(frozen=True)
class Measurement:
    """The callbacks of some seconds, in which so many calls were answered."""

    calls: int
    took: float
    ids_per_call: float
    reading: float
    most: float
    times: CallbackTimes

    def __str__(self) -> str:
        return (
            f"{self.calls / self.took:.1f} calls/s of {self.ids_per_call:.1f} jobs: {self.times}; "
            f"json takes {1000 * self.reading:.2f} ms"
        )


async def measure(
    client: BatchClient, seconds: float, body: bytes, is_over: Callable[[], bool]
) -> Measurement:
    """Take the times of all callbacks for so long, or until nothing more is to be seen."""
    reading = time_to_read(body)
    before, begin = client.statistics().calls, time.monotonic()
    # A machine that is busy otherwise answers fewer, but then each callback matters as much.
    enough = before + seconds * CALLS_PER_SECOND / 4
    with callback_times(asyncio.get_running_loop()) as times:
        await asyncio.sleep(seconds)
        await until(lambda: client.statistics().calls >= enough or is_over())
    after, took = client.statistics(), time.monotonic() - begin
    reading = max(reading, time_to_read(body))
    # The long runs are measurements, which a slow machine has no business to pass.
    most = MOST if seconds >= 10 else max(MOST, READINGS * reading)
    return Measurement(after.calls - before, took, after.ids_per_call, reading, most, times)


@pytest.mark.parametrize(
    ("jobs", "seconds", "logs"),
    [
        (1000, 2, True),
        pytest.param(5000, 10, True, marks=pytest.mark.soak),
        pytest.param(5000, 10, False, marks=pytest.mark.soak),
    ],
)
async def test_no_callback_takes_ten_milliseconds(
    capsys: pytest.CaptureFixture[str], jobs: int, seconds: float, logs: bool
) -> None:
    """At 50 calls/s of 100 jobs with 3.5 KB each, every one of them in a new state, with a log and without."""
    # At this rate each job is seen once an interval.
    interval = jobs / 100 / CALLS_PER_SECOND
    with ExitStack() as stack:
        if logs:
            stack.enter_context(logging_to_nowhere())
        async with ServerProcess("--description-bytes", "3500") as server:
            job_ids = await server.control("POST", "jobs", {"count": jobs, "ranges": restless(interval)})
            async with BatchClient(
                **server.client_arguments,
                backoff=FixedInterval(interval),
                max_calls_per_second=CALLS_PER_SECOND,
            ) as client:
                waits = [asyncio.create_task(client.poll_for_job_complete(job_id, 0)) for job_id in job_ids]
                await asyncio.sleep(2 * interval)
                body = await client._supervisor.transport.describe_jobs(job_ids[:100])
                for _ in range(MEASUREMENTS):
                    measured = await measure(client, seconds, body, waits[0].done)
                    if seconds >= 10 or measured.times.quantile(1) < measured.most:
                        break
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
    if seconds >= 10:
        with capsys.disabled():
            print(f"\n  {measured}, {'with' if logs else 'without'} log")  # noqa: T201
    times = measured.times
    assert measured.ids_per_call > 80
    assert measured.calls >= seconds * CALLS_PER_SECOND / 4
    assert times.quantile(1) < measured.most, f"{times.longest}: {measured}"
