"""Finds the examples of pages and docstrings, with what their pages want done with them."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sybil import Document
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from sybil.region import Lexeme, Region

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).parents[2]

WORDS: Final = frozenset(
    {"needs", "not run", "real time", "server", "before", "after", "raises", "prints", "file"}
)
"""What a comment right before a block may begin with; CONTRIBUTING.md explains them."""

_COMMENT: Final = re.compile(r"<!--\s*([a-z ]+?)(?::\s(.*?))?\s*-->\s*", re.DOTALL)
_COMMENTS_BEFORE: Final = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+\Z", re.DOTALL)
_LITERAL: Final = re.compile(r"^( *)(?:\S.*)?::\n\n((?:\1 +\S.*(?:\n|\Z)|[ \t]*\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """An example.

    Attributes:
        path: Where it is, from the root of the repository.
        line: The line of its first line of code.
        language: What it is written in.
        source: The code.
        wishes: What the page wants done with it: word to text.
        output: What it prints, as the page shows it; None if the page does not.
        earlier: The Python blocks before it on the same page.
        files: Those of them that readers have saved: name to source.
    """

    path: str
    line: int
    language: str
    source: str
    wishes: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    earlier: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def is_test(self) -> bool:
        """Whether it is a file of tests for pytest."""
        return any(getattr(node, "name", "").startswith("test_") for node in statements(self.source))

    @property
    def is_program(self) -> bool:
        """Whether it can be copied into a file and run: it has imports, and awaits nothing outside of a function."""
        nodes = statements(self.source)
        return any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes) and not self.awaits

    @property
    def awaits(self) -> bool:
        """Whether it, or what is run before and after it, awaits something outside of a function."""
        sources = (self.source, self.wishes.get("before", ""), self.wishes.get("after", ""))
        return any(_awaits(node) for source in sources for node in statements(source))

    @property
    def definitions(self) -> ast.Module:
        """What the blocks before it import and define."""
        kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        nodes = (node for source in self.earlier for node in statements(source))
        return ast.Module([node for node in nodes if isinstance(node, kinds)], type_ignores=[])


def blocks_of_page(page: Path) -> Iterator[Block]:
    """The examples of a page in Markdown, in their order."""
    examples = list(Document.parse(str(page), _fenced))
    path = page.relative_to(ROOT).as_posix()
    earlier: tuple[str, ...] = ()
    files: dict[str, str] = {}
    for example, following in zip_longest(examples, examples[1:]):
        language, source = example.region.lexemes["language"], example.region.lexemes["source"]
        if language not in {"python", "console"}:
            continue
        text = example.document.text
        output = None
        if following is not None and following.region.lexemes["language"] == "text":
            # Right after it, or after one paragraph such as "It prints:".
            between = _COMMENT.sub("", text[example.end : following.start]).strip()
            if not between or (between.endswith(":") and "\n\n" not in between):
                output = following.region.lexemes["source"]
        wishes = _wishes(text[: example.start], path)
        yield Block(path, example.line + 1, language, source, wishes, output, earlier, files)
        if language == "python" and "not run" not in wishes:
            earlier = (*earlier, source)
        if "file" in wishes:
            files = {**files, wishes["file"].strip(): source}


def blocks_of_docstrings(module: Path) -> Iterator[Block]:
    """The literal blocks of a module's docstrings."""
    if "::\n" not in module.read_text(encoding="utf-8"):
        # Nearly always, and each process that runs tests parses all others.
        return
    path = module.relative_to(ROOT).as_posix()
    for example in PythonDocStringDocument.parse(str(module), _literal):
        yield Block(path, example.line, "python", example.region.lexemes["source"])


def statements(source: str) -> list[ast.stmt]:
    """What a block consists of, which may await outside of a function."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree: ast.Module = compile(source, "<example>", "exec", flags)
    return tree.body


def _fenced(document: Document) -> Iterable[Region]:
    return FencedCodeBlockLexer(r"[\w-]*")(document)


def _literal(document: Document) -> Iterator[Region]:
    for found in _LITERAL.finditer(document.text):
        source = Lexeme(textwrap.dedent(found[2]), 0, 0)
        # A docstring that ends with it has no more characters.
        yield Region(found.start(2), found.end(2) - 1, lexemes={"source": source})


def _wishes(before: str, path: str) -> dict[str, str]:
    found = _COMMENTS_BEFORE.search(before)
    comments = _COMMENT.findall(found[0]) if found else []
    unknown = {word for word, _ in comments} - WORDS
    if unknown:
        message = f"{path}: an example's comment begins with {unknown}; known are {sorted(WORDS)}"
        raise ValueError(message)
    return {word: textwrap.dedent(text) for word, text in comments}


def _awaits(node: ast.AST) -> bool:
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or getattr(node, "is_async", False):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return False
    return any(map(_awaits, ast.iter_child_nodes(node)))
