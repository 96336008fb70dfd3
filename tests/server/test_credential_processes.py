"""The process of a ``credential_process`` is gone when those who need its credentials are."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.session import AioSession

from awaitbatch import BatchClient
from tests.support import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[int]]]:
    """Have a profile whose process hangs, but for a first time if there are credentials; the processes so far."""
    pids = tmp_path / "pids"
    (tmp_path / "process.sh").write_text(
        f'cd "{tmp_path}"\nif [ -e first ]; then mv first given; exec cat given; fi\necho $$ >> pids\nexec sleep 60\n'
    )
    process = f"credential_process = sh {tmp_path}/process.sh"
    chain = "[profile chain]\nrole_arn = arn:aws:iam::123456789012:role/batch\nsource_profile = default"
    (tmp_path / "config").write_text(f"[default]\nregion = us-east-1\n{process}\n{chain}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    def found() -> list[int]:
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    yield found
    for pid in found():
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


def runs(pid: int) -> bool:
    """Whether there is such a process, if only as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("kind", ["own", "session", "role", "factory"])
async def test_opening_that_is_given_up(begun: Callable[[], list[int]], kind: str) -> None:
    """Whoever starts the process, a cancelled `open` leaves none."""
    clients: dict[str, Callable[[], BatchClient]] = {
        "own": BatchClient,
        "session": lambda: BatchClient(session=AioSession()),
        "role": lambda: BatchClient(profile_name="chain"),
        "factory": lambda: BatchClient.shared(
            key="processes", factory=lambda: AioSession().create_client("batch"), linger=0
        ),
    }
    opening = asyncio.create_task(clients[kind]().open())
    await until(lambda: begun() != [])
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: not any(map(runs, begun())))
    assert len(begun()) == 1


async def test_closing_while_credentials_are_renewed(begun: Callable[[], list[int]], tmp_path: Path) -> None:
    """Nor does closing a client whose credentials are due."""
    expiry = datetime.now(UTC) + timedelta(minutes=1)
    keys = {"AccessKeyId": "a", "SecretAccessKey": "b"}
    given: dict[str, Any] = {"Version": 1, **keys, "Expiration": expiry.isoformat()}
    (tmp_path / "first").write_text(json.dumps(given))
    async with BatchClient(endpoint_url="http://127.0.0.1:1") as client:
        describing = asyncio.create_task(client.describe("a-job"))
        await until(lambda: begun() != [])
    assert not any(map(runs, begun()))
    await asyncio.wait({describing})
    assert describing.exception() is not None
