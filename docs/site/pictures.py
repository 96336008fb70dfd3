"""Puts drawings that have dark colours into their pages, so that they follow the page's switch and not the system's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_DARK: Final = re.compile(r"@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}", re.DOTALL)
_RULE: Final = re.compile(r"([^{}]+)(\{[^}]*\})")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("doctree-read", inline)
    return {"parallel_read_safe": True}


def inline(app: Sphinx, doctree: nodes.document) -> None:
    """Replace such pictures by themselves."""
    for image in list(doctree.findall(nodes.image)):
        path = Path(app.srcdir, image["uri"])
        if path.suffix == ".svg" and _DARK.search(svg := path.read_text(encoding="utf-8")):
            image.replace_self(nodes.raw("", _drawing(svg, path.stem), format="html"))


def _drawing(svg: str, name: str) -> str:
    """The drawing, whose rules hold for it alone, and whose dark ones where the page is dark."""
    start, style, end = re.split(r"<style>(.*?)</style>", svg, maxsplit=1, flags=re.DOTALL)
    dark = _DARK.search(style)
    assert dark is not None  # noqa: S101
    inside = f"#{name}"
    light = _within(inside, _DARK.sub("", style))
    switched = _within(f'body[data-theme="dark"] {inside}', dark[1])
    system = _within(f'body:not([data-theme="light"]) {inside}', dark[1])
    style = f"<style>{light}{switched}@media (prefers-color-scheme: dark) {{{system}}}</style>"
    return f'<div class="drawing">{start.replace("<svg ", f"<svg id={name!r} ", 1)}{style}{end}</div>'


def _within(selector: str, rules: str) -> str:
    return "".join(f"{selector} {rule.strip()} {body}" for rule, body in _RULE.findall(rules))
