"""Whatever breaks while an answer is delivered, every wait ends or goes on, and the client stays open."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from awaitbatch import BatchClient, ClientClosedError, DescribeError, FixedInterval
from awaitbatch._core.backoff import Window
from awaitbatch._core.watch import Watch
from awaitbatch._responses import DescribeJobsResponse
from tests.support import make_client, make_server, supervisor_of

from .support import FaultyTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awaitbatch._core.outcomes import Outcome
    from awaitbatch.instrumentation import Event

    Deliver = Callable[[Watch, Outcome | None, bytes | None], None]


def ended(_: int, job_ids: Sequence[str]) -> bytes:
    """All jobs have ended."""
    return json.dumps({"jobs": [{"jobId": job_id, "status": "SUCCEEDED"} for job_id in job_ids]}).encode()


def add(client: BatchClient, job_id: str, deliver: Deliver) -> Watch:
    """Let somebody watch a job through the coalescer, as a part of the package would."""
    watch = Watch(job_id, deliver, match_status=None, status_retries=1, backoff=FixedInterval(1))
    supervisor_of(client).coalescer.add(watch, Window(0, 0.001))
    return watch


async def outcome(asked: Any) -> Any:
    """What was asked for, or the error; not later than in a minute."""
    (result,) = cast("tuple[Any]", await asyncio.gather(asyncio.wait_for(asked, 60), return_exceptions=True))
    return result


@pytest.mark.parametrize("error", [RecursionError("too deep"), ValueError("x\ny"), asyncio.CancelledError()])
async def test_a_description_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """It ends the waits for its job with an error that names the job; all others get theirs."""
    description = DescribeJobsResponse.description

    def broken(response: DescribeJobsResponse, job_id: str) -> bytes:
        if job_id == "bad":
            raise error
        return description(response, job_id)

    monkeypatch.setattr(DescribeJobsResponse, "description", broken)
    async with make_client(FaultyTransport(make_server(), ended)) as client:
        results = await asyncio.gather(
            *(outcome(client.describe(job_id)) for job_id in ("a", "bad", "b")),
            outcome(client.poll_for_job_complete("bad", 0)),
        )
        for result in (results[1], results[3]):
            assert isinstance(result, DescribeError)
            assert (result.job_id, result.code, result.http_status) == ("bad", "UnreadableJob", 200)
            assert "AWS Batch job (bad) description error" in str(result)
            assert str(result).isprintable()
        assert [results[0]["jobId"], results[2]["jobId"]] == ["a", "b"]
        assert client.statistics().pending == 0
        assert (await client.describe("a"))["jobId"] == "a"


async def test_jobs_nested_to_any_depth() -> None:
    """However deep a job is nested, its wait ends, and those of other jobs in the same call are answered."""
    for depth in [*range(sys.getrecursionlimit() - 60, sys.getrecursionlimit()), *range(1470, 1500)]:
        deep = "[" * depth + "]" * depth

        def plan(_: int, job_ids: Sequence[str], deep: str = deep) -> bytes:
            return ended(_, job_ids).replace(b'"deep", ', b'"deep", "x": ' + deep.encode() + b", ")

        async with make_client(FaultyTransport(make_server(), plan), backoff=FixedInterval(1)) as client:
            results = await asyncio.gather(
                *(
                    outcome(client.poll_for_job_complete(job_id, 0, max_retries=9))
                    for job_id in ("deep", "other")
                )
            )
            assert results[1]["jobId"] == "other"
            assert not isinstance(results[0], TimeoutError | ClientClosedError), depth


@pytest.mark.parametrize("again", [False, True])
async def test_a_delivery_that_raises(caplog: pytest.LogCaptureFixture, again: bool) -> None:
    """It gets an error in place of what it could not take; if it cannot take that either, the log says so."""
    heard: list[tuple[Outcome | None, bytes | None]] = []
    hostile = ("x\ny",)

    def deliver(_: Watch, outcome: Outcome | None, item: bytes | None) -> None:
        heard.append((outcome, item))
        if again or item is not None:
            raise RuntimeError(*hostile)

    async with make_client(FaultyTransport(make_server(), ended)) as client:
        watches = [add(client, job_id, deliver) for job_id in ("j", "k")]
        assert (await client.describe("j"))["jobId"] == "j"
        assert [item is None for _, item in heard] == [False, True] * 2
        assert heard[1][0] is not None
        assert heard[1][0].failure is not None
        assert heard[1][0].failure.code == "UnreadableJob"
        assert [watch.held_by for watch in watches] == [None, None]
        assert client.statistics().pending == 0
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert (
        lines
        == [f"AWS Batch job ({job_id}): a wait could not be ended: RuntimeError: x" for job_id in "jk"]
        * again
    )


async def test_closing_ends_all_waits_whatever_one_does() -> None:
    """A delivery that raises while the client closes keeps no other wait from its end."""

    def deliver(*_: object) -> None:
        raise RuntimeError

    client = make_client(FaultyTransport(make_server()))
    async with client:
        before = asyncio.create_task(outcome(client.poll_for_job_complete("a", 100)))
        await asyncio.sleep(0)
        add(client, "j", deliver)
        after = asyncio.create_task(outcome(client.poll_for_job_complete("b", 100)))
        await asyncio.sleep(0)
    assert isinstance(await before, ClientClosedError)
    assert isinstance(await after, ClientClosedError)


async def test_a_change_of_which_nobody_can_be_notified(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that cannot be made is lost, which the log says; the wait has its answer all the same."""

    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("awaitbatch._describe_events.job_changed", broken)
    async with make_client(FaultyTransport(make_server(), ended), observers=[lambda _: None]) as client:
        results = await asyncio.gather(*(outcome(client.poll_for_job_complete(job_id, 0)) for job_id in "ab"))
    assert [result["jobId"] for result in results] == ["a", "b"]
    assert any(
        "AWS Batch job (a) has changed, but observers cannot be notified" in line for line in caplog.messages
    )


async def test_an_observer_that_ends_the_program() -> None:
    """An observer that raises SystemExit is obeyed, but not before all that an answer brought is delivered."""
    heard: list[str] = []

    def exits(event: Event) -> None:
        if type(event).__name__ == "CallEnded":
            raise SystemExit

    def deliver(watch: Watch, *_: object) -> None:
        heard.append(watch.job_id)

    async with make_client(FaultyTransport(make_server(), ended)) as client:
        coalescer = supervisor_of(client).coalescer
        for job_id in ("a", "b"):
            add(client, job_id, deliver)
        call = coalescer._windows.take(asyncio.get_running_loop().time() + 1)
        assert call is not None
        coalescer._observers.others = ((0, exits),)
        with pytest.raises(SystemExit):
            await coalescer._on_answer(call, DescribeJobsResponse(ended(1, call.job_ids)), 0.0)
        coalescer._observers.others = ()
    assert heard == ["a", "b"]
