"""The process of a ``credential_process``, ended when nobody waits for it any more."""

from __future__ import annotations

import traceback
from asyncio.subprocess import Process
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
from aiobotocore.credentials import AioProcessProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS: Final = 1.0
"""How long a killed process may take to be gone."""


async def end_processes(given_up: BaseException) -> None:
    """Kill what aiobotocore was waiting for, and leaves behind, when it was cancelled.

    Args:
        given_up: The cancellation, as it comes out of aiobotocore. Only its traceback knows the process: the provider
            that has started it may be one of many, in a session of the user's.
    """
    for process in _processes_in(given_up):
        # Its pipes too: a grandchild may hold their other ends.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.move_on_after(_SECONDS, shield=True):
            await process.wait()


def _processes_in(error: BaseException) -> Iterator[Process]:
    retrieve = getattr(AioProcessProvider, "_retrieve_credentials_using", None)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is getattr(retrieve, "__code__", None):
            yield from (value for value in frame.f_locals.values() if isinstance(value, Process))
