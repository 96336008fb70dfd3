"""How a triggerer asks Airflow for something without standing still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from collections.abc import Callable


async def look_up(read: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    """Have a function of Airflow's that blocks called in a thread.

    In the triggerer of Airflow 3.0 and 3.1 such a function has the event loop send a message. From a thread of
    `asyncio.to_thread` it does not find the loop, and fails.
    """
    return await sync_to_async(read, thread_sensitive=False)(*arguments)
