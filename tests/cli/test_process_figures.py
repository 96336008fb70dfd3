"""The process of the demo on a system that does not count memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from awaitbatch.cli._process_figures import peak_memory

# As on Windows. What starts with `python -m` would run if it were imported.
WITHOUT_RESOURCE = """
import importlib, pkgutil, sys
sys.modules["resource"] = None
import awaitbatch
names = [module.name for module in pkgutil.walk_packages(awaitbatch.__path__, "awaitbatch.")]
for name in names:
    # What belongs to another program needs that.
    if not name.endswith(".__main__") and ".integrations." not in name:
        importlib.import_module(name)
from awaitbatch.cli._process_figures import peak_memory
print(len(names), peak_memory())
"""


def test_without_the_module_resource() -> None:
    """Where Python has no `resource`, every module of the package can be imported, and no memory is counted."""
    command = (sys.executable, "-c", WITHOUT_RESOURCE)
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    names, peak = process.stdout.split()
    assert int(names) > 50
    assert peak == "None"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count it")
def test_peak_memory() -> None:
    """Elsewhere it is counted, in bytes: a Python that runs tests takes tens of megabytes."""
    peak = peak_memory()
    assert peak is not None
    assert 1e7 < peak < 1e12
