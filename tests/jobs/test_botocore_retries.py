"""Whatever the installed botocore would try again ends no wait either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.loaders import Loader
from botocore.retries.special import RetryIDPCommunicationError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from botocore.retryhandler import EXCEPTION_MAP

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import classify

from .test_classify import http_error

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRIED: Final = {FailureKind.THROTTLED, FailureKind.TRANSIENT}


def legacy_policies() -> Iterator[tuple[str, dict[str, Any]]]:
    """When the retry mode "legacy" tries calls again of AWS Batch, and of services that give credentials."""
    data = Loader().load_data("_retry")
    for service in ("__default__", "batch", "sts", "sso", "sso-oidc"):
        for operation in data["retry"].get(service, {}).values():
            if isinstance(operation, dict):
                for name, policy in operation.get("policies", operation).items():
                    if isinstance(policy, dict):
                        reference = policy.get("$ref")
                        when = data["definitions"][reference] if reference else policy
                        if "applies_when" in when:
                            yield f"{service} {name}", when["applies_when"]


LEGACY: Final = dict(legacy_policies())


@pytest.mark.parametrize("code", ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
def test_throttling_codes(code: str) -> None:
    """What botocore takes for throttling is throttling; if it concerns credentials, it passes."""
    assert classify(http_error(400, code)).kind is FailureKind.THROTTLED
    assert classify(http_error(400, code, operation="AssumeRole")).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("code", TransientRetryableChecker._TRANSIENT_ERROR_CODES)
def test_transient_codes(code: str) -> None:
    """The other codes pass too; one of them botocore also takes for throttling."""
    is_throttle = code in ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    kind = FailureKind.THROTTLED if is_throttle else FailureKind.TRANSIENT
    assert classify(http_error(400, code)).kind is kind


@pytest.mark.parametrize("code", [None, "ClientException", "AccessDeniedException"])
@pytest.mark.parametrize("status", TransientRetryableChecker._TRANSIENT_STATUS_CODES)
def test_transient_statuses(status: int, code: str | None) -> None:
    """A status of trouble passes, whatever the code."""
    assert classify(http_error(status, code)).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    sorted(
        {
            *TransientRetryableChecker._TRANSIENT_EXCEPTION_CLS,
            *(e for all_ in EXCEPTION_MAP.values() for e in all_),
        },
        key=repr,
    ),
    ids=lambda error: error.__name__,
)
def test_transient_errors(error: type[Exception]) -> None:
    """Lost connections pass."""
    options: dict[str, Any] = {"error": OSError("lost"), "endpoint_url": "https://batch.example"}
    # aiobotocore adds errors of aiohttp's to botocore's own.
    lost = error(**options) if issubclass(error, BotoCoreError) else error()
    assert classify(lost).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_policies(name: str) -> None:
    """What botocore's oldest mode tries again passes."""
    when = LEGACY[name]
    if "socket_errors" in when:
        assert set(when["socket_errors"]) <= set(EXCEPTION_MAP)
        return
    answer = when["response"]
    code, status = answer.get("service_error_code"), answer.get("http_status_code", 400)
    if "crc32body" not in answer:
        is_ours = name.partition(" ")[0] in {"__default__", "batch"}
        operation = "DescribeJobs" if is_ours else "AssumeRole"
        assert classify(http_error(status, code, operation=operation)).kind in RETRIED


def test_there_are_legacy_policies() -> None:
    """They were found, so the test above is not empty."""
    assert {
        "__default__ throttling",
        "__default__ limit_exceeded",
        "__default__ general_socket_errors",
    } <= set(LEGACY)


def test_an_identity_provider_that_is_out_of_reach() -> None:
    """STS alone says this, and for STS alone botocore tries it again."""
    assert RetryIDPCommunicationError._SERVICE_NAME == "sts"
    error = http_error(400, "IDPCommunicationError", operation="AssumeRoleWithWebIdentity")
    assert classify(error).kind is FailureKind.TRANSIENT


def test_the_widest_class_passes() -> None:
    """Every HTTPClientError passes as with botocore, but for those that say that the client was closed."""
    assert classify(HTTPClientError(error=ValueError("odd"))).kind is FailureKind.TRANSIENT
