"""The pages say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys

import awaitbatch
from awaitbatch._core.outcomes import FailureKind
from docs.render import BEGIN, END, FATES, PAGE, drawn_into, render


def test_the_page_has_the_table_of_the_code() -> None:
    """docs/failures.md holds the table as it is drawn now; `make docs` draws it anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"{BEGIN}{render()}{END}" in page
    assert drawn_into(page) == page


def test_every_failure_is_explained() -> None:
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
