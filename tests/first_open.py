"""A process that opens its first client: ``python -m tests.first_open own|shared|lent``.

It writes how many seconds of CPU time the longest turn of the loop took meanwhile, and which modules were imported, as
JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aiobotocore.session import AioSession

from awaitbatch import BatchClient

from .callback_times import callback_times

ARGUMENTS: dict[str, Any] = {
    "region_name": "us-east-1",
    "endpoint_url": "http://127.0.0.1:9",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


async def open_first(kind: str) -> dict[str, object]:
    """Open and close a client of this kind."""
    async with AsyncExitStack() as lender:
        if kind == "lent":
            lent = await lender.enter_async_context(AioSession().create_client("batch", **ARGUMENTS))
            make = partial(BatchClient, client=lent)
        elif kind == "shared":
            make = partial(BatchClient.shared, **ARGUMENTS, linger=0)
        else:
            make = partial(BatchClient, **ARGUMENTS)
        before = set(sys.modules)
        with callback_times(asyncio.get_running_loop()) as times:

            async def use() -> None:
                async with make():
                    pass

            # In a turn of its own, or its first step would not be measured.
            await asyncio.create_task(use())
        return {
            "turn": times.quantile(1),
            "longest": times.longest,
            "imported": sorted(set(sys.modules) - before),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(open_first(sys.argv[1]))))  # noqa: T201
