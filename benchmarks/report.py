"""What a measurement found: figures with their targets, as a table for people and as JSON to keep."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS: Final = Path(__file__).parent / "results"

_PACKAGES: Final = ("awaitbatch", "aiobotocore", "botocore", "aiohttp", "anyio", "msgspec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number, and what it ought to be.

    Attributes:
        name: What was measured.
        value: The number.
        unit: What it counts.
        at_least: The target, if it is a lower bound.
        at_most: The target, if it is an upper bound.
    """

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none. A value that is not a number meets no target."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_least is not None:
            return f"at least {_number(self.at_least)}"
        return "" if self.at_most is None else f"at most {_number(self.at_most)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one measurement found.

    Attributes:
        name: The measurement, by the name that the command line knows.
        about: What was measured, in one line.
        figures: The numbers.
        quick: Whether it was the short form.
        details: What else may be worth keeping, ready for JSON.
        extra: What else may be worth showing, ready to be printed.
    """

    name: str
    about: str
    figures: Sequence[Figure]
    quick: bool
    details: dict[str, Any] = field(default_factory=dict)
    extra: Sequence[str] = ()

    @property
    def missed(self) -> list[Figure]:
        """The figures that do not meet their targets."""
        return [figure for figure in self.figures if figure.met is False]

    def report(self) -> str:
        """All figures, one a line, after what else there is to show."""
        outcomes = {True: "yes", False: "NO", None: ""}
        rows = [
            (figure.name, _number(figure.value), figure.unit, figure.target, outcomes[figure.met])
            for figure in self.figures
        ]
        shown = table(("figure", "measured", "", "target", "met"), rows)
        return "\n\n".join((f"{self.name}: {self.about}", *self.extra, shown))

    def save(self) -> Path:
        """Write it to ``results/``, with what it was measured on."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        kept = {
            "name": self.name,
            "about": self.about,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "quick": self.quick,
            "machine": machine(),
            "versions": _versions(),
            "figures": [asdict(figure) | {"met": figure.met} for figure in self.figures],
            "details": self.details,
        }
        path.write_text(json.dumps(kept, indent=2) + "\n")
        return path


def conclude(result: Result, *, save: bool) -> int:
    """Show what was found, keep it if asked to, and say with what code to exit: 1 if a target was missed."""
    print(result.report(), end="\n\n", flush=True)
    if save:
        result.save()
    for figure in result.missed:
        print(
            f"missed: {result.name}, {figure.name}: {figure.value:.4g} {figure.unit}, target {figure.target}",
            file=sys.stderr,
        )
    return 1 if result.missed else 0


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text; the second holds numbers."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        label, *cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        cells[0] = cells[0].strip().rjust(widths[1])
        return "  ".join(("", label, *cells)).rstrip()

    return "\n".join(map(line, (head, ["-" * width for width in widths], *rows)))


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004


def machine() -> dict[str, Any]:
    """What this runs on."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.system()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {package: _version(package) for package in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed, run from its source"
