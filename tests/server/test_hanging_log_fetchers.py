"""Log fetchers whose join never returns; in real time, since a clock that waits for threads would stand still."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support import ENDED, Fetcher, PromptClient, make_server, until

HANGING = 60


async def test_fetchers_whose_join_hangs_hold_up_no_other_wait() -> None:
    """However many joins never return, the next wait ends, and closing takes no longer than close_timeout."""
    server = make_server()
    loop = asyncio.get_running_loop()
    released = threading.Event()
    joining: list[str] = []

    class Hanging(Fetcher):
        def join(self) -> None:
            joining.append("join")
            released.wait()

    try:
        async with PromptClient(transport=server.transport(latency=0), close_timeout=0.5) as client:
            stuck = [
                asyncio.create_task(
                    client.wait_for_job(
                        server.add_job(life_cycle=ENDED), get_batch_log_fetcher=lambda _: Hanging()
                    )
                )
                for _ in range(HANGING)
            ]
            await until(lambda: len(joining) == HANGING)
            fetcher = Fetcher()
            async with asyncio.timeout(30):
                await client.wait_for_job(
                    server.add_job(life_cycle=ENDED), get_batch_log_fetcher=lambda _: fetcher
                )
            assert fetcher.calls == ["start", "stop", "join"]
            assert not any(wait.done() for wait in stuck)
            begin = loop.time()
        assert loop.time() - begin == pytest.approx(0.5, abs=0.3)
        await asyncio.gather(*stuck, return_exceptions=True)
    finally:
        released.set()
