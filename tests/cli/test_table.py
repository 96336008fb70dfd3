"""Tables and flowing words, for any number of columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awaitbatch.cli._table import Cell, Column, cut, flow, natural_width, table, width_of

COLUMNS = (
    Column(title="JOB", least=6),
    Column(title="ID", leaves=2),
    Column(title="AGE", is_right=True),
    Column(title="NOTE", least=8, leaves=1),
)
ROWS = [
    [Cell("align-0412"), Cell("c37cfe45"), Cell("4:12"), Cell("exit 137, OutOfMemoryError", "red")],
    [Cell("b"), Cell("77052f3e"), Cell("12:00:04"), Cell("")],
]
texts = st.text(st.characters(min_codepoint=32, blacklist_categories=("C", "Z")), max_size=40)


def plain(text: str, _: str) -> str:
    """No paint."""
    return text


def marked(text: str, style: str) -> str:
    """Paint that takes no room."""
    return f"\x1b[{style}m{text}\x1b[0m"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            None,
            [
                "JOB         ID             AGE  NOTE",
                "align-0412  c37cfe45      4:12  exit 137, OutOfMemoryError",
                "b           77052f3e  12:00:04",
            ],
        ),
        (
            50,
            [
                "JOB         ID             AGE  NOTE",
                "align-0412  c37cfe45      4:12  exit 137, OutOfMe…",
                "b           77052f3e  12:00:04",
            ],
        ),
        (
            36,
            [
                "JOB     ID             AGE  NOTE",
                "align…  c37cfe45      4:12  exit 13…",
                "b       77052f3e  12:00:04",
            ],
        ),
        (30, ["JOB              AGE  NOTE", "align-0412      4:12  exit 13…", "b           12:00:04"]),
        (20, ["JOB              AGE", "align-0412      4:12", "b           12:00:04"]),
        (17, ["JOB           AGE", "align-…      4:12", "b        12:00:04"]),
    ],
)
def test_widths(width: int | None, lines: list[str]) -> None:
    """Where there is little room, texts are cut, the last column's first, and then columns are left out."""
    assert [*table(COLUMNS, ROWS, plain, width=width)] == lines


def test_an_empty_column_is_left_out() -> None:
    """Nobody needs the head of a column in which there is nothing."""
    rows = [[*row[:3], Cell("")] for row in ROWS]
    assert next(table(COLUMNS, rows, plain)) == "JOB         ID             AGE"


def test_paint_takes_no_room() -> None:
    """Colours change nothing but colours."""
    painted = [*table(COLUMNS, ROWS, marked, width=50)]
    assert painted[1].endswith("\x1b[redmexit 137, OutOfMe…\x1b[0m")
    assert painted[2] == "b           77052f3e  12:00:04"


@given(st.lists(st.lists(texts, min_size=4, max_size=4), max_size=5), st.integers(30, 120))
def test_no_line_is_too_long(cells: list[list[str]], width: int) -> None:
    """Whatever the texts are, wide characters included: what may be cut makes no line too long."""
    columns = [Column(title=title, least=3, leaves=place) for place, title in enumerate("ABCD")]
    rows = [[Cell(text) for text in row] for row in cells]
    for line in table(columns, rows, plain, width=width):
        assert width_of(line) <= width


@given(texts, st.integers(0, 50))
def test_cutting(text: str, width: int) -> None:
    """A text that is cut has its beginning and a mark, and is never wider than it may be."""
    short = cut(text, width)
    assert width_of(short) <= width
    assert short == text or text.startswith(short[:-1])


def test_wide_characters() -> None:
    """Characters of East Asia take two columns, and what is written above another one none."""
    assert width_of("日本") == 4
    assert width_of("e\u0301") == 1
    assert cut("日本語", 4) == "日…"
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 5, "...") == "日..."


def test_natural_width() -> None:
    """It is what a table takes if nothing is cut."""
    assert natural_width(COLUMNS, ROWS) == 10 + 2 + 8 + 2 + 8 + 2 + 26


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (None, ["attempt 1  exit 137  out of memory in the main container  log a/default/0123456789"]),
        (60, ["attempt 1  exit 137  out of memory in the main container", "    log a/default/0123456789"]),
        (
            24,
            [
                "attempt 1  exit 137",
                "    out of memory in the",
                "    main container",
                "    log a/default/0123456789",
            ],
        ),
    ],
)
def test_flow(width: int | None, lines: list[str]) -> None:
    """Pieces go on in the next line, prose is broken between words, and what is to be copied is not."""
    cells = [
        Cell("attempt 1"),
        Cell(""),
        Cell("exit 137", "red"),
        Cell("out of memory in the main container", is_prose=True),
        Cell("log a/default/0123456789"),
    ]
    assert [*flow(cells, plain, width=width, indent=4)] == lines
    assert [*flow([], plain, width=width, indent=4)] == []
