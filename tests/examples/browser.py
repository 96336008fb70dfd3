"""A real browser, as far as a test needs one: Chromium without a window, driven by its own protocol.

https://chromedevtools.github.io/devtools-protocol/ has the methods.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.support import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM: Final = next(filter(None, map(shutil.which, NAMES)), None)
"""Where it is; None if it is not installed."""


class Tab:
    """A page in the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            # Events have no id.
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                return dict(answer["result"])

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it comes to."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true, for a minute at most."""
        check = f"const check = () => ({condition}) ? done() : setTimeout(check, 20); check()"
        async with asyncio.timeout(60):
            await self.run(f"new Promise(done => {{ {check} }})")

    async def picture(self) -> bytes:
        """A PNG of what it shows."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Tab]:
    """A browser with one page, and nothing in its profile."""
    assert CHROMIUM is not None, f"none of {', '.join(NAMES)} is installed"
    off = ("gpu", "dev-shm-usage", "quic", "background-networking", "component-update", "sync")
    options = ("--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in off))
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ready = profile / "DevToolsActivePort"
        await until(lambda: ready.exists() and "\n" in ready.read_text())
        url = f"http://127.0.0.1:{ready.read_text().splitlines()[0]}/json/list"
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as answer:
                [page] = [target for target in await answer.json() if target["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"]) as socket:
                yield Tab(socket)
    finally:
        # Its own processes, too.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
