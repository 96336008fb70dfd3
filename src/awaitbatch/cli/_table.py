"""Tables, and words that flow over several lines, for as many columns as the terminal has. Pure."""

from __future__ import annotations

import textwrap
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Paint: TypeAlias = "Callable[[str, str], str]"

_GAP: Final = "  "


class Cell(NamedTuple):
    """A piece of text that stays together, if it can.

    Attributes:
        text: The text, fit for a line.
        style: How it is painted; empty for not at all.
        is_prose: Whether it may go on in the next line where a line is too short for it. Ids and commands may not, or
            they could not be copied.
    """

    text: str
    style: str = ""
    is_prose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head.
        is_right: Whether its texts end at the right.
        least: To how many characters its texts may be cut; None if they must not be.
        leaves: If there is too little room, the column with the highest number is left out first; those with 0 stay.
    """

    title: str
    is_right: bool = False
    least: int | None = None
    leaves: int = 0


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_width_of_character(character) for character in text)


def cut(text: str, width: int, mark: str = "…") -> str:
    """The text, or as much of its beginning as there is room for, with a mark behind it."""
    if width_of(text) <= width:
        return text
    mark = mark[: max(0, width)]
    room, end = width - len(mark), 0
    for character in text:
        room -= _width_of_character(character)
        if room < 0:
            break
        end += 1
    return text[:end] + mark


def natural_width(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> int:
    """How wide a table is if nothing is cut."""
    return _total(_natural_widths(columns, rows))


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    paint: Paint,
    *,
    width: int | None = None,
    mark: str = "…",
) -> Iterator[str]:
    """The lines of a table with a head.

    A column in which no row has anything is left out. Where there is too little room, so are others, and then texts are
    cut, those of the last column first.

    Args:
        columns: Its columns.
        rows: The cells of each row, one for each column.
        paint: Gives a text in a style.
        width: How many columns the terminal has; None if nothing is to be cut.
        mark: Stands behind what is cut.
    """
    natural = _natural_widths(columns, rows)
    shown = [place for place, _ in enumerate(columns) if not rows or any(row[place].text for row in rows)]
    widths = natural
    if width is not None:
        while shown and (victim := _victim(columns, natural, shown, width)) is not None:
            shown.remove(victim)
        widths = _cut_widths(columns, natural, shown, width)
    head = [Cell(column.title, "bold") for column in columns]
    for row in (head, *rows):
        cells = []
        for place in shown:
            text = cut(row[place].text, widths[place], mark)
            padding = " " * (widths[place] - width_of(text))
            painted = paint(text, row[place].style) if row[place].style and text else text
            is_right, is_last = columns[place].is_right, place == shown[-1]
            cells.append(f"{padding}{painted}" if is_right else painted if is_last else f"{painted}{padding}")
        yield _GAP.join(cells).rstrip()


def flow(cells: Sequence[Cell], paint: Paint, *, width: int | None, indent: int) -> Iterator[str]:
    """Lines with one piece of text after the other.

    Args:
        cells: The pieces; empty ones are left out.
        paint: Gives a text in a style.
        width: How many columns the terminal has; None if all are to be in one line.
        indent: How many blanks each line has in front but the first.
    """
    line, used = "", 0
    for text, style in _pieces(cells, None if width is None else width - indent):
        painted = paint(text, style) if style else text
        taken = width_of(text)
        if not line:
            line, used = painted, taken
        elif width is not None and used + len(_GAP) + taken > width:
            yield line
            line, used = f"{' ' * indent}{painted}", indent + taken
        else:
            line, used = f"{line}{_GAP}{painted}", used + len(_GAP) + taken
    if line:
        yield line


def _pieces(cells: Sequence[Cell], room: int | None) -> Iterator[tuple[str, str]]:
    """What can stand in a line, each with its style."""
    for text, style, is_prose in cells:
        if is_prose and room is not None and width_of(text) > room:
            for line in textwrap.wrap(text, max(1, room), break_on_hyphens=False, break_long_words=False):
                yield line, style
        elif text:
            yield text, style


def _natural_widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [
        max([len(column.title), *(width_of(row[place].text) for row in rows)])
        for place, column in enumerate(columns)
    ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * max(0, len(widths) - 1)


def _victim(
    columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int], width: int
) -> int | None:
    """The column to leave out next; None if there is room."""
    if _total([_least(columns[place], natural[place]) for place in shown]) <= width:
        return None
    place = max(shown, key=lambda place: columns[place].leaves)
    return place if columns[place].leaves else None


def _cut_widths(
    columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int], width: int
) -> list[int]:
    widths = [*natural]
    for place in reversed(shown):
        excess = _total([widths[each] for each in shown]) - width
        if excess > 0:
            widths[place] = max(_least(columns[place], natural[place]), widths[place] - excess)
    return widths


def _least(column: Column, natural: int) -> int:
    return natural if column.least is None else min(natural, max(column.least, len(column.title)))


def _width_of_character(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
