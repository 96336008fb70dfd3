"""What a fresh Python imports, for tests of what must not be."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

HEAVY: Final = frozenset({"aiobotocore", "aiohttp", "anyio", "botocore", "msgspec", "rich"})
"""Packages that nobody should have to wait for who does not use them."""

_MARK: Final = "import time:"


def imported_by(*arguments: str) -> set[str]:
    """The top-level packages that Python imports when it is started with some arguments."""
    command = (sys.executable, "-X", "importtime", *arguments)
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line for line in process.stderr.splitlines() if line.startswith(_MARK)]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
