"""What a long run says of itself while it runs."""

from __future__ import annotations

import math
import sys
import time
from typing import Final

_PAUSE: Final = 5.0
"""Seconds between two lines."""


class Progress:
    """Lines on standard error, one in five seconds, so that only what takes long is told."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._next = -math.inf

    def write_log(self, text: str) -> None:
        """Say what runs now, unless something was said a moment ago."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PAUSE
            print(f"[{now - self._begin:4.0f} s] {text}", file=sys.stderr, flush=True)
