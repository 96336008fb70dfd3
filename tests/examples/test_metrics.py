"""The service with metrics, its scrape and its alerts; CI must have promtool, which tests the rules."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from typing import Final

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from awaitbatch.instrumentation import PrometheusObserver
from awaitbatch.instrumentation._measurements import INSTRUMENTS
from awaitbatch.testing import BatchServer, LifeCycle
from tests.examples.support import EXAMPLES, line_with, running

FILES: Final = EXAMPLES / "metrics"
RULES: Final = (FILES / "alerts.yml").read_text(encoding="utf-8")
ALERTS: Final = set(re.findall(r"alert: (\w+)", RULES))
PROMTOOL: Final = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None and "CI" not in os.environ, reason="no promtool here")


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("--pause=0.1", 'awaitbatch_wait_ends_total{aws_batch_job_status="SUCCEEDED"'),
        # Its jobs take a while.
        ("--server", 'awaitbatch_waits{kind="poll"} '),
    ],
)
async def test_the_service_shows_its_metrics(argument: str, shown: str) -> None:
    """A scrape has what its jobs have done, or do, and Ctrl-C ends it."""
    life = LifeCycle(submitted=0, pending=0, runnable=0.2, starting=0.1, running=0.2)
    async with BatchServer(default_life_cycle=life) as server:
        async with running("metrics/service.py", "--port=0", argument, server=server) as process:
            url = (await line_with(process.stderr, "metrics at")).partition("metrics at ")[2].strip()
            count, text = 0.0, ""
            async with aiohttp.ClientSession() as session:
                while not count:
                    async with session.get(url) as answer:
                        text = await answer.text()
                    found = [line for line in text.splitlines() if line.startswith(shown)]
                    count = sum(float(line.rpartition(" ")[2]) for line in found)
            assert "# HELP awaitbatch_detection_lag_seconds From the end of a job" in text
            process.send_signal(signal.SIGINT)
            _, errors = await process.communicate()
            assert process.returncode == 0
            # A job that was being submitted at that moment is told of.
            assert [line for line in errors.splitlines() if b"its submitter left" not in line] == []
        assert bool(server.ended()) == (argument != "--server")


def test_the_alerts_are_about_metrics_that_there_are() -> None:
    """Each metric in the rules is in what a scrape shows, and its labels are in the table of the observer."""
    registry = CollectorRegistry()
    PrometheusObserver(registry)
    families = {family.name: family for family in registry.collect()}
    table = {one.prometheus_name: one for one in INSTRUMENTS}
    found = re.findall(r"\b(awaitbatch_\w+)(?:\{([^}]*)\})?", RULES)
    assert len(found) > len(ALERTS)
    for name, labels in found:
        family = re.sub(r"_(count|sum|bucket|total)$", "", name)
        is_histogram = families[family].type == "histogram"
        assert is_histogram == name.endswith(("_count", "_bucket")), name
        known = {label.replace(".", "_") for label in table[family].attributes} | {"le"}
        assert set(re.findall(r"(\w+)=", labels)) <= known
    bounds = {sample.labels.get("le") for sample in families["awaitbatch_job_state_seconds"].samples}
    assert "1800.0" in bounds


@needs_promtool
@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")]
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    """Prometheus takes the files, and each alert fires when it should, and not otherwise."""
    assert PROMTOOL is not None, "CI installs it"
    process = subprocess.run((PROMTOOL, *arguments), check=False, cwd=FILES, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr


def test_every_alert_is_tested() -> None:
    """None is only checked for its syntax."""
    tests = (FILES / "alerts_test.yml").read_text(encoding="utf-8")
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", tests)
    silent = re.findall(r"alertname: (\w+), exp_alerts: \[\]", tests)
    assert set(fired) == set(silent) == ALERTS
    assert len(ALERTS) == 5
