"""The pages say what the code does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import awaitbatch
from awaitbatch._core.outcomes import FailureKind
from awaitbatch.instrumentation._measurements import INSTRUMENTS
from docs.render import BEGIN, END, FATES, METRICS, PAGE, drawn_into, render
from docs.render_metrics import metrics_drawn_into

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = (".", "benchmarks/**", "docs/**", "src/**", "tests/**")
PAGES: Final = sorted(
    {str(page.relative_to(ROOT)) for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md")}
)
WIDEST_PROSE: Final = 120
# Nothing but a link or a picture, which Markdown keeps in one piece.
UNBREAKABLE: Final = re.compile(r"\s*(?:(?:[-*]|[0-9]+\.) )?!?\[.*\]\(\S+\)\S*")


def test_the_page_has_the_tables_of_the_code() -> None:
    """docs/reference/failures.md holds the tables as they are drawn now; `make docs` draws them anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"{BEGIN}{render()}{END}" in page
    assert drawn_into(page) == page


def test_the_page_has_the_metrics_of_the_code() -> None:
    """docs/reference/metrics.md holds the table as it is drawn now, and explains each attribute."""
    page = METRICS.read_text(encoding="utf-8")
    assert metrics_drawn_into(page) == page
    assert all(f"`{one.name}`" in page for one in INSTRUMENTS)
    explained = set(re.findall(r"^\| `([\w.]+)`(?: of a \w+)? \|", page, re.MULTILINE))
    assert {name for one in INSTRUMENTS for name in one.names_of_attributes(queue=True)} <= explained


def test_every_kind_of_failure_is_explained() -> None:
    """What becomes of a describe and of a poll is said for each kind of failure."""
    assert FATES.keys() == set(FailureKind)


def test_every_row_has_all_columns() -> None:
    """No cell breaks its table."""
    for table in re.findall(r"(?:^\|.*\n)+", render(), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_page_explains_every_error() -> None:
    """Each error has a row that says what it means."""
    explained = set(re.findall(r"^\| `(\w+Error)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    errors = {name for name in awaitbatch.__all__ if name.endswith("Error")}
    assert explained == errors - {"AwaitBatchError"}


def test_the_page_explains_every_cause() -> None:
    """Each cause for which a job fails has a row that says when it is given."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition("\n## Why a job failed\n")
    rows = re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted([*awaitbatch.FailureCause])


@pytest.mark.parametrize("page", PAGES)
def test_cells_of_tables_are_short(page: str) -> None:
    """A reader sees a cell at a glance: it has 200 characters at most."""
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [cell for row in rows for cell in row.split("|") if len(cell.strip()) > 200] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Files that a page links to are there, and so are the headings in them."""
    path = ROOT / page
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text(encoding="utf-8")):
        target = path.parent / file if file else path
        assert target.exists(), file
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
            }


def test_drawing_is_not_for_run_time() -> None:
    """Whoever uses the package does not load what draws its pages."""
    script = "import sys, awaitbatch; assert not [name for name in sys.modules if name.startswith('docs')]"
    subprocess.run((sys.executable, "-c", script), check=True)


@pytest.mark.parametrize("page", PAGES)
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
    assert {"README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/index.md"} <= set(PAGES)
    assert not [page for page in PAGES if page.startswith(".")]


def rooms() -> list[list[str]]:
    """The rows of the table of CONTRIBUTING.md: the modules and packages of awaitbatch, from the top down."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, section = page.partition("\n## The rooms\n")
    section, _, _ = section.partition("\n## ")
    firsts = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    return [re.findall(r"`([^`]+)`", first) for first in firsts]


def test_contributors_are_shown_every_room() -> None:
    """The table of CONTRIBUTING.md has each module and each package of awaitbatch, once."""
    package = ROOT / "src" / "awaitbatch"
    modules = [path.name for path in package.glob("*.py")]
    packages = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert sorted(name for row in rooms() for name in row) == sorted(modules + packages)


def test_rooms_import_from_rows_below() -> None:
    """In that table, each module imports only from its own row and those below."""
    rows = {name.removesuffix(".py").strip("/"): row for row, names in enumerate(rooms()) for name in names}
    package = ROOT / "src" / "awaitbatch"
    imports = {
        (path.relative_to(package).parts[0].removesuffix(".py"), node.module.split(".")[1])
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("awaitbatch.")
    }
    assert len(imports) > 300
    assert [(room, other) for room, other in imports if rows[other] < rows[room]] == []


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


def test_texts_that_are_explained_are_those_of_the_code() -> None:
    """The page that explains errors and lines of the log quotes texts that the code has."""
    nodes = [
        node
        for path in (ROOT / "src" / "awaitbatch").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    code = "\n".join(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
    )
    page = (ROOT / "docs" / "howto" / "troubleshooting.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| (?:text|line) \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    texts = re.findall(r"^\| `([^`]+)`", "".join(tables), re.MULTILINE)
    unknown = {text for text in texts if not all(part in code for part in text.split("…"))}
    # Those of Python, asyncio, aiohttp and botocore.
    assert unknown == {
        "coroutine '…' was never awaited",
        "Executing <Task …> took … seconds",
        "Unclosed client session",
        "You must specify a region",
    }
    assert len(texts) > 25


def test_links_of_the_readme_work_on_pypi() -> None:
    """What the package says of itself leads to the repository, and not to files beside it."""
    description = metadata("awaitbatch").json["description"]
    assert "\n# awaitbatch\n" in f"\n{description}"
    links = re.findall(r"\]\(([^)]+)\)", str(description))
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
