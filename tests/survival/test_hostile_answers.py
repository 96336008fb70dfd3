"""Answers that AWS does not give: none of them stops the client, and none ends a wait for another job."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import TYPE_CHECKING, Final

import pytest

from awaitbatch import AwaitBatchError, DescribeError, FixedInterval
from awaitbatch.instrumentation import Event, WaitEnded
from tests.shell.support import QUICK, FaultyTransport
from tests.support import ENDED, make_client, make_server, of_kind

from .support import note

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from awaitbatch import BatchClient

RUNNING: Final = b'{"jobs":[{"jobId":"odd","status":"RUNNING"},{"jobId":"neighbour","status":"RUNNING"}]}'
"""What is said of both jobs in answers that may well be read."""

DEEP: Final = b"[" * 100_000
DIGITS: Final = b"9" * 10_000


def beside(member: bytes) -> bytes:
    """The answer with another member before its jobs."""
    return RUNNING.replace(b"{", b"{" + member + b",", 1)


def within(member: bytes) -> bytes:
    """The answer with another member in the first of its jobs."""
    return RUNNING.replace(b'{"jobId"', b"{" + member + b',"jobId"', 1)


BODIES: Final = {
    # No JSON.
    "empty": b"",
    "blank": b" \r\n\t",
    "NUL": b"\x00",
    "binary": bytes(range(256)),
    "text": b"Service Unavailable",
    "HTML": b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "XML": b'<?xml version="1.0"?><DescribeJobsResponse><jobs/></DescribeJobsResponse>',
    "gzip": gzip.compress(RUNNING, mtime=0),
    "single quotes": RUNNING.replace(b'"', b"'"),
    "a comment": b"/* jobs */" + RUNNING,
    "a comma too many": RUNNING.replace(b"]}", b",]}"),
    "a colon too few": RUNNING.replace(b":", b"", 1),
    "truncated by one": RUNNING[:-1],
    "truncated in a job": RUNNING[:50],
    "truncated in an escape": RUNNING[:20] + b"\\",
    "twice": RUNNING + RUNNING,
    "a line after it": RUNNING + b"\nevent: end",
    "for a script": b")]}',\n" + RUNNING,
    # Text in other forms.
    "a byte order mark": b"\xef\xbb\xbf" + RUNNING,
    "UTF-16": RUNNING.decode().encode("utf-16"),
    "UTF-32": RUNNING.decode().encode("utf-32"),
    "half a byte order mark": b"\xef\xbb" + RUNNING,
    "bytes that are no text": b"\xff\xfe\xfd",
    "a key that is no text": beside(b'"\xff":1'),
    "a member that is no text": within(b'"x":"\xc3\x28"'),
    "half a character for a key": beside(rb'"\ud800":1'),
    "half a character": beside(rb'"x":"\udfff\ud800"'),
    "half an escape": beside(rb'"x":"\u12"'),
    "a control character": beside(b'"x":"\x01"'),
    # Other roots.
    "null": b"null",
    "true": b"true",
    "a number": b"7",
    "a huge number": DIGITS,
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a string": b'"jobs"',
    "the answer in a string": b'"{\\"jobs\\":[]}"',
    "a list": b"[]",
    "the answer in a list": b"[" + RUNNING + b"]",
    "the answer in an object": b'{"body":' + RUNNING + b"}",
    # Jobs that are none.
    "no jobs": b"{}",
    "an error": b'{"__type":"TooManyRequestsException","message":"Too Many Requests"}',
    "jobs in another case": b'{"Jobs":[]}',
    "jobs are null": b'{"jobs":null}',
    "jobs are true": b'{"jobs":true}',
    "jobs are a number": b'{"jobs":0}',
    "jobs are a string": b'{"jobs":"odd,neighbour"}',
    "jobs are an object": b'{"jobs":{"odd":{"status":"FAILED"}}}',
    "jobs are ids": b'{"jobs":["odd","neighbour"]}',
    "jobs are lists": b'{"jobs":[["odd","FAILED"],[]]}',
    "jobs are nulls": b'{"jobs":[null,null]}',
    "jobs are empty": b'{"jobs":[{},{}]}',
    "jobs are NaN": b'{"jobs":[NaN]}',
    "no jobs at all": b'{"jobs":[]}',
    "jobs, then null": RUNNING[:-1] + b',"jobs":null}',
    "jobs, then none": RUNNING[:-1] + b',"jobs":[]}',
    "none, then jobs": beside(b'"jobs":[]'),
    # Too much.
    "deep": DEEP,
    "deep jobs": b'{"jobs":' + DEEP,
    "deep objects": b'{"jobs":' * 100_000,
    "deep beside jobs": beside(b'"x":' + DEEP + b"]" * len(DEEP)),
    "deep in a job": within(b'"x":' + DEEP + b"]" * len(DEEP)),
    "a huge number beside jobs": beside(b'"x":' + DIGITS),
    "NaN beside jobs": beside(b'"x":NaN'),
    "NaN in a job": within(b'"x":NaN'),
    "a megabyte of blanks": b" " * 2**20 + RUNNING,
    "ten thousand jobs": b'{"jobs":[' + b'{"jobId":"x","status":"FAILED"},' * 10_000 + RUNNING[9:],
}
"""Answers that say nothing of a job, or that it runs."""


def an_item(members: str, job_id: str = '"odd"') -> str:
    """A job of an answer that runs, with other members."""
    return f'{{"jobId":{job_id},"status":"RUNNING",{members}}}'


VALUES: Final = {
    "null": "null",
    "true": "true",
    "negative": "-1",
    "huge": "1e400",
    "400 digits": "9" * 400,
    "float": "0.5",
    "text": '"a\\u0000b"',
    "half a character": r'"\ud83d"',
    "list": "[]",
    "object": "{}",
    "nested": '[[{"a":[null]}],7]',
}

MEMBERS: Final = (
    *("jobId", "status", "attempts", "eksAttempts", "createdAt", "startedAt", "stoppedAt"),
    *("statusReason", "container", "nodeProperties"),
)

ITEMS: Final = {
    # The last member of a name counts.
    **{
        f"{member} is {value}": an_item(f'"{member}":{text}')
        for member in MEMBERS
        for value, text in VALUES.items()
    },
    "no object": '"odd"',
    "null": "null",
    "a number": "1e400",
    "a list": "[]",
    "empty": "{}",
    "no status": '{"jobId":"odd"}',
    "no id": '{"status":"FAILED"}',
    "an empty id": an_item('"x":1', '""'),
    "an endless id": an_item('"x":1', f'"{"x" * 100_000}"'),
    "an escaped id": an_item('"x":1', r'"\u006fdd"'),
    "an id with a NUL": an_item('"x":1', r'"odd\u0000"'),
    "another's id in another case": an_item('"status":"FAILED"', '"NEIGHBOUR"'),
    "an empty status": an_item('"status":""'),
    "a status in another case": an_item('"status":"failed"'),
    "a status with a blank": an_item('"status":"FAILED "'),
    "an unknown status": an_item('"status":"HIBERNATING"'),
    "an endless status": an_item(f'"status":"{"FAILED" * 20_000}"'),
    "many attempts": an_item(f'"attempts":[{"{},"[:-1]}{",{}" * 10_000}]'),
    "attempts that are none": an_item('"attempts":[null,7,"x",[]],"eksAttempts":{}'),
    "a stranger": an_item('"status":"FAILED"', '"stranger"'),
    "strangers": ",".join(an_item('"status":"FAILED"', f'"stranger-{number}"') for number in range(1000)),
    "the neighbour as it was": an_item('"status":"STARTING"', '"neighbour"'),
    "the neighbour without a status": an_item('"status":null', '"neighbour"'),
    "the neighbour's status is odd": an_item('"status":[]', '"neighbour"'),
    "itself as it was": an_item('"x":1') + ',{"jobId":"odd","status":"SUBMITTED"}',
    "failed in odd ways": an_item('"status":"FAILED","statusReason":[],"attempts":7,"stoppedAt":"now"'),
    "succeeded at an odd time": an_item('"status":"SUCCEEDED","stoppedAt":1e400,"createdAt":-9e307'),
    "failed long after the end": an_item(f'"status":"FAILED","stoppedAt":{"9" * 400}'),
    "failed at no time": an_item('"status":"FAILED","stoppedAt":"now"'),
    "failed at many times": an_item('"status":"FAILED","stoppedAt":[1,2],"createdAt":{}'),
    "failed beyond all time": an_item('"status":"FAILED","stoppedAt":1e308,"createdAt":-1'),
    "an odd container": an_item('"status":"FAILED","container":{"logStreamName":7,"logConfiguration":[]}'),
    "odd logs": an_item('"status":"FAILED","container":{"logConfiguration":{"logDriver":{},"options":7}}'),
    "odd logs of attempts": an_item('"status":"FAILED","attempts":[{"container":[]},{"container":7}]'),
    "odd nodes": an_item('"status":"FAILED","nodeProperties":{"nodeRangeProperties":{"a":1},"mainNode":"x"}'),
    "odd nodes within": an_item('"status":"FAILED","nodeProperties":{"nodeRangeProperties":[7,null]}'),
}
"""Jobs of an answer, beside one that is in it as AWS would have it."""


UNREADABLE: Final = {f"{member} is huge" for member in ("statusReason", "container", "nodeProperties")}
"""Those whose state can be read and whose description cannot."""


async def check_all_methods(client: BatchClient, job_id: str) -> None:
    """Whatever is asked about a job, there is an answer, or an error of our own."""
    asked: list[Awaitable[object]] = [
        client.describe(job_id),
        client.check_job_success(job_id),
        client.describe_jobs([job_id, "other"]),
        client.poll_job_status(job_id, ["RUNNING", "FAILED", "SUCCEEDED"], max_retries=3),
        client.get_job_awslogs_info(job_id),
        client.job_progress(job_id),
    ]
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert not isinstance(outcome, Exception) or isinstance(outcome, AwaitBatchError)


def check_is_well(client: BatchClient, log: pytest.LogCaptureFixture) -> None:
    """The client is open and waits for nothing, and nothing was logged as our defect."""
    assert ", open, 0 pending" in repr(client)
    assert [record for record in log.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("name", BODIES)
async def test_a_body(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever comes in place of an answer, polls go on, and hear the truth once it is told again."""
    server = make_server()
    for job_id in ("odd", "neighbour"):
        server.add_job(job_id, life_cycle=QUICK)
    hostile = True
    transport = FaultyTransport(server, lambda *_: BODIES[name] if hostile else None)
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(1), observers=[events.append]) as client:
        waits = [
            asyncio.create_task(client.poll_for_job_complete(job_id, 0, status_retries=1000))
            for job_id in ("odd", "neighbour")
        ]
        await asyncio.sleep(6)
        await check_all_methods(client, "odd")
        assert transport.described > 5
        assert not any(wait.done() for wait in waits)
        hostile = False
        assert [(await wait)["status"] for wait in waits] == ["SUCCEEDED"] * 2
        check_is_well(client, caplog)


@pytest.mark.parametrize("name", ITEMS)
async def test_a_job(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """However odd a job is, the one between two like it ends at once, and it itself in its time."""
    server = make_server()
    for job_id in ("odd", "neighbour"):
        server.add_job(job_id, life_cycle=ENDED)
    body = f'{{"jobs":[{ITEMS[name]},{{"jobId":"neighbour","status":"SUCCEEDED"}},{ITEMS[name]}]}}'.encode()
    hostile = True
    transport = FaultyTransport(server, lambda *_: body if hostile else None)
    events: list[Event] = []
    async with make_client(transport, backoff=FixedInterval(1), observers=[events.append]) as client:
        odd = asyncio.create_task(client.wait_for_job("odd", 0, status_retries=1000))
        assert (await client.poll_for_job_complete("neighbour", 0))["status"] == "SUCCEEDED"
        assert transport.described == 1
        assert (await client.describe("neighbour"))["status"] == "SUCCEEDED"
        assert await client.check_job_success("neighbour")
        await check_all_methods(client, "odd")
        hostile = False
        end = (await note(asyncio.get_running_loop().time, odd)).outcome
        assert end in {"SUCCEEDED", "FAILED"} or (isinstance(end, DescribeError) and name in UNREADABLE)
        ends = of_kind(WaitEnded, events)
        assert {event.job_id for event in ends} == {"odd", "neighbour", "other"}
        assert {event.outcome for event in ends if event.kind == "poll"} <= {"matched", "exhausted", "absent"}
        check_is_well(client, caplog)
