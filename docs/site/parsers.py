"""The parser that a command reads its command line with, whatever the command does with what it reads."""

from __future__ import annotations

import argparse
import importlib
from unittest.mock import patch


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a command reads its command line with."""
    found: list[argparse.ArgumentParser] = []

    def note(parser: argparse.ArgumentParser, *_: object) -> None:
        found.append(parser)
        raise _ParsedError

    with patch.object(argparse.ArgumentParser, "parse_args", note):
        try:
            importlib.import_module(module).main([])
        except _ParsedError:
            return found[0]
    message = f"{module}.main has parsed no command line"
    raise ValueError(message)


class _ParsedError(Exception):
    pass
