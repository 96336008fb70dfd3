"""Draws the table of failures.md from the table in the code: ``make docs``, or ``python -m docs.render``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from awaitbatch._failures import Row

PAGE: Final = Path(__file__).parent / "failures.md"
BEGIN: Final = "<!-- The table is drawn by `make docs`. -->\n\n"
END: Final = "\n<!-- Here it ends. -->\n"

FATES: Final = {
    FailureKind.THROTTLED: (
        "waits for its turn; a try is used up only while the rate cannot fall any further",
        "waits for its turn; nothing is used up",
    ),
    FailureKind.TRANSIENT: (
        "is tried `status_retries` times in all, then `DescribeError`",
        "goes on; it was a check without a result",
    ),
    FailureKind.REFUSED: (
        "the call is parted until the id at fault is alone, and that one gets `DescribeError`",
        "the same",
    ),
    FailureKind.PERMANENT: ("`DescribeError` at once, for the jobs of this call", "the same"),
    FailureKind.EXPIRED: ("`DescribeError` at once, for every job that anybody waits for", "the same"),
}
"""What becomes of a describe and of a poll."""


def render() -> str:
    """The table, in Markdown."""
    rows = [("what happens", "how it is recognised", "a describe", "a poll", "what to do")]
    rows += [
        (row.what, "; ".join(_signs(row)), *FATES[row.kind], row.advice.format(operation="DescribeJobs"))
        for row in TABLE
    ]
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([lines[0], "|---|---|---|---|---|\n", *lines[1:]])


def drawn_into(page: str) -> str:
    """The page, with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{render()}{END}{after}"


def _signs(row: Row) -> Iterator[str]:
    if row.statuses:
        yield f"HTTP {', '.join(_spans(row.statuses))}{' without an error code of AWS' if row.bare else ''}"
    if row.codes:
        yield _quoted(row.codes)
    if row.texts:
        yield _quoted(f"{text} …" for text in row.texts)
    if BaseException in row.errors:
        yield "whatever no row above knows"
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
