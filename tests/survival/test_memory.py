"""What many checks leave in memory: nothing."""

from __future__ import annotations

from .memory import growth, watch_jobs


async def test_fifty_thousand_checks() -> None:
    """With 1,000 waits that come and go, objects do not grow in number, and no body of an answer stays alive."""
    samples = [sample async for sample in watch_jobs(1000, 50_000)]
    assert samples[-1].waits > 1000
    assert {sample.bodies for sample in samples} == {0}
    assert growth([sample.objects for sample in samples]) < 0.05
