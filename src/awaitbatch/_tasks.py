"""Tasks that run in a context of their own, whatever makes the tasks of a loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context

T = TypeVar("T")


def create_task(coroutine: Coroutine[Any, Any, T], *, name: str, context: Context) -> asyncio.Task[T]:
    """Start a task on the running loop, in a copy of a context.

    asyncio would hand ``context=`` to the loop's task factory, and factories that were written before Python 3.11 do
    not accept it.
    """
    return context.run(asyncio.create_task, coroutine, name=name)
