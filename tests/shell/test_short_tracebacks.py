"""What botocore logs of credentials that cannot be renewed is kept short, and nothing else is touched."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from aiobotocore.credentials import AioDeferredRefreshableCredentials
from botocore.exceptions import EndpointConnectionError

from awaitbatch._short_tracebacks import _LOGGERS, ShortTracebacks

from .test_fetching_credentials import Fetcher, credentials_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awaitbatch._credentials import ClientCredentials

ERROR = EndpointConnectionError(endpoint_url="https://sts.example")
TEXT = "Refreshing temporary credentials failed during mandatory refresh period"
SHORT = f"{TEXT}: EndpointConnectionError: {ERROR}"


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """See that botocore's loggers are as they were."""
    before = {name: list(logging.getLogger(name).filters) for name in _LOGGERS}
    yield
    assert {name: logging.getLogger(name).filters for name in _LOGGERS} == before


def unrenewable() -> ClientCredentials:
    """Credentials of a role that STS does not give."""
    return credentials_of(AioDeferredRefreshableCredentials(Fetcher(ERROR).fetch_credentials, "assume-role"))


async def fetch(credentials: ClientCredentials) -> None:
    """Try in vain."""
    with pytest.raises(EndpointConnectionError):
        await credentials.fetch()


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    """What was logged, and whether with a traceback."""
    found = [(record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    caplog.clear()
    return found


async def test_one_traceback_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The first record passes as it is; repeats within a minute have the error's line in place of the traceback."""
    credentials = unrenewable()
    for _ in range(25):
        await fetch(credentials)
        await asyncio.sleep(5)
    long, short = (f"{TEXT}.", True), (SHORT, False)
    assert logged(caplog) == [long, *[short] * 11, long, *[short] * 11, long]
    await credentials.aclose()


async def test_each_client_has_one(caplog: pytest.LogCaptureFixture) -> None:
    """Two clients may have different troubles."""
    clients = [unrenewable(), unrenewable()]
    for _ in range(2):
        for credentials in clients:
            await fetch(credentials)
    assert [has_traceback for _, has_traceback in logged(caplog)] == [True, True, False, False]
    for credentials in clients:
        await credentials.aclose()


async def test_what_others_log_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """While the filter is there, others' credentials have all of their tracebacks."""
    credentials = unrenewable()
    await fetch(credentials)
    theirs = AioDeferredRefreshableCredentials(Fetcher(ERROR).fetch_credentials, "assume-role")
    logged(caplog)
    for _ in range(3):
        with pytest.raises(EndpointConnectionError):
            await theirs.get_frozen_credentials()
    assert logged(caplog) == [(f"{TEXT}.", True)] * 3
    await credentials.aclose()


async def test_other_records_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Records without a traceback, and those of DEBUG, pass as they are."""
    tracebacks = ShortTracebacks(asyncio.get_running_loop().time)
    tracebacks.attach()
    logger = logging.getLogger("botocore.credentials")

    async def work() -> None:
        tracebacks.mark()
        for _ in range(2):
            try:
                raise ERROR
            except EndpointConnectionError:
                logger.debug("for %s", "developers", exc_info=True)
                logger.warning("a warning")

    with caplog.at_level(logging.DEBUG, "botocore.credentials"):
        await asyncio.create_task(work())
    assert logged(caplog) == [("for developers", True), ("a warning", False)] * 2
    tracebacks.detach()


async def test_a_client_that_is_closed_listens_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does one that has never fetched, or fetches too late."""
    await unrenewable().aclose()
    credentials = unrenewable()
    await fetch(credentials)
    await credentials.aclose()
    await fetch(credentials)
    assert [has_traceback for _, has_traceback in logged(caplog)] == [True, True]


async def test_whose_credentials_are_being_fetched() -> None:
    """It can be asked meanwhile, and only then."""

    class Slow(Fetcher):
        async def fetch_credentials(self) -> None:
            await asyncio.sleep(5)
            raise self.error

    role = AioDeferredRefreshableCredentials(Slow(ERROR).fetch_credentials, "assume-role")
    credentials = credentials_of(role)
    assert credentials.fetching is None
    waiting = asyncio.create_task(fetch(credentials))
    await asyncio.sleep(1)
    assert credentials.fetching == f"role {Fetcher._role_arn}"
    await waiting
    assert credentials.fetching is None
    await credentials.aclose()
