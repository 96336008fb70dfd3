"""Foreign text, made fit for a log line, a representation or an error's text."""

from __future__ import annotations

import functools
from typing import Final

from awaitbatch._core.redaction import mask

MOST_CHARACTERS: Final = 400
"""Of a text that is longer, only so much is shown."""


def one_line(text: str) -> str:
    """Show a text in one line that it cannot break out of, not too long, and without what looks like a secret."""
    text = _cut(mask(text))
    return text if text.isprintable() else _cut(repr(text))


@functools.lru_cache(maxsize=64)
def _shared_line(text: str) -> str:
    return one_line(text)


def shared_line(text: object) -> str | None:
    """What `one_line` makes of a text, as one object for all equal texts as long as there are few.

    A hundred thousand jobs may have the same to say, and each would keep a text of its own. What is no text, or empty,
    is None.
    """
    return _shared_line(text) if isinstance(text, str) and text else None


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def first_line(text: str) -> str:
    """The first line of a text.

    AWS explains a wrong signature with the request that it expected, session token included: but not in the first line.
    """
    return next(iter(text.strip().splitlines()), "").rstrip()


def message_of(error: BaseException) -> str:
    """The first line of what an error says, or the name of its class if it says nothing, fit for a line of text."""
    try:
        text = first_line(str(error))
    except Exception:  # noqa: BLE001
        # An error of the user's own may be unable to say anything.
        text = ""
    return one_line(text or type(error).__name__)


def error_line(error: BaseException) -> str:
    """An error in one line: its class, and what it says."""
    name, message = type(error).__name__, message_of(error)
    return name if message == name else f"{name}: {message}"


def quantity(number: int, noun: str, nouns: str) -> str:
    """A number and what it counts, such as ``1 check`` or ``2 checks``."""
    return f"{number} {noun if number == 1 else nouns}"


def shown(value: object, limit: int = 160) -> str:
    """What somebody gave, for the text of an error, but not too much of it."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001
        # It may be the user's own, or an integer of too many digits.
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= limit else f"{text[:limit]}…"
