"""Members of JSON that came from elsewhere: what is not of the form that is wanted counts as absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_DIGITS: Final = 18


def mapping_in(value: object) -> Mapping[str, Any]:
    """An object; an empty one if it is none."""
    return value if isinstance(value, Mapping) else {}


def items_in(value: object) -> Iterator[dict[str, Any]]:
    """The objects in a list; none if it is no list."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def text_in(value: object) -> str:
    """A text without blanks around it; an empty one if it is none."""
    return value.strip() if isinstance(value, str) else ""


def number_in(value: object) -> int | None:
    """A whole number, or a text that is one; digits without end are none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**_MOST_DIGITS else None
    if isinstance(value, str) and re.fullmatch(rf"-?\d{{1,{_MOST_DIGITS}}}", value, re.ASCII):
        return int(value)
    return None
