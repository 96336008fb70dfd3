"""The errors that the AWS Batch service responds with."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class JobError(NamedTuple):
    """Why a bulk call could not end one of its jobs.

    Attributes:
        code: The error's code.
        message: Its text.
    """

    code: str
    message: str


class ServiceError(Exception):
    """A response other than 200; each face of the server raises it or sends it as its callers know it.

    Attributes:
        http_status: The HTTP status of the response.
        code: The error's code, as in botocore's ``error.response["Error"]["Code"]``; None if it has none.
        message: The error's text.
        body: The body of the response; by default AWS's, with the text.
    """

    def __init__(
        self, http_status: int, code: str | None, message: str = "", *, body: bytes | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.http_status = http_status
        self.code = code
        self.message = message
        self.body = msgspec.json.encode({"message": message}) if body is None else body

    @property
    def content_type(self) -> str:
        """The type of the body."""
        return "text/html" if self.body.startswith(b"<") else "application/json"

    @property
    def headers(self) -> dict[str, str]:
        """The header in which AWS says what kind of error it is."""
        return {} if self.code is None else {"x-amzn-ErrorType": self.code}


def client_exception(message: str) -> ServiceError:
    """The caller's mistake, in AWS Batch's words (not to be mistaken for botocore's ``ClientError``)."""
    return ServiceError(400, "ClientException", message)


def require(condition: object, message: str) -> None:
    """Refuse the call with a ``ClientException`` unless the condition is true."""
    if not condition:
        raise client_exception(message)


def unreadable(message: str) -> ServiceError:
    """The body of the request is not what the operation takes."""
    return ServiceError(400, "SerializationException", message)


def too_many_requests() -> ServiceError:
    """The account has used up its rate of calls."""
    return ServiceError(429, "TooManyRequestsException", "Too Many Requests")


def unknown_operation(name: str) -> ServiceError:
    """AWS Batch, or this model of it, has no such operation."""
    return ServiceError(404, "UnknownOperationException", f"there is no operation {name}")


def lacks_operation() -> ServiceError:
    """What moto's server answers to an operation that it does not know."""
    return ServiceError(404, None, body=b"<html><title>404 Not Found</title><h1>Not Found</h1></html>")
