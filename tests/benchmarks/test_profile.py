"""What a profile says of whom."""

from __future__ import annotations

from benchmarks.profile import LOOP, owners

STACKS = """\
<module> (benchmarks/cpu.py);run (asyncio/runners.py);call (awaitbatch/_core/windows.py) 3
<module> (benchmarks/cpu.py);call (awaitbatch/coalescer.py);sign (botocore/auth.py);digest (hmac.py) 5
<module> (benchmarks/cpu.py);<module> (benchmarks/cpu.py);run (asyncio/runners.py);select (selectors.py) 2
<module> (benchmarks/cpu.py);_find_and_load (<frozen importlib._bootstrap>);<module> (botocore/auth.py) 100
Thread.run (threading.py);_worker (concurrent/futures/thread.py) 100
a.<locals>.<listcomp> (/somewhere/site-packages/aiohttp/client.py) 1
"""


def test_a_sample_belongs_to_the_innermost_function_of_a_package() -> None:
    """What the standard library does counts for its caller; what has no caller counts for the event loop."""
    assert owners(STACKS.splitlines()) == {
        ("awaitbatch", "_core.windows.call"): 3,
        ("botocore", "auth.sign"): 5,
        (LOOP, ""): 2,
        ("aiohttp", "client.a.<locals>.<listcomp>"): 1,
    }
