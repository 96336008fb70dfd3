"""Draws the tables of failures.md from the table in the code: ``make docs``, or ``python -m docs.render``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from awaitbatch._failures import Row

PAGE: Final = Path(__file__).parent / "failures.md"
BEGIN: Final = "<!-- The tables are drawn by `make docs`. -->\n\n"
END: Final = "\n<!-- Here they end. -->\n"

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
    FailureKind.PERMANENT: ("raises `DescribeError` at once, for the jobs of this call", "the same"),
    FailureKind.EXPIRED: ("raises `DescribeError` at once, for every job that is awaited", "the same"),
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
                    (str(number), row.what, row.kind.value, row.advice.format(operation="DescribeJobs"))
                    for number, row in enumerate(TABLE, start=1)
                ],
            ),
            "A row is recognised by any of these:\n",
            _table(
                ("row", "HTTP status, error code of AWS, or Python error"),
                [(str(number), "; ".join(_signs(row))) for number, row in enumerate(TABLE, start=1)],
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


def _signs(row: Row) -> Iterator[str]:
    if row.statuses:
        yield f"HTTP {', '.join(_spans(row.statuses))}{', without an error code of AWS' if row.bare else ''}"
    if row.codes:
        yield _quoted(row.codes)
    if row.texts:
        yield _quoted(f"{text} …" for text in row.texts)
    if BaseException in row.errors:
        yield "anything that no other row fits"
    elif row.errors:
        around = f" around {_quoted(map(_name, row.around))}" if row.around else ""
        yield f"{_quoted(map(_name, row.errors))}{around}"


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
    PAGE.write_text(drawn_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
