"""Submitting, cancelling and terminating jobs."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
)

from awaitbatch import BatchClient, DescribeError, SubmitUncertainError
from awaitbatch.testing import TokenBucket
from tests.support import LONG, make_client, make_server

from .support import FaultyTransport, client_error, throttle

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef

JOB: SubmitJobRequestTypeDef = {"jobName": "hello", "jobQueue": "queue", "jobDefinition": "definition"}
URL = "https://batch.example"


def never_connected() -> EndpointConnectionError:
    """What aiobotocore raises when nobody listens."""
    key = aiohttp.client_reqrep.ConnectionKey(
        "batch.example", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    error = aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused"))
    return EndpointConnectionError(endpoint_url=URL, error=error)


async def test_submit_answers_like_boto3() -> None:
    """submit_job takes boto3's parameters and returns boto3's answer; the job can be awaited."""
    server = make_server()
    async with make_client(server) as client:
        answer = await client.submit_job(**JOB)
        assert answer["jobName"] == "hello"
        assert answer["jobArn"].endswith(answer["jobId"])
        assert (await client.wait_for_job(answer["jobId"]))["jobName"] == "hello"


@pytest.mark.parametrize(
    "error",
    [
        never_connected(),
        client_error(
            403, "InvalidSignatureException", "Signature expired: 20261126T120000Z is now earlier than"
        ),
        client_error(
            403, "SignatureDoesNotMatch", "Signature not yet current: 20261126T120000Z is still later"
        ),
        client_error(403, "RequestTimeTooSkewed"),
        client_error(500, "AuthorizerConfigurationException"),
    ],
    ids=repr,
)
async def test_what_aws_has_certainly_not_taken_is_sent_again(error: Exception) -> None:
    """What did not get there, or was turned away before AWS Batch saw it, is submitted once all the same."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [error] * 4
    async with make_client(transport) as client:
        await client.submit_job(**JOB)
    assert transport.submitted == 5


async def test_a_host_that_never_answers_is_an_error() -> None:
    """A job that cannot be submitted for want of a connection is tried `status_retries` times."""
    transport = FaultyTransport(make_server())
    async with make_client(transport) as client:
        transport.submit_faults = [never_connected()] * 99
        with pytest.raises(EndpointConnectionError):
            await client.submit_job(**JOB)
        assert transport.submitted == 10


@pytest.mark.parametrize("error", [throttle(), client_error(400, "ThrottlingException")], ids=repr)
async def test_throttling_never_fails_a_call(error: Exception) -> None:
    """However often AWS rejects a call for coming too fast, it is sent again until it is taken."""
    transport = FaultyTransport(make_server())
    async with make_client(transport) as client:
        transport.submit_faults = [error] * 200
        await client.submit_job(**JOB)
    assert transport.submitted == 201


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        HTTPClientError(error=OSError("reset in the middle of the body")),
        EndpointConnectionError(endpoint_url=URL, error=aiohttp.ClientOSError(104, "reset")),
        client_error(500, "ServerException"),
        client_error(503, "503"),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_what_may_have_been_done_is_not_sent_again(error: Exception) -> None:
    """A time-out, a lost connection and a 5xx raise SubmitUncertainError, once, naming the job."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [error]
    async with make_client(transport) as client:
        with pytest.raises(SubmitUncertainError, match="hello") as caught:
            await client.submit_job(**JOB)
    assert caught.value.__cause__ is error
    assert caught.value.job_name == "hello"
    assert transport.submitted == 1


@pytest.mark.parametrize(
    "error",
    [client_error(400, "ClientException"), client_error(403, "AccessDeniedException"), NoCredentialsError()],
    ids=repr,
)
async def test_refusals_are_botocores_own(error: Exception) -> None:
    """What AWS refuses, and what was never sent, is raised as it is."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [error]
    async with make_client(transport) as client:
        with pytest.raises(type(error)) as caught:
            await client.submit_job(**JOB)
    assert caught.value is error
    assert transport.submitted == 1


async def test_credentials_that_could_not_be_fetched_now_are_fetched_again() -> None:
    """Nothing was sent when STS is throttled or the provider does not answer, so the job is submitted once."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [
        client_error(400, "Throttling", operation="AssumeRole"),
        client_error(503, "ServiceUnavailable", operation="AssumeRole"),
        CredentialRetrievalError(provider="sso", error_msg="down"),
    ]
    async with make_client(transport) as client:
        await client.submit_job(**JOB)
    assert transport.submitted == 4


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken", "ClientException"])
async def test_credentials_that_are_refused_are_told_at_once(code: str) -> None:
    """Somebody waits for the submission, and a refusal by STS would come again."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [client_error(403, code, operation="AssumeRole")]
    async with make_client(transport) as client:
        with pytest.raises(ClientError, match=code):
            await client.submit_job(**JOB)
    assert transport.submitted == 1


async def test_a_connection_that_timed_out_was_not_made() -> None:
    """A connect time-out is sent again: AWS cannot have seen the request."""
    transport = FaultyTransport(make_server())
    transport.submit_faults = [ConnectTimeoutError(endpoint_url=URL)]
    async with make_client(transport) as client:
        await client.submit_job(**JOB)
    assert transport.submitted == 2


async def test_cancel_and_terminate() -> None:
    """cancel_job leaves a running job alone, terminate_job ends it; both take an ARN; refusals are botocore's own."""
    server = make_server()
    job_id = server.add_job(life_cycle=LONG)
    async with make_client(server) as client:
        running = await client.poll_for_job_running(job_id)
        await client.cancel_job(job_id, "no")
        assert (await client.describe(job_id))["status"] == "RUNNING"
        await client.terminate_job(running["jobArn"], "enough")
        job = await client.describe(job_id)
        assert (job["status"], job["statusReason"]) == ("FAILED", "enough")


@pytest.mark.parametrize("method", ["cancel_job", "terminate_job", "cancel_jobs", "terminate_jobs"])
async def test_a_reason_that_aws_would_refuse(method: str) -> None:
    """An empty one and one of 1,025 characters are refused before anything is sent, and so is what is no text."""
    server = make_server()
    async with make_client(server) as client:
        jobs = ["j"] if method.endswith("s") else "j"
        with pytest.raises(ValueError, match=r"reason must have 1 to 1,024 characters, not 1,025"):
            await getattr(client, method)(jobs, "x" * 1025)
        with pytest.raises(ValueError, match=r"not 0$"):
            await getattr(client, method)(jobs, "")
        with pytest.raises(TypeError, match=r"a str, not None$"):
            await getattr(client, method)(jobs, None)
        assert not server.statistics.calls
        await getattr(client, method)(jobs, "x" * 1024)


@pytest.mark.parametrize(
    "answer", [{}, {"jobId": None}, {"jobName": "hello"}, {"jobId": ""}, {"jobId": 7}, None, []], ids=str
)
async def test_an_answer_without_an_id_is_uncertain(answer: dict[str, Any]) -> None:
    """A good answer that does not name the job, as when it was cut off, is no certainty."""

    class Forgetful(FaultyTransport):
        async def call(self, operation: str, /, **_: object) -> dict[str, Any]:  # noqa: ARG002
            return answer

    async with make_client(Forgetful(make_server())) as client:
        with pytest.raises(SubmitUncertainError, match="no jobId"):
            await client.submit_job(**JOB)


@pytest.mark.parametrize("ask", ["submit", "cancel"])
async def test_a_failed_call_keeps_nothing_alive(ask: str) -> None:
    """What was asked for, environment and all, is gone with the error, and does not wait for the garbage collector."""

    class Secret(str):
        __slots__ = ("__weakref__",)

    class Refusing(FaultyTransport):
        async def call(self, operation: str, /, **_: object) -> dict[str, Any]:
            raise client_error(400, "ClientException", operation=operation)

    secret = Secret("secret")
    kept = weakref.ref(secret)
    async with make_client(Refusing(make_server())) as client:
        gc.collect()
        gc.disable()
        try:
            call: Coroutine[Any, Any, object] = client.cancel_job("j", secret)
            if ask == "submit":
                call.close()
                call = client.submit_job(
                    jobName="n", jobQueue="q", jobDefinition="d", tags={"secret": secret}
                )
            del secret
            with pytest.raises(ClientError):
                await call
            del call
            # The event loop refers to what it runs until the turn is over.
            await asyncio.sleep(0)
            assert kept() is None
        finally:
            gc.enable()


KEYS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


PROXIES = {
    "SOCKS": "socks5://user:password@proxy:1080",
    "no port": "http://proxy:port",
    "a port beyond all": "http://proxy:99999",
    "no host": "http://:80",
    "a broken password": "http://user:password/@proxy:80",
    "half an address": "http://[::1",
}


@pytest.mark.parametrize("what", ["a directory", "nothing", "no certificate", *PROXIES])
async def test_what_it_takes_to_send_is_not_there(what: str, tmp_path: Path) -> None:
    """Nothing is sent, so nothing is uncertain or waited for, and the error says where to look."""
    path = tmp_path / "bundle.pem"
    if what == "a directory":
        path.mkdir()
    elif what != "nothing":
        path.write_text("-----")
    settings: dict[str, Any] = {"verify": str(path)}
    if what in PROXIES:
        settings = {"config": AioConfig(proxies={"https": PROXIES[what]})}
    async with BatchClient(endpoint_url=URL, **KEYS, **settings) as client:
        for call in (lambda: client.submit_job(**JOB), lambda: client.terminate_job("j", "enough")):
            with pytest.raises(HTTPClientError) as caught:
                await call()
            assert "password" not in str(caught.value)
        with pytest.raises(DescribeError, match="; check verify=, AWS_CA_BUNDLE, client_cert, and the proxy"):
            await client.wait_for_job("j")


async def test_a_request_that_is_changed_while_it_waits() -> None:
    """As with botocore, what a call was given counts, not what somebody makes of it afterwards."""
    server = make_server(bucket={"SubmitJob": TokenBucket(1, 1)})
    shared: dict[str, Any] = {}

    async def submit(client: BatchClient, number: int) -> tuple[str, str]:
        shared["number"] = str(number)
        submitted = await client.submit_job(
            jobName="n", jobQueue="queue", jobDefinition="d", parameters=shared
        )
        job = await client.describe(submitted["jobId"])
        return str(number), job["parameters"]["number"]

    async with make_client(server) as client:
        pairs = await asyncio.gather(*(submit(client, number) for number in range(5)))
    assert [asked for asked, _ in pairs] == [got for _, got in pairs]


async def test_a_limit_that_no_wait_has() -> None:
    """A misspelt or private keyword is refused at once, by a text that names those that there are."""
    async with make_client(make_server()) as client:
        for name in ("max_retry", "last_status", "match_status"):
            with pytest.raises(
                TypeError, match=rf"'{name}': a wait takes backoff, max_retries, status_retries"
            ):
                await client.wait_for_job("j", **{name: 3})  # type: ignore[arg-type]
