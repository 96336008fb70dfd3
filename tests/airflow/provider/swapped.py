"""A pytest plugin under which the Amazon provider's own tests run against our classes in place of its own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

SWAPPED: Final = {
    "operators": ("BatchOperator", "BatchCreateComputeEnvironmentOperator"),
    "sensors": ("BatchSensor", "BatchComputeEnvironmentSensor", "BatchJobQueueSensor"),
    "triggers": ("BatchJobTrigger", "BatchCreateComputeEnvironmentTrigger"),
}
"""Our names for the provider's, by module."""

EXPECTED_FAILURES: Final[dict[str, str]] = {}
"""Tests that cannot pass, by the end of their ids, with the reason."""


def pytest_configure() -> None:
    """Put our classes into the provider's modules, from where tests take them; ours keep those that they extend."""
    for kind, names in SWAPPED.items():
        ours = importlib.import_module(f"awaitbatch.integrations.airflow.{kind}")
        theirs = importlib.import_module(f"airflow.providers.amazon.aws.{kind}.batch")
        for name in names:
            setattr(theirs, name, getattr(ours, name))


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Expect those to fail that cannot pass, and complain about those that can after all."""
    for item in items:
        for end, reason in EXPECTED_FAILURES.items():
            if item.nodeid.endswith(end):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
