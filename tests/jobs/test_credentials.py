"""What it means when fetching credentials fails, before there is a call to AWS Batch."""

from __future__ import annotations

from typing import Final

import botocore.exceptions as botocore_errors
import pytest

from awaitbatch._core.outcomes import FailureKind
from awaitbatch._failures import CredentialsError, classify

from .test_classify import class_name, http_error

TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT

ANSWERS = [
    ("AssumeRole", 400, "Throttling", TRANSIENT),
    ("AssumeRole", 429, "Anything", TRANSIENT),
    ("AssumeRole", 400, "RequestLimitExceeded", TRANSIENT),
    ("GetRoleCredentials", 429, "TooManyRequestsException", TRANSIENT),
    ("AssumeRoleWithWebIdentity", 400, "IDPCommunicationError", TRANSIENT),
    ("AssumeRoleWithWebIdentity", 503, "ServiceUnavailable", TRANSIENT),
    ("AssumeRoleWithWebIdentity", 500, "AccessDenied", TRANSIENT),
    ("AssumeRole", 403, "RequestExpired", TRANSIENT),
    ("AssumeRole", 403, None, TRANSIENT),
    ("AssumeRole", 403, "AccessDenied", PERMANENT),
    ("AssumeRole", 400, "ValidationError", PERMANENT),
    ("AssumeRole", 403, "ExpiredToken", PERMANENT),
    ("AssumeRole", 400, "ClientException", PERMANENT),
    ("AssumeRole", 404, None, PERMANENT),
    ("AssumeRoleWithWebIdentity", 400, "InvalidIdentityToken", PERMANENT),
    ("AssumeRoleWithWebIdentity", 400, "ExpiredTokenException", PERMANENT),
    ("GetSessionToken", 403, "InvalidClientTokenId", PERMANENT),
    ("GetRoleCredentials", 401, "UnauthorizedException", PERMANENT),
    ("CreateToken", 400, "InvalidGrantException", PERMANENT),
    ("CreateOAuth2Token", 400, "AccessDeniedException", PERMANENT),
]


@pytest.mark.parametrize("own", ["DescribeJobs", "SubmitJob", "ListJobs"])
@pytest.mark.parametrize(("operation", "status", "code", "kind"), ANSWERS)
def test_answers(operation: str, status: int, code: str | None, kind: FailureKind, own: str) -> None:
    """A throttle of another service is no throttle of ours, its refusals are not about a job; nothing was sent."""
    error = http_error(status, code, operation=operation)
    failure = classify(error, operation=own)
    assert classify(error, operation=own, refreshes_credentials=True) == failure
    assert failure.kind is kind
    assert (failure.can_be_taken, failure.may_be_done) == (False, False)
    assert (failure.code, failure.http_status) == (code or str(status), status)
    for misleading in ("batch:", "job", "endpoint_url", "BatchClient"):
        assert misleading not in failure.advice


@pytest.mark.parametrize(
    ("operation", "advice"),
    [
        (
            "AssumeRoleWithWebIdentity",
            (
                "AWS STS refused AssumeRoleWithWebIdentity, so there are no credentials: "
                "check the role, its trust policy and the identity provider"
            ),
        ),
        (
            "GetRoleCredentials",
            (
                "AWS SSO refused GetRoleCredentials, so there are no credentials: "
                "log in again, or check the account and the role of the profile"
            ),
        ),
        (
            "GetCredentialsForIdentity",
            "AWS refused GetCredentialsForIdentity, so there are no credentials: check their provider",
        ),
    ],
    ids=["STS", "SSO", "other"],
)
def test_the_advice_names_what_was_refused(operation: str, advice: str) -> None:
    """The reader learns which service refused which call."""
    assert classify(http_error(403, "AccessDenied", operation=operation)).advice == advice


def test_a_throttle_names_the_service_too() -> None:
    """It is not AWS Batch that is asked too often."""
    failure = classify(http_error(400, "Throttling", operation="AssumeRole"))
    assert failure.advice.startswith("AWS STS rejects AssumeRole for now")


@pytest.mark.parametrize("operation", ["DescribeJobs", "SubmitJob", "ListJobs"])
def test_a_call_of_our_own_is_not_one_for_credentials(operation: str) -> None:
    """The operation that was called is judged as itself."""
    failure = classify(http_error(403, "AccessDeniedException", operation=operation), operation=operation)
    assert failure.advice == f"allow batch:{operation} in the IAM policy of these credentials"
    assert failure.can_be_taken


SSO_EXPIRED: Final = botocore_errors.TokenRetrievalError(
    provider="sso", error_msg="Token has expired and refresh failed"
)

ERRORS: list[tuple[Exception, FailureKind]] = [
    (botocore_errors.NoCredentialsError(), PERMANENT),
    (botocore_errors.UnauthorizedSSOTokenError(), PERMANENT),
    (botocore_errors.SSOTokenLoadError(error_msg="no such file"), PERMANENT),
    (botocore_errors.LoginRefreshRequired(), PERMANENT),
    (botocore_errors.NoAuthTokenError(), PERMANENT),
    (botocore_errors.CredentialRetrievalError(provider="sso", error_msg="down"), TRANSIENT),
    (botocore_errors.MetadataRetrievalError(error_msg="slow"), TRANSIENT),
    (botocore_errors.TokenRetrievalError(provider="sso", error_msg="no answer"), TRANSIENT),
    (SSO_EXPIRED, PERMANENT),
    (RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."), TRANSIENT),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=class_name)
def test_errors_without_an_answer(error: Exception, kind: FailureKind) -> None:
    """Nothing was sent, and the advice is about credentials."""
    failure = classify(error, operation="SubmitJob")
    assert failure.kind is kind
    assert (failure.can_be_taken, failure.may_be_done) == (False, False)
    assert "credentials" in failure.advice


def test_an_expired_login() -> None:
    """Nobody but the user can renew it: AWS SSO was asked, and has refused."""
    failure = classify(SSO_EXPIRED)
    assert failure.advice == "configure credentials as for boto3, or log in again"
    assert failure.needs_new_credentials


def test_an_error_of_the_users_own_code() -> None:
    """The user sees the error of his own code, not the one that carries it here."""
    cause = KeyError("vault")
    error = CredentialsError()
    error.__cause__ = cause
    failure = classify(error)
    assert (failure.kind, failure.code, failure.message) == (PERMANENT, "KeyError", "'vault'")
    assert failure.error is cause
    assert failure.advice == "fetching credentials failed; check their provider"
    assert (failure.can_be_taken, failure.may_be_done) == (False, False)


def test_a_cause_with_the_name_of_a_throttle_is_none() -> None:
    """How the user's own error is called means nothing."""

    class ThrottlingException(Exception):  # noqa: N818
        pass

    error = CredentialsError()
    error.__cause__ = ThrottlingException("slow down")
    assert classify(error).kind is PERMANENT


def test_an_error_of_the_users_own_code_without_a_cause() -> None:
    """Then there is nothing but the error itself."""
    failure = classify(CredentialsError("no"))
    assert (failure.kind, failure.code, failure.message) == (PERMANENT, "CredentialsError", "no")
