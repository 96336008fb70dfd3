"""Finds links in the built site that lead nowhere: ``python -m docs.site.links docs/_build/html``.

Sphinx checks the links that it makes itself. This reads what a browser will read, whoever wrote it.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src"} and value is not None:
                self.links.append(value)
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(str(value))


def dead_links(site: Path) -> list[str]:
    """The links of all pages that lead nowhere, each with its page."""
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target in pages if target.suffix == ".html" else target.exists()
            if not there or (anchor and target in pages and unquote(anchor) not in pages[target].anchors):
                dead.append(f"{path.relative_to(site.resolve())}: {link}")
    return dead


def main() -> int:
    """Print them; the exit code is 1 if there are any."""
    dead = dead_links(Path(sys.argv[1]))
    sys.stdout.writelines(f"{line}\n" for line in dead)
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
