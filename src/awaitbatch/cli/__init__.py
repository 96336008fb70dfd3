"""The command ``awaitbatch``."""

from awaitbatch.cli.command import main

__all__ = ["main"]
