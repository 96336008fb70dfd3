"""The Amazon provider's own tests for AWS Batch, run against our classes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

PROVIDER: Final = "apache-airflow-providers-amazon"
FILES: Final = (
    *("triggers/test_batch", "triggers/test_base", "operators/test_batch", "sensors/test_batch"),
    *("hooks/test_batch_client", "hooks/test_batch_waiters", "waiters/test_batch"),
)
NEEDS_MOTO: Final = "hooks/test_batch_waiters"
"""It tests nothing that we replace."""
FEWEST: Final = 100
ROOT: Final = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the tests of the provider that is installed, from its source distribution."""
    directory = tmp_path_factory.mktemp("provider")
    wanted = f"{PROVIDER}=={version(PROVIDER)}"
    options = ("--no-deps", "--no-binary", PROVIDER, "--dest", directory)
    subprocess.run((sys.executable, "-m", "pip", "download", "--quiet", *options, wanted), check=True)
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(directory, filter="data")
    # Above it is a conftest.py that needs Airflow's own development tools.
    (tests,) = directory.glob("*/tests/unit")
    tests.rename(directory / "unit")
    return directory


def test_the_providers_tests_pass(sources: Path, tmp_path: Path) -> None:
    """With our triggers, operators and sensors in place of its own, but for those that `swapped` names."""
    files = [name for name in FILES if name != NEEDS_MOTO or find_spec("moto")]
    paths = [f"unit/amazon/aws/{name}.py" for name in files]
    options = ("-c", os.devnull, "--rootdir", sources, "-p", "tests.airflow.provider.swapped", "-q", "-rfE")
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, sources))),
    }
    run = subprocess.run(
        (sys.executable, "-m", "pytest", *options, *paths),
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= FEWEST
    # Shown by `pytest -rP`.
    sys.stdout.write(run.stdout.splitlines()[-1])
