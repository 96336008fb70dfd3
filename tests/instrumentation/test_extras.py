"""The observers that need an extra: imported when they are wanted, and missed with advice."""

from __future__ import annotations

import sys

import pytest

from awaitbatch import instrumentation
from tests.imports import imported_by

EXTRAS = [
    ("OpenTelemetryObserver", "_opentelemetry", "opentelemetry", "otel"),
    ("PrometheusObserver", "_prometheus", "prometheus_client", "prometheus"),
]


@pytest.mark.parametrize(("name", "module", "package", "extra"), EXTRAS)
def test_a_missing_extra(
    name: str, module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to install."""
    monkeypatch.delitem(vars(instrumentation), name, raising=False)
    monkeypatch.delitem(sys.modules, f"awaitbatch.instrumentation.{module}", raising=False)
    monkeypatch.delattr(instrumentation, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    advice = rf"^{name} needs {package}: pip install 'awaitbatch\[{extra}\]'$"
    with pytest.raises(ModuleNotFoundError, match=advice):
        # As `from awaitbatch.instrumentation import …` does.
        __import__("awaitbatch.instrumentation", fromlist=[name])
    with pytest.raises(ModuleNotFoundError, match=advice):
        getattr(instrumentation, name)


def test_what_is_missing_otherwise_is_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is shown as it is."""
    monkeypatch.delitem(vars(instrumentation), "PrometheusObserver", raising=False)
    monkeypatch.delitem(sys.modules, "awaitbatch.instrumentation._prometheus", raising=False)
    monkeypatch.delattr(instrumentation, "_prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "awaitbatch.instrumentation._measurements", None)
    with pytest.raises(ModuleNotFoundError, match="_measurements"):
        _ = instrumentation.PrometheusObserver


def test_an_unknown_name() -> None:
    """It is refused as Python refuses it."""
    with pytest.raises(
        AttributeError, match=r"module 'awaitbatch.instrumentation' has no attribute 'Nothing'"
    ):
        _ = instrumentation.Nothing  # type: ignore[attr-defined]


def test_nobody_pays_for_what_he_does_not_use() -> None:
    """A client without them loads neither package."""
    imported = imported_by("-c", "import awaitbatch.instrumentation; from awaitbatch import BatchClient")
    assert not imported & {"opentelemetry", "prometheus_client"}
    assert set(dir(instrumentation)) >= {"OpenTelemetryObserver", "PrometheusObserver"}
