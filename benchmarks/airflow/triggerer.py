"""What a triggerer costs: the figures of the process that runs its triggers, and what it says of itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.airflow.servers import Server

_BLOCKED: Final = "async thread was blocked"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Triggerer:
    """A triggerer, which has a child that runs the triggers: the runner.

    Attributes:
        server: The triggerer.
    """

    server: Server

    @property
    def runner(self) -> int | None:
        """The process id of the runner, once there is one."""
        pid = self.server.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that the runner has used, user and system."""
        # The name of the program, in parentheses, may have spaces.
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory(self) -> float:
        """Megabytes of memory that the runner has now."""
        line = next(line for line in self._read("status").splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / _MEGABYTE

    @property
    def sockets(self) -> int:
        """The sockets that the runner has open."""
        found = 0
        for path in Path(f"/proc/{self.runner}/fd").iterdir():
            try:
                found += str(path.readlink()).startswith("socket:")
            except FileNotFoundError:
                # It was closed meanwhile.
                continue
        return found

    @property
    def warnings(self) -> int:
        """How often it has said that its loop was blocked."""
        return self.server.text.count(_BLOCKED)

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.runner}/{name}").read_text(encoding="utf-8")
