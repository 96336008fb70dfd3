"""What holds for every test: on which event loop it runs, and what it may not leave behind.

A test's directory chooses its loop:

| directory | loop |
|---|---|
| `tests/core`, `tests/jobs` | none: plain functions with literal times |
| `tests/shell`, `tests/survival`, the mark `virtual_time` | `VirtualTimeLoop`, on which no sleep takes real time |
| `tests/server`, and the files that `_BOTH_LOOPS` names | asyncio's and uvloop's, with real sockets |
| anywhere else, as `tests/testing` | asyncio's, with real sockets |

Tests with the mark `soak` take minutes of real time: `make soak` runs them, and nothing else does.

An async test fails when a task that it or its fixtures started outlives it, and when its loop reports an exception
that nobody retrieved. A blocking call on the loop raises `BlockingError` if code of the package makes it;
`awaitbatch.testing` and the command line may, as they start processes.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiobotocore.session import AioSession
from blockbuster import blockbuster_ctx

from awaitbatch._coalescer import DescribeCoalescer
from awaitbatch._core.throttle import ThrottleParameters
from awaitbatch.testing.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

_HERE = Path(__file__).parent
_BOTH_LOOPS = ("server", "soak/test_chaos.py", "testing/test_faults.py")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops on which to run an async test, as the table above says; the mark is our pytest plugin's business."""
    in_virtual_time = any(item.path.is_relative_to(_HERE / name) for name in ("shell", "survival"))
    if in_virtual_time:
        return {"virtual": VirtualTimeLoop}
    if any(item.path.is_relative_to(_HERE / name) for name in _BOTH_LOOPS):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what has been imported and collected, as it lasts as long as the tests.

    It would look at all of that again and again: an eighth of the time that the tests take.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Keep the credentials, the region and the profiles of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """Let blocking calls on an event loop raise, for as long as the tests run."""
    with blockbuster_ctx(
        "awaitbatch", excluded_modules=["awaitbatch.testing", "awaitbatch.cli"]
    ) as blockbuster:
        # A lock that is held for an instant, as by logging or a queue, is no blocking call.
        blockbuster.functions["threading.Lock.acquire"].deactivate()
        for function in blockbuster.functions.values():
            # Of the first client of a session, what cannot leave the loop's thread.
            function.can_block_in("aiobotocore/session.py", {"_create_client", "create_client"})
            # A loop of its own, in a thread that nobody else is in.
            function.can_block_in("awaitbatch/_credentials.py", {"_run"})
        yield


@pytest.fixture(scope="session")
def session() -> AioSession:
    """What takes most of the time that it takes to make a client, shared."""
    return AioSession()


@pytest.fixture
def _no_slow_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client begin with all the calls a second that it may make; failures would not teach it to make more."""
    monkeypatch.setattr(DescribeCoalescer, "throttle_parameters", ThrottleParameters(start_rate=1000.0))


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest) -> None:
    """Judge async tests, and give the others no loop."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("_clean_loop")


@pytest.fixture
async def _clean_loop() -> AsyncIterator[None]:
    """Fail a test that leaves tasks running, or an exception that nobody retrieved.

    It is set up before the other fixtures of a test and torn down after them, so it judges these too.
    """
    reports: list[str] = []

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        reports.append(f"{context['message']}: {context.get('exception')!r}")
        loop.default_exception_handler(context)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report)
    yield
    # A task that is to end may need a few turns, and an unretrieved exception shows when its task is collected:
    # the young generations are enough for what the test has just made, and far cheaper than all.
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect(1)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        pytest.fail("\n  ".join(["the test left tasks running:", *map(repr, left)]), pytrace=False)
    if reports:
        pytest.fail("\n  ".join(["the event loop reported:", *reports]), pytrace=False)
