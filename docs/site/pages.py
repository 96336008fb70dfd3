"""What the site has beyond the pages as GitHub shows them.

- The table of contents at its side.
- Pages whose text is elsewhere in the repository. On GitHub they are a heading and a link to it.
- Links to files that are no pages, such as programs, lead to the repository.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS: Final = Path(__file__).parents[1]
ROOT: Final = DOCS.parent
SOURCE: Final[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
    "Source"
]
"""Where the repository is."""

ELSEWHERE: Final = {
    ROOT / "benchmarks" / "README.md": DOCS / "explanation" / "benchmarks.md",
    ROOT / "CHANGELOG.md": DOCS / "changelog.md",
    ROOT / "CONTRIBUTING.md": DOCS / "contributing.md",
}
"""Where a text is, and which page shows it."""

CONTENTS: Final = {
    "Begin": ("tutorial",),
    "Submit and wait": tuple(
        f"howto/{page}"
        for page in (
            *("many-jobs", "choose-an-interval", "bulk", "bound-and-terminate", "react-to-changes"),
            *("arrays", "lists", "job-logs", "resources"),
        )
    ),
    "Where your code runs": tuple(
        f"howto/{page}"
        for page in ("shell", "web-service", "embedding", "airflow", "threads", "notebooks", "restarts")
    ),
    "Move to awaitbatch": ("howto/from-boto3", "howto/from-batch-client-hook", "howto/waiters"),
    "Test": ("howto/testing", "howto/load-test", "howto/types"),
    "Operate": (
        *(f"howto/{page}" for page in ("troubleshooting", "sizing", "iam", "logs", "metrics-and-alerts")),
        *("howto/*", "examples/README"),
    ),
    "Reference": ("reference/api", "reference/configuration", "reference/events", "reference/*"),
    "Explanation": (
        "explanation/how-it-works",
        "explanation/alternatives",
        "explanation/decisions",
        "explanation/benchmarks",
        "explanation/*",
    ),
    "Project": ("changelog", "contributing", "releasing*"),
}
"""The pages in their order: those of a folder that are named nowhere come where the asterisk is."""

_LINK: Final = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s]*)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}


def read(_: Sphinx, docname: str, content: list[str]) -> None:
    """Give a page the text that it stands for, and let its links lead to pages of the site."""
    page = DOCS / f"{docname}.md"
    origin = next((origin for origin, shown in ELSEWHERE.items() if shown == page), page)
    text = content[0] if origin == page else origin.read_text(encoding="utf-8")

    def lead(link: re.Match[str]) -> str:
        path, sharp, anchor = link[2].partition("#")
        target = Path(os.path.normpath(origin.parent / path))
        target = ELSEWHERE.get(target, target)
        if target.is_relative_to(DOCS) and target.suffix in {".md", ".png", ".svg"}:
            return f"{link[1]}{os.path.relpath(target, page.parent)}{sharp}{anchor}"
        return f"{link[1]}{SOURCE}/blob/main/{target.relative_to(ROOT)}{sharp}{anchor}"

    text = _LINK.sub(lead, text)
    contents = (_toctree(caption, pages) for caption, pages in CONTENTS.items())
    content[0] = "".join([text, *contents]) if docname == "index" else text


def _toctree(caption: str, pages: tuple[str, ...]) -> str:
    entries = [entry for page in pages for entry in _entries(page)]
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""])


def _entries(page: str) -> list[str]:
    named = {name for pages in CONTENTS.values() for name in pages}
    found = sorted(path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.glob(f"{page}.md"))
    return [name for name in found if name == page or name not in named]
