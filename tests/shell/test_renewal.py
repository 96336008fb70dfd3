"""Credentials that go bad for good, and a transport that can get others: once for all, and waits go on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from awaitbatch import BatchClient, ClientClosedError, DescribeError, FixedInterval
from awaitbatch.instrumentation import CallEnded, CredentialsRenewed, Event, JobChanged, TerminationUnclaimed
from awaitbatch.testing import BatchServer, LifeCycle
from awaitbatch.testing._in_process import InProcessTransport
from tests.support import ENDED, LONG, make_client, make_server, of_kind, until

from .support import client_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

JOB: SubmitJobRequestTypeDef = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}
REFUSED = "UnrecognizedClientException"


class Rotating(InProcessTransport):
    """Calls have a key that AWS takes or refuses; `renew` brings the next one.

    Args:
        server: What is behind it.
        is_good: Whether a key is taken for a call of an operation.
        code: What refused calls fail with.
    """

    def __init__(
        self, server: BatchServer, is_good: Callable[[int, str], bool], *, code: str = REFUSED
    ) -> None:
        super().__init__(server, latency=0.02)
        self.key = 0
        self.is_good = is_good
        self.code = code
        self.refused = 0
        self.renewed: list[float] = []
        self.failures: list[Exception] = []
        self.seconds = 0.5
        self.under_way = 0

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """Look at the key when the call is on its way."""
        await self._check("DescribeJobs")
        return await super().describe_jobs(job_ids)

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """The same."""
        await self._check(operation)
        return await super().call(operation, **parameters)

    async def _check(self, operation: str) -> None:
        key = self.key
        await asyncio.sleep(0.01)
        if not self.is_good(key, operation):
            self.refused += 1
            raise client_error(
                403, self.code, "The security token included in the request is invalid.", operation
            )

    async def renew(self) -> None:
        """Take a while, and fail to order."""
        assert self.under_way == 0
        self.under_way += 1
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
            self.renewed.append(now())
        if self.failures:
            raise self.failures.pop(0)
        self.key += 1


def now() -> float:
    """The time of the loop."""
    return asyncio.get_running_loop().time()


def rotated(server: BatchServer, moment: float, good: int = 1, **settings: Any) -> Rotating:
    """From a moment on AWS knows the first key no more, but the one with that number and all later ones."""
    return Rotating(server, lambda key, _: key >= good or (key == 0 and now() < moment), **settings)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as such."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# It goes well.


@pytest.mark.parametrize("code", [REFUSED, "ExpiredTokenException", "InvalidClientTokenId"])
async def test_a_rotation_is_survived_by_all(code: str, caplog: pytest.LogCaptureFixture) -> None:
    """One renewal serves hundreds of waits and calls; no job is logged anew, and no check is used up."""
    caplog.set_level(logging.INFO, "awaitbatch")
    server = make_server()
    transport = rotated(server, 20, code=code)
    events: list[Event] = []
    job_ids = [server.add_job(life_cycle=LifeCycle(running=30)) for _ in range(500)]
    async with make_client(transport, backoff=FixedInterval(5), observers=[events.append]) as client:
        waits = [
            asyncio.create_task(client.poll_for_job_complete(job_id, max_retries=20)) for job_id in job_ids
        ]
        await asyncio.sleep(20)
        ends = [client.terminate_job(server.add_job(life_cycle=LONG), "enough") for _ in range(20)]
        submissions, described = [client.submit_job(**JOB) for _ in range(20)], client.describe(job_ids[0])
        await asyncio.gather(*ends, *submissions, described)
        assert {job["status"] for job in await asyncio.gather(*waits)} == {"SUCCEEDED"}
        assert len(transport.renewed) == 1
        assert transport.refused <= 25
    assert server.statistics.answered["SubmitJob"] == server.statistics.answered["TerminateJob"] == 20
    changes = [(event.job_id, event.status) for event in of_kind(JobChanged, events)]
    assert len(changes) == len(set(changes))
    (renewed,) = of_kind(CredentialsRenewed, events)
    assert (renewed.tries, renewed.error) == (1, None)
    assert code in renewed.reason
    refused = [event for event in of_kind(CallEnded, events) if event.awaits_credentials]
    assert len(refused) == transport.refused
    (warning,) = warnings(caplog)
    assert (
        "failed, and all calls wait until the factory has given new credentials: An error occurred" in warning
    )
    texts = [text for text in caplog.messages if "is RUN" not in text and "is SUCC" not in text]
    assert [text[:24] for text in texts if "credentials" in text][1:] == [
        "the factory has given ne",
        "calls are answered with ",
    ]


async def test_the_same_client_by_all_who_share_it() -> None:
    """Users of a shared client come and go meanwhile, and nobody notices but by a pause."""
    server = make_server()
    transport = rotated(server, 2)
    transport.seconds = 3
    job_ids = [server.add_job(life_cycle=LifeCycle(running=6)) for _ in range(60)]

    async def use(number: int) -> str:
        await asyncio.sleep(number / 10)
        async with BatchClient.shared(transport=transport, linger=0, backoff=FixedInterval(1)) as client:
            if number >= 20:
                return str((await client.wait_for_job(job_ids[number]))["status"])
            try:
                async with asyncio.timeout(2):
                    await client.wait_for_job(job_ids[number])
            except TimeoutError:
                return "gone"
            return "unexpected"

    ends = await asyncio.gather(*map(use, range(60)))
    assert [ends.count(end) for end in ("SUCCEEDED", "gone")] == [40, 20]
    assert len(transport.renewed) == 1
    await until(lambda: transport.closed == 1)


async def test_nothing_leaves_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    """While the factory takes its time, no call is made in vain; describes, waits and kills stay."""
    server = make_server()
    transport = rotated(server, 5)
    transport.seconds = 25
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(transport, backoff=FixedInterval(1)) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for _ in range(3)]
        await asyncio.sleep(7)
        refused, calls = transport.refused, server.statistics.calls.total()
        waits += [asyncio.create_task(client.describe(job_id)), asyncio.create_task(client.describe(job_id))]
        kill = asyncio.create_task(client.terminate_job(job_id, "enough"))
        await asyncio.sleep(17)
        kill.cancel()
        assert (transport.refused, server.statistics.calls.total()) == (refused, calls)
        assert not any(wait.done() for wait in waits)
        jobs = await asyncio.gather(*waits)
        assert now() < 34
        assert jobs[0]["status"] == "FAILED"
    assert refused == 1
    assert len(warnings(caplog)) == 1


async def test_a_call_that_was_sent_before_is_made_again_without_another_renewal() -> None:
    """What fails with the old credentials after the new ones have come says nothing about these."""
    server = make_server()
    transport = rotated(server, 5)
    slow = server.add_job(life_cycle=LONG)
    describe = transport.describe_jobs

    async def late(job_ids: Sequence[str]) -> bytes:
        try:
            return await describe(job_ids)
        except ClientError:
            if slow in job_ids:
                await asyncio.sleep(10)
            raise

    transport.describe_jobs = late  # type: ignore[method-assign]
    async with make_client(transport) as client:
        await client.describe(slow)
        await asyncio.sleep(5)
        first = asyncio.create_task(client.describe(slow))
        await asyncio.sleep(1)
        await client.terminate_job(server.add_job(life_cycle=LONG), "enough")
        assert transport.key == 1
        assert (await first)["jobId"] == slow
    assert len(transport.renewed) == 1
    assert transport.refused == 2


async def test_one_wait_alone_goes_on() -> None:
    """The task that sends calls had nothing to sleep for when the only wait's only call failed."""
    server = make_server()
    transport = rotated(server, 10)
    job_id = server.add_job(life_cycle=LifeCycle(running=100))
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        assert (await client.poll_for_job_complete(job_id))["status"] == "SUCCEEDED"
        assert now() < 110
    assert len(transport.renewed) == 1


# It takes several tries.


async def test_credentials_that_are_bad_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    """The pauses between renewals grow, calls are few, and no wait ends; when it is over all is as before."""
    server = make_server()
    transport = rotated(server, 20, good=6)
    job_ids = [server.add_job(life_cycle=LifeCycle(running=60)) for _ in range(1000)]
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        waits = [asyncio.create_task(client.poll_for_job_complete(job_id)) for job_id in job_ids]
        assert {job["status"] for job in await asyncio.gather(*waits)} == {"SUCCEEDED"}
    assert len(transport.renewed) == 6
    pauses = [
        after - before - transport.seconds
        for before, after in zip(transport.renewed, transport.renewed[1:], strict=False)
    ]
    bounds = [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32)]
    assert all(least <= pause < most + 0.6 for pause, (least, most) in zip(pauses, bounds, strict=True))
    assert transport.refused <= 40
    assert 1 <= len(warnings(caplog)) <= 3


async def test_a_factory_that_fails_at_first(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged once a minute at most, and it is asked again; nothing else is asked meanwhile."""
    server = make_server()
    transport = rotated(server, 20)
    transport.failures = [LookupError("no such connection") for _ in range(5)]
    job_id = server.add_job(life_cycle=LifeCycle(running=60))
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(5), observers=[events.append]) as client:
        assert (await client.wait_for_job(job_id))["status"] == "SUCCEEDED"
    assert len(transport.renewed) == 6
    assert transport.refused == 1
    errors = [event.error for event in of_kind(CredentialsRenewed, events)]
    assert errors == ["LookupError: no such connection"] * 5 + [None]
    first, *others = warnings(caplog)
    assert "all calls wait" in first
    assert 1 <= len(others) <= 2
    assert others[0] == (
        "the factory gives no new credentials, asked 1 time in 0 s: LookupError: no such connection"
    )


async def test_who_describes_does_not_wait_for_minutes() -> None:
    """A describe is tried four times, like with any failure that may pass; waits go on."""
    server = make_server()
    transport = rotated(server, 20, good=8)
    job_id = server.add_job(life_cycle=LifeCycle(running=100))
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(20)
        with pytest.raises(DescribeError, match="after 4 tries") as caught:
            await client.describe(job_id)
        assert caught.value.needs_new_credentials
        assert now() < 40
        assert (await wait)["status"] == "SUCCEEDED"


# It lasts.


@pytest.mark.parametrize("how", ["bad", "none"])
async def test_it_has_lasted(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """After 5 tries and 5 minutes all waits end and say why; later calls fail at once, until credentials are good."""
    server = make_server()
    transport = rotated(server, 20, good=1000)
    if how == "none":
        transport.failures = [LookupError("no such connection") for _ in range(1000)]
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id)) for job_id in job_ids]
        await asyncio.sleep(21)
        kill = asyncio.create_task(client.terminate_job(job_ids[0], "enough"))
        submission = asyncio.create_task(client.submit_job(**JOB))
        await asyncio.sleep(298)
        assert not any(wait.done() for wait in waits)
        refused = transport.refused
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert now() < 420
        assert transport.refused <= refused + 15
        for job_id, end in zip(job_ids, ends, strict=True):
            assert isinstance(end, DescribeError)
            assert (end.job_id, end.code, end.needs_new_credentials) == (job_id, REFUSED, True)
            assert "; the factory was asked 1" in str(end)
            assert ("in vain (LookupError: no such connection)" in str(end)) is (how == "none")
        for call in (kill, submission):
            with pytest.raises(ClientError, match=REFUSED):
                await call
        assert 8 <= len(transport.renewed) <= 15
        assert len(warnings(caplog)) <= 20
        begin, renewed = now(), len(transport.renewed)
        with pytest.raises(DescribeError, match=REFUSED):
            await client.describe(job_ids[0])
        assert now() < begin + 1
        await asyncio.sleep(600)
        assert len(transport.renewed) <= renewed + 1
        transport.is_good = lambda key, _: key > 0
        transport.failures = []
        if how == "none":
            with pytest.raises(DescribeError):
                await client.describe(job_ids[0])
            await asyncio.sleep(61)
        assert (await client.describe(job_ids[0]))["jobId"] == job_ids[0]


async def test_trouble_of_long_ago_is_not_counted() -> None:
    """A submission failed once and was taken back; the next time that credentials go bad, waits have all 5 minutes."""
    server = make_server()
    transport = Rotating(server, lambda key, _: key >= 2 or now() < (10, 5000)[key])
    events: list[Event] = []
    job_id = server.add_job(life_cycle=LifeCycle(running=6000))
    async with make_client(transport, backoff=FixedInterval(60), observers=[events.append]) as client:
        wait = asyncio.create_task(client.poll_for_job_complete(job_id))
        await asyncio.sleep(10)
        submission = asyncio.create_task(client.submit_job(**JOB))
        await until(lambda: transport.refused == 1)
        submission.cancel()
        await asyncio.sleep(4000)
        assert transport.key == 1
        transport.failures = [LookupError("no such connection") for _ in range(8)]
        assert (await wait)["status"] == "SUCCEEDED"
    first, *_, last = of_kind(CredentialsRenewed, events)
    assert "SubmitJob" in first.reason
    assert (last.tries, last.error) == (9, None)
    assert last.seconds < 300


@pytest.mark.parametrize("how", ["bad", "none"])
async def test_who_never_had_an_answer_is_told_at_once(how: str) -> None:
    """If the second credentials are bad too, or there are none, somebody has made a mistake."""
    server = make_server()
    transport = rotated(server, 0, good=1000)
    if how == "none":
        transport.failures = [LookupError("no such connection") for _ in range(1000)]
    job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        waits = [asyncio.create_task(client.wait_for_job(job_id)) for job_id in job_ids]
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert now() < 3
    assert {type(end) for end in ends} == {DescribeError}
    assert all(end.needs_new_credentials for end in ends if isinstance(end, DescribeError))
    assert len(transport.renewed) == 1
    assert transport.refused <= 10


async def test_bad_credentials_are_no_jobs_fault() -> None:
    """So calls are not split to find it: one with each of the two credentials is enough."""
    server = make_server()
    transport = rotated(server, 0, good=1000)
    async with make_client(transport) as client:
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(100)]
        ends = await asyncio.gather(*map(client.wait_for_job, job_ids), return_exceptions=True)
    assert {type(end) for end in ends} == {DescribeError}
    assert transport.refused == 2


async def test_a_first_key_that_is_bad_does_no_harm() -> None:
    """Such as from a cache of the factory's: the second one is taken."""
    server = make_server()
    transport = rotated(server, 0)
    async with make_client(transport) as client:
        assert (await client.wait_for_job(server.add_job(life_cycle=ENDED)))["status"] == "SUCCEEDED"
    assert len(transport.renewed) == 1


async def test_calls_of_one_kind_that_are_refused_for_ever() -> None:
    """Where only SubmitJob is refused, as by a broken proxy, it fails after a while, and waits see their jobs."""
    server = make_server()
    transport = Rotating(server, lambda _, operation: operation != "SubmitJob")
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(transport, backoff=FixedInterval(5)) as client:
        wait = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(5)
        with pytest.raises(ClientError, match=REFUSED):
            await client.submit_job(**JOB)
        assert 300 < now() < 400
        assert len(transport.renewed) <= 15
        assert not wait.done()
        answered = server.statistics.answered["DescribeJobs"]
        await asyncio.sleep(60)
        assert server.statistics.answered["DescribeJobs"] >= answered + 12
        wait.cancel()


async def test_a_lack_of_permission_is_nothing_to_renew() -> None:
    """Other credentials would be refused alike."""
    transport = Rotating(make_server(), lambda *_: False, code="AccessDeniedException")
    async with make_client(transport) as client:
        with pytest.raises(DescribeError):
            await client.describe("a-job")
        with pytest.raises(ClientError):
            await client.submit_job(**JOB)
    assert transport.renewed == []


# Closing and cancelling.


@pytest.mark.parametrize("seconds", [0.005, 0.015, 0.1, 0.6, 2.0, 3.0])
async def test_closing_meanwhile(seconds: float) -> None:
    """Whenever it comes, it comes at once, and says of submissions and kills that they were not made."""
    server = make_server()
    transport = rotated(server, 0, good=1000)
    transport.failures = [LookupError("no such connection")] * 1000
    job_id = server.add_job(life_cycle=LONG)
    events: list[Event] = []
    client = make_client(transport, backoff=FixedInterval(1), observers=[events.append])
    transport.is_good = lambda *_: now() < 1
    async with client:
        await client.describe(job_id)
        wait = asyncio.create_task(client.wait_for_job(job_id))
        await asyncio.sleep(1)
        calls = [
            asyncio.create_task(client.submit_job(**JOB)),
            asyncio.create_task(client.terminate_job(job_id, "enough")),
            asyncio.create_task(client.terminate_job(job_id, "enough")),
        ]
        await asyncio.sleep(seconds)
        calls[2].cancel()
        begin = now()
    assert now() - begin < 0.1
    with pytest.raises(ClientClosedError):
        await wait
    submitted, killed, _ = await asyncio.gather(*calls, return_exceptions=True)
    assert "was not submitted: the BatchClient was closed first" in str(submitted)
    assert "was not terminated: the BatchClient was closed first" in str(killed)
    (unclaimed,) = of_kind(TerminationUnclaimed, events)
    assert "was not terminated" in unclaimed.error
    assert server.statistics.answered["SubmitJob"] == server.statistics.answered["TerminateJob"] == 0
    assert transport.under_way == 0


async def test_a_submission_whose_caller_is_cancelled_meanwhile_is_taken_back() -> None:
    """It was refused, so it is as if it had never left the queue."""
    server = make_server()
    transport = rotated(server, 0)
    async with make_client(transport) as client:
        task = asyncio.create_task(client.submit_job(**JOB))
        await until(lambda: transport.refused == 1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(5)
    assert server.statistics.calls["SubmitJob"] == 0
    assert len(transport.renewed) == 1


def test_a_loop_that_ends_meanwhile_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run in the midst of a renewal gives it up, and reports nothing but that it had begun."""
    transports: list[Rotating] = []

    async def use() -> None:
        async with BatchClient.shared(transport=transports[0]) as client:
            await client.wait_for_job("a-job")

    async def main() -> None:
        server = BatchServer(seed=1)
        transports.append(Rotating(server, lambda *_: False))
        transports[0].seconds = 60
        task = asyncio.create_task(use())
        await until(lambda: transports[0].under_way == 1)
        assert not task.done()

    asyncio.run(main())
    (transport,) = transports
    assert (transport.under_way, transport.opened, transport.closed) == (0, 1, 1)
    assert len(caplog.messages) == 1
