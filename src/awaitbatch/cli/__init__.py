"""The command ``awaitbatch``."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: What follows the command's name; None for what the process was started with.
    """
    try:
        # Here, since Ctrl-C may also come while it is being imported.
        from awaitbatch.cli import _command

        return _command.main(arguments)
    except KeyboardInterrupt:
        # While something was being imported or read, or after the event loop had ended.
        return 128 + signal.SIGINT
