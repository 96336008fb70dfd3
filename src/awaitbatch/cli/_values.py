"""What the values of options may be, as types for argparse; they refuse with a text that has the value."""

from __future__ import annotations

import argparse
import math
import re
from typing import Final
from urllib.parse import urlsplit

from awaitbatch._core.text import one_line

STATUSES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
"""The members of `JobStatus`, which would take longer to import."""

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhd]?)(?:\d+(?:\.\d+)?[smhd])*", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        message = f"not a number: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return value


def some_text(text: str) -> str:
    """What a variable that is not set would not give."""
    if not text.strip():
        message = "must not be empty; is a variable not set?"
        raise argparse.ArgumentTypeError(message)
    return text


def url(text: str) -> str:
    """Where calls can be sent."""
    try:
        address = urlsplit(text)
        is_one = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        # It may have a password.
        message = f"must be an address such as http://127.0.0.1:4566, not '{one_line(text)}'"
        raise argparse.ArgumentTypeError(message)
    return text


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        message = f"must be a whole number of at least 1, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def positive(text: str) -> float:
    """A number above 0."""
    value = number(text)
    if value <= 0:
        message = f"must be more than 0, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        message = f"must be between 0 and 1, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return value


def spread(text: str) -> tuple[float, float]:
    """Two numbers, from 0 on, as LOW:HIGH; or one that is both."""
    low_text, colon, high_text = text.partition(":")
    low = number(low_text)
    high = number(high_text) if colon else low
    if not 0 <= low <= high:
        message = f"must be LOW:HIGH with 0 <= LOW <= HIGH, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return low, high


def statuses(text: str) -> list[str]:
    """States of jobs, as ``RUNNABLE,RUNNING`` in any case; none for ``all``, which is all of them."""
    names = [name.strip().upper() for name in text.split(",")]
    if names == ["ALL"]:
        return []
    if unknown := [name for name in names if name not in STATUSES]:
        message = f"must be among {', '.join(STATUSES)}, or all, not {unknown[0]!r}"
        raise argparse.ArgumentTypeError(message)
    return names


def duration(text: str) -> float:
    """A time in seconds, given as ``90``, ``90s``, ``1.5h`` or ``1d12h``."""
    seconds = 0.0
    if len(text) <= 20 and _DURATION.fullmatch(text):  # noqa: PLR2004
        seconds = sum(float(value) * _UNITS[unit] for value, unit in _PART.findall(text))
    if seconds <= 0:
        message = f"must be a time such as 30s, 10m, 6h or 1d, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return seconds
