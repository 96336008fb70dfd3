"""The pages say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import awaitbatch
from awaitbatch._core.outcomes import FailureKind
from docs.render import BEGIN, END, FATES, PAGE, drawn_into, render

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = (".", "benchmarks/**", "docs/**", "src/**", "tests/**")
PAGES: Final = sorted(
    {str(page.relative_to(ROOT)) for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md")}
)
WIDEST_PROSE: Final = 120
# Each of them is to leave this list once it is reflowed, and none may come back.
NOT_REFLOWED: Final = {
    "CHANGELOG.md",
    "README.md",
    "docs/explanation/decisions.md",
    "docs/failures.md",
    "docs/how-it-works.md",
    "docs/testing.md",
}
# Nothing but a link or a picture, which Markdown keeps in one piece.
UNBREAKABLE: Final = re.compile(r"\s*(?:(?:[-*]|[0-9]+\.) )?!?\[.*\]\(\S+\)\S*")


def test_the_page_has_the_table_of_the_code() -> None:
    """docs/failures.md holds the table as it is drawn now; `make docs` draws it anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"{BEGIN}{render()}{END}" in page
    assert drawn_into(page) == page


def test_every_trouble_is_explained() -> None:
    """What becomes of a describe and of a poll is said for each kind of failure."""
    assert FATES.keys() == set(FailureKind)


def test_every_row_has_all_columns() -> None:
    """No cell breaks the table."""
    assert {line.count("|") for line in render().splitlines()} == {6}


def test_the_page_explains_every_error() -> None:
    """Each error has a row that says what it means."""
    explained = set(re.findall(r"^\| `(\w+Error)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    errors = {name for name in awaitbatch.__all__ if name.endswith("Error")}
    assert explained == errors - {"AwaitBatchError"}


def test_drawing_is_not_for_run_time() -> None:
    """Whoever uses the package does not load what draws its pages."""
    script = "import sys, awaitbatch; assert not [name for name in sys.modules if name.startswith('docs')]"
    subprocess.run((sys.executable, "-c", script), check=True)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in NOT_REFLOWED])
def test_prose_is_not_too_wide(page: str) -> None:
    """No line of prose has more than 120 columns; tables, code and pictures may."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [number for number, line in prose(text) if len(line) > WIDEST_PROSE] == []


def test_what_is_prose() -> None:
    """Code, tables, and lines that are nothing but a link are not; whatever is in a list or a paragraph is."""
    text = """\
# Heading

A paragraph
    with an odd second line.

- an item

  ```python
  code()

  ```
1. [a link](of/its/own).

    more code

    and more
prose again
| a | table |
![a picture](image.svg)
The [last](line).
"""
    assert [number for number, line in prose(text) if line] == [1, 3, 4, 6, 17, 20]


def test_every_page_is_found() -> None:
    """The pages that are tested are those of the repository, and no more."""
    assert {"README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/failures.md"} <= set(PAGES)
    assert set(PAGES) >= NOT_REFLOWED
    assert not [page for page in PAGES if page.startswith(".")]


def test_contributors_are_shown_every_room() -> None:
    """The table of CONTRIBUTING.md has each module and each package of awaitbatch."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, section = page.partition("\n## The rooms\n")
    section, _, _ = section.partition("\n## ")
    named = {
        name
        for row in section.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row)
    }
    package = ROOT / "src" / "awaitbatch"
    rooms = {path.name for path in package.glob("*.py")}
    rooms |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert rooms - named == set()
    assert {name for name in named if name.endswith((".py", "/"))} - rooms == set()


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a page that could be broken elsewhere, with their numbers."""
    is_fenced = is_indented = False
    before = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        else:
            # Only a blank line begins such code, and blank lines do not end it.
            is_indented = line.startswith("    ") and (is_indented or not before) if line else is_indented
            is_code = is_fenced or is_indented
            if not is_code and not line.startswith("|") and not UNBREAKABLE.fullmatch(line):
                yield number, line
        before = line
