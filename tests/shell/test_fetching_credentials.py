"""Credentials are fetched before a call, one at a time, and whatever becomes of the calls that wait for them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioCachedCredentialFetcher,
    AioCredentials,
    AioDeferredRefreshableCredentials,
)
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import ClientError, CredentialRetrievalError, EndpointConnectionError

from awaitbatch import BatchClient, ClientClosedError, DescribeError
from awaitbatch._credentials import ClientCredentials
from awaitbatch._failures import CredentialsError, classify
from awaitbatch.instrumentation import Event, SubmissionUnclaimed
from tests.support import of_kind

if TYPE_CHECKING:
    from pathlib import Path

    from types_aiobotocore_batch.type_defs import SubmitJobRequestTypeDef


class Slow:
    """Credentials of a user's own, which take their time."""

    method = "custom"

    def __init__(self, seconds: float, error: Exception | None = None) -> None:
        self.seconds = seconds
        self.error = error
        self.fetched = 0
        self.given_up = 0

    async def get_frozen_credentials(self) -> None:
        """Take some time, then fail or not."""
        self.fetched += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.error is not None:
            raise self.error


def credentials_of(credentials: object, session: AioSession | None = None) -> ClientCredentials:
    """The credentials of a client that signs with these."""
    client = SimpleNamespace(_request_signer=SimpleNamespace(_credentials=credentials))
    return ClientCredentials(client, session)


async def test_one_at_a_time() -> None:
    """However many calls wait for credentials, they are fetched once."""
    slow = Slow(5)
    credentials = credentials_of(slow)
    await asyncio.gather(*(credentials.fetch() for _ in range(10)))
    assert (slow.fetched, asyncio.get_running_loop().time()) == (1, 5)


class Fetcher:
    """What botocore has for an assumed role, which STS refuses."""

    _role_arn = "arn:aws:iam::123456789012:role/batch"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def fetch_credentials(self) -> None:
        """Fail."""
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "InvalidIdentityToken"}}, "AssumeRoleWithWebIdentity"),
        EndpointConnectionError(endpoint_url="https://sts.us-east-1.amazonaws.com"),
        RuntimeError("no luck"),
    ],
)
async def test_the_error_names_the_role(error: Exception) -> None:
    """Whatever fails while a role is assumed, its error says for which role, once."""
    role = AioDeferredRefreshableCredentials(Fetcher(error).fetch_credentials, "assume-role")
    credentials = credentials_of(role)
    for _ in range(3):
        with pytest.raises((ClientError, EndpointConnectionError, CredentialsError)) as caught:
            await credentials.fetch()
    failure = classify(caught.value, refreshes_credentials=True)
    assert failure.message.endswith(f"; while fetching credentials: role {Fetcher._role_arn}")
    assert failure.message.count("fetching") == 1
    assert not failure.can_be_taken


class OddlyAnswered(AioCachedCredentialFetcher):  # type: ignore[misc]
    """A fetcher of botocore's, whose first answer lacks something."""

    def __init__(self, odd: dict[str, Any]) -> None:
        super().__init__()
        self.answers = [odd, KEYS]

    def _create_cache_key(self) -> str:
        return "role"

    async def _get_credentials(self) -> dict[str, Any]:
        return {"Credentials": self.answers.pop(0)}


KEYS = {"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "t", "Expiration": "2100-01-01T00:00:00Z"}


@pytest.mark.parametrize("missing", [*KEYS])
async def test_an_answer_that_lacks_something_is_not_kept(missing: str) -> None:
    """What STS has answered is kept by botocore before it reads it, and it would fail over it until it expires."""
    fetcher = OddlyAnswered({name: value for name, value in KEYS.items() if name != missing})
    credentials = credentials_of(AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role"))
    with pytest.raises(CredentialsError, match=missing):
        await credentials.fetch()
    await credentials.fetch()
    assert fetcher.answers == []


async def test_a_call_that_is_given_up_cuts_nothing_off() -> None:
    """The time-out of a call ends no fetching: the next call waits for the same."""
    slow = Slow(40)
    credentials = credentials_of(slow)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(credentials.fetch(), 15)
    await credentials.fetch()
    assert (slow.fetched, slow.given_up, asyncio.get_running_loop().time()) == (1, 0, 40)


async def test_fetching_has_a_bound_of_its_own() -> None:
    """A provider that hangs is given up after a minute, and asked anew."""
    slow = Slow(1e6)
    credentials = credentials_of(slow)
    for tries in (1, 2):
        with pytest.raises(CredentialRetrievalError, match="custom: no credentials within 60 s"):
            await credentials.fetch()
        assert (slow.fetched, slow.given_up) == (tries, tries)


async def test_whatever_a_refresh_function_raises() -> None:
    """An error of the user's own says what it is about."""
    for error in (KeyError("Credentials"), TimeoutError("slow"), OSError("lost"), ValueError("<html>")):
        credentials = credentials_of(Slow(1, error))
        with pytest.raises(CredentialsError, match=type(error).__name__) as caught:
            await credentials.fetch()
        assert caught.value.__cause__ is error


async def test_closing_gives_up_fetching() -> None:
    """No task outlives the client."""
    slow = Slow(40)
    credentials = credentials_of(slow)
    waiting = asyncio.create_task(credentials.fetch())
    await asyncio.sleep(1)
    await credentials.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slow.given_up == 1


async def test_credentials_that_stay_as_they_are_are_not_fetched() -> None:
    """Neither those that cannot change, nor those that are not due."""
    await credentials_of(AioCredentials("a", "b")).fetch()
    fresh = Slow(5)
    fresh.refresh_needed = lambda: False  # type: ignore[attr-defined]
    await credentials_of(fresh).fetch()
    assert fresh.fetched == 0


async def test_a_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another process has put new credentials there they are taken over, and only then."""

    def write(key: str) -> None:
        text = f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\naws_session_token=t\n"
        (tmp_path / "credentials").write_text(text)

    write("OLD")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    session = AioSession()
    provider: Any = session.get_component("credential_provider")
    found = await asyncio.to_thread(asyncio.run, provider.load_credentials())
    credentials = credentials_of(found, session)
    assert await credentials.read_again() is False
    write("NEW")
    assert await credentials.read_again() is True
    assert (found.access_key, found.token) == ("NEW", "t")
    (tmp_path / "credentials").unlink()
    assert await credentials.read_again() is False


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"[def",
        b"[default]\naws_access_key_id=NEW\n",
        b"[default]\naws_access_key_id=NEW\naws_secret_acc",
        b"[default]\xff",
    ],
    ids=["empty", "section", "no secret", "cut", "not UTF-8"],
)
async def test_a_file_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    """Half of it says nothing yet, so a call fails for the old credentials, and is not told of the file."""
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id=OLD\naws_secret_access_key=s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    session = AioSession()
    provider: Any = session.get_component("credential_provider")
    found = await asyncio.to_thread(asyncio.run, provider.load_credentials())
    # As nest_asyncio does; its function works in the main thread alone.
    monkeypatch.setattr(asyncio, "run", None)
    credentials = credentials_of(found, session)
    path.write_bytes(half)
    assert await credentials.read_again() is False
    assert found.access_key == "OLD"
    path.write_text("[default]\naws_access_key_id=NEW\naws_secret_access_key=s\n")
    assert await credentials.read_again() is True


@pytest.mark.parametrize(
    "credentials",
    [AioCredentials("a", "b", method="explicit"), AioCredentials("a", "b", method="env"), Slow(1), None],
    ids=["given", "environment", "own", "none"],
)
async def test_nothing_else_is_read_again(credentials: object) -> None:
    """What was given, or comes from the environment, is nowhere else to be found."""
    assert await credentials_of(credentials, AioSession()).read_again() is False


async def test_credentials_that_come_after_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that was created when there were none looks again at each call, until it finds some."""
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    session = AioSession()
    arguments = {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:1"}
    async with session.create_client("batch", **arguments) as lent:
        signer: Any = lent._request_signer
        credentials = ClientCredentials(lent, session)
        await credentials.fetch()
        assert signer._credentials is None
        for key in ("NEW", "NEWER"):
            path.write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\n")
            await credentials.fetch()
            found: Any = signer._credentials
            assert found.access_key == "NEW"
        assert await credentials.read_again() is True
        await credentials.aclose()


async def test_a_client_that_signs_nothing_needs_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not given any, though there are some."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    session = AioSession()
    arguments = {"region_name": "us-east-1", "config": AioConfig(signature_version=UNSIGNED)}
    async with session.create_client("batch", **arguments) as lent:
        credentials = ClientCredentials(lent, session)
        await credentials.fetch()
        assert lent._request_signer._credentials is None


class SlowSession(AioSession):  # type: ignore[misc]
    """One whose provider waits for somebody to type a code."""

    async def get_credentials(self) -> AioCredentials:
        """Take some time."""
        await asyncio.sleep(20)
        return AioCredentials("a", "b")


async def test_opening_that_waits_for_credentials(caplog: pytest.LogCaptureFixture) -> None:
    """The log says so while it does, and nothing if it takes no time."""
    async with BatchClient(session=SlowSession(), region_name="us-east-1"):
        assert asyncio.get_running_loop().time() == pytest.approx(20, abs=1)
    text = "the client is not open after 8 s: check that the provider of its credentials can be reached"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [text]


async def test_closing_while_credentials_are_fetched(session: AioSession) -> None:
    """What was not signed yet was certainly not submitted or terminated, and whoever has gone is not reported."""
    arguments = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    events: list[Event] = []
    async with session.create_client("batch", **arguments) as lent:
        lent._request_signer._credentials = slow = Slow(40)
        async with BatchClient(client=lent, close_timeout=3, observers=[events.append]) as client:
            job: SubmitJobRequestTypeDef = {"jobName": "n", "jobQueue": "q", "jobDefinition": "d"}
            submitting, gone = (asyncio.create_task(client.submit_job(**job)) for _ in range(2))
            terminating = asyncio.create_task(client.terminate_job("a-job", "enough"))
            await asyncio.sleep(1)
            gone.cancel()
    assert asyncio.get_running_loop().time() == pytest.approx(4, abs=0.1)
    assert slow.given_up == 1
    ends = await asyncio.gather(submitting, terminating, gone, return_exceptions=True)
    assert [type(end) for end in ends] == [ClientClosedError, ClientClosedError, asyncio.CancelledError]
    assert "AWS Batch job named 'n' was not submitted: the BatchClient was closed first" in str(ends[0])
    assert "AWS Batch job (a-job) was not terminated: the BatchClient was closed first" in str(ends[1])
    assert of_kind(SubmissionUnclaimed, events) == []


async def test_errors_of_fetching_tell_no_secret(session: AioSession) -> None:
    """What a provider raises may tell what it was given; it is masked also in the cause of what is raised."""
    arguments = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    async with session.create_client("batch", **arguments) as lent:
        own = RuntimeError("vault: {'secret_key': 'planted-secret'}")
        lent._request_signer._credentials = Slow(0, own)
        async with BatchClient(client=lent) as client:
            with pytest.raises(DescribeError) as caught:
                await client.describe("a-job")
    assert "vault: {'secret_key': '***'}" in str(caught.value)
    assert caught.value.__cause__ is own
    assert "planted" not in repr(own)
