"""Tests of survival play days of many jobs; they are not there to cover lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Let nobody trace lines meanwhile, as coverage does: it doubles the time that they take."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
