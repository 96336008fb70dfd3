"""Adapters to other programs cost nothing where those are not, and say what they need."""

from __future__ import annotations

import subprocess
import sys


def run(script: str) -> str:
    """What a program prints."""
    command = (sys.executable, "-W", "error", "-c", script)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_awaitbatch_imports_no_host() -> None:
    """All that it has can be used without Airflow being loaded."""
    script = (
        "import sys, awaitbatch; [getattr(awaitbatch, name) for name in awaitbatch.__all__]; "
        "print([name for name in sys.modules if name.partition('.')[0] == 'airflow'])"
    )
    assert run(script) == "[]\n"


def test_airflow_is_missing() -> None:
    """The error says what to install."""
    script = (
        "import sys\n"
        "sys.modules['airflow'] = None\n"
        "try:\n"
        "    import awaitbatch.integrations.airflow\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    output = run(script)
    assert "pip install 'awaitbatch[airflow]'" in output
    assert "Amazon provider 9.36 or newer" in output


def test_a_provider_that_is_too_old() -> None:
    """It is named, and what to install."""
    script = (
        "import sys, types\n"
        "for name in ('airflow', 'airflow.providers', 'airflow.providers.amazon'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['airflow.providers.amazon'].__version__ = '9.35.1'\n"
        "try:\n"
        "    import awaitbatch.integrations.airflow\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    output = run(script)
    assert "9.35.1" in output
    assert "pip install 'awaitbatch[airflow]'" in output
