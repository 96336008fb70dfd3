"""Text that AWS, a proxy, a job's owner or a caller wrote stays in its line."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from awaitbatch import AwaitBatchError, BatchClient, FixedInterval
from tests.support import make_client, make_server, supervisor_of

from .support import FaultyTransport, client_error, throttle

HOSTILE = "x\n2026-11-24 CRITICAL forged\r\x1b[31m\u2028\u202e\x00" + "x" * 10_000

JOBS: dict[str, dict[str, Any]] = {
    "status": {"status": HOSTILE},
    "reason": {"status": "FAILED", "statusReason": HOSTILE},
    "reason of an attempt": {"status": "FAILED", "statusReason": HOSTILE, "attempts": [{}]},
    "log driver": {
        "status": "FAILED",
        "container": {"logStreamName": "s", "logConfiguration": {"logDriver": HOSTILE}},
    },
    "name": {"status": "FAILED", "jobName": HOSTILE, "jobArn": HOSTILE},
}

FAULTS: dict[str, BaseException | bytes] = {
    "text of AWS": client_error(403, "AccessDeniedException", HOSTILE),
    "code of AWS": client_error(403, HOSTILE),
    "refusal": client_error(400, "ClientException", HOSTILE),
    "throttle": client_error(429, HOSTILE, HOSTILE),
    "outage": client_error(500, HOSTILE, HOSTILE),
    "expiry": client_error(403, "ExpiredToken", HOSTILE),
    "endpoint": EndpointConnectionError(endpoint_url=HOSTILE, error=OSError(HOSTILE)),
    "provider of credentials": CredentialRetrievalError(provider="custom", error_msg=HOSTILE),
    "defect": RuntimeError(HOSTILE),
    "foreign job": json.dumps({"jobs": [{"jobId": HOSTILE, "status": HOSTILE}]}).encode(),
    "body": HOSTILE.encode(),
    "keys of a body": json.dumps({"jobs": {HOSTILE: HOSTILE}}).encode(),
}

MOST = 1000
"""Characters of a line: one or two texts that were cut, and what is ours around them."""


def check(texts: list[str]) -> None:
    """Each of them is one short line."""
    assert texts
    assert [text for text in texts if not text.isprintable() or len(text) > MOST] == []


async def outcomes(client: BatchClient) -> list[str]:
    """What each way to ask for a job raises, and how the client shows itself."""
    texts = [repr(client)]
    for ask in (
        client.describe,
        client.check_job_success,
        client.get_job_awslogs_info,
        lambda job_id: client.describe_jobs([job_id]),
        lambda job_id: client.poll_for_job_complete(job_id, 0),
    ):
        try:
            await ask("j")
        except AwaitBatchError as error:
            texts += [str(error), repr(error)]
    return texts


@pytest.mark.parametrize("job", JOBS)
async def test_in_a_description(caplog: pytest.LogCaptureFixture, job: str) -> None:
    """Statuses, reasons, names and log drivers of jobs forge nothing."""
    body = json.dumps({"jobs": [{"jobId": "j", **JOBS[job]}]}).encode()
    transport = FaultyTransport(make_server(), lambda *_: body)
    with caplog.at_level(logging.DEBUG, "awaitbatch"):
        async with make_client(transport, backoff=FixedInterval(1), max_retries=2) as client:
            texts = await outcomes(client)
            texts += [repr(watch) for watch in supervisor_of(client).coalescer._windows]
    check(texts + [record.getMessage() for record in caplog.records])


@pytest.mark.parametrize("fault", FAULTS)
async def test_in_a_failure(caplog: pytest.LogCaptureFixture, fault: str) -> None:
    """Texts and codes of errors, addresses and bodies forge nothing."""
    transport = FaultyTransport(make_server(), lambda *_: FAULTS[fault])
    transport.submit_faults = [client_error(429, HOSTILE, HOSTILE), client_error(500, HOSTILE, HOSTILE)]
    with caplog.at_level(logging.DEBUG, "awaitbatch"):
        async with make_client(
            transport, backoff=FixedInterval(1), max_retries=2, status_retries=2
        ) as client:
            texts = await outcomes(client) if fault != "throttle" else await throttled(client)
            with pytest.raises(AwaitBatchError) as caught:
                await client.submit_job(jobName=HOSTILE, jobQueue="q", jobDefinition="d")
            texts.append(str(caught.value))
    check(texts + [record.getMessage() for record in caplog.records])


async def throttled(client: BatchClient) -> list[str]:
    """A describe that is throttled for ever; a poll would wait for ever."""
    with pytest.raises(AwaitBatchError) as caught:
        await client.describe("j")
    return [str(caught.value)]


async def test_in_what_the_caller_gives(caplog: pytest.LogCaptureFixture) -> None:
    """Ids, names, regions and schedules of the caller's forge nothing."""

    class Odd:
        def __repr__(self) -> str:
            return HOSTILE

        def window(self, tries: int) -> tuple[float, float]:
            return (tries + 1, tries)

    texts: list[str] = []
    transport = FaultyTransport(make_server(), lambda *_: b'{"jobs": [{"jobId": "j", "status": "RUNNING"}]}')
    transport.region_name = HOSTILE
    transport.submit_faults = [ReadTimeoutError(endpoint_url=HOSTILE)]
    with caplog.at_level(logging.DEBUG, "awaitbatch"):
        async with make_client(transport) as client:
            texts.append(repr(client))
            for asked in (
                client.describe(HOSTILE),
                client.describe_jobs([HOSTILE]),
                client.describe_jobs(HOSTILE),
                client.submit_job(jobName=HOSTILE, jobQueue="q", jobDefinition="d"),
                client.poll_for_job_complete("j", 0, backoff=Odd()),
            ):
                with pytest.raises((AwaitBatchError, TypeError, ValueError)) as caught:
                    await asked
                texts.append(str(caught.value))
            with pytest.raises(AwaitBatchError) as caught:
                client.parse_job_description(HOSTILE, {"jobs": []})
            texts.append(str(caught.value))
    check(texts + [record.getMessage() for record in caplog.records])


async def test_in_what_ends_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """An error that breaks the client, or its closing, is logged in one line."""

    class Broken(FaultyTransport):
        async def aclose(self) -> None:
            raise RuntimeError(HOSTILE)

        @property
        def max_connections(self) -> int:
            if self.described:
                raise RuntimeError(HOSTILE)
            return 8

        @max_connections.setter
        def max_connections(self, _: int) -> None:
            pass

    async with make_client(Broken(make_server(), lambda *_: throttle())) as client:
        with pytest.raises(AwaitBatchError) as caught:
            await client.describe("j")
    check([str(caught.value)] + [record.getMessage() for record in caplog.records])
    assert len(caplog.records) >= 2


TOLD = "Credential=AKIDPLANTED/20260101/us-east-1, Signature=planted, X-Amz-Security-Token=planted, //me:pl/anted@host"


@pytest.mark.parametrize(
    "fault",
    [
        client_error(500, "ServerException", TOLD),
        client_error(403, TOLD, TOLD),
        OSError(TOLD),
        RuntimeError(TOLD),
    ],
)
async def test_secrets_that_a_transport_tells(caplog: pytest.LogCaptureFixture, fault: Exception) -> None:
    """What looks like a secret is in none of our texts, whoever made the transport."""
    events: list[object] = []
    transport = FaultyTransport(make_server(), lambda *_: fault)
    with caplog.at_level(logging.DEBUG, "awaitbatch"):
        async with make_client(
            transport, status_retries=1, backoff=FixedInterval(1), max_retries=1, observers=[events.append]
        ) as client:
            texts = await outcomes(client)
    texts += [*map(repr, events), *(record.getMessage() for record in caplog.records)]
    assert not [text for text in texts if "planted" in text.lower() or "pl/anted" in text]
