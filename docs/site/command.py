"""The directive ``command-line``: a command's options and sub-commands, drawn from its argparse parser.

Its argument is a module whose ``main`` makes the parser, and parses with it.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from docs.site.parsers import parser_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

_COLUMNS: Final = {"COLUMNS": "88"}
"""How wide usages are."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}


class CommandLine(SphinxDirective):
    """Draws a section for the command and for each of its sub-commands."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw them."""
        with patch.dict("os.environ", _COLUMNS):
            return [self._section(parser) for parser in _with_sub_commands(parser_of(self.arguments[0]))]

    def _section(self, parser: argparse.ArgumentParser) -> nodes.section:
        name = nodes.make_id(parser.prog)
        section: nodes.section = nodes.section(
            "", nodes.title("", parser.prog), ids=[name], names=[parser.prog]
        )
        self.state.document.note_implicit_target(section)
        section += [
            nodes.paragraph("", "", *_words(text)) for text in (parser.description or "").split("\n\n")
        ]
        section += _code(parser.format_usage().removeprefix("usage: "), "text")
        for group in parser._action_groups:  # noqa: SLF001
            items = [item for action in group._group_actions for item in _items(action, parser.prog)]  # noqa: SLF001
            if items:
                section += nodes.rubric("", _heading(str(group.title).removeprefix("positional ")))
                section += nodes.definition_list("", *items, classes=["options"])
        for title, lines in re.findall(
            r"^(\S[^\n]*):\n((?:[^\S\n]+.*\n?|\n)+)", parser.epilog or "", re.MULTILINE
        ):
            section += nodes.rubric("", _heading(title))
            section += _code(lines, "text")
        return section


def _with_sub_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for sub_command in action.choices.values():
                yield from _with_sub_commands(sub_command)


def _items(action: argparse.Action, command: str) -> Iterator[nodes.definition_list_item]:
    """An option or an argument, or the sub-commands, and what they do."""
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
        for choice in action._choices_actions:  # noqa: SLF001
            name = f"{command} {choice.dest}"
            link = nodes.reference("", "", nodes.literal("", name), internal=True, refid=nodes.make_id(name))
            yield _item(nodes.term("", "", link), choice.help or "")
    elif action.dest != "help" and action.help != argparse.SUPPRESS:
        term = nodes.term("", "", _literal(action), ids=[nodes.make_id(f"{command} {action.dest}")])
        yield _item(term, (action.help or "") % {**vars(action), "prog": command})


def _item(term: nodes.term, text: str) -> nodes.definition_list_item:
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", "", *_words(text))))


def _words(text: str) -> Iterator[nodes.Node]:
    """A text, in which options and what is in backticks are code."""
    for part in re.split(r"(`[^`]+`|(?<![\w-])--?[a-z][\w-]*)", text):
        is_code = part.startswith(("`", "-")) and len(part) > 1
        yield nodes.literal("", part.strip("`")) if is_code else nodes.Text(part)


def _literal(action: argparse.Action) -> nodes.literal:
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    value = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        return nodes.literal("", value)
    return nodes.literal("", ", ".join(action.option_strings) + (f" {value}" if action.nargs != 0 else ""))


def _code(text: str, language: str) -> nodes.literal_block:
    lines = text.rstrip().splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return nodes.literal_block("", "\n".join(line[indent:] for line in lines), language=language)


def _heading(title: str) -> str:
    """With a capital first letter; the others stay as they are, as in AWS."""
    return title[:1].upper() + title[1:]
