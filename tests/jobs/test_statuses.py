"""Which states a wait can be for, and which are refused before anything is sent."""

from __future__ import annotations

import time
from typing import Any

import pytest

from awaitbatch._jobs import JobStatus, parse_statuses


@pytest.mark.parametrize("status", JobStatus)
def test_a_str_is_one_status(status: JobStatus) -> None:
    """A single status is no set of letters, whether it is a str or a `JobStatus`."""
    assert parse_statuses(status) == parse_statuses(str(status)) == {status}
    assert {type(parsed) for parsed in parse_statuses(status)} == {str}


@pytest.mark.parametrize("make", [list, tuple, set, frozenset, iter])
def test_any_collection(make: Any) -> None:
    """Several are given in whatever holds them."""
    assert parse_statuses(make(["RUNNING", "FAILED"])) == {"RUNNING", "FAILED"}


NEAR_MISSES = [
    ("running", "RUNNING"),
    ("Succeeded", "SUCCEEDED"),
    ("SUCEEDED", "SUCCEEDED"),
    ("SUCCESS", "SUCCEEDED"),
    ("RUNING", "RUNNING"),
    (" FAILED ", "FAILED"),
    ("FAIL", "FAILED"),
    ("JobStatus.STARTING", "STARTING"),
    ("COMPLETE", None),
    ("", None),
    ("R", None),
]


@pytest.mark.parametrize(("given", "meant"), NEAR_MISSES)
def test_a_status_that_aws_does_not_have(given: str, meant: str | None) -> None:
    """It is refused; the error shows those that there are, and the one that was probably meant."""
    with pytest.raises(ValueError, match="which is no status of AWS Batch") as caught:
        parse_statuses(["RUNNABLE", given])
    text = str(caught.value)
    assert f"match_status has {given!r}, which" in text
    assert text.endswith(
        "the statuses are SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED"
    )
    assert (f"(did you mean {meant}?)" in text) is (meant is not None)
    assert ("did you mean" in text) is (meant is not None)


def test_the_error_is_of_bearable_length() -> None:
    """A text without end is shown in part, and takes no time."""
    begin = time.perf_counter()
    with pytest.raises(ValueError, match="no status of AWS Batch") as caught:
        parse_statuses("RUNNING" * 1_000_000)
    assert len(str(caught.value)) < 400
    assert time.perf_counter() - begin < 1


def test_a_letter_of_a_str_is_no_status() -> None:
    """What a loop over a str would make of it is refused."""
    with pytest.raises(ValueError, match="'F', which is no status"):
        parse_statuses([*"FAILED"])
