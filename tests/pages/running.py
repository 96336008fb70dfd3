"""Runs an example as a program, as a fragment of one or as a file of tests, and judges what it has printed."""

# ruff: noqa: S102, S307, T201  (examples are code, and some print)

from __future__ import annotations

import ast
import asyncio
import inspect
import math
import re
import sys
import types
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

import awaitbatch
import awaitbatch.instrumentation
import awaitbatch.testing
import awaitbatch.threads
from awaitbatch.testing import scenarios
from tests.pages.stage import Stage, agrees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.blocks import Block

REAL: Final = re.compile(r"\b(?:MotoServer|ServerProcess|threads|uvicorn|uvloop|subprocess)\b")
"""What needs real time: other processes and other loops do not know of a clock that jumps."""

ENDLESS: Final = re.compile(r"\bwatch_queue\(")
"""What goes on until somebody ends it, which the examples leave to their readers."""


# Imported now: what a test with `pytester` is the first to import is forgotten when it ends, and would come twice.
_PUBLIC: Final = {
    name: getattr(module, name)
    for module in (awaitbatch, awaitbatch.instrumentation, awaitbatch.testing)
    for name in module.__all__
}


def run_tests(block: Block, pytester: pytest.Pytester) -> None:
    """Run it as a file of tests, all of which pass, beside the files that the page has had saved."""
    for name, source in block.files.items():
        (pytester.path / name).write_text(source, encoding="utf-8")
    pytester.makepyfile(block.source)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist").parseoutcomes()
    assert outcomes.keys() == {"passed"}, outcomes


def run(block: Block) -> Stage:
    """Run it on a stage, and judge what it has printed."""
    is_real = "real time" in block.wishes or bool(REAL.search(block.source))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # It may write files, and what it finds are those that the page has had saved.
        patch.chdir(folder)
        for name, source in block.files.items():
            Path(name).write_text(source, encoding="utf-8")
        stage = Stage(patch, settings_of(block), real_time=is_real)
        with stage.set_up():
            if block.is_program:
                run_program(block, stage, patch)
            elif block.awaits:
                asyncio.run(await_fragment(block, stage))
            else:
                run_fragment(block, stage)
    judge(block, stage)
    return stage


def settings_of(block: Block) -> dict[str, Any]:
    """The arguments of its server that the page asks for."""
    settings: dict[str, Any] = eval(f"dict({block.wishes.get('server', '')})", names())
    return settings


def run_program(block: Block, stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Run it as Python runs a file."""
    main = types.ModuleType("__main__")
    ours = {**names(), "server": stage.server}
    with stage.server_elsewhere():
        patch.setitem(sys.modules, "__main__", main)
        exec(compiled(block, block.wishes.get("before", "")), ours)
        with expected_error(block):
            exec(compiled(block, block.source), main.__dict__)
        exec(compiled(block, block.wishes.get("after", "")), {**main.__dict__, **ours})


async def await_fragment(block: Block, stage: Stage) -> None:
    """Run it as the body of a coroutine function that has a client and jobs."""
    async with stage.server_here(), awaitbatch.BatchClient() as client:
        there = {**names(), **defined(block), **jobs(stage), "client": client}
        with expected_error(block):
            for source in parts(block):
                with anyio.move_on_after(60 if ENDLESS.search(source) else math.inf):
                    awaitable = eval(compiled(block, source), there)
                    if inspect.isawaitable(awaitable):
                        await awaitable


def run_fragment(block: Block, stage: Stage) -> None:
    """Run it as the body of a function that has jobs and, if it asks for it, a client that blocks."""
    with stage.server_elsewhere(), ExitStack() as resources:
        there = {**names(), **defined(block), **jobs(stage)}
        if re.search(r"\bclient\b", block.source):
            there["client"] = resources.enter_context(awaitbatch.threads.shared())
        with expected_error(block):
            for source in parts(block):
                exec(compiled(block, source), there)


def parts(block: Block) -> tuple[str, str, str]:
    """What runs, one after the other."""
    return block.wishes.get("before", ""), block.source, block.wishes.get("after", "")


def compiled(block: Block, source: str) -> types.CodeType:
    """Code whose traceback names the lines of the page."""
    lines = "\n" * (block.line - 1)
    code: types.CodeType = compile(lines + source, block.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


def names() -> dict[str, Any]:
    """The modules that a fragment has imported, and their public names."""
    return {**_PUBLIC, "asyncio": asyncio, "awaitbatch": awaitbatch, "scenarios": scenarios}


def defined(block: Block) -> dict[str, Any]:
    """The imports, functions and classes of the blocks before it on the page."""
    there: dict[str, Any] = names()
    exec(compile(block.definitions, block.path, "exec"), there)
    return there


def jobs(stage: Stage) -> dict[str, Any]:
    """A server with three jobs, and requests for three more."""
    job_ids = [stage.server.add_job(job_name=f"job-{number}", job_queue="my-queue") for number in range(3)]
    request = {"jobQueue": "my-queue", "jobDefinition": "my-definition"}
    return {
        "server": stage.server,
        "queue": "my-queue",
        "job_ids": job_ids,
        "job_id": job_ids[0],
        "job": {"jobId": job_ids[0], "jobName": "job-0"},
        "requests": [{"jobName": f"job-{number}", **request} for number in range(3)],
    }


@contextmanager
def expected_error(block: Block) -> Iterator[None]:
    """Want the error that the page speaks of, and print it."""
    if "raises" not in block.wishes:
        yield
        return
    with pytest.raises(Exception) as caught:  # noqa: PT011
        yield
    name, wanted = caught.type.__name__, block.wishes["raises"]
    assert name == wanted, f"{name} is no {wanted}"
    print(caught.value)


def judge(block: Block, stage: Stage) -> None:
    """Compare what it has printed with what the page says."""
    printed = stage.printed.getvalue()
    if block.output is not None:
        assert agrees(block.output, printed), f"it printed:\n{printed}\nthe page shows:\n{block.output}"
    else:
        complained = stage.complained.getvalue()
        assert not complained, f"it complained:\n{complained}"
    if "prints" in block.wishes:
        wanted = block.wishes["prints"]
        assert wanted in printed, f"it printed:\n{printed}\nthe page says that it prints: {wanted}"
