"""Waits for compute environments and job queues, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch import (
    BatchClient,
    CallError,
    ClientClosedError,
    FixedInterval,
    MaxRetriesExceededError,
    ResourceInvalidError,
    ResourceNotFoundError,
)
from awaitbatch.instrumentation import CallEnded
from awaitbatch.testing import Fault, TokenBucket
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import make_client, make_server, of_kind

if TYPE_CHECKING:
    from awaitbatch.instrumentation import Event
    from awaitbatch.testing import BatchServer


class Kind:
    """One of the two kinds of resources."""

    def __init__(self, server: BatchServer, client: BatchClient, *, is_queue: bool) -> None:
        self.server = server
        self.noun = "job queue" if is_queue else "compute environment"
        self.set = server.set_job_queue if is_queue else server.set_compute_environment
        self.operation = "DescribeJobQueues" if is_queue else "DescribeComputeEnvironments"
        self.member = "jobQueue" if is_queue else "computeEnvironment"
        self.use(client)

    def use(self, client: BatchClient) -> None:
        """Wait by way of a client."""
        is_queue = self.noun == "job queue"
        self.wait = client.wait_for_job_queue if is_queue else client.wait_for_compute_environment

    @property
    def calls(self) -> int:
        """Calls that the server has seen."""
        return self.server.statistics.calls[self.operation]


@pytest.fixture(params=[False, True], ids=["environment", "queue"])
async def kind(request: pytest.FixtureRequest, server: BatchServer, client: BatchClient) -> Kind:
    """Each of the two kinds."""
    return Kind(server, client, is_queue=request.param)


def now() -> float:
    """Seconds of virtual time."""
    return asyncio.get_running_loop().time()


async def test_one_that_becomes_valid(kind: Kind) -> None:
    """The wait gives its description; a name and an ARN are as good."""
    kind.set("one", after=5)
    began = now()
    description = await kind.wait("one")
    assert (description[f"{kind.member}Name"], description["status"]) == ("one", "VALID")
    assert 5 <= now() - began <= 6.1
    assert await kind.wait(description[f"{kind.member}Arn"]) == description


async def test_one_that_is_deleted(kind: Kind) -> None:
    """DELETED is awaited, or that AWS Batch does not know it any more; then there is no description."""
    kind.set("one", "DELETED", after=5)
    assert (await kind.wait("one", until="DELETED"))["status"] == "DELETED"
    kind.set("two")
    kind.set("two", None, after=5)
    assert await kind.wait("two", until="DELETED") == {}
    began = now()
    assert await kind.wait("nobody", until="DELETED") == {}
    assert now() - began < 0.3


@pytest.mark.parametrize("awaited", ["VALID", "DELETED"])
async def test_one_that_is_invalid(kind: Kind, awaited: Any) -> None:
    """The error says what AWS Batch says, and what to do; whatever is awaited."""
    kind.set("one", "INVALID", "CLIENT_ERROR - no role", after=3)
    text = rf"AWS Batch {kind.noun} \(one\) is INVALID \(CLIENT_ERROR - no role\); correct what it says"
    with pytest.raises(ResourceInvalidError, match=text) as caught:
        await kind.wait("one", until=awaited)
    assert (caught.value.name, caught.value.reason) == ("one", "CLIENT_ERROR - no role")
    kind.set("one", "INVALID")
    with pytest.raises(ResourceInvalidError, match=r"\(one\) is INVALID; correct"):
        await kind.wait("one", until=awaited)


async def test_one_that_is_absent(kind: Kind) -> None:
    """It is asked for again for three seconds, since one that was just created can be absent for a moment."""
    began = now()
    text = rf"AWS Batch {kind.noun} \(one\) not found: check its name, the region and the account"
    with pytest.raises(ResourceNotFoundError, match=text) as caught:
        await kind.wait("one")
    assert (caught.value.name, caught.value.seen, kind.calls) == ("one", False, 4)
    assert 1.5 < now() - began < 3
    wait = asyncio.create_task(kind.wait("one"))
    await asyncio.sleep(0.5)
    kind.set("one")
    assert (await wait)["status"] == "VALID"
    with pytest.raises(ResourceNotFoundError):
        await kind.wait("two", status_retries=9)
    assert kind.calls > 4 + 2 + 8


async def test_one_that_vanishes(kind: Kind) -> None:
    """One that should become VALID and is deleted is not found any more."""
    for gone in (None, "DELETED"):
        state: Any = gone
        kind.set("one", after=50)
        wait = asyncio.create_task(kind.wait("one"))
        await asyncio.sleep(3)
        kind.set("one", state, after=3)
        with pytest.raises(
            ResourceNotFoundError, match=r"it was last seen as DELET.*somebody has deleted it"
        ) as caught:
            await wait
        assert caught.value.seen


async def test_waits_share_calls(kind: Kind) -> None:
    """A hundred names travel in a call, whoever waits for them; two who wait for one share its place."""
    names = [f"name-{number}" for number in range(200)]
    for name in names:
        kind.set(name, after=20)
    await asyncio.gather(*(kind.wait(name) for name in [*names, *names]))
    # Every second, and two calls each.
    assert kind.calls <= 2 * 45


async def test_who_comes_later_shares_calls(kind: Kind) -> None:
    """Waits that begin at different moments are checked together before long."""
    names = [f"name-{number}" for number in range(50)]
    for name in names:
        kind.set(name, after=60)
    waits = []
    for name in names:
        waits.append(asyncio.create_task(kind.wait(name)))
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    before = kind.calls
    await asyncio.gather(*waits)
    assert kind.calls - before < 130


async def test_the_two_kinds_share_no_call(server: BatchServer, client: BatchClient) -> None:
    """A queue and an environment of one name are two things."""
    server.set_job_queue("one", after=2)
    server.set_compute_environment("one", "INVALID", "no role", after=2)
    queue = asyncio.create_task(client.wait_for_job_queue("one"))
    with pytest.raises(ResourceInvalidError):
        await client.wait_for_compute_environment("one")
    assert (await queue)["status"] == "VALID"


async def test_a_bad_name_harms_no_other(kind: Kind) -> None:
    """If AWS Batch refuses a call for one of its names, the others are answered all the same."""

    class Picky(InProcessTransport):
        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            if "bad" in parameters[f"{kind.member}s"]:
                parameters = {f"{kind.member}s": ["x"] * 101}
            return await super().call(operation, **parameters)

    names = [f"name-{number}" for number in range(20)]
    for name in names:
        kind.set(name)
    async with make_client(Picky(kind.server, latency=0.02), backoff=FixedInterval(1)) as client:
        kind.use(client)
        waits = [asyncio.create_task(kind.wait(name)) for name in [*names[:10], "bad", *names[10:]]]
        ends = await asyncio.gather(*waits, return_exceptions=True)
    refused = ends.pop(10)
    assert isinstance(refused, CallError)
    assert f"AWS Batch {kind.noun} (bad) could not be described" in str(refused)
    assert str(refused).endswith("; check its name")
    assert [end["status"] for end in ends if isinstance(end, dict)] == ["VALID"] * 20


@pytest.mark.parametrize("fault", [Fault.SERVER_EXCEPTION, Fault.TOO_MANY_REQUESTS, Fault.HTML, Fault.HANG])
async def test_trouble_that_passes(kind: Kind, fault: Fault) -> None:
    """Failures cost a wait nothing but time."""
    kind.set("one", after=30)
    rule = kind.server.inject(fault, end=60)
    assert (await kind.wait("one"))["status"] == "VALID"
    assert now() >= 60
    assert rule.hits >= 3


async def test_throttling(kind: Kind) -> None:
    """A hundred waits behind a limit of a call each two seconds: none fails."""
    server = make_server(bucket={kind.operation: TokenBucket(0.5, 1)})
    setter = server.set_job_queue if kind.noun == "job queue" else server.set_compute_environment
    for number in range(100):
        setter(f"name-{number}", after=30)
    events: list[Event] = []
    async with make_client(server, backoff=FixedInterval(1), observers=[events.append]) as client:
        kind.use(client)
        await asyncio.gather(*(kind.wait(f"name-{number}") for number in range(100)))
    outcomes = [event.outcome for event in of_kind(CallEnded, events)]
    assert {*outcomes} == {"answered", "throttled"}


async def test_trouble_that_lasts(kind: Kind) -> None:
    """What would come again ends a wait at once if there never was an answer; after one it has to last."""
    kind.set("one", after=1e6)
    rule = kind.server.inject(Fault.ACCESS_DENIED)
    began = now()
    text = rf"\(one\) could not be described.*; allow batch:{kind.operation} in the IAM policy"
    with pytest.raises(CallError, match=text) as caught:
        await kind.wait("one")
    assert now() - began < 1
    assert (caught.value.operation, caught.value.http_status) == (kind.operation, 403)
    assert caught.value.__cause__ is not None
    kind.server.heal(rule)
    wait = asyncio.create_task(kind.wait("one"))
    await asyncio.sleep(5)
    kind.server.inject(Fault.ACCESS_DENIED)
    began = now()
    with pytest.raises(CallError, match=r"after .* checks"):
        await wait
    assert now() - began > 300


async def test_limits(kind: Kind) -> None:
    """`max_retries` and `backoff` are as for waits for jobs; a backoff that raises ends its own wait."""
    kind.set("one", "CREATING", "not yet", after=0)
    text = (
        rf"AWS Batch {kind.noun} \(one\) status checks exceed max_retries: 4 checks, .* CREATING \(not yet\)"
    )
    with pytest.raises(MaxRetriesExceededError, match=text) as caught:
        await kind.wait("one", max_retries=3)
    assert (caught.value.checks, caught.value.last_status) == (4, "CREATING")
    began = now()
    with pytest.raises(MaxRetriesExceededError):
        await kind.wait("one", max_retries=3, backoff=FixedInterval(100))
    assert now() - began > 150

    class Broken:
        def window(self, tries: int) -> tuple[float, float]:
            raise ZeroDivisionError(tries)

    with pytest.raises(ZeroDivisionError) as broken:
        await kind.wait("one", backoff=Broken())
    assert broken.value.__notes__ == [f"raised by the backoff of a wait for AWS Batch {kind.noun} (one)"]


@pytest.mark.parametrize(
    ("name", "arguments", "error", "text"),
    [
        ("", {}, ValueError, "not a {noun}: '' .expected at most 128 letters"),
        ("a b", {}, ValueError, "not a {noun}: 'a b'"),
        ("arn:aws:batch:eu-west-1:111122223333:job/one", {}, ValueError, "or its ARN"),
        (["one"], {}, TypeError, "the name of a {noun} must be a str"),
        ("one", {"until": "INVALID"}, ValueError, "until must be one of VALID, DELETED, not 'INVALID'"),
        ("one", {"max_retries": -1}, ValueError, "max_retries must be at least 0"),
        ("one", {"retries": 1}, TypeError, "unexpected keyword argument 'retries'"),
    ],
)
async def test_arguments_that_make_no_sense(
    kind: Kind, name: Any, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(error, match=text.format(noun=kind.noun)):
        await kind.wait(name, **arguments)
    assert kind.calls == 0


async def test_who_is_cancelled_leaves_nothing(kind: Kind) -> None:
    """A wait that is cancelled is asked for no more, and the last one ends the task that asks."""
    kind.set("one", after=1e6)
    kind.set("two", after=30)
    wait, other = asyncio.create_task(kind.wait("one")), asyncio.create_task(kind.wait("two"))
    await asyncio.sleep(3)
    wait.cancel()
    await asyncio.gather(wait, other, return_exceptions=True)
    assert wait.cancelled()
    assert other.result()["status"] == "VALID"
    await asyncio.sleep(0.1)
    before = kind.calls
    await asyncio.sleep(100)
    assert kind.calls == before
    assert not [task for task in asyncio.all_tasks() if "Describe" in task.get_name()]


async def test_closing_the_client(kind: Kind) -> None:
    """It ends the waits at once, also those whose call hangs."""
    kind.set("one", after=1e6)
    client = make_client(kind.server)
    kind.use(client)
    for fault in (False, True):
        client = make_client(kind.server)
        kind.use(client)
        async with client:
            if fault:
                kind.server.inject(Fault.HANG)
            wait = asyncio.create_task(kind.wait("one"))
            await asyncio.sleep(1)
            began = now()
        with pytest.raises(ClientClosedError, match=rf"{kind.noun} \(one\): the client was closed before"):
            await wait
        assert now() - began < 0.1


async def test_users_of_a_shared_client(kind: Kind) -> None:
    """They share calls, and who leaves ends his own waits and nobody else's."""
    transport = kind.server.transport()
    kind.set("one", after=30)
    async with BatchClient.shared(transport=transport, linger=0) as other:
        kind.use(other)
        others = asyncio.create_task(kind.wait("one"))
        async with BatchClient.shared(transport=transport, linger=0) as user:
            kind.use(user)
            wait = asyncio.create_task(kind.wait("one"))
            await asyncio.sleep(3)
        with pytest.raises(ClientClosedError):
            await wait
        assert (await others)["status"] == "VALID"
    await asyncio.sleep(1)


async def test_an_answer_in_pages(kind: Kind) -> None:
    """An answer that comes in pages is read to its end before a name counts as absent."""

    class InPages(InProcessTransport):
        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            return await super().call(operation, **parameters, maxResults=1)

    for number in range(5):
        kind.set(f"name-{number}")
    async with make_client(InPages(kind.server, latency=0.02)) as client:
        kind.use(client)
        await asyncio.gather(*(kind.wait(f"name-{number}") for number in range(5)))
    assert kind.calls == 5


async def test_a_page_that_comes_again_and_again(kind: Kind) -> None:
    """It is a check without a result, and not asked for without end."""

    class Stuck(InProcessTransport):
        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            parameters.pop("nextToken", None)
            return {**await super().call(operation, **parameters), "nextToken": "next"}

    kind.set("one", after=5)
    async with make_client(Stuck(kind.server, latency=0.02)) as client:
        kind.use(client)
        with pytest.raises(MaxRetriesExceededError) as caught:
            await kind.wait("one", max_retries=3, backoff=FixedInterval(1))
    assert "has the nextToken that it was asked with" in str(caught.value.__cause__)


@pytest.mark.parametrize("junk", [None, 7, {"status": 5}, {"computeEnvironmentName": [], "jobQueueName": {}}])
async def test_an_answer_that_is_garbled(kind: Kind, junk: object) -> None:
    """What cannot be read is a check without a result, or passed over."""

    class Garbled(InProcessTransport):
        calls = 0

        async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
            answer = await super().call(operation, **parameters)
            self.calls += 1
            if self.calls <= 2:
                answer[f"{kind.member}s"].insert(0, junk)
            return answer

    kind.set("one", after=5)
    async with make_client(Garbled(kind.server, latency=0.02)) as client:
        kind.use(client)
        assert (await kind.wait("one"))["status"] == "VALID"
