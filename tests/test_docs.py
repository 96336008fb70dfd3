"""The pages say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import botocore.session
import pytest

import awaitbatch
from awaitbatch._core.outcomes import FailureKind
from docs.render import BEGIN, DOCS, END, FATES, PAGE, drawn_into, render

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


def knows_bulk() -> bool:
    """Whether the installed botocore has the operations for many jobs, which came in September 2026."""
    return "TerminateJobs" in botocore.session.get_session().get_service_model("batch").operation_names


@pytest.mark.parametrize(
    ("page", "place", "shown"),
    [
        ("explanation/how-it-works.md", 0, "given up while the job is RUNNING"),
        ("explanation/how-it-works.md", 1, "1 ids"),
        ("explanation/how-it-works.md", 2, "RUNNING -> SUCCEEDED in queue"),
        ("explanation/how-it-works.md", 3, "200 succeeded, in"),
        ("howto/testing.md", 0, "FAILED 137"),
        ("howto/bulk.md", 0, "request 9 was refused: An error occurred (ClientException)"),
        (
            "howto/bulk.md",
            1,
            "118 were terminated; not ['job-7', 'job-70']\n2 of 120 jobs could not be ended: 2 AccessDenied",
        ),
        ("howto/lists.md", 0, "nightly-1 RUNNING\njob FAILED\n['7', '400']"),
        ("howto/lists.md", 1, "there has succeeded\nnew has succeeded"),
        ("howto/many-jobs.md", 0, "no-such-job None JobNotFoundError"),
        ("howto/many-jobs.md", 1, "20 of 20 are done"),
        ("howto/many-jobs.md", 2, "job-0 is stuck, at position 1: no reason given"),
        ("howto/many-jobs.md", 3, "1 failed, 10 pending>\nexit code 3\n{'FAILED'}"),
    ],
)
def test_the_programs_of_a_page_run(page: str, place: int, shown: str) -> None:
    """Whoever copies one into a file has a program that runs."""
    if (page, place) == ("howto/bulk.md", 1) and not knows_bulk():
        pytest.skip("the installed botocore lacks TerminateJobs, which the program orders a fault of")
    command = (sys.executable, "-W", "error", "-c", programs(page)[place])
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert shown in output.stdout
    assert output.stderr == ""


def test_every_program_is_run() -> None:
    """No page has one that the test above does not know."""
    paths = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    pages = {path: len(programs(path)) for path in paths}
    assert {page: count for page, count in pages.items() if count} == {
        "explanation/how-it-works.md": 4,
        "howto/bulk.md": 2,
        # tests/test_howto.py runs it against a server of its own.
        "howto/embedding.md": 1,
        "howto/lists.md": 2,
        "howto/many-jobs.md": 4,
        "howto/testing.md": 1,
    }


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


def programs(page: str) -> list[str]:
    """The examples of a page below docs that are whole programs."""
    text = (DOCS / page).read_text(encoding="utf-8")
    examples: list[str] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [example for example in examples if "asyncio.run(" in example]


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
