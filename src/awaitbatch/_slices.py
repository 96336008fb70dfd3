"""Long work in slices, between which others on the event loop have their turns."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_Item = TypeVar("_Item")

SLICE: Final = 1000
"""Jobs with which to do something small in one turn of the event loop; it should take a few milliseconds."""


async def for_each(items: Collection[_Item], act: Callable[[_Item], object], size: int = SLICE) -> None:
    """Call a function with each item, and let others have their turn after every so many.

    Who is cancelled meanwhile leaves the rest undone. So few as fit into one slice are dealt with in one turn.
    """
    rest = iter(items)
    await _for_all_but_the_last(rest, len(items), act, size)
    for item in rest:
        act(item)


async def for_each_whatever_comes(
    items: Collection[_Item], act: Callable[[_Item], object], size: int = SLICE
) -> None:
    """The same, but who is cancelled meanwhile does the rest without a pause first."""
    rest = iter(items)
    try:
        await _for_all_but_the_last(rest, len(items), act, size)
    finally:
        for item in rest:
            act(item)


async def _for_all_but_the_last(
    items: Iterator[_Item], left: int, act: Callable[[_Item], object], size: int
) -> None:
    """Deal with all slices but the last; no item is taken that is not dealt with."""
    while left > size:
        for item in islice(items, size):
            act(item)
        left -= size
        await anyio.lowlevel.checkpoint()
