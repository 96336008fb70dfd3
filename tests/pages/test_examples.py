"""Every example of the pages and of the docstrings runs; CONTRIBUTING.md says how, and what a page may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import botocore.session
import pytest

from tests.pages.blocks import ROOT, blocks_of_docstrings, blocks_of_page
from tests.pages.consoles import run_console
from tests.pages.running import compiled, run, run_tests

if TYPE_CHECKING:
    from tests.pages.blocks import Block

pytest_plugins = ["pytester"]

PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES: Final = sorted((ROOT / "src").rglob("*.py"))
BLOCKS: Final = [
    *(block for page in PAGES for block in blocks_of_page(page)),
    *(block for module in MODULES for block in blocks_of_docstrings(module)),
]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_an_example_runs(block: Block, pytester: pytest.Pytester) -> None:
    """It does what its page says, and prints what the page shows."""
    if "needs" in block.wishes and block.wishes["needs"] not in operations():
        pytest.skip(f"the installed botocore lacks {block.wishes['needs']}")
    if "not run" in block.wishes:
        assert block.wishes["not run"], "say why"
        compiled(block, block.source)
    elif "integrations" in f"{block.path} {block.source}":
        pytest.skip("tests/airflow/unit/test_examples.py runs it, where Airflow is")
    elif block.is_test:
        run_tests(block, pytester)
    else:
        run(block)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "console"], ids=str)
def test_commands_are_right(block: Block) -> None:
    """The options of our commands exist, and one that shows what it prints prints that."""
    run_console(block)


def operations() -> list[str]:
    """What the installed botocore can ask of AWS Batch."""
    names: list[str] = botocore.session.get_session().get_service_model("batch").operation_names
    return names
