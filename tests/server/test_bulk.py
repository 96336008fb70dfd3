"""Many jobs are submitted and ended over HTTP, by a botocore that knows the operations or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from awaitbatch import BatchClient, TerminationError
from awaitbatch.testing import BatchServer, Fault
from tests.support import LONG

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


@pytest.mark.parametrize("knows", [True, False])
async def test_many_jobs(session: AioSession, *, knows: bool) -> None:
    """Each is submitted once, and all but one are terminated."""
    async with (
        BatchServer(default_life_cycle=LONG) as server,
        BatchClient(session=session, **server.client_arguments) as client,
    ):
        if not knows:
            client.client.terminate_jobs = None  # type: ignore[assignment, method-assign]
        elif not hasattr(client.client, "terminate_jobs"):
            pytest.skip("this botocore has no bulk operations")
        requests = ({"jobName": f"job-{n}", "jobQueue": "queue", "jobDefinition": "d"} for n in range(12))
        job_ids = [item.result() async for item in client.submit_jobs(requests)]
        assert server.statistics.calls == {"SubmitJob": 12}
        server.inject(Fault.DENIED_JOBS if knows else Fault.ACCESS_DENIED, job_ids=job_ids[:1])
        result = await client.terminate_jobs(job_ids, "enough")
        assert result.accepted == tuple(job_ids[1:])
        with pytest.raises(TerminationError, match=rf"\({job_ids[0]}\) was not terminated: .*AccessDenied"):
            result.raise_for_errors()
        assert [server.status_of(job_id) for job_id in job_ids] == ["RUNNING"] + ["FAILED"] * 11
        assert server.statistics.calls["TerminateJobs"] == int(knows)
