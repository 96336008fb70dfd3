"""moto's server as an independent witness that a real AWS client works."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, Self

from awaitbatch.testing._process.server_process import ServerProcess


class MotoServer(ServerProcess):
    """Runs moto's server in a process of its own, with a queue, a definition, and jobs that take time.

    It is used as `ServerProcess` is, with ``jobQueue=server.job_queue`` and ``jobDefinition=server.job_definition`` in
    submissions.

    moto by itself ends every job at its submission; here a job passes through its states as the life cycle in
    its parameters says, or else as ``LifeCycle()`` does, waits for the jobs that it depends on, and TerminateJob
    really ends it. moto throttles nothing, takes any number of ids, and checks none of them: `BatchServer` does.
    ``await server.ended()`` tells when jobs ended, and ``await server.control("GET", "statistics")`` counts the
    DescribeJobs calls.

    Args:
        region_name: The region in which queue and definition exist.

    Attributes:
        job_queue: The name of the job queue.
        job_definition: The name of the job definition.
    """

    job_queue: Final = "awaitbatch-queue"
    job_definition: Final = "awaitbatch-definition"

    def __init__(self, *, region_name: str = "us-east-1") -> None:
        super().__init__(
            "--region",
            region_name,
            module="awaitbatch.testing._process.moto_process",
            region_name=region_name,
        )

    async def __aenter__(self) -> Self:
        """Start the server.

        Raises:
            ModuleNotFoundError: moto or what its server needs is not installed.
            RuntimeError: The server did not start.
        """
        for module in ("moto", "flask", "flask_cors"):
            if find_spec(module) is None:
                message = f'MotoServer needs {module}: pip install "awaitbatch[moto]"'
                raise ModuleNotFoundError(message, name=module)
        return await super().__aenter__()
