"""moto's ``mock_aws`` does not work with aiobotocore, and the errors say what does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto import mock_aws
from moto.backends import get_backend

from awaitbatch import BatchClient, DescribeError
from awaitbatch._failures import MockedByMotoError
from awaitbatch.testing import BatchServer
from tests.support import LONG

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _mocked() -> Iterator[None]:
    # It would read its modules at the first call, which blocks the event loop.
    load_backend()
    with mock_aws():
        yield


def load_backend() -> None:
    """Let moto load what answers for AWS Batch."""
    assert get_backend("batch")["123456789012"]["us-east-1"].urls


@pytest.mark.usefixtures("_mocked")
async def test_calls_that_moto_answers_say_what_to_use() -> None:
    """Each kind of call fails at once, and names the cause; a describe names the servers, too."""
    async with BatchClient(region_name="us-east-1") as client:
        with pytest.raises(DescribeError, match=r"mock_aws is active.*MotoServer or BatchServer") as caught:
            await client.get_job_description("job")
        assert isinstance(caught.value.__cause__, MockedByMotoError)
        with pytest.raises(DescribeError, match="MotoServer or BatchServer"):
            await client.wait_for_job("job", delay=0)
        with pytest.raises(MockedByMotoError, match="mock_aws is active"):
            await client.submit_job(jobName="job", jobQueue="queue", jobDefinition="definition")
        with pytest.raises(MockedByMotoError, match="mock_aws is active"):
            await client.terminate_job("job", "enough")


@pytest.mark.usefixtures("_mocked")
async def test_a_server_works_beside_it() -> None:
    """Calls to a server of one's own pass moto by, so other services may be mocked meanwhile."""
    async with (
        BatchServer(default_life_cycle=LONG) as server,
        BatchClient(**server.client_arguments) as client,
    ):
        job = await client.get_job_description(server.add_job())
    assert job["status"] == "RUNNING"
