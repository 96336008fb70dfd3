"""The pages say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import awaitbatch
from awaitbatch._core.outcomes import FailureKind
from docs.render import BEGIN, END, FATES, PAGE, drawn_into, render

if TYPE_CHECKING:
    from pathlib import Path

ROOT = PAGE.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_has_the_tables_of_the_code() -> None:
    """docs/failures.md holds the tables as they are drawn now; `make docs` draws them anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"{BEGIN}{render()}{END}" in page
    assert drawn_into(page) == page


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


@pytest.mark.parametrize("page", ["how-it-works.md", "testing.md"])
def test_the_first_example_of_a_page_runs(page: str) -> None:
    """Whoever copies the first example of a page into a file has a program that runs."""
    text = (PAGE.parent / page).read_text(encoding="utf-8")
    _, _, rest = text.partition("```python\n")
    example, _, _ = rest.partition("```\n")
    command = (sys.executable, "-W", "error", "-c", example)
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "1 ids" in output.stdout or "FAILED 137" in output.stdout
    assert output.stderr == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_cells_of_tables_are_short(page: Path) -> None:
    """A reader sees a cell at a glance: it has 200 characters at most."""
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [cell for row in rows for cell in row.split("|") if len(cell.strip()) > 200] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_prose_are_short(page: Path) -> None:
    """Lines of text have 120 columns at most; rows of tables and images may have more."""
    text = page.read_text(encoding="utf-8")
    lines = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith(("|", "!["))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that a page links to are there, and so are the headings in them."""
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        target = page.parent / file if file else page
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
