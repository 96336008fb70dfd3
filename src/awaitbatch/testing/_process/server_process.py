"""A server in a process of its own, which never outlives the process that started it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from awaitbatch.testing._http.client_arguments import ClientArguments, client_arguments
from awaitbatch.testing._http.control import PREFIX

if TYPE_CHECKING:
    from types import TracebackType

ANNOUNCEMENT: Final = "listening on"

_SECONDS_TO_STOP = 5.0


class ServerProcess:
    """Runs a server of `awaitbatch.testing` in a process of its own, inside ``async with``.

    ::

        async with ServerProcess("--jobs", "1000", "--rate", "20") as server:
            async with BatchClient(**server.client_arguments) as client:
                async for job in client.list_jobs("queue", statuses=["RUNNING"]):
                    print(job["jobId"])

    A benchmark then measures its client and not the server, and a server that blocks stops no event loop. The
    process ends when its standard input does, so also when its parent is killed.

    Args:
        arguments: Options of ``python -m awaitbatch.testing``.
        module: Another module to run in its place, if it announces its URL and ends in the same way.
        region_name: The region for `client_arguments`.
    """

    def __init__(
        self, *arguments: str, module: str = "awaitbatch.testing", region_name: str = "us-east-1"
    ) -> None:
        self.region_name = region_name
        self._command = (sys.executable, "-m", module, "--until-input-ends", *arguments)
        self._process: subprocess.Popen[str] | None = None
        self._endpoint_url: str | None = None

    @property
    def endpoint_url(self) -> str:
        """The URL at which the server listens.

        Raises:
            RuntimeError: It does not run.
        """
        if self._endpoint_url is None:
            message = f"{type(self).__name__} runs only inside `async with`"
            raise RuntimeError(message)
        return self._endpoint_url

    @property
    def client_arguments(self) -> ClientArguments:
        """Arguments for an AWS client: the endpoint, the region, and made-up credentials.

        Raises:
            RuntimeError: The server does not run.
        """
        return client_arguments(self.endpoint_url, self.region_name)

    @property
    def pid(self) -> int | None:
        """The id of the server's process while it runs."""
        return self._process.pid if self._process is not None else None

    async def ended(self) -> dict[str, float]:
        """The ids of all jobs that have ended, with the moments at which they did, in epoch seconds."""
        ends: dict[str, float] = await self.control("GET", "ended")
        return ends

    async def control(self, method: str, resource: str, body: object = None) -> Any:  # noqa: ANN401
        """Make a call of the server's control surface and return the decoded response.

        Args:
            method: GET, POST, PUT or DELETE.
            resource: What comes after ``/_awaitbatch/``, such as ``statistics``.
            body: What is sent as JSON.

        Raises:
            aiohttp.ClientResponseError: The server refused the call, and says why.
        """
        url = self.endpoint_url + PREFIX + resource
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body) as response,
        ):
            answer = await response.json() if response.content_type == "application/json" else None
            if response.ok:
                return answer
            raise aiohttp.ClientResponseError(
                response.request_info,
                response.history,
                status=response.status,
                message=str(answer["message"] if isinstance(answer, dict) else response.reason),
                headers=response.headers,
            )

    async def __aenter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: ASYNC220, S603
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C in a terminal reaches the parent alone, which may still have calls to make.
            start_new_session=True,
        )
        try:
            self._endpoint_url = await asyncio.to_thread(_announced_url, self._process)
        except BaseException:
            # It has served nobody yet, so it need not end in good order.
            self._process.kill()
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        process, self._process, self._endpoint_url = self._process, None, None
        if process is not None:
            # The thread goes on to the end even if the task is cancelled: no process is left behind.
            await asyncio.to_thread(_end, process)


def _announced_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101
    line = process.stdout.readline()
    _, announcement, url = line.partition(ANNOUNCEMENT)
    if not announcement:
        message = "the server's process ended before it listened; its standard error says why"
        raise RuntimeError(message)
    return url.strip()


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
