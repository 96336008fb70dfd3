"""What runs the examples can fail, and says what is wrong where."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.pages.blocks import ROOT, Block, blocks_of_docstrings, blocks_of_page
from tests.pages.consoles import run_console
from tests.pages.running import run, run_tests
from tests.pages.stage import agrees

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

PROGRAM = """\
import asyncio
import time
from awaitbatch import BatchClient

async def main():
    async with BatchClient() as client:
        begin = time.monotonic()
        job = await client.submit_job(jobName="a", jobQueue="q", jobDefinition="d")
        job = await client.wait_for_job(job["jobId"])
        await asyncio.sleep(3000)
        print(job["status"], time.monotonic() - begin > 3000)

asyncio.run(main())
"""


def block(source: str, output: str | None = None, **wishes: str) -> Block:
    """An example of a page."""
    return Block("page.md", 7, "python", source, wishes, output)


def test_a_program_waits_in_virtual_time() -> None:
    """It calls the server that the environment names, and an hour of it takes no hour."""
    begin = time.monotonic()
    stage = run(block(PROGRAM, output="SUCCEEDED True"))
    assert stage.server.statistics.calls["SubmitJob"] == 1
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("example", "match"),
    [
        (block("import sys\nprint('one')", output="two"), "it printed:\none"),
        (block("import sys\nprint('one', file=sys.stderr)"), "it complained:\none"),
        (block("import sys\nprint('one')", prints="two"), "the page says that it prints: two"),
        (block("print(await client.describe(job_id))", raises="ValueError"), "DID NOT RAISE"),
        (block("raise KeyError(job_id)", raises="ValueError"), "KeyError is no ValueError"),
        (
            block("assert job_id in job_ids", after="assert server.statistics.calls['SubmitJob'], 'no call'"),
            "no call",
        ),
    ],
)
def test_an_example_that_does_something_else_fails(example: Block, match: str) -> None:
    """Other output, complaints, no error, another error and a false claim are failures."""
    with pytest.raises((AssertionError, pytest.fail.Exception), match=match):
        run(example)


def test_an_example_that_never_ends_fails() -> None:
    """It is given two hours of virtual time."""
    with pytest.raises(Exception, match="still waits after 7200 s"):
        run(block("while True:\n    await asyncio.sleep(3601)"))


def test_the_traceback_names_the_line_of_the_page() -> None:
    """So that whoever reads it finds the line."""
    with pytest.raises(NameError) as caught:
        run(block("import sys\nsys.nonsense = nonsense"))
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == ("page.md", 7)


def test_a_page_with_a_test_that_fails_fails(pytester: pytest.Pytester) -> None:
    """Tests on a page are run as a file of tests."""
    with pytest.raises(AssertionError):
        run_tests(block("def test_a():\n    assert 0\ndef test_b():\n    pass"), pytester)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("$ awaitbatch --version\nawaitbatch 7\n", r"awaitbatch --version printed:\nawaitbatch \d"),
        ("$ awaitbatch --version\nawaitbatch …\n$ echo $?\n3\n", "the exit code is 0"),
        ("$ aws batch list-jobs | awaitbatch --wersion", "no such command line: awaitbatch --wersion"),
        ("$ AWS_REGION=x make tests  # all of them", "make has no target tests"),
    ],
)
def test_a_command_that_does_something_else_fails(source: str, match: str) -> None:
    """Options and targets that are not there, other output, and another exit code are failures."""
    with pytest.raises(AssertionError, match=match):
        run_console(Block("page.md", 7, "console", source))


def test_a_command_that_does_what_the_page_says_passes() -> None:
    """With its output, with an exit code, after a pipe, and with a line that goes on; and it has jobs to wait for."""
    source = "$ awaitbatch \\\n    --version\nawaitbatch …\n$ echo $?\n0\n$ true | awaitbatch --help > x\n$ make docs\n"
    run_console(Block("page.md", 7, "console", source))
    source = (
        "$ awaitbatch wait $JOB_IDS\n…\n12:00:00 3 of 3 ended: 3 SUCCEEDED; 0:03, …\n$ awaitbatch wait a!\n…not an…\n"
        "$ echo $?\n2\n"
    )
    run_console(Block("page.md", 7, "console", source))


def test_blocks_of_a_page_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their lines, what their pages want, and what they print; also in the item of a list."""
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- before:\nserver.heal()\n-->\n<!-- raises: KeyError -->\n\n```python\nimport a\n```\n\n"
        "It prints:\n\n```text\none\n```\n\n- Item\n\n  ```python\n  await two()\n  ```\n\n```ini\nx\n```\n"
    )
    monkeypatch.setattr("tests.pages.blocks.ROOT", tmp_path)
    first, second = blocks_of_page(page)
    assert (str(first), first.source, first.output) == ("page.md:9", "import a\n", "one\n")
    assert first.wishes == {"before": "server.heal()", "raises": "KeyError"}
    assert (first.is_program, second.is_program, second.awaits) == (True, False, True)
    assert (str(second), second.source, second.wishes, second.earlier) == (
        "page.md:21",
        "await two()\n",
        {},
        ("import a\n",),
    )
    page.write_text("<!-- rises: KeyError -->\n```python\nx\n```\n")
    with pytest.raises(ValueError, match=r"page\.md: .*'rises'"):
        list(blocks_of_page(page))


def test_files_that_readers_save_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    """For the programs, fragments and tests after them, each of which runs in a folder of its own."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- file: mine.py -->\n\n```python\nimport sys\nTWO = 2\n```\n\n"
        "```python\nimport pathlib\nassert 'TWO' in pathlib.Path('mine.py').read_text()\n"
        "pathlib.Path('litter').touch()\n```\n\n"
        "```python\nfrom mine import TWO\n\ndef test_two():\n    assert TWO == 2\n```\n"
    )
    monkeypatch.setattr("tests.pages.blocks.ROOT", tmp_path)
    saved, program, tests = blocks_of_page(page)
    assert saved.files == {}
    run(program)
    assert not (pytester.path / "litter").exists()
    run_tests(tests, pytester)


def test_literal_blocks_of_docstrings_are_found() -> None:
    """Each with its line."""
    path = ROOT / "src" / "awaitbatch" / "_client.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    found = list(blocks_of_docstrings(path))
    assert len(found) >= 9
    assert all(lines[one.line - 1].strip() == one.source.splitlines()[0] for one in found)


@pytest.mark.parametrize(
    ("shown", "printed", "does"),
    [
        ("two\nlines", "two lines\n", True),
        ("3 jobs", "4 jobs", False),
        ("in 3.2 s", "in 14 s", True),
        ("at 12:00:01", "at 12:31:59", True),
        ("begin … end", "begin, and so on, end", True),
        ("begin …", "the begin", False),
        (
            "c37cfe45-0000-4000-8000-000000000000 RUNNING",
            "aaaaaaaa-1111-4222-8333-444444444444 RUNNING",
            True,
        ),
        ("c37cfe45 RUNNING", "aaaaaaa1 RUNNING", True),
        ("deadbeef", "aaaaaaaa", False),
        ("a.c", "abc", False),
    ],
)
def test_what_agrees(shown: str, printed: str, *, does: bool) -> None:
    """What differs from run to run may differ, and nothing else."""
    assert agrees(shown, printed) is does
