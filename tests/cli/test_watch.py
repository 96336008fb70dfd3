"""``awaitbatch watch`` in virtual time: its lines, its table, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from awaitbatch.cli import _live, _watch
from awaitbatch.cli._exit_codes import ExitCode
from awaitbatch.cli._job_book import JobBook
from awaitbatch.testing import Fault, LifeCycle
from tests.cli.support import Screen, run
from tests.support import ENDED, LONG, make_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.virtual_time

SHORT = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=4)


async def test_lines_on_standard_output() -> None:
    """Without a terminal each change is a line, and it ends when the jobs have, whatever their outcome."""
    server, screen = make_server(), Screen()
    fails = LifeCycle(running=1, outcome="FAILED", exit_code=2)
    ids = [
        server.add_job("a", job_name="A", life_cycle=SHORT),
        server.add_job("b", job_name="B", life_cycle=fails),
    ]
    assert await run(server, screen, "watch", *ids) == ExitCode.DONE
    lines = [line[9:] for line in screen.out]
    assert lines[0] == "A a RUNNING"
    assert "A a SUCCEEDED after 0:04" in lines
    assert "B b FAILED after 0:01: exit 2, Essential container in task exited" in lines
    assert screen.err == []


async def test_lines_of_json() -> None:
    """With --json each change is a line of JSON."""
    server, screen = make_server(), Screen()
    job_id = server.add_job("a", life_cycle=SHORT)
    assert await run(server, screen, "watch", job_id, "nobody", "--json") == ExitCode.NOT_FOUND
    assert [record["status"] for record in screen.records] == ["RUNNING", None, "SUCCEEDED"]


async def test_aws_refuses() -> None:
    """A refusal is said once, and ends it."""
    server, screen = make_server(), Screen()
    server.inject(Fault.ACCESS_DENIED)
    assert await run(server, screen, "watch", "a", "b") == ExitCode.AWS
    assert len(screen.err) == 1
    assert await run(server, screen, "watch", "-q", "queue") == ExitCode.AWS
    assert len(screen.err) == 2
    assert "batch:ListJobs" in screen.err[1]


async def test_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """New jobs of a queue appear in the table, others than those of the name do not, and q ends it."""
    server, screen = make_server(), Screen(is_terminal=True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "20")
    pressed: list[Callable[[], None]] = []

    def on_key(_: str, act: Callable[[], None]) -> AbstractContextManager[bool]:
        pressed.append(act)
        return nullcontext(enter_result=True)

    monkeypatch.setattr(_live, "on_key", on_key)
    server.add_job("old", job_name="align-old", life_cycle=LONG)
    server.add_job("other", job_name="other", life_cycle=LONG)
    server.add_job("done", job_name="align-done", life_cycle=ENDED)
    watching = asyncio.create_task(run(server, screen, "watch", "-q", "queue", "--name", "align-*"))
    await asyncio.sleep(15)
    shown = "\n".join(screen.out)
    assert "align-old" in shown
    assert "q quits" in shown
    assert "other" not in shown
    assert "align-done" not in shown
    server.add_job("new", job_name="align-new", life_cycle=LONG)
    await asyncio.sleep(15)
    assert "2 RUNNING" in "\n".join(screen.out)
    pressed[0]()
    assert await watching == ExitCode.DONE
    last = "\n".join(screen.out[-4:])
    assert "align-new" in last
    assert "q quits" not in last


async def test_old_rows_of_a_queue_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that is watched for days costs no memory for each job that has ended, and all stay counted."""
    books: list[JobBook] = []

    def make_book(*_: object) -> JobBook:
        books.append(JobBook((), 3))
        return books[-1]

    monkeypatch.setattr(_watch, "JobBook", make_book)
    server, screen = make_server(), Screen()
    watching = asyncio.create_task(run(server, screen, "watch", "-q", "queue"))
    for number in range(10):
        server.add_job(f"job-{number}", life_cycle=SHORT)
        await asyncio.sleep(20)
    assert books[0].counts == {"SUCCEEDED": 10}
    assert [row.job_id for row in books[0].in_order()] == ["job-9", "job-8", "job-7"]
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
