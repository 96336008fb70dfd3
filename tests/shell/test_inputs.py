"""What a client is given is made plain at the door, so that nothing odd gets to where it could hurt other jobs."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from awaitbatch import BatchClient, FixedInterval
from tests.support import ENDED, make_client, make_server


class Odd(float):
    """A number of somebody's own, as numpy has them."""


class Text(str):
    """Text that cannot be compared, and whose hash is another one each time."""

    __slots__ = ()
    hashes = 0

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError

    def __hash__(self) -> int:
        Text.hashes += 1
        return Text.hashes


class Unhashable:
    """Something that raises whenever it is asked."""

    def __hash__(self) -> int:
        raise ArithmeticError

    def __repr__(self) -> str:
        raise ArithmeticError


NUMBERS = ("max_retries", "status_retries", "max_calls_per_second", "call_timeout", "close_timeout")


@pytest.mark.parametrize("name", [*NUMBERS, "describe_window"])
@pytest.mark.parametrize(
    "value", [Decimal("2.5"), Fraction(5, 2), Odd(2.5), 2, True], ids=lambda given: type(given).__name__
)
async def test_any_number_becomes_a_float(name: str, value: Any) -> None:
    """A client takes any kind of number, and goes by it."""
    server = make_server()
    async with make_client(server, **{name: value}) as client:
        stored = getattr(client._config, name)
        assert type(stored) is float
        assert stored == value
        assert (await client.describe(server.add_job(life_cycle=ENDED)))["status"] == "SUCCEEDED"
        limits: dict[str, Any] = {name: value} if name in {"max_retries", "status_retries"} else {}
        job = await client.wait_for_job(server.add_job(life_cycle=ENDED), value, **limits)
        assert job["status"] == "SUCCEEDED"


@pytest.mark.parametrize("name", [*NUMBERS, "describe_window"])
@pytest.mark.parametrize(
    "value",
    [Decimal("NaN"), Decimal("sNaN"), math.nan, -(10**400), -1],
    ids=lambda given: type(given).__name__,
)
async def test_a_number_that_makes_no_sense_is_refused(name: str, value: Any) -> None:
    """It is refused at once, in words, whatever its type raises when asked."""
    with pytest.raises(ValueError, match=rf"^{name} must be "):
        BatchClient(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["3", b"3", [3], 3j, object()], ids=lambda given: type(given).__name__)
async def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    """Text and the like are of a wrong type."""
    with pytest.raises(TypeError, match=rf"^{name} must be "):
        BatchClient(**{name: value})


@pytest.mark.parametrize("value", [10**400, 10**5000, Decimal("1e400"), Decimal("NaN"), math.inf], ids=type)
async def test_a_delay_must_be_finite(value: Any) -> None:
    """More than any clock can show is refused, in a text of bearable length."""
    async with make_client(make_server()) as client:
        for wait in (client.poll_for_job_complete, client.poll_for_job_running, client.wait_for_job):
            with pytest.raises(ValueError, match=r"^delay must be a number of seconds, not ") as caught:
                await wait("j", value)
            assert len(str(caught.value)) < 250
        with pytest.raises(ValueError, match=r"^delay must be"):
            await BatchClient.delay(value)
        assert client.statistics().pending == 0


async def test_more_retries_than_a_float_can_hold_are_no_bound() -> None:
    """A great number means what math.inf means."""
    assert BatchClient(max_retries=10**400).max_retries == math.inf


@pytest.mark.parametrize("seconds", [Decimal("NaN"), 10**400], ids=type)
def test_an_interval_that_makes_no_sense_is_refused(seconds: Any) -> None:
    """Whatever its type raises when asked."""
    with pytest.raises(ValueError, match="FixedInterval needs a positive number"):
        FixedInterval(seconds)


async def test_text_of_a_type_of_its_own_is_made_plain() -> None:
    """Ids and statuses that compare and hash as they like hurt nobody, and the answer finds who asked."""
    server = make_server()
    job_id, other = (server.add_job(life_cycle=ENDED) for _ in range(2))
    async with make_client(server) as client:
        assert (await client.describe(Text(job_id)))["jobId"] == job_id
        assert (await client.wait_for_job(Text(job_id), 0))["jobId"] == job_id
        answer = await client.describe_jobs([Text(job_id), job_id, Text(other)])
        assert [job["jobId"] for job in answer["jobs"]] == [job_id, other]
        assert await client.poll_job_status(Text(job_id), [Text("FAILED"), Text("SUCCEEDED")])  # type: ignore[list-item]
        assert await client.poll_job_status(job_id, Text("SUCCEEDED"))  # type: ignore[arg-type]
        assert client.statistics().pending == 0


@pytest.mark.parametrize("match_status", [[Unhashable()], [1], [["FAILED"]], 7, None, b"FAILED"], ids=type)
async def test_statuses_must_be_text(match_status: Any) -> None:
    """Anything else is an error to who gave it, and to nobody else."""
    server = make_server()
    async with make_client(server) as client:
        with pytest.raises(TypeError, match=r"^match_status must "):
            await client.poll_job_status("j", match_status)
        assert (await client.describe(server.add_job(life_cycle=ENDED)))["status"] == "SUCCEEDED"


def test_without_asyncio_opening_says_what_it_needs() -> None:
    """Under trio, as without any event loop, the client says that it runs on asyncio; it can be opened later."""
    client = BatchClient(region_name="eu-west-1")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="awaitbatch runs on asyncio only"):
            client.open().send(None)


@pytest.mark.parametrize(
    "one",
    ["job", b"job", None, {"jobId": "job", "jobName": "one"}, 5],
    ids=lambda given: type(given).__name__,
)
async def test_one_job_is_not_many(one: Any) -> None:
    """Who gives one job, or none, where ids of many are meant is told so, and no letter is taken for an id."""
    async with make_client(make_server()) as client:
        for call in (
            lambda: client.wait_for_jobs(one),
            lambda: client.describe_jobs(one),
            lambda: client.terminate_jobs(one, "why"),
            lambda: client.cancel_jobs(one, "why"),
        ):
            with pytest.raises(TypeError, match=rf"^job ids must be a list, .* not {re.escape(repr(one))}$"):
                await call()
        for stream in (client.watch, client.as_completed):
            with pytest.raises(TypeError, match=rf"^job ids must be a list, .* not {re.escape(repr(one))}$"):
                stream(one)
        with pytest.raises(TypeError, match=r"^requests must be a list"):
            client.submit_jobs(one)
