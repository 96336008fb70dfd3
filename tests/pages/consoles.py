"""Reads the commands of a page, and runs those of awaitbatch that show what they print."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

import awaitbatch.cli
from docs.site.parsers import parser_of
from tests.pages.blocks import ROOT
from tests.pages.running import jobs, settings_of
from tests.pages.stage import Stage, agrees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.blocks import Block

COMMANDS: Final = {
    ("awaitbatch",): "awaitbatch.cli",
    ("python", "-m", "awaitbatch"): "awaitbatch.cli",
    ("python", "-m", "awaitbatch.testing"): "awaitbatch.testing.__main__",
}
"""Ours, each with the module that reads its options."""

TARGETS: Final = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)

_ENDS: Final = {"|", "||", "&&", ";", "&"}


@dataclass(frozen=True)
class Command:
    """A line after a prompt.

    Attributes:
        words: The words of each command of the pipeline, without comments, redirections and variables.
        output: What the page shows below it.
    """

    words: tuple[tuple[str, ...], ...]
    output: str


def commands(source: str) -> Iterator[Command]:
    """The commands of a block."""
    for part in re.split(r"^\$ ", source.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(tuple(_pipeline(line)), output)


def _pipeline(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(re.sub(r"\s#\s.*", "", line), posix=True, punctuation_chars="|&;<>")
    lexer.commenters = ""
    lexer.whitespace_split = True
    words: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if token in _ENDS:
            yield tuple(words)
            words = []
        elif set(token) <= set("<>&"):
            next(tokens)
        elif words or not re.fullmatch(r"\w+=.*", token, re.DOTALL):
            words.append(token)
    if words:
        yield tuple(words)


def check(command: Command) -> None:
    """Want its options, or its target of make, to exist.

    Raises:
        AssertionError: They do not.
    """
    for words in command.words:
        if words[0] == "make":
            assert words[1] in TARGETS, f"make has no target {words[1]}"
        for beginning, module in COMMANDS.items():
            if words[: len(beginning)] == beginning:
                try:
                    parser_of(module).parse_args(words[len(beginning) :])
                except SystemExit as error:
                    # --help and --version end so, too.
                    assert not error.code, f"no such command line: {shlex.join(words)}"  # noqa: PT017


def run_console(block: Block) -> None:
    """Check all commands of a block, and run those of awaitbatch that show what they print."""
    listed = list(commands(block.source))
    for command in listed:
        check(command)
    if "not run" in block.wishes:
        assert block.wishes["not run"], "say why"
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        stage = Stage(patch, settings_of(block), real_time=False)
        with stage.set_up(), stage.server_elsewhere():
            there = jobs(stage)
            exec(block.wishes.get("before", ""), there)  # noqa: S102
            code = 0
            for command in listed:
                words, *rest = command.words
                if words == ("echo", "$?"):
                    assert command.output.strip() == str(code), f"the exit code is {code}"
                elif words[0] == "awaitbatch" and command.output.strip() and not rest:
                    code, printed = _run(words[1:], stage, there)
                    assert agrees(command.output, printed), f"{shlex.join(words)} printed:\n{printed}"


def _run(words: tuple[str, ...], stage: Stage, there: dict[str, object]) -> tuple[int, str]:
    before = len(stage.printed.getvalue())
    arguments: list[str] = []
    for word in words:
        # Variables of the shell are those of a fragment.
        value = there[word[1:].lower()] if word.startswith("$") else word
        arguments += value if isinstance(value, list) else [str(value)]
    try:
        code = awaitbatch.cli.main(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    return code, stage.printed.getvalue()[before:]
