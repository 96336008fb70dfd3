"""What pytest offers wherever awaitbatch is installed, under each plugin that runs async tests and under none."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from awaitbatch.testing import LifeCycle, pytest_plugin
from awaitbatch.testing.virtual_time import VirtualTimeLoop
from tests.imports import HEAVY, imported_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

pytest_plugins = ["pytester"]

QUICK = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)

TESTS = """
import asyncio
import pytest
from awaitbatch import MaxRetriesExceededError
from awaitbatch.testing import LifeCycle
from awaitbatch.testing.virtual_time import ANYIO_BACKEND, VirtualTimeLoop

def is_virtual():
    return isinstance(asyncio.get_running_loop(), VirtualTimeLoop)

async def wait_an_hour(server, client):
    job_id = server.add_job(life_cycle=LifeCycle(running=3600))
    assert is_virtual()
    assert (await client.wait_for_job(job_id))["status"] == "SUCCEEDED"
    assert 3600 < asyncio.get_running_loop().time() < 3700
    assert server.ended_at(job_id) < 3700

async def describe(server, client):
    job_id = server.add_job()
    assert not is_virtual()
    assert (await client.describe(job_id))["jobId"] == job_id
"""

ANYIO = """
@pytest.mark.anyio
@pytest.mark.virtual_time
async def test_an_hour_on_anyio(batch_server, batch_client):
    await wait_an_hour(batch_server, batch_client)

class TestWithAnyio:
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self):
        return ANYIO_BACKEND

    async def test_its_backend_alone(self, batch_server, batch_client):
        await wait_an_hour(batch_server, batch_client)

    async def test_that_hangs(self, batch_client):
        await asyncio.Event().wait()

@pytest.mark.anyio
@pytest.mark.virtual_time
async def test_that_hangs_on_anyio(batch_client):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass

# Some versions of anyio run each test on trio, too, and others do so only where it is installed.
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_real_time_on_anyio(batch_server, batch_client):
    await describe(batch_server, batch_client)

@pytest.mark.anyio
@pytest.mark.virtual_time
@pytest.mark.parametrize("number, anyio_backend", [(1, "asyncio")])
async def test_refused_on_anyio(number):
    assert number != 1, "it was run"

@pytest.mark.parametrize("anyio_backend", ["trio"])
def test_refused_on_trio(anyio_backend, batch_client):
    pass

async def test_refused_without_a_mark(batch_client):
    pass

def test_refused_without_a_loop(batch_client):
    pass

def test_without_a_loop(batch_server):
    assert batch_server.client_arguments["endpoint_url"].startswith("http://127.0.0.1:")

@pytest.mark.anyio
@pytest.mark.virtual_time
class TestOptions:
    @pytest.fixture
    def batch_server_options(self):
        return {"region_name": "eu-west-1"}

    @pytest.fixture
    def batch_client_options(self):
        return {"max_retries": 7}

    async def test_both(self, batch_server, batch_client):
        job_id = batch_server.add_job(life_cycle=LifeCycle(running=3600))
        with pytest.raises(MaxRetriesExceededError, match="8 checks"):
            await batch_client.wait_for_job(job_id)
        assert "eu-west-1" in repr(batch_client)
"""

ASYNCIO = """
@pytest.fixture(autouse=True)
def nobody_else_is_asked(request):
    # Whoever has this hook must know a loop for each test, also for those that are none of its business.
    assert not request.config.hook.pytest_asyncio_loop_factories.get_hookimpls()

@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_an_hour_on_asyncio(batch_server, batch_client):
    await wait_an_hour(batch_server, batch_client)

@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_that_hangs_on_asyncio(batch_client):
    await asyncio.sleep(2)
    await asyncio.Event().wait()

@pytest.mark.asyncio
async def test_real_time_on_asyncio(batch_server, batch_client):
    await describe(batch_server, batch_client)

@pytest.mark.asyncio
@pytest.mark.anyio
@pytest.mark.virtual_time
async def test_marks_of_both(batch_server, batch_client):
    await wait_an_hour(batch_server, batch_client)

@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [1, 2])
async def test_a_loop_of_many_tests(batch_server, batch_client, number):
    await describe(batch_server, batch_client)

@pytest.mark.asyncio(loop_scope="class")
@pytest.mark.virtual_time
class TestVirtualLoopOfMany:
    async def test_first(self, batch_server, batch_client):
        await asyncio.sleep(100)
        assert batch_server.status_of(batch_server.add_job()) == "SUBMITTED"

    async def test_second(self, batch_server, batch_client):
        assert is_virtual()
        assert asyncio.get_running_loop().time() >= 100

def test_moto_is_missing(monkeypatch, request):
    monkeypatch.setattr("awaitbatch.testing._process.moto_server.find_spec", lambda name: None)
    request.getfixturevalue("moto_batch_server")
"""


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """Run tests in a process of its own, where every warning is an error."""
    pytester.makepyfile(TESTS + tests)
    scope = "" if "-pno:asyncio" in options else "asyncio_default_fixture_loop_scope = function\n"
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{scope}")
    unneeded = ("cacheprovider", "hypothesispytest", "pytest_cov")
    return pytester.runpytest_subprocess(*(f"-pno:{name}" for name in unneeded), "-rs", *options)


def test_with_pytest_asyncio_and_anyio_side_by_side(pytester: pytest.Pytester) -> None:
    """Each runs its own tests in virtual or in real time, and what cannot be says why."""
    result = run(pytester, ANYIO + ASYNCIO, "-pno:xdist")
    result.assert_outcomes(passed=12, failed=4, errors=3, skipped=1)
    result.stdout.fnmatch_lines_random(
        [
            "*the mark virtual_time needs awaitbatch's VirtualTimeLoop, and this test runs on asyncio.*",
            "*batch_client needs asyncio, as BatchClient does, and this test runs on trio",
            "*no plugin runs this async test: give it the mark anyio, *",
            "*`with awaitbatch.threads.shared(*",
            "*DeadlockError: deadlock at 0.0 s: *",
            "*DeadlockError: deadlock at 2.0 s: *",
            '*SKIPPED *MotoServer needs moto: pip install "awaitbatch[[]moto[]]"',
        ]
    )


def test_without_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """Anyio's plugin runs async tests alone, here in a process of xdist's."""
    result = run(pytester, ANYIO, "-pno:asyncio", "-n1")
    # Of those that hang, nothing is left in the way of tearing down their fixtures.
    result.assert_outcomes(passed=5, failed=3, errors=3)


def test_a_loop_that_is_none_of_asyncios() -> None:
    """A test with the mark that another library runs, such as trio, is refused at its first step."""

    async def test() -> None:
        """It would pass."""

    with pytest.raises(pytest.fail.Exception, match="this test runs on no loop of asyncio's"):
        pytest_plugin._in_virtual_time_only(test)().send(None)


def test_pytest_does_not_compile_all_of_awaitbatch() -> None:
    """It rewrites the asserts of plugins, and of the package that brings one, unless it is kept from that."""
    rewritten = {
        name
        for name, module in sys.modules.items()
        if name.startswith("awaitbatch") and isinstance(module.__loader__, AssertionRewritingHook)
    }
    # These came before it was.
    assert rewritten <= {"awaitbatch", "awaitbatch.testing", "awaitbatch.testing.pytest_plugin"}


def test_loading_it_is_quick() -> None:
    """It waits for none of the packages that its fixtures need, and not for asyncio either."""
    imported = imported_by("-c", "import awaitbatch.testing.pytest_plugin")
    assert {"awaitbatch", "pytest"} <= imported
    assert not imported & {*HEAVY, "asyncio"}


# Under pytest-asyncio's auto mode, which is that of our tests.


class Service:
    """What a user might test: it notes the jobs that have ended."""

    def __init__(self, client: BatchClient) -> None:
        self.client = client
        self.ended: list[str] = []

    async def follow(self, job_ids: list[str]) -> None:
        """Note each end."""
        async for outcome in self.client.as_completed(job_ids):
            self.ended.append(outcome.job_id)


@pytest.fixture
async def service(batch_server: BatchServer, batch_client: BatchClient) -> AsyncIterator[Service]:
    """A service that is up while its fixture is, and uses the client already."""
    service = Service(batch_client)
    await service.follow([batch_server.add_job(life_cycle=QUICK)])
    yield service
    await service.follow([batch_server.add_job(life_cycle=QUICK)])
    assert len(service.ended) == 3


@pytest.mark.virtual_time
async def test_a_fixture_uses_the_client_in_virtual_time(service: Service, batch_server: BatchServer) -> None:
    """The client is open before and after the test; the server has no URL, and says what to use in its place."""
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
    await service.follow([batch_server.add_job(life_cycle=LifeCycle(running=3600))])
    with pytest.raises(
        RuntimeError, match=r"no network.*BatchClient\(transport=batch_server.transport\(\)\)"
    ):
        _ = batch_server.client_arguments


async def test_a_fixture_uses_the_client_in_real_time(service: Service, batch_server: BatchServer) -> None:
    """The same over HTTP, on the loop of the test."""
    await service.follow([batch_server.add_job(life_cycle=QUICK)])
    assert batch_server.statistics.calls["DescribeJobs"] >= 2


@pytest.fixture
def job_of_a_synchronous_fixture(batch_server: BatchServer) -> str:
    """Added while no loop runs."""
    return batch_server.add_job(life_cycle=LifeCycle(running=60))


@pytest.mark.virtual_time
async def test_a_clock_begins_with_the_loop(
    job_of_a_synchronous_fixture: str, batch_server: BatchServer
) -> None:
    """A job that was added before the test began is as old as the loop."""
    await asyncio.sleep(10)
    assert batch_server.status_of(job_of_a_synchronous_fixture) == "RUNNING"
    assert batch_server.ended_at(job_of_a_synchronous_fixture) is None
    await asyncio.sleep(51)
    assert batch_server.ended_at(job_of_a_synchronous_fixture) == 60.7


def test_calls_from_a_synchronous_test(batch_server: BatchServer) -> None:
    """Any client of HTTP is answered while the test does nothing but wait, and no job of another test is there."""
    assert "0 jobs" in repr(batch_server)
    job_id = batch_server.add_job(life_cycle=QUICK)
    request = urllib.request.Request(
        f"{batch_server.endpoint_url}/v1/describejobs", json.dumps({"jobs": [job_id]}).encode()
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert [job["status"] for job in json.load(response)["jobs"]] == ["SUCCEEDED"]


async def test_a_test_waits_while_a_call_is_answered(
    batch_server: BatchServer, batch_client: BatchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a test does to a server in another thread never meets a call that is half answered."""
    job_id = batch_server.add_job()
    perform = batch_server._model.perform
    test = threading.Thread(target=batch_server.add_job)
    waited: list[bool] = []

    def perform_slowly(*arguments: Any) -> bytes:
        test.start()
        test.join(0.05)
        waited.append(test.is_alive())
        return perform(*arguments)

    monkeypatch.setattr(batch_server._model, "perform", perform_slowly)
    await batch_client.describe(job_id)
    assert waited == [True]
    await asyncio.to_thread(test.join)
    assert "2 jobs" in repr(batch_server)
