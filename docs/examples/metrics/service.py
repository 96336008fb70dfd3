"""A service that runs jobs all day long, and shows Prometheus how it gets on.

    JOB_QUEUE=my-queue JOB_DEFINITION=my-definition python service.py
    python service.py --server

The second one needs no AWS account: it plays AWS Batch itself. The metrics are at http://127.0.0.1:9464/metrics, where
the prometheus.yml beside this file has Prometheus look. Ctrl-C ends the service, and its jobs go on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress

from prometheus_client import start_http_server

from awaitbatch import AwaitBatchError, BatchClient, FixedInterval
from awaitbatch.instrumentation import PrometheusObserver
from awaitbatch.testing import BatchServer, LifeCycleRanges


async def run_job(client: BatchClient, name: str) -> None:
    """Submit a job and wait for its end. This is the place to make it your own."""
    job = await client.submit_job(
        jobName=name, jobQueue=os.environ["JOB_QUEUE"], jobDefinition=os.environ["JOB_DEFINITION"]
    )
    try:
        await client.wait_for_job(job["jobId"])
    except AwaitBatchError as error:
        print(error, file=sys.stderr)


async def serve(pause: float) -> None:
    """Run a job every few seconds."""
    observer = PrometheusObserver()
    interval = FixedInterval(float(os.environ.get("CHECK_INTERVAL", "10")))
    async with BatchClient(backoff=interval, observers=[observer]) as client, asyncio.TaskGroup() as jobs:
        number = 0
        while True:
            jobs.create_task(run_job(client, f"metrics-{number}"))
            await asyncio.sleep(pause)
            number += 1


async def main(options: argparse.Namespace) -> None:
    """Show the metrics, and serve."""
    server, thread = start_http_server(options.port, addr="127.0.0.1")
    print(f"metrics at http://127.0.0.1:{server.server_port}/metrics", file=sys.stderr, flush=True)
    try:
        async with AsyncExitStack() as stack:
            if options.server:
                lives = LifeCycleRanges(runnable=(1, 40), running=(10, 60), failing=0.1)
                batch = await stack.enter_async_context(BatchServer(default_life_cycle=lives))
                os.environ |= {
                    "AWS_ENDPOINT_URL": batch.endpoint_url,
                    "AWS_DEFAULT_REGION": batch.region_name,
                    "AWS_ACCESS_KEY_ID": "any",
                    "AWS_SECRET_ACCESS_KEY": "any",
                    "JOB_QUEUE": "queue",
                    "JOB_DEFINITION": "definition",
                }
            await serve(options.pause)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=9464, help="where the metrics are")
    parser.add_argument("--pause", type=float, default=2, help="seconds between two jobs")
    parser.add_argument("--server", action="store_true", help="play AWS Batch on this machine")
    with suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args()))
