"""Watches that go on and want the job's description now and then, as streams do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from awaitbatch import FixedInterval, Window
from awaitbatch._core.outcomes import MATCHED, Outcome, Reason
from awaitbatch._core.requests import Decision, Deliver, Observation
from awaitbatch._core.watch import Watch
from awaitbatch.instrumentation import CallEnded, Event, JobChanged, WaitEnded
from awaitbatch.testing import Fault, LifeCycle
from tests.support import LONG, PromptClient, of_kind, supervisor_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from awaitbatch import BatchClient
    from awaitbatch._coalescer import DescribeCoalescer
    from awaitbatch.testing import BatchServer

AT_ONCE = Window(0, 0)
SOON = Window(0.5, 1)


class Delivered(NamedTuple):
    """What a watch got, and when."""

    outcome: Outcome | None
    item: bytes | None
    at: float

    @property
    def status(self) -> str:
        """The status in the description."""
        assert self.item is not None
        status: str = msgspec.json.decode(self.item)["status"]
        return status


class Stream(Watch):
    """Wants the description whenever the job has changed, until it has ended."""

    def __init__(self, job_id: str, window: Window = SOON) -> None:
        super().__init__(
            job_id,
            self.note,
            match_status=("SUCCEEDED", "FAILED"),
            status_retries=3,
            backoff=FixedInterval(1),
        )
        self.window = window
        self.delivered: list[Delivered] = []

    def note(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        """Note what was delivered."""
        assert watch is self
        self.delivered.append(Delivered(outcome, item, asyncio.get_running_loop().time()))

    def on_seen(self, observation: Observation) -> Decision:
        """Want a delivery if the status is another one."""
        before = self.last_status
        end = super().on_seen_early(observation)
        return end or (Deliver(self.window) if self.last_status != before else self._checked())

    def on_seen_early(self, observation: Observation) -> Any:
        """The same, keeping the window."""
        before = self.last_status
        decision = super().on_seen_early(observation)
        return Deliver(None) if decision is None and self.last_status != before else decision

    @property
    def went_on(self) -> list[str]:
        """The states of which it got to know on its way."""
        return [delivered.status for delivered in self.delivered if delivered.outcome is None]


@pytest.fixture
def events() -> list[Event]:
    """What the client's observer hears."""
    return []


@pytest.fixture
async def client(server: BatchServer, events: list[Event]) -> AsyncIterator[BatchClient]:
    """An open client."""
    backoff = FixedInterval(1)
    async with PromptClient(
        transport=server.transport(), backoff=backoff, observers=[events.append]
    ) as opened:
        yield opened


@pytest.fixture
def coalescer(client: BatchClient) -> DescribeCoalescer:
    """The one of the client."""
    return supervisor_of(client).coalescer


SLOW = LifeCycle(submitted=3, pending=3, runnable=3, starting=3, running=3)


async def test_each_change_is_delivered(
    server: BatchServer, coalescer: DescribeCoalescer, events: list[Event]
) -> None:
    """A watch that goes on gets the description as JSON at each change, and its end with the last one."""
    job_id = server.add_job(life_cycle=SLOW)
    stream = Stream(job_id)
    coalescer.add(stream, AT_ONCE)
    await asyncio.sleep(30)
    assert stream.went_on == ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"]
    last = stream.delivered[-1]
    assert (len(stream.delivered), last.outcome, last.status) == (6, MATCHED, "SUCCEEDED")
    for delivered in stream.delivered:
        assert msgspec.json.decode(delivered.item or b"")["jobId"] == job_id
    assert [change.status for change in of_kind(JobChanged, events)] == [*stream.went_on, "SUCCEEDED"]
    assert [(end.outcome, end.status) for end in of_kind(WaitEnded, events)] == [("matched", "SUCCEEDED")]


async def test_the_window_of_a_delivery_holds(server: BatchServer, coalescer: DescribeCoalescer) -> None:
    """After a delivery the next check comes in the window that it gave."""
    stream = Stream(server.add_job(life_cycle=LifeCycle(submitted=5, pending=1e6)), window=Window(100, 100))
    coalescer.add(stream, AT_ONCE)
    await asyncio.sleep(90)
    assert stream.went_on == ["SUBMITTED"]
    await asyncio.sleep(20)
    assert stream.went_on == ["SUBMITTED", "PENDING"]
    assert stream.delivered[1].at - stream.delivered[0].at == pytest.approx(100.02, abs=0.005)
    coalescer.discard(stream)


async def test_a_delivery_by_anothers_answer_keeps_the_window(
    server: BatchServer, client: BatchClient, coalescer: DescribeCoalescer
) -> None:
    """A change that another's answer shows is delivered at once, and the watch checks when it would have."""
    job_id = server.add_job(life_cycle=LifeCycle(submitted=5, pending=1e6))
    stream = Stream(job_id)
    coalescer.add(stream, Window(20, 20))
    await asyncio.sleep(1)
    await client.describe(job_id)
    await asyncio.sleep(6)
    await client.describe(job_id)
    assert stream.went_on == ["SUBMITTED", "PENDING"]
    assert [round(delivered.at) for delivered in stream.delivered] == [1, 7]
    calls = client.statistics().calls
    await asyncio.sleep(12.9)
    assert client.statistics().calls == calls
    await asyncio.sleep(0.2)
    assert client.statistics().calls == calls + 1
    coalescer.discard(stream)


async def test_a_delivery_is_no_check_that_failed(server: BatchServer, coalescer: DescribeCoalescer) -> None:
    """Failed calls on the way are checks without a delivery, and hurt no later one."""
    stream = Stream(server.add_job(life_cycle=SLOW))
    coalescer.add(stream, AT_ONCE)
    server.inject(Fault.SERVER_EXCEPTION, begin=4, end=8)
    await asyncio.sleep(30)
    assert stream.went_on[0] == "SUBMITTED"
    assert stream.delivered[-1].outcome == MATCHED


async def test_discarding_ends_it_silently(
    server: BatchServer, client: BatchClient, coalescer: DescribeCoalescer, events: list[Event]
) -> None:
    """A watch that is discarded gets nothing more, and there is no sign of it but WaitEnded, cancelled."""
    stream = Stream(server.add_job(life_cycle=SLOW))
    coalescer.add(stream, AT_ONCE)
    await asyncio.sleep(4)
    delivered = list(stream.delivered)
    events.clear()
    coalescer.discard(stream)
    coalescer.discard(stream)
    (ended,) = events
    assert isinstance(ended, WaitEnded)
    assert (ended.kind, ended.outcome, ended.status) == ("poll", "cancelled", "PENDING")
    await asyncio.sleep(30)
    assert stream.delivered == delivered
    assert events == [ended]
    assert client.statistics().pending == 0


async def test_discarding_in_a_delivery(
    server: BatchServer, coalescer: DescribeCoalescer, events: list[Event]
) -> None:
    """A watch may be discarded in the midst of what is delivered to it."""

    class Once(Stream):
        def note(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
            super().note(watch, outcome, item)
            coalescer.discard(self)

    once = Once(server.add_job(life_cycle=SLOW))
    coalescer.add(once, AT_ONCE)
    await asyncio.sleep(30)
    assert once.went_on == ["SUBMITTED"]
    assert len(once.delivered) == 1
    assert [end.outcome for end in of_kind(WaitEnded, events)] == ["cancelled"]
    assert len(of_kind(CallEnded, events)) == 1


async def test_who_was_discarded_in_anothers_delivery_gets_nothing(
    server: BatchServer, coalescer: DescribeCoalescer, events: list[Event]
) -> None:
    """A watch that is discarded while another of the same answer is served gets nothing more itself."""

    class Jealous(Stream):
        def note(self, watch: Watch, outcome: Outcome | None, item: bytes | None) -> None:
            super().note(watch, outcome, item)
            for other in streams:
                if other is not self:
                    coalescer.discard(other)

    streams = [Jealous(server.add_job(life_cycle=SLOW)) for _ in range(5)]
    for stream in streams:
        coalescer.add(stream, AT_ONCE)
    await asyncio.sleep(1)
    for stream in streams:
        coalescer.discard(stream)
    assert [end.outcome for end in of_kind(WaitEnded, events)] == ["cancelled"] * 5
    assert sorted(len(stream.delivered) for stream in streams) == [0, 0, 0, 0, 1]


async def test_a_delivery_without_the_job_stops_nobody(
    server: BatchServer, client: BatchClient, coalescer: DescribeCoalescer
) -> None:
    """A watch that wants a delivery although the answer lacks its job does not stop the waits of others."""

    class Absent(Stream):
        def on_absent(self) -> Decision:
            return Deliver(self.window)

    absent = Absent("absent")
    coalescer.add(absent, AT_ONCE)
    job = await client.wait_for_job(server.add_job(life_cycle=SLOW))
    coalescer.discard(absent)
    assert job["status"] == "SUCCEEDED"


async def test_streams_and_waits_share_calls(
    server: BatchServer, client: BatchClient, coalescer: DescribeCoalescer, events: list[Event]
) -> None:
    """Streams and polls of the same jobs share ids in calls, and there is one change for each state all the same."""
    job_ids = [server.add_job(life_cycle=SLOW) for _ in range(50)]
    streams = [Stream(job_id) for job_id in job_ids * 2]
    for stream in streams:
        coalescer.add(stream, AT_ONCE)
    await asyncio.gather(*map(client.wait_for_job, job_ids))
    await asyncio.sleep(2)
    assert {stream.delivered[-1].status for stream in streams} == {"SUCCEEDED"}
    assert {len(stream.delivered) for stream in streams} == {6}
    assert len(of_kind(JobChanged, events)) == 50 * 6
    assert max(call.ids for call in of_kind(CallEnded, events)) == 50


async def test_closing_ends_streams(
    server: BatchServer, client: BatchClient, coalescer: DescribeCoalescer
) -> None:
    """A stream hears, without a description, that the client was closed."""
    stream = Stream(server.add_job(life_cycle=LONG))
    coalescer.add(stream, AT_ONCE)
    await asyncio.sleep(3)
    await client.aclose()
    assert stream.went_on == ["RUNNING"]
    assert [(delivered.outcome, delivered.item) for delivered in stream.delivered[1:]] == [
        (Outcome(Reason.CLOSED), None)
    ]


async def test_a_watch_added_too_late_is_closed_at_once(server: BatchServer, client: BatchClient) -> None:
    """Who adds a watch when the client has closed gets its end at once."""
    coalescer = supervisor_of(client).coalescer
    await client.aclose()
    stream = Stream(server.add_job(life_cycle=LONG))
    coalescer.add(stream, AT_ONCE)
    assert [delivered.outcome for delivered in stream.delivered] == [Outcome(Reason.CLOSED)]
