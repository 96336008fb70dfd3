"""Nothing secret is in what awaitbatch logs, shows or raises, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp import web
from botocore.exceptions import ClientError, ParamValidationError

from awaitbatch import AwaitBatchError, BatchClient, DescribeError, FixedInterval, SubmitUncertainError
from awaitbatch._failures import classify
from tests.support import PromptClient, supervisor_of, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from awaitbatch._core.outcomes import Failure

ACCESS_KEY: Final = "AKIAPLANTEDACCESSKEY"
SECRET_KEY: Final = "planted-secret-key"  # noqa: S105
SESSION_TOKEN: Final = "planted-session-token"  # noqa: S105
IN_THE_JOB: Final = (
    "planted-environment",
    "planted-value-from",
    "planted-parameter",
    "planted-tag",
    "planted-command",
)
PLANTED: Final = (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, *IN_THE_JOB)


def description(job_id: str, status: str) -> dict[str, Any]:
    """A job that is full of secrets."""
    environment, value_from, parameter, tag, command = IN_THE_JOB
    return {
        "jobId": job_id,
        "jobName": "job",
        "status": status,
        "statusReason": "Essential container in task exited",
        "parameters": {"password": parameter},
        "tags": {"tag": tag},
        "attempts": [{}],
        "container": {
            "command": [command],
            "environment": [{"name": "PASSWORD", "value": environment}],
            "secrets": [{"name": "SECRET", "valueFrom": value_from}],
        },
    }


class Server:
    """Answers DescribeJobs and SubmitJob as a test wants, and otherwise well."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.faults: list[tuple[int, str | None, bytes]] = []
        self.seen: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer."""
        self.seen.append(str(request.headers.items()))
        asked = await request.json()
        if self.faults:
            status, code, body = self.faults.pop(0)
            if code == "ECHO":
                # In the first line, in the code and in the headers.
                told = ", ".join(f"{name}={value}" for name, value in request.headers.items())
                echo = {"X-Echo": told, "x-amzn-errortype": f"Odd{request.headers['X-Amz-Security-Token']}"}
                return web.json_response({"message": body.decode() + told}, status=status, headers=echo)
            headers = {"x-amzn-errortype": code} if code else {}
            quoted = "\\n".join(f"{name}:{value}" for name, value in request.headers.items()).replace(
                '"', "'"
            )
            return web.Response(status=status, headers=headers, body=body.replace(b"QUOTE", quoted.encode()))
        if "jobName" in asked:
            return web.json_response({"jobId": "new", "jobName": asked["jobName"], "jobArn": "arn"})
        return web.json_response({"jobs": [description(job_id, self.status) for job_id in asked["jobs"]]})


@pytest.fixture
async def server() -> Server:
    """What plays AWS Batch."""
    return Server()


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    """Where it listens."""
    application = web.Application()
    application.router.add_post("/v1/{operation}", server.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Heard(logging.Handler):
    """All that is logged, shown or raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

        def listening(error: BaseException, **options: Any) -> Failure:
            failure = classify(error, **options)
            self.texts.append(repr(failure))
            return failure

        monkeypatch.setattr("awaitbatch._coalescer.classify", listening)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a line, and all that a formatter could make of it."""
        self.texts += [record.getMessage(), repr(record.args), repr(record.exc_info), repr(record.stack_info)]

    def reprs(self, client: BatchClient) -> None:
        """Take in how the client and its parts show themselves."""
        coalescer = supervisor_of(client).coalescer
        parts = (
            client,
            client._supervisor,
            coalescer,
            coalescer._windows,
            supervisor_of(client).transport,
            client.statistics(),
        )
        self.texts += [repr(part) for part in (*parts, *coalescer._windows)]
        self.texts += [repr(watch._failure) for watch in coalescer._windows]

    async def outcome(self, asked: Awaitable[Any]) -> BaseException | None:
        """Take in the error of what was asked, its causes included."""
        try:
            await asked
        except BaseException as error:  # noqa: BLE001
            chain: BaseException | None = error
            while chain is not None:
                self.texts += [str(chain), repr(chain), repr(chain.args)]
                chain = chain.__cause__ or chain.__context__
            self.texts += traceback.format_exception(error)
            return error
        return None

    def check(self) -> None:
        """Nothing of it is secret."""
        assert self.texts
        leaks = [text for text in self.texts for secret in PLANTED if secret in text]
        assert leaks == []


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Nothing yet."""
    return Heard(monkeypatch)


@pytest.fixture
async def client(
    url: str, heard: Heard, session: AioSession, _no_slow_start: None
) -> AsyncIterator[BatchClient]:
    """A client with secret credentials, whose log goes to whoever hears."""
    logger = logging.getLogger("awaitbatch")
    level = logger.level
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    async with PromptClient(
        session=session,
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        aws_session_token=SESSION_TOKEN,
        backoff=FixedInterval(0.01),
        status_retries=1,
        max_retries=0,
        max_calls_per_second=1000,
    ) as opened:
        yield opened
    logger.removeHandler(heard)
    logger.setLevel(level)


ECHO: Final = (
    b'{"message": "The request signature we calculated does not match the signature you provided. Check your AWS '
    b"Secret Access Key and signing method.\\n\\nThe Canonical String for this request should have been\\n"
    b"'POST\\n/v1/describejobs\\n\\nQUOTE\\n'\"}"
)
BODY: Final = json.dumps({"jobs": [description("j", "FAILED")]}).encode()

FAULTS: dict[str, tuple[int, str | None, bytes]] = {
    "throttled": (429, "TooManyRequestsException", b'{"message": "Too Many Requests"}'),
    "a wrong signature": (403, "InvalidSignatureException", ECHO),
    "no access": (403, "AccessDeniedException", b'{"message": "no"}'),
    "expired": (403, "ExpiredTokenException", b'{"message": "The security token is expired"}'),
    "refused": (400, "ClientException", b'{"message": "no\\nQUOTE"}'),
    "a server error that quotes": (500, "ServerException", b'{"message": "oops\\nQUOTE"}'),
    "a stale answer with another status": (502, None, BODY),
    "half of one": (502, None, BODY[:-40]),
    "one that is no text": (502, None, b"\xff\xfe" + BODY),
    "one that is no object": (502, None, b"[" + BODY + b"]"),
    "HTML": (503, None, b"<html>QUOTE</html>"),
    "a refusal that quotes at once": (403, "ECHO", b"not a valid key=value pair in Authorization header: "),
    "a server error that quotes at once": (500, "ECHO", b"oops "),
    "a throttle that quotes at once": (429, "ECHO", b"too fast: "),
    "an answer cut off": (200, None, BODY[:-40]),
    "an answer that is no text": (200, None, BODY.replace(b"planted-env", b"\xffplanted-env")),
    "an answer that is no list": (200, None, b'{"jobs": ' + BODY + b"}"),
    "no JSON": (200, None, b"x" + BODY),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_describing(client: BatchClient, server: Server, heard: Heard, fault: str) -> None:
    """However DescribeJobs fails a describe or a poll, nothing secret shows."""
    server.faults = [FAULTS[fault]] * 2
    await heard.outcome(client.describe("j"))
    server.faults = [FAULTS[fault]]
    polling = asyncio.ensure_future(client.poll_for_job_complete("j"))
    await asyncio.sleep(0)
    heard.reprs(client)
    error = await heard.outcome(polling)
    assert isinstance(error, AwaitBatchError)
    assert any(SESSION_TOKEN in headers for headers in server.seen)
    heard.reprs(client)
    heard.check()


@pytest.mark.parametrize(
    "fault", [name for name, (status, _, _) in FAULTS.items() if status == 502 and name != "half of one"]
)
async def test_odd_error_answers_are_only_failures(client: BatchClient, server: Server, fault: str) -> None:
    """A gateway that answers 502 with whatever it likes ends no wait; botocore's parser would break at some."""
    server.faults = [FAULTS[fault]]
    server.status = "SUCCEEDED"
    assert (await client.poll_for_job_complete("j", max_retries=1))["status"] == "SUCCEEDED"
    server.faults = [FAULTS[fault]]
    with pytest.raises(DescribeError, match=r"\(502\).*; try again later"):
        await client.describe("j")


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "RUNNING", "HIBERNATING"])
async def test_jobs_that_are_seen(client: BatchClient, server: Server, heard: Heard, status: str) -> None:
    """Whatever state a job is in, only those who asked for it get what is in it."""
    server.status = status
    job = await client.describe("j")
    assert job["container"]["environment"][0]["value"] == "planted-environment"
    await heard.outcome(client.check_job_success("j"))
    await heard.outcome(client.poll_for_job_complete("j"))
    await heard.outcome(client.get_job_awslogs_info("j"))
    heard.check()


async def test_closing(client: BatchClient, heard: Heard) -> None:
    """A wait that closing ends shows nothing."""
    polling = asyncio.ensure_future(client.poll_for_job_complete("j", max_retries=1e9))
    await until(lambda: client.statistics().calls > 1)
    await client.aclose()
    assert isinstance(await heard.outcome(polling), AwaitBatchError)
    heard.reprs(client)
    heard.check()


SUBMISSION: dict[str, Any] = {
    "jobName": "job",
    "jobQueue": "queue",
    "jobDefinition": "definition",
    "parameters": {"password": "planted-parameter"},
    "containerOverrides": {"environment": [{"name": "PASSWORD", "value": "planted-environment"}]},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_submitting(client: BatchClient, server: Server, heard: Heard, fault: str) -> None:
    """However SubmitJob ends, nothing secret shows, and what is uncertain is called that."""
    server.faults = [FAULTS[fault]]
    error = await heard.outcome(client.submit_job(**SUBMISSION))
    heard.texts.append(repr(client))
    heard.check()
    assert isinstance(error, SubmitUncertainError) is (FAULTS[fault][0] in {200, 500, 502, 503})


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("operation", ["submit_job", "cancel_job", "terminate_job"])
async def test_an_error_of_botocore_is_clean(
    client: BatchClient, server: Server, heard: Heard, operation: str, status: int
) -> None:
    """All that an error of botocore keeps of an answer that quotes the call is masked, the headers included."""
    server.faults = [(status, "ECHO", b"no: ")] * 5
    asked = (
        client.submit_job(**SUBMISSION) if operation == "submit_job" else getattr(client, operation)("j", "x")
    )
    error = await heard.outcome(asked)
    assert isinstance(error, ClientError)
    signatures = [part for seen in server.seen for part in seen.split("Signature=")[1:]]
    assert signatures
    heard.texts.append(repr(error.response))
    heard.check()
    assert not [text for text in heard.texts for signature in signatures if signature[:64] in text]


@pytest.mark.parametrize("operation", ["cancel_job", "terminate_job"])
async def test_ending_a_job(client: BatchClient, server: Server, heard: Heard, operation: str) -> None:
    """What AWS quotes of the request when it refuses to end a job is in no error, botocore's own included."""
    server.faults = [FAULTS["a wrong signature"]]
    error = await heard.outcome(getattr(client, operation)("j", "enough"))
    heard.check()
    assert isinstance(error, ClientError)
    assert error.response["Error"]["Code"] == "InvalidSignatureException"


async def test_a_submission_that_botocore_refuses(client: BatchClient, heard: Heard) -> None:
    """A parameter that botocore does not accept is quoted in its error, and not logged by us."""
    with pytest.raises(ParamValidationError, match="planted-parameter"):
        await client.submit_job(**SUBMISSION | {"parameters": "planted-parameter"})
    heard.texts.append("")
    heard.check()


async def test_a_proxy_with_a_password(heard: Heard, url: str, session: AioSession) -> None:
    """The password in the address of a server that cannot be reached is not in our texts."""
    address = url.replace("//", "//me:planted-parameter@").rpartition(":")[0]
    async with BatchClient(
        session=session,
        region_name="us-east-1",
        endpoint_url=f"{address}:1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        status_retries=1,
    ) as client:
        with pytest.raises(DescribeError) as caught:
            await client.describe("j")
    heard.texts.append(str(caught.value))
    heard.check()


@pytest.mark.parametrize("password", ["planted-parameter", "planted%2Fparameter", "pl/planted-parameter"])
async def test_an_endpoint_with_a_password(heard: Heard, session: AioSession, password: str) -> None:
    """The password of an endpoint is in no error, botocore's own included, nor in an event, be it valid or not."""
    events: list[Any] = []
    client = BatchClient(
        session=session,
        region_name="us-east-1",
        endpoint_url=f"http://me:{password}@127.0.0.1:1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        status_retries=1,
        observers=[events.append],
    )

    async def use() -> None:
        async with client:
            await client.describe("j")

    assert await heard.outcome(use()) is not None
    heard.texts += map(repr, events)
    heard.check()
    assert not [text for text in heard.texts if "planted%2F" in text]


async def test_the_password_of_a_proxy(heard: Heard, session: AioSession) -> None:
    """The password of a proxy that cannot be reached is in no error, aiohttp's own included."""
    async with BatchClient(
        session=session,
        region_name="us-east-1",
        endpoint_url="http://batch.invalid",
        config=AioConfig(proxies={"http": "http://me:planted-parameter@127.0.0.1:1"}),
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        status_retries=1,
    ) as client:
        assert await heard.outcome(client.describe("j")) is not None
        assert await heard.outcome(client.submit_job(**SUBMISSION)) is not None
    heard.check()


async def test_tls_is_as_the_user_says() -> None:
    """The arguments verify and use_ssl reach aiobotocore as they are; what is not given is left to it."""
    given: list[dict[str, Any]] = []

    class Session(AioSession):  # type: ignore[misc]
        def create_client(self, name: str, **settings: Any) -> Any:
            given.append({key: settings[key] for key in ("verify", "use_ssl") if key in settings})
            return super().create_client(name, **settings)

    credentials = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    session = Session()
    settings: list[dict[str, Any]] = [
        {},
        {"verify": True},
        {"verify": False},
        {"verify": "/no/such/bundle.pem"},
        {"use_ssl": False},
    ]
    for setting in settings:
        async with BatchClient(session=session, **credentials, **setting):  # type: ignore[arg-type]
            pass
    assert given == settings
