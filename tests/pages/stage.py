"""Where an example runs: in this process, with a `BatchServer` that the environment names, and without waiting.

`asyncio.run` is replaced. Its loop's clock jumps to the next timer once nothing is left to do and no call is on its
way, so an example that waits a minute takes milliseconds. The server tells the time by the same clock, and so does the
module `time`. Examples that need other processes or loops have real time.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest
from aiobotocore.httpsession import AIOHTTPSession

from awaitbatch._loop_thread import LoopThread
from awaitbatch.testing import BatchServer, LifeCycle
from awaitbatch.testing._http import listener
from awaitbatch.testing.virtual_time import DeadlockError, VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator

T = TypeVar("T")

_MONOTONIC: Final = time.monotonic
_GLANCES: Final = 4
"""How often a loop looks in vain for the answer of a server of its own before its clock jumps all the same."""

_LONGEST: Final = 2 * 3600.0
"""Seconds of virtual time that an example may last."""

_SHORT: Final = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=0.1)


class ExampleLoop(VirtualTimeLoop):
    """A loop in virtual time whose clock stands still while calls are on their way over real sockets.

    Attributes:
        far_calls: How many are on their way to a server in another thread.
        near_calls: How many to one on this loop; its latency, if it has any, is a timer of this loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.far_calls = self.near_calls = self._glances = 0

    def has_threads(self) -> bool:
        """Whether somebody else is still at work."""
        if super().has_threads() or self.far_calls:
            return True
        self._glances += 1
        return self.near_calls > 0 and self._glances <= _GLANCES

    def refuses_real_io(self, files: Collection[int]) -> bool:  # noqa: ARG002
        """Admit it: the calls on their way are counted."""
        return False

    def jump(self) -> None:
        """Go to the next timer.

        Raises:
            DeadlockError: An example is not meant to last so long.
        """
        self._glances = 0
        super().jump()
        if self.time() > _LONGEST:
            message = f"the example still waits after {_LONGEST:g} s of virtual time"
            raise DeadlockError(message)


class _RealLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return _MONOTONIC()


class Stage:
    """What an example finds.

    Attributes:
        server: The server that the environment names.
        printed: What the example has written.
        complained: What of that went to stderr.
    """

    def __init__(self, patch: pytest.MonkeyPatch, settings: dict[str, Any], *, real_time: bool) -> None:
        self._patch = patch
        self._real_time = real_time
        self._now: Callable[[], float] = time.time
        # For the parts of an example that run without a loop, and before and after one.
        self._ahead = 0.0
        self._is_far = False
        life_cycle = _SHORT if real_time else LifeCycle()
        defaults = {"clock": self._clock, "seed": 1, "default_life_cycle": life_cycle}
        self.server = BatchServer(**{**defaults, **settings})
        self.printed = StringIO()
        self.complained = _Copying(self.printed)

    @contextmanager
    def set_up(self) -> Iterator[None]:
        """Take over streams, logging, `asyncio.run` and the calls of AWS clients."""
        patch = self._patch
        patch.setattr(LoopThread, "_current", None)
        # So do the servers that it starts itself.
        assert BatchServer.__init__.__kwdefaults__ is not None
        patch.setitem(BatchServer.__init__.__kwdefaults__, "clock", self._clock)
        if not self._real_time:
            patch.setattr(asyncio, "run", self._run)
            # Or the servers would look fifty times a second whether they are to be down.
            patch.setattr(listener, "_CHECK_INTERVAL", 1.0)
        patch.setattr(AIOHTTPSession, "send", self._counting(AIOHTTPSession.send))
        with _logging_of_its_own(patch), redirect_stdout(self.printed), redirect_stderr(self.complained):
            try:
                yield
            finally:
                LoopThread.end_with_the_process()

    @contextmanager
    def server_elsewhere(self) -> Iterator[None]:
        """Let the server listen in a thread of its own, and name it."""
        begun, to_end = threading.Event(), asyncio.Event()
        loop = _RealLoop()

        async def serve() -> None:
            async with self._listening():
                begun.set()
                await to_end.wait()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert begun.wait(10)
        self._is_far = True
        try:
            yield
        finally:
            loop.call_soon_threadsafe(to_end.set)
            thread.join(10)

    @asynccontextmanager
    async def server_here(self) -> AsyncIterator[None]:
        """Let the server listen on the running loop, and name it."""
        async with self._listening():
            yield

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        async with self.server:
            for name, value in {
                "AWS_ENDPOINT_URL": self.server.endpoint_url,
                "AWS_DEFAULT_REGION": self.server.region_name,
                "AWS_ACCESS_KEY_ID": "example",
                "AWS_SECRET_ACCESS_KEY": "example",
            }.items():
                self._patch.setenv(name, value)
            yield

    def _clock(self) -> float:
        return self._now() + self._ahead

    def _run(self, main: Coroutine[Any, Any, T], **_: object) -> T:
        """`asyncio.run` in virtual time."""
        begin = self._clock()
        with asyncio.Runner(loop_factory=ExampleLoop) as runner, pytest.MonkeyPatch.context() as patch:
            real, virtual = self._now, runner.get_loop().time
            self._now, self._ahead = virtual, begin
            patch.setattr(time, "time", self._clock)
            for name in ("monotonic", "perf_counter"):
                patch.setattr(time, name, virtual)
            try:
                return runner.run(main)
            finally:
                end = self._clock()
                self._now, self._ahead = real, end - real()

    def _counting(
        self, send: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def counted(session: AIOHTTPSession, request: Any) -> Any:
            loop = asyncio.get_running_loop()
            if not isinstance(loop, ExampleLoop):
                return await send(session, request)
            is_far = self._is_far and urlsplit(request.url).netloc in self.server.endpoint_url
            counter = "far_calls" if is_far else "near_calls"
            setattr(loop, counter, getattr(loop, counter) + 1)
            try:
                return await send(session, request)
            finally:
                setattr(loop, counter, getattr(loop, counter) - 1)

        return counted


class _Copying(StringIO):
    def __init__(self, other: StringIO) -> None:
        super().__init__()
        self._other = other

    def write(self, text: str) -> int:
        self._other.write(text)
        return super().write(text)


@contextmanager
def _logging_of_its_own(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give an example the logging that a new process has, and take back what it changes."""
    patch.setattr(logging.root, "handlers", [])
    loggers = [logging.root, *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    levels = {logger: logger.level for logger in loggers}
    logging.root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def agrees(shown: str, printed: str) -> bool:
    """Whether a program has printed what its page shows.

    An ellipsis stands for anything. Lines may be broken elsewhere. Numbers with a decimal point, times of day and
    random ids differ from run to run.
    """
    return re.fullmatch(_pattern(shown), " ".join(printed.split()), re.DOTALL) is not None


_LOOSE: Final = re.compile(
    r"(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"|(?P<short>\b(?=[a-f]*\d)[0-9a-f]{8}\b)"
    r"|(?P<time>\d+:\d\d(?::\d\d)?)|(?P<decimal>\d+\.\d+)|(?P<any>\s*(?:…|\.\.\.)\s*)|(?P<space>\s+)"
)
_PATTERNS: Final = {
    "id": r"[0-9a-f-]{36}",
    "short": r"[0-9a-f]{8}",
    "time": r"\d+:\d\d(?::\d\d)?",
    "decimal": r"\d+(?:\.\d+)?",
    "any": ".*?",
    "space": r" ",
}


def _pattern(shown: str) -> str:
    pattern, end = "", 0
    text = shown.strip()
    for found in _LOOSE.finditer(text):
        pattern += re.escape(text[end : found.start()]) + _PATTERNS[str(found.lastgroup)]
        end = found.end()
    return pattern + re.escape(text[end:])
