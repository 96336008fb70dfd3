"""The harness of every contestant: it speaks with the runner, and measures, with the standard library alone.

The runner (`benchmarks.peers.race`) writes two lines of JSON to standard input: the settings, when the process starts,
and the ids of the jobs, once the contestant has said that it is ready. The harness answers each with one line. It runs
on Python 3.8 and later, since some contestants do not run on newer ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import select
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

_TICK = 0.1
"""Seconds between two ticks that show how late an event loop is, if its rounds cannot be timed from within."""
_MOST_MEMORY = 10 * 2**30
"""Bytes of memory at which a run is cut off, to protect the machine."""
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class Harness:
    """One contestant's run.

    Args:
        packages: The distributions whose versions matter.

    Attributes:
        settings: What the runner wants.
        endpoint_url: Where the server listens.
        interval: Seconds in which each job ought to be checked once; None for the contestant's own default.
        jobs: How many there will be.
        job_ids: The jobs to await, once there are any.
    """

    def __init__(self, *packages: str) -> None:
        # What a library prints must not get between the answers.
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._packages = packages
        self._lock = threading.Lock()
        self.settings: dict[str, Any] = json.loads(_read_line())
        self.endpoint_url: str = self.settings["endpoint_url"]
        self.interval: float | None = self.settings["interval"]
        self.jobs: int = self.settings["jobs"]
        self.job_ids: list[str] = []
        self._outcomes: dict[str, str] = {}
        self._ended: dict[str, float] = {}
        self._died: dict[str, tuple[float, str]] = {}
        self._stall: float | None = None
        self._stalled_at = 0.0
        self._busy_since: float | None = None

    def start(self) -> list[str]:
        """Say that all is ready, get the jobs, and start measuring."""
        versions = {package: _version(package) for package in self._packages}
        self._tell({"python": platform.python_version(), "versions": versions})
        self.job_ids = json.loads(_read_line())
        self._begin = time.monotonic()
        self._base = _reset_peak()
        self._cpu = time.process_time()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        return self.job_ids

    def start_on_loop(self) -> list[str]:
        """The same on an event loop, whose stalls are measured.

        A ticker would be the largest cost of a contestant that sleeps most of the time. A round of asyncio's loop lasts
        from one call of its selector to the next, and what is due meanwhile has to wait for so long.
        """
        job_ids = self.start()
        self._stall = 0.0
        selector = getattr(asyncio.get_running_loop(), "_selector", None)
        if selector is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        else:
            self._time_rounds(selector)
        return job_ids

    def ended(self, job_id: str) -> None:
        """The contestant knows that this job has ended."""
        self._ended.setdefault(job_id, time.time())

    def died(self, job_id: str, error: BaseException | str) -> None:
        """The contestant no longer waits for this job, though it has not seen its end."""
        told = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self._died.setdefault(job_id, (time.monotonic() - self._begin, told[:200]))

    async def task_each(
        self, wait: Callable[[str], Awaitable[Any]], outcome: Callable[[Any], str] | None = None
    ) -> None:
        """Run `wait` in a task for each job, until all have ended or died.

        Args:
            wait: Returns when the job has ended.
            outcome: Reads from what `wait` returns in which state it did.
        """

        async def run(job_id: str) -> None:
            try:
                found = await wait(job_id)
            except Exception as error:  # noqa: BLE001
                self.died(job_id, error)
            else:
                self.ended(job_id)
                if outcome is not None:
                    self._outcomes[job_id] = outcome(found)

        await asyncio.gather(*(run(job_id) for job_id in self.job_ids))

    def thread_each(self, wait: Callable[[str], object]) -> None:
        """Run `wait` in a thread for each job, until all have ended or died."""

        def run(job_id: str) -> None:
            try:
                wait(job_id)
            except Exception as error:  # noqa: BLE001
                self.died(job_id, error)
            else:
                self.ended(job_id)

        threads = [threading.Thread(target=run, args=(job_id,), daemon=True) for job_id in self.job_ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def all_died(self, job_ids: Iterable[str], error: BaseException) -> None:
        """One error has ended the waits for all these jobs."""
        for job_id in job_ids:
            self.died(job_id, error)

    def finish(self, *, cut_off: bool = False) -> NoReturn:
        """Say what was found and end the process, whatever still runs in it."""
        with self._lock:
            now = time.monotonic()
            cpu = time.process_time() - self._cpu
            if self._stall is not None and self._busy_since is not None:
                self._note(self._busy_since, now)
            self._tell(
                {
                    "seconds": now - self._begin,
                    "cpu": cpu,
                    "base": self._base,
                    "peak": _peak(),
                    "stall": self._stall,
                    "stalled_at": self._stalled_at,
                    "ended": dict(self._ended),
                    "died": dict(self._died),
                    "outcomes": dict(self._outcomes),
                    "cut_off": cut_off,
                }
            )
            os._exit(0)

    def _tell(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _watch(self) -> None:
        """End the run at its deadline, or when the runner is gone."""
        end = time.monotonic() + self.settings["deadline"]
        while time.monotonic() < end and _peak() < _MOST_MEMORY and not self._awaits_only_the_missing_id():
            readable, _, _ = select.select([0], [], [], min(1.0, max(0.0, end - time.monotonic())))
            if readable:
                os._exit(3)
        self.finish(cut_off=True)

    def _awaits_only_the_missing_id(self) -> bool:
        """Whether, after a while, only the id that does not exist is still awaited."""
        return (
            time.monotonic() > self._begin + self.settings["missing_deadline"]
            and len(self._ended) + len(self._died) >= self.jobs
        )

    def _note(self, begin: float, end: float) -> None:
        if self._stall is None or end - begin > self._stall:
            self._stall, self._stalled_at = end - begin, begin - self._begin

    def _time_rounds(self, selector: Any) -> None:  # noqa: ANN401
        select_events = selector.select

        def timed(timeout: float | None = None) -> Any:  # noqa: ANN401
            begin, self._busy_since = self._busy_since, None
            if begin is not None:
                self._note(begin, time.monotonic())
            events = select_events(timeout)
            self._busy_since = time.monotonic()
            return events

        selector.select = timed

    async def _tick(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK)
            self._note(before + _TICK, time.monotonic())


def _read_line() -> str:
    """Read a line from standard input; the runner sends the next one only when asked to."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            sys.exit(3)
        line += piece
    return line.decode()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed, run from its source"


def _reset_peak() -> int:
    """Let the peak of the memory begin now, and return what is in use, in bytes."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return _peak()
    return _memory("VmRSS")


def _peak() -> int:
    try:
        return _memory("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _memory(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise OSError(name)
