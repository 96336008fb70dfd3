"""The examples of the page about Airflow and of docstrings run, where Airflow is."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from awaitbatch.integrations.airflow import AwaitBatchHook, BatchOperator

if TYPE_CHECKING:
    from awaitbatch.testing import BatchServer

PAGE: Final = Path(__file__).parents[3] / "docs" / "howto" / "airflow.md"
BLOCKS: Final[list[str]] = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def run(source: str) -> dict[str, Any]:
    """What an example defines."""
    names: dict[str, Any] = {}
    exec(compile(source, str(PAGE), "exec"), names)  # noqa: S102
    return names


def test_all_are_run() -> None:
    """There are as many as this module runs."""
    assert len(BLOCKS) == 2


def test_the_import_is_what_changes() -> None:
    """The operator of a DAG is ours, with the provider's arguments."""
    transform = run(BLOCKS[0])["transform"]
    assert type(transform) is BatchOperator
    assert (transform.deferrable, transform.poll_interval) == (True, 10)


@pytest.mark.virtual_time
async def test_code_of_ones_own(server: BatchServer) -> None:
    """A coroutine function waits for many jobs by the client of a connection."""
    job_ids = [server.add_job() for _ in range(20)]
    await run(BLOCKS[1])["wait_for_all"](job_ids)
    assert sorted(server.ended()) == sorted(job_ids)


@pytest.mark.virtual_time
async def test_the_docstring_of_the_hook(server: BatchServer) -> None:
    """It waits for a job."""
    docstring = inspect.getdoc(AwaitBatchHook)
    assert docstring is not None
    found = re.search(r"^::\n\n((?: {4}.*\n|\n)+)", docstring, re.MULTILINE)
    assert found is not None
    body = f"async def example(job_id):\n{found[1]}    return job\n"
    names = {"AwaitBatchHook": AwaitBatchHook}
    exec(textwrap.dedent(body), names)  # noqa: S102
    example: Any = names["example"]
    assert (await example(server.add_job()))["status"] == "SUCCEEDED"
