"""Draws the tables of failures.md and metrics.md from the code: ``make docs``, or ``python -m docs.render``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import SSO, STS, TABLE
from docs.render_metrics import metrics_drawn_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from awaitbatch._failures import Row

DOCS: Final = Path(__file__).parent
PAGE: Final = DOCS / "reference" / "failures.md"
METRICS: Final = DOCS / "reference" / "metrics.md"
BEGIN: Final = "<!-- The tables are drawn by `make docs`. -->\n\n"
END: Final = "\n<!-- Here they end. -->\n"

WIDEST_CELL: Final = 200
"""Characters of a cell that lists signs."""

EXAMPLES: Final = {STS: "AssumeRole", SSO: "GetRoleCredentials"}
"""An operation of each service that gives credentials."""

FATES: Final = {
    FailureKind.THROTTLED: (
        "stays in the queue; uses up a try only while the rate is at its minimum",
        "stays in the queue; uses up nothing",
    ),
    FailureKind.TRANSIENT: (
        "is tried `status_retries` times in all, then raises `DescribeError`",
        "goes on; it was a check without a result",
    ),
    FailureKind.REFUSED: (
        "the call is split until the bad id is alone; only that id gets `DescribeError`",
        "the same",
    ),
    FailureKind.PERMANENT: (
        "before the first good answer `DescribeError`; later it is tried 4 times within 2 s first",
        "before the first good answer `DescribeError`; later only if it lasts, for 5 tries and 5 minutes",
    ),
}
"""What becomes of a describe and of a poll."""


def render() -> str:
    """The tables, in Markdown, with what is said between them."""
    return "\n".join(
        [
            _table(("kind", "a describe", "a poll"), [(kind.value, *fates) for kind, fates in FATES.items()]),
            "The first row that fits decides:\n",
            _table(
                ("row", "what happens", "kind", "what to do"),
                [
                    (str(number), row.what, row.kind.value, _advice(row))
                    for number, row in enumerate(TABLE, start=1)
                ],
            ),
            f"After rows {_rows_that_need_credentials()}, a `DescribeError` has `needs_new_credentials`.\n",
            "A row is recognised by any of these:\n",
            _table(
                ("row", "HTTP status, error code of AWS, or Python error"),
                [(str(number), cell) for number, row in enumerate(TABLE, start=1) for cell in _cells(row)],
            ),
        ]
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def drawn_into(page: str) -> str:
    """The page, with the tables in their place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{render()}{END}{after}"


def _rows_that_need_credentials() -> str:
    *most, last = _spans([number for number, row in enumerate(TABLE, start=1) if row.needs_new_credentials])
    return f"{', '.join(most)} and {last}"


def _advice(row: Row) -> str:
    if row.for_credentials:
        operation, service = EXAMPLES.get(row.service, "the operation"), row.service or "the service"
        return row.advice.format(operation=operation, service=service)
    return row.advice.format(operation="DescribeJobs")


def _cells(row: Row) -> Iterator[str]:
    """How the row is recognised, in cells that a reader sees at a glance."""
    start = f"in a call for credentials{f' from {row.service}' * bool(row.service)}: " * row.for_credentials
    cell = ""
    for sign in _signs(row):
        longer = f"{cell}, {sign}" if cell else f"{start}{sign}"
        if len(longer) > WIDEST_CELL:
            yield cell
            longer = f"{start}{sign}"
        cell = longer
    yield cell


def _signs(row: Row) -> Iterator[str]:
    if row.statuses:
        yield f"HTTP {', '.join(_spans(row.statuses))}{' without an error code of AWS' if row.bare else ''}"
    yield from (f"`{code}`" for code in row.codes)
    yield from (f"`{text} …`" for text in row.texts)
    if BaseException in row.errors:
        yield "anything that no other row fits"
    elif row.around:
        yield f"{_quoted(map(_name, row.errors))} around {_quoted(map(_name, row.around))}"
    else:
        yield from (f"`{_name(error)}`" for error in row.errors)


def _spans(numbers: Sequence[int]) -> Iterator[str]:
    first = 0
    for place, number in enumerate(numbers):
        if place + 1 == len(numbers) or numbers[place + 1] != number + 1:
            yield f"{number}" if place == first else f"{numbers[first]}-{number}"
            first = place + 1


def _name(error: type[BaseException]) -> str:
    package = error.__module__.partition(".")[0]
    return error.__qualname__ if package in {"builtins", "awaitbatch"} else f"{package}.{error.__qualname__}"


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    METRICS.write_text(metrics_drawn_into(METRICS.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(drawn_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
