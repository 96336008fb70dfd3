"""The site has what it should, as far as that can be told without building it."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

import awaitbatch
import awaitbatch.instrumentation
import awaitbatch.testing
import awaitbatch.threads
from docs.site.links import dead_links
from docs.site.pages import CONTENTS, ELSEWHERE
from tests.pages.blocks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = ROOT / "docs" / "reference"
AIRFLOW = ROOT / "src" / "awaitbatch" / "integrations" / "airflow" / "__init__.py"


def documented() -> list[str]:
    """What the pages of the reference show with Sphinx's directives, each with its module."""
    names = []
    for page in sorted(REFERENCE.glob("*.md")):
        module = ""
        for directive, name in re.findall(
            r"^\.\. (\w+):: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE
        ):
            if directive in {"automodule", "currentmodule"}:
                module = name
            elif directive.startswith("auto"):
                names.append(f"{module}.{name}")
    return names


def public() -> set[str]:
    """The public names of all modules; the errors are those of `awaitbatch`."""
    modules: list[Any] = [
        *(awaitbatch, awaitbatch.instrumentation, awaitbatch.threads),
        *(awaitbatch.testing, awaitbatch.testing.scenarios, awaitbatch.testing.virtual_time),
    ]
    names = {f"{module.__name__}.{name}" for module in modules for name in module.__all__}
    for node in ast.parse(AIRFLOW.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names |= {f"awaitbatch.integrations.airflow.{name}" for name in ast.literal_eval(node.value)}
    # It is the same class.
    return names - {"awaitbatch.JobStuck"}


def test_every_public_name_is_in_the_reference() -> None:
    """Each is there once, and nothing that is not public."""
    assert sorted(documented()) == sorted(public())


def test_every_argument_is_explained() -> None:
    """The page about the configuration has each argument of the client, with its default."""
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page, re.MULTILINE))
    parameters = inspect.signature(awaitbatch.BatchClient).parameters.values()
    defaults = {
        parameter.name: repr(parameter.default).replace("inf", "math.inf") for parameter in parameters
    }
    assert rows == defaults


def test_the_contents_name_pages_that_are_there() -> None:
    """A page of the table of contents that is no pattern exists."""
    pages = [page for pages in CONTENTS.values() for page in pages if "*" not in page]
    assert [page for page in pages if not (ROOT / "docs" / f"{page}.md").exists()] == []


@pytest.mark.parametrize("page", ELSEWHERE.values(), ids=lambda page: page.name)
def test_a_page_whose_text_is_elsewhere_leads_there(page: Path) -> None:
    """On GitHub it is a heading and a link, and has no examples of its own."""
    origin = next(origin for origin, shown in ELSEWHERE.items() if shown == page)
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert [(page.parent / link).resolve() for link in links] == [origin]


def test_dead_links_are_found(tmp_path: Path) -> None:
    """Pages, files and anchors that are not there are told, with the pages that name them."""
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="#top"></a><a href="b/c.html#there"></a><a href="https://x.example/"></a>'
        '<a href="#nowhere"></a><a href="b/c.html#gone"></a><a href="d.html"></a><img src="e.svg">'
    )
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.html").write_text('<p id="there"></p><a href="../a.html#top"></a>')
    assert dead_links(tmp_path) == [
        "a.html: #nowhere",
        "a.html: b/c.html#gone",
        "a.html: d.html",
        "a.html: e.svg",
    ]
