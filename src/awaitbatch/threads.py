"""One client for all threads and all event loops of a process, from synchronous code as well.

::

    with awaitbatch.threads.shared(region_name="eu-west-1") as client:
        job = client.wait_for_job(job_id)

For Celery's tasks, a pool of threads, notebooks, and frameworks in which each task has an event loop of its own. If all
tasks run on one event loop, use `BatchClient.shared`, which needs no further thread.
"""

from awaitbatch._awaitable_client import AwaitableClient
from awaitbatch._blocking_client import BlockingClient
from awaitbatch._threads import SharedClient, shared

__all__ = ["AwaitableClient", "BlockingClient", "SharedClient", "shared"]
