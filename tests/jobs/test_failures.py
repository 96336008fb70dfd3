"""The table by which calls that failed are judged."""

from __future__ import annotations

import pytest

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import TABLE, Row, classify

from .test_classify import http_error


def codes() -> list[tuple[Row, str]]:
    """Each code with the row that has it."""
    return [(row, code) for row in TABLE for code in row.codes]


def test_every_failure_has_a_row() -> None:
    """No meaning of a failure is without a failure."""
    assert {row.kind for row in TABLE} == set(FailureKind)


def test_the_last_row_takes_the_rest() -> None:
    """Something is said of any failure, and only the last row says it of all."""
    assert [BaseException in row.errors for row in TABLE] == [False] * (len(TABLE) - 1) + [True]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
def test_rows_are_fit_to_print(row: Row) -> None:
    """What has happened is a sentence without its stop; the advice is a short clause that follows another."""
    assert row.what[0].isupper() or row.what.startswith(("aiobotocore", "moto"))
    assert not row.advice[0].isupper()
    for text in (row.what, row.advice):
        assert text.isprintable()
        assert not text.endswith(".")
        assert "|" not in text
    assert len(row.advice) <= 180


@pytest.mark.parametrize(("row", "code"), codes(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_code_is_judged_by_its_row(row: Row, code: str) -> None:
    """No code is hidden behind an earlier row."""
    fitting = [other for other in TABLE if code in other.codes]
    assert row in fitting
    own = [other for other in fitting if not other.for_credentials]
    assert len(own) <= 1 or {other.renewed for other in own} == {True, False}
    assert len(fitting) - len(own) <= 1
    # Rows for calls for credentials are narrower, so they come first.
    assert fitting == [other for other in fitting if other.for_credentials] + own


def test_a_status_of_the_server_outweighs_a_code_of_refusal() -> None:
    """A server that fails is not taken at its word: rows of a wait that goes on come before rows that end it."""
    order = [row.kind for row in TABLE if row.statuses and not row.bare]
    assert order == [
        FailureKind.TRANSIENT,
        FailureKind.THROTTLED,
        FailureKind.TRANSIENT,
        FailureKind.PERMANENT,
        FailureKind.PERMANENT,
    ]
    assert http_error(500, "AccessDeniedException").response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert classify(http_error(500, "AccessDeniedException")).kind is FailureKind.TRANSIENT
