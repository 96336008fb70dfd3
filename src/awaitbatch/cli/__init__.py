"""The command ``awaitbatch``."""

from awaitbatch.cli._command import main

__all__ = ["main"]
