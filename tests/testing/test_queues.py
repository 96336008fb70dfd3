"""Queues: their first jobs, and what blocks them, on literal times."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import aiohttp

from awaitbatch.testing import BatchServer, LifeCycle
from tests.testing.service import Service

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
WAITS = LifeCycle(submitted=0, pending=0, runnable=float("inf"))


def front(service: Service, now: float, queue: str = "queue") -> list[tuple[str, float]]:
    """The ids of the first RUNNABLE jobs, and since when they are there, in seconds."""
    jobs = service.ask("GetJobQueueSnapshot", now, jobQueue=queue)["frontOfQueue"]["jobs"]
    return [(job["jobArn"].rpartition("/")[2], job["earliestTimeAtPosition"] / 1000) for job in jobs]


def test_no_job_of_a_blocked_queue_starts() -> None:
    """What is RUNNABLE stays so, what has started goes on, and all others wait, too."""
    service = Service()
    started, waiting, later = service.add(now=0), service.add(now=10), service.add(now=30)
    service.now = 32
    service.block_queue("queue", CAPACITY)
    assert service.statuses(49, started, waiting, later) == ["RUNNING", "RUNNABLE", "PENDING"]
    assert service.statuses(1000, started, waiting, later) == ["SUCCEEDED", "RUNNABLE", "RUNNABLE"]
    service.now = 1000
    service.unblock_queue("arn:aws:batch:eu-west-1:111122223333:job-queue/queue")
    assert service.statuses(1000, waiting, later) == ["STARTING", "STARTING"]
    assert service.statuses(1020, waiting, later) == ["SUCCEEDED", "SUCCEEDED"]
    assert service.statuses(1030, service.add(now=1000)) == ["STARTING"]


def test_only_the_first_of_a_blocked_queue_says_why() -> None:
    """The RUNNABLE job at the head has the reason, in descriptions and lists, until another one is at the head."""
    service = Service()
    ids = service.add_many(3)
    other = service.add_job(job_queue="other")
    service.now = 25
    service.block_queue("queue", CAPACITY)
    reasons = [service.see(job_id, 40).get("statusReason") for job_id in (*ids, other)]
    assert reasons == [CAPACITY, None, None, None]
    first, second, _ = service.ask("ListJobs", 40, jobQueue="queue", jobStatus="RUNNABLE")["jobSummaryList"]
    assert (first["statusReason"], "statusReason" in second) == (CAPACITY, False)
    service.ask("TerminateJob", 41, jobId=ids[0], reason="enough")
    assert [service.see(job_id, 41).get("statusReason") for job_id in ids] == ["enough", CAPACITY, None]
    service.forget_job(ids[1])
    assert service.see(ids[2], 41)["statusReason"] == CAPACITY
    service.block_queue("queue", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert service.see(ids[2], 42)["statusReason"] == "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    service.unblock_queue("queue")
    assert "statusReason" not in service.see(ids[2], 42)


def test_an_earlier_job_takes_the_head() -> None:
    """A job that was submitted earlier and becomes RUNNABLE later is the first from then on."""
    service = Service()
    service.now = 0
    slow = service.add_job(life_cycle=LifeCycle(submitted=0, pending=100, runnable=1))
    quick = service.add_job(life_cycle=WAITS)
    service.block_queue("queue", CAPACITY)
    assert [service.see(job_id, 99).get("statusReason") for job_id in (slow, quick)] == [None, CAPACITY]
    assert [service.see(job_id, 100).get("statusReason") for job_id in (slow, quick)] == [CAPACITY, None]
    assert [service.see(job_id, 99).get("statusReason") for job_id in (slow, quick)] == [None, CAPACITY]


def test_the_head_may_be_a_child_or_a_multi_node_job() -> None:
    """Children wait on their own, nodes do not."""
    service = Service()
    array = service.add_job(array_size=2, life_cycle=WAITS)
    service.block_queue("queue", CAPACITY)
    assert service.see(f"{array}:0", 5)["statusReason"] == CAPACITY
    assert "statusReason" not in service.see(f"{array}:1", 5) | service.see(array, 5)
    service.ask("TerminateJob", 5, jobId=array, reason="enough")
    nodes = service.add_job(nodes=2, life_cycle=WAITS)
    assert service.see(nodes, 6)["statusReason"] == CAPACITY
    assert [job_id for job_id, _ in front(service, 6)] == [nodes]


def test_a_job_behind_a_blocked_one_stays_pending() -> None:
    """Who depends on a job that cannot start waits with it."""
    service = Service()
    first = service.add()
    dependant = service.add_job(depends_on=[first], job_queue="other")
    service.now = 25
    service.block_queue("queue", CAPACITY)
    assert service.statuses(500, dependant) == ["PENDING"]
    service.now = 500
    service.unblock_queue("queue")
    assert service.statuses(520, dependant) == ["RUNNABLE"]


def test_the_snapshot_has_the_first_hundred() -> None:
    """RUNNABLE jobs come in the order of their submission; children are jobs of their own there."""
    service = Service()
    running = service.add(now=0)
    waiting = service.add_many(99, life_cycle=WAITS)
    array = service.add_job(array_size=3, life_cycle=WAITS)
    service.add_job(job_queue="other", life_cycle=WAITS)
    assert [job_id for job_id, _ in front(service, 45)] == [*waiting, f"{array}:0"]
    assert running not in dict(front(service, 45))
    assert [job_id for job_id, _ in front(service, 25)] == [running, *waiting]
    assert front(service, 45, "nothing") == []
    assert service.refusal("GetJobQueueSnapshot") == (400, "ClientException")


def test_a_place_is_taken_when_somebody_ahead_leaves() -> None:
    """The time at a position is that of the last change among those ahead, or of the job's own arrival."""
    service = Service()
    ids = [service.add(now) for now in (0, 5)]
    ids.append(service.add(7, life_cycle=WAITS))
    assert front(service, 29) == [(ids[0], 20), (ids[1], 25), (ids[2], 25)]
    assert front(service, 30) == [(ids[1], 30), (ids[2], 30)]
    service.ask("CancelJob", 33, jobId=ids[1], reason="enough")
    assert front(service, 40) == [(ids[2], 33)]


def test_describing_a_blocked_queue_looks_at_few() -> None:
    """With 10,000 jobs that wait, their descriptions do not look for the first one each time."""
    service = Service()
    ended = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0)
    service.add_many(5_000, life_cycle=ended)
    ids = service.add_many(5_000, life_cycle=WAITS)
    service.block_queue("queue", CAPACITY)
    begun = time.process_time()
    for first in range(0, 5_000, 100):
        service.ask("DescribeJobs", 5, jobs=ids[first : first + 100])
    assert time.process_time() - begun < 5


async def test_a_real_client_sees_the_snapshot_and_the_reason(session: AioSession) -> None:
    """GetJobQueueSnapshot works on both faces, and another process may block a queue."""
    server = BatchServer(default_life_cycle=WAITS, clock=lambda: 7.0)
    async with (
        server,
        session.create_client("batch", **server.client_arguments) as client,
        aiohttp.ClientSession(server.endpoint_url) as http,
    ):
        job_id = server.add_job()
        expected = {
            "jobs": [
                {
                    "jobArn": f"arn:aws:batch:us-east-1:123456789012:job/{job_id}",
                    "earliestTimeAtPosition": 7000,
                }
            ],
            "lastUpdatedAt": 7000,
        }
        assert (await client.get_job_queue_snapshot(jobQueue="queue"))["frontOfQueue"] == expected
        over_transport = await server.transport(latency=0).call("GetJobQueueSnapshot", jobQueue="queue")
        assert over_transport["frontOfQueue"] == expected
        for reason in (CAPACITY, None):
            await http.put("/_awaitbatch/block", json={"job_queue": "queue", "reason": reason})
            (job,) = (await client.describe_jobs(jobs=[job_id]))["jobs"]
            assert job.get("statusReason") == reason
