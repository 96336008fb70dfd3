"""What the user hands in is slow, or raises: the waits of all others go on."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import FixedInterval
from awaitbatch.testing import TokenBucket
from awaitbatch.testing.virtual_time import VirtualTimeLoop
from tests.support import make_client, make_server

from .support import check_truth, inject_faults, lives_at_random, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS = 300


def block(seconds: float) -> None:
    """Hold the event loop for so long: nothing runs meanwhile, and then much is overdue."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.sleep_for(seconds)


class Slow(logging.Handler):
    """Holds the event loop for each line, as a handler that writes to a slow disk."""

    def emit(self, _: logging.LogRecord) -> None:
        """Take half a second."""
        block(0.5)


class Raising(logging.Handler):
    """Fails with each line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raise, without the care that handlers should take."""
        message = f"no room for {record.msg}"
        raise OSError(message)


class Unformattable(logging.Formatter):
    """Fails to format each line, so that the handler's own care is called for, which fails too."""

    def format(self, record: logging.LogRecord) -> str:
        """Raise."""
        raise ValueError(record)


def broken_formatter() -> logging.Handler:
    """A handler that cannot even say that it failed."""
    handler = logging.StreamHandler()
    handler.setFormatter(Unformattable())
    handler.handleError = lambda _: 1 / 0  # type: ignore[assignment, method-assign]
    return handler


@contextmanager
def log_to(handler: logging.Handler) -> Iterator[None]:
    """Let a handler have every line, and be the only one."""
    logger = logging.getLogger("awaitbatch")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.mark.parametrize("make_handler", [Slow, Raising, broken_formatter])
async def test_a_log_handler(make_handler: Any) -> None:
    """Each line, of jobs, throttles and failures, takes half a second or raises: all waits end with the truth."""
    random = Random(5)
    server = make_server(description_bytes=0, bucket=TokenBucket(3))
    job_ids = [server.add_job(life_cycle=lives_at_random(random, 5, 60)) for _ in range(JOBS)]
    inject_faults(server, 0.2)
    with log_to(make_handler()):
        async with make_client(server, backoff=FixedInterval(5)) as client:
            check_truth(server, await wait_for_all(client, job_ids, delay=0))
            assert client.statistics().pending == 0


class SlowBackoff:
    """Holds the event loop whenever it is asked."""

    def window(self, tries: int) -> tuple[float, float]:
        """Take a while."""
        block(0.01 * tries)
        return 2.5, 5


class RaisingBackoff:
    """Fails when it is asked for the fifth time."""

    def window(self, tries: int) -> tuple[float, float]:
        """Raise after a while."""
        if tries == 5:
            raise ZeroDivisionError
        return 2.5, 5


async def test_a_backoff() -> None:
    """Half of the waits have a backoff that is slow or raises: these end with that error, all others with the truth."""
    random = Random(6)
    server = make_server(description_bytes=0)
    job_ids = [server.add_job(life_cycle=lives_at_random(random, 30, 60)) for _ in range(JOBS)]
    async with make_client(server, backoff=FixedInterval(5)) as client:
        slow, raising, sound = await asyncio.gather(
            wait_for_all(client, job_ids[::4], delay=0, backoff=SlowBackoff()),
            wait_for_all(client, job_ids[1::4], delay=0, backoff=RaisingBackoff()),
            wait_for_all(client, job_ids[::2], delay=0),
        )
        assert client.statistics().pending == 0
    check_truth(server, slow)
    check_truth(server, sound)
    assert {type(end.outcome) for end in raising.values()} == {ZeroDivisionError}


class Fetcher:
    """Raises in one of its methods, or has it hold the loop for a second."""

    def __init__(self, bad: str, *, raises: bool) -> None:
        self._bad = bad
        self._raises = raises

    def start(self) -> None:
        """Begin."""
        self._come_to("start")

    def stop(self) -> None:
        """End."""
        self._come_to("stop")

    def join(self) -> None:
        """Be done; it is called in a thread, which may well block."""
        if self._raises:
            self._come_to("join")
        else:
            time.sleep(0.01)

    def _come_to(self, method: str) -> None:
        if method == self._bad:
            if self._raises:
                raise ZeroDivisionError
            block(1)


@pytest.mark.parametrize("bad", ["get", "start", "stop", "join"])
@pytest.mark.parametrize("raises", [True, False], ids=["raises", "slow"])
async def test_a_log_fetcher(bad: str, raises: bool) -> None:
    """Whatever of a fetcher raises or is slow, the waits without one end with the truth, and in time."""
    random = Random(7)
    server = make_server(description_bytes=0)
    job_ids = [server.add_job(life_cycle=lives_at_random(random, 5, 20)) for _ in range(JOBS)]

    def get(_: str) -> Fetcher:
        fetcher = Fetcher(bad, raises=raises)
        fetcher._come_to("get")
        return fetcher

    async with make_client(server, backoff=FixedInterval(5)) as client:
        fetching, others = await asyncio.gather(
            wait_for_all(client, job_ids[:10], delay=0, get_batch_log_fetcher=get),
            wait_for_all(client, job_ids[10:], delay=0),
        )
        assert client.statistics().pending == 0
    check_truth(server, others)
    late = [end.at - (server.ended_at(job_id) or 0) for job_id, end in others.items()]
    # Ten of them hold the loop for a second each.
    assert max(late) <= 5 + 0.1 + (0 if raises else 10)
    if not raises:
        check_truth(server, fetching)
