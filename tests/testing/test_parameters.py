"""No parameter of an operation is ignored: each member of botocore's request shapes is modelled or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from awaitbatch.testing._model.requests import OPERATIONS
from awaitbatch.testing._model.service_error import ServiceError
from tests.testing.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = ServiceModel(Loader().load_service_model("batch", "service-2"))

REFUSED = {
    "SubmitJob": {
        "schedulingPriorityOverride",
        "containerOverrides.vcpus",
        "containerOverrides.memory",
        "containerOverrides.instanceType",
        "nodeOverrides.nodePropertyOverrides",
        "retryStrategy.evaluateOnExit",
        "eksPropertiesOverride",
        "ecsPropertiesOverride",
        "consumableResourcePropertiesOverride",
    },
}
"""What AWS Batch knows and the model does not, as docs/reference/batch-server.md has it."""


def paths(shape: Any, prefix: str = "", depth: int = 2) -> Iterator[tuple[str, Any]]:
    """The members of a shape, and those of its members."""
    for name, member in shape.members.items():
        yield prefix + name, member
        inner = member.member if member.type_name == "list" else member
        if inner.type_name == "structure" and depth > 1:
            infix = "[]." if member.type_name == "list" else "."
            yield from paths(inner, prefix + name + infix, depth - 1)


def request_with(path: str, shape: Any) -> dict[str, Any]:
    """A request with that member alone."""
    value: Any = {
        "string": "x",
        "integer": 2,
        "boolean": True,
        "structure": {},
        "list": [],
        "map": {},
    }[shape.type_name]
    for name in reversed(path.split(".")):
        value = {name.removesuffix("[]"): [value] if name.endswith("[]") else value}
    assert isinstance(value, dict)
    return value


def unknown_parameter(operation: str, request: dict[str, Any]) -> str | None:
    """The parameter by whose name a request is refused as not modelled, if it is."""
    try:
        Service().ask(operation, 0, **request)
    except ServiceError as error:
        found = re.search(rf"does not know the parameter (\S+) of {operation}", error.message)
        return found and re.sub(r"\[[0-9]+\]", "[]", found[1])
    return None


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name in MODEL.operation_names])
def test_each_parameter_is_modelled_or_refused(operation: str) -> None:
    """What the model does not know is refused by its name, whatever botocore would let pass."""
    refused = set()
    for path, shape in paths(MODEL.operation_model(operation).input_shape):
        found = unknown_parameter(operation, request_with(path, shape))
        # The structure around it may be unknown as a whole.
        assert found is None or path == found or path.startswith(f"{found}.")
        refused |= {found} - {None}
    assert refused == REFUSED.get(operation, set())


def test_what_nobody_knows_is_refused() -> None:
    """A misspelt parameter is refused as well, wherever it is."""
    assert unknown_parameter("SubmitJob", {"jobNam": "x"}) == "jobNam"
    assert unknown_parameter("SubmitJob", {"dependsOn": [{"jobId": "x"}, {"id": "x"}]}) == "dependsOn[].id"
    assert Service().refusal("SubmitJob", jobNam="x") == (400, "ClientException")


def test_retries_and_timeouts_of_a_submission_hold() -> None:
    """Its retryStrategy says how often a job that fails is tried, and timeout ends an attempt that runs too long."""
    service = Service()
    fails = {"awaitbatch.outcome": "FAILED"}
    job_id = service.submit(parameters=fails, retryStrategy={"attempts": 3})
    job = service.see(job_id, 500)
    assert (len(job["attempts"]), job["retryStrategy"]["attempts"]) == (3, 3)
    assert len(service.see(service.submit(retryStrategy={"attempts": 3}), 500)["attempts"]) == 1
    slow = {"awaitbatch.running": "100", "awaitbatch.attempts": "2"}
    job_id = service.submit(parameters=slow, timeout={"attemptDurationSeconds": 60}, propagateTags=False)
    assert service.statuses(99, job_id) == ["RUNNING"]
    job = service.see(job_id, 100)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert (job["timeout"], job["propagateTags"]) == ({"attemptDurationSeconds": 60}, False)
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [137]


def test_the_page_lists_what_is_refused() -> None:
    """docs/reference/batch-server.md has a row for each operation, and names each parameter of AWS that is refused."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "batch-server.md").read_text(encoding="utf-8")
    table = page.partition("## What is modelled")[2].partition("\n## ")[0]
    named = {name for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in cell.split(", ")}
    assert set(OPERATIONS) <= named
    for path in set().union(*REFUSED.values()):
        assert f"`{path}`" in table
