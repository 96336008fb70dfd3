"""Log fetchers beside a wait."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from awaitbatch import ClientClosedError, FixedInterval
from tests.support import ENDED, LONG, Fetcher, make_client, make_server

from .support import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable


def always(fetcher: Fetcher) -> Callable[[str], Fetcher]:
    """A factory of just that fetcher."""
    return lambda _: fetcher


class AsyncFetcher(Fetcher):
    """The same with coroutine methods."""

    join_takes = 0.1

    async def start(self) -> None:  # type: ignore[override]
        """Note it."""
        await asyncio.sleep(0.1)
        self.calls.append("start")

    async def stop(self) -> None:  # type: ignore[override]
        """Note it."""
        await asyncio.sleep(0.1)
        self.calls.append("stop")

    async def join(self) -> None:  # type: ignore[override]
        """Note it."""
        await asyncio.sleep(self.join_takes)
        self.calls.append("join")


@pytest.mark.parametrize("make", [Fetcher, AsyncFetcher])
@pytest.mark.parametrize("life_cycle", [QUICK, ENDED], ids=["runs", "has ended"])
@pytest.mark.parametrize("is_coroutine", [True, False])
async def test_a_fetcher_is_started_stopped_and_joined(
    make: Callable[[], Fetcher], life_cycle: Any, is_coroutine: bool
) -> None:
    """As Airflow does it, also when the job had ended before; coroutine methods and factories are awaited."""
    server = make_server()
    job_id = server.add_job(life_cycle=life_cycle)
    fetcher = make()
    asked: list[str] = []

    def get(job_id: str) -> Fetcher:
        asked.append(job_id)
        return fetcher

    async def get_later(job_id: str) -> Fetcher:
        await asyncio.sleep(0.1)
        return get(job_id)

    async with make_client(server, backoff=FixedInterval(0.5)) as client:
        job = await client.wait_for_job(job_id, 0, get_later if is_coroutine else get)
    assert job["status"] == "SUCCEEDED"
    assert asked == [job_id]
    assert fetcher.calls == ["start", "stop", "join"]


@pytest.mark.parametrize("nothing", [None, False, 0, ""])
async def test_no_fetcher_is_fine(nothing: Any) -> None:
    """A factory may return None, or whatever else Airflow takes for no fetcher."""
    server = make_server()
    async with make_client(server) as client:
        job = await client.wait_for_job(server.add_job(life_cycle=ENDED), 0, lambda _: nothing)
    assert job["status"] == "SUCCEEDED"


@pytest.mark.parametrize("how", ["task", "scope", "stubborn"])
async def test_a_cancelled_wait_still_stops_and_joins(how: str) -> None:
    """However the wait is cancelled, and however often, stop and join run, and the cancellation goes on."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    fetcher = AsyncFetcher()
    async with make_client(server) as client:
        scope = anyio.CancelScope()

        async def wait() -> None:
            with scope:
                await client.wait_for_job(job_id, 0, lambda _: fetcher)

        task = asyncio.create_task(wait())
        await asyncio.sleep(30)
        assert fetcher.calls == ["start"]
        if how == "scope":
            scope.cancel()
        else:
            task.cancel()
        if how == "stubborn":
            for _ in range(5):
                await asyncio.sleep(0.02)
                task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert fetcher.calls == ["start", "stop", "join"]
        assert task.cancelled() is (how != "scope")
        assert client.statistics().pending == 0


async def test_a_join_that_hangs_is_left_behind_after_a_cancellation() -> None:
    """A cancelled wait waits for the fetcher no longer than close_timeout."""
    server = make_server()
    fetcher = AsyncFetcher()
    fetcher.join_takes = 1e6
    loop = asyncio.get_running_loop()
    async with make_client(server, close_timeout=2) as client:
        task = asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG), 0, lambda _: fetcher))
        await asyncio.sleep(30)
        begin = loop.time()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert loop.time() - begin == pytest.approx(2, abs=0.1)


async def test_closing_stops_fetchers_within_the_bound() -> None:
    """aclose() lets fetchers end, but no longer than close_timeout."""
    server = make_server()
    quick, slow = AsyncFetcher(), AsyncFetcher()
    slow.join_takes = 1e6
    loop = asyncio.get_running_loop()
    client = make_client(server, close_timeout=3)
    await client.open()
    waits = [
        asyncio.create_task(client.wait_for_job(server.add_job(life_cycle=LONG), 0, always(fetcher)))
        for fetcher in (quick, slow)
    ]
    await asyncio.sleep(30)
    begin = loop.time()
    await client.aclose()
    assert loop.time() - begin < 3.1
    assert quick.calls == ["start", "stop", "join"]
    assert slow.calls == ["start", "stop"]
    for outcome in await asyncio.gather(*waits, return_exceptions=True):
        assert isinstance(outcome, ClientClosedError)


async def test_a_fetcher_that_raises_is_the_error_of_its_wait() -> None:
    """Errors of the factory, of start, and of stop reach the caller; stop and join are called all the same."""

    class Bad(Fetcher):
        fails = "start"

        def start(self) -> None:
            super().start()
            if self.fails == "start":
                raise KeyError(self.fails)

        def stop(self) -> None:
            super().stop()
            if self.fails == "stop":
                raise KeyError(self.fails)

    server = make_server()
    async with make_client(server) as client:
        for fails in ("start", "stop"):
            fetcher = Bad()
            fetcher.fails = fails
            with pytest.raises(KeyError, match=fails):
                await client.wait_for_job(server.add_job(life_cycle=ENDED), 0, always(fetcher))
            assert fetcher.calls == ["start", "stop", "join"]

        def raising(job_id: str) -> Fetcher:
            raise LookupError(job_id)

        with pytest.raises(LookupError):
            await client.wait_for_job(server.add_job(life_cycle=ENDED), 0, raising)


async def test_the_first_error_is_the_one_that_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    """If a fetcher fails as it is stopped, too, the log says so, and the wait's caller learns why the wait ended."""

    class NeverStarted(Fetcher):
        def start(self) -> None:
            message = "can't start new thread"
            raise RuntimeError(message)

        def join(self) -> None:
            message = "cannot join thread before it is started"
            raise RuntimeError(message)

    server = make_server()
    async with make_client(server) as client:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await client.wait_for_job(server.add_job(life_cycle=ENDED), 0, always(NeverStarted()))
    assert "a log fetcher failed while it was stopped: RuntimeError: cannot join thread" in caplog.text


async def test_a_join_waits_for_a_thread_when_there_are_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may start no thread for a moment costs nobody the result of a wait."""
    refusals = iter(["no", "no"])

    start = threading.Thread.start

    def start_if_possible(thread: threading.Thread) -> None:
        if next(refusals, None) is not None:
            message = "can't start new thread"
            raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_possible)
    server = make_server()
    fetcher = Fetcher()
    async with make_client(server) as client:
        job = await client.wait_for_job(server.add_job(life_cycle=ENDED), 0, always(fetcher))
    assert job["status"] == "SUCCEEDED"
    assert fetcher.calls == ["start", "stop", "join"]


async def test_a_join_that_raises_stop_iteration_hangs_nobody() -> None:
    """Futures refuse this one exception; the wait gets it in another's clothes."""

    class Exhausted(Fetcher):
        def join(self) -> None:
            next(iter(()))

    server = make_server()
    async with make_client(server) as client:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await client.wait_for_job(server.add_job(life_cycle=ENDED), 0, always(Exhausted()))
