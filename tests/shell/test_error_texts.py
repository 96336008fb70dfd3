"""What the errors say: what happened to which job, how often it was tried, and what to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

import awaitbatch
from awaitbatch import AwaitBatchError, ClientClosedError, FixedInterval
from tests.support import ENDED, LONG, make_client, make_server, until

from .support import QUICK, FaultyTransport, client_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer

    from .support import Outcome, Plan


def describe(client: BatchClient, job_id: str) -> Awaitable[Any]:
    """One check."""
    return client.describe(job_id)


def wait(client: BatchClient, job_id: str) -> Awaitable[Any]:
    """Wait until the job has ended; the first check is made at once."""
    return client.poll_job_status(job_id, ["SUCCEEDED", "FAILED"])


def wait_in_vain(client: BatchClient, job_id: str) -> Awaitable[Any]:
    """Wait for states that the job has left behind."""
    return client.poll_job_status(job_id, ["STARTING", "RUNNING"])


def check(client: BatchClient, job_id: str) -> Awaitable[Any]:
    """Whether the job succeeded."""
    return client.check_job_success(job_id)


async def close(client: BatchClient, job_id: str) -> None:
    """Close the client under a wait."""
    waiting = asyncio.ensure_future(wait(client, job_id))
    await asyncio.sleep(4.5)
    await client.aclose()
    await waiting


def submit(client: BatchClient, _: str) -> Awaitable[Any]:
    """Submit."""
    return client.submit_job(jobName="nightly", jobQueue="q", jobDefinition="d")


def malformed(client: BatchClient, _: str) -> Awaitable[Any]:
    """One check of a job of a name that cannot be."""
    return client.describe("a job")


def from_then_on(first: int, outcome: Outcome) -> Plan:
    """All goes well before this call, and nothing from it on."""
    return lambda number, _: outcome if number >= first else None


def forget(server: BatchServer, job_id: str) -> Plan:
    """The job vanishes after two checks."""

    def plan(number: int, _: Sequence[str]) -> Outcome:
        if number == 3:
            server.forget_job(job_id)
        return None

    return plan


def status(text: str) -> bytes:
    """An answer in which the job has this status."""
    return b'{"jobs": [{"jobId": "JOB", "status": "%s"}]}' % text.encode()


DENIED = client_error(403, "AccessDeniedException", "User u is not authorized to perform: batch:DescribeJobs")
OUTAGE = client_error(500, "ServerException", "Internal failure.")
REFUSED = client_error(400, "ClientException", "no such thing")
EXPIRED = client_error(403, "ExpiredTokenException", "The security token included in the request is expired")
CALLED = "when calling the DescribeJobs operation"

TEXTS: list[tuple[str, Any, Any, str]] = [
    (
        "DescribeError",
        describe,
        from_then_on(1, DENIED),
        (
            f"AWS Batch job (JOB) description error after 1 try: An error occurred (AccessDeniedException) {CALLED}: "
            "User u is not authorized to perform: batch:DescribeJobs; "
            "allow batch:DescribeJobs in the IAM policy of these credentials"
        ),
    ),
    (
        "DescribeError",
        describe,
        from_then_on(1, OUTAGE),
        (
            f"AWS Batch job (JOB) description error after 10 tries: An error occurred (ServerException) {CALLED}: "
            "Internal failure; try again later"
        ),
    ),
    (
        "DescribeError",
        wait,
        from_then_on(1, DENIED),
        (
            "AWS Batch job (JOB) description error after 1 check: "
            f"An error occurred (AccessDeniedException) {CALLED}: "
            "User u is not authorized to perform: batch:DescribeJobs; "
            "allow batch:DescribeJobs in the IAM policy of these credentials"
        ),
    ),
    (
        "DescribeError",
        wait,
        from_then_on(2, REFUSED),
        (
            f"AWS Batch job (JOB) description error after 2 checks: An error occurred (ClientException) {CALLED}: "
            "no such thing; check the job's id"
        ),
    ),
    (
        "DescribeError",
        wait,
        from_then_on(1, EXPIRED),
        (
            "AWS Batch job (JOB) description error after 1 check: "
            f"An error occurred (ExpiredTokenException) {CALLED}: "
            "The security token included in the request is expired; the credentials have expired and cannot renew "
            "themselves, so no further call can succeed: create a new BatchClient with fresh ones, or with a profile "
            "or role that renews them"
        ),
    ),
    (
        "DescribeError",
        describe,
        from_then_on(1, b'{"jobs": [{"jobId": "JOB", "status": "FAILED", "x": "\xff"}]}'),
        (
            "AWS Batch job (JOB) description error: unreadable: 'utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte; describe it again, or report this as a bug"
        ),
    ),
    (
        "JobNotFoundError",
        describe,
        from_then_on(1, b'{"jobs": []}'),
        (
            "AWS Batch job (JOB) not found in 4 answers in a row: it was never seen; check the id, the region and the "
            "account, or set status_retries to ask more often"
        ),
    ),
    (
        "JobNotFoundError",
        wait,
        forget,
        (
            "AWS Batch job (JOB) not found in 10 answers in a row after 2 checks: "
            "it was last seen as SUBMITTED and has "
            "vanished; AWS keeps ended jobs for a week, so look for its outcome in its log"
        ),
    ),
    (
        "MaxRetriesExceededError",
        wait,
        from_then_on(99, None),
        (
            "AWS Batch job (JOB) status checks exceed max_retries: "
            "6 checks, last seen as RUNNABLE; the job itself goes "
            "on, so raise max_retries to wait longer"
        ),
    ),
    (
        "MaxRetriesExceededError",
        wait,
        from_then_on(1, OUTAGE),
        (
            "AWS Batch job (JOB) status checks exceed max_retries: 6 checks, never seen, the last one failed (An error "
            f"occurred (ServerException) {CALLED}: Internal failure; try again later); the job itself goes on, "
            "so raise max_retries to wait longer"
        ),
    ),
    (
        "MaxRetriesExceededError",
        wait,
        from_then_on(1, b'{"jobs": [{"jobId": "JOB"}]}'),
        (
            "AWS Batch job (JOB) status checks exceed max_retries: "
            "6 checks, never seen, the last one failed (the answer "
            "has the job without a status; check what is between here and AWS, such as a proxy); the job itself "
            "goes on, so raise max_retries to wait longer"
        ),
    ),
    (
        "MaxRetriesExceededError",
        wait,
        from_then_on(
            1, b'{"jobs": [{"jobId": "JOB", "status": "RUNNABLE", "statusReason": "MISCONFIGURATION:x."}]}'
        ),
        (
            "AWS Batch job (JOB) status checks exceed max_retries: "
            "6 checks, last seen as RUNNABLE (MISCONFIGURATION:x); the job itself goes "
            "on, so raise max_retries to wait longer"
        ),
    ),
    (
        "StatusUnreachableError",
        wait_in_vain,
        from_then_on(1, status("SUCCEEDED")),
        (
            "AWS Batch job (JOB) has ended as SUCCEEDED and will never be RUNNING or STARTING; "
            "describe it to see what happened, or let poll_job_status wait for SUCCEEDED, too"
        ),
    ),
    (
        "JobFailedError",
        check,
        from_then_on(1, b'{"jobs": [{"jobId": "JOB", "status": "FAILED", "attempts": [{}, {}]}]}'),
        (
            "AWS Batch job (JOB) failed after 2 attempts: "
            "AWS Batch gives no reason; all that AWS Batch says of it is in the error's attribute job"
        ),
    ),
    (
        "JobFailedError",
        check,
        from_then_on(
            1, b'{"jobs": [{"jobId": "JOB", "status": "FAILED", "statusReason": "MISCONFIGURATION:x"}]}'
        ),
        (
            "AWS Batch job (JOB) failed before its first attempt: it could not be started (MISCONFIGURATION:x); "
            "fix what is wrong and submit it again"
        ),
    ),
    (
        "JobNotCompleteError",
        check,
        from_then_on(1, status("RUNNING")),
        "AWS Batch job (JOB) is not complete: it is RUNNING; use wait_for_job to wait for its end",
    ),
    (
        "UnknownJobStatusError",
        check,
        from_then_on(1, status("HIBERNATING")),
        "AWS Batch job (JOB) has unknown status: HIBERNATING; a newer awaitbatch may know it",
    ),
    (
        "ClientClosedError",
        close,
        from_then_on(99, None),
        (
            "AWS Batch job (JOB): the client was closed after 5 checks, before the wait "
            "ended; the job itself "
            "goes on, so wait for it with another BatchClient"
        ),
    ),
    (
        "InvalidJobIdError",
        malformed,
        from_then_on(99, None),
        (
            "not an AWS Batch job id: 'a job' (expected at most 128 letters, digits, '-' "
            "and '_', optionally followed by ':n' or '#n', or the ARN of a job)"
        ),
    ),
    (
        "SubmitUncertainError",
        submit,
        from_then_on(99, None),
        (
            "AWS Batch job named 'nightly' may or may not have been submitted after 1 try: "
            "Read timeout on endpoint URL: "
            '"https://batch.example"; look for it by its name before you submit it again'
        ),
    ),
]


@pytest.mark.parametrize(
    ("name", "ask", "plan", "text"),
    TEXTS,
    ids=[f"{name}-{ask.__name__}-{number}" for number, (name, ask, _, _) in enumerate(TEXTS)],
)
async def test_what_errors_say(name: str, ask: Any, plan: Any, text: str) -> None:
    """Each error says in one line what happened to which job, after how many tries, and what to do."""
    server = make_server()
    job_id = server.add_job(life_cycle=replace(LONG, submitted=2.5, pending=0, runnable=1e6))
    fault = plan(server, job_id) if plan is forget else plan
    transport = FaultyTransport(server, lambda number, ids: filled_in(fault(number, ids), job_id))
    transport.submit_faults = [ReadTimeoutError(endpoint_url="https://batch.example")]
    client = make_client(transport, backoff=FixedInterval(1), max_retries=5)
    await client.open()
    try:
        with pytest.raises(AwaitBatchError) as caught:
            await ask(client, job_id)
    finally:
        await client.aclose()
    assert type(caught.value).__name__ == name
    assert str(caught.value).replace(job_id, "JOB") == text
    assert getattr(caught.value, "job_id", job_id) == job_id


def filled_in(outcome: Outcome, job_id: str) -> Outcome:
    """The outcome with the job's id in it."""
    return outcome.replace(b"JOB", job_id.encode()) if isinstance(outcome, bytes) else outcome


def test_no_error_is_left_out() -> None:
    """The table above has every error that there is."""
    errors = {name for name in awaitbatch.__all__ if name.endswith("Error")}
    # Those of many jobs are in test_wait_for_jobs.py and test_bulk.py, others in test_listing.py and test_resources.py.
    of_many = {"JobsFailedError", "TerminationError", "BulkError"}
    others = {"AwaitBatchError", "CallError", "ResourceInvalidError", "ResourceNotFoundError"}
    assert {name for name, *_ in TEXTS} == errors - of_many - others


async def test_a_wait_that_is_closed_before_its_first_check() -> None:
    """It says nothing of checks."""
    server = make_server()
    async with make_client(server) as client:
        wait = asyncio.create_task(client.wait_for_job(server.add_job(), 60))
        await until(lambda: client.statistics().pending == 1)
    with pytest.raises(
        ClientClosedError, match=r"\): the client was closed before the wait ended; the job itself"
    ):
        await wait


async def test_what_a_broken_backoff_raises() -> None:
    """The user's own error is raised as it is, with a note that names the job."""

    class Broken:
        def window(self, tries: int) -> tuple[float, float]:
            raise LookupError(tries)

    server = make_server()
    job_id = server.add_job(life_cycle=QUICK)
    async with make_client(server) as client:
        with pytest.raises(LookupError) as caught:
            await client.poll_for_job_complete(job_id, 0, backoff=Broken())
    assert caught.value.__notes__ == [
        f"raised by the backoff of a wait for AWS Batch job ({job_id}) after 1 check"
    ]


async def test_a_job_that_ended_has_no_error() -> None:
    """The table above is about what goes wrong; a job that ended well says nothing."""
    server = make_server()
    async with make_client(server) as client:
        assert await client.check_job_success(server.add_job(life_cycle=ENDED))
