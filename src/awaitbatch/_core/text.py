"""Foreign text, made fit for a log line, a representation or an error's text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MOST_CHARACTERS: Final = 400
"""Of a text that is longer, only so much is shown."""

_USER_INFO: Final = re.compile(r"//[^/\s]*@")


# One object for all equal texts, as long as there are few: the states of a hundred thousand jobs would take megabytes.
# `sys.intern` would keep whatever anybody sends, in some versions of Python for good.
interned = lru_cache(maxsize=64)(str)


def one_line(text: str) -> str:
    """Show a text in one line that it cannot break out of, not too long, and without the passwords of URLs."""
    text = _USER_INFO.sub("//***@", text)
    text = _cut(text)
    return text if text.isprintable() else _cut(repr(text))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def first_line(text: str) -> str:
    """The first line of a text.

    AWS explains a wrong signature with the request that it expected, session token included: but not in the first line.
    """
    return next(iter(text.strip().splitlines()), "").rstrip()


def text_of(error: BaseException) -> str:
    """The first line of what an error says, or the name of its class if it says nothing."""
    try:
        text = first_line(str(error))
    except Exception:  # noqa: BLE001
        # An error of the user's own may be unable to say anything.
        text = ""
    return text or type(error).__name__


def error_line(error: BaseException) -> str:
    """An error in one line: its class, and what it says."""
    name, text = type(error).__name__, text_of(error)
    return one_line(name if text == name else f"{name}: {text}")


def quantity(number: int, noun: str, nouns: str) -> str:
    """A number and what it counts, such as ``1 check`` or ``2 checks``."""
    return f"{number} {noun if number == 1 else nouns}"
