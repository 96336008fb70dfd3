"""What a modelled service has seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec


def _by_second() -> defaultdict[str, Counter[int]]:
    return defaultdict(Counter)


@dataclass(slots=True)
class ServerStatistics:
    """Counts of all calls since the start or the last reset.

    Attributes:
        calls: Calls that arrived, by operation, throttled and failed ones included.
        throttled: Calls that were throttled, by operation.
        failed: Calls that failed with another error, by operation.
        answered: Calls that were done and answered, by operation, whatever happened to the response.
        faults: Calls that a fault hit, by `Fault`.
        ids_described: Ids asked for in the DescribeJobs calls that were answered.
        calls_by_second: Operation to whole second of the server's clock to calls that arrived.
        throttled_by_second: The same for throttled calls.
    """

    calls: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    ids_described: int = 0
    calls_by_second: defaultdict[str, Counter[int]] = field(default_factory=_by_second)
    throttled_by_second: defaultdict[str, Counter[int]] = field(default_factory=_by_second)

    @property
    def ids_per_call(self) -> float:
        """The mean number of ids in the DescribeJobs calls that were answered; 0 before the first."""
        answered = self.answered["DescribeJobs"]
        return self.ids_described / answered if answered else 0.0

    def peak(self, operation: str = "DescribeJobs") -> int:
        """The most calls of one operation that arrived within one second of the clock."""
        return max(self.calls_by_second[operation].values(), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Give all counts as one dict that JSON can carry."""
        counts: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return counts | {"ids_per_call": self.ids_per_call}

    def record_call(self, operation: str, now: float) -> None:
        """Count a call that arrived."""
        self.calls[operation] += 1
        self.calls_by_second[operation][int(now)] += 1

    def record_throttle(self, operation: str, now: float) -> None:
        """Count a call that was throttled."""
        self.throttled[operation] += 1
        self.throttled_by_second[operation][int(now)] += 1
